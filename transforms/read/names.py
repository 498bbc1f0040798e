"""What the numbers and codes of annotations stand for: the files of class names that tools write.

A text file (line i names class i), a CSV of code and name (Open Images), a label map of TensorFlow's object
detection API (`.pbtxt`), or YAML or JSON that is, or has under `names`, a list or a mapping (YOLO).
"""

import csv
import re
from typing import Any

import yaml

from transforms.errors import DataError
from transforms.records import Box, Example

_ITEM = re.compile(r"item\s*\{(.*?)\}", re.DOTALL)
_ID = re.compile(r"\bid\s*:\s*(-?\d+)")
_QUOTED = r"""\s*:\s*(?:"([^"]*)"|'([^']*)')"""
_SHOWN_NAME, _NAME = re.compile(rf"\bdisplay_name{_QUOTED}"), re.compile(rf"\bname{_QUOTED}")


def parse_names(data: bytes, path: str) -> dict[str, str]:
    """Reads a file of class names; what it is, its ending says.

    Returns:
        What stands in annotations -> the class's name.

    Raises:
        DataError: it holds no names in any form that is known.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"data.names: {path!r} is not UTF-8: {error}") from error
    if path.endswith((".yaml", ".yml", ".json")):
        found = _from_document(text, path)
    elif path.endswith(".pbtxt"):
        found = _from_label_map(text)
    elif path.endswith(".csv"):
        rows = [row for row in csv.reader(text.splitlines()) if row]
        found = {row[0].strip(): row[1].strip() for row in rows if len(row) == 2}
    else:
        found = dict(enumerated([line.strip() for line in text.splitlines()]))
    if not any(found.values()):
        raise DataError(f"data.names: {path!r} holds no class names")
    return found


def enumerated(names: list[str]) -> dict[str, str]:
    """A list of names as a mapping from the index; an empty one names nothing."""
    return {str(index): name for index, name in enumerate(names) if name}


def renamed(example: Example, names: dict[str, str], label_names: dict[str, str] | None = None) -> Example:
    """The example with the names that its numbers or codes stand for; what has no name stays as it is.

    Args:
        example: any.
        names: of its boxes' classes.
        label_names: of its labels; default: the same.
    """
    of_labels = names if label_names is None else label_names
    if not names and not of_labels:
        return example
    boxes = [
        Box(names.get(box.name, box.name), box.xmin, box.ymin, box.xmax, box.ymax, box.ignored, box.outline)
        for box in example.boxes
    ]
    labels = [of_labels.get(name, name) for name in example.labels]
    return Example(**{**vars(example), "boxes": boxes, "labels": labels})


def _from_document(text: str, path: str) -> dict[str, str]:
    try:
        document: Any = yaml.safe_load(text)  # JSON is YAML
    except (yaml.YAMLError, RecursionError) as error:
        raise DataError(f"data.names: {path!r} is neither YAML nor JSON that can be read safely") from error
    if isinstance(document, dict) and "names" in document:
        document = document["names"]
    found = dict(enumerate(document)) if isinstance(document, list) else document
    # Only scalars: YAML lets a few lines stand for a list whose text would fill any memory.
    if isinstance(found, dict) and not any(isinstance(name, (list, dict)) for name in found.values()):
        return {str(key): str(name) for key, name in found.items()}
    raise DataError(f"data.names: {path!r} has no list or mapping of names, at its root or under 'names'")


def _from_label_map(text: str) -> dict[str, str]:
    found = {}
    for item in _ITEM.findall(text):
        number, name = _ID.search(item), _SHOWN_NAME.search(item) or _NAME.search(item)
        if number and name:
            found[number[1]] = name[1] or name[2] or ""
    return found
