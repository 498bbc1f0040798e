"""The manifest: when a run is complete, what it says when it is not, and what it counts."""

import dataclasses
import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from transforms.health import Health
from transforms.labels import AssociatedPair, Association
from transforms.records import Finding
from transforms.write.manifest import Counts, Part, RunRecord, build_manifest, to_json
from transforms.write.paths import RunPaths

STARTED = "2026-03-01T00:00:00.500+00:00"
FINISHED = datetime.datetime(2026, 3, 1, 0, 0, 10, 500_000, tzinfo=datetime.UTC)


def make_run(*, max_bad_fraction: float = 0.01) -> RunRecord:
    return RunRecord(
        paths=RunPaths("/out", "r1", "2026-03-01"),
        name="pets",
        started=STARTED,
        max_bad_fraction=max_bad_fraction,
        models=[],
        slices=["camera"],
        details={
            "tool": {"name": "gradcam-audit", "version": "9.9"},
            "config_sha256": "abc",
            "limit": None,
            "models": [{"name": "m", "classes": 3}],
            "data": {"format": "coco"},
        },
    )


def make_finding(
    *, model: str = "m", kind: str = "class", name: str = "cat", verdict: str = "suspect"
) -> Finding:
    empty = {field.name: None for field in dataclasses.fields(Finding)}
    known = {"model": model, "group_kind": kind, "group_name": name, "verdict": verdict}
    return Finding(**{**empty, "finding_id": f"id of {name}", "n": 3, "message": "", **known})


def manifest(
    counts: Counts | None = None,
    *,
    parts: Sequence[Part] = (),
    findings: Sequence[Finding] = (),
    associations: Sequence[Association] = (),
    health: Sequence[Health] = (),
    max_bad_fraction: float = 0.01,
    finished: datetime.datetime = FINISHED,
) -> dict[str, Any]:
    run = make_run(max_bad_fraction=max_bad_fraction)
    return build_manifest(
        run,
        {("records",): 100} if counts is None else counts,
        parts,
        findings,
        associations,
        health,
        finished,
    )


def test_a_complete_run() -> None:
    counts = {
        ("records",): 200,
        ("dead_letters", "missing_image"): 2,
        ("status", "m", "gradcam", "ok"): 90,
        ("status", "m", "gradcam", "no_box"): 8,
        ("status", "m", "hirescam", "ok"): 98,
        ("unmapped", "m", "unicorn"): 3,
        ("defect", "inverted"): 2,
    }
    parts = [Part("scores", "00000", 90), Part("scores", "00001", 106), Part("findings", "00000", 1)]

    assert {
        "schema_version": "1",
        "complete": True,
        "failure": None,
        "run_id": "r1",
        "run_date": "2026-03-01",
        "name": "pets",
        "started": STARTED,
        "finished": "2026-03-01T00:00:10+00:00",
        "wall_seconds": 10.0,
        "images_per_second": 20.0,
        "records": 200,
        "rows": {"scores": 196, "summaries": 0, "findings": 1, "dead_letters": 0},
        "statuses": {"m": {"gradcam": {"no_box": 8, "ok": 90}, "hirescam": {"ok": 98}}},
        "dead_letters": {"missing_image": 2},
        "unmapped": {"m": {"unicorn": 3}},
        "defects": {"inverted": 2},
        "slices": {"camera": 0},
        "clustered": 0,
        "recalled": 0,
        "allowed_classes": {},
        "verdicts": {},
        "tests": {},
        "flagged": [],
        "tool": {"name": "gradcam-audit", "version": "9.9"},
        "config_sha256": "abc",
        "limit": None,
        "models": [{"name": "m", "classes": 3, "health": None}],
        "data": {"format": "coco", "associations": []},
    } == manifest(counts, parts=parts)


def test_no_record_is_no_audit() -> None:
    found = manifest({})

    assert (False, "no record was read") == (found["complete"], found["failure"])


def test_too_many_dead_letters_are_counted_by_reason() -> None:
    counts = {
        ("records",): 1000,
        ("dead_letters", "undecodable_image"): 12,
        ("dead_letters", "duplicate_id"): 3,
    }
    found = manifest(counts)

    assert found["complete"] is False
    assert (
        "15 of 1000 records are dead letters (3 duplicate_id, 12 undecodable_image): 0.015 is more than "
        "max_bad_fraction, 0.01; see the table dead_letters"
    ) == found["failure"]


