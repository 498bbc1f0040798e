"""Tables of boxes, CSV and Parquet: rows become examples; what is wrong with a row is told of its image."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from transforms.errors import DataError
from transforms.read import csv_boxes, openimages, parquet_boxes
from transforms.read.common import Bad, Source
from transforms.read.tables import Columns
from transforms.records import Box, Example, Slice

HEADER = "image,name,xmin,ymin,xmax,ymax"
APART = {"images": "/photos", "annotations": "x"}


def read(text: str | bytes, slices: Sequence[str] = (), **keys: Any) -> list[Example | Bad]:
    settings = csv_boxes.CsvSettings(format="csv", **APART, **keys)
    data = text if isinstance(text, bytes) else text.encode()
    return list(csv_boxes.read(io.BytesIO(data), Source("/data/b.csv", "00000", slices), settings))


def example(file_name: str = "a.jpg", boxes: Sequence[Box] = (), position: int = 0, **fields: Any) -> Example:
    usual = {"labels": [], "relative": False, "slices": []}
    return Example(
        example_id=file_name,
        source="/data/b.csv",
        position=position,
        shard="00000-00000",
        image=b"",
        image_path=f"/photos/{file_name}",
        boxes=list(boxes),
        **{**usual, **fields},
    )


def told(record: Example | Bad) -> tuple[int, str | None, str, str]:
    """What a bad record says: position, example id, reason and message."""
    assert isinstance(record, Bad)
    return record.position, record.example_id, record.error.reason, record.error.message


def test_rows_of_an_image_need_not_stand_together() -> None:
    text = f"{HEADER}\na.jpg,cat,1,2,3,4\nb.jpg,dog,0,0,9,9\na.jpg,dog,5,6,7,8.5\n"
    boxes = [Box("cat", 1.0, 2.0, 3.0, 4.0), Box("dog", 5.0, 6.0, 7.0, 8.5)]

    assert [example(boxes=boxes), example("b.jpg", [Box("dog", 0.0, 0.0, 9.0, 9.0)], 1)] == read(text)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_seen_and_so_is_a_byte_order_mark(delimiter: str) -> None:
    text = f"{HEADER}\na.jpg,cat,1,2,3,4\n".replace(",", delimiter)

    assert [example(boxes=[Box("cat", 1.0, 2.0, 3.0, 4.0)])] == read(b"\xef\xbb\xbf" + text.encode())


def test_commas_may_be_decimal() -> None:
    quoted = f'{HEADER}\na.jpg,cat,"1,5","2,5",3,4\n'
    european = f"{HEADER.replace(',', ';')}\na.jpg;cat;1,5;2,5;3;4\n"

    assert [example(boxes=[Box("cat", 1.5, 2.5, 3.0, 4.0)])] == read(quoted) == read(european)


@pytest.mark.parametrize(
    ("layout", "numbers", "edges"),
    [
        ("xyxy", "1,2,4,8", (1.0, 2.0, 4.0, 8.0)),
        ("yxyx", "2,1,8,4", (1.0, 2.0, 4.0, 8.0)),
        ("xywh", "1,2,3,6", (1.0, 2.0, 4.0, 8.0)),
        ("cxcywh", "2.5,5,3,6", (1.0, 2.0, 4.0, 8.0)),
    ],
)
def test_the_same_box_in_every_layout(layout: str, numbers: str, edges: tuple[float, ...]) -> None:
    columns = Columns(box=("p", "q", "r", "s"))
    found = read(f"image,name,p,q,r,s\na.jpg,cat,{numbers}\n", columns=columns, layout=layout)

    assert [example(boxes=[Box("cat", *edges)])] == found


@pytest.mark.parametrize(
    ("edges", "expected"),
    [
        ("half_open", (1.0, 2.0, 4.0, 8.0)),
        ("inclusive", (1.0, 2.0, 5.0, 9.0)),
        ("one_based", (0.0, 1.0, 4.0, 8.0)),
    ],
)
def test_edges_become_half_open(edges: str, expected: tuple[float, ...]) -> None:
    assert [example(boxes=[Box("cat", *expected)])] == read(f"{HEADER}\na.jpg,cat,1,2,4,8\n", edges=edges)


def test_shares_are_shares() -> None:
    found = read(f"{HEADER}\na.jpg,cat,0.25,0,0.5,1\n", unit="shares")

    assert [example(boxes=[Box("cat", 0.25, 0.0, 0.5, 1.0)], relative=True)] == found


@pytest.mark.parametrize(
    ("unit", "numbers", "message"),
    [
        (
            "shares",
            "0.2,0.2,0.5,12",
            "box of 'cat' has edges [0.2, 0.2, 0.5, 12.0], above 1, where shares are declared",
        ),
        (
            "pixels",
            "0.2,0.2,0.5,1",
            "box of 'cat' has edges [0.2, 0.2, 0.5, 1.0], which are shares, where pixels are declared",
        ),
    ],
)
def test_a_contradicted_unit_is_told(unit: str, numbers: str, message: str) -> None:
    assert [(0, "a.jpg", "wrong_unit", message)] == [
        told(record) for record in read(f"{HEADER}\na.jpg,cat,{numbers}\n", unit=unit)
    ]


def test_a_box_of_one_pixel_in_the_corner_is_no_share() -> None:
    assert [example(boxes=[Box("cat", 0.0, 0.0, 1.0, 1.0)])] == read(f"{HEADER}\na.jpg,cat,0,0,1,1\n")


def test_a_row_without_numbers_is_a_label_and_one_without_a_class_nothing() -> None:
    found = read(f"{HEADER}\na.jpg,cat,,,,\nb.jpg,,,,,\n\nc.jpg\n")

    assert [example(labels=["cat"]), example("b.jpg", position=1), example("c.jpg", position=2)] == found


def test_slices_are_columns_of_the_first_row_of_an_image() -> None:
    found = read(f"{HEADER},site,day\na.jpg,cat,1,2,3,4,north,\na.jpg,cat,1,2,3,4,south,3\n", ["day", "site"])

    assert [[Slice("site", "north")]] == [r.slices for r in found if isinstance(r, Example)]


def test_other_columns_and_an_extension() -> None:
    columns = Columns(image="id", name="kind", box=("l", "t", "r", "b"))
    found = read("id,kind,l,t,r,b\na,cat,1,2,3,4\nb.JPG,cat,1,2,3,4\n", columns=columns, extension=".jpg")

    assert ["a.jpg", "b.JPG"] == [record.example_id for record in found if isinstance(record, Example)]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (",cat,1,2,3,4", (0, None, "malformed_record", "row 0 names no image")),
        (
            "a.jpg,cat,one,2,3,4",
            (0, "a.jpg", "malformed_record", "box of 'cat' is ['one', '2', '3', '4'], not four numbers xyxy"),
        ),
        (
            "a.jpg,cat,1,2,3",
            (0, "a.jpg", "malformed_record", "box of 'cat' is ['1', '2', '3', None], not four numbers xyxy"),
        ),
        ("a.jpg,,1,2,3,4", (0, "a.jpg", "malformed_record", "a box of 'a.jpg' has no class")),
        (
            "a.jpg,cat,1,nan,3,4",
            (
                0,
                "a.jpg",
                "malformed_record",
                "box of 'cat' has edges [1.0, nan, 3.0, 4.0], which are not finite",
            ),
        ),
        (
            "../../etc/passwd,cat,1,2,3,4",
            (
                0,
                "../../etc/passwd",
                "unsafe_path",
                "image name '../../etc/passwd' leads out of the images folder",
            ),
        ),
    ],
)
def test_a_bad_row_costs_its_image_and_no_other(row: str, expected: tuple[Any, ...]) -> None:
    found = read(f"{HEADER}\n{row}\nz.jpg,cat,1,2,3,4\na.jpg,cat,1,2,3,4\n")
    good = [record.example_id for record in found if isinstance(record, Example)]

    assert [expected] == [told(record) for record in found if isinstance(record, Bad)]
    assert {"z.jpg"} <= set(good)
    assert ("a.jpg" in good) == (expected[1] != "a.jpg")


def test_a_missing_column_is_named_with_those_that_are_there() -> None:
    with pytest.raises(DataError) as caught:
        read("image,name,xmin,ymin,xmax\n")

    assert (
        "'/data/b.csv' has no column 'ymax'; its columns: image, name, xmin, ymin, xmax. data.columns.box "
        "names another" == str(caught.value)
    )


@pytest.mark.parametrize("data", [b"", b"\x00\xff\x1f\x8b", b"{}"])
def test_what_is_no_csv_has_no_columns(data: bytes) -> None:
    with pytest.raises(DataError, match="has no column 'image' or 'filename' or"):
        read(data)


def test_a_cell_without_end_is_a_data_error_and_not_all_memory() -> None:
    with pytest.raises(DataError, match=r"^'/data/b.csv' is not CSV: field larger than field limit"):
        read(f'{HEADER}\na.jpg,"' + "x" * 200_000)


def write_parquet(path: Path, columns: Mapping[str, Sequence[Any]]) -> bytes:
    pq.write_table(pa.table(dict(columns)), path)
    return path.read_bytes()


def read_parquet(data: bytes, slices: Sequence[str] = (), **keys: Any) -> list[Example | Bad]:
    settings = parquet_boxes.ParquetBoxesSettings(format="parquet_boxes", **APART, **keys)
    return list(parquet_boxes.read(io.BytesIO(data), Source("/data/b.csv", "00000", slices), settings))


def test_parquet_is_the_same_table_typed(tmp_path: Path) -> None:
    data = write_parquet(
        tmp_path / "b.parquet",
        {
            "extra": [{"deep": [1]}] * 4,
            "ymax": [4.0, None, float("nan"), 4.0],
            "image": ["a.jpg", "b.jpg", "c.jpg", "a.jpg"],
            "class": [3, 5, None, 3],
            "xmin": [1.0, None, float("nan"), 1.5],
            "ymin": [2.0, None, float("nan"), 2.5],
            "xmax": [3.0, None, float("nan"), 3.5],
            "site": [7, 8, None, 9],
        },
    )

    assert [
        example(
            boxes=[Box("3", 1.0, 2.0, 3.0, 4.0), Box("3", 1.5, 2.5, 3.5, 4.0)], slices=[Slice("site", "7")]
        ),
        example("b.jpg", position=1, labels=["5"], slices=[Slice("site", "8")]),
        example("c.jpg", position=2),
    ] == read_parquet(data, ["site"])


def test_what_is_no_parquet_is_a_data_error(tmp_path: Path) -> None:
    good = write_parquet(tmp_path / "b.parquet", {"image": ["a"]})
    for data in (b"", b"PAR1", HEADER.encode(), good[:-1]):
        with pytest.raises(DataError, match=r"^'/data/b.csv' is not Parquet that can be read: "):
            read_parquet(data)
    with pytest.raises(DataError, match="has no column 'name' or 'class' or 'label'; its columns: image"):
        read_parquet(good)


OPEN_IMAGES = """ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf
000a,xclick,/m/01g317,1,0.25,"0,75",0.5,1,0,0,0
"""


def test_open_images_has_shares_codes_and_names_without_an_ending() -> None:
    settings = openimages.OpenImagesSettings(format="openimages", **APART)
    source = Source("/data/b.csv", "00000", ["Source"])
    found = list(openimages.read(io.BytesIO(OPEN_IMAGES.encode()), source, settings))
    box = Box("/m/01g317", 0.25, 0.5, 0.75, 1.0)

    assert [example("000a.jpg", [box], relative=True, slices=[Slice("Source", "xclick")])] == found
