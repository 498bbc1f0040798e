"""The tables: columns and types as others script against them, and files that all readers read alike."""

import dataclasses
import io
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from transforms.records import DeadLetter, Finding, Score, Slice, Summary
from transforms.write.schemas import SCHEMA_VERSION, SORTED_BY, TABLES, read_head, read_part, write_part

from .builders import make_score

METADATA = {"run_id": "r1", "tool_version": "0.1.0"}
RECORDS = {"scores": Score, "summaries": Summary, "findings": Finding, "dead_letters": DeadLetter}

STRING, INT, FLOAT, BOOL = "string", "int64", "double", "bool"
STRINGS, INTS, FLOATS = "list<item: string>", "list<item: int64>", "list<item: double>"
COLUMNS = {
    "scores": {
        "model": STRING,
        "example_id": STRING,
        "source": STRING,
        "method": STRING,
        "target_layer": STRING,
        "target_rule": STRING,
        "target_class": INT,
        "target_name": STRING,
        "predicted_class": INT,
        "predicted_name": STRING,
        "target_logit": FLOAT,
        "target_probability": FLOAT,
        "correct": BOOL,
        "status": STRING,
        "box_count": INT,
        "box_area": FLOAT,
        "energy_in_box": FLOAT,
        "density_share": FLOAT,
        "peak_in_box": BOOL,
        "rank_accuracy": FLOAT,
        "energy_in_other_boxes": FLOAT,
        "energy_by_region": FLOATS,
        "swap_gap": FLOAT,
        "residual": FLOAT,
        "cluster": STRING,
        "map_height": INT,
        "map_width": INT,
        "heatmap": "list<item: float>",
        "slices": "list<item: struct<key: string, value: string>>",
        "other_background_probability": FLOAT,
        "donor_class": STRING,
    },
    "summaries": {
        "model": STRING,
        "method": STRING,
        "target_layer": STRING,
        "group_kind": STRING,
        "group_name": STRING,
        "class_name": STRING,
        "slice_key": STRING,
        "slice_value": STRING,
        "rows": INT,
        "ok": INT,
        "zero_map": INT,
        "not_finite": INT,
        "no_box": INT,
        "full_box": INT,
        "accuracy": FLOAT,
        "energy_in_box": FLOAT,
        "box_area": FLOAT,
        "density_share": FLOAT,
        "density_share_lower": FLOAT,
        "density_share_upper": FLOAT,
        "peak_in_box": FLOAT,
        "peak_in_box_lower": FLOAT,
        "peak_in_box_upper": FLOAT,
        "rank_accuracy": FLOAT,
        "energy_in_other_boxes": FLOAT,
        "energy_by_region": FLOATS,
        "density_share_histogram": INTS,
        "swap_gap_histogram": INTS,
        "atlas": FLOATS,
        "atlas_area": FLOATS,
        "box_atlas": FLOATS,
        "box_atlas_area": FLOATS,
        "distance_heat": FLOATS,
        "distance_area": FLOATS,
    },
    "findings": {
        "finding_id": STRING,
        "model": STRING,
        "group_kind": STRING,
        "group_name": STRING,
        "class_name": STRING,
        "slice_key": STRING,
        "slice_value": STRING,
        "verdict": STRING,
        "n": INT,
        "log10_e_suspect": FLOAT,
        "log10_e_confirmed": FLOAT,
        "density_share": FLOAT,
        "peers_median": FLOAT,
        "swap_gap": FLOAT,
        "swap_gap_lower": FLOAT,
        "swap_gap_upper": FLOAT,
        "residual": FLOAT,
        "region": STRING,
        "region_share": FLOAT,
        "co_occurring_class": STRING,
        "exemplars": "list<item: binary>",
        "message": STRING,
        "reference": FLOAT,
        "detectable_density_share": FLOAT,
        "detectable_gap": FLOAT,
        "p_value": FLOAT,
        "cohens_d": FLOAT,
        "exemplar_details": "list<item: struct<role: string, example_id: string, background_id: string, "
        "background_class: string, predicted_name: string, probability: double, density_share: double, "
        f"boxes: {FLOATS}, map_height: int64, map_width: int64, heatmap: list<item: float>>>",
    },
    "dead_letters": {
        "stage": STRING,
        "source": STRING,
        "example_id": STRING,
        "error": STRING,
        "message": STRING,
    },
}


def written(table: str, records: Sequence[Any]) -> bytes:
    file = io.BytesIO()
    write_part(file, table, records, METADATA)
    return file.getvalue()


def letter(example_id: str | None = "a", *, stage: str = "read", message: str = "bad") -> DeadLetter:
    return DeadLetter(stage, "set.json", example_id, "malformed_record", message, 0)


def a_full_and_an_empty_score() -> list[Score]:
    """A score with every column, and one with null wherever the table allows it."""
    full = dataclasses.replace(
        make_score(slices={"camera": "A", "site": "ß"}),
        swap_gap=0.25,
        residual=-0.5,
        donor_class="dog",
        cluster="c",
        heatmap=np.float32([0.5]).tobytes(),
    )
    optional = ["target_class", "target_name", "target_logit", "target_probability", "correct", "heatmap"]
    empty = dataclasses.replace(make_score(example_id="b.png", status="no_box"), **dict.fromkeys(optional))
    return [full, empty]


def as_rows(records: Sequence[Any], table: str) -> list[dict[str, Any]]:
    """What a table should hold of records: its columns, slices as dicts, heatmaps as lists."""
    rows = [dataclasses.asdict(record) for record in records]
    for row in rows:
        if row.get("heatmap") is not None:
            row["heatmap"] = np.frombuffer(row["heatmap"], "<f4").tolist()
    return [{name: row[name] for name in COLUMNS[table]} for row in rows]


