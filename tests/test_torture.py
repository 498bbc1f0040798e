"""Data with every defect at once: exact counts, and the healthy records as if nothing stood beside them."""

import io
import json
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import yaml

from pipeline.config import load_config
from pipeline.plan import Plan

from .builders import encode, make_image, write_coco
from .test_audit import manifest_of, rows_of, run

HEALTHY = {f"{n:02d}.png": encode(make_image(width=20, height=24, seed=n)) for n in range(12)}
BOXES = {name: [("cat" if n % 2 else "dog", (2 + n % 3, 3, 9, 9))] for n, name in enumerate(HEALTHY)}
CATEGORIES = {"cat": 0, "dog": 1, "Cat": 2, "<script>alert(1)</script>": 3}
BOX = [2, 3, 9, 9]


def saved(kind: str, mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(make_image(width=20, height=24)).convert(mode).save(file, kind)
    return file.getvalue()


def bomb() -> bytes:
    """A PNG of 70 bytes that claims 3,600,000,000 pixels."""
    data = bytearray(encode(make_image(width=1, height=1)))
    data[16:24] = struct.pack(">II", 60000, 60000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


DEAD_FILES: Mapping[str, bytes] = {
    "cut.jpg": saved("JPEG")[:-200],
    "empty.jpg": b"",
    "text.jpg": b"<html>404</html>",
    "postscript.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n",
    "bomb.png": bomb(),
}
LIVING_FILES: Mapping[str, bytes] = {
    "png.jpg": saved("PNG"),
    "animated.gif": saved("GIF"),
    "photo.webp": saved("WEBP"),
    "press.jpg": saved("JPEG", "CMYK"),
    "grey.jpg": saved("JPEG", "L"),
    "palette.png": saved("PNG", "P"),
    "clear.png": saved("PNG", "RGBA"),
    "deep.png": encode(np.full((24, 20), 40000, np.uint16)),
    "pixel.png": encode(make_image(width=1, height=1)),
    "ä b?#.png": saved("PNG"),
}
# Annotations of a healthy picture that cost it.
BAD_BOXES: Mapping[str, Mapping[str, Any]] = {
    "three.png": {"bbox": [1, 2, 3]},
    "nan.png": {"bbox": [1, 2, float("nan"), 4]},
    "word.png": {"bbox": ["1", "2", "x", "4"]},
    "nothing.png": {"bbox": None},
    "shares.png": {"bbox": [0.1, 0.2, 0.5, 0.5]},
    "category.png": {"bbox": BOX, "category_id": 99},
}
# Annotations that are odd and counted, for pictures that live.
ODD_BOXES: Mapping[str, list[Mapping[str, Any]]] = {
    "line.png": [{"bbox": [2, 3, 0, 9]}],
    "inverted.png": [{"bbox": [9, 9, -3, 5]}],
    "outside.png": [{"bbox": [50, 50, 5, 5]}, {"bbox": BOX}],
    "twice.png": [{"bbox": BOX}, {"bbox": BOX}],
    "case.png": [{"bbox": BOX, "category_id": 2}],
    "html.png": [{"bbox": BOX, "category_id": 3}],
    "bare.png": [],
}
DEAD = {
    "corrupt_shard": 1,
    "duplicate_id": 1,
    "malformed_record": 6,
    "missing_image": 2,
    "too_many_pixels": 1,
    "undecodable_image": 4,
    "unsafe_path": 2,
    "wrong_unit": 1,
}
# Nobody looks at the annotations of the duplicate; of one pixel every box is outside.
DEFECTS = {"duplicate_box": 1, "inverted": 1, "no_annotations": 1, "outside": 2, "zero_area": 1}


def torture() -> dict[str, Any]:
    """A COCO document in which nearly nothing is as it should be."""
    names = [
        *DEAD_FILES,
        *LIVING_FILES,
        *BAD_BOXES,
        *ODD_BOXES,
        "gone.png",
        "../../etc/passwd",
        "/etc/passwd",
    ]
    images: list[dict[str, Any]] = [{"id": name, "file_name": name} for name in names]
    images += [{"id": "nameless"}, {"id": "again", "file_name": "00.png"}]
    boxed = (*DEAD_FILES, *LIVING_FILES, "gone.png", "unlisted.png")
    one: dict[str, list[Mapping[str, Any]]] = {name: [{"bbox": BOX}] for name in boxed}
    of_image = {**one, **{name: [fields] for name, fields in BAD_BOXES.items()}, **ODD_BOXES}
    annotations = [
        {"image_id": name, "category_id": 0, **fields} for name, found in of_image.items() for fields in found
    ]
    categories = [{"id": number, "name": name} for name, number in CATEGORIES.items()]
    return {"images": images, "annotations": annotations, "categories": categories}


def write(folder: Path, model: Path) -> Path:
    """The healthy data as `set-0.json`, and their config."""
    write_coco(folder, images=HEALTHY, boxes=BOXES).rename(folder / "set-0.json")
    document = {
        "name": "torture",
        "data": {
            "format": "coco",
            "images": "images",
            "annotations": "set-*.json",
            "class_map": {"cat": 0, "dog": 1},
            "max_bad_fraction": 1.0,
        },
        "models": [{"name": "tiny", "path": str(model)}],
        "judge": {"confirm": False},
        "output": "audits",
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(document))
    return folder / "config.yaml"


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Plan:
    return run(load_config(str(write(tmp_path_factory.mktemp("healthy"), tiny_model))))


@pytest.fixture(scope="module")
def tortured(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Plan:
    folder = tmp_path_factory.mktemp("tortured")
    config = write(folder, tiny_model)
    plain = dict.fromkeys([*BAD_BOXES, *ODD_BOXES], saved("PNG"))
    for name, data in {**DEAD_FILES, **LIVING_FILES, **plain}.items():
        (folder / "images" / name).write_bytes(data)
    (folder / "set-1.json").write_text(json.dumps(torture()))
    (folder / "set-2.json").write_text(json.dumps(torture())[:500])
    return run(load_config(str(config)))


def test_every_defect_has_its_reason_and_each_is_counted_once(tortured: Plan) -> None:
    manifest = manifest_of(tortured)
    letters = rows_of(tortured, "dead_letters")

    assert DEAD == manifest["dead_letters"]
    assert sum(DEAD.values()) == len(letters)
    assert DEFECTS == manifest["defects"]
    assert {"tiny": {"<script>alert(1)</script>": 1, "Cat": 1}} == manifest["unmapped"]
    assert manifest["complete"], manifest["failure"]


def test_every_record_is_a_row_a_dead_letter_or_counted_as_unmapped(tortured: Plan) -> None:
    rows = {row["example_id"] for row in rows_of(tortured, "scores")}
    letters = {row["example_id"] for row in rows_of(tortured, "dead_letters")}
    records = {entry.get("file_name") for entry in torture()["images"]}

    assert {*HEALTHY, *LIVING_FILES, *ODD_BOXES} - {"case.png", "html.png"} == rows
    assert records - {None} <= rows | letters | {"case.png", "html.png"}
    assert {"00.png"} == rows & letters


def test_healthy_rows_are_those_of_a_run_without_the_broken_ones(healthy: Plan, tortured: Plan) -> None:
    alone, among = (
        [row for row in rows_of(plan, "scores", ["source"]) if row["example_id"] in HEALTHY]
        for plan in (healthy, tortured)
    )

    assert 2 * len(HEALTHY) == len(alone)
    assert alone == among
    assert {} == manifest_of(healthy)["dead_letters"] == manifest_of(healthy)["defects"]


def test_boxes_without_area_or_outside_have_no_measures(tortured: Plan) -> None:
    status = {row["example_id"]: row["status"] for row in rows_of(tortured, "scores")}

    assert ["no_box"] * 3 == [status[name] for name in ("line.png", "inverted.png", "bare.png")]
    assert "ok" == status["outside.png"] == status["twice.png"]
