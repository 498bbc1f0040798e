"""AssociateSlices: the data are judged themselves, without any model."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam

from transforms.judge.data.associations import associate
from transforms.judge.data.contingency import Contingency, Name
from transforms.judge.settings import JudgeSettings
from transforms.judge.sightings import hash_of
from transforms.judge.wiring import AddUp
from transforms.labels import Association, Labelling


@dataclasses.dataclass
class AssociateSlices(beam.PTransform):
    """Labelling -> Association, one for each slice column.

    Of the examples of a cluster with the same names one counts, since they are not independent: the one with
    the smallest hash of its id.

    Attributes:
        slices: the columns; each gets its row even without a record.
        settings: the false discovery rate and the examples that are needed.
    """

    slices: Sequence[str]
    settings: JudgeSettings

    def expand(self, labellings: beam.PCollection[Labelling]) -> beam.PCollection[Association]:
        keyed = tuple[str, Contingency]
        alone = labellings | "Alone" >> beam.Filter(lambda labelling: labelling.cluster is None)
        firsts = (
            labellings
            | "Clusters" >> beam.FlatMap(_by_cluster).with_output_types(tuple[tuple[str, str], Labelling])
            | "First" >> beam.CombinePerKey(_first_of)
            | "Firsts" >> beam.Values().with_output_types(Labelling)
        )
        # Counted apart: a Flatten before a CombinePerKey would keep Beam from counting where the rows are.
        counts, counts_of_clusters = (
            units
            | f"{name}ByColumn" >> beam.FlatMap(_by_column, self.slices).with_output_types(tuple[str, Any])
            | f"{name}Count" >> beam.CombinePerKey(AddUp(Contingency, _count)).with_output_types(keyed)
            for name, units in (("Alone", alone), ("Clusters", firsts))
        )
        empty = labellings.pipeline | "Columns" >> beam.Create(
            [(key, Contingency()) for key in self.slices]
        ).with_output_types(keyed)
        return (
            (counts, counts_of_clusters, empty)
            | beam.Flatten()
            | "Join" >> beam.CombinePerKey(_all_counts)
            | "Together" >> beam.combiners.ToList()
            | "Associate"
            >> beam.FlatMap(_associate, self.slices, self.settings).with_output_types(Association)
        )


def _by_cluster(labelling: Labelling) -> Iterator[tuple[tuple[str, str], Labelling]]:
    if labelling.cluster is not None:
        yield (labelling.cluster, "\0".join(sorted(labelling.names))), labelling


def _first_of(labellings: Iterable[Labelling]) -> Labelling:
    return min(labellings, key=lambda one: (hash_of(one.example_id), one.source, one.position))


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
