"""WriteReport: parts are staged by shard, moved into place together; the report is made of them.

The manifest is written last. ChooseExemplars and AddExemplars give findings the images that they show.
"""

import dataclasses
import datetime
import json
import mimetypes
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from transforms.exemplars import Showing
from transforms.health import Health
from transforms.labels import Association
from transforms.records import DeadLetter, Finding, Score, Summary
from transforms.write.exemplars import (
    Candidate,
    Chosen,
    Judged,
    Wanted,
    candidates_of,
    choose_findings,
    conclude_choice,
    merge,
    swap_candidates_of,
    with_exemplars,
)
from transforms.write.manifest import Part, RunRecord, build_manifest, to_json
from transforms.write.paths import RunPaths
from transforms.write.report.page import render_report
from transforms.write.report.tables import MOST_LETTERS, SUMMARY_COLUMNS, Tables
from transforms.write.schemas import TABLES, read_head, read_part, write_part

Row = dict[str, Any]
# Tables that are small whatever the data: one file each.
_WHOLE = "00000"


@dataclasses.dataclass
class WriteReport(beam.PTransform):
    """The four tables and their counts -> Parquet files and the manifest.

    Takes a dict of PCollections: `scores`, `summaries`, `findings`, `dead_letters`, `counts` of (key, count)
    pairs as `transforms.write.manifest.Counts` has them, `associations` of the data, `health` of the models.

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
                health=beam.pvalue.AsList(tables["health"]),
            )
        )


@dataclasses.dataclass
class ChooseExemplars(beam.PTransform):
    """Finding, Score and Swap -> Showing, for the findings that have pictures.

    Takes a dict of PCollections: `findings`, `scores` and, where there are any, `swaps`.

    Attributes:
        count: images of each role.
        judged: model -> the layer and the method whose heatmaps its verdicts use.
    """

    count: int
    judged: Mapping[str, tuple[str, str]]

    def expand(self, tables: Any) -> beam.PCollection[Showing]:
        wanted = beam.pvalue.AsSingleton(
            tables["findings"] | "Findings" >> beam.combiners.ToList() | "Want" >> beam.Map(choose_findings)
        )
        keyed = tuple[str, Any]
        judged = self.judged
        candidates = [
            tables["scores"]
            | "Judged" >> beam.Filter(lambda score: judged[score.model] == (score.target_layer, score.method))
            | "OfScore" >> beam.FlatMap(candidates_of, wanted).with_output_types(keyed)
        ]
        if "swaps" in tables:
            candidates.append(
                tables["swaps"]
                | "OfSwap" >> beam.FlatMap(swap_candidates_of, wanted).with_output_types(keyed)
            )
        return (
            candidates
            | beam.Flatten()
            | "Smallest" >> beam.CombinePerKey(_SmallestKeys(self.count))
            | "Show" >> beam.Map(_showing, self.count, wanted).with_output_types(Showing)
        )


class AddExemplars(beam.PTransform):
    """Findings with what they show.

    Takes a dict of PCollections: `findings`, `showings` and, where pictures are kept, `pictures` of
    ((finding id, position), JPEG).
    """

    def expand(self, tables: Any) -> beam.PCollection[Finding]:
        keyed = {
            "findings": tables["findings"] | "ById" >> beam.Map(_by_id).with_output_types(tuple[str, Any]),
            "showings": tables["showings"] | "OfId" >> beam.Map(_by_id).with_output_types(tuple[str, Any]),
        }
        if "pictures" in tables:
            keyed["pictures"] = tables["pictures"] | "OfFinding" >> beam.MapTuple(
                _by_finding
            ).with_output_types(tuple[str, Any])
        return (
            keyed
            | "Join" >> beam.CoGroupByKey()
            | "Add" >> beam.FlatMap(_with_exemplars, "pictures" in keyed).with_output_types(Finding)
        )


class _SmallestKeys(beam.CombineFn):
    """The candidates with the smallest keys; only delegates to `transforms.write.exemplars.merge`."""

    def __init__(self, count: int) -> None:
        self._count = count

    def create_accumulator(self) -> Chosen:
        return {}

    def add_input(self, chosen: Chosen, candidate: Candidate) -> Chosen:
        role, key, shown = candidate
        return merge([chosen, {role: [(key, shown)]}], self._count)

    def merge_accumulators(self, choices: Iterable[Chosen]) -> Chosen:
        return merge(choices, self._count)

    def extract_output(self, chosen: Chosen) -> Chosen:
        return chosen


def _showing(item: tuple[str, Chosen], count: int, wanted: Mapping[Judged, Wanted]) -> Showing:
    finding_id, chosen = item
    model, class_name = next(key[:2] for key, found in wanted.items() if found.finding_id == finding_id)
    return Showing(finding_id, model, class_name, conclude_choice(chosen, count))


def _by_id(row: Finding | Showing) -> tuple[str, Any]:
    return row.finding_id, row


def _by_finding(key: tuple[str, int], picture: bytes) -> tuple[str, tuple[int, bytes]]:
    return key[0], (key[1], picture)


def _with_exemplars(item: tuple[str, dict[str, Iterable[Any]]], pictured: bool) -> Iterator[Finding]:
    found = {name: list(rows) for name, rows in item[1].items()}
    showing = next(iter(found["showings"]), None)
    for finding in found["findings"]:
        yield with_exemplars(finding, showing, dict(found["pictures"]) if pictured else None)


def write_text(path: str, text: str) -> None:
    """Writes a small file on any Beam filesystem, making its directory."""
    with _create(path, mimetypes.guess_type(path)[0] or "text/plain") as file:
        file.write(text.encode())


def write_bytes(path: str, content: bytes) -> None:
    """Writes a file on any Beam filesystem, making its directory."""
    with _create(path, "application/octet-stream") as file:
        file.write(content)


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


def files_below(folder: str) -> Sequence[Any]:
    """Path and size of each file below a folder, on any Beam filesystem; none where there is no folder."""
    found: Sequence[Any] = FileSystems.match([posixpath.join(folder, "**")])[0].metadata_list
    return found


def remove_folder(folder: str) -> None:
    """Removes a folder and all below it; on object stores that is every file whose name begins so."""
    files = [file.path for file in files_below(folder)]
    if files:
        FileSystems.delete(files)
    if FileSystems.exists(folder):
        FileSystems.delete([folder])


def parts_of(paths: RunPaths, table: str) -> list[str]:
    """The files of one table of a run that has been published, in the order of their names."""
    return sorted(file.path for file in FileSystems.match([paths.part(table, "*")])[0].metadata_list)


def open_part(path: str) -> Any:
    """A Parquet file on any Beam filesystem, open for reading."""
    return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)


def read_rows(paths: RunPaths, table: str, columns: Sequence[str] | None = None) -> list[Row]:
    """The rows of one table of a run that has been published, as dicts of these columns; None takes all."""
    return _rows_of(paths, table, lambda file: read_part(file, table, columns=columns))


def _rows_of(paths: RunPaths, table: str, read: Callable[[Any], list[Row]]) -> list[Row]:
    rows: list[Row] = []
    for path in parts_of(paths, table):
        with open_part(path) as file:
            rows += read(file)
    return rows


def render_again(paths: RunPaths, manifest: Mapping[str, Any]) -> str:
    """The report of a run from its published tables, as the run itself wrote it.

    Args:
        paths: of the run.
        manifest: as read from its file.
    """
    judged = [("method", "=", manifest["verdict_method"]), ("group_kind", "in", ["model", "class"])]
    reading: dict[str, Callable[[Any], list[Row]]] = {
        "findings": lambda file: read_part(file, "findings"),
        "summaries": lambda file: read_part(file, "summaries", columns=SUMMARY_COLUMNS, where=judged),
        "dead_letters": lambda file: read_head(file, MOST_LETTERS),
    }
    rows = {table: _rows_of(paths, table, read) for table, read in reading.items()}
    tables = Tables(manifest=manifest, output=paths.output, **rows)
    return render_report(tables)


def read_manifest(paths: RunPaths) -> dict[str, Any] | None:
    """The manifest of a run, or None where there is none (yet)."""
    path = paths.record("manifest.json")
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
    health: Sequence[Health],
) -> dict[str, Any]:
    present = {part.table for part in parts}
    # A table without rows still gets a file, so that a query over it finds its columns.
    parts = [*parts, *(_stage(_WHOLE, [], table, run) for table in TABLES if table not in present)]
    for part in parts:
        _move(run.paths.staged(part.table, part.name), run.paths.part(part.table, part.name))
    remove_folder(run.paths.staging)
    finished = datetime.datetime.now(datetime.UTC)
    manifest = build_manifest(run, counts, parts, findings, associations, health, finished)
    text = to_json(manifest)
    write_text(run.paths.record("report.html"), render_again(run.paths, json.loads(text)))
    write_text(run.paths.record("manifest.json"), text)
    return manifest


def _move(staged: str, final: str) -> None:
    """Moves a file; does nothing where an earlier attempt has moved it already."""
    if not FileSystems.exists(staged) and FileSystems.exists(final):
        return
    _make_parent(final)
    FileSystems.rename([staged], [final])
