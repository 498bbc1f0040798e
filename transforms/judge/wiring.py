"""JudgeModels: scores are tallied by group, each tally is summarised, each model is judged.

AssociateSlices judges the data themselves, without any model.
"""

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam

from transforms.judge.associations import associate
from transforms.judge.company import Pair, pairs_of
from transforms.judge.contingency import Contingency, Name
from transforms.judge.gaps import GapTally
from transforms.judge.groups import groups_of
from transforms.judge.heat import Ints
from transforms.judge.judgement import conclude
from transforms.judge.settings import JudgeSettings
from transforms.judge.sightings import Sightings
from transforms.judge.statistics import Tally
from transforms.judge.summaries import summarise
from transforms.labels import Association, Labelling
from transforms.records import Finding, Group, Score, Summary, Swap


@dataclasses.dataclass
class SummarizeScores(beam.PTransform):
    """Score -> (Group, Tally), one for each model, class and slice.

    Attributes:
        groups: groups that get a tally even without a score, so that no model is lost in silence.
    """

    groups: Sequence[Group]

    def expand(self, scores: beam.PCollection[Score]) -> beam.PCollection[tuple[Group, Tally]]:
        keyed = tuple[Group, Tally]
        tallies = (
            scores
            | "ByGroup" >> beam.FlatMap(_keyed).with_output_types(tuple[Group, Score])
            | "Tally" >> beam.CombinePerKey(TallyScores()).with_output_types(keyed)
        )
        empty = scores.pipeline | "Groups" >> beam.Create(
            [(group, Tally.zero()) for group in self.groups]
        ).with_output_types(keyed)
        # Joined after the tally: a Flatten before it would hold every score of every group.
        return (tallies, empty) | beam.Flatten() | "Join" >> beam.CombinePerKey(_added)


@dataclasses.dataclass
class CountCompany(beam.PTransform):
    """Score -> (Pair, numbers), one for each class and other annotated class that stand in one picture.

    Attributes:
        judged: model -> the layer and the method whose heatmaps its verdicts use.
    """

    judged: Mapping[str, tuple[str, str]]

    def expand(self, scores: beam.PCollection[Score]) -> beam.PCollection[tuple[Pair, Any]]:
        judged = self.judged
        return (
            scores
            | "Judged" >> beam.Filter(lambda score: _is_judged(score, judged))
            | "Pairs" >> beam.FlatMap(pairs_of).with_output_types(tuple[Pair, Any])
            | "Together" >> beam.CombinePerKey(_summed)
        )


@dataclasses.dataclass
class SampleHeat(beam.PTransform):
    """Score -> (Group, Sightings), one for each class: a sample of where its heat lies, image by image.

    Attributes:
        judged: model -> the layer and the method whose heatmaps its verdicts use.
    """

    judged: Mapping[str, tuple[str, str]]

    def expand(self, scores: beam.PCollection[Score]) -> beam.PCollection[tuple[Group, Sightings]]:
        judged = self.judged
        return (
            scores
            | "Judged" >> beam.Filter(lambda score: _is_judged(score, judged))
            | "ByClass" >> beam.FlatMap(_keyed_by_class).with_output_types(tuple[Group, Score])
            | "Sample" >> beam.CombinePerKey(KeepSmallest()).with_output_types(tuple[Group, Sightings])
        )


@dataclasses.dataclass
class JudgeModels(beam.PTransform):
    """(Group, Tally) -> Summary and Finding.

    Attributes:
        settings: margins and rates.
        judged: model -> the layer and the method whose heatmaps its verdicts use.
        company: PCollection from `CountCompany` of the same, or None.
        withheld: why no verdicts are made, None where they are.
        swaps: PCollection of Swap for the counterfactual verdicts, or None to do without.
        sightings: PCollection from `SampleHeat` of the same scores, in which modes are looked for, or None.

    Returns:
        PCollections `summaries` and `findings`.
    """

    settings: JudgeSettings
    judged: Mapping[str, tuple[str, str]]
    company: Any = None
    withheld: str | None = None
    swaps: Any = None
    sightings: Any = None

    def expand(self, tallies: beam.PCollection[tuple[Group, Tally]]) -> Any:
        judged = self.judged  # by itself, since `self` holds a PCollection
        summaries = tallies | "Summarise" >> beam.MapTuple(summarise).with_output_types(Summary)
        parts = {
            "tallies": tallies
            | "Judged" >> beam.Filter(lambda item: _is_judged(item[0], judged))
            | "ByModel" >> beam.Map(_by_model).with_output_types(tuple[str, tuple[Group, Tally]])
        }
        if self.company is not None:
            parts["company"] = self.company | "CompanyByModel" >> beam.Map(
                _company_by_model
            ).with_output_types(tuple[str, tuple[Pair, Any]])
        if self.swaps is not None:
            parts["gaps"] = (
                self.swaps
                | "ByClass" >> beam.Map(_by_class).with_output_types(tuple[tuple[str, str], Swap])
                | "Gaps" >> beam.CombinePerKey(TallySwaps())
                | "GapsByModel" >> beam.MapTuple(_gap_by_model).with_output_types(tuple[str, Any])
            )
        if self.sightings is not None:
            parts["sightings"] = self.sightings | "SightingsByModel" >> beam.Map(_by_model).with_output_types(
                tuple[str, tuple[Group, Any]]
            )
        findings = (
            parts
            | "OneModel" >> beam.CoGroupByKey()
            | "Judge"
            >> beam.FlatMap(_judge, self.settings, self.withheld, self.swaps is not None).with_output_types(
                Finding
            )
        )
        return {"summaries": summaries, "findings": findings}


