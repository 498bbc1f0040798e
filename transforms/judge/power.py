"""What could have been seen: how far the data of a class would have to lie from its reference to be flagged.

The data themselves say how much they scatter. So a class's histogram is moved, bin by bin, until its e-value
is one that e-BH rejects even where no other has one: `tests / fdr`. A smaller effect could not have been
seen with so few images, and a class that is not flagged is not known to be without it.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from transforms.judge.gaps import GapTally, mirrored_threshold
from transforms.judge.statistics import BINS, Tally, log10_e_below

_MIDDLES = (np.arange(BINS) + 0.5) / BINS


def detectable_share(tally: Tally, threshold: float, tests: int, fdr: float) -> float | None:
    """The largest mean density share at which a class would have been suspect, in [0, 1].

    Args:
        tally: the class, with at least one unit.
        threshold: what its mean was tested against.
        tests: classes that were tested.
        fdr: false discovery rate.

    Returns:
        None where none would have been.
    """
    return _detectable(tally.histogram, [tally.histogram], threshold, tests / fdr)


def detectable_gap(gaps: GapTally, epsilon: float, tests: int, fdr: float) -> float | None:
    """The smallest mean swap gap at which a class would have been convicted, in [-1, 1]; else as above."""
    # "Above" for gaps is "below" for their mirror image.
    without = [gaps.without(name)[::-1] for name in gaps.left_out]
    mean = _detectable(gaps.histogram[::-1], without, mirrored_threshold(epsilon), tests / fdr)
    return None if mean is None else 1 - 2 * mean


def _detectable(
    whole: NDArray[np.int64], parts: Sequence[NDArray[np.int64]], threshold: float, needed: float
) -> float | None:
    """Mean of `whole` once it is moved so far that the e-value of every part is as large as needed."""

    def is_seen(step: int) -> bool:
        return min(log10_e_below(_lower(part, step), threshold) for part in parts) >= math.log10(needed)

    step = _first(is_seen, -BINS, BINS)
    return None if step is None else float(_lower(whole, step) @ _MIDDLES / whole.sum())


def _first(holds: Callable[[int], bool], low: int, high: int) -> int | None:
    """The least number from `low` to `high` for which something holds that then holds for all larger ones."""
    if not holds(high):
        return None
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return high


def _lower(histogram: NDArray[np.int64], step: int) -> NDArray[np.int64]:
    """The histogram with every value lower by so many bins, or higher where negative, within [0, 1]."""
    moved = np.zeros_like(histogram)
    np.add.at(moved, np.clip(np.arange(BINS) - step, 0, BINS - 1), histogram)
    return moved
