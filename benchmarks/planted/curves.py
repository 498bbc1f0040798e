"""How well a score ranks: ROC curve, the area under it, and rank correlation."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats


def auroc(positives: Sequence[float], negatives: Sequence[float]) -> float | None:
    """Chance that a random positive scores above a random negative, ties by half; None without both."""
    if not positives or not negatives:
        return None
    ranks = stats.rankdata([*positives, *negatives])
    above = ranks[: len(positives)].sum() - len(positives) * (len(positives) + 1) / 2
    return float(above / (len(positives) * len(negatives)))


def roc(positives: Sequence[float], negatives: Sequence[float]) -> NDArray[np.floating]:
    """(False, true positive rate) at every threshold, `[P, 2]`, from (0, 0) to (1, 1)."""
    thresholds = np.unique([*positives, *negatives])[::-1]
    found = [[np.mean(np.asarray(side) >= t) for side in (negatives, positives)] for t in thresholds]
    return np.array([[0.0, 0.0], *found])


def spearman(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Correlation of the ranks, ties sharing theirs; None below three pairs or where all are equal."""
    if len(xs) < 3 or len(set(xs)) == 1 or len(set(ys)) == 1:
        return None
    return float(np.corrcoef(stats.rankdata(xs), stats.rankdata(ys))[0, 1])
