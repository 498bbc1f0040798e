"""AssociateSlices: the data are judged themselves, without any model."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam

from transforms.judge.data.associations import associate
from transforms.judge.data.contingency import Contingency, Name
from transforms.judge.settings import JudgeSettings
from transforms.judge.wiring import AddUp
from transforms.labels import Association, Labelling


@dataclasses.dataclass
class AssociateSlices(beam.PTransform):
    """Labelling -> Association, one for each slice column.

    Attributes:
        slices: the columns; each gets its row even without a record.
        settings: the false discovery rate and the examples that are needed.
    """

    slices: Sequence[str]
    settings: JudgeSettings

    def expand(self, labellings: beam.PCollection[Labelling]) -> beam.PCollection[Association]:
        keyed = tuple[str, Contingency]
        counts = (
            labellings
            | "ByColumn" >> beam.FlatMap(_by_column, self.slices).with_output_types(tuple[str, Any])
            | "Count" >> beam.CombinePerKey(AddUp(Contingency, _count)).with_output_types(keyed)
        )
        empty = labellings.pipeline | "Columns" >> beam.Create(
            [(key, Contingency()) for key in self.slices]
        ).with_output_types(keyed)
        return (
            (counts, empty)
            | beam.Flatten()
            | "Join" >> beam.CombinePerKey(_all_counts)
            | "Together" >> beam.combiners.ToList()
            | "Associate"
            >> beam.FlatMap(_associate, self.slices, self.settings).with_output_types(Association)
        )


def _count(counts: Contingency, example: tuple[Name, list[str]]) -> None:
    counts.add(*example)


def _all_counts(parts: Iterable[Contingency]) -> Contingency:
    return sum(parts, start=Contingency())


def _by_column(labelling: Labelling, keys: Sequence[str]) -> Iterator[tuple[str, tuple[Name, list[str]]]]:
    values = {entry.key: entry.value for entry in labelling.slices}
    for key in keys:
        yield key, (values.get(key), labelling.names)


def _associate(
    columns: Iterable[tuple[str, Contingency]], keys: Sequence[str], settings: JudgeSettings
) -> list[Association]:
    counts = dict(columns)
    return associate({key: counts[key] for key in keys}, settings)
