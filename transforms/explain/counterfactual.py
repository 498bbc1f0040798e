"""Counterfactual images: an object on another background, and a picture without its object.

All in the model's view. An object is what its boxes hold; it stays where it stands. What is taken away is
filled from its surroundings, so that nothing of it is left, not even its colour.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from transforms.records import Box

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def box_mask(boxes: Sequence[Box], width: int, height: int) -> Mask:
    """The union of boxes in view pixels, bool of shape (height, width); edges are rounded outward."""
    mask = np.zeros((height, width), bool)
    for box in boxes:
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
    if not mask.any():
        return pixels
    known = (~mask).astype(np.float32)[..., None]
    filled = _pull_push(pixels.astype(np.float32) * known, known)
    return np.where(mask[..., None], np.rint(filled), pixels).astype(np.uint8)


def on_background(pixels: Pixels, mask: Mask, background: Pixels) -> Pixels:
    """The object under the mask on another picture; all of one size."""
    return np.where(mask[..., None], pixels, background)


def _pull_push(values: NDArray[np.float32], known: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fills by the coarser scale wherever nothing is known; `values` are weighted by `known` already."""
    height, width = values.shape[:2]
    if max(height, width) == 1 or known.all():
        return np.asarray(np.where(known > 0, values / np.maximum(known, 1e-6), 127.5), np.float32)
    even = ((0, height % 2), (0, width % 2), (0, 0))
    halves = [
        np.pad(array, even).reshape((height + 1) // 2, 2, (width + 1) // 2, 2, -1).sum(axis=(1, 3))
        for array in (values, known)
    ]
    weight = np.minimum(halves[1], 1)
    scale = weight / np.maximum(halves[1], 1e-6)
    coarse = _doubled(_pull_push(halves[0] * scale, weight))[:height, :width]
    return values + coarse * (1 - known)


def _doubled(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Twice the rows and columns, linear in between (weights 3/4 and 1/4)."""
    for axis in (0, 1):
        padded = np.pad(values, [(1, 1) if i == axis else (0, 0) for i in range(3)], mode="edge")
        before, middle, after = (
            np.take(padded, range(i, i + values.shape[axis]), axis=axis) for i in (0, 1, 2)
        )
        pairs = np.stack([0.25 * before + 0.75 * middle, 0.75 * middle + 0.25 * after], axis=axis + 1)
        shape = list(values.shape)
        shape[axis] *= 2
        values = pairs.reshape(shape)
    return np.asarray(values, np.float32)
