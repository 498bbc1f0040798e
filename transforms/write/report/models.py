"""What the page shows of each model and of the data."""

from typing import Any

from transforms.write.report.tables import Row, Tables
from transforms.write.report.words import MEANINGS, flagged, verdict_sentence

_STATUSES = ("ok", "zero_map", "not_finite", "no_box", "full_box")
# Annotated names that no class map has, of which so many are listed.
_MOST_NAMES = 20


def show_models(tables: Tables, shown: set[str], most_classes: int) -> list[dict[str, Any]]:
    """The models in the order of the config, ready for the template.

    Args:
        tables: of the run.
        shown: ids of the findings that have a part of the page, to be linked.
        most_classes: rows of classes at most, of all models together; each has an equal share of them.
    """
    models = tables.manifest["models"]
    return [
        {"anchor": f"model-{number}", **_show_model(facts, tables, shown, most_classes // len(models))}
        for number, facts in enumerate(models, 1)
    ]


def _show_model(facts: Row, tables: Tables, shown: set[str], most_classes: int) -> dict[str, Any]:
    name = facts["name"]
    finding = next(
        (row for row in tables.findings if (row["model"], row["group_kind"]) == (name, "model")), None
    )
    verdict = finding["verdict"] if finding else "insufficient"
    message = finding["message"] if finding else "nothing was scored"
    rows = tables.of_model(name, "class")
    epsilon = tables.manifest["config"]["judge"]["epsilon"]
    classes: list[dict[str, Any]] = [
        {
            "row": row,
            "summary": tables.summary_of(row),
            "href": f"#finding-{row['finding_id']}" if row["finding_id"] in shown else None,
        }
        for row in rows[:most_classes]
    ]
    return {
        "name": name,
        "facts": facts,
        "tests": tables.manifest.get("tests", {}).get(name, {}),
        "row": finding,
        "verdict": verdict,
        "severity": [*MEANINGS, verdict].index(verdict),
        "message": message,
        "sentence": verdict_sentence(verdict, rows, epsilon, message),
        "summary": tables.summary_of_model(name),
        "classes": classes,
        "classes_in_all": len(rows),
        "points": [_point(entry) for entry in classes if (entry["summary"] or {}).get("ok")],
        "slices": [row for row in tables.of_model(name, "slice") if flagged(row)],
        "slices_in_all": len(tables.of_model(name, "slice")),
        "query": tables.queries.classes(name),
    }


def _point(entry: Row) -> dict[str, Any]:
    row, summary = entry["row"], entry["summary"]
    return {
        "name": row["group_name"],
        "verdict": row["verdict"],
        "flagged": flagged(row),
        "href": entry["href"],
        "x": summary["box_area"],
        "y": summary["density_share"],
    }


def show_data(tables: Tables) -> dict[str, Any]:
    """What became of the records, ready for the template."""
    manifest, queries = tables.manifest, tables.queries
    dead = sum(manifest["dead_letters"].values())
    return {
        "records": manifest["records"],
        "dead": dead,
        "reasons": manifest["dead_letters"],
        "letters": tables.dead_letters,
        "statuses": [
            {
                "model": model,
                "method": method,
                "counts": [counts.get(status, 0) for status in _STATUSES],
                "rows": sum(counts.values()),
            }
            for model, methods in manifest["statuses"].items()
            for method, counts in methods.items()
        ],
        "status_names": _STATUSES,
        "unmapped": {
            model: sorted(names.items(), key=lambda item: (-item[1], item[0]))[:_MOST_NAMES]
            for model, names in manifest["unmapped"].items()
        },
        "unmapped_in_all": {model: len(names) for model, names in manifest["unmapped"].items()},
        "defects": manifest.get("defects", {}),
        "slices": manifest["slices"],
        "associations": manifest["data"]["associations"],
        "queries": {
            "letters": queries.dead_letters(),
            "letter_rows": queries.dead_letter_rows(),
            "statuses": queries.statuses(),
            "associations": queries.associations(),
        },
    }
