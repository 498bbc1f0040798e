"""Files of class names, as the tools write them."""

import pytest

from transforms.errors import DataError
from transforms.read.names import enumerated, parse_names, renamed
from transforms.records import Box

from .builders import make_example

LABEL_MAP = """
item {
  id: 1
  name: 'cat'
}
item { name: "/m/02" id: 2 display_name: "dog" }
"""


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("obj.names", "cat\n\n dog \n", {"0": "cat", "2": "dog"}),
        ("labels.txt", "\ufeffcat\r\ndog", {"0": "cat", "1": "dog"}),
        ("names.csv", '/m/01,Cat\n/m/02,"Dog, small"\n', {"/m/01": "Cat", "/m/02": "Dog, small"}),
        ("data.yaml", "path: x\nnames: [cat, dog]\n", {"0": "cat", "1": "dog"}),
        ("data.yml", "names: {0: cat, 7: dog}\n", {"0": "cat", "7": "dog"}),
        ("names.json", '["cat", "dog"]', {"0": "cat", "1": "dog"}),
        ("names.json", '{"a": "cat"}', {"a": "cat"}),
        ("map.pbtxt", LABEL_MAP, {"1": "cat", "2": "dog"}),
    ],
)
def test_every_kind_of_file(path: str, text: str, expected: dict[str, str]) -> None:
    assert expected == parse_names(text.encode(), path)


@pytest.mark.parametrize(
    ("path", "data", "message"),
    [
        ("n.txt", b"", "data.names: 'n.txt' holds no class names"),
        ("n.pbtxt", b"cat\ndog", "data.names: 'n.pbtxt' holds no class names"),
        ("n.csv", b"cat\ndog", "data.names: 'n.csv' holds no class names"),
        (
            "n.txt",
            b"\xff",
            "data.names: 'n.txt' is not UTF-8: 'utf-8' codec can't decode byte 0xff in position 0: invalid "
            "start byte",
        ),
        (
            "n.yaml",
            b"a: &a [x, x]\nb: &b [*a, *a]\nnames: [*b, *b]",
            "data.names: 'n.yaml' has no list or mapping of names, at its root or under 'names'",
        ),
        (
            "n.yaml",
            b"3",
            "data.names: 'n.yaml' has no list or mapping of names, at its root or under 'names'",
        ),
        ("n.yaml", b"a: b: c", "data.names: 'n.yaml' is neither YAML nor JSON that can be read safely"),
        (
            "n.yaml",
            b"names: !!python/object/apply:os.system ['true']",
            "data.names: 'n.yaml' is neither YAML nor JSON that can be read safely",
        ),
    ],
)
def test_a_file_without_names_is_told(path: str, data: bytes, message: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_names(data, path)

    assert message == str(caught.value)


def test_boxes_and_labels_are_renamed_and_what_has_no_name_stays() -> None:
    boxes = [Box("0", 1.0, 2.0, 3.0, 4.0), Box("9", 1.0, 2.0, 3.0, 4.0)]
    example = make_example(boxes=boxes, labels=["1"])
    expected = make_example(
        boxes=[Box("cat", 1.0, 2.0, 3.0, 4.0), Box("9", 1.0, 2.0, 3.0, 4.0)], labels=["dog"]
    )

    assert expected == renamed(example, enumerated(["cat", "dog"]))
