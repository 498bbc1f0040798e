"""Outlines: packed and unpacked, filled as brute force fills them, cut into rectangles of the same pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from transforms.errors import RecordError
from transforms.outlines import mask_rectangles, pack, polygon_mask, rectangle_outline, unpack
from transforms.read.masks import coco_outline, polygons_outline, runs_outline
from transforms.regions import pixel_mask

# Quarters, so that edges through pixel centres come up and float32 holds them.
POINTS = st.tuples(st.integers(-8, 48), st.integers(-8, 40)).map(lambda p: (p[0] / 4, p[1] / 4))
POLYGONS = st.lists(st.lists(POINTS, min_size=3, max_size=7), max_size=3)
MASKS = (
    st.integers(1, 6)
    .flatmap(
        lambda width: st.lists(
            st.lists(st.booleans(), min_size=width, max_size=width), min_size=1, max_size=6
        )
    )
    .map(np.array)
)


def inside(polygon: list[tuple[float, float]], x: float, y: float) -> bool:
    """The even-odd rule, one ray to the left."""
    crossings = 0
    for (x0, y0), (x1, y1) in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        if (y0 <= y) != (y1 <= y):
            crossings += x0 + (y - y0) / (y1 - y0) * (x1 - x0) <= x
    return crossings % 2 == 1


@given(POLYGONS)
def test_a_pixel_is_inside_when_its_centre_is_in_any_polygon(
    polygons: list[list[tuple[float, float]]],
) -> None:
    expected = [
        [any(inside(polygon, x + 0.5, y + 0.5) for polygon in polygons) for x in range(9)] for y in range(7)
    ]

    np.testing.assert_array_equal(expected, polygon_mask(unpack(pack(polygons)), 9, 7))


def test_a_triangle_by_hand() -> None:
    expected = [[1, 1, 1], [1, 1, 0], [1, 0, 0]]

    np.testing.assert_array_equal(expected, polygon_mask([np.array([(0, 0), (3.5, 0), (0, 3.5)])], 3, 3))


@given(MASKS)
def test_rectangles_of_a_mask_cover_it_once(mask: NDArray[np.bool_]) -> None:
    found = mask_rectangles(mask)
    height, width = mask.shape

    np.testing.assert_array_equal(mask, pixel_mask(found, width, height))
    assert mask.sum() == sum((right - left) * (bottom - top) for left, top, right, bottom in found)
    np.testing.assert_array_equal(mask, polygon_mask(unpack(rectangle_outline(found)), width, height))


@given(MASKS)
def test_run_lengths_compressed_or_not_give_the_mask_back(mask: NDArray[np.bool_]) -> None:
    height, width = mask.shape
    for by_row in (False, True):
        runs = runs_of(mask if by_row else mask.T)
        outline = runs_outline(runs, height, width, by_row)

        np.testing.assert_array_equal(mask, polygon_mask(unpack(outline), width, height))
    size = [height, width]
    plain = coco_outline({"size": size, "counts": runs_of(mask.T)})
    assert plain == coco_outline({"size": size, "counts": compressed(runs_of(mask.T))})


def runs_of(mask: NDArray[np.bool_]) -> list[int]:
    runs, value = [0], False
    for pixel in mask.ravel().tolist():
        if pixel != value:
            runs.append(0)
            value = pixel
        runs[-1] += 1
    return runs


def compressed(runs: list[int]) -> str:
    """By `rleToString` of cocoapi, common/maskApi.c."""
    text = ""
    for index, run in enumerate(runs):
        value, more = run - (runs[index - 2] if index > 2 else 0), True
        while more:
            bits = value & 0x1F
            value >>= 5
            more = value != (-1 if bits & 0x10 else 0)
            text += chr((bits | (0x20 if more else 0)) + 48)
    return text


def test_compressed_run_lengths_of_the_reference_tool() -> None:
    """By pycocotools.mask.encode: a square of 4 x 4 at (2, 3) in a picture of 9 x 9."""
    outline = coco_outline({"size": [9, 9], "counts": "e04500000h0"})

    assert outline is not None
    assert [(2.0, 3.0, 6.0, 7.0)] == mask_rectangles(polygon_mask(unpack(outline), 9, 9))


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([[1, 2, 3, 4]], "a polygon has fewer than three points, or one that is not finite"),
        ([[1, 2, 3, 4, 5, float("nan")]], "a polygon has fewer than three points, or one that is not finite"),
        ([[1, 2, 3, 4, 5, 1e300]], "a polygon has fewer than three points, or one that is not finite"),
        ([[1, 2, 3]], "a polygon is not pairs of numbers"),
        (["x"], "a polygon is not pairs of numbers"),
        (7, "a segmentation is neither polygons nor run lengths"),
        ({"size": [2, 2]}, "a segmentation is neither polygons nor run lengths"),
        ({"size": [2, 2], "counts": "\x00"}, "a segmentation is neither polygons nor run lengths"),
        ({"size": [2, 2], "counts": [3]}, "run lengths do not fill a mask of 2 x 2 pixels"),
        ({"size": [2, 2], "counts": [6, -2]}, "run lengths do not fill a mask of 2 x 2 pixels"),
        (
            {"size": [99999, 99999], "counts": [99999**2]},
            "run lengths do not fill a mask of 99999 x 99999 pixels",
        ),
    ],
)
def test_a_bad_segmentation_is_a_malformed_record(segmentation: object, message: str) -> None:
    with pytest.raises(RecordError) as caught:
        coco_outline(segmentation)

    assert ("malformed_record", message) == (caught.value.reason, caught.value.message)


def test_no_segmentation_is_no_outline() -> None:
    assert None is coco_outline([]) is coco_outline(None)
    assert b"" == polygons_outline([])
