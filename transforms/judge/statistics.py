"""Tallies that merge exactly in any order, and the statistics that follow from them.

A tally holds integers only: counts, a 256-bin histogram of the density share, and sums in fixed point, those
of where the heat outside the boxes lies among them.
Integer addition is associative, so the same scores give the same tally, bit for bit, on any number of
shards and workers; every mean, bound, e-value and test below is a function of the tally.

What evidence counts is a *unit*: a cluster of images that are not independent (`transforms.judge.clusters`),
or an image that belongs to no cluster.
"""

import dataclasses
import math
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import special

from transforms.judge.heat import UNIT, Heat
from transforms.records import Score
from transforms.regions import REGIONS

BINS = 256
STATUSES = ("ok", "zero_map", "not_finite", "no_box", "full_box")
_SUMS = (
    "energy_in_box",
    "box_area",
    "rank_accuracy",
    "energy_in_other_boxes",
    *REGIONS,
)
_COUNTS = (*STATUSES, "known", "correct", "peaks", "ranked")
# Density shares of the units: their number, sum and sum of squares. For a slice, also what its class loses
# when the slice is taken out of it.
_UNITS = ("units", "unit_share", "unit_share_squared")
_DISPLACED = ("displaced", "displaced_share", "displaced_share_squared")
_SLOT = {name: slot for slot, name in enumerate((*_COUNTS, *_SUMS, *_UNITS, *_DISPLACED))}
_OWN, _LOST = (slice(_SLOT[names[0]], _SLOT[names[-1]] + 1) for names in (_UNITS, _DISPLACED))

# Bets of the e-value, as shares of the largest that cannot go bankrupt.
_BETS = np.geomspace(0.02, 0.95, 16)


@dataclasses.dataclass(eq=False)
class Tally:
    """What a group of scores adds up to; `add` changes it, `+` and `-` make new ones.

    Attributes:
        numbers: int64 of shape (len(_SLOT),): counts, and sums in units of 2^-32.
        histogram: int64 of shape (256,): units by density share; bin b is [b/256, (b+1)/256).
        heat: where the heat outside the boxes lies, over the scores that say so.
    """

    numbers: NDArray[np.int64]
    histogram: NDArray[np.int64]
    heat: Heat

    @classmethod
    def zero(cls) -> Self:
        """The tally of no scores."""
        return cls(np.zeros(len(_SLOT), np.int64), np.zeros(BINS, np.int64), Heat.zero())

    @classmethod
    def of(cls, score: Score) -> Self:
        """The tally of one score."""
        tally = cls.zero()
        tally.add(score)
        return tally

    def merge(self, other: "Tally") -> None:
        """Adds another tally, in place."""
        self.numbers += other.numbers
        self.histogram += other.histogram
        self.heat.numbers += other.heat.numbers

    def add(self, score: Score) -> None:
        """Counts one score, in place; it is a unit unless it belongs to a cluster."""
        numbers = self.numbers
        numbers[_SLOT[score.status]] += 1
        if score.correct is not None:
            numbers[_SLOT["known"]] += 1
            numbers[_SLOT["correct"]] += score.correct
        if score.status != "ok":
            return
        if score.outside is not None:
            self.heat.add(score.outside)
        if score.cluster is None:
            share = _present(score.density_share)
            self.add_unit(share, (share, None))
        numbers[_SLOT["peaks"]] += bool(score.peak_in_box)
        values = {
            "energy_in_box": _present(score.energy_in_box),
            "box_area": score.box_area,
            "energy_in_other_boxes": _present(score.energy_in_other_boxes),
            **dict(zip(REGIONS, score.energy_by_region or (), strict=True)),
        }
        if score.rank_accuracy is not None:
            numbers[_SLOT["ranked"]] += 1
            values["rank_accuracy"] = score.rank_accuracy
        for name, value in values.items():
            numbers[_SLOT[name]] += round(value * UNIT)

    def add_unit(self, share: float, displaced: tuple[float, float | None] | None = None) -> None:
        """Counts one unit, in place.

        Args:
            share: its mean density share in the group.
            displaced: for a slice, the unit's mean in the class, and in the class without the slice; None
                there if nothing is left of it.
        """
        self.histogram[min(int(share * BINS), BINS - 1)] += 1
        self.numbers[_OWN] += _moments(share)
        if displaced is not None:
            whole, left = displaced
            self.numbers[_LOST] += _moments(whole)
            if left is not None:
                self.numbers[_LOST] -= _moments(left)

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.numbers + other.numbers, self.histogram + other.histogram, self.heat + other.heat)

    def __sub__(self, part: "Tally") -> "Tally":
        """The tally of the rest, where `part` is the tally of a slice of these scores.

        The histogram is that of the rest only where no cluster has images on both sides.
        """
        numbers = self.numbers - part.numbers
        numbers[_OWN] = self.numbers[_OWN] - part.numbers[_LOST]
        return Tally(numbers, self.histogram - part.histogram, self.heat - part.heat)

    def __reduce__(self) -> tuple[Any, ...]:
        """Compressed, since many tallies of few scores are shuffled: 3.5 kB for one score instead of 16.6."""
        whole = np.concatenate([self.numbers, self.histogram, self.heat.numbers])
        return _unpacked, (zlib.compress(whole.tobytes(), 1),)

    def count(self, name: str) -> int:
        """A count: a status, `known` or `correct` predictions, `peaks` inside, or `ranked` scores."""
        return int(self.numbers[_SLOT[name]])

    @property
    def rows(self) -> int:
        """All scores, measured or not."""
        return sum(self.count(status) for status in STATUSES)

    @property
    def measured(self) -> int:
        """Scores with status `ok`."""
        return self.count("ok")

    @property
    def units(self) -> int:
        """What evidence counts: clusters, and measured images that belong to none."""
        return self.count("units")

    @property
    def density_share(self) -> float | None:
        """Mean density share over the units, or None where there are none."""
        return int(self.numbers[_SLOT["unit_share"]]) / UNIT / self.units if self.units else None

    def mean(self, name: str) -> float | None:
        """Mean of another measure over the measured scores, or None where there are none."""
        count = self.count("ranked" if name == "rank_accuracy" else "ok")
        return float(self.numbers[_SLOT[name]]) / UNIT / count if count else None

    def variance(self) -> float:
        """Sample variance of the density share; needs two units or more."""
        total, squares = (int(self.numbers[_SLOT[name]]) for name in _UNITS[1:])
        return max(0.0, (squares / UNIT - (total / UNIT) ** 2 / self.units) / (self.units - 1))

    @property
    def accuracy(self) -> float | None:
        """Share of predictions that are right, among those with an annotated class."""
        known = self.count("known")
        return self.count("correct") / known if known else None


