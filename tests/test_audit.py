"""The whole audit: equal to a direct loop, the same for any sharding, whole or absent after a crash."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import apache_beam as beam
import duckdb
import numpy as np
import pytest
import yaml
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from pipeline.audit import audit
from pipeline.config import Config, load_config
from pipeline.plan import Plan, plan_run
from transforms.explain.again.controls import Controls
from transforms.explain.again.sampling import Donors, budget_of, names_with_boxes, plan_samples, rank
from transforms.explain.again.swapper import Swapper
from transforms.explain.explainer import Explainer
from transforms.judge.clusters import mean_swap
from transforms.judge.company import pairs_of
from transforms.judge.families import is_computed
from transforms.judge.gaps import GapKey, GapTally, gap_keys
from transforms.judge.groups import groups_of
from transforms.judge.health import HealthTally
from transforms.judge.judgement import conclude
from transforms.judge.sightings import Sightings
from transforms.judge.summaries import summarise
from transforms.measure.ground import Allowed
from transforms.measure.health import health_score
from transforms.measure.wiring import located, score
from transforms.records import Box, Example, Explanation, Group, Slice, Swap

from .audit_sets import (
    IMAGES,
    annotations,
    fields,
    manifest_of,
    photos,
    rows_of,
    run,
    write_config,
    write_set,
)
from .direct import direct_exemplars
from .strategies import tallies_of

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def two_models(tiny_model: Path, flat_model: Path) -> dict[str, Path]:
    return {"tiny": tiny_model, "flat": flat_model}


@pytest.fixture(scope="module")
def in_two_shards(
    tmp_path_factory: pytest.TempPathFactory, two_models: dict[str, Path]
) -> tuple[Config, Plan]:
    folder = tmp_path_factory.mktemp("two")
    write_set(folder, shards=2)
    config = load_config(str(write_config(folder, two_models)))
    return config, run(config)


def direct_rows(config: Config, plan: Plan) -> dict[str, list[dict[str, Any]]]:
    """The audit as a plain loop over the same examples, without Beam and without the readers."""
    folder = Path(config.data.images).parent
    examples = []
    for file_name, data in photos().items():
        index = int(file_name[:2])
        boxes = [Box(name, x, y, x + w, y + h) for name, (x, y, w, h) in annotations()[file_name]]
        camera = [Slice("camera", fields()[file_name]["camera"])]
        source = str(folder / f"set-{index % 2}.json")
        patient = fields()[file_name].get("patient")
        examples.append(
            Example(file_name, source, index // 2, "", data, "", boxes, [], False, camera, patient)
        )
    explainer = Explainer(plan.specs, config.explain, config.computed_slices)
    scores = []
    for first in range(0, IMAGES, 5):  # another batching than the pipeline's
        for found in explainer.explain(examples[first : first + 5]):
            scores += score(found) if isinstance(found, Explanation) else []
    rows = [located(row) for row in scores]
    tallies = {
        group: tally
        for group, tally in tallies_of(rows).items()
        if not is_computed(group.slice_key)
        or (group.method == "hirescam" and tally.units >= config.judge.min_images)
    }
    sightings: dict[Group, Sightings] = {}
    for row in rows:
        for group in groups_of(row):
            if group.kind == "class":
                sightings.setdefault(group, Sightings()).add(row)
    company: dict[Any, Any] = {}
    for row in rows:
        for pair, numbers in pairs_of(row):
            company[pair] = company.get(pair, 0) + numbers
    swaps = direct_swaps(config, explainer, examples)
    of_unit: dict[Any, list[Swap]] = {}
    for swap in swaps.values():
        of_unit.setdefault((swap.model, swap.class_name, swap.cluster or swap.example_id), []).append(swap)
    gaps: dict[str, dict[GapKey, GapTally]] = {"tiny": {}, "flat": {}}
    for unit_swaps in of_unit.values():
        mean = mean_swap(unit_swaps)
        for gap_key in gap_keys(mean):
            own = gap_key[1] is not None
            gaps[mean.model].setdefault(gap_key, GapTally.zero()).add(mean, own=own)
    healths = direct_healths(config, explainer, examples)
    findings, states = [], []
    for model in ("tiny", "flat"):
        judged = {g: t for g, t in tallies.items() if g.model == model and g.method == "hirescam"}
        together = {pair: n for pair, n in company.items() if pair[0] in judged}
        maps = {group: of for group, of in sightings.items() if group in judged}
        concluded = conclude(
            judged, together, gaps[model], config.judge, sightings=maps, health=healths[model]
        )
        findings += concluded.findings
        states.append({key: value for key, value in vars(concluded.health).items() if key != "model"})
    for index, row in enumerate(scores):
        swap = swaps.get((row.model, row.example_id, row.target_name))
        if row.target_rule == "annotated" and swap is not None:
            scores[index] = dataclasses.replace(
                row,
                swap_gap=swap.gap,
                residual=swap.residual,
                other_background_probability=swap.other,
                donor_class=swap.donor_class,
            )
    findings = direct_exemplars(config, plan, findings, scores, swaps, examples)
    summaries = []
    for group, tally in tallies.items():
        is_judged = group.kind == "class" and group.method == "hirescam"
        own_gaps = gaps[group.model].get((str(group.class_name), None, None)) if is_judged else None
        summaries.append(summarise(group, tally, own_gaps))
    return {
        "scores": [as_row(row) for row in scores],
        "summaries": [as_row(row) for row in summaries],
        "findings": [as_row(row) for row in findings],
        "health": states,
    }


def direct_healths(config: Config, explainer: Explainer, examples: list[Example]) -> dict[str, HealthTally]:
    """The images of smallest rank, of a patient the first, by each model and its controls."""
    first: dict[str, int] = {}
    for example in examples:
        unit = example.cluster or example.example_id
        first[unit] = min(rank(example.example_id), first.get(unit, 2**63))
    drawn = sorted(first.values())[: config.judge.health_images]
    controls = Controls(explainer, "hirescam", {"tiny": drawn, "flat": drawn})
    tallies = {"tiny": HealthTally.zero(), "flat": HealthTally.zero()}
    for example in examples:
        for maps in controls.compare([example]):
            for measured in health_score(maps, Allowed()):
                tallies[measured.model].add(measured)
    return tallies


def direct_swaps(config: Config, explainer: Explainer, examples: list[Example]) -> dict[Any, Swap]:
    """Every sampled image on other backgrounds, by model, image and class."""
    ranks: dict[str, list[int]] = {}
    for example in examples:
        for name in names_with_boxes(example):
            ranks.setdefault(name, []).append(rank(example.example_id))
    ordered = {name: sorted(found) for name, found in ranks.items()}
    samples = plan_samples(ordered, config.judge.images_per_class, budget_of(IMAGES), {})
    swapper = Swapper(explainer, Donors.among(examples, samples), samples)
    found = [swap for example in examples for swap in swapper.swap([example])]
    return {(swap.model, swap.example_id, swap.class_name): swap for swap in found}


def as_row(record: Any) -> dict[str, Any]:
    row = dict(vars(record))
    for internal in ("position", "shard", "scene", "outside"):
        row.pop(internal, None)
    heatmap = row.get("heatmap")
    if heatmap is not None:
        packed = isinstance(heatmap, bytes)
        row["heatmap"] = (np.frombuffer(heatmap, "<f4") if packed else np.float32(heatmap)).tolist()
    if "slices" in row:
        row["slices"] = [vars(entry) for entry in row["slices"]]
    if row.get("exemplar_details") is not None:
        row["exemplar_details"] = [as_row(exemplar) for exemplar in row["exemplar_details"]]
    return row


def test_the_pipeline_equals_a_direct_loop(in_two_shards: tuple[Config, Plan]) -> None:
    config, plan = in_two_shards

    # The premise: several shards, batches, models, methods and rules, and images with two classes.
    assert 2 == len(plan.listing.shards)
    assert IMAGES > 2 * config.explain.batch_size
    expected = direct_rows(config, plan)
    healths = expected.pop("health")
    assert 2 * 2 * (IMAGES + IMAGES // 7 + IMAGES) == len(expected["scores"])
    for table, rows in expected.items():
        assert sorted(rows, key=repr) == rows_of(plan, table), table
    assert [12, 12] == [health["images"] for health in healths]
    # Random weights are always recognised.
    assert {"not_trusted"} == {health["verdict"] for health in healths}
    assert healths == [model["health"] for model in manifest_of(plan)["models"]]


@pytest.mark.parametrize(("shards", "shuffled"), [(1, False), (7, True), (16, False)])
def test_sharding_and_order_change_no_row(
    tmp_path: Path,
    two_models: dict[str, Path],
    in_two_shards: tuple[Config, Plan],
    shards: int,
    shuffled: bool,
) -> None:
    write_set(tmp_path, shards, shuffled)
    plan = run(load_config(str(write_config(tmp_path, two_models))))

    assert shards == len(plan.listing.shards)
    assert manifest_of(in_two_shards[1])["data"]["associations"] == manifest_of(plan)["data"]["associations"]
    assert [model["health"] for model in manifest_of(in_two_shards[1])["models"]] == [
        model["health"] for model in manifest_of(plan)["models"]
    ]
    for table in ("summaries", "findings"):
        assert rows_of(in_two_shards[1], table) == rows_of(plan, table)
    # Only where a row came from may differ.
    assert rows_of(in_two_shards[1], "scores", without=["source"]) == rows_of(
        plan, "scores", without=["source"]
    )


def test_the_manifest_counts_what_the_tables_hold(in_two_shards: tuple[Config, Plan]) -> None:
    _, plan = in_two_shards
    manifest = manifest_of(plan)

    assert manifest["complete"]
    assert IMAGES == manifest["records"]
    for table in ("scores", "summaries", "findings", "dead_letters"):
        assert manifest["rows"][table] == len(rows_of(plan, table))
    scores = rows_of(plan, "scores")
    for model in ("tiny", "flat"):
        for method in ("gradcam", "hirescam"):
            of_method = [row["status"] for row in scores if (row["model"], row["method"]) == (model, method)]
            counted = {status: of_method.count(status) for status in set(of_method)}
            assert counted == manifest["statuses"][model][method]
    assert ["last", "last"] == [model["target_layer"] for model in manifest["models"]]


def test_two_runs_into_one_output_never_mix(tmp_path: Path, tiny_model: Path) -> None:
    write_set(tmp_path, shards=1)
    config = load_config(str(write_config(tmp_path, {"tiny": tiny_model})))
    first, second = run(config), run(config)

    assert first.run.paths.run_id != second.run.paths.run_id
    for table in ("scores", "summaries", "findings"):
        assert rows_of(first, table) == rows_of(second, table)
    counted = duckdb.sql(
        f"select run_id, count(*) from '{tmp_path}/audits/scores/**/*.parquet' group by all order by all"
    ).fetchall()
    rows = len(rows_of(first, "scores"))
    assert sorted([(first.run.paths.run_id, rows), (second.run.paths.run_id, rows)]) == counted


def test_bad_records_cost_only_themselves(tmp_path: Path, tiny_model: Path, in_two_shards: Any) -> None:
    """A broken image, a missing one, a duplicate: three dead letters, and every other row as before.

    Only their backgrounds are lacking: images that they would have lent them to take the next.
    """
    write_set(tmp_path, shards=2)
    (tmp_path / "images/00.png").write_bytes(b"broken")
    (tmp_path / "images/01.png").unlink()
    again = json.loads((tmp_path / "set-0.json").read_text())
    again["images"] = [image for image in again["images"] if image["file_name"] == "02.png"]
    again["annotations"] = [a for a in again["annotations"] if a["image_id"] == again["images"][0]["id"]]
    (tmp_path / "set-9.json").write_text(json.dumps(again))
    path = write_config(tmp_path, {"tiny": tiny_model})
    document = yaml.safe_load(path.read_text())
    document["data"]["max_bad_fraction"] = 0.1
    path.write_text(yaml.safe_dump(document))
    plan = run(load_config(str(path)))

    assert {"duplicate_id": 1, "missing_image": 1, "undecodable_image": 1} == manifest_of(plan)[
        "dead_letters"
    ]
    letters = rows_of(plan, "dead_letters")
    assert [("explain", "00.png"), ("read", "01.png"), ("read", "02.png")] == sorted(
        (row["stage"], row["example_id"]) for row in letters
    )
    assert [str(tmp_path / "set-9.json")] == [
        row["source"] for row in letters if row["error"] == "duplicate_id"
    ]
    by_swaps = ["swap_gap", "residual", "other_background_probability", "donor_class"]
    healthy = [
        row
        for row in rows_of(in_two_shards[1], "scores", without=["source", *by_swaps])
        if row["model"] == "tiny" and row["example_id"] not in ("00.png", "01.png")
    ]
    assert healthy == rows_of(plan, "scores", without=["source", *by_swaps])


def test_other_processes_give_the_same_rows(
    tmp_path: Path, two_models: dict[str, Path], in_two_shards: tuple[Config, Plan]
) -> None:
    """Rows cross to two worker processes and back, through the coders and the command line."""
    write_set(tmp_path, shards=2)
    flags = ["--run-id=mp", "--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    path = write_config(tmp_path, two_models)
    subprocess.run([sys.executable, "-m", "pipeline", "run", str(path), *flags], cwd=ROOT, check=True)
    config = load_config(str(path))
    there = plan_run(config, runner="FnApiRunner", run_id="mp-too")
    paths = dataclasses.replace(there.run.paths, run_id="mp")
    plan = dataclasses.replace(there, run=dataclasses.replace(there.run, paths=paths))

    for table in ("scores", "summaries", "findings"):
        assert rows_of(in_two_shards[1], table, ["source"]) == rows_of(plan, table, ["source"]), table


def test_a_killed_run_leaves_no_manifest_and_the_next_one_is_clean(tmp_path: Path, tiny_model: Path) -> None:
    write_set(tmp_path, shards=1)
    config_path = write_config(tmp_path, {"tiny": tiny_model})
    command = [sys.executable, "-m", "pipeline", "run", str(config_path), "--run-id", "killed"]
    process = subprocess.Popen(command, cwd=ROOT)
    started = tmp_path / "audits/runs/killed/started.json"
    deadline = time.monotonic() + 120
    while not started.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)

    assert -signal.SIGKILL == process.wait()
    assert started.exists()
    assert not (tmp_path / "audits/runs/killed/manifest.json").exists()
    assert [] == list((tmp_path / "audits").glob("scores/**/*.parquet"))
    plan = run(load_config(str(config_path)), run_id="next")
    assert manifest_of(plan)["complete"]
    assert [] == list((tmp_path / "audits/scores").glob("**/run_id=killed/*"))


def test_only_encoded_bytes_cross_a_stage_boundary(in_two_shards: tuple[Config, Plan]) -> None:
    """Loading, decoding, batching, explaining and measuring are one fused stage; no example leaves it."""
    config, plan = in_two_shards
    pipeline = beam.Pipeline(runner="FnApiRunner")
    audit(pipeline, config, plan)
    _, stages = FnApiRunner().create_stages(pipeline.to_runner_api())
    (explaining,) = [
        s for s in stages if any(t.unique_name.startswith("Explain/Explain") for t in s.transforms)
    ]
    names = [transform.unique_name for transform in explaining.transforms]
    for step in ("Load/LoadImage", "Explain/Batch", "Explain/Split", "Measure/"):
        assert any(name.startswith(step) for name in names), step

    # A loaded image and a batch of them are made here; what takes one stands here too, and is no sink.
    (loading,) = [t for t in explaining.transforms if t.unique_name.startswith("Load/LoadImage")]
    (batching,) = [t for t in explaining.transforms if t.unique_name.startswith("Explain/Batch")]
    images = {loading.outputs["None"], *batching.outputs.values()}
    consumers = [
        (stage, transform)
        for stage in stages
        for transform in stage.transforms
        if images & set(transform.inputs.values())
    ]
    assert len(consumers) >= 3
    for stage, transform in consumers:
        assert stage is explaining, transform.unique_name
        assert "beam:runner:sink:v1" != transform.spec.urn, transform.unique_name
