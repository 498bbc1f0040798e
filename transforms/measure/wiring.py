"""MeasureLocalization: every explanation becomes one score for each of its methods."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import apache_beam as beam
import numpy as np

from transforms.geometry import View
from transforms.measure.localization import Measures, lay_out, measure, status_of
from transforms.records import DeadLetter, Explanation, Score


class MeasureLocalization(beam.PTransform):
    """Explanation -> Score, one for each method."""

    def expand(self, explanations: beam.PCollection[Explanation]) -> beam.PCollection[Score]:
        return explanations | "Measure" >> beam.FlatMap(score).with_output_types(Score)


# A heatmap that cannot be measured has no number, neither 0 nor 1.
_UNMEASURED: dict[str, Any] = {field.name: None for field in dataclasses.fields(Measures)}


@dataclasses.dataclass
class DropDuplicates(beam.PTransform):
    """Score -> Score, or DeadLetter -> DeadLetter, without those of records that duplicate an earlier one.

    Attributes:
        keys: PCollection of (example_id, source, position) of the duplicates; few, a side input.
        kind: the class of the elements.
    """

    keys: Any
    kind: type = Score

    def expand(self, rows: beam.PCollection[Any]) -> beam.PCollection[Any]:
        marked = self.keys | "Mark" >> beam.Map(lambda key: (key, True))
        return rows | "Drop" >> beam.Filter(_is_first, beam.pvalue.AsDict(marked)).with_output_types(
            self.kind
        )


def _is_first(row: Score | DeadLetter, duplicates: Mapping[tuple[str, str, int], bool]) -> bool:
    return (row.example_id, row.source, row.position) not in duplicates


def score(explanation: Explanation) -> Iterator[Score]:
    """Measures the heatmaps of one explanation, one score for each method."""
    left, top, right, bottom = explanation.content
    content = (left, top, right, bottom)
    view = View(explanation.view_width, explanation.view_height, content, content)
    layout = lay_out(
        view,
        [(box.xmin, box.ymin, box.xmax, box.ymax) for box in explanation.target_boxes],
        [(box.xmin, box.ymin, box.xmax, box.ymax) for box in explanation.other_boxes],
    )
    shape = (explanation.map_height, explanation.map_width)
    for method, data in zip(explanation.methods, explanation.heatmaps, strict=True):
        heatmap = np.frombuffer(data, "<f4").reshape(shape).astype(np.float64)
        status = status_of(heatmap, layout)
        measures = dataclasses.asdict(measure(heatmap, layout)) if status == "ok" else _UNMEASURED
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
            box_count=len(layout.target_boxes),
            box_area=layout.box_area,
            **measures,
            swap_gap=None,
            residual=None,
            cluster=None,
            map_height=explanation.map_height,
            map_width=explanation.map_width,
            heatmap=None if explanation.target_class is None else heatmap.ravel().tolist(),
            slices=explanation.slices,
            position=explanation.position,
            shard=explanation.shard,
        )
