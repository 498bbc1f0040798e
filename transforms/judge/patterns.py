"""Where the outside heat of single images lies, as patterns that can be compared and clustered.

A pattern is the square root of the share of the outside heat in each cell, so that Euclidean distance is
Hellinger's and the amount of heat has no say. Clusters are Ward's (JASA 1963), which need no random start.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.cluster import hierarchy

from transforms.geometry import Floats
from transforms.judge.sightings import Sightings

# Clusters that are looked for.
_CLUSTERS = 8
# A cluster reaches as far as this share of its members; what lies farther off belongs to none.
_REACH = 0.95
# Of distances between equal patterns.
_ROUNDING = 1e-9


@dataclasses.dataclass(frozen=True)
class Maps:
    """The sampled maps of a class, in the order of their hashes.

    Attributes:
        ids: example ids.
        shares: density shares, shape (n,).
        heats: heat outside the boxes, shape (n, 64).
        patterns: square roots of where it lies, shape (n, 64); of length 1, or 0 where there is none.
    """

    ids: Sequence[str]
    shares: Floats
    heats: Floats
    patterns: Floats

    @classmethod
    def of(cls, sightings: Sightings) -> "Maps":
        """The maps of a sample."""
        heats = sightings.heats
        totals = heats.sum(axis=1, keepdims=True)
        patterns = np.sqrt(np.divide(heats, totals, out=np.zeros_like(heats), where=totals > 0))
        return cls([kept.example_id for kept in sightings.kept], sightings.density_shares, heats, patterns)

    def __getitem__(self, part: slice) -> "Maps":
        return Maps(self.ids[part], self.shares[part], self.heats[part], self.patterns[part])

    def __len__(self) -> int:
        return len(self.ids)


@dataclasses.dataclass(frozen=True)
class Clusters:
    """Clusters of patterns.

    Attributes:
        centres: shape (k, 64).
        reaches: squared distance from its centre that each reaches, shape (k,); 0 for one of one member.
    """

    centres: Floats
    reaches: Floats

    @classmethod
    def of(cls, patterns: Floats) -> "Clusters":
        """At most 8 clusters.

        Args:
            patterns: shape (n, 64), n at least 2.
        """
        labels = hierarchy.fcluster(hierarchy.ward(patterns), _CLUSTERS, "maxclust")
        members = [patterns[labels == label] for label in np.unique(labels)]
        centres = np.stack([of.mean(axis=0) for of in members])
        # From the centre of the others: a centre lies nearer to those it is made of than to any that follow.
        reaches = [
            float(np.quantile(_squared_distances(of, centre[None]), _REACH)) * (len(of) / (len(of) - 1)) ** 2
            if len(of) > 1
            else 0.0
            for of, centre in zip(members, centres, strict=True)
        ]
        return cls(centres, np.array(reaches))

    def assign(self, patterns: Floats) -> NDArray[np.int64]:
        """The cluster of each pattern, -1 for none."""
        distances = _squared_distances(patterns, self.centres)
        nearest = distances.argmin(axis=1)
        away = distances[np.arange(len(patterns)), nearest]
        within = (away <= self.reaches[nearest] + _ROUNDING) & patterns.any(axis=1)
        return np.where(within, nearest, -1)


def _squared_distances(patterns: Floats, centres: Floats) -> Floats:
    """Shape (n, k); as a product of matrices, for there may be a million patterns."""
    squares = (patterns**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1)
    return np.asarray(np.maximum(0.0, squares - 2 * patterns @ centres.T))
