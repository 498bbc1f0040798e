"""Disks that fill, folders that go, files that change, a clock that was set back."""

import contextlib
import datetime
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from apache_beam.io.filesystems import FileSystems

from pipeline.cli import main
from tests.engines.harness import ROOT, background, manifest_of, tables_of
from transforms.explain.explainer import Explainer
from transforms.write import wiring as writing

from .conftest import files_of, record_of, rows_of

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]


@contextlib.contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[None]:
    """A disk of that size on a folder."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"a disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def disturbed(monkeypatch: pytest.MonkeyPatch, folder: Path, run_id: str, fault: Callable[[], Any]) -> int:
    """The exit status of a run in whose middle, once images are explained, something happens."""
    usual, left = Explainer.explain, [fault]

    def explain(self: Explainer, *arguments: Any) -> Any:
        explained = usual(self, *arguments)
        with taking:  # batches are explained in several threads
            happening = left.pop() if left else None
        if happening is not None:
            happening()
        return explained

    taking = threading.Lock()
    with monkeypatch.context() as broken:
        broken.setattr(Explainer, "explain", explain)
        status = main(["run", str(folder / "config.yaml"), "--run-id", run_id])
    assert not left
    return status


def test_a_full_disk(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "disk"
    output.mkdir()
    with small_disk(output, 40):
        status = main(["run", str(folder / "config.yaml"), "--run-id", "full", "--output", str(output)])
        told = capsys.readouterr().err.splitlines()[-1]
        assert (3, False) == (status, (output / "runs/full/manifest.json").exists())
    assert "No space left on device" in told


def test_a_slow_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file takes a tenth of a second to open: data, staged rows, and what is kept."""
    opened = []
    for name in ("open", "create"):
        usual = getattr(FileSystems, name)

        def slow(path: str, *arguments: Any, usual: Any = usual, **named: Any) -> Any:
            time.sleep(0.1)
            opened.append(path)
            return usual(path, *arguments, **named)

        monkeypatch.setattr(FileSystems, name, slow)
    assert 0 == main(["run", str(folder / "config.yaml"), "--run-id", "slow"])

    assert {".json", ".png", ".kept", ".parquet"} <= {Path(path).suffix for path in opened}
    assert rows_of(folder, "before") == rows_of(folder, "slow")


def test_a_disk_that_is_read_only(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "disk"
    output.mkdir()
    with small_disk(output, 400):
        subprocess.run(["mount", "-o", "remount,ro", str(output)], check=True)
        status = main(["run", str(folder / "config.yaml"), "--run-id", "ro", "--output", str(output)])
    told = capsys.readouterr().err.splitlines()[-1]
    assert 3 == status
    assert told.startswith(f"error: cannot write below {output}: ")


def test_an_output_that_is_removed_during_the_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows are written after it, whole; but a run without its start is none to the gate."""
    status = disturbed(monkeypatch, folder, "removed", lambda: shutil.rmtree(folder / "audits"))

    assert 0 == status
    assert manifest_of(folder, "removed")["complete"]
    assert 3 == main(["gate", str(folder / "audits")])


def test_rows_that_are_removed_before_they_are_published(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before, usual = files_of(folder, "before"), writing._publish

    def publish(nothing: None, run: Any, *arguments: Any, **named: Any) -> Any:
        shutil.rmtree(run.paths.staging)
        return usual(nothing, run, *arguments, **named)

    monkeypatch.setattr(writing, "_publish", publish)
    assert 3 == main(["run", str(folder / "config.yaml"), "--run-id", "removed"])
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: run removed failed: ")
    assert record_of(folder, "removed") is None
    assert before == files_of(folder, "before")


def test_a_model_that_vanishes_after_it_was_loaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 == disturbed(monkeypatch, folder, "vanished", (folder / "tiny.keras").unlink)

    assert rows_of(folder, "before") == rows_of(folder, "vanished")


def test_a_model_that_vanishes_before_a_worker_loads_it(folder: Path, tmp_path: Path) -> None:
    """A worker in another process loads the models itself, once the launcher has checked them."""
    vanishing = (
        "from pathlib import Path\n"
        "from pipeline import cli, launch\n"
        "usual = launch.run_audit\n"
        f"model = Path({str(folder / 'tiny.keras')!r})\n"
        "launch.run_audit = lambda *given: (model.unlink(), usual(*given))[1]\n"
        "cli.command()\n"
    )
    options = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    command = [sys.executable, "-c", vanishing, "run", str(folder / "config.yaml"), "--run-id", "gone"]
    with background([*command, *options], tmp_path / "log", cwd=ROOT) as process:
        assert 3 == process.wait(timeout=300)

    last = (tmp_path / "log").read_text().splitlines()[-1]
    assert last.startswith("error: run gone failed: "), last
    assert f"{folder}/tiny.keras" in last
    assert record_of(folder, "gone") is None


def test_a_corrupt_shard_in_the_middle(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shard = folder / "set-1.json"
    shard.write_text(shard.read_text()[:-200])
    before = files_of(folder, "before")

    assert 3 == main(["run", str(folder / "config.yaml"), "--run-id", "corrupt"])
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("error: run corrupt is not complete: "), told
    assert "corrupt_shard" in told
    assert ["corrupt_shard"] == [row["error"] for row in tables_of(folder, "corrupt")["dead_letters"]]
    assert before == files_of(folder, "before")


def test_a_shard_that_changes_during_the_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def shorten() -> None:
        shard = folder / "set-1.json"
        document = json.loads(shard.read_text())
        document["images"] = document["images"][::-1][:5]
        shard.write_text(json.dumps(document))

    assert 3 == disturbed(monkeypatch, folder, "changed", shorten)

    told = capsys.readouterr().err.splitlines()[-1]
    assert f"data file '{folder}/set-1.json' has changed since the run was planned" in told
    assert record_of(folder, "changed") is None


def test_a_clock_that_was_set_back(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The gate judges the newest run, which must be tonight's even so."""
    path = folder / "audits/runs/before/started.json"
    started = json.loads(path.read_text())
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    path.write_text(json.dumps({**started, "started": later.isoformat(timespec="milliseconds")}))

    assert 2 == main(["run", str(folder / "config.yaml"), "--run-id", "tonight"])
    told = capsys.readouterr().err
    assert f"but run before was started at {later.isoformat(timespec='milliseconds')}; set the clock" in told
    assert not (folder / "audits/runs/tonight").exists()
