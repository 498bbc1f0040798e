"""Does a model lose more by another background on the images of a slice than on the rest of the class?

If a tag hangs in the slice's pictures and the model relies on it, the background of another class costs them
more than it costs the others.
"""

import math

import numpy as np
from numpy.typing import NDArray

from transforms.judge.gaps import GapTally
from transforms.judge.statistics import BINS, log10_e_below


def log10_e_contrast(own: GapTally, rest: GapTally, epsilon: float) -> float:
    """Evidence against "the slice's mean is at most that of the rest plus epsilon", as log10 of an e-value.

    As for a class, evidence must stand without any one donor class.

    Args:
        own: what the slice's images lose: their probability as they are, less that on the other background.
        rest: the same of the other images of the class.
        epsilon: the difference that is tolerated, a difference of probabilities.
    """
    left_out = (own + rest).left_out
    return min(_log10_e_apart(own.without(name), rest.without(name), epsilon / 2) for name in left_out)


def _log10_e_apart(own: NDArray[np.int64], rest: NDArray[np.int64], margin: float) -> float:
    """Evidence against "mean(own) <= mean(rest) + margin" from two histograms of values in [0, 1].

    Were t the mean of the rest, then the evidence E(t) against "mean(own) <= t + margin" and F(t) against
    "mean(rest) >= t" would be e-values, and so would the average of E, F and 1 be. Nobody knows t; but the
    smallest over all t of (1 + max(E, F)) / 3, which is no more than the average at the true t, is an e-value
    then. E falls with t and F rises, so it lies where they cross. Between two points of the grid, E at the
    upper one and F at the lower one are the least there can be.
    """

    def against_own(step: int) -> float:
        mean = step / BINS + margin
        return -math.inf if mean >= 1 else log10_e_below(own[::-1], 1 - mean)

    def against_rest(step: int) -> float:
        return -math.inf if step == 0 else log10_e_below(rest, step / BINS)

    # The first interval [step, step + 1] on which the rest speaks louder than the slice.
    low, high = 0, BINS - 1
    while low < high:
        middle = (low + high) // 2
        if against_rest(middle) >= against_own(middle + 1):
            high = middle
        else:
            low = middle + 1
    least = max(against_rest(low), against_own(low + 1))
    if low > 0:
        least = min(least, max(against_rest(low - 1), against_own(low)))
    return float(np.logaddexp(0, least * math.log(10)) - math.log(3)) / math.log(10)
