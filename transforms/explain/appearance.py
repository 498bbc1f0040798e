"""What a picture looks like around its objects, in a few words: the computed slice columns.

The bins are fixed, so that counts of different shards add up; `docs/data.md` has them as a table. Pixels are
looked at in a copy of at most 192 pixels a side, in which sharp photos are still sharp, and outside all
boxes: that blue things are blue says nothing of how their pictures were taken.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from transforms.columns import computed_key
from transforms.geometry import Rectangle
from transforms.records import Box, Example, Slice
from transforms.regions import clip, pixel_mask

_SIDE = 192
_COLOURS = 32  # the least side of the copy in which colours are looked at
# A picture with less than this outside its boxes is looked at whole.
_LEAST_OUTSIDE = 1 / 16
# In levels, whose sums are exact.
_DARK, _BRIGHT = 0.3 * 255, 0.6 * 255
_BORDER_DEPTH, _BORDER_STEP = 1 / 32, 0.1 * 255
# Daylight lies about halfway between.
_COOL, _WARM = -0.05, 0.15
_GREY = 0.01 * 255
_BLURRED, _SHARP = 0.1, 2.0
_TILES = 4
_CORNERS = ("top_left", "top_right", "bottom_left", "bottom_right")
_CORNER_RATIO, _CORNER_LEAST = 3.0, 0.001 * 255**2
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

_Values = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class _Picture:
    """A decoded example, and the reduced copies that several columns look at."""

    image: PIL.Image.Image
    example: Example

    @functools.cached_property
    def reduced(self) -> PIL.Image.Image:
        """The picture divided by a whole number, which is quick; what follows takes fewer pixels still."""
        factor = max(self.image.size) // _SIDE
        return self.image.reduce(factor) if factor > 1 else self.image  # by 1 would be a copy

    @functools.cached_property
    def size(self) -> tuple[int, int]:
        """Width and height of `luma`."""
        scale = min(1.0, _SIDE / max(self.image.size))
        return max(1, round(self.image.width * scale)), max(1, round(self.image.height * scale))

    @functools.cached_property
    def luma(self) -> NDArray[np.int32]:
        """Brightness in levels 0..255 (Rec. 601), averaged over areas; shape (height, width)."""
        grey = self.reduced.convert("L").resize(self.size, PIL.Image.Resampling.BOX)
        return np.asarray(grey, np.int32)

    def outside(self, width: int, height: int) -> NDArray[np.bool_]:
        """The pixels of a copy of that size that lie in no box; shape (height, width)."""
        boxes = [
            (x0 * width, y0 * height, x1 * width, y1 * height)
            for x0, y0, x1, y1 in self.shares(self.example.boxes)
        ]
        outside = ~pixel_mask(boxes, width, height)
        return outside if outside.mean() >= _LEAST_OUTSIDE else np.ones_like(outside)

    @functools.cached_property
    def around(self) -> NDArray[np.bool_]:
        """The pixels of `luma` that lie in no box; shape (height, width)."""
        return self.outside(*self.size)

    @property
    def objects(self) -> list[Box]:
        """The boxes, without those to be ignored."""
        return [box for box in self.example.boxes if not box.ignored]

    def shares(self, boxes: Iterable[Box]) -> list[Rectangle]:
        """What of the boxes lies inside the picture, in shares of it."""
        across, down = (1, 1) if self.example.relative else self.image.size
        edges = [(b.xmin / across, b.ymin / down, b.xmax / across, b.ymax / down) for b in boxes]
        return [inside for box in edges if (inside := clip(box, (0.0, 0.0, 1.0, 1.0))) is not None]


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
    return _bin(float(picture.luma[picture.around].mean()), (_DARK, _BRIGHT), ("dark", "normal", "bright"))


def _border(picture: _Picture) -> str:
    """By how much brighter the outer 1/32 of all sides is than the rest."""
    down, across = (max(1, round(side * _BORDER_DEPTH)) for side in picture.luma.shape)
    inner = slice(down, -down), slice(across, -across)
    shown = picture.luma * picture.around
    light, light_inside = (int(values.sum()) for values in (shown, shown[inner]))
    count, inside = (int(np.count_nonzero(values)) for values in (picture.around, picture.around[inner]))
    both = 0 < inside < count
    step = (light - light_inside) / (count - inside) - light_inside / inside if both else 0.0
    return _bin(step, (-_BORDER_STEP, _BORDER_STEP), ("dark", "normal", "bright"))


def _colour_cast(picture: _Picture) -> str:
    """By how far the mean red lies above the mean blue, as a share of all light."""
    small = picture.reduced.reduce(max(1, min(picture.reduced.size) // _COLOURS))
    colours = np.asarray(small)[picture.outside(*small.size)]
    bands = colours.T  # over so few columns NumPy's own reductions take several times as long
    if float((functools.reduce(np.maximum, bands) - functools.reduce(np.minimum, bands)).mean()) < _GREY:
        return "grey"
    red, green, blue = (float(band.mean()) for band in bands)
    return _bin((red - blue) / (red + green + blue), (_COOL, _WARM), ("cool", "neutral", "warm"))


def _blur(picture: _Picture) -> str:
    """By the variance of the Laplacian over that of the brightness.

    Of both the upper quartile over the tiles counts: a plain wall makes no blurred picture, nor do letters in
    a corner make a sharp one.
    """
    luma = picture.luma
    if min(luma.shape) < _TILES + 2:
        return "normal"
    laplacian = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4 * luma[1:-1, 1:-1]
    # What its neighbours show counts in a pixel's Laplacian.
    around = picture.around
    vertically, horizontally = around[:-2] & around[1:-1] & around[2:], around[:, :-2] & around[:, 2:]
    shown = _tiles(vertically[:, 1:-1] & horizontally[1:-1])
    shown = shown if shown.any() else np.ones_like(shown)
    edges, contrast = (
        _upper_quartile(_variances(_tiles(values), shown)) for values in (laplacian, luma[1:-1, 1:-1])
    )
    return _bin(edges / contrast if contrast > 0 else 0.0, (_BLURRED, _SHARP), ("blurred", "normal", "sharp"))


def _corner_edges(picture: _Picture) -> str:
    """The corner, a quarter of both sides, with three times as much edge energy as any other."""
    luma, outside = picture.luma, picture.around
    outside = outside[:-1, :-1] & outside[1:, :-1] & outside[:-1, 1:]
    if min(luma.shape) < 5:
        return "none"
    energy = np.diff(luma, axis=0)[:, :-1] ** 2 + np.diff(luma, axis=1)[:-1] ** 2
    down, across = (max(1, side // 4) for side in energy.shape)
    places = [
        (y, x) for y in (slice(down), slice(-down, None)) for x in (slice(across), slice(-across, None))
    ]
    found = {
        corner: float(energy[place][outside[place]].mean())
        for corner, place in zip(_CORNERS, places, strict=True)
        if outside[place].mean() > 0.5
    }
    if len(found) < 2:
        return "none"
    (first, most), (_, second) = sorted(found.items(), key=lambda item: -item[1])[:2]
    return first if most >= _CORNER_LEAST and most >= _CORNER_RATIO * second else "none"


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
    shares = picture.shares(picture.objects)
    largest = max(((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in shares), default=None)
    return "none" if largest is None else _bin(largest, (_SMALL, _LARGE), ("small", "medium", "large"))


def _objects(picture: _Picture) -> str:
    """By the number of boxes, of all classes together."""
    return _bin(len(picture.objects), (1, 2, _MANY), ("none", "one", "few", "many"))


def _tiles(values: NDArray[Any]) -> NDArray[Any]:
    """Cuts an array into 4 x 4 tiles, less what is left over; shape (16, pixels of a tile)."""
    height, width = (side // _TILES for side in values.shape)
    tiles = values[: _TILES * height, : _TILES * width].reshape(_TILES, height, _TILES, width)
    return tiles.swapaxes(1, 2).reshape(_TILES**2, height * width)


def _variances(tiles: NDArray[np.int32], shown: NDArray[np.bool_]) -> _Values:
    """The variances of the shown pixels in each tile that shows any."""
    counts = shown.sum(axis=1)
    some = counts > 0
    kept = (tiles * shown).astype(np.float64)  # whose sums are exact, and quicker than those of integers
    means, squares = (sums[some] / counts[some] for sums in (kept.sum(axis=1), np.vecdot(kept, kept)))
    return np.asarray(np.maximum(0.0, squares - means**2))


def _upper_quartile(values: _Values) -> float:
    """The smallest of the largest quarter; of 16 values the fourth largest."""
    return float(np.sort(values)[-math.ceil(len(values) / 4)])


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
