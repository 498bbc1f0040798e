"""CVAT XML ("CVAT for images 1.1"): one file for many images, beside a folder of images; read as a stream.

Shapes count as the box around them, or polygons and masks as themselves where `region` is `mask`;
tags, points and lines are classes of the image without a box. Slices are attributes of `<image>`, such as
`subset`.
"""

import math
from collections.abc import Iterator
from typing import Any, BinaryIO, Literal

import defusedxml
import defusedxml.ElementTree
import pydantic

from transforms.errors import DataError, RecordError
from transforms.outlines import moved
from transforms.read.apart import example_of
from transforms.read.boxes import around, corners, number
from transforms.read.common import Bad, Source, checked_box, part_of
from transforms.read.gathering import Annotations
from transforms.read.masks import outlined, polygons_outline, runs_outline
from transforms.read.settings import Outlined
from transforms.records import Box, Example, Slice

_WITHOUT_AREA = ("tag", "points", "polyline", "cuboid", "skeleton")
# What the parser raises: broken XML, forbidden entities, bytes or encodings that are none.
_UNREADABLE = (
    defusedxml.ElementTree.ParseError,
    defusedxml.DefusedXmlException,
    ValueError,
    LookupError,
)


class CvatSettings(Outlined):
    """`data` for CVAT."""

    format: Literal["cvat"] = pydantic.Field(description="the dataset format")


def read(file: BinaryIO, source: Source, settings: CvatSettings) -> Iterator[Example | Bad]:
    """Reads one CVAT file: an example for each `<image>`.

    Raises:
        DataError: the file is not XML of CVAT for images.
    """
    for position, image in enumerate(_images(file, source.path)):
        file_name = image.get("name", "").strip()
        try:
            if not file_name:
                raise RecordError("malformed_record", f"<image> {position} has no name")
            yield example_of(
                file_name,
                _annotations(image, settings.region == "mask"),
                [Slice(key, image.attrib[key]) for key in source.slices if image.attrib.get(key)],
                position=position,
                part=part_of(source, position),
                source=source,
                settings=settings,
            )
        except RecordError as error:
            yield Bad(position, file_name or None, error)


def _images(file: BinaryIO, path: str) -> Iterator[Any]:
    """The `<image>` elements, of which only one is in memory at a time."""
    root = None
    try:
        for event, element in defusedxml.ElementTree.iterparse(file, events=("start", "end")):
            if root is None:
                root = element
                if root.tag != "annotations":
                    raise DataError(f"{path!r} is not CVAT XML: the root is <{root.tag}>, not <annotations>")
            elif element.tag == "track":
                raise DataError(f"{path!r} holds video tracks; export it as 'CVAT for images 1.1'")
            elif event == "end" and element.tag == "image":
                yield element
                root.clear()
    except _UNREADABLE as error:
        raise DataError(f"{path!r} is not XML that can be read safely: {error}") from error


def _annotations(image: Any, masks: bool) -> Annotations:
    boxes, labels = [], []
    for shape in image:
        name = shape.get("label", "").strip()
        if not name:
            raise RecordError("malformed_record", f"a <{shape.tag}> has no label")
        if shape.tag in _WITHOUT_AREA:
            labels.append(name)
        else:
            boxes.append(_box(name, shape, masks))
    return Annotations(boxes, labels)


def _box(name: str, shape: Any, masks: bool) -> Box:
    outline = None
    if shape.tag == "box":
        edges = corners(name, [shape.get(key) for key in ("xtl", "ytl", "xbr", "ybr")])
        edges = _turned(edges, shape.get("rotation", "0"))
    elif shape.tag == "ellipse":
        x, y, across, down = corners(name, [shape.get(key) for key in ("cx", "cy", "rx", "ry")])
        edges = _turned((x - across, y - down, x + across, y + down), shape.get("rotation", "0"))
    elif shape.tag == "mask":
        edges = corners(name, [shape.get(key) for key in ("left", "top", "width", "height")], "xywh")
        outline = _mask_outline(name, shape.get("rle", ""), edges) if masks else None
    elif shape.tag == "polygon":
        try:
            points = [point.split(",") for point in shape.get("points", "").split(";")]
            corners_of = [(number(x), number(y)) for x, y in points]
            edges, outline = around(corners_of), polygons_outline([corners_of]) if masks else None
        except ValueError as error:
            raise RecordError(
                "malformed_record", f"the points of {name!r} are not pairs of numbers"
            ) from error
    else:
        raise RecordError("malformed_record", f"<{shape.tag}> is no shape of CVAT")
    return outlined(checked_box(name, *edges), outline)


def _mask_outline(name: str, rle: str, edges: tuple[float, float, float, float]) -> bytes | None:
    """The outline of run lengths along the rows of a box."""
    left, top, right, bottom = edges
    try:
        runs = [int(run) for run in rle.split(",")]
        outline = runs_outline(runs, int(bottom - top), int(right - left), by_row=True)
    except (ValueError, OverflowError) as error:
        raise RecordError("malformed_record", f"the mask of {name!r} is not run lengths") from error
    return moved(outline, lambda x, y: (x + left, y + top))


def _turned(edges: tuple[float, float, float, float], degrees: str) -> tuple[float, float, float, float]:
    """The edges around a box that is turned about its centre."""
    try:
        angle = math.radians(number(degrees))
        cosine, sine = abs(math.cos(angle)), abs(math.sin(angle))
    except ValueError as error:
        raise RecordError("malformed_record", f"rotation {degrees!r} is not a number of degrees") from error
    if sine == 0:
        return edges
    xmin, ymin, xmax, ymax = edges
    x, y, across, down = (xmin + xmax) / 2, (ymin + ymax) / 2, (xmax - xmin) / 2, (ymax - ymin) / 2
    wide, high = across * cosine + down * sine, across * sine + down * cosine
    return x - wide, y - high, x + wide, y + high
