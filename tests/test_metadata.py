"""Metadata joined from a table by example id."""

import io
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.testing.util import assert_that, equal_to

from transforms.errors import DataError
from transforms.read.coco import CocoSettings
from transforms.read.files.wiring import list_shards
from transforms.read.metadata import read_metadata, with_metadata
from transforms.records import Slice

from .builders import encode, make_example, make_image, write_coco
from .shards import read_all

CSV = "file,site,day,extra\na.png,north,3,x\nb.png,,4,x\na.png,south,5,x\nc.png\n"
EXPECTED = {
    "a.png": [Slice("day", "3"), Slice("site", "north")],
    "b.png": [Slice("day", "4")],
    "c.png": [],
}


def test_csv_and_parquet_alike() -> None:
    rows = [
        {"file": "a.png", "site": "north", "day": 3},
        {"file": "b.png", "site": None, "day": 4},
        {"file": "a.png", "site": "south", "day": 5},
        {"file": "c.png", "site": None, "day": None},
    ]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    buffer.seek(0)
    keys = ["day", "absent", "site"]

    assert EXPECTED == read_metadata(io.BytesIO(CSV.encode()), "m.csv", "file", keys)
    assert EXPECTED == read_metadata(buffer, "m.parquet", "file", keys)


def test_the_datas_own_values_come_first_and_the_order_is_that_of_the_config() -> None:
    example = make_example(slices={"site": "own"})
    found = with_metadata(example, EXPECTED, ["site", "day", "other"])

    assert make_example(slices={"site": "own", "day": "3"}) == found
    assert make_example(example_id="z.png", slices={"site": "own"}) == with_metadata(
        make_example(example_id="z.png", slices={"site": "own"}), EXPECTED, ["site"]
    )


@pytest.mark.parametrize(
    ("path", "data", "message"),
    [
        ("m.csv", b"a,b\n1,2\n", "data.metadata: 'm.csv' has no column 'file'; columns: a, b"),
        (
            "m.parquet",
            b"a,b\n1,2\n",
            "data.metadata: 'm.parquet' cannot be read: Parquet magic bytes not found",
        ),
        ("m.csv", b"\xff\xfe", "data.metadata: 'm.csv' cannot be read: 'utf-8' codec can't decode byte 0xff"),
    ],
)
def test_what_is_no_such_table_is_told(path: str, data: bytes, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_metadata(io.BytesIO(data), path, "file", ["site"])

    assert str(caught.value).startswith(message)


def test_it_is_joined_while_the_data_are_read(tmp_path: Path) -> None:
    pictures = {name: encode(make_image()) for name in ("a.png", "b.png", "c.png")}
    path = write_coco(tmp_path, images=pictures, boxes={}, fields={"b.png": {"site": "own"}})
    (tmp_path / "m.csv").write_text(CSV)
    settings = CocoSettings(
        format="coco",
        images=str(tmp_path / "images"),
        annotations=str(path),
        metadata=str(tmp_path / "m.csv"),
        metadata_id="file",
    )
    expected = [
        ("a.png", [Slice("site", "north"), Slice("day", "3")]),
        ("b.png", [Slice("site", "own"), Slice("day", "4")]),
        ("c.png", []),
    ]
    with beam.Pipeline("FnApiRunner") as pipeline:
        found = read_all(pipeline, list_shards(settings).shards, settings, ["site", "day"])
        values = found["examples"] | beam.Map(lambda example: (example.example_id, example.slices))
        assert_that(values, equal_to(expected))


def test_a_missing_table_is_found_before_the_run(tmp_path: Path) -> None:
    path = write_coco(tmp_path, images={}, boxes={})
    settings = CocoSettings(
        format="coco", images=str(tmp_path), annotations=str(path), metadata=str(tmp_path / "m.csv")
    )
    with pytest.raises(DataError, match=r"^data\.metadata: '.*/m\.csv' cannot be read: "):
        list_shards(settings)
