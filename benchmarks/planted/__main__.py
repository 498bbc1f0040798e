"""Trains the models, audits them, and writes what the verdicts are worth.

    python -m benchmarks.planted                 # the subset of 24 models
    python -m benchmarks.planted --full          # all of them
    python -m benchmarks.planted --seeds tuning  # while a rule is being changed

What is finished is not done again: an interrupted run goes on where it stopped, and the full run uses what
the subset made. When the code of the audit has changed, the trained models are kept and audited anew.
"""

import argparse
import dataclasses
import fnmatch
import json
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

logging.getLogger().setLevel(logging.ERROR)  # Beam warns of what it does not find as it is imported

from benchmarks.planted import evaluate, null_modes, nulls, page, picture, rows, suite
from benchmarks.planted.figures import Figure
from benchmarks.planted.specs import Seeds, Spec, all_specs
from transforms.judge.settings import JudgeSettings


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.planted",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--full", action="store_true", help="all models rather than the subset")
    parser.add_argument("--seeds", choices=get_args(Seeds), default="reporting")
    parser.add_argument(
        "--only", default="*", metavar="PATTERN", help="models by name, such as 'tag-*-mlp-1'"
    )
    parser.add_argument("--jobs", type=int, default=2, help="models worked on at a time (2)")
    parser.add_argument("--output", type=Path, default=Path("validation"), help="models and results")
    parser.add_argument("--page", type=Path, help="also write this Markdown page, and its picture beside it")
    arguments = parser.parse_args()
    specs = [
        spec
        for spec in all_specs(arguments.seeds)
        if (arguments.full or spec.in_subset or arguments.only != "*")
        and fnmatch.fnmatch(spec.name, arguments.only)
    ]
    if not specs:
        parser.error(f"no model of the suite is named like {arguments.only!r}")

    folder = arguments.output / arguments.seeds
    results = _run(specs, folder, arguments.jobs)
    settings = JudgeSettings()
    figures = [
        *evaluate.evaluate(results),
        *nulls.null_figures(settings),
        *null_modes.null_mode_figures(settings),
    ]
    classes = rows.class_rows(results)
    document = {
        "seeds": arguments.seeds,
        "models": [spec.name for spec in specs],
        "figures": [dataclasses.asdict(figure) for figure in figures],
        "classes": [dataclasses.asdict(row) for row in classes],
    }
    (folder / "results.json").write_text(json.dumps(document, indent=1) + "\n")
    _print(figures)
    if arguments.page is not None:
        drawing = arguments.page.with_suffix(".svg")
        picture.draw(classes, drawing)
        text = page.render(
            figures,
            classes,
            results,
            seeds=arguments.seeds,
            command="make validate-full" if arguments.full else "make validate",
            picture=drawing.name,
        )
        arguments.page.write_text(text, encoding="utf-8")
    print(f"Results are in {folder / 'results.json'}")
    return 0


def _run(specs: Sequence[Spec], folder: Path, jobs: int) -> list[dict[str, Any]]:
    started, done = time.perf_counter(), 0

    def on_done(spec: Spec, result: dict[str, Any]) -> None:
        nonlocal done
        done += 1
        found = ", ".join(f"{name} R {truth['R']:.2f}" for name, truth in result["truth"].items())
        minutes = (time.perf_counter() - started) / 60
        print(f"{done:3} of {len(specs)}  {minutes:5.1f} min  {spec.name}  {found}", flush=True)

    return suite.run_suite(specs, folder, jobs=jobs, on_done=on_done)


def _print(figures: Sequence[Figure]) -> None:
    for figure in figures:
        value = "      " if figure.value is None else f"{figure.value:6.3f}"
        met = {True: "met", False: "NOT MET", None: ""}[figure.met]
        print(f"{value}  {figure.goal:8} {met:8} {figure.name} ({figure.detail})")


if __name__ == "__main__":
    sys.exit(main())
