"""COCO JSON: one file that lists images, annotations and categories, beside a folder of images.

Boxes are [x, y, width, height] in pixels. What is `iscrowd` is an ignore region.
Slices are extra fields of the image entries.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, BinaryIO, Literal

import pydantic

from transforms.errors import DataError, RecordError
from transforms.read.apart import example_of
from transforms.read.common import Bad, Source, as_text, checked_box, clean, is_true, part_of
from transforms.read.gathering import Annotations, Gathered, Gathering
from transforms.read.json_lists import JsonLists
from transforms.read.masks import coco_outline, outlined
from transforms.read.settings import Outlined
from transforms.records import Example, Slice

_LISTS = ("images", "annotations", "categories")
_WANTED = "it needs the lists 'images', 'annotations' and 'categories'"


class CocoSettings(Outlined):
    """`data` for COCO."""

    format: Literal["coco"] = pydantic.Field(description="the dataset format")


def read(file: BinaryIO, source: Source, settings: CocoSettings) -> Iterator[Example | Bad]:
    """Reads one COCO file: an example for each image entry, also for those without annotations.

    The file is read as a stream, and may be larger than memory: kept of it are fifty bytes for each box, and
    the id, the name and the slices of each image.

    Raises:
        DataError: the file is not COCO JSON.
    """
    images, gathering, names = _gather(file, source, settings)
    gathered = gathering.gathered()
    for position, image in enumerate(images):
        try:
            yield _example(image, gathered, names, position, source, settings)
        except RecordError as error:
            yield Bad(position, image.file_name, error)
    listed = {image.image_id for image in images}
    for image_id in gathered:
        if image_id not in listed:
            count = gathered.count(image_id)
            lost = "1 annotation is" if count == 1 else f"{count} annotations are"
            message = f"{lost} of image {image_id}, which the file does not list"
            yield Bad(len(images), None, RecordError("missing_image", message))


@dataclasses.dataclass(frozen=True, slots=True)
class _Image:
    """What is kept of an image entry; None where it is not what it should be."""

    image_id: str | None
    file_name: str | None
    slices: tuple[Slice, ...]


def _gather(
    file: BinaryIO, source: Source, settings: CocoSettings
) -> tuple[list[_Image], Gathering, dict[str, str]]:
    """The images of a file, its annotations with categories for names, and the categories' names."""
    images, gathering, names = list[_Image](), Gathering(), dict[str, str]()
    try:
        document = JsonLists(file)
        for key, entry in document:
            if key not in _LISTS:
                continue
            if not isinstance(entry, dict):
                raise ValueError(_WANTED)
            if key == "images":
                images.append(_image(entry, source))
            elif key == "annotations":
                _annotate(gathering, entry, settings.region == "mask")
            elif not _is_id(entry.get("id")) or "name" not in entry:
                raise ValueError("every category needs 'id' and 'name'")
            else:
                names[as_text(entry["id"])] = clean(str(entry["name"]))
        if not document.lists >= set(_LISTS):
            raise ValueError(_WANTED)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{source.path!r} is not COCO JSON: {error}") from error
    return images, gathering, names


def _image(entry: dict[str, Any], source: Source) -> _Image:
    file_name = entry.get("file_name")
    return _Image(
        as_text(entry["id"]) if _is_id(entry.get("id")) else None,
        file_name if isinstance(file_name, str) and file_name else None,
        tuple(Slice(key, as_text(entry[key])) for key in source.slices if entry.get(key) is not None),
    )


def _annotate(gathering: Gathering, entry: dict[str, Any], masks: bool) -> None:
    image, category = as_text(entry.get("image_id")), as_text(entry.get("category_id"))
    if "bbox" not in entry:
        gathering.add_label(image, category)
        return
    bbox = entry["bbox"]
    try:
        if isinstance(bbox, str):
            raise TypeError("text is no list of numbers")
        x, y, width, height = (float(number) for number in bbox)
    except (TypeError, ValueError, OverflowError):
        message = f"bbox {_shown(bbox)} is not four numbers [x, y, width, height]"
        gathering.fail(image, RecordError("malformed_record", message))
    else:
        edges = (x, y, x + width, y + height)
        try:
            outline = coco_outline(entry.get("segmentation")) if masks else None
        except RecordError as error:
            gathering.fail(image, error)
        else:
            gathering.add_edges(image, category, edges, is_true(entry.get("iscrowd")), outline)


def _example(
    image: _Image,
    gathered: Gathered,
    names: dict[str, str],
    position: int,
    source: Source,
    settings: CocoSettings,
) -> Example:
    if image.file_name is None:
        raise RecordError("malformed_record", f"image entry {position} has no 'file_name'")
    if image.image_id is None:
        raise RecordError("malformed_record", f"image entry {position} has no 'id'")
    found = gathered.of(image.image_id)
    for category in [*(box.name for box in found.boxes), *found.labels]:
        if category not in names:
            raise RecordError("malformed_record", f"category_id {category} is not in the list of categories")
    boxes = [
        outlined(
            checked_box(names[box.name], box.xmin, box.ymin, box.xmax, box.ymax, ignored=box.ignored),
            box.outline,
        )
        for box in found.boxes
    ]
    return example_of(
        image.file_name,
        Annotations(boxes, [names[label] for label in found.labels]),
        image.slices,
        position=position,
        part=part_of(source, position),
        source=source,
        settings=settings,
    )


def _is_id(value: Any) -> bool:
    return isinstance(value, (int, str))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:197] + "..."
