"""Where the heat outside the boxes lies: by place in the picture, around the box, and by distance from it.

All of it is exact, from the same weights as `transforms.measure.localization`: rectangles have a closed form,
and everything here is a difference of unions of rectangles. "Outside" is what lies in none of the
target's boxes and on no allowed ground. Heat is in shares of all heat of the picture, area in shares as
said, so that heat over area is a density that can be added up over images of any size.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from transforms.geometry import Floats, Rectangle
from transforms.measure.localization import Layout
from transforms.regions import (
    ATLAS_CELLS,
    BOX_ATLAS_CELLS,
    BOX_ATLAS_REACH,
    DISTANCES,
    clip,
    covered_cells,
)


@dataclasses.dataclass(frozen=True)
class OutsideHeat:
    """The heat outside the boxes of one heatmap.

    Attributes:
        picture_heat: share of the heat in each cell of the picture and outside, shape (16, 16); sums to
            1 - energy_in_box.
        picture_area: share of each cell that is outside, shape (16, 16).
        box_heat, box_area: the same around the box, shape (24, 24), where there is exactly one target box;
            the middle 4 x 4 cells are that box, and a cell beyond the picture has neither heat nor area.
            None for several boxes, among which "below" means nothing.
        distance_heat: share of the heat by distance from the nearest target box, shape (8,): up to each of
            `DISTANCES`, and beyond. The distance is the larger of across and down, in cells of the heatmap.
        distance_area: share of the content at that distance and outside, shape (8,).
    """

    picture_heat: Floats
    picture_area: Floats
    box_heat: Floats | None
    box_area: Floats | None
    distance_heat: Floats
    distance_area: Floats


def outside_heat(heatmap: Floats, layout: Layout) -> OutsideHeat:
    """Finds the heat outside the boxes; to be asked only where `status_of` says `ok`.

    Args:
        heatmap: float64 of shape (h, w), as for `measure`.
        layout: the target's boxes.
    """
    total = layout.masses(heatmap)[2]
    left, top, right, bottom = layout.view.content
    steps = np.arange(ATLAS_CELLS + 1) / ATLAS_CELLS
    picture = left + steps * (right - left), top + steps * (bottom - top)
    around = _around(layout.target_boxes[0], layout) if len(layout.target_boxes) == 1 else None
    grids = [picture, around] if around else [picture]
    xs, ys = (np.unique(np.concatenate([layout.edges[i], *(grid[i] for grid in grids)])) for i in (0, 1))
    heat = layout.heat(heatmap, xs, ys) / total
    area = np.outer(np.diff(ys), np.diff(xs))
    _, outside = layout.parts(xs, ys)
    heat[~outside] = area[~outside] = 0.0

    def cells(values: Floats, grid: tuple[Floats, Floats]) -> Floats:
        return _blocks(values, np.searchsorted(xs, grid[0]), np.searchsorted(ys, grid[1]))

    box_heat = box_area = None
    if around:
        xmin, ymin, xmax, ymax = layout.target_boxes[0]
        whole_cell = (xmax - xmin) * (ymax - ymin) * (2 * BOX_ATLAS_REACH / BOX_ATLAS_CELLS) ** 2
        box_heat, box_area = cells(heat, around), np.minimum(1.0, cells(area, around) / whole_cell)
    picture_area = cells(area, picture) / ((right - left) * (bottom - top) / ATLAS_CELLS**2)
    distance_heat, distance_area = _by_distance(heatmap, layout, total)
    return OutsideHeat(
        picture_heat=cells(heat, picture),
        picture_area=np.minimum(1.0, picture_area),
        box_heat=box_heat,
        box_area=box_area,
        distance_heat=distance_heat,
        distance_area=distance_area,
    )


def company(
    heatmap: Floats, layout: Layout, others: Mapping[str, Sequence[Rectangle]]
) -> dict[str, tuple[float, float]]:
    """Heat and area in the boxes of each other annotated class, outside the target's and allowed ground.

    Args:
        heatmap: as for `outside_heat`.
        layout: with all of `others` among its `other_boxes`.
        others: annotated class -> its boxes in view pixels.

    Returns:
        Annotated class -> share of the heat, share of the content; classes out of sight are left out.
    """
    if not others:
        return {}
    xs, ys = layout.edges
    heat = layout.heat(heatmap, xs, ys) / layout.masses(heatmap)[2]
    area = np.outer(np.diff(ys), np.diff(xs))
    _, outside = layout.parts(xs, ys)
    found = {}
    for name, boxes in others.items():
        shown = [part for box in boxes if (part := clip(box, layout.view.content)) is not None]
        theirs = covered_cells(shown, xs, ys) & outside
        if theirs.any():
            found[name] = (float(heat[theirs].sum()), float(area[theirs].sum() / area.sum()))
    return found


def _around(box: Rectangle, layout: Layout) -> tuple[Floats, Floats]:
    """The edges of the cells around a box, cut off at the picture's."""
    xmin, ymin, xmax, ymax = box
    left, top, right, bottom = layout.view.content
    steps = (np.arange(BOX_ATLAS_CELLS + 1) / BOX_ATLAS_CELLS * 2 - 1) * BOX_ATLAS_REACH
    across = np.clip((xmin + xmax) / 2 + steps * (xmax - xmin), left, right)
    return across, np.clip((ymin + ymax) / 2 + steps * (ymax - ymin), top, bottom)


def _blocks(values: Floats, columns: NDArray[np.int64], rows: NDArray[np.int64]) -> Floats:
    """Sums of `values` between neighbouring rows and columns; shape (len(rows) - 1, len(columns) - 1)."""
    sums = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    sums[1:, 1:] = values.cumsum(axis=0).cumsum(axis=1)
    blocks = np.diff(np.diff(sums[np.ix_(rows, columns)], axis=0), axis=1)
    return np.asarray(np.maximum(0.0, blocks))


def _by_distance(heatmap: Floats, layout: Layout, total: float) -> tuple[Floats, Floats]:
    """Heat and area by distance from the boxes, without what lies in them or on allowed ground.

    What lies within a distance d of a union of boxes, across and down, is the union of the boxes with d
    added on every side.
    """
    view = layout.view
    step = np.array([-view.width, -view.height, view.width, view.height]) / np.tile(heatmap.shape[::-1], 2)
    boxes, content = np.array(layout.target_boxes), np.array(view.content)
    lowest, highest = np.tile(content[:2], 2), np.tile(content[2:], 2)
    wider = [np.clip(boxes + distance * step, lowest, highest) for distance in (0.0, *DISTANCES)]
    edges = np.concatenate([content[None], np.reshape(layout.allowed, (-1, 4)), *wider])
    xs, ys = np.unique(edges[:, 0::2]), np.unique(edges[:, 1::2])
    nearest = np.full((len(ys) - 1, len(xs) - 1), len(wider))
    for bin_, reached in reversed(list(enumerate(wider))):
        nearest[covered_cells([tuple(box) for box in reached.tolist()], xs, ys)] = bin_
    nearest[covered_cells(layout.allowed, xs, ys)] = 0
    heat, area = (
        np.bincount(nearest.ravel(), values.ravel(), len(wider) + 1)[1:]
        for values in (layout.heat(heatmap, xs, ys), np.outer(np.diff(ys), np.diff(xs)))
    )
    return heat / total, area / np.prod(content[2:] - content[:2])
