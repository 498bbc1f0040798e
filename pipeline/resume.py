"""`run --resume`: which interrupted run may be gone on from, and what it has left."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from apache_beam.io.filesystems import FileSystems

from pipeline.runs import find_run
from transforms.errors import UsageError
from transforms.explain.explainer import ModelSpec
from transforms.write.kept.wiring import kept_files
from transforms.write.paths import RunPaths
from transforms.write.wiring import read_manifest

_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class Resumed:
    """An interrupted run that another goes on from.

    Attributes:
        run_id: its name.
        files: what it has kept of explained images, and what the runs had that it resumed itself.
    """

    run_id: str
    files: Sequence[str]


def request_of(details: Mapping[str, Any], specs: Sequence[ModelSpec]) -> dict[str, Any]:
    """All that heatmaps depend on beside the images; the same for two runs of which one may resume the other.

    Args:
        details: of the manifest.
        specs: the models; their labels and class map are files, of which the config has the paths only.
    """
    config = {key: value for key, value in details["config"].items() if key != "output"}
    return {
        "version": details["tool"]["version"],
        **{name: details[name] for name in ("libraries", "python", "devices", "limit")},
        "models": {spec.settings.name: {"sha256": spec.sha256, "classes": _classes(spec)} for spec in specs},
        "config": config,
    }


def resumed_run(output: str, run_id: str, request: Mapping[str, Any]) -> Resumed:
    """What there is of an interrupted run, for a new one of the same request.

    Raises:
        UsageError: there is no such run, it was not interrupted, or it was made differently.
    """
    paths = find_run(output, run_id).paths
    if read_manifest(paths) is not None:
        raise UsageError(f"run {run_id!r} was not interrupted; --resume is for runs without a manifest")
    record = _started(paths)
    if "request" not in record:
        raise UsageError(f"run {run_id!r} was started by an earlier version; start a new run")
    made, asked = dict(_leaves(record["request"])), dict(_leaves(request))
    changes = [
        f"{name} was {_shown(made, name)}, is {_shown(asked, name)}"
        for name in sorted(made.keys() | asked.keys())
        if made.get(name) != asked.get(name)
    ]
    if changes:
        more = f", and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
        raise UsageError(
            f"run {run_id!r} cannot be resumed: {', '.join(changes[:_SHOWN])}{more}; start a new run"
        )
    files = []
    while True:
        files += kept_files(paths.kept)
        earlier = record["resumes"]
        paths = RunPaths(output, str(earlier), paths.run_date)
        if earlier is None or not FileSystems.exists(paths.record("started.json")):
            return Resumed(run_id, files)
        record = _started(paths)


def _started(paths: RunPaths) -> dict[str, Any]:
    with FileSystems.open(paths.record("started.json")) as file:
        record: dict[str, Any] = json.load(file)
    return record


def _classes(spec: ModelSpec) -> str:
    text = json.dumps([list(spec.labels), dict(spec.class_map.classes), list(spec.listed)])
    return hashlib.sha256(text.encode()).hexdigest()


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Each value of a tree of mappings and lists, as JSON, by its dotted name."""
    if isinstance(value, Mapping) and value:
        for key, branch in value.items():
            yield from _leaves(branch, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and value:
        for index, branch in enumerate(value):
            yield from _leaves(branch, f"{name}[{index}]")
    else:
        yield name, json.dumps(value)


def _shown(leaves: Mapping[str, str], name: str) -> str:
    text = leaves.get(name, "missing")
    return text if len(text) <= 40 else f"{text[:16]}...{text[-4:]}"
