"""A batch of examples -> explanations by every model, with each image decoded once.

One bad image costs one dead letter; its neighbours in the batch go on.
"""

import dataclasses
import functools
import json
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from transforms.errors import RecordError
from transforms.explain.appearance import describe
from transforms.explain.decode import DECODING_KEYS, Decoding, decode_as, show, with_boxes_of
from transforms.explain.devices import images_in_a_pass, one_thread_a_pass
from transforms.explain.engine import Engine
from transforms.explain.explanations import Explanations
from transforms.explain.load import load_engine
from transforms.explain.loading import size_of
from transforms.explain.settings import ExplainSettings, ModelSettings, Preprocess
from transforms.explain.targets import NO_TARGET, ClassMap, Target, plan_targets
from transforms.geometry import View, plan_view
from transforms.labels import Labelling, labelling_of, names_of
from transforms.outlines import moved
from transforms.progress import PROGRESS
from transforms.records import Box, DeadLetter, Example, Explanation, Slice

# What decides which pixels a model sees; models that agree on it share one resampled image.
_ViewKey = tuple[tuple[int, int], Preprocess]
_LOADING = threading.Lock()


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """A model as workers need it.

    Attributes:
        settings: its part of the config, with paths that the worker can open.
        sha256: content hash of the model file.
        labels: name of each class, or empty where the index is the name.
        class_map: annotated name -> class indexes.
        listed: classes that are explained on every image besides.
    """

    settings: ModelSettings
    sha256: str
    labels: Sequence[str]
    class_map: ClassMap
    listed: tuple[int, ...] = ()

    def class_name(self, index: int) -> str:
        """The label of a class, or its index as text."""
        return self.labels[index] if self.labels else str(index)


@dataclasses.dataclass(frozen=True)
class Pictured:
    """One decoded example: its size in pixels, its view for each kind of input, and its computed slices."""

    example: Example
    width: int
    height: int
    views: dict[_ViewKey, tuple[View, NDArray[np.uint8]]]
    slices: Sequence[Slice] = ()

    def view_of(self, spec: ModelSpec, engine: Engine) -> NDArray[np.uint8]:
        """What a model sees of it, uint8 of shape (H, W, 3)."""
        return self.views[_view_key(spec, engine)][1]

    def boxes_of(self, name: str, spec: ModelSpec, engine: Engine) -> list[Box]:
        """The boxes of an annotated name in the view of a model, not clipped."""
        view = self.views[_view_key(spec, engine)][0]
        return [self.shown(box, view) for box in self.example.boxes if box.name == name]

    def shown(self, box: Box, view: View) -> Box:
        """A box of the example in view pixels."""
        across, down = (self.width, self.height) if self.example.relative else (1, 1)
        edges = (box.xmin * across, box.ymin * down, box.xmax * across, box.ymax * down)
        outline = moved(
            box.outline, lambda x, y: view.to_view(x * across, y * down, x * across, y * down)[:2]
        )
        return Box(box.name, *view.to_view(*edges), box.ignored, outline)


def engine_of(spec: ModelSpec, explain: ExplainSettings) -> Engine:
    """The engine of a model, loaded once in this process.

    Raises:
        ModelError: the file, its layer or its head does not fit.
    """
    # As text, which can be a key of the cache; of what no engine depends on, engines are shared.
    model = spec.settings.model_dump_json(exclude={"name", "labels"})
    how = explain.model_dump_json(exclude={"targets", "classes", *DECODING_KEYS})
    with _LOADING:  # else threads that begin together would each load it
        return _shared_engine(spec.sha256, model, how, tuple(spec.class_map.groups))


