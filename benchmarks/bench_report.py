"""How long the report of a large run takes, and how large it is. `make bench-report`.

Makes up the tables of a run of 1,000 classes and 50,000 scores, in which 60 findings have pictures, and
renders its report as `gradcam-audit report` does.
"""

import argparse
import dataclasses
import datetime
import hashlib
import io
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from pipeline.config import Config
from pipeline.report import report_again
from transforms.exemplars import Exemplar
from transforms.labels import AssociatedPair, Association
from transforms.records import DeadLetter, Finding, Score, Slice, Summary
from transforms.write.exemplars import FLAGS
from transforms.write.manifest import Part, RunRecord, build_manifest, to_json
from transforms.write.paths import RunPaths
from transforms.write.schemas import write_part
from transforms.write.wiring import write_text

_STARTED = "2026-03-01T00:00:00+00:00"
_ROLES = ("worst", "worst", "typical", "typical", "innocent", "innocent")
_SWAPPED = ("same_background", "other_background", "removed")


def make_run(
    output: Path,
    names: Sequence[str],
    *,
    flagged: int,
    scores: int,
    images: bool = True,
    slice_value: str = "A",
    side: int = 224,
) -> RunRecord:
    """Writes the tables and the manifest of a made-up run, without its report.

    Args:
        output: the output directory.
        names: of the classes, which both of its models, `honest` and `biased`, know.
        flagged: classes of `biased` that are flagged and have pictures.
        scores: rows of the table `scores`.
        images: whether pictures are kept.
        slice_value: the value of the slice column `camera`.
        side: pixels of the pictures.
    """
    random = np.random.default_rng(0)
    paths = RunPaths(str(output), "r1", "2026-03-01")
    run = RunRecord(
        paths,
        "made up",
        "2026-03-01T00:00:00+00:00",
        0.01,
        ["honest", "biased"],
        ["camera"],
        _details(images),
    )
    photos = [_photo(random, side) for _ in range(8)] if images else None
    findings = [
        _finding(model, "model", model, 0.9, FLAGS[0] if model == "biased" else "clear")
        for model in run.models
    ]
    summaries = [_summary(random, model, "model", model, 0.9) for model in run.models]
    for model in run.models:
        for index, name in enumerate(names):
            alarming = model == "biased" and index < flagged
            share = float(random.uniform(0.3, 0.6) if alarming else random.uniform(0.8, 1))
            found = _finding(model, "class", name, share, FLAGS[index % 3] if alarming else "clear")
            findings.append(_pictured(random, found, photos) if alarming else found)
            summaries.append(_summary(random, model, "class", name, share))
            of_slice = _finding(model, "slice", f"{name} (camera={slice_value})", share, "insufficient")
            findings.append(
                dataclasses.replace(of_slice, class_name=name, slice_key="camera", slice_value=slice_value)
            )
    letter = DeadLetter("read", f"{names[0]}.json", names[0], "malformed_record", f"record {names[0]}", 0)
    rows = {
        "scores": [
            _score(random, names[number % len(names)], number, slice_value) for number in range(scores)
        ],
        "summaries": summaries,
        "findings": findings,
        "dead_letters": [letter],
    }
    parts = [Part(table, "00000", len(records)) for table, records in rows.items()]
    for part in parts:
        path = Path(paths.part(part.table, part.name))
        path.parent.mkdir(parents=True)
        with path.open("wb") as file:
            write_part(file, part.table, rows[part.table], run.metadata)
    counts = {
        ("records",): scores,
        ("slice", "camera"): scores,
        ("dead_letters", "malformed_record"): 1,
        ("unmapped", "biased", f"not {names[0]}"): 2,
        **{("status", "biased", "hirescam", "ok"): scores},
    }
    pair = AssociatedPair(slice_value, names[0], 10, 0.9, 0.1, 0.8, 1e-9)
    association = Association(
        "camera", scores, 0, 1, 0.3, 0.5, 1e-9, True, [pair], f"camera tells {names[0]}"
    )
    finished = datetime.datetime(2026, 3, 1, 1, tzinfo=datetime.UTC)
    manifest = build_manifest(run, counts, parts, findings, [association], [], finished)
    started = {"run_id": paths.run_id, "run_date": paths.run_date, "started": run.started}
    for name, record in {"started.json": started, "manifest.json": manifest}.items():
        write_text(paths.record(name), to_json(record))
    return run


def _details(images: bool) -> dict[str, Any]:
    config = Config(
        name="made up",
        data={"format": "coco", "images": "images", "annotations": "set.json"},
        models=[{"name": name, "path": name} for name in ("honest", "biased")],
        report={"images": images},
        output="audits",
    )
    facts = {"sha256": "0123", "input_size": [224, 224], "target_layer": "last", "map_size": [7, 7]}
    return {
        "tool": {"name": "gradcam-audit", "version": "9.9"},
        "devices": ["CPU:0"],
        "runner": "FnApiRunner",
        "limit": None,
        "config": config.model_dump(mode="json"),
        "config_sha256": "4567",
        "verdict_method": "hirescam",
        "models": [
            {"name": model.name, "head": "softmax", "classes": 1000, **facts} for model in config.models
        ],
        "data": {"format": "coco", "files": 1, "bytes": 10},
    }


