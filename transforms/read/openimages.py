"""Open Images CSV: a row for each box, in shares of the image, beside a folder of images.

Source: https://storage.googleapis.com/openimages/web/download_v7.html. Class names are the codes of the
column `LabelName`, such as /m/01g317; `names` translates them. `IsGroupOf` is an ignore
region. Slices are columns.
"""

from collections.abc import Iterator
from typing import BinaryIO, Literal

import pydantic

from transforms.read import csv_boxes, tables
from transforms.read.common import Bad, Source
from transforms.read.settings import ImagesApart, extension_field
from transforms.records import Example

_COLUMNS = tables.Columns(
    image=("ImageID",), name=("LabelName",), box=("XMin", "YMin", "XMax", "YMax"), ignored=("IsGroupOf",)
)


class OpenImagesSettings(ImagesApart):
    """`data` for Open Images."""

    format: Literal["openimages"] = pydantic.Field(description="the dataset format")
    extension: str = extension_field(".jpg")


def read(file: BinaryIO, source: Source, settings: OpenImagesSettings) -> Iterator[Example | Bad]:
    """Reads one CSV file: an example for each image that it names.

    Raises:
        DataError: a column is missing, or the file is not CSV.
    """
    table = tables.TableSettings(
        images=settings.images,
        annotations=settings.annotations,
        extension=settings.extension,
        columns=_COLUMNS,
        unit="shares",
    )
    yield from csv_boxes.read(file, source, table)
