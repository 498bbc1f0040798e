"""The page of the docs that says how often the verdicts are right."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from benchmarks.planted.figures import Figure
from benchmarks.planted.rows import Row
from benchmarks.planted.specs import FIRST_SEED, Seeds

_HEAD: Final = """# How often the verdicts are right

Written by `{command}`; do not edit. {count} small networks were trained on pictures in which a class
carries a shortcut, or none does, and audited by `gradcam-audit run` as a user would. The truth about a class
is R, the accuracy that the trained model loses on fresh pictures when the shortcut is removed; a class is
innocent where R is nearer to 0 than 0.02. The score is how far a class's density share lies below its
reference. What is planted and why stands in [benchmarks/planted](../benchmarks/planted/README.md).

The seeds are the {seeds} ones, from {first}{caution}.

![The screen's ROC curves, and its score against R]({picture})

## Figures

| figure | measured | goal | met | rests on |
|---|---|---|---|---|
"""

_CAUTIONS: Final[dict[Seeds, str]] = {
    "reporting": ", which no rule was tuned on",
    "tuning": ": these figures flatter, since rules were tuned on them",
}


def render(
    figures: Sequence[Figure],
    rows: Sequence[Row],
    results: Sequence[dict[str, Any]],
    *,
    seeds: Seeds,
    command: str,
    picture: str,
) -> str:
    """The page as Markdown.

    Args:
        figures: what was measured.
        rows: every class of every model.
        results: of `suite.run_suite`.
        seeds: which ones were used.
        command: what the page is written by.
        picture: name of the picture beside the page.
    """
    head = _HEAD.format(
        command=command,
        count=len(results),
        seeds=seeds,
        first=FIRST_SEED[seeds],
        caution=_CAUTIONS[seeds],
        picture=picture,
    )
    return head + "\n".join(
        [
            *(_figure_line(figure) for figure in figures),
            "",
            "## Classes with something planted",
            "",
            "| model | class | planted | R | score | swap gap | verdict | region |",
            "|---|---|---|---|---|---|---|---|",
            *(_row_line(row) for row in rows if row.kind is not None),
            "",
            "## Innocent classes that are suspect or worse",
            "",
            *_innocents(rows),
            "",
            _cost(results),
            "",
        ]
    )


def _figure_line(figure: Figure) -> str:
    met = {True: "yes", False: "**no**", None: ""}[figure.met]
    return f"| {figure.name} | {_number(figure.value)} | {figure.goal} | {met} | {figure.detail} |"


def _row_line(row: Row) -> str:
    cells = (
        row.model,
        row.class_name,
        row.kind,
        f"{row.reliance:.2f}",
        _number(row.screen_score),
        _number(row.swap_gap),
        row.verdict,
        row.region or "",
    )
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def _innocents(rows: Iterable[Row]) -> list[str]:
    flagged = [row for row in rows if row.is_innocent and row.verdict in ("suspect", "confirmed", "hidden")]
    if not flagged:
        return ["None."]
    lines = (
        (row.model, row.class_name, _number(row.screen_score), _number(row.swap_gap), row.verdict)
        for row in flagged
    )
    table = ["| model | class | score | swap gap | verdict |", "|---|---|---|---|---|"]
    return [*table, *(f"| {' | '.join(line)} |" for line in lines)]


def _cost(results: Iterable[dict[str, Any]]) -> str:
    seconds = [result["seconds"] for result in results]
    parts = {
        name: sum(of_model[name] for of_model in seconds) / 60 for name in ("training", "truth", "audit")
    }
    shown = ", ".join(f"{name} {minutes:.1f}" for name, minutes in parts.items())
    return f"Minutes of one process, summed over the models: {shown}."


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
