"""The gate: one exit status and one line for every state that a run can be in."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import main
from pipeline.gate import judge_run
from transforms.errors import UsageError


def write_run(
    output: Path,
    run_id: str,
    started: str,
    *,
    flagged: tuple[tuple[str, str, str, str], ...] = (),
    models: dict[str, str] | None = None,
    failure: str | None = None,
    finished: bool = True,
) -> None:
    """A run's records, with flagged (model, kind, name, verdict) and the verdict of each model."""
    folder = output / "runs" / run_id
    folder.mkdir(parents=True)
    (folder / "started.json").write_text(json.dumps({"run_id": run_id, "started": started}))
    if finished:
        manifest: dict[str, Any] = {
            "complete": failure is None,
            "failure": failure,
            "verdicts": {m: {"model": {v: 1}} for m, v in (models or {"m": "clear"}).items()},
            "flagged": [
                {"finding_id": "f", "model": m, "group_kind": kind, "group_name": name, "verdict": verdict}
                for m, kind, name, verdict in flagged
            ],
        }
        (folder / "manifest.json").write_text(json.dumps(manifest))


def gate(capsys: pytest.CaptureFixture[str], output: Path, *flags: str) -> tuple[int, str]:
    status = main(["gate", str(output), *flags])
    return status, capsys.readouterr().out.strip()


def test_a_clear_run_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path, "r1", "2026-01-01")

    assert (0, "run r1 passes: nothing confirmed or hidden") == gate(capsys, tmp_path)


@pytest.mark.parametrize("verdict", ["confirmed", "hidden"])
def test_a_conviction_fails_even_where_another_model_is_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verdict: str
) -> None:
    flagged = (("m", "class", "pill", verdict), ("m", "model", "m", verdict))
    write_run(tmp_path, "r1", "2026-01-01", flagged=flagged, models={"m": verdict, "n": "insufficient"})

    assert (1, f"run r1 fails: m: pill {verdict}") == gate(capsys, tmp_path)


def test_a_suspect_fails_only_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path, "r1", "2026-01-01", flagged=(("m", "class", "pill", "suspect"),))

    assert 0 == gate(capsys, tmp_path)[0]
    assert (1, "run r1 fails: m: pill suspect") == gate(capsys, tmp_path, "--fail-on", "suspect")


def test_many_findings_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flagged = tuple(("m", "class", f"c{i}", "confirmed") for i in range(7))
    write_run(tmp_path, "r1", "2026-01-01", flagged=flagged)

    named = ", ".join(f"m: c{i} confirmed" for i in range(5))
    assert (1, f"run r1 fails: {named}, and 2 more") == gate(capsys, tmp_path)


def test_too_little_evidence_is_no_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path, "r1", "2026-01-01", models={"m": "clear", "n": "insufficient"})

    assert (4, "run r1 is inconclusive: not enough evidence on n") == gate(capsys, tmp_path)
    assert 0 == gate(capsys, tmp_path, "--run-id", "r1:m")[0]


def test_the_run_that_was_started_last_counts_even_if_it_crashed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path, "z", "2026-01-01")
    write_run(tmp_path, "a", "2026-01-02", finished=False)

    assert (3, "run a was started and has no manifest: it failed or still runs") == gate(capsys, tmp_path)
    assert 0 == gate(capsys, tmp_path, "--run-id", "z")[0]


def test_an_incomplete_run_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path, "r1", "2026-01-01", failure="no record was read")

    assert (3, "run r1 is not complete: no record was read") == gate(capsys, tmp_path)
    assert (3, f"no run was started below {tmp_path / 'empty'}") == gate(capsys, tmp_path / "empty")


def test_json_says_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path, "r1", "2026-01-01", flagged=(("m", "class", "pill", "confirmed"),))
    status, printed = gate(capsys, tmp_path, "--json")
    finding = {
        "finding_id": "f",
        "model": "m",
        "group_kind": "class",
        "group_name": "pill",
        "verdict": "confirmed",
    }

    assert {
        "status": status,
        "run_id": "r1",
        "line": "run r1 fails: m: pill confirmed",
        "findings": [finding],
    } == json.loads(printed)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ("night", "no run 'night' below {} (did you mean 'night-1'?)"),
        ("night-1:n", "run night-1 has no model 'n'"),
    ],
)
def test_what_is_not_there_is_named(tmp_path: Path, run: str, message: str) -> None:
    write_run(tmp_path, "night-1", "2026-01-01")
    with pytest.raises(UsageError) as caught:
        judge_run(str(tmp_path), run, "confirmed")

    assert message.format(tmp_path) == str(caught.value)
