"""The form of a figure: what was measured, the goal, and whether it is met."""

import dataclasses
from collections.abc import Iterable

from transforms.judge.statistics import wilson_interval

NOT_AVAILABLE = "not available"


@dataclasses.dataclass(frozen=True)
class Figure:
    """One line of the results.

    Attributes:
        key: stable name, for scripts.
        name: what is measured.
        value: the figure, None where the tables do not hold what it needs or nothing was to be counted.
        detail: what it rests on, such as counts and an interval.
        goal: in words; empty for a figure that has none.
        met: None where there is no value or no goal.
    """

    key: str
    name: str
    value: float | None
    detail: str
    goal: str = ""
    met: bool | None = None


def at_least(key: str, name: str, value: float | None, detail: str, goal: float) -> Figure:
    """A figure that should be high."""
    met = None if value is None else value >= goal
    return Figure(key, name, value, detail, f"≥ {goal:g}", met)


def share(
    key: str,
    name: str,
    hits: Iterable[bool],
    *,
    low: float | None = None,
    high: float | None = None,
    missing: str | None = None,
) -> Figure:
    """The share of hits, with its 95 % Wilson interval.

    Args:
        key: stable name.
        name: what is measured.
        hits: one for each case.
        low: the goal, where the share should be at least this.
        high: the goal, where it should be at most this.
        missing: why it cannot be measured, where it cannot.
    """
    goal = _in_words(low, high)
    cases = list(hits)
    if missing is not None or not cases:
        return Figure(key, name, None, missing or "no such case in this run", goal)
    lower, upper = wilson_interval(sum(cases), len(cases))
    value = sum(cases) / len(cases)
    met = value >= low if low is not None else value <= high if high is not None else None
    detail = f"{sum(cases)} of {len(cases)}; 95 % interval {lower:.4f} to {upper:.4f}"
    return Figure(key, name, value, detail, goal, met)


def _in_words(low: float | None, high: float | None) -> str:
    if low is not None:
        return "all" if low == 1 else f"≥ {low:g}"
    if high is not None:
        return "none" if high == 0 else f"≤ {high:g}"
    return ""
