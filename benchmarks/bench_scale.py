"""Whether judging grows with the number of images: time a row, peak memory, one worker against two.

    python -m benchmarks.bench_scale [--rows 100000 1000000] [--workers 1 2]

Made-up scores of one model, 100 classes and 4 cameras go through the transforms of an audit behind the heavy
stage: SummarizeScores, CountCompany, SampleHeat and JudgeModels, on Beam's local runner. Scores are made
in blocks where they are used, as explaining makes them; where their heat lies is computed once for 256 of
them, by the functions that the audit uses. Each line is a process of its own. Times a row are processor
time, since machines are shared; `findings` is a digest of all findings, the same for any number of workers.
"""

import argparse
import dataclasses
import functools
import hashlib
import json
import multiprocessing
import pickle
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam import coders
from apache_beam.options.pipeline_options import PipelineOptions

from transforms.judge.settings import JudgeSettings
from transforms.judge.sightings import MOST_MAPS, Sightings
from transforms.judge.statistics import Tally
from transforms.judge.wiring import CountCompany, JudgeModels, SampleHeat, SummarizeScores
from transforms.measure.wiring import located, score
from transforms.records import Box, Explanation, Finding, Group, Score, Slice

BLOCK = 1000
CLASSES = 100
KINDS = 256
SIDE = 7
JUDGED = {"m": ("last", "hirescam")}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    print("bytes of one:", sizes())
    results: list[dict[str, Any]] = []
    for rows in arguments.rows:
        for workers in arguments.workers:
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                results.append(pool.apply(measured, (rows, workers)))
            if len(results) == 1:
                print("".join(f"{head:>14}" for head in results[0]))
            print("".join(f"{value!s:>14}" for value in results[-1].values()), flush=True)
    print(json.dumps({"results": results, "bytes": sizes()}))


def measured(rows: int, workers: int) -> dict[str, Any]:
    """One pipeline over that many scores, in this process or, from two workers on, in others."""
    mode = ["--direct_running_mode=multi_processing"] if workers > 1 else []
    options = PipelineOptions([*mode, f"--direct_num_workers={workers}"])
    memory, busy, began = peak(), time.process_time(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        with beam.Pipeline(runner="FnApiRunner", options=options) as pipeline:
            scores = (
                pipeline
                | beam.Create(range(rows // BLOCK))
                | beam.Reshuffle()
                | beam.FlatMap(block).with_output_types(Score)
            )
            groups = [Group("m", "hirescam", "last", "model", None, None, None)]
            tallies = scores | SummarizeScores(groups, JUDGED)
            company, sightings = scores | CountCompany(JUDGED), scores | SampleHeat(JUDGED)
            judged = tallies | JudgeModels(JudgeSettings(), JUDGED, company, sightings=sightings)
            judged["findings"] | beam.combiners.ToList() | beam.Map(keep_digest, f"{folder}/digest")
        wall, digest = time.monotonic() - began, Path(folder, "digest").read_text()
    others = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = time.process_time() - busy + others.ru_utime + others.ru_stime
    return {
        "rows": rows,
        "workers": workers,
        "us a row": round(1e6 * seconds / rows),
        "wall s": round(wall),
        "launcher MiB": round(peak() - memory),
        "worker MiB": round(others.ru_maxrss / 1024),
        "findings": digest,
    }


def block(number: int) -> Iterator[Score]:
    """A thousand scores, the same in every run."""
    random = np.random.default_rng(number)
    for index, kind in enumerate(random.integers(KINDS, size=BLOCK)):
        name = f"class {random.integers(CLASSES):03d}"
        yield Score(
            **{
                **kinds()[kind],
                "example_id": f"image-{number:06d}-{index:03d}.jpg",
                "source": f"shard-{number:06d}.tfrecord",
                "shard": f"{number:06d}",
                "position": index,
                "target_name": name,
                "density_share": float(random.beta(4, 2)),
                "slices": [Slice("camera", "ABCD"[random.integers(4)])],
            }
        )


@functools.cache
def kinds() -> list[dict[str, Any]]:
    """The fields of measured scores with random maps and boxes; every fourth has company in the picture."""
    random = np.random.default_rng(0)
    found = []
    for kind in range(KINDS):
        (row,) = score(explanation(random, companion=kind % 4 == 0))
        found.append({**vars(located(row)), "scene": None})
    return found


def explanation(random: np.random.Generator, companion: bool) -> Explanation:
    """One map of 7x7 with a box, and another class beside it."""
    left, top = random.uniform(0, 150, 2)
    size = random.uniform(30, 70)
    other = Box("companion", 160.0, 160.0, 220.0, 220.0)
    return Explanation(
        example_id="image-000000-000.jpg",
        source="shard-000000.tfrecord",
        position=0,
        shard="000000",
        model="m",
        target_layer="last",
        target_rule="annotated",
        target_class=1,
        target_name="class 000",
        predicted_class=1,
        predicted_name="class 000",
        target_logit=7.0,
        target_probability=0.9,
        correct=True,
        view_width=224,
        view_height=224,
        content=[0.0, 0.0, 224.0, 224.0],
        target_boxes=[Box("class 000", left, top, left + size, top + size)],
        other_boxes=[other] if companion else [],
        methods=["hirescam"],
        heatmaps=[random.random((SIDE, SIDE), np.float32).astype("<f4").tobytes()],
        map_height=SIDE,
        map_width=SIDE,
        slices=[Slice("camera", "A")],
        cluster=None,
    )


def sizes() -> dict[str, int]:
    """Bytes of what is shuffled, as Beam encodes it: rows by their coders, states pickled."""
    random = np.random.default_rng(0)
    explained = explanation(random, companion=False)
    (row,) = score(explained)
    sightings, heat = Sightings(), located(row)
    for index in range(2 * MOST_MAPS):
        sightings.add(Score(**{**vars(heat), "example_id": f"image-{index:010d}.jpg"}))
    return {
        "explanation, 1 method": len(coders.registry.get_coder(Explanation).encode(explained)),
        "score": len(coders.registry.get_coder(Score).encode(row)),
        "score, with its heat": len(coders.registry.get_coder(Score).encode(heat)),
        "tally of 1 score": len(pickle.dumps(Tally.of(heat))),
        "tally of 1,000 scores": len(pickle.dumps(sum(map(Tally.of, block(0)), start=Tally.zero()))),
        "sightings of a class": len(pickle.dumps(sightings)),
    }


def keep_digest(findings: Sequence[Finding], path: str) -> None:
    """Writes a short digest of all fields of all findings."""
    names = [field.name for field in dataclasses.fields(Finding)]
    rows = sorted(repr([getattr(row, name) for name in names]) for row in findings)
    Path(path).write_text(hashlib.sha256("\n".join(rows).encode()).hexdigest()[:12])


def peak() -> float:
    """Peak resident memory of this process, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    # By its name, as worker processes know it; there `__main__` is another module.
    from benchmarks import bench_scale

    bench_scale.main()
