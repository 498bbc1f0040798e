"""Regions of a view: clipping, unions of boxes, and the named parts of a picture."""

import typing
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from transforms.geometry import Floats, Rectangle

# The picture cut at a quarter and three quarters of both sides, row by row; the nine parts are
# disjoint and cover it, so their energies sum to 1. The others overlap them: the frame is the outer
# eighth all round, a band the outer quarter along one whole side.
Region = Literal[
    "top_left",
    "top",
    "top_right",
    "left",
    "centre",
    "right",
    "bottom_left",
    "bottom",
    "bottom_right",
    "frame",
    "top_band",
    "bottom_band",
    "left_band",
    "right_band",
]
ALL_REGIONS: tuple[str, ...] = typing.get_args(Region)
GRID_REGIONS = ALL_REGIONS[:9]
REGIONS = ALL_REGIONS[:10]
GRID_EDGES = np.array([0.0, 0.25, 0.75, 1.0])
FRAME_DEPTH = 0.125

# Places in words, those around a box included, as in "looks at the top edge".
PLACE_WORDS = {
    "top_left": "the top left corner",
    "top": "the top edge",
    "top_right": "the top right corner",
    "left": "the left edge",
    "centre": "the centre",
    "right": "the right edge",
    "bottom_left": "the bottom left corner",
    "bottom": "the bottom edge",
    "bottom_right": "the bottom right corner",
    "frame": "the frame of the picture",
    "top_band": "the band along the top",
    "bottom_band": "the band along the bottom",
    "left_band": "the band along the left side",
    "right_band": "the band along the right side",
    "above_box": "what is above its box",
    "below_box": "what is below its box",
    "left_of_box": "what is left of its box",
    "right_of_box": "what is right of its box",
}

# The atlases, cells a side: one of the picture; one of the surroundings of a box, out to three times
# its width and height from its centre, in which the box is the middle 4 x 4 cells.
ATLAS_CELLS = 16
BOX_ATLAS_CELLS = 24
BOX_ATLAS_REACH = 3.0
# Where the distance profile is cut, in cells of the heatmap from the nearest box; its last bin is open.
DISTANCES = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)


def region_rectangles(region: str) -> list[Rectangle]:
    """The rectangles that a region is made of, disjoint, in shares of the picture.

    Args:
        region: one of `ALL_REGIONS`.
    """
    low, high = 0.25, 0.75
    if region == "frame":
        near, far = FRAME_DEPTH, 1 - FRAME_DEPTH
        return [(0, 0, 1, near), (0, far, 1, 1), (0, near, near, far), (far, near, 1, far)]
    bands: dict[str, Rectangle] = {
        "top_band": (0, 0, 1, low),
        "bottom_band": (0, high, 1, 1),
        "left_band": (0, 0, low, 1),
        "right_band": (high, 0, 1, 1),
    }
    if region in bands:
        return [bands[region]]
    row, column = divmod(GRID_REGIONS.index(region), 3)
    edges = GRID_EDGES.tolist()
    return [(edges[column], edges[row], edges[column + 1], edges[row + 1])]


def clip(box: Rectangle, bounds: Rectangle) -> Rectangle | None:
    """The part of `box` inside `bounds`, or None where nothing of positive area is left.

    An inverted box (xmax < xmin) has no area.
    """
    xmin, ymin = max(box[0], bounds[0]), max(box[1], bounds[1])
    xmax, ymax = min(box[2], bounds[2]), min(box[3], bounds[3])
    return (xmin, ymin, xmax, ymax) if xmin < xmax and ymin < ymax else None


def covered_cells(boxes: Sequence[Rectangle], xs: Floats, ys: Floats) -> NDArray[np.bool_]:
    """Which cells of the grid spanned by the sorted edges `xs` and `ys` lie inside any box.

    Every edge of every box must be among `xs` and `ys`, so that a cell is wholly in or wholly out;
    overlapping boxes thus count once.

    Returns:
        Shape (len(ys) - 1, len(xs) - 1).
    """
    covered = np.zeros((len(ys) - 1, len(xs) - 1), dtype=bool)
    for rows, columns in cells_of(np.reshape(boxes, (-1, 4)), xs, ys):
        covered[rows, columns] = True
    return covered


def cells_of(boxes: Floats, xs: Floats, ys: Floats) -> Iterator[tuple[slice, slice]]:
    """The rows and columns that each box takes of a grid as for `covered_cells`; boxes of shape (n, 4)."""
    columns, rows = np.searchsorted(xs, boxes[:, 0::2]), np.searchsorted(ys, boxes[:, 1::2])
    for (left, right), (top, bottom) in zip(columns.tolist(), rows.tolist(), strict=True):
        yield slice(top, bottom), slice(left, right)


def pixel_mask(boxes: Sequence[Rectangle], width: int, height: int) -> NDArray[np.bool_]:
    """The pixels whose centre lies in any box; half-open, so that touching boxes share no pixel.

    Returns:
        Shape (height, width).
    """
    mask = np.zeros((height, width), dtype=bool)
    for xmin, ymin, xmax, ymax in boxes:
        left, right = (max(0, int(np.ceil(x - 0.5))) for x in (xmin, xmax))
        top, bottom = (max(0, int(np.ceil(y - 0.5))) for y in (ymin, ymax))
        mask[top:bottom, left:right] = True
    return mask
