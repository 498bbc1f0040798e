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

# From none to the end of the picture, in a column.
_REACHES = np.array([[0.0], *([distance] for distance in DISTANCES), [np.inf]])
# So many boxes share a grid for all distances; with more a grid for each takes less time.
_FEW = 16


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
    around = _surroundings(layout, heatmap.shape)
    shares = heatmap / layout.masses(heatmap)[2]
    heat = around.grid.heat(shares) * around.outside
    return OutsideHeat(
        picture_heat=around.picture.sums(heat),
        picture_area=around.picture_area,
        box_heat=None if around.box is None else around.box.sums(heat),
        box_area=around.box_area,
        distance_heat=around.rings @ shares.ravel(),
        distance_area=around.ring_areas,
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


class _Atlas:
    """Cells that are made of whole cells of a grid.

    Args:
        grid: has every edge of the atlas.
        xs, ys: edges of its columns and rows, ascending; some may be the same.
    """

    def __init__(self, grid: Grid, xs: Floats, ys: Floats) -> None:
        self._across, self._down = _within(grid.xs, xs).T, _within(grid.ys, ys)

    def sums(self, values: Floats) -> Floats:
        """Sums of values of the grid's cells in each cell of the atlas."""
        return np.asarray(self._down @ values @ self._across)


def _within(edges: Floats, wider: Floats) -> Floats:
    """Which intervals between `edges` lie in each of those between `wider` edges: 1 or 0, a row for each."""
    starts = edges[:-1]
    return ((wider[:-1, None] <= starts) & (starts < wider[1:, None])).astype(np.float64)


class _Surroundings:
    """What a layout says of the outside whatever the heatmap.

    Args:
        layout: the boxes.
        cells: shape (h, w) of the heatmap; its cells are the unit of distance.

    Attributes:
        grid: has every edge of the boxes, of allowed ground and of both atlases.
        outside: its cells outside the target's boxes and allowed ground.
        picture, box: the atlases, None for that of several boxes.
        rings: how much each cell of the heatmap gives to each bin of the distance profile, shape (8, h * w).
        picture_area, box_area, ring_areas: areas as in `OutsideHeat`.
    """

    def __init__(self, layout: Layout, cells: tuple[int, ...]) -> None:
        left, top, right, bottom = layout.view.content
        steps = np.arange(ATLAS_CELLS + 1) / ATLAS_CELLS
        picture = left + steps * (right - left), top + steps * (bottom - top)
        around = _around(layout.target_boxes[0], layout) if len(layout.target_boxes) == 1 else None
        edges = [(layout.grid.xs, layout.grid.ys), picture, *([around] if around else [])]
        across, down = (np.concatenate(of_axis) for of_axis in zip(*edges, strict=True))
        self.grid = Grid.spanned(layout.view, across, down)
        self.outside = layout.parts(self.grid)[1]
        area = self.grid.area * self.outside
        self.picture = _Atlas(self.grid, *picture)
        cell = (right - left) * (bottom - top) / ATLAS_CELLS**2
        self.picture_area = np.minimum(1.0, self.picture.sums(area) / cell)
        self.box = self.box_area = None
        if around:
            self.box = _Atlas(self.grid, *around)
            xmin, ymin, xmax, ymax = layout.target_boxes[0]
            cell = (xmax - xmin) * (ymax - ymin) * (2 * BOX_ATLAS_REACH / BOX_ATLAS_CELLS) ** 2
            self.box_area = np.minimum(1.0, self.box.sums(area) / cell)
        self.rings, areas = _rings(layout, cells)
        self.ring_areas = areas / ((right - left) * (bottom - top))


# The heatmaps of an image follow each other.
_surroundings = functools.lru_cache(maxsize=16)(_Surroundings)


def _around(box: Rectangle, layout: Layout) -> tuple[Floats, Floats]:
    """The edges of the cells around a box, cut off at the picture's."""
    xmin, ymin, xmax, ymax = box
    left, top, right, bottom = layout.view.content
    steps = (np.arange(BOX_ATLAS_CELLS + 1) / BOX_ATLAS_CELLS * 2 - 1) * BOX_ATLAS_REACH
    across = np.clip((xmin + xmax) / 2 + steps * (xmax - xmin), left, right)
    return across, np.clip((ymin + ymax) / 2 + steps * (ymax - ymin), top, bottom)


def _rings(layout: Layout, cells: tuple[int, ...]) -> tuple[Floats, Floats]:
    """The bins of the distance profile: weights of the heatmap's cells in each, and areas.

    A bin is a ring: what lies within one distance of the boxes and not within the one before.

    Args:
        layout: the boxes.
        cells: shape (h, w) of the heatmap.

    Returns:
        Shapes (8, h * w) and (8,).
    """
    reached = _within_reach(layout, cells)
    count = len(reached) - 1
    # One grid serves all rings of few boxes; that of many would have the square of all their edges.
    at_once = count if len(layout.target_boxes) <= _FEW else 1
    found = [_rings_between(layout, cells, reached[k : k + at_once + 1]) for k in range(0, count, at_once)]
    weights, areas = zip(*found, strict=True)
    return np.concatenate(weights), np.concatenate(areas)


def _rings_between(layout: Layout, cells: tuple[int, ...], reached: Floats) -> tuple[Floats, Floats]:
    """As `_rings`, of those between consecutive ones of `_within_reach`, shape (rings + 1, boxes, 4)."""
    # The farthest first; the nearest last, and then what is no part of the picture.
    boxes = np.concatenate([reached[::-1].reshape(-1, 4), np.reshape(layout.allowed, (-1, 4))])
    grid = Grid.spanned(layout.view, boxes[:, 0::2], boxes[:, 1::2])
    rings = np.full(grid.area.shape, -1, np.int8)
    last = len(reached) - 2
    for place, covered in enumerate(cells_of(boxes, grid.xs, grid.ys)):
        rings[covered] = max(-1, last - place // reached.shape[1])
    masks = (rings == np.arange(last + 1)[:, None, None]).astype(np.float64)
    down, across = grid.weights(cells)
    weights = down.T @ masks @ across.T
    return weights.reshape(last + 1, -1), masks.reshape(last + 1, -1) @ grid.area.ravel()


def _within_reach(layout: Layout, cells: tuple[int, ...]) -> Floats:
    """The boxes, what lies within each distance of each, and the content; shape (distances + 2, boxes, 4).

    What lies within a distance d of a union of boxes, across and down, is the union of the boxes with d
    added on every side.
    """
    left, top, right, bottom = layout.view.content
    across, down = layout.view.width / cells[1], layout.view.height / cells[0]
    steps = _REACHES * np.array([-across, -down, across, down])
    wider = np.array(layout.target_boxes) + steps[:, None]
    return np.asarray(wider.clip((left, top, left, top), (right, bottom, right, bottom)))
