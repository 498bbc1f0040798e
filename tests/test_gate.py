"""The gate: one exit status and one line for every state that a run can be in."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import main

from .past_runs import id_of, make_finding, write_run

Capture = pytest.CaptureFixture[str]
PILL = id_of("m", "class", "pill")
WHO = "{finding_id: %s, who: Ann, until: 2100-01-31, why: known}"


def gate(capsys: Capture, output: Path, *flags: str) -> tuple[int, str]:
    status = main(["gate", str(output), *flags])
    return status, capsys.readouterr().out.strip()


def waivers(folder: Path, *entries: str) -> tuple[str, str]:
    """The flags for a waiver file of these entries."""
    path = folder / "waivers.yaml"
    path.write_text("".join(f"- {entry}\n" for entry in entries))
    return "--waivers", str(path)


def refused(capsys: Capture, output: Path, *flags: str) -> str:
    assert 2 == main(["gate", str(output), *flags])
    out, err = capsys.readouterr()
    assert "" == out
    return err.removeprefix("error: ").rstrip("\n")


def test_a_clear_run_passes(tmp_path: Path, capsys: Capture) -> None:
    write_run(tmp_path)

    assert (0, "run r1 passes: nothing confirmed or hidden") == gate(capsys, tmp_path)


@pytest.mark.parametrize("verdict", ["confirmed", "hidden"])
def test_a_conviction_fails_even_where_another_model_is_open(
    tmp_path: Path, capsys: Capture, verdict: str
) -> None:
    models = {"m": verdict, "n": "insufficient"}
    write_run(tmp_path, models=models, findings=[make_finding(verdict=verdict)])

    assert (1, f"run r1 fails: m: pill {verdict}") == gate(capsys, tmp_path)


def test_a_model_is_named_where_nothing_else_of_it_is_flagged(tmp_path: Path, capsys: Capture) -> None:
    write_run(tmp_path, models={"m": "confirmed"}, findings=[make_finding()])

    assert (1, "run r1 fails: m: m confirmed") == gate(capsys, tmp_path)


def test_a_suspect_fails_only_when_asked(tmp_path: Path, capsys: Capture) -> None:
    write_run(tmp_path, findings=[make_finding(verdict="suspect")])

    assert 0 == gate(capsys, tmp_path)[0]
    assert (1, "run r1 fails: m: pill suspect") == gate(capsys, tmp_path, "--fail-on", "suspect")


def test_many_findings_are_counted(tmp_path: Path, capsys: Capture) -> None:
    write_run(tmp_path, findings=[make_finding(name=f"c{i}", verdict="confirmed") for i in range(7)])

    named = ", ".join(f"m: c{i} confirmed" for i in range(5))
    assert (1, f"run r1 fails: {named}, and 2 more") == gate(capsys, tmp_path)


def test_too_little_evidence_is_no_pass(tmp_path: Path, capsys: Capture) -> None:
    write_run(tmp_path, models={"m": "clear", "n": "insufficient"})

    assert (4, "run r1 is inconclusive: not enough evidence on n") == gate(capsys, tmp_path)
    assert 0 == gate(capsys, tmp_path, "--run-id", "r1:m")[0]


def test_the_run_that_was_started_last_counts_even_if_it_crashed(tmp_path: Path, capsys: Capture) -> None:
    write_run(tmp_path, "z", "2026-01-01")
    write_run(tmp_path, "a", "2026-01-02", finished=False)

    assert (3, "run a was started and has no manifest: it failed or still runs") == gate(capsys, tmp_path)
    assert 0 == gate(capsys, tmp_path, "--run-id", "z")[0]


def test_an_incomplete_run_is_no_run(tmp_path: Path, capsys: Capture) -> None:
    write_run(tmp_path, failure="no record was read")

    assert (3, "run r1 is not complete: no record was read") == gate(capsys, tmp_path)
    assert (3, f"no run was started below {tmp_path / 'empty'}") == gate(capsys, tmp_path / "empty")


def test_a_run_whose_table_is_gone_is_no_run(tmp_path: Path, capsys: Capture) -> None:
    write_run(tmp_path, findings=[make_finding(verdict="confirmed")])
    next(tmp_path.glob("findings/**/*.parquet")).unlink()

    assert (3, "run r1 has 0 rows in the table findings, its manifest counts 2") == gate(capsys, tmp_path)


def test_without_the_counterfactual_stage_a_pass_says_what_it_is_worth(
    tmp_path: Path, capsys: Capture
) -> None:
    write_run(tmp_path, models={"m": "unsuspected"}, judge={"confirm": False})

    status, printed = gate(capsys, tmp_path)
    note = "judge.confirm is false: nothing can be confirmed, so only --fail-on suspect can fail"
    assert (0, ["run r1 passes: nothing confirmed or hidden", note]) == (status, printed.splitlines())
    assert (0, "run r1 passes: nothing confirmed or hidden or suspect") == gate(
        capsys, tmp_path, "--fail-on", "suspect"
    )


@pytest.mark.parametrize(
    ("required", "reason"),
    [
        ("pill", None),
        ("pill, site=A", None),
        ("site=A", None),
        ("star", "m: star is required and insufficient"),
        ("star, site=A", "m: star, site=A is required and insufficient"),
        ("site=B", "m: site=B is required and missing"),
        ("moon", "m: moon is required and missing"),
        ("m", "m: m is required and missing"),
    ],
)
def test_what_is_required_must_have_a_verdict(
    tmp_path: Path, capsys: Capture, required: str, reason: str | None
) -> None:
    rows = [
        make_finding(),
        make_finding(name="star", verdict="insufficient"),
        make_finding(kind="slice", name="pill, site=A", verdict="unsuspected"),
        make_finding(kind="slice", name="star, site=A", verdict="insufficient"),
    ]
    write_run(tmp_path, findings=rows, judge={"required": [required]})

    expected = (4, f"run r1 is inconclusive: {reason}")
    assert (expected if reason else (0, "run r1 passes: nothing confirmed or hidden")) == gate(
        capsys, tmp_path
    )


def test_every_model_needs_what_is_required_and_a_finding_beats_it(tmp_path: Path, capsys: Capture) -> None:
    models = {"m": "clear", "n": "clear"}
    write_run(tmp_path, "r1", models=models, findings=[make_finding()], judge={"required": ["pill"]})
    rows = [make_finding(verdict="confirmed")]
    write_run(tmp_path, "r2", models=models, findings=rows, judge={"required": ["pill"]})

    assert (4, "run r1 is inconclusive: n: pill is required and missing") == gate(
        capsys, tmp_path, "--run-id", "r1"
    )
    assert 0 == gate(capsys, tmp_path, "--run-id", "r1:m")[0]
    assert 1 == gate(capsys, tmp_path, "--run-id", "r2")[0]


def test_a_smaller_gap_than_asked_for_passes(tmp_path: Path, capsys: Capture) -> None:
    rows = [
        make_finding(verdict="confirmed", swap_gap=0.3),
        make_finding(name="star", verdict="suspect", swap_gap=0.0),
    ]
    write_run(tmp_path, models={"m": "confirmed"}, findings=rows)

    assert 1 == gate(capsys, tmp_path, "--min-gap", "0.3")[0]
    assert (0, "run r1 passes: nothing confirmed or hidden with a swap gap of 0.31 or more") == gate(
        capsys, tmp_path, "--min-gap", "0.31"
    )
    # A suspect has no conviction that could be small.
    assert (1, "run r1 fails: m: star suspect") == gate(
        capsys, tmp_path, "--min-gap", "0.31", "--fail-on", "suspect"
    )


def test_a_waived_class_passes_with_its_model_and_is_shown(tmp_path: Path, capsys: Capture) -> None:
    rows = [make_finding(verdict="confirmed"), make_finding(name="star", verdict="hidden")]
    write_run(tmp_path, "r1", models={"m": "confirmed"}, findings=rows[:1])
    write_run(tmp_path, "r2", models={"m": "confirmed"}, findings=rows)
    flags = waivers(tmp_path, WHO % PILL)
    note = "m: pill confirmed, waived until 2100-01-31 by Ann: known"

    status, printed = gate(capsys, tmp_path, "--run-id", "r1", *flags)
    assert (0, ["run r1 passes: nothing confirmed or hidden but what is waived (1)", note]) == (
        status,
        printed.splitlines(),
    )
    status, printed = gate(capsys, tmp_path, "--run-id", "r2", *flags)
    assert (1, ["run r2 fails: m: star hidden", note]) == (status, printed.splitlines())


def test_the_runs_own_waivers_count_unless_others_are_given(tmp_path: Path, capsys: Capture) -> None:
    own = [{"finding_id": PILL, "who": "Ann", "until": "2100-01-31", "why": "known"}]
    write_run(tmp_path, findings=[make_finding(verdict="confirmed")], waivers=own)

    assert 0 == gate(capsys, tmp_path)[0]
    assert 1 == gate(capsys, tmp_path, *waivers(tmp_path))[0]


def test_a_waiver_that_does_not_count_is_told(tmp_path: Path, capsys: Capture) -> None:
    rows = [make_finding(verdict="confirmed"), make_finding(name="star")]
    write_run(tmp_path, findings=rows)
    star = id_of("m", "class", "star")
    flags = waivers(
        tmp_path,
        f"{{finding_id: {PILL}, who: Ann, until: 2020-01-31, why: known}}",
        WHO % star,
        WHO % "0123456789012345",
    )
    status, printed = gate(capsys, tmp_path, *flags)

    assert 1 == status
    assert [
        "run r1 fails: m: pill confirmed",
        f"waiver of {PILL} by Ann: expired on 2020-01-31",
        f"waiver of {star} by Ann: not needed, the verdict is clear",
        "waiver of 0123456789012345 by Ann: the run has no such finding",
    ] == printed.splitlines()


KEYS = "finding_id, who, until, why"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1", f"holds no list; a waiver is `- finding_id: ...` with {KEYS}"),
        ("- [", "is not valid YAML: line 1, column 4: expected the node content, but found '<stream end>'"),
        ("- pill", f"waiver 1 is 'pill'; a mapping with {KEYS} is needed"),
        (f"- {{finding_id: {PILL}, who: A, until: 2100-01-31}}", f"waiver 1 has no 'why'; keys: {KEYS}"),
        (
            f"- {WHO % PILL}\n- {{finding_id: {PILL}, who: A, til: 2100-01-31, why: x}}",
            f"waiver 2 has no 'until'; keys: {KEYS}\n"
            f"{{path}}: waiver 2: unknown key 'til' (did you mean 'until'?); keys: {KEYS}",
        ),
        (
            "- {finding_id: pill, who: '', until: soon, why: ' '}",
            "waiver 1: finding_id is 'pill': 16 hexadecimal digits, from the table findings or from "
            "gate --json, are needed\n{path}: waiver 1: who is '': a name is needed\n"
            "{path}: waiver 1: until is 'soon': a day such as 2026-12-31 is needed\n"
            "{path}: waiver 1: why is ' ': a reason is needed",
        ),
        (f"- {WHO % PILL}\n- {WHO % PILL}", f"finding {PILL} has two waivers"),
    ],
)
def test_a_waiver_file_that_is_wrong(tmp_path: Path, capsys: Capture, text: str, problem: str) -> None:
    write_run(tmp_path)
    path = tmp_path / "waivers.yaml"
    path.write_text(text)
    separator = " " if problem.startswith(("holds", "is not")) else ": "

    assert f"{path}{separator}{problem.replace('{path}', str(path))}" == refused(
        capsys, tmp_path, "--waivers", str(path)
    )


def test_a_waiver_file_that_is_not_there(tmp_path: Path, capsys: Capture) -> None:
    write_run(tmp_path)

    found = refused(capsys, tmp_path, "--waivers", str(tmp_path / "none.yaml"))
    assert found.startswith(f"waiver file '{tmp_path / 'none.yaml'}' cannot be read: ")


def test_json_says_the_same(tmp_path: Path, capsys: Capture) -> None:
    rows = [make_finding(verdict="confirmed", swap_gap=0.5), make_finding(name="star", verdict="hidden")]
    write_run(tmp_path, findings=rows, judge={"required": ["moon"]})
    flags = waivers(tmp_path, WHO % id_of("m", "class", "star"))
    status, printed = gate(capsys, tmp_path, "--json", *flags)
    found: dict[str, Any] = json.loads(printed)

    assert (1, 1, "r1", "run r1 fails: m: pill confirmed") == (
        status,
        *(found[key] for key in ("status", "run_id", "line")),
    )
    (failing,) = found["findings"]
    assert (PILL, "pill", "confirmed", 0.5) == tuple(
        failing[key] for key in ("finding_id", "group_name", "verdict", "swap_gap")
    )
    assert [("star", "waived until 2100-01-31 by Ann: known")] == [
        (row["group_name"], row["waiver"]) for row in found["waived"]
    ]
    assert ["m: moon is required and missing"] == found["missing"]
    assert ["m: star hidden, waived until 2100-01-31 by Ann: known"] == found["notes"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("night", "no run 'night' below {} (did you mean 'night-1'?)"),
        ("night-1:n", "run night-1 has no model 'n'"),
        ("night-1:big_m", "run night-1 has no model 'big_m' (did you mean 'big-m'?)"),
    ],
)
def test_what_is_not_there_is_named(tmp_path: Path, capsys: Capture, name: str, message: str) -> None:
    write_run(tmp_path, "night-1", models={"big-m": "clear"})

    assert message.format(tmp_path) == refused(capsys, tmp_path, "--run-id", name)
