"""Images that are not independent, such as those of one patient, averaged into one unit of evidence each.

Thirty pictures of one patient are nearer to one observation than to thirty: with a correlation of 0.3 within
clusters of 20, a t test at 5 % rejects a true null hypothesis 26 % of the time. So each cluster counts
once in a group, with its mean.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from math import fsum

import numpy as np
from numpy.typing import NDArray

from transforms.judge.groups import groups_of
from transforms.judge.heat import UNIT
from transforms.judge.statistics import Tally
from transforms.records import Group, Score, Swap

ClusterKey = tuple[Group, str]
"""The group of a model or of one of its classes, and a cluster."""

_Value = tuple[str, str] | None
_NOTHING = np.zeros(2, np.int64)


@dataclasses.dataclass(eq=False)
class ClusterShares:
    """The density shares of one cluster in one model or class, whole and by slice; integers that add up.

    Attributes:
        sums: None for the whole, (slice key, slice value) for a slice -> int64 of shape (2,): scores, and
            the sum of their density shares in units of 2^-32.
    """

    sums: dict[_Value, NDArray[np.int64]]

    @classmethod
    def zero(cls) -> "ClusterShares":
        """No scores."""
        return cls({})

    def add(self, score: Score) -> None:
        """Counts one measured score, in place."""
        assert score.density_share is not None
        numbers = np.array([1, round(score.density_share * UNIT)], np.int64)
        for value in (None, *dict.fromkeys((entry.key, entry.value) for entry in score.slices)):
            self.sums[value] = self.sums.get(value, _NOTHING) + numbers

    def __add__(self, other: "ClusterShares") -> "ClusterShares":
        both = dict(self.sums)
        for value, numbers in other.sums.items():
            both[value] = both.get(value, _NOTHING) + numbers
        return ClusterShares(both)

    def units(self, group: Group) -> Iterator[tuple[Group, Tally]]:
        """The cluster as one unit of its group and of each slice within it, as tallies to be added.

        Args:
            group: of the kind `model` or `class`.
        """
        whole = self.sums[None]
        for value, numbers in self.sums.items():
            tally = Tally.zero()
            if value is None:
                tally.add_unit(_mean(numbers))
                yield group, tally
            else:
                left = whole - numbers
                tally.add_unit(_mean(numbers), (_mean(whole), _mean(left) if left[0] else None))
                of_model = (group.model, group.method, group.target_layer)
                yield Group(*of_model, "slice", group.class_name, *value), tally


def clustered(score: Score) -> Iterator[tuple[ClusterKey, Score]]:
    """A measured score that belongs to a cluster, for its model and for its class."""
    if score.cluster is not None and score.status == "ok":
        for group in groups_of(score):
            if group.kind != "slice":
                yield (group, score.cluster), score


def mean_swap(swaps: Iterable[Swap]) -> Swap:
    """One swap for the swaps of one cluster, model and class: their means, with what they have in common.

    Of several donor classes, which only failures can bring about, it is the first by name. A cluster is in
    the slices in which all its images are; half in a slice it counts in the rest of the class, which can only
    hide a difference.

    Args:
        swaps: at least one, in any order.
    """
    ordered: Sequence[Swap] = sorted(swaps, key=lambda swap: (swap.example_id, swap.source, swap.position))
    values = {field.name: getattr(ordered[0], field.name) for field in dataclasses.fields(Swap)}
    means = {
        name: fsum(getattr(swap, name) for swap in ordered) / len(ordered)
        for name in ("gap", "own", "other", "residual")
    }
    common = set.intersection(*({(entry.key, entry.value) for entry in swap.slices} for swap in ordered))
    return Swap(
        **{
            **values,
            **means,
            "donor_class": min(swap.donor_class for swap in ordered),
            "slices": [entry for entry in ordered[0].slices if (entry.key, entry.value) in common],
        }
    )


def _mean(numbers: NDArray[np.int64]) -> float:
    return int(numbers[1]) / UNIT / int(numbers[0])
