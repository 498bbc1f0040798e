"""Where the heat outside the boxes lies: by place in the picture, around the box, and by distance from it.

All of it is exact, from the same weights as `transforms.measure.localization`: rectangles have a closed form,
and everything here is a difference of unions of rectangles. "Outside" is what lies in none of the
target's boxes and on no allowed ground. Heat is in shares of all heat of the picture, area in shares as
said, so that heat over area is a density that can be added up over images of any size.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from transforms.geometry import Floats, Rectangle
from transforms.measure.localization import Grid, Layout
from transforms.regions import (
    ATLAS_CELLS,
    BOX_ATLAS_CELLS,
    BOX_ATLAS_REACH,
    DISTANCES,
    cells_of,
    clip,
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
    atlas, distances = _atlas(layout), _distances(layout, heatmap.shape)
    heat = atlas.grid.heat(heatmap) / total
    heat[~atlas.outside] = 0.0
    return OutsideHeat(
        picture_heat=_blocks(heat, *atlas.picture),
        picture_area=atlas.picture_area,
        box_heat=None if atlas.box is None else _blocks(heat, *atlas.box),
        box_area=atlas.box_area,
        distance_heat=distances.sums(distances.grid.heat(heatmap)) / total,
        distance_area=distances.sums(distances.grid.area) / distances.content,
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
    grid = layout.grid
    heat, area = grid.heat(heatmap) / layout.masses(heatmap)[2], grid.area
    _, outside = layout.parts(grid)
    found = {}
    for name, boxes in others.items():
        shown = [part for box in boxes if (part := clip(box, layout.view.content)) is not None]
        theirs = grid.covered(shown) & outside
        if theirs.any():
            found[name] = (float(heat[theirs].sum()), float(area[theirs].sum() / area.sum()))
    return found


_Cut = tuple[NDArray[np.intp], NDArray[np.intp]]


@dataclasses.dataclass(frozen=True)
class _Atlas:
    """What the atlases of a layout are whatever the heatmap.

    Attributes:
        grid: has every edge of the boxes and of both atlases.
        outside: its cells outside the target's boxes and allowed ground.
        picture, box: where the columns and rows of an atlas begin and end on the grid.
        picture_area, box_area: as in `OutsideHeat`.
    """

    grid: Grid
    outside: NDArray[np.bool_]
    picture: _Cut
    picture_area: Floats
    box: _Cut | None
    box_area: Floats | None


@functools.lru_cache(maxsize=16)
def _atlas(layout: Layout) -> _Atlas:
    left, top, right, bottom = layout.view.content
    steps = np.arange(ATLAS_CELLS + 1) / ATLAS_CELLS
    picture = left + steps * (right - left), top + steps * (bottom - top)
    around = _around(layout.target_boxes[0], layout) if len(layout.target_boxes) == 1 else None
    edges = [(layout.grid.xs, layout.grid.ys), picture, *([around] if around else [])]
    grid = Grid.spanned(layout.view, *(np.concatenate(of_axis) for of_axis in zip(*edges, strict=True)))
    _, outside = layout.parts(grid)
    area = np.where(outside, grid.area, 0.0)

    def cut(atlas: tuple[Floats, Floats]) -> _Cut:
        return np.searchsorted(grid.xs, atlas[0]), np.searchsorted(grid.ys, atlas[1])

    box = box_area = None
    if around:
        xmin, ymin, xmax, ymax = layout.target_boxes[0]
        whole_cell = (xmax - xmin) * (ymax - ymin) * (2 * BOX_ATLAS_REACH / BOX_ATLAS_CELLS) ** 2
        box = cut(around)
        box_area = np.minimum(1.0, _blocks(area, *box) / whole_cell)
    picture_area = _blocks(area, *cut(picture)) / ((right - left) * (bottom - top) / ATLAS_CELLS**2)
    return _Atlas(grid, outside, cut(picture), np.minimum(1.0, picture_area), box, box_area)


def _around(box: Rectangle, layout: Layout) -> tuple[Floats, Floats]:
    """The edges of the cells around a box, cut off at the picture's."""
    xmin, ymin, xmax, ymax = box
    left, top, right, bottom = layout.view.content
    steps = (np.arange(BOX_ATLAS_CELLS + 1) / BOX_ATLAS_CELLS * 2 - 1) * BOX_ATLAS_REACH
    across = np.clip((xmin + xmax) / 2 + steps * (xmax - xmin), left, right)
    return across, np.clip((ymin + ymax) / 2 + steps * (ymax - ymin), top, bottom)


def _blocks(values: Floats, columns: NDArray[np.intp], rows: NDArray[np.intp]) -> Floats:
    """Sums of `values` between neighbouring rows and columns; shape (len(rows) - 1, len(columns) - 1)."""
    sums = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    sums[1:, 1:] = values.cumsum(axis=0).cumsum(axis=1)
    blocks = np.diff(np.diff(sums[np.ix_(rows, columns)], axis=0), axis=1)
    return np.asarray(np.maximum(0.0, blocks))


@dataclasses.dataclass(frozen=True)
class _Distances:
    """Which cells of a grid lie how far from the boxes.

    Attributes:
        grid: has every edge of the boxes, of what lies within each distance of them, and of allowed ground.
        nearest: the bin of each cell: 0 inside and on allowed ground, then those of the distance profile.
        content: area of the content.
    """

    grid: Grid
    nearest: NDArray[np.intp]
    content: float

    def sums(self, values: Floats) -> Floats:
        """The sums of values of the cells in each bin of the distance profile."""
        sums = np.bincount(self.nearest.ravel(), values.ravel(), len(DISTANCES) + 2)
        return np.asarray(sums[1:], np.float64)


@functools.lru_cache(maxsize=16)
def _distances(layout: Layout, cells: tuple[int, ...]) -> _Distances:
    """How far from the boxes every place is, in cells of a heatmap of that shape.

    What lies within a distance d of a union of boxes, across and down, is the union of the boxes with d
    added on every side.
    """
    view = layout.view
    step = np.array([-view.width, -view.height, view.width, view.height]) / np.tile(cells[::-1], 2)
    boxes, content = np.array(layout.target_boxes), np.array(view.content)
    lowest, highest = np.tile(content[:2], 2), np.tile(content[2:], 2)
    wider = [np.clip(boxes + distance * step, lowest, highest) for distance in (0.0, *DISTANCES)]
    edges = np.concatenate([content[None], np.reshape(layout.allowed, (-1, 4)), *wider])
    grid = Grid.spanned(view, edges[:, 0::2], edges[:, 1::2])
    nearest = np.full(grid.area.shape, len(wider), np.intp)
    # The farthest first: of what several reach, the nearest stays.
    bins = np.repeat(np.arange(len(wider))[::-1], len(boxes)).tolist()
    for bin_, reached in zip(bins, cells_of(np.concatenate(wider[::-1]), grid.xs, grid.ys), strict=True):
        nearest[reached] = bin_
    nearest[grid.covered(layout.allowed)] = 0
    return _Distances(grid, nearest, float(np.prod(content[2:] - content[:2])))