@pytest.mark.parametrize(
    ("dead", "records", "limit"),
    [
        (1, 100, 0.01),
        (0, 5, 0.0),
        (5, 5, 1.0),
        (29, 100, 0.29),
        (7, 100, 0.07),
        (57, 100, 0.57),
        (3, 10, 0.3),
    ],
)
def test_exactly_the_limit_passes(dead: int, records: int, limit: float) -> None:
    counts = {("records",): records, ("dead_letters", "missing_image"): dead}

    assert manifest(counts, max_bad_fraction=limit)["complete"]


@pytest.mark.parametrize(("dead", "records", "limit"), [(1, 1000, 0.0), (2, 100, 0.01), (30, 100, 0.29)])
def test_one_more_than_the_limit_fails(dead: int, records: int, limit: float) -> None:
    counts = {("records",): records, ("dead_letters", "missing_image"): dead}

    assert not manifest(counts, max_bad_fraction=limit)["complete"]


def test_a_failure_never_says_that_a_number_is_more_than_itself() -> None:
    counts = {("records",): 10_000, ("dead_letters", "missing_image"): 104}

    assert "0.0104 is more than max_bad_fraction, 0.01" in manifest(counts)["failure"]


def test_tests_are_counted_by_model_and_kind() -> None:
    class_, slice_ = make_finding(), make_finding(kind="slice")
    findings = [
        dataclasses.replace(class_, log10_e_suspect=0.0, log10_e_confirmed=-1.0),
        dataclasses.replace(class_, log10_e_suspect=2.0),
        class_,
        dataclasses.replace(slice_, p_value=1.0),
        make_finding(model="n", kind="model"),
    ]

    assert {
        "m": {"class_density_share": 2, "class_swap": 1, "slice_density_share": 1, "slice_swap": 0},
        "n": {"class_density_share": 0, "class_swap": 0, "slice_density_share": 0, "slice_swap": 0},
    } == manifest(findings=findings)["tests"]


def test_verdicts_are_counted_by_model_and_the_flagged_are_listed_in_order() -> None:
    findings = [
        make_finding(model="n", kind="model", name="n", verdict="unsuspected"),
        make_finding(model="m", name="dog"),
        make_finding(model="m", kind="slice", name="cat, camera=A"),
        make_finding(model="m", kind="model", name="m"),
        make_finding(model="m", name="cat"),
        make_finding(model="m", name="fish", verdict="insufficient"),
        make_finding(model="n", name="cat", verdict="unsuspected"),
    ]
    expected: Mapping[str, Any] = {
        "m": {"model": "suspect", "class": {"suspect": 2, "insufficient": 1}, "slice": {"suspect": 1}},
        "n": {"model": "unsuspected", "class": {"unsuspected": 1}, "slice": {}},
    }
    found = manifest(findings=findings)

    assert expected == found["verdicts"]
    assert ["cat", "dog", "m", "cat, camera=A"] == [row["group_name"] for row in found["flagged"]]
    assert {
        "finding_id": "id of cat",
        "model": "m",
        "group_kind": "class",
        "group_name": "cat",
        "verdict": "suspect",
    } == found["flagged"][0]


@pytest.mark.parametrize("verdict", ["confirmed", "hidden", "suspect"])
def test_what_is_flagged(verdict: str) -> None:
    assert 1 == len(manifest(findings=[make_finding(verdict=verdict)])["flagged"])


@pytest.mark.parametrize("verdict", ["clear", "unsuspected", "insufficient"])
def test_what_is_not_flagged(verdict: str) -> None:
    assert [] == manifest(findings=[make_finding(verdict=verdict)])["flagged"]


def test_the_order_of_counts_parts_and_findings_does_not_matter() -> None:
    counts = {
        ("records",): 9,
        ("status", "m", "a", "ok"): 1,
        ("dead_letters", "x"): 1,
        ("dead_letters", "a"): 1,
    }
    parts = [Part("scores", "00000", 1), Part("findings", "00000", 2)]
    findings = [make_finding(name="b"), make_finding(name="a"), make_finding(name="c", model="n")]
    one = manifest(counts, parts=parts, findings=findings)
    other = manifest(dict(reversed(counts.items())), parts=parts[::-1], findings=findings[::-1])

    assert to_json(one) == to_json(other)


