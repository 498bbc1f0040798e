"""Pages that a person opens after a command: the comparison of two models, and the history of many runs.

Self-contained HTML: no request, no pixels of the data. All text is escaped by the templates.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TITLES = {"density_share": "density share", "swap_gap": "swap gap"}
# The most interesting first.
_ORDER = ("worse", "better", "inconclusive", "same")
_LETTERS = {
    "confirmed": "C",
    "hidden": "H",
    "suspect": "S",
    "insufficient": "i",
    "unsuspected": "u",
    "clear": "c",
}
# Pixels of a trend, and the ends of its axis and a line across it.
_WIDTH, _HEIGHT = 160, 32
_AXES = {"density_share": (0.0, 1.0, 0.5), "swap_gap": (-0.2, 1.0, 0.0)}


def comparison_page(found: Mapping[str, Any]) -> str:
    """The page of a comparison.

    Args:
        found: `baseline`, `candidate`, `method`, `margin`, `headline`, `reason`, `differences` and `changes`:
            dicts with the fields of `transforms.judge.comparison.Change`.
    """
    measures = []
    for measure in dict.fromkeys(change["measure"] for change in found["changes"]):
        changes = [change for change in found["changes"] if change["measure"] == measure]
        of_model = next(change for change in changes if change["group_kind"] == "model")
        counts = Counter(change["verdict"] for change in changes if change["group_kind"] == "class")
        measures.append(
            {
                "title": _TITLES[measure],
                "counted": "Classes: " + ", ".join(f"{counts[v]} {v}" for v in _ORDER if counts[v]) + ".",
                "unpaired": f"{of_model['n']:,} images were measured under both; "
                f"{of_model['only_baseline']:,} under the baseline only, "
                f"{of_model['only_candidate']:,} under the candidate only.",
                "rows": [_bar(change, found["margin"]) for change in sorted(changes, key=_interest)],
            }
        )
    return _TEMPLATES.get_template("comparison.html").render({**found, "measures": measures})


def _interest(change: Mapping[str, Any]) -> tuple[bool, int, str, float, str]:
    return (
        change["group_kind"] != "model",
        _ORDER.index(change["verdict"]),
        change["group_kind"],
        -abs(change["change"] or 0.0),
        change["group_name"],
    )


def _bar(change: Mapping[str, Any], margin: float) -> dict[str, Any]:
    """The row with pixels on an axis from -1 to 1, 200 wide."""
    row = dict(change)
    if change["lower"] is not None:
        row |= {f"{name}_x": round(100 + 100 * change[name], 1) for name in ("lower", "upper", "change")}
        row |= {"band_x": round(100 - 100 * margin, 1), "band_width": round(200 * margin, 1)}
    return row


def history_page(output: str, runs: Sequence[Mapping[str, Any]]) -> str:
    """The page of many runs.

    Args:
        output: the directory, for the heading.
        runs: oldest first; each `run_id`, `day`, `name` of the audit, `failure` (None where it is complete)
            and `findings`: rows of models and classes.
    """
    complete = [run for run in runs if run["failure"] is None]
    audits: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for run in complete:
        for model in sorted({row["model"] for row in run["findings"]}):
            audits.setdefault((run["name"], model), []).append(run)
    models = [
        {
            "audit": audit,
            "name": model,
            "newest": of_audit[-1]["run_id"],
            "rows": _trends(model, of_audit),
        }
        for (audit, model), of_audit in sorted(audits.items())
    ]
    return _TEMPLATES.get_template("history.html").render(
        output=output,
        runs=runs,
        failed=[run for run in runs if run["failure"] is not None],
        letters=[(letter, word) for word, letter in _LETTERS.items()],
        models=models,
    )


def _trends(model: str, runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row for the model and each class that any of the runs judged, the flagged first."""
    by_run = [
        {(row["group_kind"], row["group_name"]): row for row in run["findings"] if row["model"] == model}
        for run in runs
    ]
    rows = []
    for kind, name in {key: None for of_run in by_run for key in of_run}:
        found = [of_run.get((kind, name)) for of_run in by_run]
        verdicts = [row["verdict"] if row else None for row in found]
        rows.append(
            {
                "kind": kind,
                "name": name,
                "verdict": verdicts[-1],
                "trends": [_trend([row[key] if row else None for row in found], key) for key in _AXES],
                "strip": [
                    (verdict or "", _LETTERS.get(verdict or "", "\N{MIDDLE DOT}"), run["run_id"])
                    for verdict, run in zip(verdicts, runs, strict=True)
                ],
                "said": ", ".join(verdict or "none" for verdict in verdicts),
            }
        )
    order = [*_LETTERS, None]
    return sorted(rows, key=lambda row: (row["kind"] != "model", order.index(row["verdict"]), row["name"]))


def _trend(values: Sequence[float | None], measure: str) -> dict[str, Any]:
    """A line of one measure over the runs, broken where a run has no value."""
    low, high, mark = _AXES[measure]

    def at(value: float) -> float:
        share = (min(max(value, low), high) - low) / (high - low)
        return round(2 + (_HEIGHT - 4) * (1 - share), 1)

    step = (_WIDTH - 6) / max(len(values) - 1, 1)
    points = [
        None if value is None else (round(3 + step * i, 1), at(value)) for i, value in enumerate(values)
    ]
    before = [None, *points[:-1]]
    path = "".join(
        f"{'L' if last else 'M'}{point[0]} {point[1]}"
        for last, point in zip(before, points, strict=True)
        if point
    )
    there = [point for point in points if point]
    # A lone point draws no line.
    lone = [p for i, p in enumerate(points) if p and not before[i] and not [*points, None][i + 1]]
    said = ", ".join("none" if value is None else f"{value:.2f}" for value in values)
    return {
        "last": values[-1],
        "mark": at(mark),
        "path": path,
        "dots": list(dict.fromkeys([*lone, *there[-1:]])),
        "said": f"{_TITLES[measure]}: {said}",
    }
