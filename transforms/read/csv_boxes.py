"""CSV of boxes beside a folder of images. Delimiter (comma, semicolon, tab) and byte order mark are seen.

Slices are columns; of the rows of an image the first counts.
"""

import csv
import io
from collections.abc import Iterator
from typing import BinaryIO, Literal

import pydantic

from transforms.errors import DataError
from transforms.read import tables
from transforms.read.common import Bad, Source
from transforms.records import Example


class CsvSettings(tables.TableSettings):
    """`data` for CSV."""

    format: Literal["csv"] = pydantic.Field(description="the dataset format")


def read(file: BinaryIO, source: Source, settings: tables.TableSettings) -> Iterator[Example | Bad]:
    """Reads one CSV file: an example for each image that it names.

    Raises:
        DataError: a column is missing, or the file is not CSV.
    """
    # A broken byte costs the row that it stands in, and not the file.
    text = io.TextIOWrapper(file, "utf-8-sig", errors="replace", newline="")
    try:
        first = text.readline(_MAX_HEADER)
        delimiter = max(",;\t", key=first.count)
        header = [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]
        rows = (row for row in csv.reader(text, delimiter=delimiter) if row)
        yield from tables.examples(header, rows, source, settings)
    except csv.Error as error:
        raise DataError(f"{source.path!r} is not CSV: {error}") from error
    finally:
        text.detach()


_MAX_HEADER = 2**20
