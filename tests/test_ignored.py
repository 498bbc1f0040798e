"""Ignore regions: read from every format that has them, and neither inside nor outside when measured."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from transforms.explain.again.sampling import Donors, Sample, names_with_boxes
from transforms.labels import names_of
from transforms.measure.localization import density_share
from transforms.measure.wiring import located, score
from transforms.read.common import Source, is_true
from transforms.read.formats import FORMATS
from transforms.read.names import renamed
from transforms.records import Box, Example

from .builders import make_example, make_explanation
from .writers import message

EDGES = (1.0, 2.0, 4.0, 8.0)
EXPECTED = [Box("cat", *EDGES), Box("cat", *EDGES, ignored=True)]
APART = {"images": "photos", "annotations": "x"}


def coco() -> bytes:
    boxes = [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 6], "iscrowd": n} for n in (0, 1)]
    images, categories = [{"id": 1, "file_name": "a.jpg"}], [{"id": 1, "name": "cat"}]
    return json.dumps({"images": images, "annotations": boxes, "categories": categories}).encode()


def voc() -> bytes:
    bndbox = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>4</xmax><ymax>8</ymax></bndbox>"
    objects = [f"<object><name>cat</name><difficult>{n}</difficult>{bndbox}</object>" for n in (0, 1)]
    return f"<annotation><filename>a.jpg</filename>{''.join(objects)}</annotation>".encode()


def csv() -> bytes:
    return b"image,name,xmin,ymin,xmax,ymax,iscrowd\na.jpg,cat,1,2,4,8,0\na.jpg,cat,1,2,4,8,true\n"


def openimages() -> bytes:
    return b"ImageID,LabelName,XMin,XMax,YMin,YMax,IsGroupOf\na,cat,.1,.4,.2,.8,0\na,cat,.1,.4,.2,.8,1\n"


def boxes_in_parquet() -> bytes:
    one = {"image": "a.jpg", "name": "cat", "xmin": 1.0, "ymin": 2.0, "xmax": 4.0, "ymax": 8.0}
    return parquet_of([{**one, "is_crowd": n} for n in (False, True)])


def hugging_face() -> bytes:
    objects = {"bbox": [[1.0, 2.0, 3.0, 6.0]] * 2, "category": ["cat"] * 2, "iscrowd": [0, 1]}
    return parquet_of([{"image": {"bytes": b"x", "path": "a"}, "objects": objects}])


def parquet_of(rows: list[dict[str, Any]]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


def tfrecord(folder: Path) -> bytes:
    edges = zip(("xmin", "ymin", "xmax", "ymax"), (0.1, 0.2, 0.4, 0.8), strict=True)
    features = {f"image/object/bbox/{edge}": [value] * 2 for edge, value in edges}
    flags = {"image/object/class/text": [b"cat"] * 2, "image/object/is_crowd": [0, 1]}
    with tf.io.TFRecordWriter(str(folder / "a")) as writer:
        writer.write(message({"image/encoded": [b"x"], **features, **flags}))
    return (folder / "a").read_bytes()


@pytest.mark.parametrize(
    ("kind", "data", "keys"),
    [
        ("coco", coco(), APART),
        ("voc", voc(), APART),
        ("csv", csv(), APART),
        ("parquet_boxes", boxes_in_parquet(), APART),
        ("openimages", openimages(), APART),
        ("parquet", hugging_face(), {"path": "x"}),
        ("tfrecord", None, {"path": "x"}),
    ],
)
def test_every_format_says_in_its_own_way_what_is_to_be_ignored(
    kind: str, data: bytes | None, keys: dict[str, Any], tmp_path: Path
) -> None:
    settings = FORMATS[kind].settings.model_validate({"format": kind, **keys})
    file = io.BytesIO(tfrecord(tmp_path) if data is None else data)
    (found,) = FORMATS[kind].read(file, Source("x", "0", ()), settings)

    assert isinstance(found, Example)
    scale = 10 if found.relative else 1
    boxes = [(b.name, (b.xmin * scale, b.ymin * scale, b.xmax * scale, b.ymax * scale)) for b in found.boxes]
    assert [("cat", pytest.approx(EDGES))] * 2 == boxes
    assert [False, True] == [box.ignored for box in found.boxes]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *[(1, True), ("1", True), (True, True), ("True", True), (" yes ", True), (1.0, True)],
        *[(0, False), ("0", False), (None, False), ("", False), ("no", False), (2, False)],
    ],
)
def test_a_flag_is_yes_or_no(value: Any, expected: bool) -> None:
    assert expected == is_true(value)


def test_what_is_ignored_names_no_class_but_no_donor_may_show_it() -> None:
    crowd = [Box("dog", 0, 0, 4, 4), Box("cat", 4, 4, 9, 9, ignored=True)]
    example = make_example(example_id="crowd", boxes=crowd)
    samples = {"dog": Sample(2**62, 2**63), "cat": Sample(2**62, 2**63)}
    donors = Donors.among([example], samples)

    assert ["dog"] == names_of(example) == names_with_boxes(example)
    assert ("", []) == donors.others(make_example(example_id="a"), "cat", ["dog"])
    assert [False, True] == [box.ignored for box in renamed(example, {"dog": "hound"}).boxes]


def test_heat_in_an_ignored_region_is_neither_inside_nor_outside() -> None:
    """Four cells of equal heat: one in the box, one ignored, two outside."""
    boxes = {"target_boxes": [Box("cat", 0.0, 0.0, 4.0, 4.0)]}
    heatmap = np.ones((8, 8)).tolist()
    ignored = Box("cat", 4.0, 4.0, 8.0, 8.0, ignored=True)
    (plain,) = score(make_explanation(heatmap=heatmap, **boxes))
    (found,) = score(make_explanation(heatmap=heatmap, other_boxes=[ignored], **boxes))

    assert (0.25, 0.25) == (plain.energy_in_box, plain.box_area)
    assert (pytest.approx(1 / 3), pytest.approx(1 / 3)) == (found.energy_in_box, found.box_area)
    assert pytest.approx(density_share(1 / 3, 1 / 3)) == found.density_share
    assert 0 == found.energy_in_other_boxes
    outside = located(found).outside
    assert outside is not None
    assert [] == outside.company


def test_where_a_box_and_an_ignored_region_overlap_the_box_stands() -> None:
    boxes = [Box("cat", 0.0, 0.0, 4.0, 4.0)]
    over = Box("cat", 0.0, 0.0, 8.0, 4.0, ignored=True)
    (found,) = score(
        make_explanation(heatmap=np.ones((8, 8)).tolist(), target_boxes=boxes, other_boxes=[over])
    )

    assert (pytest.approx(1 / 3), pytest.approx(1 / 3)) == (found.energy_in_box, found.box_area)
