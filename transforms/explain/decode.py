"""Encoded bytes -> the uint8 view that a model sees.

Pillow's filters widen when they shrink an image (antialias); TensorFlow's `tf.image.resize` does not.
Models trained with one see other pixels through the other, so both are here under their own names.
"""

import io
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from transforms.errors import RecordError
from transforms.explain.settings import Interpolation
from transforms.geometry import View

_PILLOW_FILTERS = {
    "pillow_nearest": PIL.Image.Resampling.NEAREST,
    "pillow_bilinear": PIL.Image.Resampling.BILINEAR,
    "pillow_bicubic": PIL.Image.Resampling.BICUBIC,
    "pillow_lanczos": PIL.Image.Resampling.LANCZOS,
}


def decode(data: bytes) -> PIL.Image.Image:
    """Decodes an image file to RGB, 8 bits a channel.

    The pixels are taken as stored: an EXIF orientation is not applied, as `tf.io.decode_image` does not.

    Raises:
        RecordError: `undecodable_image`, the bytes are no image that Pillow can decode to the end.
    """
    if not data:
        raise RecordError("undecodable_image", "the image is empty (0 bytes)")
    try:
        with PIL.Image.open(io.BytesIO(data)) as image:
            return _as_rgb(image)
    except Exception as error:  # a hostile file can make a decoder raise anything
        detail = str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        # Pillow's own message names a Python object, which differs from run to run.
        detail = detail.split(" <_io.", 1)[0]
        raise RecordError("undecodable_image", f"{len(data)} bytes, {detail}") from error


def _as_rgb(image: PIL.Image.Image) -> PIL.Image.Image:
    if image.mode.startswith("I;16"):
        # The high byte, as `tf.io.decode_png` takes it; Pillow itself would cut everything off at 255.
        return PIL.Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError(f"mode {image.mode} does not say what is black and what is white")
    return image.convert("RGB")


def show(
    image: PIL.Image.Image, view: View, interpolation: Interpolation, padding: int = 0
) -> NDArray[np.uint8]:
    """Resamples an image into a view.

    Args:
        image: decoded RGB image.
        view: where it stands in the model's input.
        interpolation: the filter.
        padding: grey level 0..255 outside the view's content.

    Returns:
        uint8 of shape (view.height, view.width, 3), rounded to the nearest grey level.
    """
    left, top, right, bottom = (int(edge) for edge in view.content)
    if interpolation in _PILLOW_FILTERS:
        box = (
            max(0.0, view.source[0]),
            max(0.0, view.source[1]),
            min(float(image.width), view.source[2]),
            min(float(image.height), view.source[3]),
        )
        resized = image.resize((right - left, bottom - top), _PILLOW_FILTERS[interpolation], box=box)
        content = np.asarray(resized)
    else:
        content = _resample(np.asarray(image), view, interpolation)
    if content.shape[:2] == (view.height, view.width):
        return content
    canvas = np.full((view.height, view.width, 3), padding, np.uint8)
    canvas[top:bottom, left:right] = content
    return canvas


def _resample(pixels: NDArray[np.uint8], view: View, interpolation: str) -> NDArray[np.uint8]:
    """`tf.image.resize` (half-pixel centres, no antialias) of a part of an image, rounded to uint8."""
    left, top, right, bottom = view.content
    columns = _positions(view.source[0], view.source[2], int(right - left))
    rows = _positions(view.source[1], view.source[3], int(bottom - top))
    if interpolation == "tf_nearest":
        return np.asarray(
            pixels[_nearest(rows, pixels.shape[0])[:, None], _nearest(columns, pixels.shape[1])]
        )
    upper, lower, down = _neighbours(rows, pixels.shape[0])
    before, after, across = _neighbours(columns, pixels.shape[1])
    down, across = down[:, None, None], across[None, :, None]
    halves = []
    for row in (upper, lower):
        line = pixels[row].astype(np.float32)
        halves.append(line[:, before] * (1 - across) + line[:, after] * across)
    return np.asarray(np.rint(halves[0] * (1 - down) + halves[1] * down), np.uint8)


def _positions(start: float, stop: float, count: int) -> NDArray[np.float32]:
    """Where the centres of `count` pixels that share [start, stop) fall, in image coordinates.

    In float32 and in this order, as TensorFlow does: on an edge between two pixels it decides.
    """
    scale = np.float32((stop - start) / count)
    return (np.arange(count, dtype=np.float32) + np.float32(0.5)) * scale + np.float32(start)


def _nearest(positions: NDArray[np.float32], size: int) -> NDArray[Any]:
    return np.clip(np.floor(positions), 0, size - 1).astype(int)


def _neighbours(
    positions: NDArray[np.float32], size: int
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float32]]:
    centres = positions - np.float32(0.5)
    below = np.floor(centres)
    first = np.clip(below, 0, size - 1).astype(int)
    second = np.clip(below + 1, 0, size - 1).astype(int)
    return first, second, centres - below
