"""JudgeModels: scores are tallied by group, each tally is summarised, each model is judged."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam

from transforms.judge.groups import groups_of
from transforms.judge.settings import JudgeSettings
from transforms.judge.statistics import Tally
from transforms.judge.summaries import summarise
from transforms.judge.verdicts import judge_model
from transforms.records import Finding, Group, Score, Summary


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
class JudgeModels(beam.PTransform):
    """(Group, Tally) -> Summary and Finding.

    Attributes:
        settings: margins and rates.
        judged: model -> the layer and the method whose heatmaps its verdicts use.
        withheld: why no verdicts are made, None where they are.

    Returns:
        PCollections `summaries` and `findings`.
    """

    settings: JudgeSettings
    judged: Mapping[str, tuple[str, str]]
    withheld: str | None = None

    def expand(self, tallies: beam.PCollection[tuple[Group, Tally]]) -> Any:
        summaries = tallies | "Summarise" >> beam.MapTuple(summarise).with_output_types(Summary)
        findings = (
            tallies
            | "Judged" >> beam.Filter(_is_judged, self.judged)
            | "ByModel" >> beam.Map(_by_model).with_output_types(tuple[str, tuple[Group, Tally]])
            | "OneModel" >> beam.GroupByKey()
            | "Judge" >> beam.FlatMap(_judge, self.settings, self.withheld).with_output_types(Finding)
        )
        return {"summaries": summaries, "findings": findings}


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


def _keyed(score: Score) -> Iterator[tuple[Group, Score]]:
    for group in groups_of(score):
        yield group, score


def _by_model(item: tuple[Group, Tally]) -> tuple[str, tuple[Group, Tally]]:
    return item[0].model, item


def _is_judged(item: tuple[Group, Tally], judged: Mapping[str, tuple[str, str]]) -> bool:
    return judged[item[0].model] == (item[0].target_layer, item[0].method)


def _judge(
    item: tuple[str, Iterable[tuple[Group, Tally]]], settings: JudgeSettings, withheld: str | None
) -> list[Finding]:
    return judge_model(dict(item[1]), settings, withheld)
