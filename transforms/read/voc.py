"""PASCAL VOC XML: one file for each image, beside a folder of images.

Edges are pixels. Most tools that write this format today mean half-open edges from 0; `edges: one_based` is
for the original data. What is `difficult` is an ignore region. Slices are elements right below the root, such
as `folder`.
"""

import posixpath
from collections.abc import Iterator
from typing import Any, BinaryIO, Literal

import defusedxml
import defusedxml.ElementTree
import pydantic

from transforms.errors import RecordError
from transforms.read.apart import example_of
from transforms.read.boxes import number, shifted
from transforms.read.common import Bad, Source, checked_box, is_true
from transforms.read.gathering import Annotations
from transforms.read.settings import EDGES, EdgeRule, ImagesApart
from transforms.records import Box, Example, Slice

# What the parser raises: broken XML, forbidden entities, bytes or encodings that are none.
_UNREADABLE = (
    defusedxml.ElementTree.ParseError,
    defusedxml.DefusedXmlException,
    ValueError,
    LookupError,
)


class VocSettings(ImagesApart):
    """`data` for PASCAL VOC."""

    format: Literal["voc"] = pydantic.Field(description="the dataset format")
    edges: EdgeRule = pydantic.Field("half_open", description=EDGES)
    in_folders: bool = pydantic.Field(
        False, description="whether images stand in subfolders that <folder> names, as ImageNet's do"
    )


def read(file: BinaryIO, source: Source, settings: VocSettings) -> Iterator[Example | Bad]:
    """Reads one XML file: one example, or one bad record."""
    file_name = None
    try:
        root = _root(file)
        file_name = (root.findtext("filename") or "").strip() or None
        if not file_name:
            raise RecordError("malformed_record", "there is no <filename>")
        below = {child.tag: (child.text or "").strip() for child in root}
        if settings.in_folders:
            file_name = posixpath.join(below.get("folder", ""), file_name)
        yield example_of(
            file_name,
            Annotations([_box(element, settings.edges) for element in root.iterfind("object")], []),
            [Slice(key, below[key]) for key in source.slices if below.get(key)],
            position=0,
            part=source.shard,
            source=source,
            settings=settings,
        )
    except RecordError as error:
        yield Bad(0, file_name, error)


def _root(file: BinaryIO) -> Any:
    try:
        root = defusedxml.ElementTree.parse(file).getroot()
    except _UNREADABLE as error:
        raise RecordError("malformed_record", f"not XML that can be read safely: {error}") from error
    if root is None or root.tag != "annotation":
        found = "nothing" if root is None else f"<{root.tag}>"
        raise RecordError("malformed_record", f"the root element is {found}; VOC has <annotation>")
    return root


def _box(element: Any, rule: EdgeRule) -> Box:
    name = (element.findtext("name") or "").strip()
    if not name:
        raise RecordError("malformed_record", "an <object> has no <name>")
    edges = [element.findtext(f"bndbox/{edge}") for edge in ("xmin", "ymin", "xmax", "ymax")]
    try:
        xmin, ymin, xmax, ymax = shifted([number(edge) for edge in edges], rule)
    except (TypeError, ValueError) as error:
        raise RecordError(
            "malformed_record", f"<bndbox> of {name!r} has edges {edges}, not four numbers"
        ) from error
    return checked_box(name, xmin, ymin, xmax, ymax, ignored=is_true(element.findtext("difficult")))
