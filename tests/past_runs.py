"""Runs as the pipeline leaves them below an output directory, without running it."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transforms.records import Finding, Score
from transforms.write.paths import RunPaths
from transforms.write.schemas import write_part


def id_of(model: str, kind: str, name: str) -> str:
    """The finding id of `make_finding`."""
    return hashlib.sha256(f"{model} {kind} {name}".encode()).hexdigest()[:16]


def make_finding(
    *,
    model: str = "m",
    kind: str = "class",
    name: str = "pill",
    verdict: str = "clear",
    swap_gap: float | None = None,
    density_share: float | None = 0.75,
    **columns: Any,
) -> Finding:
    """A finding; of a slice the name is `class, key=value`."""
    class_name, _, pair = name.partition(", ")
    key, _, value = pair.partition("=")
    known = {
        "finding_id": id_of(model, kind, name),
        "model": model,
        "group_kind": kind,
        "group_name": name,
        "class_name": None if kind == "model" else class_name,
        "slice_key": key or None,
        "slice_value": value or None,
        "verdict": verdict,
        "n": 40,
        "swap_gap": swap_gap,
        "density_share": density_share,
        "message": f"it is {verdict}",
    }
    empty = {field.name: None for field in dataclasses.fields(Finding)}
    return Finding(**{**empty, **known, **columns})


def write_run(
    output: Path,
    run_id: str = "r1",
    started: str = "2026-01-01T00:00:00.000+00:00",
    *,
    models: Mapping[str, str] | None = None,
    findings: Sequence[Finding] = (),
    scores: Mapping[str, Sequence[Score]] | None = None,
    judge: Mapping[str, Any] | None = None,
    failure: str | None = None,
    finished: bool = True,
    map_size: tuple[int, int] = (4, 4),
    **keys: Any,
) -> None:
    """A run's records and tables.

    Args:
        output: the output directory.
        run_id: its name.
        started: when, ISO 8601.
        models: the models and the verdict of each.
        findings: those of classes and slices.
        scores: part name -> rows.
        judge: keys of the config's `judge`.
        failure: why it is no complete audit.
        finished: whether it has a manifest and tables at all.
        map_size: of every model.
        keys: other keys of the manifest.
    """
    paths = RunPaths(str(output), run_id, started[:10])
    record = output / "runs" / run_id
    record.mkdir(parents=True)
    begun = {"run_id": run_id, "run_date": started[:10], "started": started}
    (record / "started.json").write_text(json.dumps(begun))
    if not finished:
        return
    models = {"m": "clear"} if models is None else models
    rows = [make_finding(model=m, kind="model", name=m, verdict=v) for m, v in models.items()]
    tables = {"findings": {"00000": [*rows, *findings]}, "scores": scores or {}}
    for table, parts in tables.items():
        for name, records in parts.items():
            path = Path(paths.part(table, name))
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                write_part(file, table, records, {})
    of_judge = {"confirm": True, "fdr": 0.1, "min_images": 30, "allowed_regions": [], "allowed_classes": []}
    manifest = {
        **begun,
        "name": "test",
        "complete": failure is None,
        "failure": failure,
        "rows": {"findings": len(rows) + len(findings)},
        "limit": None,
        "verdict_method": "hirescam",
        "models": [{"name": name, "target_layer": "last", "map_size": list(map_size)} for name in models],
        "data": {"listing_sha256": "abc"},
        "waivers": [],
        "config": {
            "data": {"format": "coco", "images": "/images"},
            "explain": {"polarity": "positive"},
            "judge": {**of_judge, "images_per_class": 300, "confirm_budget": 20000, **(judge or {})},
        },
        **keys,
    }
    (record / "manifest.json").write_text(json.dumps(manifest))
