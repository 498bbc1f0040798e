"""Computed slices are tested apart from the user's own: dozens of them shall not dilute the few asked for."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from transforms.columns import COMPUTED_KEYS

Key = TypeVar("Key")


def is_computed(slice_key: str | None) -> bool:
    """Whether a slice key is that of a computed column."""
    return slice_key in COMPUTED_KEYS


def reject_by_family(
    evidence: Mapping[Key, float],
    slice_key: Callable[[Key], str | None],
    rule: Callable[[Sequence[float]], list[bool]],
) -> dict[Key, bool]:
    """Which hypotheses are rejected, with the false discovery rate controlled in each family by itself.

    Args:
        evidence: p-values or e-values.
        slice_key: of a hypothesis, by which its family is known.
        rule: which of a family to reject.
    """
    rejected: dict[Key, bool] = {}
    for computed in (False, True):
        family = {key: value for key, value in evidence.items() if is_computed(slice_key(key)) == computed}
        rejected |= dict(zip(family, rule(list(family.values())), strict=True))
    return rejected
