"""Parquet with images inside, as the `datasets` library of Hugging Face writes it."""

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from transforms.errors import DataError
from transforms.read import parquet
from transforms.read.common import Bad, Source, content_id
from transforms.read.objects import Keys
from transforms.records import Box, Example, Slice

IMAGE = {"bytes": b"pixels", "path": "a.jpg"}
OBJECTS = {"bbox": [[1.0, 2.0, 3.0, 4.0]], "category": [1]}


def written(rows: Sequence[Mapping[str, Any]], features: Any = None) -> bytes:
    table = pa.Table.from_pylist([dict(row) for row in rows])
    if features is not None:
        note = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": note})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def read(data: bytes, slices: Sequence[str] = (), **keys: Any) -> list[Example | Bad]:
    settings = parquet.ParquetSettings(format="parquet", path="x", **keys)
    return list(parquet.read(io.BytesIO(data), Source("/data/a.parquet", "00000", slices), settings))


def example(example_id: str = "a.jpg", position: int = 0, **fields: Any) -> Example:
    usual = {"image": b"pixels", "image_path": "", "boxes": [], "labels": [], "relative": False, "slices": []}
    return Example(
        example_id=example_id,
        source="/data/a.parquet",
        position=position,
        shard="00000-00000",
        **{**usual, **fields},
    )


def told(record: Example | Bad) -> tuple[int, str | None, str, str]:
    """What a bad record says: position, example id, reason and message."""
    assert isinstance(record, Bad)
    return record.position, record.example_id, record.error.reason, record.error.message


@pytest.mark.parametrize(
    "objects", [OBJECTS, [{"bbox": [1.0, 2.0, 3.0, 4.0], "category": 1}]], ids=["columns", "objects"]
)
def test_objects_are_columns_or_a_list(objects: Any) -> None:
    assert [example(boxes=[Box("1", 1.0, 2.0, 4.0, 6.0)])] == read(
        written([{"image": IMAGE, "objects": objects}])
    )


CLASSES = {"names": ["cat", "dog"], "_type": "ClassLabel"}


@pytest.mark.parametrize(
    "objects",
    [
        {"feature": {"category": CLASSES, "bbox": {}}, "_type": "Sequence"},
        [{"category": CLASSES}],
        {"category": {"feature": CLASSES, "_type": "Sequence"}},
        {"bbox": {}, "category": [CLASSES]},
    ],
    ids=["Sequence of a dict", "list of a dict", "dict of Sequences", "dict of lists"],
)
def test_class_numbers_get_the_names_of_the_file_itself(objects: Any) -> None:
    other = {"names": ["indoors", "outdoors"], "_type": "ClassLabel"}
    rows = [{"image": IMAGE, "objects": OBJECTS, "label": 0}]
    found = read(written(rows, {"objects": objects, "label": other, "image": {}}))

    assert [example(boxes=[Box("dog", 1.0, 2.0, 4.0, 6.0)], labels=["indoors"])] == found


@pytest.mark.parametrize("features", [[], {"objects": 3}, {"objects": {"category": {"names": 7}}}])
def test_features_that_say_nothing_are_no_obstacle(features: Any) -> None:
    (found,) = read(written([{"image": IMAGE, "objects": OBJECTS}], features))

    assert isinstance(found, Example)
    assert "1" == found.boxes[0].name


def test_ids_and_slices() -> None:
    rows = [
        {"image": {"bytes": b"pixels", "path": None}, "image_id": 7, "site": "north"},
        {"image": {"bytes": b"pixels", "path": "b.jpg"}, "image_id": None, "site": None},
        {"image": {"bytes": b"pixels", "path": None}, "image_id": None, "site": "south"},
    ]
    north, south = Slice("site", "north"), Slice("site", "south")

    assert [
        example("7", slices=[north]),
        example("b.jpg", 1),
        example(content_id(b"pixels"), 2, slices=[south]),
    ] == read(written(rows), ["site"])


def test_the_image_may_be_bytes_in_a_column_of_another_name() -> None:
    rows = [{"jpeg": b"pixels", "name": "a.jpg"}]

    assert [example()] == read(written(rows), keys=Keys(image="jpeg", id="name"))


def test_images_may_stand_elsewhere() -> None:
    rows = [{"image": {"bytes": None, "path": "a.jpg"}}, {"image": {"bytes": None, "path": "../a.jpg"}}]
    good, bad = read(written(rows), images="/photos")

    assert example(image=b"", image_path="/photos/a.jpg") == good
    assert (1, None, "unsafe_path", "image name '../a.jpg' leads out of the images folder") == told(bad)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"image": {"bytes": None, "path": "a.jpg"}}, "row 0 holds no image"),
        (
            {"image": IMAGE, "objects": {"bbox": [[1.0, 2.0, 3.0, 4.0]], "category": []}},
            "there are 1 boxes and 0 classes",
        ),
        (
            {"image": IMAGE, "objects": {"bbox": [[1.0, 2.0]], "category": [1]}},
            "box of '1' is [1.0, 2.0], not four numbers xywh",
        ),
    ],
)
def test_a_bad_row_costs_itself(row: Mapping[str, Any], message: str) -> None:
    bad, good = read(written([row, {"image": IMAGE}]))

    assert (0, None, "malformed_record", message) == told(bad)
    assert example(position=1) == good


def test_a_file_without_images_is_a_data_error() -> None:
    with pytest.raises(DataError) as caught:
        read(written([{"picture": b"", "objects": 3}]))

    assert "'/data/a.parquet' has no column 'image' of images; its columns: picture, objects" == str(
        caught.value
    )


def test_what_is_no_parquet_is_a_data_error() -> None:
    good = written([{"image": IMAGE}])
    for data in (b"", b"PAR1", b"{}", good[:-4], good[:4] + b"\xff" * 60 + good[64:]):
        with pytest.raises(DataError, match=r"^'/data/a.parquet' is not Parquet that can be read: "):
            read(data)
