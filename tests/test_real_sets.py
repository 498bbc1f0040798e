"""Real data sets of strangers, audited end to end; and a COCO file of a million annotations."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config import load_config
from transforms.regions import REGIONS

from .test_audit import manifest_of, rows_of, run

pytestmark = pytest.mark.slow


def audited(folder: Path, model: Path, data: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The manifest and the scores of an audit of `data`."""
    document = {
        "name": "real",
        "data": data,
        "models": [{"name": "tiny", "path": str(model)}],
        "explain": {"methods": ["hirescam"]},
        "judge": {"confirm": False},
        "output": str(folder / "audits"),
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(document))
    plan = run(load_config(str(folder / "config.yaml")))
    return manifest_of(plan), rows_of(plan, "scores")


def test_bccd(tmp_path: Path, tiny_model: Path, real_data: Path) -> None:
    """Blood cells: several classes on an image, and two boxes without area."""
    bccd = real_data / "bccd"
    (annotations,) = {str(path.parent) for path in bccd.rglob("*.xml")}
    (images,) = {str(path.parent) for path in bccd.rglob("*.jpg")}
    classes = {"RBC": 0, "WBC": 1, "Platelets": 2}
    data = {"format": "voc", "images": images, "annotations": f"{annotations}/*.xml", "class_map": classes}
    manifest, rows = audited(tmp_path, tiny_model, data)

    assert (364, {}, {}) == (manifest["records"], manifest["dead_letters"], manifest["unmapped"])
    assert 2 == manifest["defects"]["zero_area"]
    assert 354 <= len({row["example_id"] for row in rows if row["energy_in_other_boxes"]})
    assert all(len(REGIONS) == len(row["energy_by_region"]) for row in rows if row["status"] == "ok")
    assert 4888 - 2 == sum(row["box_count"] for row in rows)


def test_raccoon(tmp_path: Path, tiny_model: Path, real_data: Path) -> None:
    path = str(real_data / "tfrecords/raccoon_test.record")
    data = {"format": "tfrecord", "path": path, "class_map": {"raccoon": 1}}
    manifest, rows = audited(tmp_path, tiny_model, data)

    assert (40, {}, {}) == (manifest["records"], manifest["dead_letters"], manifest["unmapped"])
    assert (40, {"raccoon"}) == (len(rows), {row["target_name"] for row in rows})


READ = """
import re, sys
from transforms.read import coco
from transforms.read.common import Source
settings = coco.CocoSettings(format="coco", images="x", annotations="x")
with open(sys.argv[1], "rb") as file:
    boxes = sum(len(example.boxes) for example in coco.read(file, Source("x", "0", ()), settings))
print(boxes, int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) // 1024)
"""


@pytest.mark.timeout(900)
def test_a_million_annotations_take_less_than_500_megabytes(tmp_path: Path) -> None:
    chance = random.Random(0)
    with (tmp_path / "set.json").open("w") as file:
        images = [{"id": n, "file_name": f"{n:012d}.jpg"} for n in range(120_000)]
        file.write(
            f'{{"images": {json.dumps(images)}, "categories": [{{"id": 1, "name": "cat"}}], "annotations": ['
        )
        for number in range(1_000_000):
            box = [round(300 * chance.random(), 2) for _ in range(4)]
            entry = {"id": number, "image_id": chance.randrange(120_000), "category_id": 1, "bbox": box}
            file.write(
                (", " if number else "") + json.dumps({**entry, "segmentation": [box * 6], "area": 1.0})
            )
        file.write("]}")
    command = [sys.executable, "-c", READ, str(tmp_path / "set.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    boxes, megabytes = map(int, done.stdout.split())

    assert 1_000_000 == boxes
    assert megabytes < 500
