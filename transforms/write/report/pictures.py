"""Heatmaps and photos as data: URLs, and the colours that a page lays over them.

Heat is kept in grey; the page colours it by a filter, so that its reader can choose the colours.
"""

import base64
import io
from collections.abc import Sequence

import matplotlib
import numpy as np
import PIL.Image

from transforms.geometry import Floats, resize_matrix

# Cells a side up to which a heatmap is upsampled exactly; the browser does the rest.
_SIDE = 56

# Colours that a reader can choose from, and at how many equal steps they are given to the page.
COLORMAPS = ("viridis", "jet")
_STEPS = 33


def channel_tables(colormap: str) -> list[str]:
    """The red, green and blue of one of Matplotlib's colour maps, as `tableValues` of an SVG filter."""
    colours = matplotlib.colormaps[colormap](np.linspace(0, 1, _STEPS))
    return [" ".join(f"{value:.3g}" for value in channel) for channel in colours[:, :3].T]


def heat_url(heatmap: Sequence[float], height: int, width: int) -> str:
    """A heatmap as a grey PNG over its whole view, scaled by its own maximum.

    Args:
        heatmap: 0 and above, row by row; what is not finite counts as 0.
        height: its rows.
        width: its columns.
    """
    values = np.nan_to_num(np.reshape(heatmap, (height, width)), posinf=0.0, neginf=0.0)
    smooth = resize_matrix(max(height, _SIDE), height) @ values @ resize_matrix(max(width, _SIDE), width).T
    return grey_url(smooth, float(smooth.max()))


def grey_url(values: Floats, most: float) -> str:
    """Values of shape (H, W) as a grey PNG: 0 is black, `most` and above white."""
    shades = np.rint(np.clip(values / (most or 1.0), 0, 1) * 255).astype(np.uint8)
    file = io.BytesIO()
    PIL.Image.fromarray(shades).save(file, "PNG", optimize=True)
    return data_url(file.getvalue(), "png")


def data_url(data: bytes, kind: str) -> str:
    """An encoded image of a kind such as `jpeg`, for the page itself to hold."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def density(heat: Sequence[float] | None, area: Sequence[float] | None) -> Floats | None:
    """An atlas of heat over area: how many times as dense as evenly spread heat; None where there is none.

    Args:
        heat: mean share of the heat in each cell, row by row, of a square.
        area: mean share of each cell that lies outside the boxes; where it is 0 so is the density.
    """
    if heat is None or area is None:
        return None
    shares, outside = np.array(heat), np.array(area)
    found = np.divide(shares * len(shares), outside, out=np.zeros_like(shares), where=outside > 0)
    side = round(len(shares) ** 0.5)
    return np.asarray(found.reshape(side, side))
