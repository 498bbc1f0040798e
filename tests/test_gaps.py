"""Swap gaps added up, and the evidence that stands without any one donor class."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.judge.confirmation import confirm
from transforms.judge.gaps import GapKey, GapTally
from transforms.judge.settings import JudgeSettings
from transforms.judge.statistics import log10_e_below, mean_bounds
from transforms.judge.verdicts import finding
from transforms.records import Finding, Swap

from .builders import make_group, make_swap
from .strategies import tally_of

SETTINGS = JudgeSettings(min_images=5)

swaps = st.builds(
    make_swap,
    donor_class=st.sampled_from("abcd"),
    gap=st.floats(-1, 1),
    residual=st.floats(0, 1),
)


def gaps_of(*rows: Swap) -> GapTally:
    tally = GapTally.zero()
    for row in rows:
        tally.add(row)
    return tally


def repeated(count: int, gap: float, donors: str = "abcde", residual: float = 0.5) -> GapTally:
    """As many swaps, with the donor classes in turn."""
    return gaps_of(
        *(make_swap(donor_class=donors[i % len(donors)], gap=gap, residual=residual) for i in range(count))
    )


def test_a_gap_counts_in_the_bin_that_begins_at_or_below_it() -> None:
    histogram = gaps_of(*(make_swap(gap=gap) for gap in (-1.0, 0.0, 0.5, 1.0))).histogram

    assert {0: 1, 128: 1, 192: 1, 255: 1} == {int(b): int(histogram[b]) for b in np.flatnonzero(histogram)}


def test_means_are_exact() -> None:
    tally = gaps_of(make_swap(gap=0.25, residual=0.125), make_swap(gap=0.75, residual=0.375))

    assert (2, 0.5, 0.25) == (tally.count, tally.gap, tally.residual)


@given(st.lists(swaps, max_size=30), st.randoms())
def test_any_order_and_grouping_gives_the_same_tally(rows: list[Swap], random: object) -> None:
    whole = gaps_of(*rows)
    random.shuffle(rows)  # type: ignore[attr-defined]
    parts = [gaps_of(*rows[first : first + 7]) for first in range(0, len(rows), 7)]
    merged = sum(parts, start=GapTally.zero())

    assert {n: a.tolist() for n, a in whole.donors.items()} == {
        n: a.tolist() for n, a in merged.donors.items()
    }


def test_the_worst_donor_class_is_left_out_of_three_or_more() -> None:
    two = gaps_of(make_swap(donor_class="a", gap=0.8), make_swap(donor_class="b", gap=0.0))
    three = two + gaps_of(make_swap(donor_class="c", gap=0.2))

    assert (None, 0.4) == (two.worst, pytest.approx(two.gap))
    assert ("a", 0.1, 0.8) == (three.worst, pytest.approx(three.gap), pytest.approx(three.mean_of("a")))


def test_evidence_must_stand_without_any_one_donor_class() -> None:
    """One donor class that moves p by 0.9 convicts nobody; all of them together do."""
    culprit = repeated(40, 0.9, donors="a") + repeated(160, 0.0, donors="bcde")
    everywhere = repeated(200, 0.9)

    assert culprit.log10_e(0.1) < 0
    assert everywhere.log10_e(0.1) > 20
    # By hand: without any one class there are 160 swaps in one bin.
    histogram = np.zeros(256, np.int64)
    histogram[int(1.9 / 2 * 256)] = 160
    assert pytest.approx(log10_e_below(histogram[::-1], 1 - 1.1 / 2)) == everywhere.log10_e(0.1)


def test_bounds_hold_the_mean_and_leave_out_one_donor_class() -> None:
    for gap in (-0.5, 0.0, 0.3):
        lower, upper = repeated(300, gap).bounds()
        assert lower < gap < upper
    culprit = repeated(60, 0.9, donors="a") + repeated(240, 0.0, donors="bcde")
    assert culprit.bounds()[1] < 0.1


@pytest.mark.parametrize(("low", "high"), [(-0.4, 0.6), (0.0, 0.2), (-0.05, 0.85)])
def test_under_the_null_hypothesis_evidence_is_rare(low: float, high: float) -> None:
    """Gaps of true mean 0.1, the tolerated one, in two values: e >= 20 in at most 1 of 20 runs."""
    random = np.random.default_rng(0)
    large, runs = 0, 300
    for _ in range(runs):
        highs = random.random(100) < (0.1 - low) / (high - low)
        rows = [make_swap(donor_class="abcde"[i % 5], gap=high if h else low) for i, h in enumerate(highs)]
        large += gaps_of(*rows).log10_e(0.1) >= math.log10(20)

    assert large <= runs / 20


def of_class(name: str) -> GapKey:
    return name, None, None


def finding_of(name: str, verdict: str, kind: str = "class") -> Finding:
    group = make_group(kind=kind, class_name=None if kind == "model" else name)
    return finding(group, tally_of([]), verdict, "looked at")


@pytest.mark.parametrize(
    ("heat", "gap", "count", "verdict", "said"),
    [
        ("suspect", 0.6, 300, "confirmed", "another background moves p by 0.60 ["),
        ("unsuspected", 0.6, 300, "hidden", "another background moves p by 0.60 ["),
        ("insufficient", 0.6, 300, "hidden", "another background moves p by 0.60 ["),
        ("suspect", 0.0, 300, "suspect", "another background moves p by 0.00 ["),
        ("unsuspected", 0.0, 300, "clear", "another background moves p by 0.00 ["),
        ("unsuspected", 0.0, 10, "insufficient", ", too uncertain for 0.1 from 10 swaps"),
        ("unsuspected", 0.0, 4, "insufficient", "4 of 5 needed background swaps"),
        ("suspect", 0.6, 4, "suspect", "4 of 5 needed background swaps"),
    ],
)
def test_heat_and_swap_together_make_the_verdict(
    heat: str, gap: float, count: int, verdict: str, said: str
) -> None:
    (found,) = confirm([finding_of("cat", heat)], {of_class("cat"): repeated(count, gap)}, SETTINGS)

    assert verdict == found.verdict
    assert found.message.startswith("looked at; ")
    assert said in found.message
    assert (count >= 5) == (found.swap_gap is not None)


def test_a_class_without_a_swap_is_insufficient() -> None:
    (found,) = confirm([finding_of("cat", "unsuspected")], {}, SETTINGS)

    assert ("insufficient", None) == (found.verdict, found.log10_e_confirmed)
    assert "looked at; 0 of 5 needed background swaps" == found.message


def test_a_class_that_the_budget_was_not_spent_on_is_a_hypothesis_too() -> None:
    """Ten classes that were not tested make the one that was less certain."""
    judged = [
        dataclasses.replace(finding_of(name, "unsuspected"), log10_e_suspect=0.0) for name in "abcdefghijk"
    ]
    gaps = {of_class("a"): repeated(60, 0.26)}
    alone, among = (confirm(rows, gaps, SETTINGS)[0] for rows in (judged[:1], judged))
    other = confirm(judged, gaps, SETTINGS)[-1]

    assert ("hidden", "insufficient") == (alone.verdict, among.verdict)
    assert alone.detectable_gap < among.detectable_gap  # type: ignore[operator]
    assert other.message == (
        "looked at; no background swap: no other class could lend a background, or judge.confirm_budget went "
        "to more suspicious classes"
    )


def test_the_donor_class_that_moves_a_clear_class_is_named() -> None:
    tally = repeated(60, 0.9, donors="a") + repeated(240, 0.0, donors="bcde")
    (found,) = confirm([finding_of("cat", "unsuspected")], {of_class("cat"): tally}, SETTINGS)

    assert "clear" == found.verdict
    assert found.message.endswith("], those of a by 0.90")


@pytest.mark.parametrize(
    ("gaps", "verdicts", "verdict"),
    [
        ({"cat": 0.6, "dog": 0.0}, ["suspect", "unsuspected"], "confirmed"),
        ({"cat": 0.6, "dog": 0.0}, ["unsuspected", "unsuspected"], "hidden"),
        ({"cat": 0.0, "dog": 0.0}, ["unsuspected", "unsuspected"], "clear"),
    ],
)
def test_the_model_is_judged_by_all_its_classes(
    gaps: dict[str, float], verdicts: list[str], verdict: str
) -> None:
    rows = [finding_of("m", "unsuspected", "model")]
    rows += [finding_of(name, heat) for name, heat in zip(gaps, verdicts, strict=True)]
    found = confirm(rows, {of_class(n): repeated(300, g) for n, g in gaps.items()}, SETTINGS)

    assert verdict == found[0].verdict
    assert found[0].swap_gap_lower < found[0].swap_gap < found[0].swap_gap_upper  # type: ignore[operator]


def test_a_model_without_swaps_keeps_its_suspicion() -> None:
    assert "suspect" == confirm([finding_of("m", "suspect", "model")], {}, SETTINGS)[0].verdict
    assert "insufficient" == confirm([finding_of("m", "unsuspected", "model")], {}, SETTINGS)[0].verdict


@given(st.lists(swaps, min_size=1, max_size=40))
def test_the_bounds_are_those_of_every_set_of_donor_classes_by_itself(rows: list[Swap]) -> None:
    tally = gaps_of(*rows)
    lower, upper = mean_bounds(tally.histogram, 0.05 if tally.worst is None else 0.025)
    if tally.worst is not None:
        without = [tally.without(name) for name in tally.left_out]
        lower = min(mean_bounds(histogram, 0.05)[0] for histogram in without)
        upper = min(upper, *(mean_bounds(histogram, 0.025 / len(without))[1] for histogram in without))

    assert (2 * lower - 1, 2 * upper - 1) == tally.bounds()
