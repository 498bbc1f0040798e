"""Sampled images, explained by each model as it is and with its weights drawn anew."""

import functools
from collections.abc import Iterator, Mapping, Sequence

from transforms.explain.again.sampling import names_with_boxes, rank
from transforms.explain.engine import Engine
from transforms.explain.explainer import Explainer, ModelSpec, Pictured
from transforms.explain.reinitialised import Part, Reinitialised
from transforms.explain.targets import RUNNER_UP, Target
from transforms.health import DRAWS, HealthMaps
from transforms.records import Example, Explanation, Scene

_Key = tuple[str, str, int]

# The controls of a model: one by its head, the others by all its weights.
_DRAWN: tuple[tuple[Part, int], ...] = (("head", 0), *(("network", draw) for draw in range(DRAWS)))


class Controls:
    """Explains examples by models and their controls, for the first boxed class that the model knows.

    Args:
        explainer: holds the engines and decodes.
        method: whose heatmaps are compared.
        drawn: model -> ranks of the images that are compared.
    """

    def __init__(self, explainer: Explainer, method: str, drawn: Mapping[str, Sequence[int]]) -> None:
        self._explainer, self._method, self._drawn = explainer, method, drawn

    def compare(self, examples: Sequence[Example]) -> Iterator[HealthMaps]:
        """Explains each example by the models that drew it.

        An example that cannot be decoded has its dead letter from the first reading and is passed over here.
        """
        pictured = [found for found in self._explainer.pictures(examples) if isinstance(found, Pictured)]
        for spec, engine in self._explainer.models:
            asked = [
                (picture, name)
                for picture in pictured
                if (name := compared_name(picture.example, spec, self._drawn)) is not None
            ]
            yield from self._compare_by(spec, engine, asked)

    def _compare_by(
        self, spec: ModelSpec, engine: Engine, asked: Sequence[tuple[Pictured, str]]
    ) -> Iterator[HealthMaps]:
        rival = Target("runner_up", None, RUNNER_UP)
        found = self._explained(
            spec,
            engine,
            [
                (picture, (Target("annotated", name, spec.class_map.code(name)), rival))
                for picture, name in asked
            ],
        )
        # Of several classes that a name means, the controls are asked for the one that the model was.
        same = [
            (picture, (Target("annotated", name, found[_key(picture.example)][0].target_class or 0),))
            for picture, name in asked
            if _key(picture.example) in found
        ]
        control, program = _control(engine, self._method)
        controls = []
        for part, draw in _DRAWN:
            with program.drawn(part, draw):
                controls.append(self._explained(spec, control, same))
        for key, (trained, runner_up) in found.items():
            if any(key not in control for control in controls):
                continue
            head, *networks = (self._heatmap(control[key][0]) for control in controls)
            rivals = trained.correct and not spec.class_map.means(
                trained.target_name or "", runner_up.target_class or 0
            )
            yield HealthMaps(
                model=trained.model,
                example_id=trained.example_id,
                source=trained.source,
                position=trained.position,
                scene=Scene(
                    trained.view_width,
                    trained.view_height,
                    trained.content,
                    trained.target_boxes,
                    trained.other_boxes,
                ),
                map_height=trained.map_height,
                map_width=trained.map_width,
                trained=self._heatmap(trained),
                head=head if engine.behind[engine.target_layer] else None,
                networks=networks,
                runner_up=self._heatmap(runner_up) if rivals else None,
            )

    def _explained(
        self, spec: ModelSpec, engine: Engine, wanted: Sequence[tuple[Pictured, Sequence[Target]]]
    ) -> dict[_Key, list[Explanation]]:
        """The explanations of each example at the first layer; none of one that does not fit into memory."""
        found: dict[_Key, list[Explanation]] = {}
        for row in self._explainer.explain_by(spec, engine, wanted):
            if isinstance(row, Explanation) and row.target_layer == engine.target_layer:
                found.setdefault((row.example_id, row.source, row.position), []).append(row)
        return found

    def _heatmap(self, explanation: Explanation) -> bytes:
        return explanation.heatmaps[explanation.methods.index(self._method)]


def compared_name(example: Example, spec: ModelSpec, drawn: Mapping[str, Sequence[int]]) -> str | None:
    """The class for which an example is compared by a model, None where it is not."""
    if rank(example.example_id) not in drawn.get(spec.settings.name, ()):
        return None
    return next(known_names(example, spec), None)


def known_names(example: Example, spec: ModelSpec) -> Iterator[str]:
    """The boxed classes of an example that a model knows."""
    return (name for name in names_with_boxes(example) if name in spec.class_map.classes)


@functools.lru_cache(maxsize=16)
def _control(engine: Engine, method: str) -> tuple[Engine, Reinitialised]:
    """What computes a model's controls, made once in this process."""
    return engine.reinitialised(method)


def _key(example: Example) -> _Key:
    return example.example_id, example.source, example.position
