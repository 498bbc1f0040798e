"""The manifest: what a run read, used, found and wrote; written last, so its presence means the end."""

import dataclasses
import datetime
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from transforms.columns import COMPUTED_KEYS
from transforms.health import Health
from transforms.labels import AssociatedPair, Association
from transforms.records import Finding
from transforms.write.paths import RunPaths
from transforms.write.schemas import SCHEMA_VERSION, TABLES

FLAGS = ("confirmed", "hidden", "suspect")

# What is counted in the pipeline: ("records",), ("clustered",), ("recalled",), ("dead_letters", reason),
# ("defect", kind), ("unmapped", model, name), ("slice", key), ("allowed", name),
# ("status", model, method, status).
Counts = Mapping[tuple[str, ...], int]


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """What is known of a run before its pipeline starts.

    Attributes:
        paths: where its files go.
        name: the audit's name from the config.
        started: UTC time, ISO 8601.
        max_bad_fraction: share of dead letters above which the run fails.
        models: names of the models, each of which must have been scored on something.
        slices: the slice keys that the config asks for.
        details: parts of the manifest that do not depend on the outcome, ready for JSON.
    """

    paths: RunPaths
    name: str
    started: str
    max_bad_fraction: float
    models: Sequence[str]
    slices: Sequence[str]
    details: dict[str, Any]

    @property
    def metadata(self) -> dict[str, str]:
        """Key-value metadata of every Parquet file of the run."""
        return {
            "run_id": self.paths.run_id,
            "tool_version": str(self.details["tool"]["version"]),
            "config_sha256": str(self.details["config_sha256"]),
        }


@dataclasses.dataclass(frozen=True)
class Part:
    """One Parquet file: its table, its name within it, and its number of rows."""

    table: str
    name: str
    rows: int


def build_manifest(
    run: RunRecord,
    counts: Counts,
    parts: Iterable[Part],
    findings: Sequence[Finding],
    associations: Sequence[Association],
    health: Sequence[Health],
    finished: datetime.datetime,
) -> dict[str, Any]:
    """The manifest as a dict ready for JSON.

    Args:
        run: what was known before.
        counts: what the pipeline counted.
        parts: every file of every table.
        findings: every finding.
        associations: one for each slice column, in any order.
        health: of the models whose heatmaps were compared with those of controls.
        finished: UTC time.
    """
    records = counts.get(("records",), 0)
    dead = _counted(counts, "dead_letters")
    failure = _failure(run, counts, records, dead)
    seconds = (finished - datetime.datetime.fromisoformat(run.started)).total_seconds()
    rows = Counter(dict.fromkeys(TABLES, 0))
    for part in parts:
        rows[part.table] += part.rows
    return {
        "schema_version": SCHEMA_VERSION,
        "complete": failure is None,
        "failure": failure,
        "run_id": run.paths.run_id,
        "run_date": run.paths.run_date,
        "name": run.name,
        "started": run.started,
        "finished": finished.isoformat(timespec="seconds"),
        "wall_seconds": round(seconds, 3),
        "images_per_second": round(records / seconds, 3) if seconds > 0 else None,
        "records": records,
        "rows": dict(rows),
        "statuses": _nested(counts, "status"),
        "dead_letters": dead,
        "unmapped": _nested(counts, "unmapped"),
        "defects": _counted(counts, "defect"),
        "slices": {key: counts.get(("slice", key), 0) for key in run.slices},
        "clustered": counts.get(("clustered",), 0),
        "recalled": counts.get(("recalled",), 0),
        "allowed_classes": _counted(counts, "allowed"),
        "verdicts": _verdicts(findings),
        "tests": _tests(findings),
        "flagged": [
            {
                name: getattr(finding, name)
                for name in ("finding_id", "model", "group_kind", "group_name", "verdict")
            }
            for finding in sorted(findings, key=lambda f: (f.model, f.group_kind, f.group_name))
            if finding.verdict in FLAGS
        ],
        **run.details,
        "models": _models(run.details["models"], health),
        "data": {**run.details["data"], "associations": _associations(run.slices, associations)},
    }


