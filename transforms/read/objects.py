"""Annotations as nested values: in Parquet of the Hugging Face kind, and in the JSON of WebDataset samples.

Either a mapping of columns, `{"bbox": [[...], ...], "category": [...]}`, or a list of objects,
`[{"bbox": [...], "category": ...}, ...]`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pydantic

from transforms.errors import RecordError
from transforms.read.boxes import make_box
from transforms.read.common import as_text, is_true
from transforms.read.gathering import Annotations
from transforms.read.settings import BoxNumbers, Layout, Names, layout_field
from transforms.settings import Settings


class Keys(Settings):
    """Names of the columns or keys that hold what the audit needs."""

    image: Names = pydantic.Field(
        ("image",), description="parquet: the image, bytes or {bytes, path}; tfds: the image"
    )
    id: Names = pydantic.Field(
        ("image_id", "id", "file_name", "image/filename", "image/id"),
        description="the first of these that is not empty is the example id; else the image's path or key "
        "is, else its hash",
    )
    objects: Names = pydantic.Field(
        ("objects", "bobjects", "annotations"), description="the annotated objects"
    )
    box: Names = pydantic.Field(("bbox", "box", "bboxes"), description="an object's four numbers")
    name: Names = pydantic.Field(
        ("category", "categories", "label", "labels", "category_id", "class"), description="an object's class"
    )
    ignored: Names = pydantic.Field(
        ("iscrowd", "is_crowd", "difficult", "is_difficult", "is_group_of"),
        description="1 or true for an object that is an ignore region",
    )
    label: Names = pydantic.Field(("label", "cls", "class"), description="the image's class, without a box")


class NestedSettings(BoxNumbers):
    """Keys of formats with nested annotations."""

    layout: Layout = layout_field("xywh")
    keys: Keys = pydantic.Field(
        default_factory=Keys, description="names of columns or keys, where they differ from the defaults"
    )


def annotations_of(record: Mapping[str, Any], settings: NestedSettings) -> Annotations:
    """Boxes and labels of one record.

    Raises:
        RecordError: `malformed_record` or `wrong_unit`, the objects are not as they should be.
    """
    keys = settings.keys
    label = first_of(record, keys.label)
    labels = [] if label is None else [as_text(value) for value in _many(label)]
    objects = first_of(record, keys.objects)
    boxes = []
    for numbers, name, ignored in _triples(objects, keys):
        if name is None or name == "":
            raise RecordError("malformed_record", "an object has no class")
        if numbers is None:
            labels.append(as_text(name))
        else:
            boxes.append(make_box(as_text(name), numbers, settings, is_true(ignored)))
    return Annotations(boxes, labels)


def first_of(record: Mapping[str, Any], keys: Sequence[str]) -> Any:
    """The value of the first key that is there and not empty."""
    found = (record.get(key) for key in keys)
    return next((value for value in found if value is not None and value != ""), None)


def _triples(objects: Any, keys: Keys) -> list[tuple[Any, Any, Any]]:
    """(numbers, class, ignored) of each object."""
    if objects is None:
        return []
    if isinstance(objects, list) and all(isinstance(one, dict) for one in objects):
        return [
            (first_of(one, keys.box), first_of(one, keys.name), first_of(one, keys.ignored))
            for one in objects
        ]
    if not isinstance(objects, dict):
        raise RecordError(
            "malformed_record", "the objects are neither a mapping of lists nor a list of mappings"
        )
    numbers, names, ignored = (
        first_of(objects, wanted) or [] for wanted in (keys.box, keys.name, keys.ignored)
    )
    if not all(isinstance(column, list) for column in (numbers, names, ignored)):
        raise RecordError("malformed_record", "the boxes and classes of the objects are not lists")
    ignored = ignored or [False] * len(names)
    if not len(numbers) == len(names) == len(ignored):
        raise RecordError("malformed_record", f"there are {len(numbers)} boxes and {len(names)} classes")
    return list(zip(numbers, names, ignored, strict=True))


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