def test_a_run_of_no_time_has_no_rate() -> None:
    started = datetime.datetime.fromisoformat(STARTED)
    found = manifest(finished=started)

    assert (0.0, None) == (found["wall_seconds"], found["images_per_second"])


def test_the_metadata_of_a_runs_files() -> None:
    assert {"run_id": "r1", "tool_version": "9.9", "config_sha256": "abc"} == make_run().metadata


def test_json_is_indented_and_keeps_order_and_letters() -> None:
    assert '{\n  "b": 1,\n  "a": "ß"\n}\n' == to_json({"b": 1, "a": "ß"})
    assert manifest() == json.loads(to_json(manifest()))


def test_where_files_stand() -> None:
    paths = RunPaths("gs://b/out", "r1", "2026-03-01")

    assert "gs://b/out/scores/run_date=2026-03-01/run_id=r1/part-00000.parquet" == paths.part(
        "scores", "00000"
    )
    assert "gs://b/out/runs/r1/staging" == paths.staging
    assert "gs://b/out/runs/r1/staging/scores/part-00000.parquet" == paths.staged("scores", "00000")
    assert "gs://b/out/runs/r1/manifest.json" == paths.record("manifest.json")


def test_a_corrupt_shard_fails_the_run_whatever_its_share() -> None:
    counts = {("records",): 10_000, ("dead_letters", "corrupt_shard"): 1}
    expected = (
        "corrupt shards: 1, and nobody knows how many records they held; see the table dead_letters, "
        "or set max_bad_fraction to 1 to go on without them"
    )

    assert expected == build_manifest(make_run(), counts, [], [], [], [], FINISHED)["failure"]
    assert build_manifest(make_run(max_bad_fraction=1.0), counts, [], [], [], [], FINISHED)["complete"]


def test_a_model_without_a_score_fails_the_run() -> None:
    run = dataclasses.replace(make_run(), models=["m", "other"])
    scored = {("records",): 2, ("status", "m", "hirescam", "ok"): 2}
    unmapped = {("unmapped", "other", name): 1 for name in ("cat", "dog")}

    assert (
        "no record could be scored for model other: the class map has none of the annotated names (cat, dog)"
        == build_manifest(run, {**scored, **unmapped}, [], [], [], [], FINISHED)["failure"]
    )


def test_a_model_has_its_health_last() -> None:
    values = {field.name: None for field in dataclasses.fields(Health)}
    health = Health(**{**values, "model": "m", "verdict": "trusted", "images": 128, "message": "said"})
    (model,) = manifest(health=[health])["models"]

    assert {"name": "m", "classes": 3} == {key: model[key] for key in list(model)[:-1]}
    assert ("health", {**values, "verdict": "trusted", "images": 128, "message": "said"}) == (
        list(model)[-1],
        {"model": None, **model["health"]},
    )


def test_associations_stand_in_the_order_of_the_slices() -> None:
    pair = AssociatedPair("A", "cat", 9, 0.9, 0.1, 0.8, 1e-9)
    told = Association("camera", 20, 0, 2, 0.5, 0.8, 1e-8, True, [pair], "camera=A in 90 % of cat")
    untold = Association("id", 20, 0, None, None, None, None, None, [], "not tested: more than 100 values")
    run = dataclasses.replace(make_run(), slices=["id", "camera"])
    found = build_manifest(run, {("records",): 20}, [], [], [told, untold], [], FINISHED)["data"]

    assert ["id", "camera"] == [row["slice_key"] for row in found["associations"]]
    assert {
        "slice_key": "camera",
        "records": 20,
        "missing": 0,
        "values": 2,
        "nmi": 0.5,
        "cramers_v": 0.8,
        "p_value": 1e-8,
        "associated": True,
        "pairs": [
            {
                "value": "A",
                "class_name": "cat",
                "records": 9,
                "share_in_class": 0.9,
                "share_elsewhere": 0.1,
                "phi": 0.8,
                "p_value": 1e-9,
            }
        ],
        "message": "camera=A in 90 % of cat",
    } == found["associations"][1]
