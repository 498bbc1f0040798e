"""COCO JSON: one file that lists images, annotations and categories, beside a folder of images.

Boxes are [x, y, width, height] in pixels. Slices are extra fields of the image entries.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, Literal

import pydantic

from transforms.errors import DataError, RecordError
from transforms.read.common import Bad, Source, checked_box, clean, image_path
from transforms.read.settings import ImagesApart
from transforms.records import Example, Slice

# Images of one annotation file whose scores stand together in one output file.
_IMAGES_A_PART = 1000


class CocoSettings(ImagesApart):
    """`data` for COCO."""

    format: Literal["coco"] = pydantic.Field(description="the dataset format")


def read(file: BinaryIO, source: Source, settings: CocoSettings) -> Iterator[Example | Bad]:
    """Reads one COCO file: an example for each image entry, also for those without annotations.

    Raises:
        DataError: the file is not COCO JSON.
    """
    document = _document(file, source.path)
    names = {_text(category["id"]): clean(str(category["name"])) for category in document["categories"]}
    of_image: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for annotation in document["annotations"]:
        of_image[_text(annotation.get("image_id"))].append(annotation)
    images = document["images"]
    for position, image in enumerate(images):
        part = f"{source.shard}-{position // _IMAGES_A_PART:05d}"
        # Not popped: an image listed twice keeps its boxes both times, and is a duplicate.
        annotations = of_image.get(_text(image.get("id")), [])
        try:
            yield _example(image, annotations, names, position, part, source, settings)
        except RecordError as error:
            file_name = image.get("file_name")
            yield Bad(position, file_name if isinstance(file_name, str) else None, error)
    listed = {_text(image["id"]) for image in images if _is_id(image.get("id"))}
    for image_id, annotations in of_image.items():
        if image_id not in listed:
            for annotation in annotations:
                message = (
                    f"annotation {annotation.get('id')} is of image {image_id}, which the file does not list"
                )
                yield Bad(len(images), None, RecordError("missing_image", message))


def _document(file: BinaryIO, path: str) -> dict[str, list[dict[str, Any]]]:
    try:
        document = json.load(file)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path!r} is not COCO JSON: {error}") from error
    wanted = ("images", "annotations", "categories")
    if not isinstance(document, dict) or not all(_is_list_of_dicts(document.get(key)) for key in wanted):
        raise DataError(
            f"{path!r} is not COCO JSON: it needs the lists 'images', 'annotations' and 'categories'"
        )
    if not all(_is_id(category.get("id")) and "name" in category for category in document["categories"]):
        raise DataError(f"{path!r} is not COCO JSON: every category needs 'id' and 'name'")
    return document


def _is_list_of_dicts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, dict) for entry in value)


def _example(
    image: dict[str, Any],
    annotations: Sequence[dict[str, Any]],
    names: dict[str, str],
    position: int,
    part: str,
    source: Source,
    settings: CocoSettings,
) -> Example:
    file_name = image.get("file_name")
    if not isinstance(file_name, str) or not file_name:
        raise RecordError("malformed_record", f"image entry {position} has no 'file_name'")
    if not _is_id(image.get("id")):
        raise RecordError("malformed_record", f"image entry {position} has no 'id'")
    boxes, labels = [], []
    for annotation in annotations:
        category = _text(annotation.get("category_id"))
        if category not in names:
            raise RecordError("malformed_record", f"category_id {category} is not in the list of categories")
        if "bbox" not in annotation:
            labels.append(names[category])
            continue
        bbox = annotation["bbox"]
        try:
            if isinstance(bbox, str):
                raise TypeError("text is no list of numbers")
            x, y, width, height = (float(number) for number in bbox)
        except (TypeError, ValueError, OverflowError) as error:
            message = f"bbox {bbox!r} is not four numbers [x, y, width, height]"
            raise RecordError("malformed_record", message) from error
        boxes.append(checked_box(names[category], x, y, x + width, y + height))
    return Example(
        example_id=file_name,
        source=source.path,
        position=position,
        shard=part,
        image=b"",
        image_path=image_path(settings.images, file_name),
        boxes=boxes,
        labels=labels,
        relative=False,
        slices=[Slice(key, _text(image[key])) for key in source.slices if image.get(key) is not None],
    )


def _is_id(value: Any) -> bool:
    return isinstance(value, (int, str))


def _text(value: Any) -> str:
    """A JSON value as text, by which it can be compared and shown."""
    return clean(value) if isinstance(value, str) else json.dumps(value, sort_keys=True)
