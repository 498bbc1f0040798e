"""LabelMe JSON: every shape is the box around it, and the image is looked for in one folder only."""

import io
import json
from collections.abc import Sequence
from typing import Any

import pytest

from transforms.read import labelme
from transforms.read.common import Bad, Source
from transforms.records import Box, Example, Slice

SETTINGS = labelme.LabelmeSettings(format="labelme", images="/photos", annotations="*.json")


def shape(*points: Sequence[Any], label: Any = "cat", kind: str = "rectangle") -> dict[str, Any]:
    return {"label": label, "points": [list(point) for point in points], "shape_type": kind}


def read(document: Any, slices: Sequence[str] = ()) -> Example | Bad:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    (record,) = labelme.read(io.BytesIO(data), Source("/data/a.json", "00000", slices), SETTINGS)
    return record


def of(*shapes: Any, path: Any = "a.jpg", **fields: Any) -> dict[str, Any]:
    return {"imagePath": path, "shapes": list(shapes), **fields}


def example(*boxes: Box, slices: Sequence[Slice] = ()) -> Example:
    return Example(
        "a.jpg", "/data/a.json", 0, "00000", b"", "/photos/a.jpg", list(boxes), [], False, list(slices)
    )


@pytest.mark.parametrize(
    "drawn",
    [
        shape((1, 2), (5, 8)),
        shape((5, 8), (1, 2)),
        shape((1, 8), (3, 2), (5, 4), kind="polygon"),
        shape((1, 2), (4, 7), kind="mask"),
    ],
    ids=["rectangle", "from the other corner", "polygon", "mask"],
)
def test_a_shape_is_the_box_around_it(drawn: dict[str, Any]) -> None:
    assert example(Box("cat", 1.0, 2.0, 5.0, 8.0)) == read(of(drawn))


def test_a_circle_is_a_centre_and_a_point_on_it() -> None:
    assert example(Box("cat", 5.0, 5.0, 15.0, 15.0)) == read(of(shape((10, 10), (13, 14), kind="circle")))


@pytest.mark.parametrize("path", ["../images/a.jpg", "C:\\photos\\a.jpg", "/etc/a.jpg"])
def test_of_the_image_path_only_the_name_counts(path: str) -> None:
    assert example() == read(of(path=path))


def test_slices_are_fields_and_flags() -> None:
    document = of(site="north", imageWidth=20, flags={"blurred": True, "checked": None})

    assert example(slices=[Slice("blurred", "true"), Slice("site", "north"), Slice("imageWidth", "20")]) == (
        read(document, ["blurred", "site", "checked", "imageWidth"])
    )


@pytest.mark.parametrize(
    ("document", "reason", "message"),
    [
        (b"<a/>", "malformed_record", "not JSON: Expecting value: line 1 column 1 (char 0)"),
        ([], "malformed_record", "not LabelMe JSON: there is no list 'shapes'"),
        ({"shapes": []}, "malformed_record", "not LabelMe JSON: there is no 'imagePath'"),
        (of(path=7), "malformed_record", "not LabelMe JSON: there is no 'imagePath'"),
        (of(path=".."), "unsafe_path", "image name '..' leads out of the images folder"),
        (of(shape((1, 2), label=" ")), "malformed_record", "a shape has no 'label'"),
        (of(7), "malformed_record", "a shape has no 'label'"),
        (of(shape()), "malformed_record", "the points of 'cat' are not pairs of numbers"),
        (of({"label": "cat"}), "malformed_record", "the points of 'cat' are not pairs of numbers"),
        (of(shape((1, 2, 3))), "malformed_record", "the points of 'cat' are not pairs of numbers"),
        (of(shape((1, "x"))), "malformed_record", "the points of 'cat' are not pairs of numbers"),
        (of(shape((1, 10**400))), "malformed_record", "the points of 'cat' are not pairs of numbers"),
        (
            of(shape((1, 1), kind="circle")),
            "malformed_record",
            "the points of 'cat' are not pairs of numbers",
        ),
        (
            of(shape((float("nan"), 1))),
            "malformed_record",
            "box of 'cat' has edges [nan, 1.0, nan, 1.0], which are not finite",
        ),
    ],
)
def test_what_is_wrong_is_told(document: Any, reason: str, message: str) -> None:
    found = read(document)

    assert isinstance(found, Bad)
    assert (reason, message) == (found.error.reason, found.error.message)
