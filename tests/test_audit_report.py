"""The report of a whole audit: the same from pipeline and tables, with pixels only where allowed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest

from pipeline.audit import audit
from pipeline.config import load_config
from pipeline.plan import Plan, plan_run
from pipeline.report import report_again

from .audit_sets import rows_of, run, write_config, write_set

JPEG = b"\xff\xd8\xff"


def audited(folder: Path, model: Path, report: Mapping[str, Any]) -> Plan:
    write_set(folder, shards=2)
    plan = run(load_config(str(write_config(folder, {"tiny": model}, report=dict(report)))), "r1")
    paths = plan.run.paths
    started = {"run_id": paths.run_id, "run_date": paths.run_date, "started": plan.run.started}
    Path(paths.record("started.json")).write_text(json.dumps(started))
    return plan


def files_with(folder: Path, data: bytes) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and data in path.read_bytes()]


@pytest.fixture(scope="module")
def with_images(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Plan:
    return audited(tmp_path_factory.mktemp("with"), tiny_model, {"exemplars": 1})


def test_the_report_is_the_same_from_the_pipeline_and_from_the_tables(with_images: Plan) -> None:
    written = Path(with_images.run.paths.record("report.html"))
    text = written.read_text(encoding="utf-8")
    written.unlink()

    assert str(written) == report_again(with_images.run.paths.output, "r1")
    assert text == written.read_text(encoding="utf-8")
    assert "image/jpeg" in text


def test_every_class_shows_its_images_and_every_picture_is_there(with_images: Plan) -> None:
    findings = [row for row in rows_of(with_images, "findings") if row["group_kind"] == "class"]
    roles = ["worst", "typical", "innocent", "same_background", "other_background", "removed"]

    assert 3 == len(findings)
    for row in findings:
        assert roles == [exemplar["role"] for exemplar in row["exemplar_details"]]
        assert [JPEG] * 6 == [picture[:3] for picture in row["exemplars"]]


def test_without_images_no_pixel_is_kept_anywhere(tmp_path: Path, tiny_model: Path) -> None:
    plan = audited(tmp_path, tiny_model, {"exemplars": 1, "images": False})
    findings = [row for row in rows_of(plan, "findings") if row["group_kind"] == "class"]
    output = Path(plan.run.paths.output)

    assert [None] * 3 == [row["exemplars"] for row in findings]
    assert [6] * 3 == [len(row["exemplar_details"]) for row in findings]
    assert [] == files_with(output, JPEG)
    assert [] == files_with(output, b"image/jpeg")


def test_the_search_for_pixels_would_find_them(with_images: Plan) -> None:
    output = Path(with_images.run.paths.output)

    assert [Path(with_images.run.paths.record("report.html"))] == files_with(output, b"image/jpeg")


@pytest.mark.parametrize(
    ("report", "read"), [({"exemplars": 0}, False), ({"images": False}, False), ({}, True)]
)
def test_images_are_read_again_only_for_pictures(
    tmp_path: Path, tiny_model: Path, report: Mapping[str, Any], read: bool
) -> None:
    write_set(tmp_path, shards=1)
    config = load_config(str(write_config(tmp_path, {"tiny": tiny_model}, report=dict(report))))
    pipeline = beam.Pipeline(runner="FnApiRunner")
    audit(pipeline, config, plan_run(config, runner="FnApiRunner"))
    names = [step.unique_name for step in pipeline.to_runner_api().components.transforms.values()]

    assert read == ("ReadExemplars" in names)
