"""A Flink task manager that dies while real photos are explained."""

import sys
from pathlib import Path

import pytest
import yaml

from tests.engines.flink import Cluster, cluster
from tests.engines.harness import ROOT, background, manifest_of, run_audit, tables_of, wait_for

pytestmark = [pytest.mark.faults, pytest.mark.timeout(2400)]

MODEL = "models/mobilenet_v2_1.0_224_imagenet.keras"
STEP = "Explain"


@pytest.fixture
def pets(real_data: Path, tmp_path: Path) -> Path:
    """A config for 370 photos of cats and dogs, and the local run `local`."""
    folder = tmp_path / "pets"
    folder.mkdir()
    config = {
        "name": "pets",
        "data": {
            "format": "coco",
            "images": str(real_data / "pets/images"),
            "annotations": str(real_data / "pets/species_head.json"),
            "class_map": str(real_data / "pets/species_to_imagenet_index.json"),
        },
        "models": [{"name": "honest", "path": str(real_data / MODEL), "preprocess": {"scale": [-1, 1]}}],
        "judge": {"min_images": 10},
        "output": "audits",
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    run_audit(folder, "local")
    return folder


def test_the_job_goes_on_and_has_the_rows_of_an_undisturbed_run(pets: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipeline", "run", str(pets / "config.yaml"), "--run-id", "killed"]
    with cluster(tmp_path) as running:
        with background([*command, *running.options()], pets / "log", cwd=ROOT) as process:
            wait_for(lambda: bool(explaining(running)), "no image is being explained", seconds=600)
            victim = explaining(running)[0]
            running.task_managers[victim].kill()
            assert 0 == process.wait(timeout=1500), (pets / "log").read_text()
        assert 1 == running.registered()
        assert any(task["attempt"] > 0 for task in running.attempts(STEP))

    assert tables_of(pets, "local") == tables_of(pets, "killed")
    assert manifest_of(pets, "local") == manifest_of(pets, "killed")


def explaining(running: Cluster) -> list[int]:
    """The task managers with a worker that has been explaining for ten seconds and has not ended."""
    return [
        int(task["taskmanager-id"])
        for task in running.attempts(STEP)
        if task["status"] == "RUNNING" and task["duration"] > 10_000
    ]
