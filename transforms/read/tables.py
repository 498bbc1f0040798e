"""Tables of boxes beside a folder of images: a row for each box, whatever file they come from.

Rows of one image need not stand together. A row without numbers is a class of the image without a box, or,
without a class too, an image on which nothing is annotated.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pydantic

from transforms.errors import DataError, RecordError
from transforms.read.apart import example_of, full_name
from transforms.read.boxes import make_box
from transforms.read.common import Bad, Source, clean, is_true, part_of
from transforms.read.gathering import Gathering
from transforms.read.settings import BoxNumbers, FourNames, ImagesApart, Names
from transforms.records import Example, Slice
from transforms.settings import Settings


class Columns(Settings):
    """Names of the columns that hold what the audit needs."""

    image: Names = pydantic.Field(
        ("image", "filename", "file_name", "image_id"), description="the image's file name"
    )
    name: Names = pydantic.Field(("name", "class", "label"), description="the box's class name")
    box: FourNames = pydantic.Field(
        ("xmin", "ymin", "xmax", "ymax"), description="the box's four numbers, in the order of layout"
    )
    ignored: Names = pydantic.Field(
        ("iscrowd", "is_crowd", "difficult"), description="1 or true for an ignore region; may be missing"
    )


class TableSettings(ImagesApart, BoxNumbers):
    """`data` for a table of boxes."""

    columns: Columns = pydantic.Field(
        default_factory=Columns, description="names of columns, where they differ from the defaults"
    )


def examples(
    header: Sequence[str], rows: Iterable[Sequence[Any]], source: Source, settings: TableSettings
) -> Iterator[Example | Bad]:
    """Gathers the rows of a table into an example for each image.

    Args:
        header: names of the columns.
        rows: their values; a row that is too short lacks its last ones.
        source: the file.
        settings: its part of the config.

    Raises:
        DataError: a column that is needed is not there.
    """
    columns = settings.columns
    image_at = _column(header, columns.image, "image", source.path)
    name_at = _column(header, columns.name, "name", source.path)
    box_at = [_column(header, (name,), "box", source.path) for name in columns.box]
    ignored_at = next((header.index(name) for name in columns.ignored if name in header), None)
    slice_at = [(key, header.index(key)) for key in source.slices if key in header]
    gathering = Gathering()
    slices: dict[str, list[Slice]] = {}
    for number, row in enumerate(rows):
        if len(row) < len(header):
            row = [*row, *[None] * (len(header) - len(row))]
        image = cell_text(row[image_at])
        if not image:
            yield Bad(number, None, RecordError("malformed_record", f"row {number} names no image"))
            continue
        image = full_name(image, settings)
        gathering.add_image(image)
        if slice_at and image not in slices:
            values = [(key, cell_text(row[at])) for key, at in slice_at]
            slices[image] = [Slice(key, value) for key, value in values if value]
        try:
            ignored = ignored_at is not None and is_true(row[ignored_at])
            _add(gathering, image, cell_text(row[name_at]), [row[at] for at in box_at], ignored, settings)
        except RecordError as error:
            gathering.fail(image, error)
    gathered = gathering.gathered()
    for position, image in enumerate(gathered):
        try:
            yield example_of(
                image,
                gathered.of(image),
                slices.get(image, ()),
                position=position,
                part=part_of(source, position),
                source=source,
                settings=settings,
                relative=settings.unit == "shares",
            )
        except RecordError as error:
            yield Bad(position, image, error)


def _add(
    gathering: Gathering, image: str, name: str, numbers: list[Any], ignored: bool, how: BoxNumbers
) -> None:
    empty = all(cell_text(number) == "" for number in numbers)
    if name and empty:
        gathering.add_label(image, name)
    elif name:
        gathering.add_box(image, make_box(name, numbers, how, ignored))
    elif not empty:
        raise RecordError("malformed_record", f"a box of {image!r} has no class")


def _column(header: Sequence[str], names: Sequence[str], what: str, path: str) -> int:
    for name in names:
        if name in header:
            return header.index(name)
    wanted = " or ".join(repr(name) for name in names)
    there = ", ".join(header[:20]) or "none"
    raise DataError(
        f"{path!r} has no column {wanted}; its columns: {there}. data.columns.{what} names another"
    )


def cell_text(value: Any) -> str:
    """A cell as text; empty where nothing stands in it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return clean(str(value)).strip()
