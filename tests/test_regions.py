"""Clipping, unions of boxes and pixel masks, against a look at every cell and every pixel."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.regions import clip, covered_cells, pixel_mask

from .strategies import boxes, inside_any, view_sizes

BOUNDS = (0.0, 0.0, 10.0, 8.0)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((2.0, 3.0, 4.0, 5.0), (2, 3, 4, 5)),
        ((-2.0, -3.0, 4.5, 5.25), (0, 0, 4.5, 5.25)),
        ((8.0, 6.0, 20.0, 20.0), (8, 6, 10, 8)),
        ((-5.0, -5.0, 50.0, 50.0), BOUNDS),
    ],
)
def test_clip_keeps_the_part_inside(box, expected):
    assert expected == clip(box, BOUNDS)


@pytest.mark.parametrize(
    "box",
    [
        pytest.param((10.0, 0.0, 12.0, 8.0), id="touches from outside"),
        pytest.param((-3.0, 0.0, -1.0, 8.0), id="beside"),
        pytest.param((2.0, 2.0, 2.0, 5.0), id="no width"),
        pytest.param((2.0, 2.0, 5.0, 2.0), id="no height"),
        pytest.param((5.0, 2.0, 3.0, 4.0), id="inverted"),
        pytest.param((5.0, 4.0, 3.0, 2.0), id="inverted twice"),
    ],
)
def test_clip_leaves_nothing_of_a_box_without_area_inside(box):
    assert clip(box, BOUNDS) is None


@given(boxes(), boxes())
def test_a_clipped_box_lies_in_both(box, bounds):
    part = clip(box, bounds)
    if part is not None:
        assert part == clip(part, box) == clip(part, bounds)


@given(st.lists(boxes(), max_size=4), st.lists(boxes(), max_size=2))
def test_covered_cells_are_those_whose_middle_is_in_a_box(covering, others):
    edges = np.array([(0.0, 0.0, 64.0, 64.0), *covering, *others])
    xs, ys = np.unique(edges[:, 0::2]), np.unique(edges[:, 1::2])
    expected = [
        [
            any(
                xmin < (left + right) / 2 < xmax and ymin < (top + bottom) / 2 < ymax
                for xmin, ymin, xmax, ymax in covering
            )
            for left, right in itertools.pairwise(xs)
        ]
        for top, bottom in itertools.pairwise(ys)
    ]
    assert expected == covered_cells(covering, xs, ys).tolist()


def test_without_boxes_no_cell_is_covered():
    edges = np.array([0.0, 1.0, 2.0])
    assert [[False, False], [False, False]] == covered_cells([], edges, edges).tolist()


@given(st.lists(boxes(), max_size=4), view_sizes, view_sizes)
def test_a_pixel_is_in_the_mask_where_its_centre_is_in_a_box(covering, width, height):
    expected = inside_any(covering, width, height, 1)
    assert expected.tolist() == pixel_mask(covering, width, height).tolist()


def test_touching_boxes_share_no_pixel_and_leave_none_out():
    # The common edge runs through the centres of the pixels 2: they belong to the right box.
    left = pixel_mask([(0.0, 0.0, 2.5, 4.0)], 5, 4)
    right = pixel_mask([(2.5, 0.0, 5.0, 4.0)], 5, 4)
    assert [[True, True, False, False, False]] * 4 == left.tolist()
    assert (~left).tolist() == right.tolist()


@given(boxes(), view_sizes)
def test_a_box_cut_in_two_has_the_pixels_of_both_halves_once(box, size):
    xmin, ymin, xmax, ymax = box
    middle = (xmin + xmax) / 2
    halves = [
        pixel_mask([half], size, size) for half in ((xmin, ymin, middle, ymax), (middle, ymin, xmax, ymax))
    ]
    assert not (halves[0] & halves[1]).any()
    assert pixel_mask([box], size, size).tolist() == (halves[0] | halves[1]).tolist()


@pytest.mark.parametrize(
    "box",
    [
        pytest.param((-9.0, -9.0, -1.0, -1.0), id="before"),
        pytest.param((6.0, 5.0, 9.0, 9.0), id="behind"),
        pytest.param((1.6, 1.6, 2.4, 2.4), id="between centres"),
        pytest.param((4.0, 0.0, 1.0, 4.0), id="inverted"),
    ],
)
def test_a_box_that_holds_no_centre_has_no_pixel(box):
    assert not pixel_mask([box], 5, 4).any()