@functools.lru_cache(maxsize=16)
def _shared_engine(sha256: str, model: str, how: str, groups: tuple[tuple[int, ...], ...]) -> Engine:
    """One engine a process for the same file and settings; `sha256` tells changed files apart."""
    del sha256
    settings = ModelSettings.model_validate({"name": "shared", **json.loads(model)})
    explain = ExplainSettings.model_validate_json(how)
    return load_engine(
        settings.path,
        methods=explain.methods,
        target_layer=settings.target_layer,
        batch_size=images_in_a_pass(explain.batch_size, size_of(settings.path)),
        precision=explain.precision,
        preprocess=settings.preprocess,
        groups=groups,
        output=settings.output,
        score=settings.score,
        inputs=settings.inputs,
        token_grid=settings.token_grid,
        custom_objects=settings.custom_objects,
        safe_mode=settings.safe_mode,
        polarity=explain.polarity,
        channel_budget=explain.channel_budget,
    )


class Explainer:
    """Every model of a run, ready to explain batches of examples. Thread-safe.

    Args:
        specs: the models.
        explain: which heatmaps.
        computed: the slice columns that are computed, of `transforms.columns.COMPUTED_COLUMNS`.
    """

    def __init__(
        self, specs: Sequence[ModelSpec], explain: ExplainSettings, computed: Sequence[str] = ()
    ) -> None:
        one_thread_a_pass()
        self.models = [(spec, engine_of(spec, explain)) for spec in specs]
        self._rules = explain.targets
        self._computed = tuple(computed)
        self._views = list(dict.fromkeys(_view_key(spec, engine) for spec, engine in self.models))
        most = (max(sides) for sides in zip(*(size for size, _ in self._views), strict=True))
        self._decoding = Decoding.of(explain, tuple(most))
        self._pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="decode")

    def explain(self, examples: Sequence[Example]) -> Iterator[Explanation | Labelling | DeadLetter]:
        """Decodes each example once and explains it by every model.

        Args:
            examples: one batch or more, with their image bytes.

        Yields:
            For each example either one dead letter, or one explanation for each model, target and layer; a
            labelling, where slices are computed; and a dead letter for each model that it does not fit into
            memory with.
        """
        pictures = list(self.pictures(examples))
        pictured = [picture for picture in pictures if isinstance(picture, Pictured)]
        yield from (picture for picture in pictures if isinstance(picture, DeadLetter))
        if self._computed:
            yield from (labelling_of(picture.example, list(picture.slices)) for picture in pictured)
        for spec, engine in self.models:
            targets = [
                plan_targets(names_of(picture.example), spec.class_map, self._rules, spec.listed)
                for picture in pictured
            ]
            yield from self.explain_by(spec, engine, list(zip(pictured, targets, strict=True)))
        PROGRESS.add_images(len(examples))

    def pictures(self, examples: Sequence[Example]) -> Iterator[Pictured | DeadLetter]:
        """Decodes examples in threads and shows each as the models see it."""
        return self._pool.map(self._decode, examples)

    def _decode(self, example: Example) -> Pictured | DeadLetter:
        try:
            decoded = decode_as(example.image, self._decoding)
        except RecordError as error:
            return _dead(example, error.reason, error.message)
        image, example = decoded.image, with_boxes_of(decoded, example)
        views = {}
        for key in self._views:
            (height, width), how = key
            view = plan_view(image.width, image.height, width, height, how.resize, how.crop)
            views[key] = (view, show(image, view, how.interpolation, how.padding))
        slices = describe(image, example, self._computed)
        return Pictured(example, image.width, image.height, views, slices)

    def explain_by(
        self, spec: ModelSpec, engine: Engine, wanted: Sequence[tuple[Pictured, Sequence[Target]]]
    ) -> Iterator[Explanation | DeadLetter]:
        """Explains pictures by one engine.

        Args:
            spec: the model.
            engine: its engine, or one that takes the same images.
            wanted: pictures and their targets; a picture without any is passed over.

        Yields:
            One explanation for each picture, target and layer, in this order; for a picture that does not fit
            into memory one dead letter instead.
        """
        wanted = [(picture, targets) for picture, targets in wanted if targets]
        if not wanted:
            return
        key = _view_key(spec, engine)
        images = np.stack([picture.views[key][1] for picture, _ in wanted])
        codes = np.full((len(wanted), max(len(targets) for _, targets in wanted)), NO_TARGET, np.int32)
        for row, (_, targets) in enumerate(wanted):
            codes[row, : len(targets)] = [target.code for target in targets]
        found = engine(images, codes)
        probabilities = engine.probabilities(found.logits)
        for row, (picture, targets) in enumerate(wanted):
            if row in found.out_of_memory:
                yield _dead(picture.example, "out_of_memory", f"model {spec.settings.name}, batch size 1")
                continue
            describe = _Description(spec, engine, picture, picture.views[key][0])
            for column, target in enumerate(targets):
                for layer in found.layers:
                    yield describe.explanation(target, layer, found, probabilities, row, column)


