"""WriteReport on Beam: every file in its place, nothing left behind, and the manifest last."""

import dataclasses
import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import duckdb
import pyarrow.parquet as pq
import pytest

from transforms.health import Health
from transforms.labels import Association
from transforms.records import DeadLetter, Finding, Score, Summary
from transforms.write import wiring
from transforms.write.manifest import Part, RunRecord, to_json
from transforms.write.paths import RunPaths
from transforms.write.schemas import TABLES
from transforms.write.wiring import WriteReport, read_manifest, read_rows, write_text

from .builders import make_details, make_score

LETTER = DeadLetter("read", "set.json", None, "malformed_record", "bad", 0)
COUNTS = {("records",): 200, ("dead_letters", "malformed_record"): 1, ("status", "m", "hirescam", "ok"): 3}


def make_run(output: Path, run_id: str = "r1") -> RunRecord:
    return RunRecord(
        paths=RunPaths(str(output), run_id, "2026-03-01"),
        name="test",
        started=datetime.datetime.now(datetime.UTC).isoformat(),
        max_bad_fraction=0.01,
        models=["m"],
        slices=[],
        details=make_details(),
    )


def make_finding(name: str) -> Finding:
    empty = {field.name: None for field in dataclasses.fields(Finding)}
    known = {"model": "m", "group_kind": "class", "group_name": name, "verdict": "unsuspected"}
    return Finding(**{**empty, "finding_id": name, "n": 3, "message": "", **known})


def make_scores(shards: Mapping[str, int]) -> list[Score]:
    """That many scores for each shard, in turns, so that no shard comes in one piece."""
    scores = [
        dataclasses.replace(make_score(example_id=f"{shard} {number}"), shard=shard)
        for shard, count in shards.items()
        for number in range(count)
    ]
    return sorted(scores, key=lambda score: score.example_id[::-1])


def write(
    run: RunRecord,
    *,
    scores: Sequence[Score] = (),
    findings: Sequence[Finding] = (),
    dead_letters: Sequence[DeadLetter] = (),
    counts: Mapping[tuple[str, ...], int] = COUNTS,
) -> None:
    given: dict[str, tuple[Sequence[Any], Any]] = {
        "scores": (scores, Score),
        "summaries": ((), Summary),
        "findings": (findings, Finding),
        "dead_letters": (dead_letters, DeadLetter),
        "associations": ((), Association),
        "health": ((), Health),
        "counts": (list(counts.items()), tuple[tuple[str, ...], int]),
    }
    with beam.Pipeline("FnApiRunner") as pipeline:
        tables = {
            name: pipeline | name >> beam.Create(rows, reshuffle=False).with_output_types(kind)
            for name, (rows, kind) in given.items()
        }
        _ = tables | WriteReport(run)


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def parts_of(run_id: str, *scores: str) -> set[str]:
    """The files of a run: one of scores for each name, one of each other table, and the manifest."""
    partition = f"run_date=2026-03-01/run_id={run_id}"
    others = {f"{table}/{partition}/part-00000.parquet" for table in TABLES if table != "scores"}
    parts = {f"scores/{partition}/part-{name}.parquet" for name in scores}
    return parts | others | {f"runs/{run_id}/{name}" for name in ("report.html", "manifest.json")}


