"""Encoded bytes -> the uint8 view that a model sees.

Pillow's filters widen when they shrink an image (antialias); TensorFlow's `tf.image.resize` does not.
Models trained with one see other pixels through the other, so both are here under their own names.
"""

import dataclasses
import io
from typing import Any

import numpy as np
import PIL.ExifTags
import PIL.Image
from numpy.typing import NDArray

from transforms.errors import RecordError
from transforms.explain.dicom import check_size, decode_dicom, is_dicom
from transforms.explain.settings import ExplainSettings, Interpolation
from transforms.geometry import View, turn
from transforms.outlines import moved
from transforms.records import Box, Example

_PILLOW_FILTERS = {
    "pillow_nearest": PIL.Image.Resampling.NEAREST,
    "pillow_bilinear": PIL.Image.Resampling.BILINEAR,
    "pillow_bicubic": PIL.Image.Resampling.BICUBIC,
    "pillow_lanczos": PIL.Image.Resampling.LANCZOS,
}
# Our own limit, which the config sets, stands in the place of Pillow's.
PIL.Image.MAX_IMAGE_PIXELS = None
PIL.Image.init()
# What photographs come in. Pillow knows more, of which some start other programs or are mere containers.
_KNOWN = ["JPEG", "MPO", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "JPEG2000", "AVIF", "TGA", "PCX"]
_FORMATS = [kind for kind in _KNOWN if kind in PIL.Image.OPEN]
_TURNS = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}
# The inverse of a quarter turn is the other quarter turn; every other orientation is its own.
_INVERSE = {6: 8, 8: 6}


# The keys of `explain` that `Decoding` is made of.
DECODING_KEYS = ("decode", "orientation", "boxes_orientation", "max_pixels")


@dataclasses.dataclass(frozen=True)
class Decoding:
    """How image files are read; `ExplainSettings` describes the choices.

    Attributes:
        upright: whether the EXIF orientation is applied.
        boxes_upright: whether boxes were drawn on the upright image.
        max_pixels: a larger image is refused.
        shrink_to: width and height to which a JPEG may be shrunk while it is read; None: not at all.
    """

    upright: bool = False
    boxes_upright: bool = False
    max_pixels: int = 178_956_970
    shrink_to: tuple[int, int] | None = None

    @staticmethod
    def of(settings: ExplainSettings, largest_input: tuple[int, ...] | None = None) -> "Decoding":
        """The choices of a config; without `largest_input`, (height, width) in pixels, nothing is shrunk."""
        height, width = largest_input or (0, 0)
        return Decoding(
            settings.orientation == "upright",
            settings.boxes_orientation == "upright",
            settings.max_pixels,
            (2 * width, 2 * height) if largest_input and settings.decode == "fast" else None,
        )


@dataclasses.dataclass(frozen=True)
class Decoded:
    """An image as a model sees it, before it is resampled.

    Attributes:
        image: RGB.
        width, height: size of the picture that the boxes were drawn on, before any shrinking.
        turned: the EXIF orientation by which that picture becomes `image`.
    """

    image: PIL.Image.Image
    width: int
    height: int
    turned: int = 1


def decode(data: bytes) -> PIL.Image.Image:
    """Decodes an image file to RGB, 8 bits a channel, its pixels as stored; of an animation the first frame.

    Raises:
        RecordError: as `decode_as`.
    """
    return decode_as(data, Decoding()).image


