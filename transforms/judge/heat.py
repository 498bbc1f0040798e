"""The heat outside the boxes of many scores, added up by place in integers that merge in any order.

A ratio such as "41 % of the outside heat lies in that corner" is a quotient of sums; its standard error
follows from the second moments of numerator and denominator, which are kept for each named place.
"""

import dataclasses
from typing import Self

import numpy as np
from numpy.typing import NDArray

from transforms.geometry import Floats
from transforms.records import Outside
from transforms.regions import (
    ALL_REGIONS,
    ATLAS_CELLS,
    BOX_ATLAS_CELLS,
    BOX_ATLAS_REACH,
    DISTANCES,
    region_rectangles,
)

Ints = NDArray[np.int64]
# Sums of values in [0, 1] are kept in units of 2^-32: 2 * 10^9 scores fit into 64 bits.
UNIT = 2**32

# Farther than this many cells of the heatmap from every box is far: no bleeding of the map reaches there.
FAR_CELLS = 2.0
BOX_PLACES = ("above_box", "below_box", "left_of_box", "right_of_box")
FAR_FROM_BOX = "far_from_box"
PLACES = (*ALL_REGIONS, *BOX_PLACES, FAR_FROM_BOX)


def _picture_masks() -> Ints:
    """Which cells of the atlas belong to each of `ALL_REGIONS`; shape (14, 256)."""
    masks = np.zeros((len(ALL_REGIONS), ATLAS_CELLS, ATLAS_CELLS), np.int64)
    for mask, region in zip(masks, ALL_REGIONS, strict=True):
        for rectangle in region_rectangles(region):
            xmin, ymin, xmax, ymax = (round(edge * ATLAS_CELLS) for edge in rectangle)
            mask[ymin:ymax, xmin:xmax] = 1
    return masks.reshape(len(ALL_REGIONS), -1)


def _box_masks() -> Ints:
    """Which cells around the box belong to each of `BOX_PLACES`: as wide as the box; shape (4, 576)."""
    half = round(BOX_ATLAS_CELLS / BOX_ATLAS_REACH / 4)
    low, high = BOX_ATLAS_CELLS // 2 - half, BOX_ATLAS_CELLS // 2 + half
    masks = np.zeros((4, BOX_ATLAS_CELLS, BOX_ATLAS_CELLS), np.int64)
    masks[0, :low, low:high] = masks[1, high:, low:high] = 1
    masks[2, low:high, :low] = masks[3, low:high, high:] = 1
    return masks.reshape(4, -1)


# For each map, which of its cells belong to which of its places; shape (places, cells).
MASKS = {
    "picture": _picture_masks(),
    "box": _box_masks(),
    "distance": np.array([[0, *(distance >= FAR_CELLS for distance in DISTANCES)]], np.int64),
}
_MAPS = {f"{name}_{kind}": masks.shape[1] for name, masks in MASKS.items() for kind in ("heat", "area")}
_SIZES = {
    "scores": 1,
    "boxed": 1,
    **_MAPS,
    # Heat outside of all scores, and of those with exactly one box: sums and sums of squares.
    **{"outside": 2, "outside_squared": 2},
    # For each place the sums of its heat, of that squared, and of that times the heat outside.
    **{"places": len(PLACES), "squares": len(PLACES), "products": len(PLACES)},
}
_ENDS, _MAP_ENDS = (np.cumsum(list(sizes.values())).tolist() for sizes in (_SIZES, _MAPS))
_SLICES = {name: slice(end - size, end) for (name, size), end in zip(_SIZES.items(), _ENDS, strict=True)}


@dataclasses.dataclass(eq=False)
class Heat:
    """Where a group's heat outside the boxes lies; `add` changes it, `+` and `-` make new ones.

    Attributes:
        numbers: int64 of shape (1743,), 14 kB: counts, and sums in units of 2^-32.
    """

    numbers: Ints

    @classmethod
    def zero(cls) -> Self:
        """The heat of no scores."""
        return cls(np.zeros(_ENDS[-1], np.int64))

    def add(self, outside: Outside) -> None:
        """Adds what one score has outside its boxes, in place."""
        maps = b"".join(getattr(outside, name) or bytes(8 * size) for name, size in _MAPS.items())
        units = dict(zip(_MAPS, np.split(in_units(np.frombuffer(maps, "<f8")), _MAP_ENDS[:-1]), strict=True))
        boxed = bool(outside.box_heat)
        sums = units["picture_heat"].sum() * np.array([1, boxed])
        heats = np.concatenate([masks @ units[f"{name}_heat"] for name, masks in MASKS.items()])
        self.numbers += np.concatenate(  # in the order of `_SIZES`
            [
                [1, boxed],
                *units.values(),
                *(sums, product(sums, sums)),
                *(heats, product(heats, heats), product(heats, sums[0])),
            ]
        )

    def __add__(self, other: "Heat") -> "Heat":
        return Heat(self.numbers + other.numbers)

    def __sub__(self, part: "Heat") -> "Heat":
        """The heat of the rest, where `part` is the heat of some of these scores."""
        return Heat(self.numbers - part.numbers)

    def count(self, name: str) -> int:
        """A count: of `scores`, or of those that are `boxed`, with exactly one box."""
        return int(self.numbers[_SLICES[name]][0])

    def sums(self, name: str) -> Floats:
        """Sums over the scores, such as `picture_heat`, in shares."""
        return self.numbers[_SLICES[name]] / UNIT

    def means(self, name: str) -> list[float] | None:
        """Means over the scores that have such a map, cell by cell; None where there are none."""
        count = self.count("boxed" if name.startswith("box") else "scores")
        return (self.sums(name) / count).tolist() if count else None


def in_units(shares: Floats) -> Ints:
    """Shares in fixed point, in units of 2^-32."""
    return np.asarray(np.rint(shares * UNIT).astype(np.int64))


def product(one: Ints, other: Ints) -> Ints:
    """The product of shares in fixed point, rounded to the unit."""
    return in_units((one / UNIT) * (other / UNIT))