def _dead(example: Example, reason: str, message: str) -> DeadLetter:
    return DeadLetter("explain", example.source, example.example_id, reason, message, example.position)


def _view_key(spec: ModelSpec, engine: Engine) -> _ViewKey:
    """Only what shapes pixels: scale, mean and std are applied inside the model's graph."""
    preprocess = spec.settings.preprocess
    shaping = Preprocess(
        resize=preprocess.resize,
        crop=preprocess.crop,
        padding=preprocess.padding,
        interpolation=preprocess.interpolation,
    )
    return engine.input_size, shaping


@dataclasses.dataclass(frozen=True)
class _Description:
    """Puts what the engine found for one example and one model into words and view coordinates."""

    spec: ModelSpec
    engine: Engine
    picture: Pictured
    view: View

    def explanation(
        self,
        target: Target,
        layer: str,
        found: Explanations,
        probabilities: NDArray[np.float64],
        row: int,
        column: int,
    ) -> Explanation:
        example, class_map = self.picture.example, self.spec.class_map
        predicted = int(found.logits[row].argmax())
        resolved = int(found.targets[row, column])
        target_class = None if resolved == NO_TARGET else resolved
        names = names_of(example) if target.name is None else [target.name]
        target_boxes, other_boxes = self._boxes(target, target_class)
        return Explanation(
            example_id=example.example_id,
            source=example.source,
            position=example.position,
            shard=example.shard,
            model=self.spec.settings.name,
            target_layer=layer,
            target_rule=target.rule,
            target_class=target_class,
            target_name=self._name(target, target_class),
            predicted_class=predicted,
            predicted_name=self.spec.class_name(predicted),
            target_logit=None if target_class is None else float(found.logits[row, target_class]),
            target_probability=None if target_class is None else float(probabilities[row, target_class]),
            correct=any(class_map.means(name, predicted) for name in names) if names else None,
            view_width=self.view.width,
            view_height=self.view.height,
            content=list(self.view.content),
            target_boxes=target_boxes,
            other_boxes=other_boxes,
            methods=list(self.engine.methods),
            heatmaps=[
                found.layers[layer][m][row, column].astype("<f4").tobytes() for m in self.engine.methods
            ],
            map_height=self.engine.map_sizes[layer][0],
            map_width=self.engine.map_sizes[layer][1],
            slices=[*example.slices, *self.picture.slices],
            cluster=example.cluster,
        )

    def _name(self, target: Target, target_class: int | None) -> str | None:
        if target.name is not None or target_class is None:
            return target.name
        return self.spec.class_name(target_class)

    def _boxes(self, target: Target, target_class: int | None) -> tuple[list[Box], list[Box]]:
        """Boxes of the target class, and all others with the ignored ones of any class, in view pixels."""
        mine: list[Box] = []
        others: list[Box] = []
        for box in self.picture.example.boxes:
            shown = self.picture.shown(box, self.view)
            same = box.name == target.name or (
                target_class is not None and self.spec.class_map.means(box.name, target_class)
            )
            (mine if same and not box.ignored else others).append(shown)
        return mine, others
