"""JudgeModels: scores are tallied by group, each tally is summarised, each model is judged."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam

from transforms.judge.clusters import ClusterKey, ClusterShares, clustered, mean_swap
from transforms.judge.company import Pair, pairs_of
from transforms.judge.families import is_computed
from transforms.judge.gaps import GapKey, GapTally, gap_keys
from transforms.judge.groups import groups_of
from transforms.judge.health import HealthTally
from transforms.judge.heat import Ints
from transforms.judge.judgement import conclude
from transforms.judge.settings import JudgeSettings
from transforms.judge.sightings import Sightings
from transforms.judge.statistics import Tally
from transforms.judge.summaries import summarise
from transforms.judge.verdicts import suspicion
from transforms.records import Finding, Group, Score, Summary, Swap


@dataclasses.dataclass
class SummarizeScores(beam.PTransform):
    """Score -> (Group, Tally), one for each model, class and slice.

    Attributes:
        groups: groups that get a tally even without a score, so that no model is lost in silence.
        judged: as for `JudgeModels`; for other heatmaps computed slices, which are many, are not counted.
        clusters: whether scores may belong to clusters, which are averaged first.
    """

    groups: Sequence[Group]
    judged: Mapping[str, tuple[str, str]]
    clusters: bool = False

    def expand(self, scores: beam.PCollection[Score]) -> beam.PCollection[tuple[Group, Tally]]:
        keyed, judged = tuple[Group, Tally], self.judged
        tallies = (
            scores
            | "ByGroup" >> beam.FlatMap(_keyed).with_output_types(keyed)
            | "Counted" >> beam.Filter(_is_counted, judged).with_output_types(keyed)
            | "Tally" >> beam.CombinePerKey(AddUp(Tally.zero, Tally.merge)).with_output_types(keyed)
        )
        empty = scores.pipeline | "Groups" >> beam.Create(
            [(group, Tally.zero()) for group in self.groups]
        ).with_output_types(keyed)
        parts = [tallies, empty]
        if self.clusters:
            parts.append(
                scores
                | "ByCluster" >> beam.FlatMap(clustered).with_output_types(tuple[ClusterKey, Score])
                | "TallyClusters" >> beam.CombinePerKey(AddUp(ClusterShares.zero, ClusterShares.add))
                | "Units" >> beam.FlatMapTuple(_units).with_output_types(keyed)
                | "CountedUnits" >> beam.Filter(_is_counted, judged).with_output_types(keyed)
            )
        # Joined after the tally: a Flatten before it would hold every score of every group.
        return parts | beam.Flatten() | "Join" >> beam.CombinePerKey(_added)


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
            | "OfClass" >> beam.FlatMap(_keyed_by_class).with_output_types(tuple[Group, Score])
            | "Sample" >> beam.CombinePerKey(AddUp(Sightings, Sightings.add))
        )


@dataclasses.dataclass
class RankSuspects(beam.PTransform):
    """(Group, Tally) -> (class name, log10 of its e-value), the largest of all models; from heatmaps alone.

    Attributes:
        settings: as for `JudgeModels`.
        judged: as for `JudgeModels`.
    """

    settings: JudgeSettings
    judged: Mapping[str, tuple[str, str]]

    def expand(self, tallies: beam.PCollection[tuple[Group, Tally]]) -> beam.PCollection[tuple[str, float]]:
        judged, settings = self.judged, self.settings
        return (
            tallies
            | "Judged" >> beam.Filter(lambda item: item[0].kind == "class" and _is_judged(item[0], judged))
            | "ByModel" >> beam.Map(_by_model).with_output_types(tuple[str, tuple[Group, Tally]])
            | "OneModel" >> beam.GroupByKey()
            | "Suspicion" >> beam.FlatMapTuple(lambda _, classes: suspicion(dict(classes), settings))
            | "Largest" >> beam.CombinePerKey(max)
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
        clusters: as for `SummarizeScores`.
        sightings: PCollection from `SampleHeat` of the same scores, in which modes are looked for, or None.
        health: PCollection of HealthScore, or None to do without.

    Returns:
        PCollections `summaries`, `findings` and `health`, which is empty where nothing was compared.
    """

    settings: JudgeSettings
    judged: Mapping[str, tuple[str, str]]
    company: Any = None
    withheld: str | None = None
    swaps: Any = None
    clusters: bool = False
    sightings: Any = None
    health: Any = None

    def expand(self, tallies: beam.PCollection[tuple[Group, Tally]]) -> Any:
        judged, settings = self.judged, self.settings  # by themselves, since `self` holds a PCollection
        tallies = tallies | "WorthARow" >> beam.Filter(_is_worth_a_row, settings.min_images)
        gaps = None if self.swaps is None else self.swaps | "TallyGaps" >> TallyGaps(self.clusters)
        summaries = tallies | "Summarise" >> _Summarise(gaps, judged)
        parts = {
            "tallies": tallies
            | "Judged" >> beam.Filter(lambda item: _is_judged(item[0], judged))
            | "ByModel" >> beam.Map(_by_model).with_output_types(tuple[str, tuple[Group, Tally]])
        }
        if self.company is not None:
            parts["company"] = self.company | "CompanyByModel" >> beam.Map(
                _company_by_model
            ).with_output_types(tuple[str, tuple[Pair, Any]])
        if gaps is not None:
            parts["gaps"] = gaps | "GapsByModel" >> beam.MapTuple(_gap_by_model).with_output_types(
                tuple[str, Any]
            )
        if self.sightings is not None:
            parts["sightings"] = self.sightings | "SightingsByModel" >> beam.Map(_by_model).with_output_types(
                tuple[str, tuple[Group, Any]]
            )
        if self.health is not None:
            parts["health"] = (
                self.health
                | "HealthByModel" >> beam.WithKeys(lambda score: score.model)
                | "TallyHealth" >> beam.CombinePerKey(AddUp(HealthTally.zero, HealthTally.add))
            )
        trusted = parts["tallies"] | "Trusted" >> beam.FlatMap(
            _trusted, settings.reference_model, settings.min_images
        ).with_output_types(tuple[str, float])
        concluded = (
            parts
            | "OneModel" >> beam.CoGroupByKey()
            | "Judge"
            >> beam.FlatMap(_judge, settings, self.withheld, beam.pvalue.AsDict(trusted))
            .with_outputs("health", main="findings")
            .with_output_types(Finding)
        )
        return {"summaries": summaries, "findings": concluded.findings, "health": concluded.health}


