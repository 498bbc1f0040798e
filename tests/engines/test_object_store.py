"""Data and output in a bucket: the same rows, resumed runs, old runs, and the staging of a Dataflow job."""

import json
import subprocess
import sys
import tarfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.cli import main
from tests.audit_sets import BATCH, dying

from .conftest import Tables
from .downloads import storage_emulator
from .harness import ROOT, background, free_port, run_audit, tables_of, wait_for

pytestmark = [pytest.mark.engines, pytest.mark.timeout(1200)]


class Bucket:
    """The bucket `bucket` of a storage emulator, by its HTTP interface."""

    def __init__(self, address: str) -> None:
        self.address = address

    def _ask(self, path: str, data: bytes | None = None) -> bytes:
        with urllib.request.urlopen(f"{self.address}{path}", data, timeout=60) as answer:
            found: bytes = answer.read()
        return found

    def put(self, name: str, data: bytes) -> None:
        quoted = urllib.parse.quote(name, safe="")
        self._ask(f"/upload/storage/v1/b/bucket/o?uploadType=media&name={quoted}", data)

    def get(self, name: str) -> bytes:
        return self._ask(f"/download/storage/v1/b/bucket/o/{urllib.parse.quote(name, safe='')}?alt=media")

    def names(self, prefix: str = "") -> list[str]:
        listing = json.loads(self._ask(f"/storage/v1/b/bucket/o?prefix={prefix}"))
        return sorted(item["name"] for item in listing.get("items", []))

    def is_up(self) -> bool:
        try:
            return self.names() == []
        except OSError:
            return False


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    pytest.importorskip("google.cloud.storage", reason="gs:// needs apache-beam[gcp]")
    port = free_port()
    command = [str(storage_emulator()), "start", "--port", str(port), "--default-bucket", "bucket"]
    address = f"http://localhost:{port}"
    log = tmp_path_factory.mktemp("emulator") / "log"
    with background([*command, "--in-memory", "--quiet"], log), pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", address)
        found = Bucket(address)
        wait_for(found.is_up, "the storage emulator does not answer")
        yield found


@pytest.fixture(scope="module")
def stored(bucket: Bucket, audited: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of `audited` in the bucket, and a folder with the config of its audit."""
    for path in [*audited.glob("set-*.json"), *(audited / "images").iterdir()]:
        bucket.put(f"data/{path.relative_to(audited)}", path.read_bytes())
    folder = tmp_path_factory.mktemp("stored")
    config = yaml.safe_load((audited / "config.yaml").read_text())
    config["data"] |= {"images": "gs://bucket/data/images", "annotations": "gs://bucket/data/set-*.json"}
    config["output"] = "gs://bucket/audits"
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def without_source(tables: Tables) -> Tables:
    """The rows without the place of their data, here a bucket and there a folder."""
    return {
        table: [
            {key: value for key, value in row.items() if key not in ("source", "message")} for row in rows
        ]
        for table, rows in tables.items()
    }


def downloaded(bucket: Bucket, folder: Path, run_id: str) -> Tables:
    for name in bucket.names("audits/"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bucket.get(name))
    return without_source(tables_of(folder, run_id))


def test_data_and_output_in_a_bucket(
    bucket: Bucket, stored: Path, expected: Tables, capsys: pytest.CaptureFixture[str]
) -> None:
    run_audit(stored, "stored")

    assert without_source(expected) == downloaded(bucket, stored, "stored")
    assert ["config.yaml", "manifest.json", "report.html", "started.json"] == [
        name.rsplit("/", 1)[-1] for name in bucket.names("audits/runs/stored/")
    ]
    assert 2 == main(["run", str(stored / "config.yaml"), "--run-id", "stored"])
    assert "run id 'stored' exists already below gs://bucket/audits" in capsys.readouterr().err


def test_a_run_in_a_bucket_is_resumed_and_pruned(
    bucket: Bucket,
    stored: Path,
    expected: Tables,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as patch:
        dying(patch, batches=2)
        assert 3 == main(["run", str(stored / "config.yaml"), "--run-id", "died"])
    assert 2 == len(bucket.names("audits/runs/died/staging/explained/"))
    run_audit(stored, "resumed", "--resume", "died")

    assert without_source(expected) == downloaded(bucket, stored, "resumed")
    manifest = json.loads(bucket.get("audits/runs/resumed/manifest.json"))
    assert ("died", 2 * BATCH) == (manifest["resumes"], manifest["recalled"])
    assert [] == bucket.names("audits/runs/resumed/staging/")
    run_audit(stored, "newest")
    capsys.readouterr()
    before = bucket.names("audits/")
    assert 0 == main(["prune", "gs://bucket/audits", "--keep", "1", "--yes"])
    gone = set(before) - set(bucket.names("audits/"))
    assert gone
    assert {
        name for name in before if "/run_id=resumed/" in name and name.startswith("audits/scores/")
    } <= gone
    assert all(name.startswith("audits/scores/") for name in gone)


def test_a_dataflow_template_is_staged_with_the_package(
    bucket: Bucket, stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package that is staged installs in an environment of its own and is imported there."""
    pytest.importorskip("apitools", reason="DataflowRunner needs apache-beam[gcp]")
    run_audit(
        stored,
        "template",
        *("--runner=DataflowRunner", "--project=my-project", "--region=us-central1", "--no_auth"),
        *("--temp_location=gs://bucket/tmp", "--staging_location=gs://bucket/staging"),
        *("--worker_machine_type=n1-standard-8", "--disk_size_gb=200", "--max_num_workers=20"),
        *("--template_location=gs://bucket/templates/audit", f"--setup_file={ROOT / 'setup.py'}"),
    )

    template = json.loads(bucket.get("templates/audit"))
    staged = {name.rsplit("/", 1)[-1]: name for name in bucket.names("staging/")}
    assert {"pipeline.pb", "workflow.tar.gz"} <= set(staged)
    assert "JOB_TYPE_BATCH" == template["type"]
    (pool,) = template["environment"]["workerPools"]
    asked = (pool["machineType"], pool["diskSizeGb"], pool["autoscalingSettings"]["maxNumWorkers"])
    assert ("n1-standard-8", 200, 20) == asked
    package = tmp_path / "workflow.tar.gz"
    package.write_bytes(bucket.get(staged["workflow.tar.gz"]))
    assert_imports(package, tmp_path / "clean")


def assert_imports(package: Path, home: Path) -> None:
    """Installs a source package without its dependencies, and imports it with those that are here."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    alone = ["--no-deps", "--no-build-isolation", "--target", str(home)]
    subprocess.run([*pip, *alone, str(package)], check=True, cwd=home.parent)
    code = (
        "import json, pipeline.audit, transforms; print(json.dumps([pipeline.__file__, transforms.__file__]))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(home)!r}); {code}"],
        check=True,
        capture_output=True,
        text=True,
        cwd=home.parent,
    )
    found: list[Any] = json.loads(answer.stdout.splitlines()[-1])
    assert [str(home / name / "__init__.py") for name in ("pipeline", "transforms")] == found
    with tarfile.open(package) as members:
        assert any(name.endswith("templates/page.css") for name in members.getnames())
