"""YOLO text: boxes and polygons in shares, the image by the file's own name."""

import io
from typing import Any

import pytest

from transforms.read import yolo
from transforms.read.common import Bad, Source
from transforms.records import Box, Example


def read(text: str | bytes, path: str = "/data/labels/a.txt", **keys: Any) -> Example | Bad:
    fields = {"images": "/photos", "annotations": "/data/labels/*.txt", **keys}
    settings = yolo.YoloSettings(format="yolo", **fields)
    data = text if isinstance(text, bytes) else text.encode()
    (record,) = yolo.read(io.BytesIO(data), Source(path, "00000", ()), settings)
    return record


def example(*boxes: Box, file_name: str = "a.jpg", path: str = "/data/labels/a.txt") -> Example:
    image_path = f"/photos/{file_name}"
    return Example(file_name, path, 0, "00000", b"", image_path, list(boxes), [], True, [])


def test_centre_and_size_become_edges() -> None:
    expected = example(Box("0", 0.25, 0.125, 0.75, 0.375), Box("12", 0.0, 0.0, 1.0, 1.0))

    assert expected == read("0 0.5 0.25 0.5 0.25\n\n  12 0.5 0.5 1 1  \n")


def test_a_polygon_is_the_box_around_it() -> None:
    assert example(Box("3", 0.25, 0.125, 0.5, 0.75)) == read("3 0.25 0.5 0.5 0.75 0.375 0.125")


def test_an_empty_file_is_an_image_without_boxes() -> None:
    assert example() == read("")


@pytest.mark.parametrize(
    ("path", "globs", "name"),
    [
        ("/data/labels/train/a.b.txt", "/data/labels/**/*.txt", "train/a.b.jpg"),
        ("/data/labels/train/a.txt", "/data/labels/*/*.txt", "train/a.jpg"),
        ("/data/labels/a.txt", "/data/labels/a.txt", "a.jpg"),
        ("gs://b/x/y/a.txt", ["gs://b/z/*.txt", "gs://b/x/**"], "y/a.jpg"),
        ("/elsewhere/a.txt", "*.txt", "a.jpg"),
    ],
)
def test_the_image_has_the_name_of_the_file_below_its_glob(path: str, globs: Any, name: str) -> None:
    assert example(file_name=name, path=path) == read("", path, annotations=globs)


@pytest.mark.parametrize(
    ("text", "reason", "message"),
    [
        ("cat 0.5 0.5 1 1", "malformed_record", "line 1 begins with 'cat', not with a class number"),
        ("\n0 0.5 0.5 1", "malformed_record", "line 2 has 3 numbers after the class; a box has 4"),
        ("0 0.5 0.5 1 1 0.9", "malformed_record", "line 1 has 5 numbers after the class; a box has 4"),
        (
            "0 a 0.5 1 1",
            "malformed_record",
            "box of '0' is ['a', '0.5', '1', '1'], not four numbers cxcywh",
        ),
        (
            "0 1 1 2 2 3 x",
            "malformed_record",
            "line 1 is not numbers: could not convert string to float: 'x'",
        ),
        (
            "0 nan 0.5 1 1",
            "malformed_record",
            "box of '0' has edges [nan, 0.0, nan, 1.0], which are not finite",
        ),
        (
            "0 250 100 50 20",
            "wrong_unit",
            "box of '0' has edges [225.0, 90.0, 275.0, 110.0], above 1, where shares are declared",
        ),
        (
            b"\xff\xfe",
            "malformed_record",
            "not UTF-8 text: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
        ),
    ],
)
def test_a_bad_line_costs_its_image(text: str | bytes, reason: str, message: str) -> None:
    found = read(text)

    assert isinstance(found, Bad)
    assert (reason, message) == (found.error.reason, found.error.message)