@dataclasses.dataclass
class TallyGaps(beam.PTransform):
    """Swap -> ((model, GapKey), GapTally), one for each class and slice within a class.

    Attributes:
        clusters: whether swaps may belong to clusters, which are averaged first.
    """

    clusters: bool = False

    def expand(self, swaps: beam.PCollection[Swap]) -> beam.PCollection[tuple[tuple[str, GapKey], GapTally]]:
        if self.clusters:
            swaps = (
                swaps
                | "ByCluster" >> beam.Map(_by_cluster)
                | "OfCluster" >> beam.GroupByKey()
                | "Mean" >> beam.MapTuple(lambda _, group: mean_swap(group)).with_output_types(Swap)
            )
        return (
            swaps
            | "ByClass" >> beam.FlatMap(_by_class).with_output_types(tuple[tuple[str, GapKey], Any])
            | "Gaps" >> beam.CombinePerKey(AddUp(GapTally.zero, _add_gap))
        )


@dataclasses.dataclass
class _Summarise(beam.PTransform):
    """(Group, Tally) -> Summary, with the swaps of the class where there are any."""

    gaps: Any
    judged: Mapping[str, tuple[str, str]]

    def expand(self, tallies: beam.PCollection[tuple[Group, Tally]]) -> beam.PCollection[Summary]:
        if self.gaps is None:
            return tallies | beam.MapTuple(summarise).with_output_types(Summary)
        # A side input: as large as there are classes. A join by group would be by the pickle of a row, which
        # differs between what a worker made and what it received.
        of_classes = self.gaps | "OfClasses" >> beam.FlatMap(_gap_of_class)
        return tallies | "Row" >> beam.Map(
            _summary, self.judged, beam.pvalue.AsDict(of_classes)
        ).with_output_types(Summary)


