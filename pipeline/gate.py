"""The gate: what a scheduler asks of the newest run, answered by an exit status and one line."""

import dataclasses
import json
import posixpath
from typing import Any

from apache_beam.io.filesystems import FileSystems

from transforms.errors import UsageError, did_you_mean

PASS, FINDINGS, NO_RUN, INCONCLUSIVE = 0, 1, 3, 4
_FAILS = {"confirmed": ("confirmed", "hidden"), "suspect": ("confirmed", "hidden", "suspect")}
_MOST_NAMED = 5


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the gate says of one run.

    Attributes:
        status: exit status: 0 pass, 1 findings, 3 no complete run, 4 inconclusive.
        run_id: the run, None where there is none.
        line: the answer in one line.
        findings: the flagged rows of the manifest that the gate fails for.
    """

    status: int
    run_id: str | None
    line: str
    findings: tuple[dict[str, Any], ...] = ()


def judge_run(output: str, run: str | None, fail_on: str) -> Answer:
    """Reads a run's record and decides.

    Args:
        output: the audits' output directory, on any of Beam's filesystems.
        run: `RUN` or `RUN:MODEL`; None takes the run that was started last, so that a crash tonight is
            never last night's pass.
        fail_on: `confirmed`, which includes hidden, or `suspect`, which includes all flags.

    Raises:
        UsageError: the run was never started, or has no such model.
    """
    name, _, model = (run or "").partition(":")
    started = _started(output)
    if name and name not in started:
        raise UsageError(f"no run {name!r} below {output}{did_you_mean(name, list(started))}")
    if not started:
        return Answer(NO_RUN, None, f"no run was started below {output}")
    run_id = name or max(started, key=lambda name: (started[name], name))
    manifest = _read(posixpath.join(output, "runs", run_id, "manifest.json"))
    if manifest is None:
        return Answer(
            NO_RUN, run_id, f"run {run_id} was started and has no manifest: it failed or still runs"
        )
    if not manifest["complete"]:
        return Answer(NO_RUN, run_id, f"run {run_id} is not complete: {manifest['failure']}")
    models = manifest["verdicts"]
    if model and model not in models:
        raise UsageError(f"run {run_id} has no model {model!r}{did_you_mean(model, list(models))}")
    asked = [model] if model else list(models)
    flagged = tuple(
        row for row in manifest["flagged"] if row["model"] in asked and row["verdict"] in _FAILS[fail_on]
    )
    if flagged:
        return Answer(FINDINGS, run_id, f"run {run_id} fails: {_named(flagged)}", flagged)
    open_ones = [name for name in asked if "insufficient" in models[name]["model"]]
    if open_ones:
        line = f"run {run_id} is inconclusive: not enough evidence on {', '.join(open_ones)}"
        return Answer(INCONCLUSIVE, run_id, line)
    return Answer(PASS, run_id, f"run {run_id} passes: nothing {' or '.join(_FAILS[fail_on])}")


def _started(output: str) -> dict[str, str]:
    """Run id -> when it was started, of every run that was."""
    pattern = posixpath.join(output, "runs", "*", "started.json")
    try:
        (match,) = FileSystems.match([pattern])
    except (ValueError, OSError) as error:
        raise UsageError(f"output {output!r} cannot be reached: {error}") from error
    records = [_read(metadata.path) for metadata in match.metadata_list]
    return {record["run_id"]: record["started"] for record in records if record is not None}


def _read(path: str) -> dict[str, Any] | None:
    if not FileSystems.exists(path):
        return None
    with FileSystems.open(path) as file:
        document: dict[str, Any] = json.load(file)
    return document


def _named(flagged: tuple[dict[str, Any], ...]) -> str:
    """Classes and slices by name, models only where nothing else is flagged."""
    inner = [row for row in flagged if row["group_kind"] != "model"] or list(flagged)
    named = [f"{row['model']}: {row['group_name']} {row['verdict']}" for row in inner[:_MOST_NAMED]]
    more = f", and {len(inner) - _MOST_NAMED} more" if len(inner) > _MOST_NAMED else ""
    return ", ".join(named) + more
