"""A sample of a class's heatmaps, small enough to keep: where each has its heat outside the boxes.

A hash of the example's id decides which are kept, so that the sample is the same on any number of shards. Of
the images of a cluster, which are not independent, one is kept.
"""

import bisect
import dataclasses
import hashlib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from transforms.geometry import Floats
from transforms.records import Score
from transforms.regions import ATLAS_CELLS

# Of a class; 512 maps are a quarter of a megabyte.
MOST_MAPS = 512
# A side: two cells of the atlas make one. Every region of the picture is made of whole ones.
CELLS = 8
_FINER = ATLAS_CELLS // CELLS


class Sighting(NamedTuple):
    """One heatmap of a sample.

    Attributes:
        order: hash of the example's id, or of its cluster's; the smallest are kept.
        example_id: as in the score.
        density_share: as in the score, in [0, 1].
        heat: float32 little-endian of shape (8, 8): share of the heat in each cell and outside the boxes.
    """

    order: int
    example_id: str
    density_share: float
    heat: bytes


@dataclasses.dataclass
class Sightings:
    """The maps of a class with the smallest hashes; `add` changes it, `+` makes a new one.

    Attributes:
        kept: at most `MOST_MAPS`, of each order one, ascending.
    """

    kept: list[Sighting] = dataclasses.field(default_factory=list)

    def add(self, score: Score) -> None:
        """Considers one measured score; one that does not say where its heat lies is left out."""
        if score.outside is None or score.density_share is None:
            return
        order = hash_of(score.example_id if score.cluster is None else score.cluster)
        if len(self.kept) == MOST_MAPS and order > self.kept[-1].order:
            return
        heat = np.frombuffer(score.outside.picture_heat, "<f8")
        coarse = heat.reshape(CELLS, _FINER, CELLS, _FINER).sum(axis=(1, 3)).astype("<f4")
        sighting = Sighting(order, score.example_id, score.density_share, coarse.tobytes())
        at = bisect.bisect_left(self.kept, order, key=lambda kept: kept.order)
        if at < len(self.kept) and self.kept[at].order == order:
            self.kept[at] = min(self.kept[at], sighting)
        else:
            self.kept.insert(at, sighting)
            del self.kept[MOST_MAPS:]

    def __add__(self, other: "Sightings") -> "Sightings":
        return Sightings(_smallest([*self.kept, *other.kept]))

    @property
    def heats(self) -> Floats:
        """Heat outside the boxes, shape (n, 64)."""
        rows = [np.frombuffer(sighting.heat, "<f4") for sighting in self.kept]
        return np.array(rows, np.float64).reshape(len(rows), CELLS**2)

    @property
    def density_shares(self) -> NDArray[np.float64]:
        """Shape (n,)."""
        return np.array([sighting.density_share for sighting in self.kept], np.float64)


def _smallest(found: Iterable[Sighting]) -> list[Sighting]:
    first_of: dict[int, Sighting] = {}
    for sighting in sorted(found):
        first_of.setdefault(sighting.order, sighting)
    return list(first_of.values())[:MOST_MAPS]


def hash_of(name: str) -> int:
    """A number in [0, 2^64) that depends on the name alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])
