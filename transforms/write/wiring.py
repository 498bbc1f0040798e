"""WriteReport: parts are staged by shard, moved into place together, and the manifest is written last."""

import dataclasses
import datetime
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from transforms.labels import Association
from transforms.records import DeadLetter, Finding, Score, Summary
from transforms.write.manifest import Part, RunRecord, build_manifest, to_json
from transforms.write.schemas import TABLES, read_part, write_part

# Tables that are small whatever the data: one file each.
_WHOLE = "00000"


@dataclasses.dataclass
class WriteReport(beam.PTransform):
    """The four tables and their counts -> Parquet files and the manifest.

    Takes a dict of PCollections: `scores`, `summaries`, `findings`, `dead_letters`, `counts` of (key, count)
    pairs as `transforms.write.manifest.Counts` has them, and `associations` of the data.

    Attributes:
        run: what is known of the run.

    Returns:
        PCollection of one manifest, once it is written.
    """

    run: RunRecord

    def expand(self, tables: Any) -> Any:
        named = {
            "scores": beam.Map(_by_shard).with_output_types(tuple[str, Score]),
            "summaries": beam.Map(_whole).with_output_types(tuple[str, Summary]),
            "findings": beam.Map(_whole).with_output_types(tuple[str, Finding]),
            "dead_letters": beam.Map(_whole).with_output_types(tuple[str, DeadLetter]),
        }
        parts = [
            tables[table]
            | f"Name_{table}" >> naming
            | f"Group_{table}" >> beam.GroupByKey()
            | f"Stage_{table}" >> beam.Map(_stage_group, table, self.run).with_output_types(Part)
            for table, naming in named.items()
        ]
        return (
            tables["findings"].pipeline
            | "Once" >> beam.Create([None])
            | "Publish"
            >> beam.Map(
                _publish,
                self.run,
                parts=beam.pvalue.AsList(parts | beam.Flatten()),
                counts=beam.pvalue.AsDict(tables["counts"]),
                findings=beam.pvalue.AsList(tables["findings"]),
                associations=beam.pvalue.AsList(tables["associations"]),
            )
        )


def write_text(path: str, text: str) -> None:
    """Writes a small file on any Beam filesystem, making its directory."""
    with _create(path, "text/plain") as file:
        file.write(text.encode())


def claim_text(path: str, text: str) -> None:
    """Writes a small file that must not exist yet; of two who try at once on one machine, one succeeds.

    Raises:
        FileExistsError: it exists.
    """
    if "://" in path:
        if FileSystems.exists(path):
            raise FileExistsError(path)
        write_text(path, text)
        return
    _make_parent(path)
    with open(path, "x", encoding="utf-8") as file:
        file.write(text)


def read_rows(run: RunRecord, table: str) -> list[dict[str, Any]]:
    """The rows of one table of a run that has been published, as dicts."""
    pattern = run.paths.part(table, "*")
    rows = []
    for file in FileSystems.match([pattern])[0].metadata_list:
        with FileSystems.open(file.path, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
            rows += read_part(stream)
    return rows


def read_manifest(run: RunRecord) -> dict[str, Any] | None:
    """The manifest of a run, or None where there is none (yet)."""
    path = run.paths.record("manifest.json")
    if not FileSystems.exists(path):
        return None
    with FileSystems.open(path) as file:
        manifest: dict[str, Any] = json.load(file)
    return manifest


def _create(path: str, mime_type: str) -> Any:
    _make_parent(path)
    return FileSystems.create(path, mime_type, compression_type=CompressionTypes.UNCOMPRESSED)


def _make_parent(path: str) -> None:
    parent = path.rsplit("/", 1)[0]
    if not FileSystems.exists(parent):
        try:
            FileSystems.mkdirs(parent)
        except OSError:
            if not FileSystems.exists(parent):  # another worker may have made it meanwhile
                raise


def _by_shard(score: Score) -> tuple[str, Score]:
    return score.shard, score


def _whole(record: Any) -> tuple[str, Any]:
    return _WHOLE, record


def _stage_group(group: tuple[str, Iterable[Any]], table: str, run: RunRecord) -> Part:
    return _stage(*group, table, run)


def _stage(name: str, records: Iterable[Any], table: str, run: RunRecord) -> Part:
    rows = list(records)
    with _create(run.paths.staged(table, name), "application/octet-stream") as file:
        write_part(file, table, rows, run.metadata)
    return Part(table, name, len(rows))


def _publish(
    _: None,
    run: RunRecord,
    parts: Sequence[Part],
    counts: Mapping[tuple[str, ...], int],
    findings: Sequence[Finding],
    associations: Sequence[Association],
) -> dict[str, Any]:
    present = {part.table for part in parts}
    # A table without rows still gets a file, so that a query over it finds its columns.
    parts = [*parts, *(_stage(_WHOLE, [], table, run) for table in TABLES if table not in present)]
    for part in parts:
        _move(run.paths.staged(part.table, part.name), run.paths.part(part.table, part.name))
    if FileSystems.exists(run.paths.staging):
        FileSystems.delete([run.paths.staging])
    finished = datetime.datetime.now(datetime.UTC)
    manifest = build_manifest(run, counts, parts, findings, associations, finished)
    write_text(run.paths.record("manifest.json"), to_json(manifest))
    return manifest


def _move(staged: str, final: str) -> None:
    """Moves a file; does nothing where an earlier attempt has moved it already."""
    if not FileSystems.exists(staged) and FileSystems.exists(final):
        return
    _make_parent(final)
    FileSystems.rename([staged], [final])
