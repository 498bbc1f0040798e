"""The Parquet schemas of the tables: fixed column order, plain types.

DuckDB, pandas and BigQuery read these alike. BigQuery takes another order of columns for another
schema, so a new column is nullable and goes at the end. Every column is a field of the record of the
same table in `transforms.records`; to add one, add it to both.
"""

from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA_VERSION = "1"

_SLICES = pa.list_(pa.struct([("key", pa.string()), ("value", pa.string())]))

_EXEMPLARS = pa.list_(
    pa.struct(
        [
            ("role", pa.string()),
            ("example_id", pa.string()),
            ("background_id", pa.string()),
            ("background_class", pa.string()),
            ("predicted_name", pa.string()),
            ("probability", pa.float64()),
            ("density_share", pa.float64()),
            ("boxes", pa.list_(pa.float64())),
            ("map_height", pa.int64()),
            ("map_width", pa.int64()),
            ("heatmap", pa.list_(pa.float32())),
        ]
    )
)


def _schema(*columns: tuple[str, pa.DataType], required: Sequence[str]) -> pa.Schema:
    return pa.schema([pa.field(name, kind, nullable=name not in required) for name, kind in columns])


TABLES: dict[str, pa.Schema] = {
    "scores": _schema(
        ("model", pa.string()),
        ("example_id", pa.string()),
        ("source", pa.string()),
        ("method", pa.string()),
        ("target_layer", pa.string()),
        ("target_rule", pa.string()),
        ("target_class", pa.int64()),
        ("target_name", pa.string()),
        ("predicted_class", pa.int64()),
        ("predicted_name", pa.string()),
        ("target_logit", pa.float64()),
        ("target_probability", pa.float64()),
        ("correct", pa.bool_()),
        ("status", pa.string()),
        ("box_count", pa.int64()),
        ("box_area", pa.float64()),
        ("energy_in_box", pa.float64()),
        ("density_share", pa.float64()),
        ("peak_in_box", pa.bool_()),
        ("rank_accuracy", pa.float64()),
        ("energy_in_other_boxes", pa.float64()),
        ("energy_by_region", pa.list_(pa.float64())),
        ("swap_gap", pa.float64()),
        ("residual", pa.float64()),
        ("cluster", pa.string()),
        ("map_height", pa.int64()),
        ("map_width", pa.int64()),
        ("heatmap", pa.list_(pa.float32())),
        ("slices", _SLICES),
        ("other_background_probability", pa.float64()),
        ("donor_class", pa.string()),
        required=("model", "example_id", "source", "method", "target_layer", "target_rule", "status"),
    ),
    "summaries": _schema(
        ("model", pa.string()),
        ("method", pa.string()),
        ("target_layer", pa.string()),
        ("group_kind", pa.string()),
        ("group_name", pa.string()),
        ("class_name", pa.string()),
        ("slice_key", pa.string()),
        ("slice_value", pa.string()),
        ("rows", pa.int64()),
        ("ok", pa.int64()),
        ("zero_map", pa.int64()),
        ("not_finite", pa.int64()),
        ("no_box", pa.int64()),
        ("full_box", pa.int64()),
        ("accuracy", pa.float64()),
        ("energy_in_box", pa.float64()),
        ("box_area", pa.float64()),
        ("density_share", pa.float64()),
        ("density_share_lower", pa.float64()),
        ("density_share_upper", pa.float64()),
        ("peak_in_box", pa.float64()),
        ("peak_in_box_lower", pa.float64()),
        ("peak_in_box_upper", pa.float64()),
        ("rank_accuracy", pa.float64()),
        ("energy_in_other_boxes", pa.float64()),
        ("energy_by_region", pa.list_(pa.float64())),
        ("density_share_histogram", pa.list_(pa.int64())),
        ("swap_gap_histogram", pa.list_(pa.int64())),
        ("atlas", pa.list_(pa.float64())),
        ("atlas_area", pa.list_(pa.float64())),
        ("box_atlas", pa.list_(pa.float64())),
        ("box_atlas_area", pa.list_(pa.float64())),
        ("distance_heat", pa.list_(pa.float64())),
        ("distance_area", pa.list_(pa.float64())),
        required=("model", "method", "target_layer", "group_kind", "group_name"),
    ),
    "findings": _schema(
        ("finding_id", pa.string()),
        ("model", pa.string()),
        ("group_kind", pa.string()),
        ("group_name", pa.string()),
        ("class_name", pa.string()),
        ("slice_key", pa.string()),
        ("slice_value", pa.string()),
        ("verdict", pa.string()),
        ("n", pa.int64()),
        ("log10_e_suspect", pa.float64()),
        ("log10_e_confirmed", pa.float64()),
        ("density_share", pa.float64()),
        ("peers_median", pa.float64()),
        ("swap_gap", pa.float64()),
        ("swap_gap_lower", pa.float64()),
        ("swap_gap_upper", pa.float64()),
        ("residual", pa.float64()),
        ("region", pa.string()),
        ("region_share", pa.float64()),
        ("co_occurring_class", pa.string()),
        ("exemplars", pa.list_(pa.binary())),
        ("message", pa.string()),
        ("reference", pa.float64()),
        ("detectable_density_share", pa.float64()),
        ("detectable_gap", pa.float64()),
        ("p_value", pa.float64()),
        ("cohens_d", pa.float64()),
        ("exemplar_details", _EXEMPLARS),
        required=("finding_id", "model", "group_kind", "group_name", "verdict", "n", "message"),
    ),
    "dead_letters": _schema(
        ("stage", pa.string()),
        ("source", pa.string()),
        ("example_id", pa.string()),
        ("error", pa.string()),
        ("message", pa.string()),
        required=("stage", "source", "error", "message"),
    ),
}

