"""A small data set, its config, and the rows of a run over it, for the tests of whole audits."""

import json
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow.parquet as pq
import pytest
import yaml

from pipeline.audit import audit
from pipeline.config import Config
from pipeline.plan import Plan, plan_run
from transforms.explain import wiring as explaining
from transforms.explain.explainer import Explainer
from transforms.write.kept import wiring as keeping

from .builders import encode, make_image, write_coco

IMAGES = 42
BATCH = 8
CLASSES = ("cat", "dog", "fish")


def photos() -> dict[str, bytes]:
    return {f"{i:02d}.png": encode(make_image(width=20 + i % 5, height=24, seed=i)) for i in range(IMAGES)}


def annotations() -> dict[str, list[tuple[str, tuple[float, float, float, float]]]]:
    """One box each, of changing class and size; every seventh image has a second class."""
    boxes = {}
    for index in range(IMAGES):
        name = CLASSES[index % 3]
        boxes[f"{index:02d}.png"] = [(name, (index % 4, 2, 6 + index % 7, 9))]
        if index % 7 == 0:
            boxes[f"{index:02d}.png"].append((CLASSES[(index + 1) % 3], (3, 3, 10, 10)))
    return boxes


def fields() -> dict[str, dict[str, str]]:
    """Two cameras, which take turns; the first 27 images are of three patients, who have both."""
    return {
        f"{index:02d}.png": {
            "camera": "AB"[index % 2],
            **({"patient": f"p{index // 9}"} if index < 27 else {}),
        }
        for index in range(IMAGES)
    }


def write_set(folder: Path, shards: int, shuffled: bool = False) -> None:
    """The same data set as that many COCO files, `set-0.json` and on, beside one folder of images."""
    document = json.loads(
        write_coco(folder, images=photos(), boxes=annotations(), fields=fields()).read_text()
    )
    images = document["images"]
    if shuffled:
        random.Random(0).shuffle(images)
    for shard in range(shards):
        part = {**document, "images": images[shard::shards]}
        ids = {image["id"] for image in part["images"]}
        part["annotations"] = [a for a in document["annotations"] if a["image_id"] in ids]
        (folder / f"set-{shard}.json").write_text(json.dumps(part))


def write_config(folder: Path, models: Mapping[str, Path], **changes: Any) -> Path:
    document = {
        "name": "test",
        "data": {
            "format": "coco",
            "images": "images",
            "annotations": "set-*.json",
            "class_map": {"cat": 0, "dog": [1, 2], "fish": 2},
        },
        "models": [{"name": name, "path": str(path)} for name, path in models.items()],
        "explain": {"batch_size": BATCH, "targets": ["annotated", "predicted"]},
        "slices": ["camera"],
        "cluster": "patient",
        "judge": {"min_images": 5, "images_per_class": 10, "health_images": 12},
        "output": "audits",
        **changes,
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def run(config: Config, run_id: str | None = None) -> Plan:
    plan = plan_run(config, runner="FnApiRunner", run_id=run_id)
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        audit(pipeline, config, plan)
    return plan


def dying(patch: pytest.MonkeyPatch, batches: int) -> None:
    """After that many batches explaining fails; until then each is kept."""
    usual, left = Explainer.explain, [batches]

    def explain(self: Explainer, examples: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("a cosmic ray")
        return usual(self, examples)

    patch.setattr(Explainer, "explain", explain)
    patch.setattr(explaining, "BATCHES", 1)
    patch.setattr(keeping, "OUTCOMES_A_FILE", BATCH)


def rows_of(plan: Plan, table: str, without: Iterable[str] = ()) -> list[dict[str, Any]]:
    """All rows of one run's table, in an order of their own."""
    files = sorted(Path(plan.run.paths.part(table, "x")).parent.glob("*.parquet"))
    rows = [row for file in files for row in pq.read_table(file, partitioning=None).to_pylist()]
    trimmed = [{key: value for key, value in row.items() if key not in without} for row in rows]
    return sorted(trimmed, key=repr)


def manifest_of(plan: Plan) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Path(plan.run.paths.record("manifest.json")).read_text())
    return document
