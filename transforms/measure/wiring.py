"""MeasureLocalization: every explanation becomes one score for each of its methods.

LocateHeat adds to a score where its heat outside the boxes lies.
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any

import apache_beam as beam
import numpy as np

from transforms.geometry import Floats, Rectangle
from transforms.health import HealthMaps, HealthScore
from transforms.measure.ground import Allowed, boxes_in_sight, layout_of, rectangles
from transforms.measure.health import health_score
from transforms.measure.localization import Layout, Measures, measure, status_of
from transforms.measure.outside import company, outside_heat
from transforms.records import Company, Explanation, Outside, Scene, Score, Swap

_NOTHING_ALLOWED = Allowed()


@dataclasses.dataclass
class MeasureLocalization(beam.PTransform):
    """Explanation -> Score, one for each method.

    Attributes:
        allowed: context that is neither inside nor outside.
    """

    allowed: Allowed = _NOTHING_ALLOWED

    def expand(self, explanations: beam.PCollection[Explanation]) -> beam.PCollection[Score]:
        return explanations | "Measure" >> beam.FlatMap(score, self.allowed).with_output_types(Score)


@dataclasses.dataclass
class LocateHeat(beam.PTransform):
    """Score -> Score with `outside`, where there is a scene.

    Stands after everything that makes scores travel: from a scene of a few boxes it makes 10 kB.

    Attributes:
        allowed: the same as that of `MeasureLocalization`.
    """

    allowed: Allowed = _NOTHING_ALLOWED

    def expand(self, scores: beam.PCollection[Score]) -> beam.PCollection[Score]:
        return scores | "Locate" >> beam.Map(located, self.allowed).with_output_types(Score)


@dataclasses.dataclass
class MeasureHealth(beam.PTransform):
    """HealthMaps -> HealthScore, where there are boxes to measure by.

    Attributes:
        allowed: the same as that of `MeasureLocalization`.
    """

    allowed: Allowed = _NOTHING_ALLOWED

    def expand(self, maps: beam.PCollection[HealthMaps]) -> beam.PCollection[HealthScore]:
        return maps | "Measure" >> beam.FlatMap(health_score, self.allowed).with_output_types(HealthScore)


# A heatmap that cannot be measured has no number, neither 0 nor 1.
_UNMEASURED: dict[str, Any] = {field.name: None for field in dataclasses.fields(Measures)}


@dataclasses.dataclass
class AddSwaps(beam.PTransform):
    """Score -> the same with its swap gap, residual and donor class, where its image was tested.

    Attributes:
        swaps: PCollection of Swap; as many as the budget allows, a side input.
    """

    swaps: Any

    def expand(self, scores: beam.PCollection[Score]) -> beam.PCollection[Score]:
        found = self.swaps | "Keyed" >> beam.Map(_swap_of)
        return scores | "Add" >> beam.Map(_with_swap, beam.pvalue.AsDict(found)).with_output_types(Score)


def _swap_of(swap: Swap) -> tuple[tuple[str, str, str], tuple[float, float, float, str]]:
    found = (swap.gap, swap.residual, swap.other, swap.donor_class)
    return (swap.model, swap.example_id, swap.class_name), found


def _with_swap(score: Score, swaps: Mapping[tuple[str, str, str], tuple[float, float, float, str]]) -> Score:
    found = swaps.get((score.model, score.example_id, score.target_name or ""))
    if score.target_rule != "annotated" or found is None:
        return score
    # Not dataclasses.replace: a row that has travelled may be a look-alike.
    values = {field.name: getattr(score, field.name) for field in dataclasses.fields(Score)}
    names = ("swap_gap", "residual", "other_background_probability", "donor_class")
    return Score(**{**values, **dict(zip(names, found, strict=True))})


_BUT_OUTSIDE = [field.name for field in dataclasses.fields(Score) if field.name != "outside"]


def located(score: Score, allowed: Allowed = _NOTHING_ALLOWED) -> Score:
    """The score with where its heat lies outside the boxes, or as it is where it has no scene."""
    scene = score.scene
    if scene is None or score.heatmap is None:
        return score
    layout = layout_of(scene, allowed)
    shown = [box for box in scene.other_boxes if not box.ignored]
    others = [
        (name, tuple(rectangles((b for b in shown if b.name == name), scene.view_width, scene.view_height)))
        for name in sorted({box.name for box in shown})
    ]
    outside = _outside(score.heatmap, (score.map_height, score.map_width), layout, tuple(others))
    return Score(**{name: getattr(score, name) for name in _BUT_OUTSIDE}, outside=outside)


# The heatmaps of an image follow each other, and on many heads two methods have the same.
@functools.lru_cache(maxsize=16)
def _outside(
    data: bytes, shape: tuple[int, int], layout: Layout, others: tuple[tuple[str, tuple[Rectangle, ...]], ...]
) -> Outside:
    heatmap = _heatmap(data, shape)
    found = {name: _bytes(values) for name, values in vars(outside_heat(heatmap, layout)).items()}
    shares = company(heatmap, layout, dict(others))
    return Outside(**found, company=[Company(name, *of_class) for name, of_class in shares.items()])


def _heatmap(data: bytes, shape: tuple[int, int]) -> Floats:
    return np.frombuffer(data, "<f4").reshape(shape).astype(np.float64)


def _bytes(values: Floats | None) -> bytes:
    return b"" if values is None else values.astype("<f8").tobytes()


def score(explanation: Explanation, allowed: Allowed = _NOTHING_ALLOWED) -> Iterator[Score]:
    """Measures the heatmaps of one explanation, one score for each method."""
    scene = Scene(**{field.name: getattr(explanation, field.name) for field in dataclasses.fields(Scene)})
    layout = layout_of(scene, allowed)
    shape = (explanation.map_height, explanation.map_width)
    measured: dict[bytes, tuple[str, dict[str, Any]]] = {}  # on many heads two methods have the same map
    for method, data in zip(explanation.methods, explanation.heatmaps, strict=True):
        if data not in measured:
            heatmap = _heatmap(data, shape)
            status = status_of(heatmap, layout)
            measured[data] = status, vars(measure(heatmap, layout)) if status == "ok" else _UNMEASURED
        status, measures = measured[data]
        yield Score(
            model=explanation.model,
            example_id=explanation.example_id,
            source=explanation.source,
            method=method,
            target_layer=explanation.target_layer,
            target_rule=explanation.target_rule,
            target_class=explanation.target_class,
            target_name=explanation.target_name,
            predicted_class=explanation.predicted_class,
            predicted_name=explanation.predicted_name,
            target_logit=explanation.target_logit,
            target_probability=explanation.target_probability,
            correct=explanation.correct,
            status=status,
            box_count=boxes_in_sight(scene),
            box_area=layout.box_area,
            **measures,
            swap_gap=None,
            residual=None,
            cluster=explanation.cluster,
            map_height=explanation.map_height,
            map_width=explanation.map_width,
            heatmap=None if explanation.target_class is None else data,
            slices=explanation.slices,
            position=explanation.position,
            shard=explanation.shard,
            other_background_probability=None,
            donor_class=None,
            scene=scene if status == "ok" and explanation.target_rule == "annotated" else None,
            outside=None,
        )
