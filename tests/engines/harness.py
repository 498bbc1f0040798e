"""Runs the command on some engine, in processes of its own, and reads back what it wrote."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from transforms.write.schemas import TABLES

ROOT = Path(__file__).parents[2]
RUN_SECONDS = 600
# What may differ between two runs over the same data: when, how fast, and where.
_TIMING = ("run_id", "run_date", "started", "finished", "wall_seconds", "images_per_second", "runner")


def run_audit(folder: Path, run_id: str, *options: str) -> subprocess.CompletedProcess[str]:
    """`gradcam-audit run`, which must end well; it and its workers are ended where it takes too long."""
    command = [sys.executable, "-m", "pipeline", "run", str(folder / "config.yaml"), "--run-id", run_id]
    with background([*command, *options], folder / f"{run_id}.log", cwd=ROOT) as process:
        status = process.wait(timeout=RUN_SECONDS)
    log = (folder / f"{run_id}.log").read_text()
    assert 0 == status, log
    return subprocess.CompletedProcess(command, status, log)


def tables_of(folder: Path, run_id: str) -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables of a run, sorted."""
    return {
        table: sorted(
            (
                row
                for part in sorted(folder.glob(f"audits/{table}/**/run_id={run_id}/*.parquet"))
                for row in pq.read_table(part, partitioning=None).to_pylist()
            ),
            key=repr,
        )
        for table in TABLES
    }


def manifest_of(folder: Path, run_id: str) -> dict[str, Any]:
    """A run's manifest, without what may differ between two runs over the same data."""
    manifest = json.loads((folder / f"audits/runs/{run_id}/manifest.json").read_text())
    return {key: value for key, value in manifest.items() if key not in _TIMING}


@contextlib.contextmanager
def background(command: Sequence[str], log: Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs beside the block; at its end it is ended with everything that it started."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, **options
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 120.0) -> None:
    """Waits until something is so.

    Raises:
        TimeoutError: it never was.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} after {seconds:.0f} s")
        time.sleep(0.5)
