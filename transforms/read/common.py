"""What the format modules share: where a record comes from, and what a bad one leaves behind."""

import dataclasses
import math
import posixpath
from collections.abc import Sequence

from transforms.errors import RecordError
from transforms.records import Box


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


def checked_box(name: str, xmin: float, ymin: float, xmax: float, ymax: float) -> Box:
    """A box with finite edges; zero area and edges outside the image are allowed.

    Raises:
        RecordError: `malformed_record`, an edge is not a finite number.
    """
    edges = (xmin, ymin, xmax, ymax)
    if not all(isinstance(edge, (int, float)) and math.isfinite(edge) for edge in edges):
        raise RecordError(
            "malformed_record", f"box of {name!r} has edges {list(edges)}, which are not finite"
        )
    return Box(name, *(float(edge) for edge in edges))
