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
    """Pictures with a part of each filled from the rest, smoothly.

    Pull-push (Gortler et al., "The Lumigraph", SIGGRAPH 1996): averages of what is known, at coarser and
    coarser scales, fill what is not.

    Args:
        pixels: uint8 of shape (N, H, W, 3).
        mask: what is filled, shape (N, H, W). Where it is everything, the result is a middle grey.
    """
    known = (~mask).astype(np.float32)[..., None]
    filled = _pull_push(pixels.astype(np.float32) * known, known)
    return np.where(mask[..., None], np.rint(filled), pixels).astype(np.uint8)


def on_background(pixels: Pixels, mask: Mask, background: Pixels) -> Pixels:
    """The object under the mask on another picture; all of one size."""
    return np.where(mask[..., None], pixels, background)


def _pull_push(values: NDArray[np.float32], known: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fills by the coarser scale wherever nothing is known; `values` are weighted by `known` already."""
    count, height, width, _ = values.shape
    if known.all():
        return values
    if height == width == 1:
        return np.where(known > 0, values, np.float32(127.5))
    rows, columns = -(-height // 2), -(-width // 2)
    halves = []
    for array in (values, known):
        even = np.zeros((count, 2 * rows, 2 * columns, array.shape[-1]), np.float32)
        even[:, :height, :width] = array
        halves.append(even[:, ::2, ::2] + even[:, 1::2, ::2] + even[:, ::2, 1::2] + even[:, 1::2, 1::2])
    some = (halves[1] > 0).astype(np.float32)
    coarse = _pull_push(halves[0] / np.maximum(halves[1], 1), some)
    return values + _doubled(_doubled(coarse, 1), 2)[:, :height, :width] * (1 - known)


def _doubled(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Twice as many values along an axis, linear in between (weights 3/4 and 1/4)."""
    count = values.shape[axis]
    before = np.take(values, [0, *range(count - 1)], axis)
    after = np.take(values, [*range(1, count), count - 1], axis)
    pairs = np.stack([0.25 * before + 0.75 * values, 0.75 * values + 0.25 * after], axis=axis + 1)
    shape = list(values.shape)
    shape[axis] *= 2
    return pairs.reshape(shape)
