"""What effect could have been seen: the data themselves, moved until they are flagged."""

import math

import numpy as np
import pytest

from transforms.judge.gaps import GapTally
from transforms.judge.power import detectable_gap, detectable_share
from transforms.judge.settings import JudgeSettings
from transforms.judge.statistics import log10_e_below
from transforms.judge.verdicts import judge_model

from .builders import make_score, make_swap
from .strategies import tallies_of, tally_of


def test_a_class_at_the_detectable_share_would_be_flagged_and_a_bin_above_it_not() -> None:
    tally = tally_of([make_score(density_share=0.8)] * 50)
    found = detectable_share(tally, 0.6, 10, 0.1)

    assert found is not None
    at, above = (
        log10_e_below(tally_of([make_score(density_share=found + step / 256)] * 50).histogram, 0.6)
        for step in (0, 1)
    )
    assert at >= math.log10(100) > above


def test_more_images_show_a_smaller_effect() -> None:
    found = [
        detectable_share(tally_of([make_score(density_share=0.8)] * n), 0.6, 1, 0.1) for n in (30, 90, 270)
    ]

    assert sorted(found) == found  # type: ignore[type-var]
    assert found[-1] < 0.6  # type: ignore[operator]


def test_a_flagged_class_would_have_been_flagged_with_less() -> None:
    low = tally_of([make_score(density_share=0.1)] * 60)

    assert 0.1 < detectable_share(low, 0.6, 1, 0.1) < 0.6  # type: ignore[operator]


def test_too_few_images_could_not_have_shown_anything() -> None:
    assert None is detectable_share(tally_of([make_score(density_share=0.5)] * 2), 0.5, 1000, 0.01)


def gaps_of(values: list[float]) -> GapTally:
    tally = GapTally.zero()
    for index, gap in enumerate(values):
        tally.add(make_swap(donor_class="abcd"[index % 4], gap=gap))
    return tally


def test_a_class_with_the_detectable_gap_would_be_convicted_and_a_bin_below_it_not() -> None:
    found = detectable_gap(gaps_of([0.0] * 80), 0.1, 5, 0.1)

    assert found is not None
    at, below = (gaps_of([found - step / 128] * 80).log10_e(0.1) for step in (0, 1))
    assert at >= math.log10(50) > below


def test_scatter_hides_a_gap() -> None:
    random = np.random.default_rng(0)
    steady, scattered = (
        detectable_gap(gaps_of(list(np.clip(random.normal(0, sd, 100), -1, 1))), 0.1, 1, 0.1)
        for sd in (0.02, 0.4)
    )

    assert 0.1 < steady < scattered  # type: ignore[operator]


def test_a_judged_class_says_what_it_could_have_shown() -> None:
    rows = [make_score(density_share=0.7)] * 40 + [make_score(density_share=0.7, target_name="dog")] * 29
    findings = {row.group_name: row for row in judge_model(tallies_of(rows), JudgeSettings())}

    expected = detectable_share(tally_of(rows[:40]), 0.5, 1, 0.1)
    assert pytest.approx(expected) == findings["cat"].detectable_density_share
    assert (0.5, None) == (findings["cat"].reference, findings["dog"].detectable_density_share)
