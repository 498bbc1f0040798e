"""Processes that end before their time."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.engines.harness import ROOT, background, run_audit, wait_for

from .conftest import files_of, record_of, rows_of

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

# Each batch of images takes seconds, so that there is time to disturb it.
COMMAND = """
import time
from pipeline.cli import command
from pipeline.quiet import quiet_imports
with quiet_imports():
    from transforms.explain import wiring as explaining
    from transforms.explain.explainer import Explainer
    from transforms.write.kept import wiring
explaining.BATCHES, wiring.OUTCOMES_A_FILE = 1, 8
usual = Explainer.explain
Explainer.explain = lambda self, batch: (time.sleep(5), usual(self, batch))[1]
command()
"""

# A shell without job control starts what stands before an `&` like this.
DEAF = ("sh", "-c", 'trap "" INT; exec "$@"', "sh")


def slow_run(folder: Path, run_id: str, *options: str) -> list[str]:
    return [sys.executable, "-c", COMMAND, "run", str(folder / "config.yaml"), "--run-id", run_id, *options]


def started(folder: Path, run_id: str) -> bool:
    return record_of(folder, run_id, "started.json") is not None


@pytest.mark.parametrize(("stop", "word"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")])
def test_a_run_that_is_stopped_says_so(folder: Path, stop: signal.Signals, word: str) -> None:
    before = files_of(folder, "before")
    with background(slow_run(folder, "stopped"), folder / "log", cwd=ROOT) as process:
        wait_for(lambda: started(folder, "stopped"), "the run has not started")
        time.sleep(2)
        process.send_signal(stop)
        assert 3 == process.wait(timeout=120)

    assert f"error: {word}; no manifest was written\n" == (folder / "log").read_text()
    assert record_of(folder, "stopped") is None
    assert before == files_of(folder, "before")


@pytest.mark.parametrize("start", [(), DEAF], ids=["foreground", "deaf to SIGINT"])
def test_a_worker_that_is_killed_ends_the_run(folder: Path, start: tuple[str, ...]) -> None:
    """Beam's local runner by itself would wait for it forever."""
    before = files_of(folder, "before")
    options = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
    with background([*start, *slow_run(folder, "killed", *options)], folder / "log", cwd=ROOT) as process:
        wait_for(lambda: bool(workers_of(process)), "no worker has started")
        time.sleep(5)
        os.kill(workers_of(process)[0], signal.SIGKILL)
        assert 3 == process.wait(timeout=120)
        wait_for(lambda: not workers_of(process), "the other worker goes on")

    last = (folder / "log").read_text().splitlines()[-1]
    assert re.search(r"error: run killed failed: Worker subprocess exited with return code", last), last
    assert record_of(folder, "killed") is None
    assert before == files_of(folder, "before")


def workers_of(launcher: subprocess.Popen[bytes]) -> list[int]:
    """Process ids of the Python workers in the launcher's session."""
    listing = subprocess.run(
        ["ps", "-ewwo", "pid,sid,args"], capture_output=True, text=True, check=True
    ).stdout
    lines = [line.split(None, 2) for line in listing.splitlines()[1:]]
    return [
        int(pid)
        for pid, session, command in lines
        if int(session) == launcher.pid and "sdk_worker_main" in command and not command.startswith("/bin/sh")
    ]


@pytest.mark.parametrize(
    "options",
    [(), ("--direct_running_mode=multi_processing", "--direct_num_workers=2")],
    ids=["one-process", "several"],
)
def test_a_run_that_is_killed_can_be_resumed(folder: Path, options: tuple[str, ...]) -> None:
    before = files_of(folder, "before")
    with background(slow_run(folder, "killed", *options), folder / "log", cwd=ROOT) as process:
        kept = folder / "audits/runs/killed/staging/explained"
        wait_for(lambda: kept.is_dir() and len(list(kept.iterdir())) >= 2, "nothing was kept")
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=120)
    run_audit(folder, "resumed", "--resume", "killed", *options)

    assert record_of(folder, "killed") is None
    assert 16 <= record_of(folder, "resumed")["recalled"] <= 42
    assert rows_of(folder, "before") == rows_of(folder, "resumed")
    assert before == files_of(folder, "before")


def test_two_runs_at_once_cannot_take_one_id(folder: Path) -> None:
    first = background(slow_run(folder, "same"), folder / "log-0", cwd=ROOT)
    second = background(slow_run(folder, "same"), folder / "log-1", cwd=ROOT)
    with first as one, second as other:
        statuses = [one.wait(timeout=300), other.wait(timeout=300)]

    assert [0, 2] == sorted(statuses)
    (refused,) = [folder / f"log-{number}" for number, status in enumerate(statuses) if status == 2]
    expected = f"error: run id 'same' exists already below {folder}/audits; give another --run-id\n"
    assert expected == refused.read_text()
    assert record_of(folder, "same")["complete"]
