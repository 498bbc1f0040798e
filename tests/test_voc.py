"""PASCAL VOC XML: one file is one example or one bad record, and nothing in it is ever executed."""

import io
from collections.abc import Sequence

import pytest

from transforms.read import voc
from transforms.read.common import Bad, Source
from transforms.records import Box, Example, Slice

SETTINGS = voc.VocSettings(format="voc", images="/photos", annotations="*.xml")

FILE = """
<annotation>
  <folder> park </folder>
  <filename>sub/a.jpg</filename>
  <source><database>ours</database></source>
  <size><width>20</width><height>10</height><depth>3</depth></size>
  <weather></weather>
  <object>
    <name> cat </name>
    <bndbox><xmin>1</xmin><ymin>2.5</ymin><xmax> 8 </xmax><ymax>9</ymax></bndbox>
    <part><name>head</name><bndbox><xmin>0</xmin><ymin>0</ymin><xmax>1</xmax><ymax>1</ymax></bndbox></part>
  </object>
  <object>
    <bndbox><ymax>4</ymax><xmax>3</xmax><ymin>2</ymin><xmin>1</xmin></bndbox>
    <name>dog</name>
  </object>
</annotation>
"""


def read(text: str | bytes, slices: Sequence[str] = ()) -> Example | Bad:
    data = text if isinstance(text, bytes) else text.encode()
    (record,) = voc.read(io.BytesIO(data), Source("/data/a.xml", "00000", slices), SETTINGS)
    return record


def annotation(inside: str) -> str:
    return f"<annotation><filename>a.jpg</filename>{inside}</annotation>"


def example(*, file_name: str = "a.jpg", boxes: Sequence[Box] = (), slices: Sequence[Slice] = ()) -> Example:
    return Example(
        example_id=file_name,
        source="/data/a.xml",
        position=0,
        shard="00000",
        image=b"",
        image_path=f"/photos/{file_name}",
        boxes=list(boxes),
        labels=[],
        relative=False,
        slices=list(slices),
    )


def told(record: Example | Bad) -> tuple[int, str | None, str, str]:
    """What a bad record says: position, example id, reason and message."""
    assert isinstance(record, Bad)
    return record.position, record.example_id, record.error.reason, record.error.message


def test_edges_are_taken_as_they_stand_and_parts_of_objects_are_no_objects() -> None:
    boxes = [Box("cat", 1.0, 2.5, 8.0, 9.0), Box("dog", 1.0, 2.0, 3.0, 4.0)]

    assert example(file_name="sub/a.jpg", boxes=boxes) == read(FILE)


def test_a_file_without_objects_is_an_example_without_boxes() -> None:
    assert example() == read(annotation(""))


def test_slices_are_elements_below_the_root_in_the_order_of_the_config() -> None:
    found = read(FILE, slices=["weather", "folder", "absent", "source"])

    assert isinstance(found, Example)
    assert [Slice("folder", "park")] == found.slices


def test_text_in_another_encoding_is_read() -> None:
    text = '<?xml version="1.0" encoding="iso-8859-1"?><annotation><filename>bär.jpg</filename></annotation>'

    assert example(file_name="bär.jpg") == read(text.encode("iso-8859-1"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no element found: line 1, column 0"),
        ("no xml", "syntax error: line 1, column 0"),
        ("<annotation><filename>a.jpg", "no element found: line 1, column 27"),
        ("<annotation></object>", "mismatched tag: line 1, column 14"),
        ('<?xml version="1.0" encoding="utf-32"?><a/>', "multi-byte encodings are not supported"),
    ],
)
def test_broken_xml_is_a_malformed_record(text: str, problem: str) -> None:
    message = f"not XML that can be read safely: {problem}"

    assert (0, None, "malformed_record", message) == told(read(text))


def test_an_encoding_that_does_not_exist_is_a_malformed_record() -> None:
    found = read('<?xml version="1.0" encoding="klingon"?><annotation/>')

    assert "malformed_record" == told(found)[2]


@pytest.mark.parametrize(
    ("declarations", "problem"),
    [
        (
            '<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">',
            "EntitiesForbidden(name='a', system_id=None, public_id=None)",
        ),
        (
            '<!ENTITY a SYSTEM "file:///etc/passwd">',
            "EntitiesForbidden(name='a', system_id='file:///etc/passwd', public_id=None)",
        ),
    ],
    ids=["entity bomb", "file from the disk"],
)
def test_entities_are_refused(declarations: str, problem: str) -> None:
    text = f"<!DOCTYPE annotation [{declarations}]><annotation><filename>&a;</filename></annotation>"
    message = f"not XML that can be read safely: {problem}"

    assert (0, None, "malformed_record", message) == told(read(text))


def test_another_root_is_a_malformed_record() -> None:
    message = "the root element is <annotations>; VOC has <annotation>"

    assert (0, None, "malformed_record", message) == told(read("<annotations/>"))


@pytest.mark.parametrize("inside", ["", "<filename/>", "<filename>  </filename>"])
def test_no_file_name_is_a_malformed_record(inside: str) -> None:
    found = read(f"<annotation>{inside}</annotation>")

    assert (0, None, "malformed_record", "there is no <filename>") == told(found)


@pytest.mark.parametrize("name", ["../a.jpg", "/etc/passwd", "a/../b.jpg"])
def test_a_file_name_that_leaves_the_folder_is_unsafe(name: str) -> None:
    found = read(f"<annotation><filename>{name}</filename></annotation>")

    assert ("unsafe_path", f"image name {name!r} leads out of the images folder") == told(found)[2:]


@pytest.mark.parametrize(
    ("bndbox", "message"),
    [
        (
            "<bndbox><xmin>one</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox>",
            "<bndbox> of 'cat' has edges ['one', '2', '3', '4'], not four numbers",
        ),
        (
            "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax></bndbox>",
            "<bndbox> of 'cat' has edges ['1', '2', '3', None], not four numbers",
        ),
        (
            "<bndbox><xmin/><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox>",
            "<bndbox> of 'cat' has edges ['', '2', '3', '4'], not four numbers",
        ),
        ("", "<bndbox> of 'cat' has edges [None, None, None, None], not four numbers"),
        (
            "<bndbox><xmin>nan</xmin><ymin>2</ymin><xmax>inf</xmax><ymax>4</ymax></bndbox>",
            "box of 'cat' has edges [nan, 2.0, inf, 4.0], which are not finite",
        ),
    ],
    ids=["a word", "one missing", "one empty", "no bndbox", "not finite"],
)
def test_edges_that_are_no_numbers_are_a_malformed_record(bndbox: str, message: str) -> None:
    found = read(annotation(f"<object><name>cat</name>{bndbox}</object>"))

    assert (0, "a.jpg", "malformed_record", message) == told(found)


def test_a_slice_is_the_name_of_an_element_and_no_path() -> None:
    text = "<annotation><filename>a.jpg</filename><camera>A</camera><b><c>deep</c></b></annotation>"
    (found,) = voc.read(
        io.BytesIO(text.encode()), Source("a.xml", "0", ("camera", "camera[0", "b/c")), SETTINGS
    )

    assert isinstance(found, Example)
    assert [Slice("camera", "A")] == found.slices
