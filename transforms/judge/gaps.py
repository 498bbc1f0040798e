"""Swap gaps of a class added up, and the evidence that the model depends on the background.

Integers only, as for every tally: the same swaps give the same rows on any number of shards.

The images of a biased class carry its shortcut. As donors of backgrounds they would convict every class that
is pasted onto them. So with three donor classes or more, evidence must stand without any one of them: the
e-value is the smallest of those that leave one donor class out. If one donor class is to blame, the value
without it is an e-value for the null hypothesis, and the smallest is no larger.
"""

import dataclasses
import math
from collections.abc import Iterator
from typing import Self

import numpy as np
from numpy.typing import NDArray

from transforms.judge.heat import UNIT
from transforms.judge.statistics import (
    BINS,
    least_lower_bound,
    least_upper_bound,
    log10_e_below,
    mean_bounds,
)
from transforms.records import Swap

_DONORS_TO_LEAVE_ONE_OUT = 3

GapKey = tuple[str, str | None, str | None]
"""Class, slice key and slice value. The last two are None for a class as a whole, and `EVERY` for all its
images by what they lose with their own background, with which its slices are compared."""
EVERY = ""


def gap_keys(swap: Swap) -> Iterator[GapKey]:
    """What a swap counts in."""
    yield swap.class_name, None, None
    if swap.slices:
        yield swap.class_name, EVERY, EVERY
    for entry in swap.slices:
        yield swap.class_name, entry.key, entry.value


@dataclasses.dataclass(eq=False)
class GapTally:
    """What the swaps of one class add up to.

    Attributes:
        donors: donor class -> int64 of shape (258,): 256 bins of (gap + 1) / 2, then the sums of gaps
            and of residuals in units of 2^-32.
    """

    donors: dict[str, NDArray[np.int64]]

    @classmethod
    def zero(cls) -> Self:
        """The tally of no swaps."""
        return cls({})

    def add(self, swap: Swap, *, own: bool = False) -> None:
        """Adds one swap.

        Args:
            swap: of one image, or the mean of a cluster.
            own: compare the other background with the image's own, not with another of the same class.
        """
        self.add_values(swap.donor_class, swap.own - swap.other if own else swap.gap, swap.residual)

    def add_values(self, donor_class: str, gap: float, residual: float = 0.0) -> None:
        """Adds a gap in [-1, 1] and a residual in [0, 1]."""
        numbers = self.donors.get(donor_class)
        if numbers is None:
            numbers = self.donors[donor_class] = np.zeros(BINS + 2, np.int64)
        numbers[min(BINS - 1, int((gap + 1) / 2 * BINS))] += 1
        numbers[BINS] += round(gap * UNIT)
        numbers[BINS + 1] += round(residual * UNIT)

    def __add__(self, other: "GapTally") -> "GapTally":
        nothing = np.zeros(BINS + 2, np.int64)
        names = {*self.donors, *other.donors}
        return GapTally({n: self.donors.get(n, nothing) + other.donors.get(n, nothing) for n in names})

    def __sub__(self, part: "GapTally") -> "GapTally":
        """The tally of the rest, where `part` is the tally of some of these swaps."""
        nothing = np.zeros(BINS + 2, np.int64)
        left = {name: self.donors[name] - part.donors.get(name, nothing) for name in self.donors}
        return GapTally({name: numbers for name, numbers in left.items() if numbers[:BINS].any()})

    @property
    def worst(self) -> str | None:
        """The donor class with the largest mean gap, where there are enough to do without it."""
        if len(self.donors) < _DONORS_TO_LEAVE_ONE_OUT:
            return None
        return max(sorted(self.donors), key=lambda name: _mean(self.donors[name], 0))

    def mean_of(self, donor_class: str) -> float:
        """Mean gap against the backgrounds of one class."""
        return _mean(self.donors[donor_class], 0)

    @property
    def count(self) -> int:
        """Swaps."""
        return int(self._all()[:BINS].sum())

    @property
    def gap(self) -> float:
        """Mean swap gap, without the worst donor class; needs a swap."""
        return _mean(self._all(self.worst), 0)

    @property
    def residual(self) -> float:
        """Mean probability of the class without its object; needs a swap."""
        return _mean(self._all(), 1)

    @property
    def histogram(self) -> NDArray[np.int64]:
        """256 bins of (gap + 1) / 2 over all donor classes."""
        return self._all()[:BINS]

    @property
    def left_out(self) -> list[str | None]:
        """The donor classes without any one of which evidence must stand; None: too few to do without."""
        return [*sorted(self.donors)] if self.worst is not None else [None]

    def bounds(self) -> tuple[float, float]:
        """Lower and upper bound of the mean gap, each valid with 95 % at any number of swaps.

        The lower one holds without any one donor class, the upper one without at most one, whichever it is:
        what is known of all donor classes together and of each set without one share the 5 %.
        """
        lower, upper = mean_bounds(self.histogram, 0.05 if self.worst is None else 0.025)
        if self.worst is not None:
            without = np.stack([self.without(name) for name in self.left_out])
            lower = least_lower_bound(without, 0.05)
            upper = min(upper, least_upper_bound(without, 0.025 / len(without)))
        return 2 * lower - 1, 2 * upper - 1

    def log10_e(self, epsilon: float) -> float:
        """Evidence against "the mean gap is at most epsilon", as log10 of an e-value."""
        # "Above" for gaps is "below" for their mirror image.
        return min(
            log10_e_below(self.without(name)[::-1], mirrored_threshold(epsilon)) for name in self.left_out
        )

    def without(self, donor_class: str | None) -> NDArray[np.int64]:
        """256 bins of (gap + 1) / 2 over all donor classes but one."""
        return self._all(donor_class)[:BINS]

    def _all(self, but: str | None = None) -> NDArray[np.int64]:
        """The numbers of all donor classes but one."""
        kept = (numbers for name, numbers in self.donors.items() if name != but)
        return np.asarray(sum(kept, start=np.zeros(BINS + 2, np.int64)))


def mirrored_threshold(epsilon: float) -> float:
    """What the mean of the mirror image of (gap + 1) / 2 is tested against; an e-value needs it in (0, 1)."""
    return 1 - min((epsilon + 1) / 2, 1 - 1 / BINS)


def _mean(numbers: NDArray[np.int64], index: int) -> float:
    count = int(numbers[:BINS].sum())
    return float(numbers[BINS + index]) / UNIT / count if count else math.nan