def to_json(document: Any) -> str:
    """JSON as the run's files have it: indented, keys in the order given."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _failure(run: RunRecord, counts: Counts, records: int, dead: Mapping[str, int]) -> str | None:
    """Why the run is no complete audit, or None."""
    if not records:
        return "no record was read"
    reasons = ", ".join(f"{count} {reason}" for reason, count in dead.items())
    share, limit = sum(dead.values()) / records, run.max_bad_fraction
    if share > limit:
        return (
            f"{sum(dead.values())} of {records} records are dead letters ({reasons}): {share:.4g} is more "
            f"than max_bad_fraction, {limit:g}; see the table dead_letters"
        )
    if "corrupt_shard" in dead and limit < 1:
        return (
            f"corrupt shards: {dead['corrupt_shard']}, and nobody knows how many records they held; see the "
            "table dead_letters, or set max_bad_fraction to 1 to go on without them"
        )
    scored = {key[1] for key in counts if key[0] == "status"}
    for model in run.models:
        if model not in scored:
            return f"no record could be scored for model {model}: {_why_unscored(counts, dead)}"
    return None


def _why_unscored(counts: Counts, dead: Mapping[str, int]) -> str:
    names = sorted({key[2] for key in counts if key[0] == "unmapped"})
    if names:
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        return f"the class map has none of the annotated names ({shown})"
    return f"all are dead letters ({', '.join(dead)})"


def _counted(counts: Counts, kind: str) -> dict[str, int]:
    return {key[1]: count for key, count in sorted(counts.items()) if key[0] == kind}


def _nested(counts: Counts, kind: str) -> dict[str, Any]:
    """Counts of one kind as nested dicts, one level for each further part of the key."""
    tree: dict[str, Any] = {}
    for key, count in sorted(counts.items()):
        if key[0] == kind:
            branch = tree
            for part in key[1:-1]:
                branch = branch.setdefault(part, {})
            branch[key[-1]] = count
    return tree


def _associations(keys: Sequence[str], associations: Sequence[Association]) -> list[dict[str, Any]]:
    """The associations in the order of the config's slices, then the computed ones, ready for JSON."""
    order = [*keys, *COMPUTED_KEYS]
    rows = [
        _plain(row, Association) for row in sorted(associations, key=lambda row: order.index(row.slice_key))
    ]
    return [{**row, "pairs": [_plain(pair, AssociatedPair) for pair in row["pairs"]]} for row in rows]


def _plain(row: Any, kind: Any) -> dict[str, Any]:
    return {field.name: getattr(row, field.name) for field in dataclasses.fields(kind)}


def _tests(findings: Sequence[Finding]) -> dict[str, dict[str, int]]:
    """For each model how many hypotheses were tested and how; each of these is a family of its own."""
    tested = {
        "class_density_share": ("class", "log10_e_suspect"),
        "class_swap": ("class", "log10_e_confirmed"),
        "slice_density_share": ("slice", "p_value"),
        "slice_swap": ("slice", "log10_e_confirmed"),
    }
    counts = Counter(
        (finding.model, name)
        for finding in findings
        for name, (kind, column) in tested.items()
        if finding.group_kind == kind and getattr(finding, column) is not None
    )
    models = sorted({finding.model for finding in findings})
    return {model: {name: counts[model, name] for name in tested} for model in models}


def _models(models: Sequence[Mapping[str, Any]], health: Sequence[Health]) -> list[dict[str, Any]]:
    """What is known of each model, with its health last; None where it was not asked."""
    of_model = {row.model: _plain(row, Health) for row in health}
    for row in of_model.values():
        del row["model"]
    return [{**model, "health": of_model.get(model["name"])} for model in models]


def _verdicts(findings: Sequence[Finding]) -> dict[str, Any]:
    """For each model its own verdict, and how many of its classes and slices have which."""
    verdicts: dict[str, Any] = {}
    for finding in sorted(findings, key=lambda f: f.model):
        of_model = verdicts.setdefault(finding.model, {"model": None, "class": {}, "slice": {}})
        if finding.group_kind == "model":
            of_model["model"] = finding.verdict
        else:
            counted = of_model[finding.group_kind]
            counted[finding.verdict] = counted.get(finding.verdict, 0) + 1
    return verdicts