@pytest.mark.parametrize("table", COLUMNS)
def test_columns_stand_in_the_order_that_others_script_against(table: str) -> None:
    assert COLUMNS[table] == {field.name: str(field.type) for field in TABLES[table]}
    assert list(COLUMNS[table]) == TABLES[table].names
    assert list(COLUMNS) == list(TABLES)


@pytest.mark.parametrize("table", COLUMNS)
def test_every_column_is_a_field_of_its_record_in_the_same_order(table: str) -> None:
    fields = [field.name for field in dataclasses.fields(RECORDS[table])]

    assert [name for name in fields if name not in ("position", "shard", "scene", "outside")] == TABLES[
        table
    ].names


@pytest.mark.parametrize("table", COLUMNS)
def test_what_rows_are_sorted_by_are_columns_that_tell_them_apart(table: str) -> None:
    assert set(SORTED_BY[table]) <= set(TABLES[table].names)


def test_scores_come_back_through_pyarrow(tmp_path: Path) -> None:
    scores = a_full_and_an_empty_score()

    assert as_rows(scores, "scores") == read_part(io.BytesIO(written("scores", scores)), "scores")


def test_a_column_that_an_earlier_version_lacks_is_null() -> None:
    earlier = io.BytesIO()
    pq.write_table(pa.table({"finding_id": ["f"], "verdict": ["clear"]}), earlier)
    columns = ["finding_id", "exemplar_details"]

    assert [{"finding_id": "f", "exemplar_details": None}] == read_part(earlier, "findings", columns=columns)


def test_a_part_is_read_by_columns_and_rows() -> None:
    file = io.BytesIO(written("dead_letters", [letter("a"), letter("b"), letter("c")]))

    assert [{"example_id": "b"}] == read_part(
        file, "dead_letters", columns=["example_id"], where=[("example_id", "=", "b")]
    )
    assert ["a", "b"] == [row["example_id"] for row in read_head(file, 2)]
    assert [] == read_head(io.BytesIO(written("dead_letters", [])), 2)


def test_scores_come_back_through_duckdb(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    scores = a_full_and_an_empty_score()
    path.write_bytes(written("scores", scores))
    found = duckdb.read_parquet(str(path))
    names = found.columns

    assert as_rows(scores, "scores") == [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def test_scores_come_back_through_pandas(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    scores = a_full_and_an_empty_score()
    path.write_bytes(written("scores", scores))
    found = pd.read_parquet(path)
    full, empty = found.iloc[0], found.iloc[1]

    assert list(COLUMNS["scores"]) == list(found.columns)
    assert ["a.png", "b.png"] == found["example_id"].tolist()
    assert (0.75, True, [0.5]) == (full["density_share"], full["peak_in_box"], full["heatmap"].tolist())
    assert [{"key": "camera", "value": "A"}, {"key": "site", "value": "ß"}] == full["slices"].tolist()
    nulls = ["target_class", "target_name", "correct", "density_share", "peak_in_box", "swap_gap"]
    assert [True] * len(nulls) == [bool(pd.isna(empty[name])) for name in nulls]
    assert (None, None) == (empty["heatmap"], empty["energy_by_region"])
    assert 0 == len(empty["slices"])


@pytest.mark.parametrize("table", COLUMNS)
def test_an_empty_table_has_all_its_columns(table: str) -> None:
    found = pq.read_table(io.BytesIO(written(table, [])))

    assert 0 == found.num_rows
    assert TABLES[table].equals(found.schema.remove_metadata())


def test_the_metadata_says_schema_run_and_tool() -> None:
    metadata = pq.read_schema(io.BytesIO(written("dead_letters", []))).metadata

    assert "1" == SCHEMA_VERSION
    assert {b"schema_version": b"1", b"run_id": b"r1", b"tool_version": b"0.1.0"} == metadata


def test_every_column_is_compressed() -> None:
    file = pq.ParquetFile(io.BytesIO(written("scores", a_full_and_an_empty_score())))
    group = file.metadata.row_group(0)

    assert {"ZSTD"} == {group.column(index).compression for index in range(group.num_columns)}


def test_scores_in_any_order_make_the_same_file() -> None:
    scores = [
        make_score(example_id="a", method="hirescam"),
        make_score(example_id="b", method="gradcam"),
        make_score(example_id="a", method="gradcam"),
        make_score(example_id="a", method="gradcam", target_name=None),
    ]
    expected = written("scores", scores)
    found = read_part(io.BytesIO(expected), "scores")
    rows = [(row["example_id"], row["target_name"], row["method"]) for row in found]

    assert [
        ("a", None, "gradcam"),
        ("a", "cat", "gradcam"),
        ("a", "cat", "hirescam"),
        ("b", "cat", "gradcam"),
    ] == rows
    assert {expected} == {written("scores", order) for order in itertools.permutations(scores)}


def test_dead_letters_in_any_order_make_the_same_file() -> None:
    letters = [letter("b"), letter("a"), letter(None), letter("a", stage="explain"), letter("a", message="x")]
    expected = written("dead_letters", letters)

    assert {expected} == {written("dead_letters", order) for order in itertools.permutations(letters)}


def test_a_null_in_a_required_column_is_an_error_and_no_row() -> None:
    with pytest.raises((pa.ArrowInvalid, ValueError)):
        written("dead_letters", [dataclasses.replace(letter(), error=None)])


def test_no_record_is_changed_by_writing() -> None:
    score = make_score(slices={"camera": "A"})
    written("scores", [score])

    assert make_score(slices={"camera": "A"}) == score
    assert [Slice("camera", "A")] == score.slices
