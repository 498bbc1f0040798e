"""LabelMe JSON: one file for each image, beside a folder of images.

Every shape counts as the box around it, or a polygon or a mask as itself where `region` is `mask`. LabelMe
names the image by its path from where the JSON file stood, so only the last part counts, below `images`.
Slices are fields right below the root, and flags.
"""

import json
import math
from collections.abc import Iterator
from typing import Any, BinaryIO, Literal

import pydantic

from transforms.errors import RecordError
from transforms.read.apart import example_of
from transforms.read.boxes import around
from transforms.read.common import Bad, Source, as_text, checked_box, clean, whole
from transforms.read.gathering import Annotations
from transforms.read.masks import bitmap_outline, outlined, polygons_outline
from transforms.read.settings import Outlined
from transforms.records import Box, Example, Slice


class LabelmeSettings(Outlined):
    """`data` for LabelMe."""

    format: Literal["labelme"] = pydantic.Field(description="the dataset format")


def read(file: BinaryIO, source: Source, settings: LabelmeSettings) -> Iterator[Example | Bad]:
    """Reads one JSON file: one example, or one bad record."""
    file_name = None
    try:
        document = _document(file)
        file_name = clean(document["imagePath"]).replace("\\", "/").rsplit("/", 1)[-1]
        fields = {**document, **(document["flags"] if isinstance(document.get("flags"), dict) else {})}
        yield example_of(
            file_name,
            Annotations([_box(shape, settings.region == "mask") for shape in document["shapes"]], []),
            [Slice(key, as_text(fields[key])) for key in source.slices if fields.get(key) is not None],
            position=0,
            part=source.shard,
            source=source,
            settings=settings,
        )
    except RecordError as error:
        yield Bad(0, file_name, error)


def _document(file: BinaryIO) -> dict[str, Any]:
    try:
        document = json.loads(whole(file))
    except (ValueError, RecursionError) as error:
        raise RecordError("malformed_record", f"not JSON: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("shapes"), list):
        raise RecordError("malformed_record", "not LabelMe JSON: there is no list 'shapes'")
    if not isinstance(document.get("imagePath"), str) or not document["imagePath"]:
        raise RecordError("malformed_record", "not LabelMe JSON: there is no 'imagePath'")
    return document


def _box(shape: Any, masks: bool) -> Box:
    if not isinstance(shape, dict) or not isinstance(shape.get("label"), str) or not shape["label"].strip():
        raise RecordError("malformed_record", "a shape has no 'label'")
    name = clean(shape["label"].strip())
    try:
        points = [(float(x), float(y)) for x, y in shape["points"]]
        if shape.get("shape_type") == "circle":  # the centre and a point on the line
            (x, y), rim = points
            radius = math.dist((x, y), rim)
            points = [(x - radius, y - radius), (x + radius, y + radius)]
        edges = around(points)
        if shape.get("shape_type") == "mask":  # two corner pixels, both within
            left, top, right, bottom = map(math.floor, edges)
            edges = (left, top, right + 1, bottom + 1)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise RecordError("malformed_record", f"the points of {name!r} are not pairs of numbers") from error
    box = checked_box(name, *edges)
    if masks and shape.get("shape_type") == "polygon" and len(points) > 2:
        return outlined(box, polygons_outline([points]))
    if masks and shape.get("shape_type") == "mask" and shape.get("mask") is not None:
        return outlined(box, bitmap_outline(shape["mask"], *map(int, edges)))
    return box