# Rows of a part are sorted by these, so that the same rows make the same file.
SORTED_BY = {
    "scores": ("example_id", "model", "target_rule", "target_class", "target_name", "method"),
    "summaries": ("model", "method", "target_layer", "group_kind", "group_name"),
    "findings": ("model", "group_kind", "group_name"),
    "dead_letters": ("stage", "source", "example_id", "error", "message"),
}


def write_part(file: BinaryIO, table: str, records: Sequence[Any], metadata: Mapping[str, str]) -> None:
    """Writes records as one Parquet file, zstd-compressed.

    Args:
        file: open for writing.
        table: key of `TABLES`.
        records: records of that table, in any order; may be empty.
        metadata: goes into the file's key-value metadata, beside `schema_version`.
    """
    schema = TABLES[table].with_metadata({"schema_version": SCHEMA_VERSION, **metadata})
    ordered = sorted(records, key=lambda record: _sort_key(record, SORTED_BY[table]))
    columns = [
        pa.array([_plain(getattr(record, field.name), field.type) for record in ordered], type=field.type)
        for field in schema
    ]
    pq.write_table(pa.Table.from_arrays(columns, schema=schema), file, compression="zstd")


def read_part(
    file: BinaryIO, table: str, *, columns: Sequence[str] | None = None, where: Any = None
) -> list[dict[str, Any]]:
    """The rows of one Parquet file, as dicts; None for what a file of an earlier version lacks.

    Args:
        file: open for reading.
        table: key of `TABLES`.
        columns: only these; default: all.
        where: a filter as `pyarrow.parquet.read_table` takes it, such as `[("model", "=", "m")]`.
    """
    # Arrow's threads may outlive the interpreter, which then ends in an abort rather than its exit status.
    wanted = list(TABLES[table].names if columns is None else columns)
    present = [name for name in wanted if name in pq.read_schema(file).names]
    rows = pq.read_table(file, columns=present, filters=where, use_threads=False).to_pylist()
    missing = dict.fromkeys(name for name in wanted if name not in present)
    return [{**row, **missing} for row in rows]


def read_head(file: BinaryIO, count: int) -> list[dict[str, Any]]:
    """The first rows of one Parquet file, as dicts, without reading the others."""
    batch = next(pq.ParquetFile(file).iter_batches(batch_size=count, use_threads=False), None)
    rows: list[dict[str, Any]] = [] if batch is None else batch.to_pylist()
    return rows


def _sort_key(record: Any, names: Sequence[str]) -> list[tuple[bool, Any]]:
    values = [getattr(record, name) for name in names]
    return [(value is not None, value if value is not None else "") for value in values]


def _plain(value: Any, kind: pa.DataType) -> Any:
    """Records within a list as dicts, bytes of a list as its values; everything else is plain already."""
    if isinstance(value, bytes) and pa.types.is_list(kind):
        return np.frombuffer(value, "<f4")
    if value is not None and pa.types.is_list(kind) and pa.types.is_struct(kind.value_type):
        names = [field.name for field in kind.value_type]
        return [{name: getattr(entry, name) for name in names} for entry in value]
    return value
