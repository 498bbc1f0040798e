"""Renders the report of a run again, from its tables and without its models."""

import posixpath

from pipeline.runs import find_run, started_runs
from transforms.errors import UsageError
from transforms.write.wiring import read_manifest, render_again, write_text


def report_again(output: str, run_id: str | None) -> str:
    """Writes `report.html` of a run once more.

    Args:
        output: the audits' output directory, local or on any of Beam's filesystems.
        run_id: the run; None for the one that was started last of those that came to an end.

    Returns:
        Where the report stands.

    Raises:
        UsageError: there is no such run, or it has no manifest.
    """
    if "://" not in output:
        output = posixpath.abspath(posixpath.expanduser(output))
    runs = [find_run(output, run_id)] if run_id else reversed(started_runs(output))
    for run in runs:
        manifest = read_manifest(run.paths)
        if manifest is not None:
            path = run.paths.record("report.html")
            write_text(path, render_again(run.paths, manifest))
            return path
    if run_id:
        raise UsageError(f"run {run_id!r} has no manifest: it failed or still runs")
    raise UsageError(f"no run below {output} has a manifest, so there is nothing to report")
