"""Runs that were started below an output directory: which there are, and what each has written."""

import dataclasses
import json
import posixpath
from typing import Any

from apache_beam.io.filesystems import FileSystems

from pipeline.stores import reach_stores
from transforms.errors import RunError, UsageError, did_you_mean
from transforms.write.paths import RunPaths
from transforms.write.wiring import read_manifest, read_rows

# All but the pictures, which no machine asks for.
_VERDICTS = (
    *("finding_id", "model", "group_kind", "group_name", "class_name", "slice_key", "slice_value", "verdict"),
    *("n", "density_share", "swap_gap", "swap_gap_lower", "swap_gap_upper", "region", "message"),
)
_COUNTS = (
    *("model", "target_layer", "method", "group_kind", "group_name", "accuracy"),
    *("zero_map", "not_finite", "no_box", "full_box"),
)


@dataclasses.dataclass(frozen=True)
class StartedRun:
    """A run that was started, whatever became of it.

    Attributes:
        paths: where its files stand.
        started: UTC time, ISO 8601.
    """

    paths: RunPaths
    started: str


@dataclasses.dataclass(frozen=True)
class CompleteRun:
    """A run that has written everything.

    Attributes:
        paths: where its files stand.
        manifest: the record of it.
    """

    paths: RunPaths
    manifest: dict[str, Any]

    @property
    def models(self) -> dict[str, dict[str, Any]]:
        """What the manifest says of each model, by name."""
        return {model["name"]: model for model in self.manifest["models"]}


def started_runs(output: str) -> list[StartedRun]:
    """Every run that was started below an output directory, on any of Beam's filesystems; oldest first.

    Raises:
        UsageError: the directory cannot be reached.
    """
    found = [_started(output, path) for path in _records(output)]
    return sorted(found, key=lambda run: (run.started, run.paths.run_id))


def find_run(output: str, run_id: str) -> StartedRun:
    """The run of that name.

    Raises:
        UsageError: it was never started; the message names the nearest that was.
    """
    paths = {posixpath.basename(posixpath.dirname(path)): path for path in _records(output)}
    if run_id not in paths:
        raise UsageError(f"no run {run_id!r} below {output}{did_you_mean(run_id, list(paths))}")
    return _started(output, paths[run_id])


def complete_run(run: StartedRun) -> CompleteRun:
    """The same run, when it has written everything.

    Raises:
        RunError: it has no manifest, or its manifest says that it is no complete audit.
    """
    manifest = read_manifest(run.paths)
    if manifest is None:
        raise RunError(f"run {run.paths.run_id} was started and has no manifest: it failed or still runs")
    if not manifest["complete"]:
        raise RunError(f"run {run.paths.run_id} is not complete: {manifest['failure']}")
    return CompleteRun(run.paths, manifest)


def read_findings(run: CompleteRun) -> list[dict[str, Any]]:
    """Every finding of a run, without its pictures.

    Raises:
        RunError: rows that the manifest counts are not there.
    """
    rows = read_rows(run.paths, "findings", _VERDICTS)
    counted = run.manifest["rows"]["findings"]
    if len(rows) != counted:
        raise RunError(
            f"run {run.paths.run_id} has {len(rows)} rows in the table findings, "
            f"its manifest counts {counted}"
        )
    return rows


def read_summaries(run: CompleteRun) -> list[dict[str, Any]]:
    """Counts and accuracy of every group, for the layer and method that the verdicts use."""
    judged = {
        (name, details["target_layer"], run.manifest["verdict_method"])
        for name, details in run.models.items()
    }
    rows = read_rows(run.paths, "summaries", _COUNTS)
    return [row for row in rows if (row["model"], row["target_layer"], row["method"]) in judged]


def newest_complete(output: str) -> CompleteRun:
    """The newest run that has written everything.

    Raises:
        RunError: there is none.
    """
    for started in reversed(started_runs(output)):
        try:
            return complete_run(started)
        except RunError:
            continue
    raise RunError(f"no complete run below {output}")


def split_name(name: str) -> tuple[str, str | None]:
    """`RUN` or `RUN:MODEL` as run and model; None where no model is named."""
    run_id, _, model = name.partition(":")
    return run_id, model or None


def no_such_model(run: CompleteRun, model: str) -> UsageError:
    """The error that names the nearest model of the run."""
    return UsageError(f"run {run.paths.run_id} has no model {model!r}{did_you_mean(model, list(run.models))}")


def _records(output: str) -> list[str]:
    reach_stores()
    pattern = posixpath.join(output, "runs", "*", "started.json")
    try:
        (match,) = FileSystems.match([pattern])
    except (ValueError, OSError) as error:
        raise UsageError(f"output {output!r} cannot be reached: {error}") from error
    return [metadata.path for metadata in match.metadata_list]


def _started(output: str, path: str) -> StartedRun:
    with FileSystems.open(path) as file:
        record = json.load(file)
    return StartedRun(RunPaths(output, record["run_id"], record["run_date"]), record["started"])