class KeepSmallest(beam.CombineFn):
    """Samples the maps of a class; only delegates to `Sightings`."""

    def create_accumulator(self) -> Sightings:
        return Sightings()

    def add_input(self, sightings: Sightings, score: Score) -> Sightings:
        sightings.add(score)
        return sightings

    def merge_accumulators(self, parts: Iterable[Sightings]) -> Sightings:
        return functools.reduce(Sightings.merge, parts, Sightings())

    def extract_output(self, sightings: Sightings) -> Sightings:
        return sightings


class TallySwaps(beam.CombineFn):
    """Adds swaps up; only delegates to `GapTally`."""

    def create_accumulator(self) -> GapTally:
        return GapTally.zero()

    def add_input(self, tally: GapTally, swap: Swap) -> GapTally:
        tally.add(swap)
        return tally

    def merge_accumulators(self, tallies: Iterable[GapTally]) -> GapTally:
        return sum(tallies, start=GapTally.zero())

    def extract_output(self, tally: GapTally) -> GapTally:
        return tally


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
            | "Count" >> beam.CombinePerKey(CountTogether()).with_output_types(keyed)
        )
        empty = labellings.pipeline | "Columns" >> beam.Create(
            [(key, Contingency()) for key in self.slices]
        ).with_output_types(keyed)
        return (
            (counts, empty)
            | beam.Flatten()
            | "Join" >> beam.CombinePerKey(_merged)
            | "Together" >> beam.combiners.ToList()
            | "Associate"
            >> beam.FlatMap(_associate, self.slices, self.settings).with_output_types(Association)
        )


class CountTogether(beam.CombineFn):
    """Counts values and classes; only delegates to `Contingency`."""

    def create_accumulator(self) -> Contingency:
        return Contingency()

    def add_input(self, counts: Contingency, example: tuple[Name, list[str]]) -> Contingency:
        counts.add(*example)
        return counts

    def merge_accumulators(self, counts: Iterable[Contingency]) -> Contingency:
        return _merged(counts)

    def extract_output(self, counts: Contingency) -> Contingency:
        return counts


class TallyScores(beam.CombineFn):
    """Adds scores up; only delegates to `Tally`."""

    def create_accumulator(self) -> Tally:
        return Tally.zero()

    def add_input(self, tally: Tally, score: Score) -> Tally:
        tally.add(score)
        return tally

    def merge_accumulators(self, tallies: Iterable[Tally]) -> Tally:
        return _added(tallies)

    def extract_output(self, tally: Tally) -> Tally:
        return tally


def _added(tallies: Iterable[Tally]) -> Tally:
    return sum(tallies, start=Tally.zero())


def _merged(parts: Iterable[Contingency]) -> Contingency:
    whole = Contingency()
    for part in parts:
        whole.merge(part)
    return whole


def _by_column(labelling: Labelling, keys: Sequence[str]) -> Iterator[tuple[str, tuple[Name, list[str]]]]:
    values = {entry.key: entry.value for entry in labelling.slices}
    for key in keys:
        yield key, (values.get(key), labelling.names)


def _associate(
    columns: Iterable[tuple[str, Contingency]], keys: Sequence[str], settings: JudgeSettings
) -> list[Association]:
    counts = dict(columns)
    return associate({key: counts[key] for key in keys}, settings)


def _keyed(score: Score) -> Iterator[tuple[Group, Score]]:
    for group in groups_of(score):
        yield group, score


def _keyed_by_class(score: Score) -> Iterator[tuple[Group, Score]]:
    return ((group, score) for group in groups_of(score) if group.kind == "class")


def _by_model(item: tuple[Group, Any]) -> tuple[str, tuple[Group, Any]]:
    return item[0].model, item


def _company_by_model(item: tuple[Pair, Any]) -> tuple[str, tuple[Pair, Any]]:
    return item[0][0].model, item


def _summed(numbers: Iterable[Ints]) -> Any:
    return sum(numbers)


def _is_judged(row: Group | Score, judged: Mapping[str, tuple[str, str]]) -> bool:
    return judged[row.model] == (row.target_layer, row.method)


def _judge(
    item: tuple[str, dict[str, Iterable[Any]]],
    settings: JudgeSettings,
    withheld: str | None,
    swapped: bool,
) -> Iterator[Finding]:
    of_model = {part: dict(rows) for part, rows in item[1].items()}
    gaps = of_model.get("gaps", {}) if swapped else None
    yield from conclude(
        of_model["tallies"],
        of_model.get("company", {}),
        gaps,
        settings,
        withheld,
        of_model.get("sightings", {}),
    )


def _by_class(swap: Swap) -> tuple[tuple[str, str], Swap]:
    return (swap.model, swap.class_name), swap


def _gap_by_model(key: tuple[str, str], tally: GapTally) -> tuple[str, tuple[str, GapTally]]:
    return key[0], (key[1], tally)
