"""What became better or worse from one model to another, on the same images.

Each image is its own control: what counts is the difference of its density share, and of its swap gap,
between the two models. Differences are tested by the same e-values as verdicts, against a margin: worse by
more than it, better by more than it, or surely within it on both sides.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from transforms.judge.gaps import GapTally
from transforms.judge.groups import group_name, groups_within
from transforms.judge.heat import UNIT
from transforms.judge.statistics import e_benjamini_hochberg, log10_mean_e
from transforms.judge.verdicts import MODEL_LOG10_E
from transforms.records import Group

Measure = Literal["density_share", "swap_gap"]
# Whether more of it is worse: +1, or less: -1.
MEASURES: dict[Measure, int] = {"density_share": -1, "swap_gap": +1}
Verdict = Literal["worse", "better", "same", "inconclusive"]
VERDICTS: tuple[Verdict, ...] = ("worse", "better", "inconclusive", "same")


@dataclasses.dataclass(frozen=True)
class PairedImage:
    """One image and annotated class as both models saw it.

    Attributes:
        class_name: annotated class.
        slices: (key, value) pairs.
        donor_class: the class that lent the other background; None without a swap.
        cluster: images of one cluster are not independent and count once; None for an image by itself.
        baseline, candidate: measure -> value, None where it was not measured.
    """

    class_name: str | None
    slices: Sequence[tuple[str, str]]
    donor_class: str | None
    cluster: str | None
    baseline: Mapping[Measure, float | None]
    candidate: Mapping[Measure, float | None]


@dataclasses.dataclass(frozen=True)
class Change:
    """What became of one measure in one group.

    Attributes:
        measure: `density_share` or `swap_gap`.
        group_kind, group_name, class_name, slice_key, slice_value: as in the table `findings`; a slice of all
            classes has no class.
        verdict: `worse`, `better` or `same`, by the margin, or `inconclusive`.
        n: images that were measured under both models.
        only_baseline, only_candidate: images that were measured under one of them.
        baseline, candidate: means over the pairs, a cluster counting once.
        change: mean of candidate - baseline, likewise; one image counts for at most 1. None without a pair.
        lower, upper: bounds of it, each with 95 % at any number of images; None below `min_images`.
        log10_e_worse, log10_e_better: evidence that the mean is worse, or better, by more than the margin.
        without_donor: the donor class whose backgrounds change most, which means and bounds do without
            (`transforms.judge.gaps`).
    """

    measure: Measure
    group_kind: str
    group_name: str
    class_name: str | None
    slice_key: str | None
    slice_value: str | None
    verdict: Verdict
    n: int
    only_baseline: int
    only_candidate: int
    baseline: float | None
    candidate: float | None
    change: float | None
    lower: float | None
    upper: float | None
    log10_e_worse: float | None
    log10_e_better: float | None
    without_donor: str | None


@dataclasses.dataclass
class _Cluster:
    """Sums over the images of a cluster, in units of 2^-32; of several donor classes the first by name."""

    donor_class: str
    baseline: int = 0
    candidate: int = 0
    harm: int = 0
    count: int = 0


class ChangeTally:
    """The differences of one measure in one group, added up; `harm` is a difference for the worse.

    What evidence counts is a unit: an image, or the images of a cluster by their mean.
    """

    def __init__(self) -> None:
        self.harm, self.relief = GapTally.zero(), GapTally.zero()
        self.pairs = self.only_baseline = self.only_candidate = 0
        # Donor class -> sums of baseline and candidate in units of 2^-32, and the number of units.
        self.sums: dict[str, list[int]] = {}
        self.clusters: dict[str, _Cluster] = {}

    def add(
        self,
        baseline: float | None,
        candidate: float | None,
        donor_class: str,
        cluster: str | None,
        sign: int,
    ) -> None:
        """Adds one image; `sign` is that of `MEASURES`."""
        if baseline is None or candidate is None:
            self.only_baseline += baseline is not None
            self.only_candidate += candidate is not None
            return
        self.pairs += 1
        harm = max(-1.0, min(1.0, sign * (candidate - baseline)))
        if cluster is None:
            self._add_unit(baseline, candidate, harm, donor_class)
            return
        waiting = self.clusters.setdefault(cluster, _Cluster(donor_class))
        waiting.count += 1
        waiting.donor_class = min(waiting.donor_class, donor_class)
        waiting.baseline += round(baseline * UNIT)
        waiting.candidate += round(candidate * UNIT)
        waiting.harm += round(harm * UNIT)

    def settle(self) -> None:
        """Makes each cluster one unit, once all images have been added."""
        for cluster in self.clusters.values():
            sums = (cluster.baseline, cluster.candidate, cluster.harm)
            baseline, candidate, harm = (total / UNIT / cluster.count for total in sums)
            self._add_unit(baseline, candidate, harm, cluster.donor_class)
        self.clusters.clear()

    def _add_unit(self, baseline: float, candidate: float, harm: float, donor_class: str) -> None:
        self.harm.add_values(donor_class, harm)
        self.relief.add_values(donor_class, -harm)
        sums = self.sums.setdefault(donor_class, [0, 0, 0])
        for index, value in enumerate((round(baseline * UNIT), round(candidate * UNIT), 1)):
            sums[index] += value

    @property
    def leading(self) -> tuple[GapTally, int]:
        """The tally of what happened on average, worse or better, and its sign: +1 for worse.

        The donor class that contributes most to it is left out, so the change is never overstated.
        """
        harm = sum(self.harm.mean_of(name) * self.sums[name][2] for name in self.sums)
        return (self.harm, 1) if harm >= 0 else (self.relief, -1)

    def means(self, without: str | None) -> tuple[float, float]:
        """Mean of baseline and candidate without one donor class."""
        kept = [sums for name, sums in self.sums.items() if name != without]
        baseline, candidate, count = (sum(values) for values in zip(*kept, strict=True))
        return baseline / UNIT / count, candidate / UNIT / count


def compare(
    images: Iterable[PairedImage], model: str, *, margin: float, fdr: float, min_images: int
) -> list[Change]:
    """Compares two models on the same images.

    Args:
        images: every image of either, in any order.
        model: name for the groups of the candidate.
        margin: change of a mean that is accepted, in [0, 1).
        fdr: expected share of false claims among the classes, and among the slices, that are called worse,
            for each measure; likewise better (e-BH).
        min_images: pairs, or clusters of them, below which a class or slice is inconclusive.

    Returns:
        For each measure that any image has: the model, its classes, its slices, sorted by name. A measure
        that no image has is left out.
    """
    tallies: dict[Measure, dict[Group, ChangeTally]] = {measure: {} for measure in MEASURES}
    for image in images:
        groups = list(groups_within(model, "", "", image.class_name, image.slices))
        for measure, sign in MEASURES.items():
            values = image.baseline[measure], image.candidate[measure]
            if values == (None, None):
                continue
            donor = (image.donor_class or "") if measure == "swap_gap" else ""
            for group in groups:
                tallies[measure].setdefault(group, ChangeTally()).add(*values, donor, image.cluster, sign)
    for tally in (tally for of_measure in tallies.values() for tally in of_measure.values()):
        tally.settle()
    return [
        change
        for measure, of_measure in tallies.items()
        for change in _judge(measure, of_measure, margin, fdr, min_images)
    ]


def _judge(
    measure: Measure, tallies: Mapping[Group, ChangeTally], margin: float, fdr: float, min_images: int
) -> Iterator[Change]:
    ordered = sorted(tallies, key=lambda group: (group_name(group), repr(group)))
    of_kind = {kind: [g for g in ordered if g.kind == kind] for kind in ("model", "class", "slice")}
    tested = {
        group: (tally.harm.log10_e(margin), tally.relief.log10_e(margin))
        for group, tally in tallies.items()
        if group.kind != "model" and tally.harm.count >= min_images
    }
    claims: dict[Group, Verdict] = {}
    directions: tuple[tuple[int, Verdict], ...] = ((1, "better"), (0, "worse"))
    for kind in ("class", "slice"):
        family = [group for group in of_kind[kind] if group in tested]
        for index, verdict in directions:
            kept = e_benjamini_hochberg([tested[group][index] for group in family], fdr)
            claims |= {group: verdict for group, is_kept in zip(family, kept, strict=True) if is_kept}
    # The average of e-values is an e-value.
    classes = [tested[group] for group in of_kind["class"] if group in tested]
    for group in of_kind["model"]:
        if not classes:
            continue
        tested[group] = (log10_mean_e([worse for worse, _ in classes]), log10_mean_e([b for _, b in classes]))
        for index, verdict in directions:
            if tested[group][index] >= MODEL_LOG10_E:
                claims[group] = verdict
    for group in (*of_kind["model"], *of_kind["class"], *of_kind["slice"]):
        yield _change(measure, group, tallies[group], tested.get(group), claims.get(group), margin)


def _change(
    measure: Measure,
    group: Group,
    tally: ChangeTally,
    evidence: tuple[float, float] | None,
    claim: Verdict | None,
    margin: float,
) -> Change:
    verdict: Verdict = claim or "inconclusive"
    baseline = candidate = change = lower = upper = without = None
    if tally.pairs:
        leading, direction = tally.leading
        sign = MEASURES[measure] * direction
        without = leading.worst
        baseline, candidate = tally.means(without)
        change = sign * leading.gap + 0.0  # no -0.0
        if evidence is not None:
            lower, upper = sorted(sign * bound for bound in leading.bounds())
            if claim is None and -margin <= lower and upper <= margin:
                verdict = "same"
    return Change(
        measure=measure,
        group_kind=group.kind,
        group_name=group_name(group),
        class_name=group.class_name,
        slice_key=group.slice_key,
        slice_value=group.slice_value,
        verdict=verdict,
        n=tally.pairs,
        only_baseline=tally.only_baseline,
        only_candidate=tally.only_candidate,
        baseline=baseline,
        candidate=candidate,
        change=change,
        lower=lower,
        upper=upper,
        log10_e_worse=evidence[0] if evidence else None,
        log10_e_better=evidence[1] if evidence else None,
        without_donor=without,
    )
