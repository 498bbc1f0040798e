"""Accuracy at chance, told from accuracy above it."""

import pytest

from transforms.judge.plausibility import implausible
from transforms.judge.statistics import Tally
from transforms.records import Group

from .builders import make_group, make_score
from .strategies import tally_of


def tallies(right: list[int], count: int = 50) -> dict[Group, Tally]:
    """A class for each number of right predictions, out of `count`."""
    return {
        make_group(class_name=f"c{index}"): tally_of([make_score(correct=i < hits) for i in range(count)])
        for index, hits in enumerate(right)
    }


@pytest.mark.parametrize(
    ("right", "plausible"),
    [
        ([45, 40, 48, 50], True),
        ([25, 25, 25, 25], True),
        ([13, 12, 11, 14], False),
        # Always the same answer: one class is always right.
        ([50, 0, 0, 0], False),
        ([0, 0, 0, 0], False),
    ],
)
def test_the_mean_of_the_classes_must_exceed_chance(right: list[int], plausible: bool) -> None:
    assert plausible == (implausible(tallies(right)) is None)


def test_the_reason_names_both_and_what_to_look_at() -> None:
    assert (
        "no verdict: the classes' mean accuracy is 0.25, no better than chance (0.25); "
        "is preprocess, class_map or labels wrong?"
    ) == implausible(tallies([50, 0, 0, 0]))


def test_one_class_or_few_images_say_nothing() -> None:
    assert implausible(tallies([0])) is None
    assert implausible(tallies([0, 0], count=10)) is None