class AddUp(beam.CombineFn):
    """Adds elements up to a tally.

    Args:
        zero: makes an empty tally; tallies merge by `+`.
        add: adds an element to a tally, in place.
    """

    def __init__(self, zero: Callable[[], Any], add: Callable[[Any, Any], None]) -> None:
        self._zero, self._add = zero, add

    def create_accumulator(self) -> Any:
        return self._zero()

    def add_input(self, tally: Any, element: Any) -> Any:
        self._add(tally, element)
        return tally

    def merge_accumulators(self, tallies: Iterable[Any]) -> Any:
        return sum(tallies, start=self._zero())

    def extract_output(self, tally: Any) -> Any:
        return tally


def _added(tallies: Iterable[Tally]) -> Tally:
    return sum(tallies, start=Tally.zero())


def _keyed(score: Score) -> Iterator[tuple[Group, Tally]]:
    groups = list(groups_of(score))
    if groups:
        tally = Tally.of(score)  # once for all its groups
        yield from ((group, tally) for group in groups)


def _is_counted(item: tuple[Group, Tally], judged: Mapping[str, tuple[str, str]]) -> bool:
    return not is_computed(item[0].slice_key) or _is_judged(item[0], judged)


def _is_worth_a_row(item: tuple[Group, Tally], least: int) -> bool:
    """Whether a group has a summary and is judged; nobody asked for a computed slice that is too small."""
    return not is_computed(item[0].slice_key) or item[1].units >= least


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
    trusted: Mapping[str, float],
) -> Iterator[Any]:
    model, parts = item
    concluded = conclude(
        dict(parts["tallies"]),
        dict(parts.get("company", ())),
        dict(parts["gaps"]) if "gaps" in parts else None,
        settings,
        withheld,
        None if model == settings.reference_model else trusted,
        dict(parts.get("sightings", ())),
        next(iter(parts["health"]), HealthTally.zero()) if "health" in parts else None,
    )
    yield from concluded.findings
    if concluded.health is not None:
        yield beam.pvalue.TaggedOutput("health", concluded.health)


def _trusted(
    item: tuple[str, tuple[Group, Tally]], reference: str | None, least: int
) -> Iterator[tuple[str, float]]:
    """The classes of the reference model of which enough was measured, and their mean density share."""
    model, (group, tally) = item
    if model == reference and group.kind == "class" and tally.units >= least:
        assert tally.density_share is not None
        yield str(group.class_name), tally.density_share


def _units(key: ClusterKey, shares: ClusterShares) -> Iterator[tuple[Group, Tally]]:
    yield from shares.units(key[0])


def _by_cluster(swap: Swap) -> tuple[tuple[str, str, bool, str], Swap]:
    """The key of the unit that a swap belongs to: its cluster, or its image where it has none."""
    unit = swap.example_id if swap.cluster is None else swap.cluster
    return (swap.model, swap.class_name, swap.cluster is None, unit), swap


def _by_class(swap: Swap) -> Iterator[tuple[tuple[str, GapKey], tuple[Swap, bool]]]:
    for key in gap_keys(swap):
        yield (swap.model, key), (swap, key[1] is not None)


def _add_gap(tally: GapTally, item: tuple[Swap, bool]) -> None:
    swap, own = item
    tally.add(swap, own=own)


def _gap_by_model(key: tuple[str, GapKey], tally: GapTally) -> tuple[str, tuple[GapKey, GapTally]]:
    return key[0], (key[1], tally)


def _gap_of_class(item: tuple[tuple[str, GapKey], GapTally]) -> Iterator[tuple[tuple[str, str], GapTally]]:
    (model, (name, slice_key, _)), tally = item
    if slice_key is None:
        yield (model, name), tally


def _summary(
    item: tuple[Group, Tally],
    judged: Mapping[str, tuple[str, str]],
    gaps: Mapping[tuple[str, str], GapTally],
) -> Summary:
    group, tally = item
    of_class = group.kind == "class" and _is_judged(group, judged)
    return summarise(group, tally, gaps.get((group.model, str(group.class_name))) if of_class else None)
