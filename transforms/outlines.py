"""Outlines of objects: polygons, as they travel with a box, and the pixels inside them.

An outline is bytes of little-endian float32: for each polygon the number of its points, then x and y of each.
Of several polygons the union counts; one that crosses itself is filled by the even-odd rule. A pixel is
inside when its centre is, so that a mask is a union of whole pixels, and of rectangles, for which everything
has a closed form.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from transforms.geometry import Floats, Rectangle

Mask = NDArray[np.bool_]


def pack(polygons: Iterable[ArrayLike]) -> bytes:
    """Polygons as bytes.

    Args:
        polygons: points of each, shape (n, 2).
    """
    parts = [np.asarray(polygon, "<f4").reshape(-1, 2) for polygon in polygons]
    return b"".join(np.concatenate([[len(part)], part.ravel()]).astype("<f4").tobytes() for part in parts)


def unpack(outline: bytes) -> list[Floats]:
    """The polygons of an outline, each float64 of shape (n, 2)."""
    numbers = np.frombuffer(outline, "<f4").astype(np.float64)
    polygons, at = [], 0
    while at < len(numbers):
        end = at + 1 + 2 * int(numbers[at])
        polygons.append(numbers[at + 1 : end].reshape(-1, 2))
        at = end
    return polygons


def moved(outline: bytes | None, move: Callable[[Any, Any], tuple[Any, Any]]) -> bytes | None:
    """The outline with its points elsewhere; `move` takes and gives arrays of x and of y."""
    if outline is None:
        return None
    return pack(np.column_stack(move(*polygon.T)) for polygon in unpack(outline))


def polygon_mask(polygons: Iterable[Floats], width: int, height: int) -> Mask:
    """The pixels whose centre lies in any of the polygons, bool of shape (height, width)."""
    mask = np.zeros((height, width), bool)
    for polygon in polygons:
        first, last = (int(np.clip(np.ceil(y - 0.5), 0, height)) for y in _extent(polygon[:, 1]))
        mask[first:last] |= _inside(polygon, first, last, width)
    return mask


def _inside(polygon: Floats, first: int, last: int, width: int) -> Mask:
    """The same for one polygon and the rows from `first` to before `last`."""
    rows = np.arange(first, last)[:, None] + 0.5
    (x0, y0), (x1, y1) = polygon.T, np.roll(polygon, -1, axis=0).T
    crossed = (y0 <= rows) != (y1 <= rows)
    with np.errstate(divide="ignore", invalid="ignore"):
        at = x0 + (rows - y0) / (y1 - y0) * (x1 - x0)
    row, edge = np.nonzero(crossed)
    column = np.clip(np.ceil(at[row, edge] - 0.5), 0, width).astype(int)
    # From each crossing on, inside and outside change places.
    changes = np.zeros((last - first, width + 1), int)
    np.add.at(changes, (row, column), 1)
    return np.asarray(changes.cumsum(axis=1)[:, :width] % 2 == 1)


def _extent(values: Floats) -> tuple[float, float]:
    return (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)


def mask_rectangles(mask: Mask) -> list[Rectangle]:
    """The disjoint rectangles that a mask of pixels is made of: runs of rows, and equal rows as one."""
    changes = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    found: list[Rectangle] = []
    above: list[tuple[int, int]] = []
    begun = 0
    for y, row in enumerate([*changes, None]):
        runs = (
            []
            if row is None
            else list(zip(np.flatnonzero(row == 1).tolist(), np.flatnonzero(row == -1).tolist(), strict=True))
        )
        if runs != above:
            found += [(float(left), float(begun), float(right), float(y)) for left, right in above]
            above, begun = runs, y
    return found


def rectangle_outline(rectangles: Iterable[Rectangle]) -> bytes:
    """Rectangles as an outline."""
    return pack([(x0, y0), (x1, y0), (x1, y1), (x0, y1)] for x0, y0, x1, y1 in rectangles)
