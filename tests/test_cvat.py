"""CVAT XML: a stream of images, of whose shapes each is the box around it."""

import io
from collections.abc import Sequence

import pytest

from transforms.errors import DataError
from transforms.read import cvat
from transforms.read.common import Bad, Source
from transforms.records import Box, Example, Slice

SETTINGS = cvat.CvatSettings(format="cvat", images="/photos", annotations="a.xml")


def read(inside: str | bytes, slices: Sequence[str] = ()) -> list[Example | Bad]:
    whole = (
        inside
        if isinstance(inside, bytes)
        else f"<annotations><version>1.1</version>{inside}</annotations>".encode()
    )
    return list(cvat.read(io.BytesIO(whole), Source("/data/a.xml", "00000", slices), SETTINGS))


def example(
    *boxes: Box,
    name: str = "a.jpg",
    position: int = 0,
    labels: Sequence[str] = (),
    slices: Sequence[Slice] = (),
) -> Example:
    path, part = f"/photos/{name}", "00000-00000"
    return Example(
        name, "/data/a.xml", position, part, b"", path, list(boxes), list(labels), False, list(slices)
    )


@pytest.mark.parametrize(
    ("shape", "edges"),
    [
        ('<box label="cat" xtl="1" ytl="2.5" xbr="5" ybr="8"/>', (1, 2.5, 5, 8)),
        ('<box label="cat" xtl="1" ytl="2" xbr="5" ybr="4" rotation="90"/>', (2, 1, 4, 5)),
        ('<polygon label="cat" points="1,8;3,2;5,4"/>', (1, 2, 5, 8)),
        ('<ellipse label="cat" cx="5" cy="6" rx="2" ry="3"/>', (3, 3, 7, 9)),
        ('<mask label="cat" rle="3, 4" left="2" top="3" width="4" height="5"/>', (2, 3, 6, 8)),
    ],
    ids=["box", "turned box", "polygon", "ellipse", "mask"],
)
def test_a_shape_is_the_box_around_it(shape: str, edges: Sequence[float]) -> None:
    (found,) = read(f'<image id="0" name="a.jpg">{shape}</image>')

    assert isinstance(found, Example)
    assert [("cat", pytest.approx(edges))] == [
        (b.name, (b.xmin, b.ymin, b.xmax, b.ymax)) for b in found.boxes
    ]


def test_tags_points_and_lines_are_labels() -> None:
    shapes = '<tag label="cat"/><points label="dog" points="1,2"/><polyline label="cow" points="1,2;3,4"/>'

    assert [example(labels=["cat", "dog", "cow"])] == read(f'<image name="a.jpg">{shapes}</image>')


def test_images_come_one_by_one_with_their_attributes_as_slices() -> None:
    found = read('<image name="a.jpg" subset="train"/><meta/><image name="b.jpg" subset=""/>', ["subset"])

    assert [example(slices=[Slice("subset", "train")]), example(name="b.jpg", position=1)] == found


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("<image/>", (None, "malformed_record", "<image> 0 has no name")),
        (
            '<image name="../a.jpg"/>',
            ("../a.jpg", "unsafe_path", "image name '../a.jpg' leads out of the images folder"),
        ),
        ('<image name="a.jpg"><box/></image>', ("a.jpg", "malformed_record", "a <box> has no label")),
        (
            '<image name="a.jpg"><box label="cat" xtl="1" ytl="b" xbr="2"/></image>',
            ("a.jpg", "malformed_record", "box of 'cat' is ['1', 'b', '2', None], not four numbers xyxy"),
        ),
        (
            '<image name="a.jpg"><box label="cat" xtl="1" ytl="1" xbr="2" ybr="2" rotation="x"/></image>',
            ("a.jpg", "malformed_record", "rotation 'x' is not a number of degrees"),
        ),
        (
            '<image name="a.jpg"><box label="cat" xtl="1" ytl="1" xbr="2" ybr="2" rotation="inf"/></image>',
            ("a.jpg", "malformed_record", "rotation 'inf' is not a number of degrees"),
        ),
        (
            '<image name="a.jpg"><polygon label="cat" points="1,2;3"/></image>',
            ("a.jpg", "malformed_record", "the points of 'cat' are not pairs of numbers"),
        ),
        (
            '<image name="a.jpg"><blob label="cat"/></image>',
            ("a.jpg", "malformed_record", "<blob> is no shape of CVAT"),
        ),
    ],
)
def test_a_bad_image_costs_itself(image: str, expected: tuple[str | None, str, str]) -> None:
    bad, good = read(f'{image}<image name="b.jpg"/>')

    assert isinstance(bad, Bad)
    assert expected == (bad.example_id, bad.error.reason, bad.error.message)
    assert example(name="b.jpg", position=1) == good


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"<annotation/>", "'/data/a.xml' is not CVAT XML: the root is <annotation>, not <annotations>"),
        (
            b"<annotations><track/></annotations>",
            "'/data/a.xml' holds video tracks; export it as 'CVAT for images 1.1'",
        ),
        (b"", "'/data/a.xml' is not XML that can be read safely: no element found: line 1, column 0"),
        (
            b'<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><annotations>&e;</annotations>',
            "'/data/a.xml' is not XML that can be read safely: EntitiesForbidden(name='e', "
            "system_id='file:///etc/passwd', public_id=None)",
        ),
    ],
)
def test_a_file_of_another_format_is_a_data_error(data: bytes, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read(data)

    assert message == str(caught.value)


def test_a_file_that_breaks_off_gives_what_it_holds_before() -> None:
    records = cvat.read(
        io.BytesIO(b'<annotations><image name="a.jpg"/><image name='),
        Source("/data/a.xml", "00000", ()),
        SETTINGS,
    )

    assert example() == next(records)
    with pytest.raises(DataError, match="unclosed token: line 1, column 34"):
        next(records)
