"""How much of a heatmap lies inside the boxes, exactly and without upsampling it.

Bilinear upsampling is linear: with the resize matrices Ry (H x h) and Rx (W x w) the upsampled map is
Ry m Rx^T, so the mass it has in a region with mask M is <m, Ry^T M Rx>. For a rectangle the mask is
separable and that is a difference of prefix sums on either side. Everything is computed on the raw,
ReLU'd map: normalising it first would change every share.

All coordinates are view pixels with half-open edges, clipped to the content of the view, so that the
padding of a letterboxed image is in no denominator. Allowed ground, context that the team accepts, is
treated like padding: outside the target's boxes it is no part of the picture.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from transforms.geometry import Floats, Rectangle, View, interval_weights, resize_matrix
from transforms.regions import FRAME_DEPTH, GRID_EDGES, clip, covered_cells, pixel_mask

# A box that fills this share of the picture leaves no outside to look at.
FULL_BOX_AREA = 0.95
# Upsampled values this close to each other, relative to the maximum, are ties.
_TIE = 1e-9
# Of the pixels every so many-th is sampled; prime, so that the sample does not keep to some columns.
_SAMPLED = 37


@dataclasses.dataclass(frozen=True)
class Measures:
    """What one heatmap says about one target.

    Attributes:
        energy_in_box: share in [0, 1] of the heat inside the union of the target's boxes (energy-based
            pointing game; Wang et al., "Score-CAM", CVPRW 2020).
        density_share: see `density_share`.
        peak_in_box: whether the maximum of the upsampled map lies inside (pointing game; Zhang et al.,
            IJCV 2018); tied maxima count by their share, true at half or more.
        rank_accuracy: share in [0, 1] of the K hottest pixels that lie inside, K being the number of
            pixels inside (relevance rank accuracy; Arras et al., Information Fusion 2022); ties at the
            threshold count by expectation. None where no pixel's centre is inside.
        energy_in_other_boxes: share of the heat in boxes of other annotated classes and in none of the
            target's.
        energy_by_region: shares of the heat in `transforms.regions.REGIONS`, in that order; of the whole
            content, allowed ground included, so that what was allowed can be seen.
    """

    energy_in_box: float
    density_share: float
    peak_in_box: bool
    rank_accuracy: float | None
    energy_in_other_boxes: float
    energy_by_region: list[float]


class Grid:
    """The cells between sorted edges, in which whatever has one of them as its edge is made of whole cells.

    Attributes:
        xs, ys: the edges in view pixels.
        area: of each cell; shape (len(ys) - 1, len(xs) - 1), as of all masks and heat.
    """

    def __init__(self, view: View, xs: Floats, ys: Floats) -> None:
        self._view, self.xs, self.ys = view, xs, ys
        self.area = np.outer(np.diff(ys), np.diff(xs))
        self._weights: dict[tuple[int, ...], tuple[Floats, Floats]] = {}

    @classmethod
    def spanned(cls, view: View, xs: Floats, ys: Floats) -> "Grid":
        """The grid of edges in any order, of which several may be the same; of any shape."""
        # For so few `np.unique` takes several times as long.
        distinct = (np.array(sorted(set(edges.ravel().tolist()))) for edges in (xs, ys))
        return cls(view, *distinct)

    def heat(self, heatmap: Floats) -> Floats:
        """Heat in each cell."""
        down, across = self.weights(heatmap.shape)
        return np.asarray(down @ heatmap @ across)

    def weights(self, shape: tuple[int, ...]) -> tuple[Floats, Floats]:
        """What gives the heat in each cell from both sides of a heatmap of a shape (h, w).

        Returns:
            Weights of shapes (len(ys) - 1, h) and (w, len(xs) - 1).
        """
        if shape not in self._weights:
            down = interval_weights(self.ys, self._view.height, shape[0])
            self._weights[shape] = down, interval_weights(self.xs, self._view.width, shape[1]).T
        return self._weights[shape]

    def covered(self, boxes: Sequence[Rectangle]) -> NDArray[np.bool_]:
        """Which cells lie in any of the boxes."""
        return covered_cells(boxes, self.xs, self.ys)


@dataclasses.dataclass(frozen=True)
class Layout:
    """The boxes of one target in one view, clipped; shared by the heatmaps of all methods.

    Attributes:
        view: where the image stands.
        target_boxes, other_boxes: clipped to the content; boxes without area are gone.
        allowed: allowed ground, clipped likewise; where it lies in a target box it is that box.
    """

    view: View
    target_boxes: tuple[Rectangle, ...]
    other_boxes: tuple[Rectangle, ...]
    allowed: tuple[Rectangle, ...]

    @functools.cached_property
    def box_area(self) -> float:
        """Share in [0, 1] of the picture (content without allowed ground) that the target's boxes cover."""
        grid, (inside, outside, _) = self.grid, self._cells
        covered = float(grid.area[inside].sum())
        return covered / (covered + float(grid.area[outside].sum())) if covered else 0.0

    def masses(self, heatmap: Floats) -> tuple[float, float, float]:
        """Heat in the target's boxes, in other boxes only, and in the whole picture."""
        heat, (inside, outside, others) = self.grid.heat(heatmap), self._cells
        in_box = float(heat[inside].sum())
        return in_box, float(heat[others].sum()), in_box + float(heat[outside].sum())

    def parts(self, grid: Grid) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which cells lie inside the target's boxes, and which outside them and on no allowed ground.

        The grid must lie in the content and have every edge of `target_boxes` and `allowed`.
        """
        inside = grid.covered(self.target_boxes)
        return inside, ~(inside | grid.covered(self.allowed))

    @functools.cached_property
    def grid(self) -> Grid:
        """Between every x and every y at which a box or the content begins or ends."""
        rectangles = np.array([self.view.content, *self.target_boxes, *self.other_boxes, *self.allowed])
        return Grid.spanned(self.view, rectangles[:, 0::2], rectangles[:, 1::2])

    @functools.cached_property
    def _cells(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
        """Cells inside, outside, and outside in other boxes."""
        inside, outside = self.parts(self.grid)
        return inside, outside, outside & self.grid.covered(self.other_boxes)

    @functools.cached_property
    def pixels(self) -> tuple[NDArray[np.intp] | None, NDArray[np.intp]]:
        """Which pixels of the content, row by row, are the picture (None: all); which of those are inside."""
        left, top, right, bottom = (int(edge) for edge in self.view.content)

        def mask(boxes: Sequence[Rectangle]) -> NDArray[np.bool_]:
            whole = pixel_mask(boxes, self.view.width, self.view.height)
            return whole[top:bottom, left:right].ravel()

        inside = mask(self.target_boxes)
        if not self.allowed:
            return None, np.flatnonzero(inside)
        picture = inside | ~mask(self.allowed)
        return np.flatnonzero(picture), np.flatnonzero(inside[picture])


def lay_out(
    view: View,
    target_boxes: Sequence[Rectangle],
    other_boxes: Sequence[Rectangle] = (),
    allowed: Sequence[Rectangle] = (),
) -> Layout:
    """Clips boxes and allowed ground to what the view shows of the image."""
    return _shared_layout(
        view,
        *(
            tuple(part for box in boxes if (part := clip(box, view.content)) is not None)
            for boxes in (target_boxes, other_boxes, allowed)
        ),
    )


# The heatmaps of an image follow each other, and half of what measuring one costs is the layout.
_shared_layout = functools.lru_cache(maxsize=16)(Layout)


def density_share(energy_in_box: float, box_area: float) -> float:
    """The heat's density inside the box, against inside plus outside: m(1-a) / (m(1-a) + a(1-m)).

    Args:
        energy_in_box: share m in [0, 1] of the heat inside the box.
        box_area: share a of the picture that the box covers, 0 < a < 1.

    Returns:
        A number in [0, 1]; 0.5 is chance for every box size. It is 1 / (1 + mu) with mu the
        outside-inside relevance ratio of Lapuschkin et al., CVPR 2016.
    """
    inside = energy_in_box * (1 - box_area)
    outside = box_area * (1 - energy_in_box)
    return inside / (inside + outside)


def status_of(heatmap: Floats, layout: Layout) -> str:
    """Whether this heatmap can be measured: `ok`, or why not.

    The boxes are asked first: `no_box` (none, or none with area inside the view), `full_box` (they
    cover 95 % of the picture or more), then the map: `not_finite`, `zero_map` (no heat in the picture).
    """
    if not layout.box_area:
        return "no_box"
    if layout.box_area >= FULL_BOX_AREA:
        return "full_box"
    if not np.isfinite(heatmap).all():
        return "not_finite"
    return "ok" if layout.masses(heatmap)[2] > 0 else "zero_map"


def measure(heatmap: Floats, layout: Layout) -> Measures:
    """Measures one heatmap; to be asked only where `status_of` says `ok`.

    Args:
        heatmap: float64 of shape (h, w), finite, not negative, with some heat in the content.
        layout: the target's boxes.

    Returns:
        The measures.
    """
    inside, in_others, total = layout.masses(heatmap)
    energy = _share(inside, total)
    peak, rank = _pixel_measures(heatmap, layout)
    return Measures(
        energy_in_box=energy,
        density_share=density_share(energy, layout.box_area),
        peak_in_box=peak,
        rank_accuracy=rank,
        energy_in_other_boxes=_share(in_others, total),
        energy_by_region=_energy_by_region(heatmap, layout.view),
    )


def _share(part: float, whole: float) -> float:
    """A share in [0, 1]; prefix sums may overstep either end by a rounding error."""
    return min(1.0, max(0.0, part / whole))


def _energy_by_region(heatmap: Floats, view: View) -> list[float]:
    grid, inner = (cells.heat(heatmap) for cells in _region_grids(view))
    total = grid.sum()
    return [*(grid / total).ravel().tolist(), max(0.0, 1 - float(inner[0, 0] / total))]


@functools.lru_cache(maxsize=64)
def _region_grids(view: View) -> tuple[Grid, Grid]:
    """The nine parts of the picture, and all but its frame."""
    left, top, right, bottom = view.content

    def grid(steps: Floats) -> Grid:
        return Grid(view, left + steps * (right - left), top + steps * (bottom - top))

    return grid(GRID_EDGES), grid(np.array([FRAME_DEPTH, 1 - FRAME_DEPTH]))


def _pixel_measures(heatmap: Floats, layout: Layout) -> tuple[bool, float | None]:
    """Pointing game and rank accuracy, on the pixels of the upsampled map."""
    view, (picture, inside) = layout.view, layout.pixels
    left, top, right, bottom = (int(edge) for edge in view.content)
    down = resize_matrix(view.height, heatmap.shape[0])[top:bottom]
    across = resize_matrix(view.width, heatmap.shape[1])[left:right]
    upsampled = (down @ heatmap @ across.T).ravel()
    if picture is not None:
        if not picture.size:
            return False, None  # what they leave is narrower than a pixel
        upsampled = upsampled[picture]
    highest = upsampled.max()
    tie = _TIE * highest
    in_box = upsampled[inside]
    peaks, peaks_inside = (np.count_nonzero(values >= highest - tie) for values in (upsampled, in_box))
    return bool(2 * peaks_inside >= peaks), _rank_accuracy(upsampled, in_box, tie)


def kth_largest(values: Floats, k: int) -> float:
    """The k-th largest of n values, 1 <= k <= n.

    As in Floyd and Rivest's SELECT (Communications of the ACM, 1975) a sample says between which two values
    it lies, so that only what lies there is partitioned; where the sample misleads, everything is.

    Args:
        values: shape (n,).
        k: counted from 1.
    """
    sample = np.sort(values[::_SAMPLED])
    at = sample.size * (1 - k / values.size)
    margin = math.sqrt(sample.size)
    low, high = sample[max(0, int(at - margin))], sample[min(sample.size - 1, int(at + margin))]
    for edge in (low, high):  # most of many maps is 0, and equal values take a partition longest
        if np.count_nonzero(values > edge) < k <= np.count_nonzero(values >= edge):
            return float(edge)
    above, between = np.count_nonzero(values >= high), values[(values > low) & (values < high)]
    if above < k <= above + between.size:
        values, k = between, k - int(above)
    return float(np.partition(values, values.size - k)[values.size - k])


def _rank_accuracy(upsampled: Floats, in_box: Floats, tie: float) -> float | None:
    """Share of the K hottest pixels that lie inside; the places left at the threshold by expectation.

    Args:
        upsampled: the pixels of the picture, shape (n,).
        in_box: those that lie inside, shape (K,).
        tie: values this close are equal.
    """
    if not in_box.size:
        return None
    threshold = kth_largest(upsampled, in_box.size)
    above, above_inside = (np.count_nonzero(values > threshold + tie) for values in (upsampled, in_box))
    tied, tied_inside = (np.count_nonzero(values >= threshold - tie) for values in (upsampled, in_box))
    expected = (in_box.size - above) * (tied_inside - above_inside) / (tied - above)
    return float((above_inside + expected) / in_box.size)
