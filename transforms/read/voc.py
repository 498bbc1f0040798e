"""PASCAL VOC XML: one file for each image, beside a folder of images.

The edges are taken as they stand, in pixels: most tools that write this format today mean half-open edges
from 0. Slices are elements right below the root, such as `folder`.
"""

from collections.abc import Iterator
from typing import Any, BinaryIO, Literal

import defusedxml
import defusedxml.ElementTree
import pydantic

from transforms.errors import RecordError
from transforms.read.common import Bad, Source, checked_box, image_path
from transforms.read.settings import ImagesApart
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


def read(file: BinaryIO, source: Source, settings: VocSettings) -> Iterator[Example | Bad]:
    """Reads one XML file: one example, or one bad record."""
    file_name = None
    try:
        root = _root(file)
        file_name = (root.findtext("filename") or "").strip() or None
        yield _example(root, file_name, source, settings)
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


def _example(root: Any, file_name: str | None, source: Source, settings: VocSettings) -> Example:
    if not file_name:
        raise RecordError("malformed_record", "there is no <filename>")
    below = {child.tag: (child.text or "").strip() for child in root}
    return Example(
        example_id=file_name,
        source=source.path,
        position=0,
        shard=source.shard,
        image=b"",
        image_path=image_path(settings.images, file_name),
        boxes=[_box(element) for element in root.iterfind("object")],
        labels=[],
        relative=False,
        slices=[Slice(key, below[key]) for key in source.slices if below.get(key)],
    )


def _box(element: Any) -> Box:
    name = (element.findtext("name") or "").strip()
    if not name:
        raise RecordError("malformed_record", "an <object> has no <name>")
    edges = [element.findtext(f"bndbox/{edge}") for edge in ("xmin", "ymin", "xmax", "ymax")]
    try:
        xmin, ymin, xmax, ymax = (float(edge) for edge in edges)
    except (TypeError, ValueError) as error:
        raise RecordError(
            "malformed_record", f"<bndbox> of {name!r} has edges {edges}, not four numbers"
        ) from error
    return checked_box(name, xmin, ymin, xmax, ymax)
