"""Beam's filesystems have options wherever runs are listed or planned: S3's refuses to work without."""

from pathlib import Path

import pytest
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions, S3Options

from pipeline.cli import _beam_options
from pipeline.runs import started_runs
from pipeline.stores import reach_stores


@pytest.fixture(autouse=True)
def _without_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FileSystems, "_pipeline_options", None)


def test_listing_runs_gives_the_defaults(tmp_path: Path) -> None:
    assert [] == started_runs(str(tmp_path))
    assert isinstance(FileSystems._pipeline_options, PipelineOptions)


def test_what_was_given_stays() -> None:
    given = PipelineOptions(["--s3_region_name=eu-west-1"])
    reach_stores(given)
    reach_stores()

    assert given is FileSystems._pipeline_options


def test_the_options_of_a_run_reach_the_stores_before_it_starts() -> None:
    _beam_options(["--s3_endpoint_url=http://localhost:9000"])

    assert FileSystems._pipeline_options is not None
    options = FileSystems._pipeline_options.view_as(S3Options)
    assert "http://localhost:9000" == options.s3_endpoint_url
