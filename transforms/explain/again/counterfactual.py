"""Counterfactual images: an object on another background, and a picture without its object.

All in the model's view. An object is what its boxes hold; it stays where it stands. What is taken away is
filled from its surroundings, so that nothing of it is left, not even its colour.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from transforms.outlines import polygon_mask, unpack
from transforms.records import Box

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
_Values = NDArray[np.float32]


def box_mask(boxes: Sequence[Box], width: int, height: int) -> Mask:
    """The union of boxes and outlines in view pixels, shape (height, width); edges are rounded outward."""
    mask = np.zeros((height, width), bool)
    for box in boxes:
        if box.outline is not None:
            mask |= polygon_mask(unpack(box.outline), width, height)
            continue
        left, top = max(0, int(np.floor(box.xmin))), max(0, int(np.floor(box.ymin)))
        mask[top : max(0, int(np.ceil(box.ymax))), left : max(0, int(np.ceil(box.xmax)))] = True
    return mask


def without(pixels: Pixels, mask: Mask) -> Pixels:
    """A picture with a part of it filled from the rest, smoothly.

    Pull-push (Gortler et al., "The Lumigraph", SIGGRAPH 1996): averages of what is known, at coarser and
    coarser scales, fill what is not.

    Args:
        pixels: uint8 of shape (H, W, 3).
        mask: what is filled, shape (H, W). Where it is everything, the result is a middle grey.
    """
    finest = pixels.astype(np.float32)
    finest[mask] = 0
    scales: list[tuple[_Values, Mask]] = [(finest, ~mask)]
    while not scales[-1][1].all() and scales[-1][1].size > 1:
        scales.append(_pulled(*scales[-1]))
    coarse, known = scales.pop()
    coarse[~known] = 127.5
    for values, known in reversed(scales):
        _push(coarse, values, ~known)
        coarse = values
    filled = pixels.copy()
    filled[mask] = np.rint(coarse[mask])
    return filled


def on_background(pixels: Pixels, mask: Mask, background: Pixels) -> Pixels:
    """The object under the mask on another picture; all of one size."""
    return np.where(mask[..., None], pixels, background)


def _pulled(values: _Values, known: Mask) -> tuple[_Values, Mask]:
    """Averages of what is known in each 2 x 2 pixels, and where anything is; `values` are 0 elsewhere."""
    height, width = known.shape
    odd = (0, height % 2), (0, width % 2)
    sums = _by_fours(np.pad(values, (*odd, (0, 0))))
    counts = _by_fours(np.pad(known.astype(np.float32), odd))
    return np.asarray(sums / np.maximum(counts, 1)[..., None], np.float32), counts > 0


def _by_fours(values: _Values) -> _Values:
    rows = values[::2] + values[1::2]
    return np.asarray(rows[:, ::2] + rows[:, 1::2])


def _push(coarse: _Values, values: _Values, unknown: Mask) -> None:
    """Fills what is unknown in place, from half as many values along both axes, linear in between."""
    rows, columns = (np.flatnonzero(unknown.any(axis=axis)) for axis in (1, 0))
    across, down = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    finer = _doubled(_doubled(coarse, 0, across), 1, down)
    part = unknown[across, down]
    values[across, down][part] = finer[part]


def _doubled(values: _Values, axis: int, part: slice) -> _Values:
    """A part of twice as many values along an axis; the nearest counts 3/4, the next 1/4."""
    places = np.arange(part.start, part.stop)
    nearest = places // 2
    following = np.clip(nearest + places % 2 * 2 - 1, 0, values.shape[axis] - 1)
    return np.asarray(0.75 * values.take(nearest, axis) + 0.25 * values.take(following, axis))
