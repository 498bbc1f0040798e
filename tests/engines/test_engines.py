"""The same config on every engine that runs on this machine: all rows of all tables are the same."""

import sys
from pathlib import Path

import pytest

from pipeline.cli import main
from tests.audit_sets import BATCH, dying

from .conftest import Tables, assert_same_rows
from .downloads import prism
from .flink import TASK_MANAGERS, cluster
from .harness import manifest_of, run_audit

pytestmark = [pytest.mark.engines, pytest.mark.timeout(2400)]

WORKER = f"{sys.executable} -m apache_beam.runners.worker.sdk_worker_main"


def assert_same(folder: Path, run_id: str, expected: Tables) -> None:
    assert_same_rows(folder, run_id, expected)
    assert manifest_of(folder, "local") == manifest_of(folder, run_id)


def test_two_processes_of_the_local_runner(audited: Path, expected: Tables) -> None:
    run_audit(audited, "processes", "--direct_running_mode=multi_processing", "--direct_num_workers=2")

    assert_same(audited, "processes", expected)


def test_a_portable_worker_in_a_process_of_its_own(audited: Path, expected: Tables) -> None:
    run_audit(
        audited,
        "portable",
        "--runner=PortableRunner",
        "--job_endpoint=embed",
        "--environment_type=beam:env:harness_subprocess_python:v1",
        f"--environment_config={WORKER}",
    )

    assert_same(audited, "portable", expected)


@pytest.mark.parametrize("workers", [1, 2])
def test_prism(audited: Path, expected: Tables, workers: int) -> None:
    run_id = f"prism-{workers}"
    run_audit(
        audited,
        run_id,
        "--runner=PrismRunner",
        f"--prism_location={prism()}",
        f"--sdk_worker_parallelism={workers}",
    )

    assert_same(audited, run_id, expected)


def test_a_run_is_resumed_on_another_engine(
    audited: Path, expected: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        dying(patch, batches=2)
        assert 3 == main(["run", str(audited / "config.yaml"), "--run-id", "died"])
    run_audit(audited, "resumed", "--resume", "died", "--runner=PrismRunner", f"--prism_location={prism()}")

    assert_same_rows(audited, "resumed", expected)
    assert 2 * BATCH == manifest_of(audited, "resumed")["recalled"]


def test_a_flink_cluster_comes_up(tmp_path: Path) -> None:
    with cluster(tmp_path) as running:
        assert TASK_MANAGERS == running.registered()
        assert 2 * TASK_MANAGERS == running.ask("overview")["slots-total"]


def test_flink(audited: Path, expected: Tables, tmp_path: Path) -> None:
    with cluster(tmp_path) as running:
        run_audit(audited, "flink", *running.options())

    assert_same(audited, "flink", expected)
