"""What is odd about annotations, each oddity once."""

from collections import Counter

import pytest

from transforms.read.defects import defects_of
from transforms.records import Box

from .builders import make_example


@pytest.mark.parametrize(
    ("box", "defect"),
    [
        (Box("cat", 1, 1, 9, 9), None),
        (Box("cat", -5, -5, 99, 99), None),
        (Box("cat", 1, 1, 1, 9), "zero_area"),
        (Box("cat", 9, 1, 1, 9), "inverted"),
        (Box("cat", 9, 1, 1, 1), "inverted"),
        (Box("cat", 20, 1, 30, 9), "outside"),
        (Box("cat", 1, 10, 9, 12), "outside"),
        (Box("cat", -3, 1, 0, 9), "outside"),
        (Box("cat", 1, -3, 9, 0), "outside"),
    ],
)
def test_a_box_has_one_defect_at_most(box: Box, defect: str | None) -> None:
    assert Counter([defect] if defect else []) == defects_of(make_example(boxes=[box]), (20, 10))


def test_shares_need_no_size_and_pixels_without_one_are_not_outside() -> None:
    far = Box("cat", 1.5, 0.5, 2.0, 0.75)

    assert Counter(outside=1) == defects_of(make_example(boxes=[far], relative=True), (9, 9))
    assert Counter() == defects_of(make_example(boxes=[far]), None)


def test_copies_are_of_the_same_class() -> None:
    box = (1, 1, 9, 9)
    boxes = [Box("cat", *box), Box("dog", *box), Box("cat", *box), Box("cat", *box)]

    assert Counter(duplicate_box=2) == defects_of(make_example(boxes=boxes), (20, 10))


def test_an_image_on_which_nothing_is_annotated() -> None:
    assert Counter(no_annotations=1) == defects_of(make_example(boxes=[]), (20, 10))
    assert Counter() == defects_of(make_example(boxes=[], labels=["cat"]), (20, 10))