def log10_e_below(histogram: NDArray[np.int64], threshold: float) -> float:
    """Evidence against "the mean is at least `threshold`", as log10 of an e-value.

    A mixture of 16 fixed bets on 1 - value (Waudby-Smith and Ramdas, "Estimating means of bounded random
    variables by betting", JRSS-B 2024). Each value counts as the upper edge of its bin, which can only
    lower the e-value. Under the null hypothesis P(e >= 1/alpha) <= alpha at any sample size.

    Args:
        histogram: counts of values in [0, 1], shape (256,).
        threshold: the mean under the null hypothesis, in (0, 1).
    """
    return _log10_e_above(histogram[::-1], 1.0 - threshold)


def _log10_e_above(histogram: NDArray[np.int64], mean: float) -> float:
    """Evidence against "the mean is at most `mean`"; values count as their bin's lower edge."""
    return float(_log10_es_above(histogram[None], mean)[0])


def _log10_es_above(histograms: NDArray[np.int64], mean: float) -> NDArray[np.float64]:
    """The same of several histograms, shape (N, 256), as shape (N,)."""
    filled = np.flatnonzero(histograms.any(axis=0))
    gains = np.log1p(_BETS[:, None] * (filled / BINS / mean - 1)) @ histograms[:, filled].T
    evidence: NDArray[np.float64] = np.logaddexp.reduce(gains) - math.log(len(_BETS))
    return evidence / math.log(10)


def mean_bounds(histogram: NDArray[np.int64], alpha: float = 0.05) -> tuple[float, float]:
    """Lower and upper bound of the mean, each valid with probability 1 - alpha at any sample size.

    The bounds are the means that the e-value rejects at alpha; bisected to 2^-20.

    Args:
        histogram: counts of values in [0, 1], shape (256,).
        alpha: error rate of each bound by itself.

    Returns:
        (lower, upper), 0 and 1 where nothing can be said.
    """
    return least_lower_bound(histogram[None], alpha), least_upper_bound(histogram[None], alpha)


