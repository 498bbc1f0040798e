"""The judged rows of the table `scores`, read by column and a batch at a time."""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import pyarrow.compute as pc
import pyarrow.parquet as pq

# Rows that are held as Python values at once; the maps of none of them are read.
_BATCH = 4096


class JudgedRow(NamedTuple):
    """What a comparison asks of one image and annotated class; columns as in `scores`."""

    example_id: str
    class_name: str | None
    density_share: float | None
    swap_gap: float | None
    donor_class: str | None
    cluster: str | None
    slices: tuple[tuple[str, str], ...]


_COLUMNS = ("example_id", "target_name", "density_share", "swap_gap", "donor_class", "cluster", "slices")


def judged_rows(file: BinaryIO, model: str, target_layer: str, method: str) -> Iterator[JudgedRow]:
    """The rows of the rule `annotated` of one model, layer and method.

    Args:
        file: one part of `scores`; a column that it does not have yet reads as null.
        model: of these rows only.
        target_layer: likewise.
        method: likewise.
    """
    part = pq.ParquetFile(file)
    asked = {"model": model, "target_layer": target_layer, "method": method, "target_rule": "annotated"}
    there = [name for name in _COLUMNS if name in part.schema_arrow.names]
    for batch in part.iter_batches(_BATCH, columns=[*asked, *there], use_threads=False):
        for name, value in asked.items():
            batch = batch.filter(pc.equal(batch.column(name), value))
        columns = {name: batch.column(name).to_pylist() for name in there}
        nothing = [None] * batch.num_rows
        for *values, slices in zip(*(columns.get(name, nothing) for name in _COLUMNS), strict=True):
            pairs = tuple((entry["key"], entry["value"]) for entry in slices or ())
            yield JudgedRow._make([*values, pairs])
