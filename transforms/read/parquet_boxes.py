"""Parquet of boxes beside a folder of images: the same table as CSV, typed.

Slices are columns; of the rows of an image the first counts.
"""

from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, Literal

import pyarrow.parquet as pq
import pydantic

from transforms.errors import DataError
from transforms.read import tables
from transforms.read.common import Bad, Source
from transforms.read.parquet import UNREADABLE
from transforms.records import Example

_ROWS_A_BATCH = 10_000


class ParquetBoxesSettings(tables.TableSettings):
    """`data` for Parquet of boxes."""

    format: Literal["parquet_boxes"] = pydantic.Field(description="the dataset format")


def read(file: BinaryIO, source: Source, settings: ParquetBoxesSettings) -> Iterator[Example | Bad]:
    """Reads one Parquet file: an example for each image that it names.

    Raises:
        DataError: a column is missing, or the file is not Parquet.
    """
    columns = settings.columns
    wanted = {*columns.image, *columns.name, *columns.box, *columns.ignored, *source.slices}
    try:
        table = pq.ParquetFile(file)
        header = [name for name in table.schema_arrow.names if name in wanted]
        there = header if header else table.schema_arrow.names
        yield from tables.examples(there, _rows(table, header), source, settings)
    except UNREADABLE as error:
        raise DataError(f"{source.path!r} is not Parquet that can be read: {error}") from error


def _rows(table: pq.ParquetFile, header: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    for batch in table.iter_batches(_ROWS_A_BATCH, columns=list(header)):
        columns = [batch.column(name).to_pylist() for name in header]
        yield from zip(*columns, strict=True)