def decode_as(data: bytes, how: Decoding) -> Decoded:
    """Decodes an image file to RGB, 8 bits a channel; of an animation the first frame.

    Raises:
        RecordError: `too_many_pixels`, the image is larger than allowed; `undecodable_image`, the bytes are
            no image that can be decoded to the end.
    """
    if not data:
        raise RecordError("undecodable_image", "the image is empty (0 bytes)")
    try:
        if is_dicom(data):
            image, orientation = decode_dicom(data, how.max_pixels), 1
            width, height = image.size
        else:
            image, orientation, width, height = _decode(data, how)
    except RecordError:
        raise
    except Exception as error:  # a hostile file can make a decoder raise anything
        detail = str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        # Pillow's own message names a Python object, which differs from run to run.
        detail = detail.split(" <_io.", 1)[0]
        raise RecordError("undecodable_image", f"{len(data)} bytes, {detail}") from error
    if how.upright and orientation in _TURNS:
        image = image.transpose(_TURNS[orientation])
    if how.boxes_upright and orientation >= 5:
        width, height = height, width
    if how.upright == how.boxes_upright:
        turned = 1
    else:
        turned = orientation if how.upright else _INVERSE.get(orientation, orientation)
    return Decoded(image, width, height, turned)


def boxed_size(data: bytes, how: Decoding) -> tuple[int, int] | None:
    """Width and height of the picture that boxes were drawn on, by the file's header; None if unreadable."""
    try:
        with PIL.Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            width, height = image.size
            # Pillow's size of a TIFF is that of the upright image; all others are as stored.
            other = how.boxes_upright != (image.format == "TIFF")
            swapped = other and _orientation(image) >= 5
            return (height, width) if swapped else (width, height)
    except Exception:  # as above
        return None


def _decode(data: bytes, how: Decoding) -> tuple[PIL.Image.Image, int, int, int]:
    """The image as stored, its EXIF orientation, and its width and height before any shrinking."""
    with PIL.Image.open(io.BytesIO(data), formats=_FORMATS) as image:
        check_size(image.width, image.height, how.max_pixels)
        width, height = image.size
        wanted = how.upright or how.boxes_upright or image.format == "TIFF"
        orientation = _orientation(image) if wanted else 1
        if how.shrink_to is not None and image.format in ("JPEG", "MPO"):
            image.draft(None, how.shrink_to)
        rgb = _as_rgb(image)
        if image.format == "TIFF" and orientation in _TURNS:
            # Pillow has turned it already; here the choice is the config's.
            rgb = rgb.transpose(_TURNS[_INVERSE.get(orientation, orientation)])
            width, height = rgb.size
        return rgb, orientation, width, height


def _orientation(image: PIL.Image.Image) -> int:
    """1 to 8; 1, which means upright, where the file does not say, or not so that it can be read."""
    try:
        orientation = image.getexif().get(PIL.ExifTags.Base.Orientation, 1)
    except Exception:  # as above
        return 1
    return orientation if orientation in _TURNS else 1


def with_boxes_of(decoded: Decoded, example: Example) -> Example:
    """The example with boxes that stand where they should on the decoded image."""
    width, height, turned = decoded.width, decoded.height, decoded.turned
    across, down = (height, width) if turned >= 5 else (width, height)
    if turned == 1 and (width, height) == decoded.image.size:
        return example
    scale_x, scale_y = (width, height) if example.relative else (1, 1)

    def turned_edges(xmin: Any, ymin: Any, xmax: Any, ymax: Any) -> Any:
        edges = (xmin * scale_x, ymin * scale_y, xmax * scale_x, ymax * scale_y)
        xmin, ymin, xmax, ymax = turn(edges, turned, width, height)
        return xmin / across, ymin / down, xmax / across, ymax / down

    boxes = []
    for box in example.boxes:
        xmin, ymin, xmax, ymax = turned_edges(box.xmin, box.ymin, box.xmax, box.ymax)
        outline = moved(box.outline, lambda x, y: turned_edges(x, y, x, y)[:2])
        boxes.append(Box(box.name, xmin, ymin, xmax, ymax, box.ignored, outline))
    return Example(**{**vars(example), "boxes": boxes, "relative": True})


def _as_rgb(image: PIL.Image.Image) -> PIL.Image.Image:
    if image.mode.startswith("I;16"):
        # The high byte, as `tf.io.decode_png` takes it; Pillow itself would cut everything off at 255.
        return PIL.Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError(f"mode {image.mode} does not say what is black and what is white")
    if image.mode == "RGB":
        image.load()
        return image  # `convert` would copy it
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
