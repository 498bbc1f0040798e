"""A slice against the rest of its class, by what another background takes from each."""

import math

import numpy as np
import pytest

from transforms.judge.confirmation import confirm
from transforms.judge.contrasts import log10_e_contrast
from transforms.judge.gaps import EVERY, GapKey, GapTally, gap_keys
from transforms.judge.settings import JudgeSettings
from transforms.judge.verdicts import finding
from transforms.records import Finding

from .builders import make_group, make_swap
from .strategies import tally_of

SETTINGS = JudgeSettings()
EPSILON = 0.1
TOO_FEW = "looked at; 29 background swaps against 90 in the rest of the class, 30 are needed on either side"


def lost(
    values: "list[float] | np.ndarray[tuple[int], np.dtype[np.float64]]", donors: str = "abcd"
) -> GapTally:
    """Images that lose so much of their probability on another background, with the donor classes in turn."""
    tally = GapTally.zero()
    for index, value in enumerate(values):
        tally.add(make_swap(donor_class=donors[index % len(donors)], own=float(value), other=0.0), own=True)
    return tally


def test_a_large_difference_is_certain_and_its_mirror_image_is_not() -> None:
    high, low = lost([0.9] * 60), lost([0.1] * 60)

    assert log10_e_contrast(high, low, EPSILON) > 3
    assert log10_e_contrast(low, high, EPSILON) < 0


def test_more_images_make_the_same_difference_more_certain() -> None:
    found = [log10_e_contrast(lost([0.6] * n), lost([0.3] * n), EPSILON) for n in (30, 60, 120, 240)]

    assert sorted(found) == found
    assert found[-1] > 3


def test_a_difference_of_epsilon_is_none() -> None:
    assert log10_e_contrast(lost([0.5] * 500), lost([0.4] * 500), EPSILON) < 0


def test_an_arm_that_rests_on_one_donor_class_proves_nothing() -> None:
    own = lost([0.9] * 60, donors="a")
    rest = lost([0.1] * 60)

    assert log10_e_contrast(own, rest, EPSILON) < 0


def test_equal_arms_are_flagged_less_often_than_the_nominal_rate() -> None:
    """P(e >= 20) is at most 1/20 on the edge of the null hypothesis, whatever the values' distribution."""
    random = np.random.default_rng(0)
    found = [
        log10_e_contrast(
            lost(random.beta(2, 2, 80) * 0.8 + EPSILON), lost(random.beta(2, 2, 120) * 0.8), EPSILON
        )
        for _ in range(200)
    ]

    assert np.mean(np.array(found) >= math.log10(20)) <= 0.05
    # The null hypothesis is a true one: the means differ by epsilon.
    assert max(found) > min(found)


def test_a_swap_counts_in_its_class_and_in_every_slice() -> None:
    assert [("cat", None, None)] == list(gap_keys(make_swap()))
    assert [("cat", None, None), ("cat", EVERY, EVERY), ("cat", "camera", "A")] == list(
        gap_keys(make_swap(slices={"camera": "A"}))
    )


def slice_finding(verdict: str) -> Finding:
    group = make_group(kind="slice", slice_key="camera", slice_value="A")
    return finding(group, tally_of([]), verdict, "looked at")


@pytest.mark.parametrize(
    ("heat", "own", "rest", "verdict", "said"),
    [
        ("suspect", [0.9] * 90, [0.1] * 90, "confirmed", "; another background takes 0.90 ["),
        ("unsuspected", [0.9] * 90, [0.1] * 90, "hidden", "; another background takes 0.90 ["),
        ("suspect", [0.5] * 90, [0.5] * 90, "suspect", "from p, 0.50 in the rest of the class"),
        ("unsuspected", [0.1] * 400, [0.4] * 400, "clear", "from p, 0.40 in the rest of the class"),
        ("unsuspected", [0.5] * 40, [0.5] * 40, "insufficient", "from p, 0.50 in the rest of the class"),
        (
            "unsuspected",
            [0.9] * 29,
            [0.1] * 90,
            "insufficient",
            TOO_FEW,
        ),
        (
            "suspect",
            [0.9] * 29,
            [0.1] * 90,
            "suspect",
            TOO_FEW,
        ),
    ],
)
def test_heat_and_swap_together_make_a_slices_verdict(
    heat: str, own: list[float], rest: list[float], verdict: str, said: str
) -> None:
    gaps: dict[GapKey, GapTally] = {
        ("cat", "camera", "A"): lost(own),
        ("cat", EVERY, EVERY): lost(own) + lost(rest),
    }
    (found,) = confirm([slice_finding(heat)], gaps, SETTINGS)

    assert verdict == found.verdict
    assert said in found.message
    tested = len(own) >= SETTINGS.min_images
    assert tested == (found.log10_e_confirmed is not None) == (found.swap_gap is not None)


def test_a_class_that_depends_on_its_background_does_not_convict_its_slices() -> None:
    gaps: dict[GapKey, GapTally] = {
        ("cat", "camera", "A"): lost([0.8] * 150),
        ("cat", EVERY, EVERY): lost([0.8] * 300),
    }
    (found,) = confirm([slice_finding("unsuspected")], gaps, SETTINGS)

    assert found.verdict not in ("confirmed", "hidden")
