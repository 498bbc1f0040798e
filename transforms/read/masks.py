"""Polygons and run lengths as the formats write them -> outlines."""

import base64
import io
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import PIL.Image

from transforms.errors import RecordError
from transforms.outlines import mask_rectangles, pack, rectangle_outline
from transforms.records import Box

_MAX_MASK_PIXELS = 2**26


def outlined(box: Box, outline: bytes | None) -> Box:
    """The box with an outline; an empty one is none."""
    return Box(box.name, box.xmin, box.ymin, box.xmax, box.ymax, box.ignored, outline or None)


def polygons_outline(polygons: Sequence[Any]) -> bytes:
    """Outline of polygons as flat lists, x and y in turn.

    Raises:
        RecordError: `malformed_record`, they are not at least three pairs of finite numbers each.
    """
    try:
        with np.errstate(over="ignore"):  # what float32 cannot hold is not finite
            found = [np.array(polygon, np.float64).reshape(-1, 2).astype(np.float32) for polygon in polygons]
    except (TypeError, ValueError, OverflowError) as error:
        raise RecordError("malformed_record", "a polygon is not pairs of numbers") from error
    if any(len(points) < 3 or not np.isfinite(points).all() for points in found):
        raise RecordError(
            "malformed_record", "a polygon has fewer than three points, or one that is not finite"
        )
    return pack(found)


def coco_outline(segmentation: Any) -> bytes | None:
    """Outline of COCO's `segmentation`: polygons, or run lengths, compressed or not; None where it is empty.

    Raises:
        RecordError: `malformed_record`.
    """
    if not segmentation:
        return None
    if isinstance(segmentation, list):
        return polygons_outline(segmentation)
    try:
        height, width = (int(side) for side in segmentation["size"])
        counts = segmentation["counts"]
        runs = _unpacked(counts) if isinstance(counts, str) else [int(count) for count in counts]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise RecordError("malformed_record", "a segmentation is neither polygons nor run lengths") from error
    # COCO counts down the columns.
    return runs_outline(runs, height, width)


def runs_outline(runs: Sequence[int], lines: int, across: int, by_row: bool = False) -> bytes:
    """Outline of run lengths, outside and inside in turn.

    Args:
        runs: lengths in pixels.
        lines: height of the mask.
        across: its width.
        by_row: whether they run along the rows, and not down the columns.

    Raises:
        RecordError: `malformed_record`, the lengths are not those of a mask of this size.
    """
    size = lines * across
    if not 0 < size <= _MAX_MASK_PIXELS or any(run < 0 for run in runs) or sum(runs) != size:
        raise RecordError("malformed_record", f"run lengths do not fill a mask of {across} x {lines} pixels")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    mask = flat.reshape(lines, across) if by_row else flat.reshape(across, lines).T
    return rectangle_outline(mask_rectangles(mask))


def bitmap_outline(text: Any, left: int, top: int, right: int, bottom: int) -> bytes:
    """Outline of a PNG in base64, of which every pixel that is not 0 lies inside.

    Args:
        text: the PNG.
        left: where it stands in the image; right and bottom are one beyond its last pixels.
        top: likewise.
        right: likewise.
        bottom: likewise.

    Raises:
        RecordError: `malformed_record`, it is no PNG of this size.
    """
    width, height = right - left, bottom - top
    try:
        data = base64.b64decode(text, validate=True)
        # Width and height stand at a fixed place, and are looked at before anything is unpacked.
        if struct.unpack_from(">II", data, 16) != (width, height) or width * height > _MAX_MASK_PIXELS:
            raise ValueError("it is of another size, or too large")
        with PIL.Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            mask = np.asarray(image.convert("L")) > 0
    except (TypeError, ValueError, OSError, SyntaxError, struct.error) as error:
        message = f"a mask is no PNG of {width} x {height} pixels in base64"
        raise RecordError("malformed_record", message) from error
    return rectangle_outline(
        (x0 + left, y0 + top, x1 + left, y1 + top) for x0, y0, x1, y1 in mask_rectangles(mask)
    )


def _unpacked(text: str) -> list[int]:
    """COCO's compressed run lengths: numbers of 5 bits a character, from the third on as differences.

    Source: rleFrString of cocoapi, common/maskApi.c.
    """
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError("no compressed run lengths")
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            if bits & 0x10:
                value -= 1 << shift
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value = shift = 0
    return runs
