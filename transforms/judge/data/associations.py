"""Bias of the data themselves: slice columns that go with the annotated class, before any model is trained.

A model can only learn a shortcut that the data offer. A column is tested as a whole, and each of its values
with each class.
"""

import math
from collections.abc import Iterator, Mapping

import numpy as np
from scipy import special

from transforms.geometry import Floats
from transforms.judge.data.contingency import MAX_VALUES, Contingency, Name
from transforms.judge.heat import UNIT
from transforms.judge.settings import JudgeSettings
from transforms.judge.statistics import benjamini_hochberg
from transforms.labels import AssociatedPair, Association

# Cohen's "medium" effect, of phi and of Cramér's V alike: below it a value hardly tells the class, however
# sure the association is.
MIN_EFFECT = 0.3
# Of a column the strongest pairs are listed, no more than this many.
MOST_PAIRS = 10
# The variance of chi-squared needs as many examples.
_FEWEST = 4


def associate(columns: Mapping[str, Contingency], settings: JudgeSettings) -> list[Association]:
    """Tests every column, and every value of it with every class.

    Args:
        columns: counts by slice key.
        settings: `fdr`, over all columns and over all pairs; `min_images`, the examples that are needed.

    Returns:
        One row for each column, in the order given; what cannot be tested says why.
    """
    reasons = {key: _untestable(counts, settings.min_images) for key, counts in columns.items()}
    tested = {key: counts for key, counts in columns.items() if reasons[key] is None}
    found = {key: column_test(counts) for key, counts in tested.items()}
    kept = dict(zip(tested, benjamini_hochberg([p for p, _ in found.values()], settings.fdr), strict=True))
    pairs = [(key, pair) for key, counts in tested.items() for pair in _pairs(counts)]
    real = benjamini_hochberg([pair.p_value for _, pair in pairs], settings.fdr)
    surviving: dict[str, list[AssociatedPair]] = {key: [] for key in tested}
    for (key, pair), is_real in zip(pairs, real, strict=True):
        if is_real and kept[key]:
            surviving[key].append(pair)
    rows = []
    for key, counts in columns.items():
        reason = reasons[key]
        if reason is not None:
            rows.append(_row(key, counts, f"not tested: {reason}"))
            continue
        p_value, effect = found[key]
        # Where many rare values each tell a little, none of them is strong though the column is.
        strong = [pair for pair in surviving[key] if pair.phi >= MIN_EFFECT]
        listed = strong or (surviving[key] if effect >= MIN_EFFECT else [])
        listed = sorted(listed, key=_strongest_first)
        nmi = normalised_mutual_information(counts.table()[2])
        message = _message(key, listed, nmi, p_value)
        rows.append(_row(key, counts, message, nmi, effect, p_value, bool(listed), listed[:MOST_PAIRS]))
    return rows


def normalised_mutual_information(table: Floats) -> float:
    """Mutual information of rows and columns over the mean of their entropies; in [0, 1].

    Args:
        table: weights, shape (values, classes); no row and no column is empty, and neither is alone.
    """
    joint = table / table.sum()
    rows, columns = joint.sum(axis=1), joint.sum(axis=0)
    expected = np.outer(rows, columns)
    filled = joint > 0
    information = float((joint[filled] * np.log(joint[filled] / expected[filled])).sum())
    entropies = [float(-(shares * np.log(shares)).sum()) for shares in (rows, columns)]
    return min(1.0, max(0.0, 2 * information / sum(entropies)))


def column_test(counts: Contingency) -> tuple[float, float]:
    """Whether a column as a whole goes with the class, by Pearson's chi-squared.

    Its mean and variance over all ways to deal the values out to the examples are known (Haldane, Biometrika
    1940), whatever the expected counts; a scaled chi-squared distribution with the same mean and variance
    gives the tail (Nass, Biometrika 1959). An example with several classes is dealt as a whole; such
    examples make the test conservative.

    Returns:
        The p-value; and Cramér's V in [0, 1], less what chance alone would give (as Bergsma, Journal of the
        Korean Statistical Society 2013, has it, but with the mean above).
    """
    values, classes, table = counts.table()
    total = counts.examples
    by_value = np.array([counts.values[value] for value in values], float)
    by_class = table.sum(axis=0)
    squares = np.array([counts.squares[name] for name in classes]) / UNIT
    chi_squared = total * float((table**2 / np.outer(by_value, by_class)).sum()) - total
    # Of examples with one class each these are the numbers of classes and the sum of 1 / count.
    mean, variance = chi_squared_moments(
        total,
        (float(len(values)), float((1 / by_value).sum())),
        (float((squares / by_class).sum()), float((squares / by_class**2).sum())),
    )
    if not (mean > 0 and variance > 0):
        return 1.0, 0.0
    p_value = float(special.gammaincc(mean**2 / variance, max(0.0, chi_squared) * mean / variance))
    most = total * (min(len(values), len(classes)) - 1)
    return p_value, math.sqrt(min(1.0, max(0.0, chi_squared - mean) / (most - mean))) if most > mean else 0.0


