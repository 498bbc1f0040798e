"""YOLO text: one file for each image, of the image's name, beside a folder of images.

A line is `class cx cy width height`, or `class x1 y1 x2 y2 ...` for a polygon, in shares of the image.
Classes are numbers; `names` says what they stand for.
"""

import posixpath
import re
from collections.abc import Iterator
from typing import BinaryIO, Literal

import pydantic

from transforms.errors import RecordError
from transforms.read.apart import example_of
from transforms.read.boxes import around, corners, number
from transforms.read.common import Bad, Source, checked_box, whole
from transforms.read.gathering import Annotations
from transforms.read.masks import outlined, polygons_outline
from transforms.read.settings import Outlined, extension_field
from transforms.records import Box, Example


class YoloSettings(Outlined):
    """`data` for YOLO."""

    format: Literal["yolo"] = pydantic.Field(description="the dataset format")
    extension: str = extension_field(".jpg")


def read(file: BinaryIO, source: Source, settings: YoloSettings) -> Iterator[Example | Bad]:
    """Reads one text file: one example, or one bad record."""
    file_name = image_name(source.path, settings.annotations)
    try:
        try:
            text = whole(file).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise RecordError("malformed_record", f"not UTF-8 text: {error}") from error
        boxes = [
            _box(line.split(), at, settings.region == "mask")
            for at, line in enumerate(text.splitlines(), 1)
            if line.strip()
        ]
        yield example_of(
            file_name,
            Annotations(boxes, []),
            (),
            position=0,
            part=source.shard,
            source=source,
            settings=settings,
            relative=True,
        )
    except RecordError as error:
        yield Bad(0, file_name, error)


def image_name(path: str, globs: str | list[str]) -> str:
    """The image that a text file belongs to, without its ending: its path below the fixed part of its glob.

    `labels/**/*.txt` finds `labels/train/a.txt`, and that is of `train/a`.
    """
    stem = posixpath.splitext(path)[0]
    for pattern in [globs] if isinstance(globs, str) else globs:
        folder = posixpath.dirname(re.split(r"[*?\[{]", pattern, maxsplit=1)[0])
        if folder and stem.startswith(folder + "/"):
            return stem[len(folder) + 1 :]
    return posixpath.basename(stem)


def _box(words: list[str], line: int, masks: bool) -> Box:
    name, numbers, outline = words[0], words[1:], None
    if not name.isdigit():
        raise RecordError("malformed_record", f"line {line} begins with {name!r}, not with a class number")
    if len(numbers) == 4:
        edges = corners(name, numbers, "cxcywh")
    elif len(numbers) >= 6 and len(numbers) % 2 == 0:
        try:
            values = [number(value) for value in numbers]
        except ValueError as error:
            raise RecordError("malformed_record", f"line {line} is not numbers: {error}") from error
        points = list(zip(values[::2], values[1::2], strict=True))
        edges, outline = around(points), polygons_outline([points]) if masks else None
    else:
        raise RecordError(
            "malformed_record", f"line {line} has {len(numbers)} numbers after the class; a box has 4"
        )
    return outlined(checked_box(name, *edges, relative=True), outline)
