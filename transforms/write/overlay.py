"""Heatmaps laid over photos, side by side in one picture."""

import dataclasses
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from transforms.errors import UsageError, did_you_mean
from transforms.geometry import Rectangle

# Inches of one picture, and pixels to an inch.
_CELL, _RESOLUTION = 2.0, 120
_MOST_COLUMNS = 6


@dataclasses.dataclass(frozen=True)
class OverlayRow:
    """One photo and its heatmaps for one class and layer.

    Attributes:
        photo: uint8 of shape (H, W, 3).
        title: what the row shows.
        heatmaps: method -> map of shape (h, w), 0 and above.
        extent: xmin, ymin, xmax, ymax of the map in photo pixels; it may reach beyond the photo.
    """

    photo: NDArray[np.uint8]
    title: str
    heatmaps: Mapping[str, NDArray[np.float32]]
    extent: Rectangle


def draw_overlays(
    rows: Sequence[OverlayRow], path: str, *, alpha: float = 0.5, colormap: str = "viridis"
) -> None:
    """Writes a picture: for each photo, class and layer the photo itself and then each method over it.

    Every map is scaled by its own maximum, so colours compare places of one map and not maps.

    Args:
        rows: at least one, all with the same methods.
        path: the file; its suffix says the format, such as .png or .jpg.
        alpha: opacity of the heatmap, 0 to 1.
        colormap: name of one of Matplotlib's.

    Raises:
        UsageError: there is no such colormap.
    """
    if colormap not in matplotlib.colormaps:
        hint = did_you_mean(colormap, list(matplotlib.colormaps))
        raise UsageError(
            f"--colormap {colormap!r} is none of Matplotlib's{hint}; such as viridis, magma, jet"
        )
    cells = 1 + len(rows[0].heatmaps)
    columns = min(cells, _MOST_COLUMNS)
    lines = -(-cells // columns)  # of one row, whose pictures may need several
    height, width = rows[0].photo.shape[:2]
    size = (_CELL * columns, (_CELL * min(height / width, 1.5) + 0.5) * lines * len(rows))
    figure = Figure(figsize=size, dpi=_RESOLUTION, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(lines * len(rows), columns, squeeze=False)
    for cell in grid.flat:
        cell.set_axis_off()
    for row, pictures in zip(rows, grid.reshape(len(rows), -1), strict=True):
        for cell, method in zip(pictures, [None, *row.heatmaps], strict=False):
            _draw(cell, row, method, alpha, colormap)
    figure.savefig(path)


def _draw(cell: Axes, row: OverlayRow, method: str | None, alpha: float, colormap: str) -> None:
    """Draws the photo, and a method's heatmap over it."""
    height, width = row.photo.shape[:2]
    cell.imshow(row.photo, extent=(0, width, height, 0))
    if method is not None:
        left, top, right, bottom = row.extent
        heat = row.heatmaps[method]
        cell.imshow(
            heat,
            extent=(left, right, bottom, top),
            alpha=alpha,
            cmap=colormap,
            interpolation="bilinear",
            vmin=0,
            vmax=float(heat.max()) or 1.0,
        )
    cell.set(xlim=(0, width), ylim=(height, 0))
    cell.set_title(row.title if method is None else method, fontsize=8)