def least_lower_bound(histograms: NDArray[np.int64], alpha: float) -> float:
    """The smallest of the lower bounds of several means, which all of them reject.

    Args:
        histograms: counts of values in [0, 1], shape (N, 256).
        alpha: error rate of each bound by itself.
    """
    return _bisect(lambda mean: bool(_log10_es_above(histograms, mean).min() >= -math.log10(alpha)))


def least_upper_bound(histograms: NDArray[np.int64], alpha: float) -> float:
    """The smallest of the upper bounds of several means, likewise: any of them rejects what lies above."""
    mirrored = histograms[:, ::-1]
    return 1.0 - _bisect(lambda mean: bool(_log10_es_above(mirrored, mean).max() >= -math.log10(alpha)))


def _bisect(rejected: Callable[[float], bool]) -> float:
    """The end of the means from 0 on that are rejected, to 2^-20."""
    low, high = 0.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if rejected(middle) else (low, middle)
    return low


def e_benjamini_hochberg(log10_e: Sequence[float], fdr: float) -> list[bool]:
    """Which hypotheses to reject so that the expected share of false rejections is at most `fdr`.

    Wang and Ramdas, "False discovery rate control with e-values", JRSS-B 2022: the k largest, for the
    largest k with e_(k) >= m / (k fdr). Holds under any dependence.
    """
    count = len(log10_e)
    order = sorted(range(count), key=lambda i: -log10_e[i])
    rejected = [False] * count
    largest = max(
        (k for k, i in enumerate(order, 1) if log10_e[i] >= math.log10(count / (k * fdr))), default=0
    )
    for i in order[:largest]:
        rejected[i] = True
    return rejected


def benjamini_hochberg(p_values: Sequence[float], fdr: float) -> list[bool]:
    """Which hypotheses to reject; Benjamini and Hochberg, JRSS-B 1995."""
    count = len(p_values)
    order = sorted(range(count), key=lambda i: p_values[i])
    rejected = [False] * count
    largest = max((k for k, i in enumerate(order, 1) if p_values[i] <= k * fdr / count), default=0)
    for i in order[:largest]:
        rejected[i] = True
    return rejected


def log10_mean_e(log10_e: Sequence[float]) -> float:
    """log10 of the average e-value: itself an e-value, whatever the dependence."""
    natural = np.asarray(log10_e) * math.log(10)
    return float((np.logaddexp.reduce(natural) - math.log(len(natural))) / math.log(10))


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """95 % interval of a proportion; Wilson, JASA 1927. `count` must be positive."""
    z = 1.959963984540054
    share = hits / count
    middle = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def welch(slice_: Tally, rest: Tally) -> tuple[float, float]:
    """Whether a slice's mean density share lies below that of the rest.

    Returns:
        One-sided p-value of Welch's t test, and Cohen's d (positive where the slice is lower). Without
        any spread a difference gives p = 0 and infinite d, and no difference p = 1 and d = 0.
    """
    difference = _present(rest.density_share) - _present(slice_.density_share)
    variances = slice_.variance(), rest.variance()
    errors = variances[0] / slice_.units, variances[1] / rest.units
    error = sum(errors)
    if error == 0:
        return (0.0, math.inf) if difference > 0 else (1.0, 0.0 if difference == 0 else -math.inf)
    freedom = error**2 / (errors[0] ** 2 / (slice_.units - 1) + errors[1] ** 2 / (rest.units - 1))
    p_value = float(special.stdtr(freedom, -difference / math.sqrt(error)))
    return p_value, difference / math.sqrt(sum(variances) / 2)


def _unpacked(packed: bytes) -> Tally:
    whole = np.frombuffer(zlib.decompress(packed), np.int64).copy()
    numbers, histogram, heat = np.split(whole, [len(_SLOT), len(_SLOT) + BINS])
    return Tally(numbers, histogram, Heat(heat))


def _moments(share: float) -> NDArray[np.int64]:
    """A unit's count, share and squared share in fixed point."""
    return np.array([1, round(share * UNIT), round(share * share * UNIT)], np.int64)


def _present(value: float | None) -> float:
    """A measure of a score with status `ok` is never None."""
    assert value is not None
    return value
