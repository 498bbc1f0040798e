"""What is evaluated: one row for each class of each model, its truth beside its verdict."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, Final

from benchmarks.planted.specs import KINDS
from benchmarks.planted.world import CLASSES

CONVICTED: Final = ("confirmed", "hidden")
"""Verdicts that a counterfactual stands behind."""

FLAGGED: Final = (*CONVICTED, "suspect")

INNOCENT_BELOW: Final = 0.02
"""A class whose R is nearer to 0 than this is innocent, whatever was planted."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One class of one model.

    Attributes:
        model: its name.
        role: as in `specs.Spec`.
        head: `gap` or `mlp`.
        class_name: the class.
        kind: the shortcut planted on the class, None for none.
        reliance: R, the accuracy lost when the shortcut is removed; 0 where none was planted.
        verdict: of the audit.
        screen_score: how far its density share lies below its reference, None where either is missing.
        log10_e_confirmed: evidence of the counterfactual, None where there was none.
        swap_gap: mean effect of the counterfactual, likewise.
        region: where the audit says the class looks, None for nowhere in particular.
    """

    model: str
    role: str
    head: str
    class_name: str
    kind: str | None
    reliance: float
    verdict: str
    screen_score: float | None
    log10_e_confirmed: float | None
    swap_gap: float | None
    region: str | None

    @property
    def is_innocent(self) -> bool:
        """Nothing planted, or nothing that the model relies on; legitimate context is neither."""
        return self.kind != "shadow" and abs(self.reliance) < INNOCENT_BELOW

    @property
    def is_convicted(self) -> bool:
        """Whether a counterfactual stands behind the verdict."""
        return self.verdict in CONVICTED


def class_rows(results: Iterable[dict[str, Any]]) -> list[Row]:
    """Every class of every result of `suite.run_suite`."""
    return [
        _row(result["spec"], finding, result["truth"])
        for result in results
        for finding in result["findings"]
        if finding["group_kind"] == "class"
    ]


def core(rows: Iterable[Row], head: str | None = None) -> list[Row]:
    """The rows of planted and clean models, of one head or of both."""
    return [row for row in rows if row.role in ("planted", "clean") and head in (None, row.head)]


def trained(rows: Iterable[Row]) -> list[Row]:
    """All rows but those of random weights."""
    return [row for row in rows if row.role != "random"]


def culprits(rows: Iterable[Row], low: float, high: float = 2.0, kinds: Sequence[str] = KINDS) -> list[Row]:
    """Rows with a shortcut of those kinds and low <= R < high."""
    return [row for row in rows if row.kind in kinds and low <= row.reliance < high]


def _row(spec: dict[str, Any], finding: dict[str, Any], truth: dict[str, dict[str, float]]) -> Row:
    name = finding["class_name"]
    kinds = [plant["kind"] for plant in spec["plants"] if _is_on(plant, name, truth)]
    share, reference = finding["density_share"], finding["peers_median"]
    return Row(
        model=spec["name"],
        role=spec["role"],
        head=spec["head"],
        class_name=name,
        kind=kinds[0] if kinds else None,
        reliance=truth[name]["R"] if kinds else 0.0,
        verdict=finding["verdict"],
        screen_score=None if share is None or reference is None else reference - share,
        log10_e_confirmed=finding["log10_e_confirmed"],
        swap_gap=finding["swap_gap"],
        region=finding["region"],
    )


def _is_on(plant: dict[str, Any], class_name: str, truth: dict[str, dict[str, float]]) -> bool:
    return class_name in truth and plant["label"] in (None, CLASSES.index(class_name))
