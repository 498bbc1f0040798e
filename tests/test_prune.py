"""`gradcam-audit prune`: what goes of old runs, and that history does not notice."""

import datetime
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.cli import main

from .builders import make_score
from .past_runs import make_finding, write_run

Capture = pytest.CaptureFixture[str]
NOW = datetime.datetime.now(datetime.UTC)


def days_ago(days: float) -> str:
    return (NOW - datetime.timedelta(days=days)).isoformat(timespec="milliseconds")


def stage(output: Path, run_id: str) -> Path:
    staged = output / "runs" / run_id / "staging/explained/a.kept"
    staged.parent.mkdir(parents=True)
    staged.write_bytes(b"12345")
    return staged


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Runs r1 to r3, the last of today; `old` and `young` died ten and three days ago."""
    for run_id, days in (("r1", 20), ("r2", 5), ("r3", 0)):
        write_run(tmp_path, run_id, days_ago(days), scores={"a": [make_score()]}, findings=[make_finding()])
    for run_id, days in (("old", 10), ("young", 3)):
        write_run(tmp_path, run_id, days_ago(days), finished=False)
        stage(tmp_path, run_id)
    return tmp_path


def files(output: Path) -> dict[str, bytes]:
    return {str(path.relative_to(output)): path.read_bytes() for path in output.rglob("*") if path.is_file()}


def scores_of(output: Path, run_id: str) -> list[str]:
    return [name for name in files(output) if name.startswith("scores/") and f"run_id={run_id}/" in name]


def size_of(output: Path, run_id: str) -> int:
    return sum(len(files(output)[name]) for name in scores_of(output, run_id))


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--keep", "1"], ["r1", "old", "r2"]),
        (["--keep", "2"], ["r1", "old", "r2"]),  # `young` counts as a run, and may still be resumed
        (["--keep", "3"], ["r1", "old"]),
        (["--keep", "9"], []),
        (["--older-than", "1"], ["r1", "old", "r2"]),
        (["--older-than", "7"], ["r1", "old"]),
        (["--older-than", "15"], ["r1"]),
        (["--older-than", "1", "--keep", "4"], ["r1"]),
    ],
)
def test_what_is_old(output: Path, capsys: Capture, flags: list[str], told: list[str]) -> None:
    before = files(output)
    assert 0 == main(["prune", str(output), *flags])

    lines = capsys.readouterr().out.splitlines()
    size = {run_id: 5 if run_id == "old" else size_of(output, run_id) for run_id in told}
    what = {run_id: "staging" if run_id == "old" else "scores" for run_id in told}
    assert [f"run {run_id}: {what[run_id]}, {size[run_id]:,} bytes" for run_id in told] == lines[:-1]
    total = f"{sum(size.values()):,}"
    last = f"Nothing was removed; add --yes to remove these {total} bytes." if told else "Nothing to remove."
    assert last == lines[-1]
    assert before == files(output)


def test_scores_and_what_was_staged_go_and_nothing_else(output: Path, capsys: Capture) -> None:
    before, size = files(output), size_of(output, "r1")
    gone = {*scores_of(output, "r1"), "runs/old/staging/explained/a.kept"}
    assert 0 == main(["prune", str(output), "--older-than", "7", "--yes"])

    assert f"Removed {size + 5:,} bytes." == capsys.readouterr().out.splitlines()[-1]
    assert {name: data for name, data in before.items() if name not in gone} == files(output)
    assert not (output / "runs/old/staging").exists()
    assert 0 == main(["prune", str(output), "--older-than", "7", "--yes"])
    assert "Nothing to remove.\n" == capsys.readouterr().out


def outcome(command: Callable[[], int], capsys: Capture) -> tuple[int, str]:
    return command(), capsys.readouterr().out


def test_gate_and_history_do_not_notice(output: Path, tmp_path: Path, capsys: Capture) -> None:
    page = output.parent / "history.html"

    def answers() -> list[object]:
        told = [
            outcome(lambda run=run: main(["gate", str(output), "--run-id", run]), capsys)
            for run in ("r1", "r2", "r3")
        ]
        assert 0 == main(["history", str(output), "--html", str(page)])
        assert capsys.readouterr().out
        return [*told, page.read_text()]

    before = answers()
    assert 0 == main(["prune", str(output), "--keep", "1", "--yes"])
    assert "Removed" in capsys.readouterr().out
    assert before == answers()


def test_compare_says_that_the_scores_are_gone(output: Path, capsys: Capture) -> None:
    assert 0 == main(["prune", str(output), "--keep", "3", "--yes"])
    assert 3 == main(["compare", str(output), "--baseline", "r1", "--candidate", "r3"])

    expected = "error: run r1 has no scores any more; they were pruned\n"
    assert expected == capsys.readouterr().err


def test_nothing_is_old_by_itself(output: Path, capsys: Capture) -> None:
    assert 2 == main(["prune", str(output), "--yes"])

    expected = "error: say which runs are old: --keep N, --older-than DAYS, or both\n"
    assert expected == capsys.readouterr().err