def chi_squared_moments(
    total: int, rows: tuple[float, float], columns: tuple[float, float]
) -> tuple[float, float]:
    """Mean and variance of Pearson's chi-squared over all tables with the same margins.

    Args:
        total: examples, 4 or more.
        rows: number of rows, and the sum of 1 / count over them.
        columns: the same of the columns.
    """
    (many_rows, inverse_rows), (many_columns, inverse_columns) = rows, columns
    spread = [(many - 1) * (total - many) / (total - 1) for many in (many_rows, many_columns)]
    skew = [
        (total * inverse - many**2) / (total - 2)
        for many, inverse in ((many_rows, inverse_rows), (many_columns, inverse_columns))
    ]
    mean = total * (many_rows - 1) * (many_columns - 1) / (total - 1)
    variance = 2 * total / (total - 3) * (spread[0] - skew[0]) * (spread[1] - skew[1])
    return mean, variance + total**2 / (total - 1) * skew[0] * skew[1]


def fisher_p_value(together: int, of_class: int, of_value: int, total: int) -> float:
    """Probability of so many examples with both, or more, if neither told anything of the other.

    The upper tail of the hypergeometric distribution: Fisher's exact test, one-sided.
    """
    if together <= max(0, of_class + of_value - total):
        return 1.0
    counts = np.arange(together, min(of_class, of_value) + 1, dtype=np.float64)
    logs = _log_choose(of_value, counts) + _log_choose(total - of_value, of_class - counts)
    whole = _log_choose(total, np.array([float(of_class)]))
    return min(1.0, float(np.exp(special.logsumexp(logs - whole))))


def _log_choose(total: int, chosen: Floats) -> Floats:
    return np.asarray(
        special.gammaln(total + 1) - special.gammaln(chosen + 1) - special.gammaln(total - chosen + 1)
    )


def _untestable(counts: Contingency, min_images: int) -> str | None:
    if counts.missing == counts.examples:
        return "in no record"
    if counts.too_many:
        return f"more than {MAX_VALUES} values, an id or a number rather than a slice"
    if len(counts.values) < 2:
        return f"the one value {next(iter(counts.values))} in every record"
    if len(counts.classes) < 2:
        return "all records are of one class"
    needed = max(min_images, _FEWEST)
    return None if counts.examples >= needed else f"{counts.examples} records, {needed} are needed"


def _pairs(counts: Contingency) -> Iterator[AssociatedPair]:
    values, classes, _ = counts.table()
    total = counts.examples
    for name in classes:
        for value in values:
            both, of_class, of_value = (
                counts.together[value, name],
                counts.classes[name],
                counts.values[value],
            )
            if of_class == total:  # every example shows it, among others
                continue
            spread = math.sqrt(of_class) * math.sqrt(of_value) * math.sqrt(total - of_class)
            yield AssociatedPair(
                value=value,
                class_name=name,
                records=both,
                share_in_class=both / of_class,
                share_elsewhere=(of_value - both) / (total - of_class),
                phi=(both * total - of_class * of_value) / (spread * math.sqrt(total - of_value)),
                p_value=fisher_p_value(both, of_class, of_value, total),
            )


def _strongest_first(pair: AssociatedPair) -> tuple[float, float, str, str]:
    """Of equals, as of a tag and its absence, the value that is rarer elsewhere comes first."""
    return -round(pair.phi, 9), pair.share_elsewhere, pair.class_name or "", pair.value or ""


def _row(
    key: str,
    counts: Contingency,
    message: str,
    nmi: float | None = None,
    cramers_v: float | None = None,
    p_value: float | None = None,
    associated: bool | None = None,
    pairs: list[AssociatedPair] | None = None,
) -> Association:
    return Association(
        slice_key=key,
        records=counts.examples,
        missing=counts.missing,
        values=None if counts.too_many else len(counts.values) - (None in counts.values),
        nmi=nmi,
        cramers_v=cramers_v,
        p_value=p_value,
        associated=associated,
        pairs=pairs or [],
        message=message,
    )


def _message(key: str, pairs: list[AssociatedPair], nmi: float, p_value: float) -> str:
    figures = f"normalised mutual information {nmi:.2f}, p = {p_value:.1g}"
    if not pairs:
        return f"no value of {key} tells the class ({figures})"
    strongest = pairs[0]
    others = len(pairs) - 1
    more = f", and {others} more pair{'s' if others > 1 else ''}" if others else ""
    shares = [f"{100 * share:.0f} %" for share in (strongest.share_in_class, strongest.share_elsewhere)]
    where = f"in {shares[0]} of {_class_in_words(strongest.class_name)} and {shares[1]} of the rest"
    found = f"{in_words(key, strongest.value)} {where}{more} ({figures})"
    return f"{found}: a model can learn {key} in place of the object"


def in_words(key: str, value: Name) -> str:
    """A value of a column: `camera=A`, or `no camera`."""
    return f"no {key}" if value is None else f"{key}={value}"


def _class_in_words(name: Name) -> str:
    return "the records without a class" if name is None else name
