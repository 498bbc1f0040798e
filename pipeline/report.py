"""Renders the report of a run again, from its tables and without its models."""

import json
import posixpath
from typing import Any

from apache_beam.io.filesystems import FileSystems

from transforms.errors import UsageError, did_you_mean
from transforms.write.paths import RunPaths
from transforms.write.wiring import render_again, write_text


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
    manifests = _manifests(output)
    if run_id is None and not manifests:
        raise UsageError(f"no run below {output} has a manifest, so there is nothing to report")
    name = run_id or max(manifests, key=lambda name: (manifests[name]["started"], name))
    if name not in manifests:
        raise UsageError(
            f"no run {name!r} with a manifest below {output}{did_you_mean(name, list(manifests))}; a run "
            "without one failed or still goes on"
        )
    paths = RunPaths(output, name, manifests[name]["run_date"])
    write_text(paths.record("report.html"), render_again(paths, manifests[name]))
    return paths.record("report.html")


def _manifests(output: str) -> dict[str, dict[str, Any]]:
    """Run id -> manifest, of every run that has one."""
    pattern = posixpath.join(output, "runs", "*", "manifest.json")
    try:
        (match,) = FileSystems.match([pattern])
    except (ValueError, OSError) as error:
        raise UsageError(f"output {output!r} cannot be reached: {error}") from error
    found = {}
    for metadata in match.metadata_list:
        with FileSystems.open(metadata.path) as file:
            manifest = json.load(file)
        found[manifest["run_id"]] = manifest
    return found
