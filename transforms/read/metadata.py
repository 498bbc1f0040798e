"""Metadata from a table beside the data, joined by example id: CSV, or Parquet where its name ends so."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO

import pyarrow.parquet as pq

from transforms.errors import DataError
from transforms.read.parquet import UNREADABLE
from transforms.read.tables import cell_text
from transforms.records import Example, Slice

Metadata = dict[str, list[Slice]]


def read_metadata(file: BinaryIO, path: str, id_column: str, keys: Sequence[str]) -> Metadata:
    """Reads a table; of rows with one id the first counts.

    Args:
        file: the table.
        path: its name.
        id_column: the column that holds example ids.
        keys: the columns that are wanted; those that the table lacks come from the data themselves.

    Returns:
        Example id -> its values, in the order of `keys`.

    Raises:
        DataError: the file is no table, or has no such column.
    """
    text = io.TextIOWrapper(file, "utf-8-sig", newline="")
    try:
        if path.endswith(".parquet"):
            table = pq.ParquetFile(file)
            header = table.schema_arrow.names
            columns = [name for name in (id_column, *keys) if name in header]
            rows: Iterable[Sequence[Any]] = _rows(table, columns)
        else:
            lines = csv.reader(text)
            header = columns = next(lines, [])
            rows = (row for row in lines if row)
        if id_column not in header:
            raise DataError(
                f"data.metadata: {path!r} has no column {id_column!r}; columns: {', '.join(header)}"
            )
        return _joined(rows, columns, id_column, keys)
    except (csv.Error, *UNREADABLE) as error:
        raise DataError(f"data.metadata: {path!r} cannot be read: {error}") from error
    finally:
        text.detach()  # else it would close the file


def with_metadata(example: Example, metadata: Metadata, keys: Sequence[str]) -> Example:
    """The example with the table's values besides its own, which come first where both have one."""
    joined = {entry.key: entry for entry in [*metadata.get(example.example_id, ()), *example.slices]}
    return Example(**{**vars(example), "slices": [joined[key] for key in keys if key in joined]})


def _rows(table: pq.ParquetFile, columns: Sequence[str]) -> Iterator[Sequence[Any]]:
    for batch in table.iter_batches(columns=list(columns)):
        yield from zip(*(batch.column(name).to_pylist() for name in columns), strict=True)


def _joined(
    rows: Iterable[Sequence[Any]], header: Sequence[str], id_column: str, keys: Sequence[str]
) -> Metadata:
    id_at = header.index(id_column)
    wanted = [(key, header.index(key)) for key in keys if key in header]
    known: dict[tuple[str, str], Slice] = {}  # one object for each value, of which there are few
    found: Metadata = {}
    for row in rows:
        values = [(key, cell_text(row[at])) for key, at in wanted if at < len(row)]
        slices = [known.setdefault(pair, Slice(*pair)) for pair in values if pair[1]]
        if id_at < len(row):
            found.setdefault(cell_text(row[id_at]), slices)
    return found
