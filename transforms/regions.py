"""Regions of a view: clipping, unions of boxes, and the named parts of a picture."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from transforms.geometry import Floats, Rectangle

# The picture cut at a quarter and three quarters of both sides, row by row; the nine parts are
# disjoint and cover it, so their energies sum to 1. The frame overlaps them: the outer eighth all round.
GRID_REGIONS = (
    "top_left",
    "top",
    "top_right",
    "left",
    "centre",
    "right",
    "bottom_left",
    "bottom",
    "bottom_right",
)
REGIONS = (*GRID_REGIONS, "frame")
GRID_EDGES = np.array([0.0, 0.25, 0.75, 1.0])
FRAME_DEPTH = 0.125


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
    for xmin, ymin, xmax, ymax in boxes:
        columns = slice(np.searchsorted(xs, xmin), np.searchsorted(xs, xmax))
        covered[np.searchsorted(ys, ymin) : np.searchsorted(ys, ymax), columns] = True
    return covered


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