def test_each_shard_has_its_part_and_nothing_else_is_left(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    write(run, scores=make_scores({"00000-a": 3, "00001-b": 2}), dead_letters=[LETTER])
    folder = tmp_path / "scores/run_date=2026-03-01/run_id=r1"
    of_part = {
        path.name: pq.read_table(path, columns=["example_id"], partitioning=None)["example_id"].to_pylist()
        for path in folder.iterdir()
    }

    assert parts_of("r1", "00000-a", "00001-b") == files_of(tmp_path)
    assert not Path(run.paths.staging).exists()
    assert {
        "part-00000-a.parquet": ["00000-a 0", "00000-a 1", "00000-a 2"],
        "part-00001-b.parquet": ["00001-b 0", "00001-b 1"],
    } == of_part


def test_the_manifest_is_written_last_and_counts_the_rows(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    write(run, scores=make_scores({"a": 3, "b": 2}), findings=[make_finding("cat")], dead_letters=[LETTER])
    found = read_manifest(run.paths)
    written = {name: (tmp_path / name).stat().st_mtime_ns for name in files_of(tmp_path)}

    assert found is not None
    assert max(written.values()) == written["runs/r1/manifest.json"]
    assert {"scores": 5, "summaries": 0, "findings": 1, "dead_letters": 1} == found["rows"]
    assert (True, 200, {"malformed_record": 1}) == (
        found["complete"],
        found["records"],
        found["dead_letters"],
    )
    assert {"m": {"hirescam": {"ok": 3}}} == found["statuses"]
    assert {"m": {"model": None, "class": {"unsuspected": 1}, "slice": {}}} == found["verdicts"]


def test_rows_come_back_from_their_parts(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    write(run, scores=make_scores({"a": 2, "b": 1}), dead_letters=[LETTER])

    assert ["a 0", "a 1", "b 0"] == sorted(row["example_id"] for row in read_rows(run.paths, "scores"))
    columns = {name: value for name, value in vars(LETTER).items() if name != "position"}
    assert [columns] == read_rows(run.paths, "dead_letters")


def test_a_table_without_rows_has_one_file_with_its_columns(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    write(run)

    assert parts_of("r1", "00000") == files_of(tmp_path)
    for table, schema in TABLES.items():
        found = pq.read_table(run.paths.part(table, "00000"), partitioning=None)
        assert (0, schema.names) == (found.num_rows, found.schema.names)


def test_every_file_says_its_run_and_schema(tmp_path: Path) -> None:
    write(make_run(tmp_path), scores=make_scores({"a": 1}))
    expected = {
        b"schema_version": b"1",
        b"run_id": b"r1",
        b"tool_version": b"9.9",
        b"config_sha256": b"abc",
    }

    assert [expected] * len(TABLES) == [pq.read_schema(p).metadata for p in tmp_path.rglob("*.parquet")]


def test_too_many_dead_letters_are_written_and_the_manifest_is_incomplete(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    write(run, dead_letters=[LETTER], counts={("records",): 10, ("dead_letters", "malformed_record"): 1})
    found = read_manifest(run.paths)

    assert found is not None
    assert (False, 1) == (found["complete"], found["rows"]["dead_letters"])
    assert (
        "1 of 10 records are dead letters (1 malformed_record): 0.1 is more than max_bad_fraction, 0.01; "
        "see the table dead_letters"
    ) == found["failure"]


def test_two_runs_into_one_output_stay_apart(tmp_path: Path) -> None:
    write(make_run(tmp_path, "r1"), scores=make_scores({"a": 3}))
    before = {name: (tmp_path / name).read_bytes() for name in files_of(tmp_path)}
    write(make_run(tmp_path, "r2"), scores=make_scores({"a": 2, "b": 2}))
    query = f"""
        select run_id, cast(run_date as varchar), count(*)
        from read_parquet('{tmp_path}/scores/**/*.parquet', hive_partitioning = true)
        group by all order by all
    """

    assert parts_of("r1", "a") | parts_of("r2", "a", "b") == files_of(tmp_path)
    assert before == {name: (tmp_path / name).read_bytes() for name in before}
    assert [("r1", "2026-03-01", 3), ("r2", "2026-03-01", 4)] == duckdb.sql(query).fetchall()


def test_a_run_that_cannot_be_published_has_no_manifest_and_no_rows(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    (tmp_path / "dead_letters").write_text("in the way")
    with pytest.raises(Exception, match="dead_letters"):
        write(run, scores=make_scores({"a": 1}))

    assert read_manifest(run.paths) is None


def stage(run: RunRecord) -> list[Part]:
    return [
        wiring._stage("a", make_scores({"a": 2}), "scores", run),
        wiring._stage("b", make_scores({"b": 1}), "scores", run),
        wiring._stage("00000", [LETTER], "dead_letters", run),
    ]


def test_nothing_stands_in_a_table_before_it_is_published(tmp_path: Path) -> None:
    stage(make_run(tmp_path))
    staged = ("scores/part-a", "scores/part-b", "dead_letters/part-00000")

    assert {f"runs/r1/staging/{name}.parquet" for name in staged} == files_of(tmp_path)


def test_publishing_goes_on_where_an_earlier_attempt_stopped(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    parts = stage(run)
    wiring._move(run.paths.staged("scores", "a"), run.paths.part("scores", "a"))
    found = wiring._publish(None, run, parts, COUNTS, [], [], [])

    assert parts_of("r1", "a", "b") == files_of(tmp_path)
    assert {"scores": 3, "summaries": 0, "findings": 0, "dead_letters": 1} == found["rows"]


def test_publishing_twice_is_publishing_once(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    parts = stage(run)
    wiring._publish(None, run, parts, COUNTS, [], [], [])
    tables = [name for name in files_of(tmp_path) if name.endswith(".parquet")]  # the others tell the time
    before = {name: (tmp_path / name).read_bytes() for name in tables}
    found = wiring._publish(None, run, parts, COUNTS, [], [], [])

    assert before == {name: (tmp_path / name).read_bytes() for name in before}
    assert parts_of("r1", "a", "b") == files_of(tmp_path)
    assert json.loads((tmp_path / "runs/r1/manifest.json").read_text()) == found
    assert {"scores": 3, "summaries": 0, "findings": 0, "dead_letters": 1} == found["rows"]


def test_a_part_that_is_nowhere_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        wiring._publish(None, make_run(tmp_path), [Part("scores", "a", 2)], COUNTS, [], [], [])

    assert not (tmp_path / "runs/r1/manifest.json").exists()


def test_text_is_written_with_its_folder_and_read_back(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    assert read_manifest(run.paths) is None
    write_text(run.paths.record("manifest.json"), to_json({"name": "ß"}))

    assert {"name": "ß"} == read_manifest(run.paths)
