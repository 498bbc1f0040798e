"""What a picture looks like, in a few words: the computed slice columns.

The bins are fixed, so that counts of different shards add up; `docs/data.md` has them as a table. Pixels are
looked at in a copy of at most 256 pixels a side, in which sharp photos are still sharp.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from transforms.columns import computed_key
from transforms.geometry import Rectangle
from transforms.records import Example, Slice
from transforms.regions import clip

Luma = NDArray[np.float32]

_SIDE = 256
_COLOURS = 16  # a side of the copy in which colours are looked at
_DARK, _BRIGHT = 0.3, 0.6
_BORDER_DEPTH, _BORDER_STEP = 1 / 32, 0.1
# Daylight lies about halfway between.
_COOL, _WARM = -0.05, 0.15
_GREY = 0.01
_BLURRED, _SHARP = 0.03, 1.0
_TILES = 4
_CORNERS = ("top_left", "top_right", "bottom_left", "bottom_right")
_CORNER_RATIO, _CORNER_LEAST = 3.0, 0.001
_PORTRAIT, _LANDSCAPE = 0.95, 1.05
_SMALL, _LARGE = 1 / 16, 1 / 4
_MANY = 5
# How files of a format begin.
_SIGNATURES = {
    "jpeg": (b"\xff\xd8\xff",),
    "png": (b"\x89PNG\r\n\x1a\n",),
    "gif": (b"GIF87a", b"GIF89a"),
    "tiff": (b"II*\0", b"MM\0*"),
    "bmp": (b"BM",),
}


@dataclasses.dataclass(frozen=True)
class _Picture:
    """A decoded example, and the reduced copies that several columns look at."""

    image: PIL.Image.Image
    example: Example

    @functools.cached_property
    def luma(self) -> Luma:
        """Brightness in [0, 1] (Rec. 601), at most 256 pixels a side, averaged over areas."""
        grey = self.image.convert("L")
        scale = min(1.0, _SIDE / max(grey.size))
        size = (max(1, round(grey.width * scale)), max(1, round(grey.height * scale)))
        return np.asarray(grey.resize(size, PIL.Image.Resampling.BOX), np.float32) / np.float32(255)

    @functools.cached_property
    def colours(self) -> NDArray[np.float64]:
        """Mean colours of 16 x 16 areas, 0..255, shape (256, 3)."""
        small = self.image.resize((_COLOURS, _COLOURS), PIL.Image.Resampling.BOX)
        return np.asarray(small, np.float64).reshape(-1, 3)


def describe(image: PIL.Image.Image, example: Example, columns: Sequence[str]) -> list[Slice]:
    """The computed slices of an example, in the order of the columns.

    Args:
        image: the decoded picture, RGB.
        example: where it comes from.
        columns: names of `transforms.columns.COMPUTED_COLUMNS`.
    """
    picture = _Picture(image, example)
    return [Slice(computed_key(column), _VALUES[column](picture)) for column in columns]


def _brightness(picture: _Picture) -> str:
    """By the mean brightness."""
    return _bin(float(picture.luma.mean()), (_DARK, _BRIGHT), ("dark", "normal", "bright"))


def _border(picture: _Picture) -> str:
    """By how much brighter the outer 1/32 of all sides is than the rest."""
    luma = picture.luma
    height, width = luma.shape
    down, across = (max(1, round(side * _BORDER_DEPTH)) for side in luma.shape)
    inner = luma[down : height - down, across : width - across]
    if not inner.size:
        return "normal"
    border = (luma.sum(dtype=np.float64) - inner.sum(dtype=np.float64)) / (luma.size - inner.size)
    step = float(border - inner.mean(dtype=np.float64))
    return _bin(step, (-_BORDER_STEP, _BORDER_STEP), ("dark", "normal", "bright"))


def _colour_cast(picture: _Picture) -> str:
    """By how far the mean red lies above the mean blue, as a share of all light."""
    colours = picture.colours
    if float(np.ptp(colours, axis=1).mean()) < 255 * _GREY:
        return "grey"
    red, green, blue = colours.mean(axis=0).tolist()
    return _bin((red - blue) / (red + green + blue), (_COOL, _WARM), ("cool", "neutral", "warm"))


def _blur(picture: _Picture) -> str:
    """By the variance of the Laplacian over that of the brightness.

    Of 4 x 4 tiles the fourth sharpest counts: a plain background makes no blurred picture, nor do letters in
    a corner make a sharp one.
    """
    luma = picture.luma
    if min(luma.shape) < _TILES + 2:
        return "normal"
    inner = luma[1:-1, 1:-1]
    laplacian = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4 * inner
    height, width = (side // _TILES for side in laplacian.shape)
    tiles = laplacian[: _TILES * height, : _TILES * width].reshape(_TILES, height, _TILES, width)
    variances = np.sort(tiles.var(axis=(1, 3), dtype=np.float64), axis=None)
    contrast = float(luma.var(dtype=np.float64))
    sharpness = float(variances[-_TILES]) / contrast if contrast > 0 else 0.0
    return _bin(sharpness, (_BLURRED, _SHARP), ("blurred", "normal", "sharp"))


def _corner_edges(picture: _Picture) -> str:
    """The corner, a quarter of both sides, with three times as much edge energy as any other."""
    luma = picture.luma
    if min(luma.shape) < 5:
        return "none"
    energy = np.diff(luma, axis=0)[:, :-1] ** 2 + np.diff(luma, axis=1)[:-1] ** 2
    down, across = (max(1, side // 4) for side in energy.shape)
    corners = (
        energy[:down, :across],
        energy[:down, -across:],
        energy[-down:, :across],
        energy[-down:, -across:],
    )
    energies = [float(corner.mean(dtype=np.float64)) for corner in corners]
    second, first = sorted(energies)[-2:]
    stands_out = first >= _CORNER_LEAST and first >= _CORNER_RATIO * second
    return _CORNERS[energies.index(first)] if stands_out else "none"


def _aspect_ratio(picture: _Picture) -> str:
    """By width over height."""
    ratio = picture.image.width / picture.image.height
    return _bin(ratio, (_PORTRAIT, _LANDSCAPE), ("portrait", "square", "landscape"))


def _file_format(picture: _Picture) -> str:
    """By the first bytes, whatever the file is called."""
    start = picture.example.image[:12]
    if start[:4] == b"RIFF" and start[8:] == b"WEBP":
        return "webp"
    return next((name for name, starts in _SIGNATURES.items() if start.startswith(starts)), "other")


def _box_size(picture: _Picture) -> str:
    """By the share of the picture that its largest box covers."""
    relative = picture.example.relative
    across, down = (1.0, 1.0) if relative else (float(picture.image.width), float(picture.image.height))
    areas = [
        _area(clip((box.xmin, box.ymin, box.xmax, box.ymax), (0.0, 0.0, across, down))) / (across * down)
        for box in picture.example.boxes
    ]
    largest = max(areas, default=0.0)
    return "none" if largest == 0 else _bin(largest, (_SMALL, _LARGE), ("small", "medium", "large"))


def _objects(picture: _Picture) -> str:
    """By the number of boxes, of all classes together."""
    return _bin(len(picture.example.boxes), (1, 2, _MANY), ("none", "one", "few", "many"))


def _area(box: Rectangle | None) -> float:
    return 0.0 if box is None else (box[2] - box[0]) * (box[3] - box[1])


def _bin(value: float, edges: Sequence[float], words: Sequence[str]) -> str:
    """The word of the bin that a value lies in; an edge belongs to the bin above it."""
    return words[sum(value >= edge for edge in edges)]


_VALUES: dict[str, Callable[[_Picture], str]] = {
    "brightness": _brightness,
    "border": _border,
    "colour_cast": _colour_cast,
    "blur": _blur,
    "corner_edges": _corner_edges,
    "aspect_ratio": _aspect_ratio,
    "file_format": _file_format,
    "box_size": _box_size,
    "objects": _objects,
}
