"""What became of each model and class over the last runs below an output directory."""

from typing import Any

from pipeline.runs import StartedRun, complete_run, read_findings, started_runs
from transforms.errors import RunError


def history(output: str, last: int) -> list[dict[str, Any]]:
    """The last runs, oldest first, as `transforms.write.pages.history_page` takes them.

    Args:
        output: the audits' output directory, on any of Beam's filesystems.
        last: how many runs, complete or not.

    Raises:
        RunError: none of them is complete.
    """
    runs = [_run(started) for started in started_runs(output)[-last:]]
    if all(run["failure"] is not None for run in runs):
        raise RunError(f"no complete run below {output}")
    return runs


def _run(started: StartedRun) -> dict[str, Any]:
    run: dict[str, Any] = {"run_id": started.paths.run_id, "day": started.started[:10]}
    try:
        found = complete_run(started)
        rows = read_findings(found)
    except RunError as error:
        return {**run, "name": None, "failure": str(error), "findings": []}
    kept = [row for row in rows if row["group_kind"] != "slice"]
    return {**run, "name": found.manifest["name"], "failure": None, "findings": kept}
