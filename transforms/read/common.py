"""What the format modules share: where a record comes from, and what a bad one leaves behind."""

import dataclasses
import hashlib
import json
import math
import posixpath
from collections.abc import Sequence
from typing import Any, BinaryIO

from transforms.errors import RecordError
from transforms.records import Box

# Boxes may reach a little out of their image; TensorFlow's object detection API draws the same line
# (`maximum_normalized_coordinate` of object_detection/core/box_list_ops.py).
_MAX_SHARE = 1.1

_IMAGES_A_PART = 1000
_MAX_FILE_BYTES = 2**28


@dataclasses.dataclass(frozen=True)
class Bad:
    """A record that cannot be used: where it stood, whose it was if known, and why."""

    position: int
    example_id: str | None
    error: RecordError


@dataclasses.dataclass(frozen=True)
class Source:
    """One file to be read.

    Attributes:
        path: the file.
        shard: name of the shard it belongs to.
        slices: the metadata keys that the config asks for.
    """

    path: str
    shard: str
    slices: Sequence[str]


def clean(text: str) -> str:
    """Text with `?` for what UTF-8 cannot write, such as half of a surrogate pair that JSON lets through."""
    return text.encode("utf-8", "replace").decode()


def as_text(value: Any) -> str:
    """A JSON value as text, by which it can be compared and shown."""
    return clean(value) if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def part_of(source: Source, position: int) -> str:
    """Name of the output file for an image of a file that holds many: a thousand images share one."""
    return f"{source.shard}-{position // _IMAGES_A_PART:05d}"


def whole(file: BinaryIO) -> bytes:
    """The content of a file that is one record.

    Raises:
        RecordError: `malformed_record`, it is larger than any such record.
    """
    data = file.read(_MAX_FILE_BYTES + 1)
    if len(data) > _MAX_FILE_BYTES:
        raise RecordError("malformed_record", f"the file is larger than {_MAX_FILE_BYTES} bytes")
    return data


def content_id(image: bytes) -> str:
    """The id of an image that nothing names: half of its SHA-256."""
    return hashlib.sha256(image).hexdigest()[:32]


def image_path(folder: str, file_name: str) -> str:
    """Path of the image that an annotation names.

    Raises:
        RecordError: `unsafe_path`, the name leads out of the folder, or no file can have it.
    """
    if "\0" in file_name or clean(file_name) != file_name:
        raise RecordError("unsafe_path", f"no file can have the image name {file_name!a}")
    if posixpath.isabs(file_name) or ".." in file_name.replace("\\", "/").split("/"):
        raise RecordError("unsafe_path", f"image name {file_name!r} leads out of the images folder")
    return posixpath.join(folder, file_name)


def checked_box(
    name: str,
    xmin: float,
    ymin: float,
    xmax: float,
    ymax: float,
    relative: bool = False,
    ignored: bool = False,
) -> Box:
    """A box with finite edges; zero area and edges outside the image are allowed.

    Raises:
        RecordError: `malformed_record`, an edge is not a finite number; `wrong_unit`, shares are declared
            and the edges can only be pixels, or the other way round.
    """
    edges = (xmin, ymin, xmax, ymax)
    if not all(isinstance(edge, (int, float)) and math.isfinite(edge) for edge in edges):
        raise RecordError(
            "malformed_record", f"box of {name!r} has edges {list(edges)}, which are not finite"
        )
    if relative and max(edges) > _MAX_SHARE:
        raise RecordError(
            "wrong_unit",
            f"box of {name!r} has edges {list(edges)}, above 1, where shares are declared",
        )
    if not relative and all(0 <= edge <= 1 for edge in edges) and any(edge % 1 for edge in edges):
        raise RecordError(
            "wrong_unit",
            f"box of {name!r} has edges {list(edges)}, which are shares, where pixels are declared",
        )
    return Box(name, float(xmin), float(ymin), float(xmax), float(ymax), ignored)


def is_true(value: Any) -> bool:
    """Whether a value of a flag means yes: true, yes or 1."""
    return str(value).strip().lower() in ("true", "yes", "1", "1.0")
