"""A batch of sampled images -> what each model makes of their objects on other backgrounds."""

import threading
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from transforms.explain.again.counterfactual import Pixels, box_mask, on_background, without
from transforms.explain.again.sampling import Donors, Sample, names_with_boxes, rank
from transforms.explain.engine import Engine
from transforms.explain.explainer import Explainer, ModelSpec, Pictured
from transforms.explain.targets import NO_TARGET
from transforms.records import Example, Swap

# A box that leaves less of the picture than this has no background to swap.
_MOST_OBJECT = 0.95
# Bytes of prepared backgrounds that a worker keeps: 150 kB each at 224x224, of at most 1,024 donors.
_BACKGROUND_BYTES = 2**27


class Swapper:
    """Tests examples by background swap; one for each pool of donors. Thread-safe.

    Args:
        explainer: holds the engines and decodes.
        donors: the images that lend their backgrounds.
        samples: how deep each class is tested.
    """

    def __init__(self, explainer: Explainer, donors: Donors, samples: dict[str, Sample]) -> None:
        self._explainer, self._donors, self._samples = explainer, donors, samples
        self._backgrounds: dict[tuple[str, str, str], Pixels | None] = {}
        self._keeping = threading.Lock()

    def swap(self, examples: Sequence[Example]) -> Iterator[Swap]:
        """Tests each example for each of its classes that is sampled as deep.

        An example that cannot be decoded has its dead letter from the first reading and is passed over here.
        """
        pictured = [found for found in self._explainer.pictures(examples) if isinstance(found, Pictured)]
        for spec, engine in self._explainer.models:
            if engine.head == "function":
                continue  # scores of a user's own are no probabilities
            yield from self._swap_by(spec, engine, pictured)

    def _swap_by(self, spec: ModelSpec, engine: Engine, pictured: Sequence[Pictured]) -> Iterator[Swap]:
        shown: list[Pixels] = []
        asked: list[tuple[Pictured, str, str, str, str]] = []
        for picture in pictured:
            example = picture.example
            for name in names_with_boxes(example):
                if name not in spec.class_map.classes or not self._is_tested(example, name):
                    continue
                pixels = picture.view_of(spec, engine)
                mask = box_mask(picture.boxes_of(name, spec, engine), pixels.shape[1], pixels.shape[0])
                if not mask.any() or mask.mean() > _MOST_OBJECT:
                    continue
                other_name, others = self._donors.others(example, name, self._strangers(spec, name))
                same = self._first(spec, engine, self._donors.same(example, name), name)
                other = self._first(spec, engine, others, other_name)
                if same is None or other is None:
                    continue
                shown += [pixels, *(on_background(pixels, mask, donor) for _, donor in (same, other))]
                shown.append(without(pixels, mask))
                asked.append((picture, name, other_name, same[0], other[0]))
        if not asked:
            return
        found = engine(np.stack(shown), np.full((len(shown), 1), NO_TARGET, np.int32))
        probabilities = engine.probabilities(found.logits)
        for index, (picture, name, donor_class, same_id, other_id) in enumerate(asked):
            example = picture.example
            rows = [*range(4 * index, 4 * index + 4)]
            if set(rows) & set(found.out_of_memory):
                continue
            own_p, same_p, other_p, removed_p = (
                _of_classes(p, spec.class_map.classes[name], engine.head) for p in probabilities[rows]
            )
            if not np.isfinite([own_p, same_p, other_p, removed_p]).all():
                continue
            yield Swap(
                model=spec.settings.name,
                class_name=name,
                example_id=example.example_id,
                source=example.source,
                position=example.position,
                donor_class=donor_class,
                gap=same_p - other_p,
                own=own_p,
                other=other_p,
                residual=removed_p,
                slices=[*example.slices, *picture.slices],
                cluster=example.cluster,
                same_id=same_id,
                other_id=other_id,
            )

    def _is_tested(self, example: Example, name: str) -> bool:
        sample = self._samples.get(name)
        return sample is not None and rank(example.example_id) <= sample.tested

    def _first(
        self, spec: ModelSpec, engine: Engine, donors: Sequence[Example], name: str
    ) -> tuple[str, Pixels] | None:
        """The first donor that can be decoded, by its id, and its background."""
        for donor in donors:
            background = self._background(spec, engine, donor, name)
            if background is not None:
                return donor.example_id, background
        return None

    def _background(self, spec: ModelSpec, engine: Engine, donor: Example, name: str) -> Pixels | None:
        """The same, kept for the next image: a donor lends its background many times."""
        key = (spec.settings.name, donor.example_id, name)
        with self._keeping:
            if key in self._backgrounds:
                return self._backgrounds[key]
        background = self._prepared(spec, engine, donor, name)
        height, width = engine.input_size
        with self._keeping:
            if len(self._backgrounds) >= _BACKGROUND_BYTES // (3 * height * width):
                del self._backgrounds[next(iter(self._backgrounds))]
            self._backgrounds[key] = background
        return background

    def _prepared(self, spec: ModelSpec, engine: Engine, donor: Example, name: str) -> Pixels | None:
        """A donor's picture in the model's view with its object filled; None where it cannot be decoded."""
        (picture,) = self._explainer.pictures([donor])
        if not isinstance(picture, Pictured):
            return None
        pixels = picture.view_of(spec, engine)
        boxes = picture.boxes_of(name, spec, engine)
        mask = box_mask(boxes, pixels.shape[1], pixels.shape[0])
        return without(pixels, mask)

    def _strangers(self, spec: ModelSpec, name: str) -> list[str]:
        """Sampled classes that mean other classes of the model."""
        own = set(spec.class_map.classes[name])
        return [
            other
            for other in self._samples
            if other in spec.class_map.classes and not own & set(spec.class_map.classes[other])
        ]


def _of_classes(probabilities: NDArray[np.float64], classes: Sequence[int], head: str) -> float:
    """The probability of a name that stands for several classes: of any of them."""
    values = probabilities[list(classes)]
    return float(values.max() if head in ("sigmoid", "binary") else values.sum())
