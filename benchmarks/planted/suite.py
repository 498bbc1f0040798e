"""Trains, measures and audits the models of the suite; what is finished is not done again."""

import concurrent.futures
import dataclasses
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.planted import audits, sets
from benchmarks.planted.specs import Spec

FINDING_COLUMNS: Final = [
    "group_kind",
    "class_name",
    "verdict",
    "n",
    "log10_e_suspect",
    "log10_e_confirmed",
    "density_share",
    "peers_median",
    "swap_gap",
    "swap_gap_lower",
    "swap_gap_upper",
    "residual",
    "region",
    "region_share",
    "message",
]

# Of this process and the audit's. So small a network gains nothing from a second core.
_THREADS: Final = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}

SLICE_COLUMNS: Final = ["group_kind", "class_name", "slice_key", "slice_value", "verdict", "n"]

_VERSION: Final = 1
"""Of the recipe by which models are trained and measured: those of another one are made again."""

Result = dict[str, Any]
"""A model's `result.json`: `spec`, `truth` by class name, `findings`, `slices`, `seconds`, and the `tool`
that judged, as a fingerprint."""


def run_suite(
    specs: Sequence[Spec],
    folder: Path,
    *,
    jobs: int,
    on_done: Callable[[Spec, Result], None] = lambda spec, result: None,
) -> list[Result]:
    """Makes or finds the result of every model.

    Args:
        specs: the models.
        folder: each model has a folder of its name in it; made if missing.
        jobs: how many models are worked on at a time.
        on_done: called after each.

    Returns:
        Results in the order of the specs.
    """
    context = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "stderr.log"
    # Without `max_tasks_per_child`, which hangs in Python 3.11 (github.com/python/cpython/issues/115634).
    with concurrent.futures.ProcessPoolExecutor(jobs, context, _keep_quiet, (log,)) as pool:
        running = {pool.submit(run_model, spec, folder / spec.name): spec for spec in specs}
        for future in concurrent.futures.as_completed(running):
            on_done(running[future], future.result())
    return [future.result() for future in running]


def _keep_quiet(log: Path) -> None:
    """Sends what TensorFlow's C++ libraries print, past Python and whatever is set, to a file."""
    with log.open("a") as file:
        os.dup2(file.fileno(), 2)


def run_model(spec: Spec, folder: Path) -> Result:
    """Makes or finds the result of one model, in its folder.

    A trained model is kept while its recipe is the same, its verdicts while the audit's code is.
    """
    recipe = {"version": _VERSION, **json.loads(json.dumps(dataclasses.asdict(spec)))}
    tool = audits.fingerprint()
    result = _load(folder / "result.json", recipe)
    if result is not None and result["tool"] == tool:
        return result
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.update(_THREADS)
    trained = _load(folder / "trained.json", recipe) or _train(spec, folder, recipe)
    started = time.perf_counter()
    result = {**trained, **_audit(spec, folder), "tool": tool}
    result["seconds"] = {**trained["seconds"], "audit": time.perf_counter() - started}
    _save(folder / "result.json", result)
    return result


def _train(spec: Spec, folder: Path, recipe: dict[str, Any]) -> Result:
    """Trains the model and measures what it relies on; writes `model.keras` and `trained.json`."""
    from benchmarks.planted import nets, truth

    started = time.perf_counter()
    model = nets.build(spec.head, spec.seed)
    if spec.trained:
        pictures = sets.training_set(spec)
        nets.train(model, pictures.images, pictures.labels)
    model.save(folder / "model.keras")
    trained_s = time.perf_counter() - started
    reliance = truth.measure_reliance(lambda images: nets.predict(model, images), spec)
    result = {
        "spec": recipe,
        "truth": {name: {"R": found.reliance, **found._asdict()} for name, found in reliance.items()},
        "seconds": {"training": trained_s, "truth": time.perf_counter() - started - trained_s},
    }
    _save(folder / "trained.json", result)
    return result


def _audit(spec: Spec, folder: Path) -> Result:
    """Audits the model on pictures with annotations, and slices of it where it has some to test."""
    from benchmarks.planted import shards

    judge = {"confirm": True, "epsilon": shards.EPSILON}
    findings = _run(spec, folder, "audit", sets.audit_set(spec), judge, FINDING_COLUMNS)
    slices = []
    if spec.has_slice_audit:
        # An empty map takes a picture from its arm; 30 were drawn, and one fewer shall not end the test.
        judge = {"confirm": False, "min_images": sets.SLICE_ARM - 5}
        slices = _run(spec, folder, "slices", sets.slice_set(spec), judge, SLICE_COLUMNS)
    return {"findings": findings, "slices": [row for row in slices if row["group_kind"] == "slice"]}


def _run(
    spec: Spec, folder: Path, name: str, pictures: sets.AuditSet, judge: dict[str, Any], columns: list[str]
) -> list[dict[str, Any]]:
    """The findings of one audit; its pictures, which the seed can draw again, are not kept."""
    from benchmarks.planted import shards

    shard, config = folder / f"{name}.tfrecord", folder / f"{name}.yaml"
    shards.write_shard(shard, pictures)
    shards.write_config(
        config,
        shard=shard.resolve(),
        model=spec.name,
        model_path=(folder / "model.keras").resolve(),
        pictures=pictures,
        judge=judge,
    )
    findings = audits.read_rows(audits.run_audit(config.resolve()), "findings", columns)
    shard.unlink()
    return findings


def _load(path: Path, recipe: dict[str, Any]) -> Result | None:
    """What was saved there, if it was made by this recipe."""
    if not path.is_file():
        return None
    saved: Result = json.loads(path.read_text())
    return saved if saved["spec"] == recipe else None


def _save(path: Path, result: Result) -> None:
    # Written whole or not at all: whoever is interrupted here would resume from half a file.
    part = path.with_suffix(".part")
    part.write_text(json.dumps(result, indent=1) + "\n")
    part.replace(path)