def _finding(model: str, kind: str, name: str, share: float, verdict: str) -> Finding:
    empty = {field.name: None for field in dataclasses.fields(Finding)}
    flagged = verdict in FLAGS
    known = {
        "finding_id": hashlib.sha256(f"{model} {kind} {name}".encode()).hexdigest()[:16],
        "model": model,
        "group_kind": kind,
        "group_name": name,
        "class_name": None if kind == "model" else name,
        "verdict": verdict,
        "n": 50,
        "log10_e_suspect": 9.0 if flagged else -1.0,
        "log10_e_confirmed": 6.0 if flagged else -1.0,
        "density_share": share,
        "peers_median": 0.9,
        "detectable_density_share": 0.75,
        "detectable_gap": 0.2,
        "swap_gap": 0.4 if flagged else 0.0,
        "swap_gap_lower": 0.3 if flagged else -0.05,
        "swap_gap_upper": 0.5 if flagged else 0.05,
        "residual": 0.6,
        "region": "bottom_left" if flagged else None,
        "region_share": 0.6 if flagged else None,
        "message": f"mean density share of {name} {share:.2f}",
    }
    return Finding(**{**empty, **known})


def _pictured(random: np.random.Generator, finding: Finding, photos: Sequence[bytes] | None) -> Finding:
    details = [
        Exemplar(
            role=role,
            example_id=f"{finding.class_name} {number}.jpg",
            background_id=None,
            background_class="another" if role == "other_background" else None,
            predicted_name=finding.class_name if role in _ROLES else None,
            probability=float(random.random()),
            density_share=float(random.random()) if role in _ROLES else None,
            boxes=[0.25, 0.25, 0.75, 0.75] if role in _ROLES else [],
            map_height=7 if role in _ROLES else None,
            map_width=7 if role in _ROLES else None,
            heatmap=random.random(49).tolist() if role in _ROLES else None,
        )
        for number, role in enumerate((*_ROLES, *_SWAPPED))
    ]
    kept = [photos[number % len(photos)] for number in range(len(details))] if photos else None
    return dataclasses.replace(finding, exemplar_details=details, exemplars=kept)


def _summary(random: np.random.Generator, model: str, kind: str, name: str, share: float) -> Summary:
    empty = {field.name: None for field in dataclasses.fields(Summary)}
    known = {
        **{"model": model, "method": "hirescam", "target_layer": "last"},
        **{"group_kind": kind, "group_name": name, "class_name": None if kind == "model" else name},
        **{"rows": 52, "ok": 50, "zero_map": 2, "not_finite": 0, "no_box": 0, "full_box": 0},
        **{"accuracy": 0.9, "energy_in_box": 0.6, "box_area": float(random.uniform(0.05, 0.6))},
        **{"density_share": share, "density_share_lower": share - 0.05, "density_share_upper": share + 0.05},
        **{"peak_in_box": 0.8, "peak_in_box_lower": 0.7, "peak_in_box_upper": 0.9},
        "density_share_histogram": random.multinomial(50, [1 / 256] * 256).tolist(),
        "atlas": (random.dirichlet([1] * 256) * 0.4).tolist(),
        "atlas_area": [0.8 / 256] * 256,
    }
    return Summary(**{**empty, **known})


def _score(random: np.random.Generator, name: str, number: int, slice_value: str) -> Score:
    empty = {field.name: None for field in dataclasses.fields(Score)}
    known = {
        **{"model": "biased", "method": "hirescam", "target_layer": "last", "target_rule": "annotated"},
        **{"example_id": f"{number}.jpg", "source": "set.json", "status": "ok", "target_name": name},
        **{"density_share": float(random.random()), "map_height": 7, "map_width": 7},
        "heatmap": random.random(49).tolist(),
        "slices": [Slice("camera", slice_value)],
    }
    return Score(**{**empty, **known})


def _photo(random: np.random.Generator, side: int) -> bytes:
    """A JPEG as large as those of photos: smooth at several scales."""
    pixels = np.zeros((side, side, 3))
    for scale in (8, 24, 64):
        coarse = PIL.Image.fromarray(random.integers(0, 256, (scale, scale, 3), np.uint8))
        pixels += np.asarray(coarse.resize((side, side), PIL.Image.Resampling.BICUBIC)) / 3
    file = io.BytesIO()
    PIL.Image.fromarray(pixels.astype(np.uint8)).save(file, "JPEG", quality=80)
    return file.getvalue()


def main() -> None:
    """Prints seconds and megabytes as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--flagged", type=int, default=60)
    parser.add_argument("--scores", type=int, default=50_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        names = [f"class {number:04}" for number in range(arguments.classes)]
        make_run(Path(folder), names, flagged=arguments.flagged, scores=arguments.scores)
        started = time.perf_counter()
        report = Path(report_again(folder, None))
        seconds = time.perf_counter() - started
        megabytes = report.stat().st_size / 1e6
    figures = vars(arguments)
    print(json.dumps({**figures, "seconds": round(seconds, 2), "megabytes": round(megabytes, 2)}))


if __name__ == "__main__":
    main()
