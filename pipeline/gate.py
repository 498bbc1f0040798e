"""The gate: what a scheduler asks of the newest run, answered by an exit status and one line."""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pipeline.runs import (
    CompleteRun,
    StartedRun,
    complete_run,
    find_run,
    no_such_model,
    read_findings,
    split_name,
    started_runs,
)
from pipeline.waivers import Waiver, load_waivers, parse_waivers, sort_waivers
from transforms.errors import RunError

PASS, FINDINGS, NO_RUN, INCONCLUSIVE = 0, 1, 3, 4
FAILS = {"confirmed": ("confirmed", "hidden"), "suspect": ("confirmed", "hidden", "suspect")}
_CONVICTIONS = FAILS["confirmed"]
_MOST_NAMED = 5


@dataclasses.dataclass(frozen=True)
class Rules:
    """What fails.

    Attributes:
        fail_on: `confirmed`, which includes hidden, or `suspect`, which includes all flags.
        min_gap: a conviction whose mean swap gap is smaller passes.
        waivers: file of waivers that replaces the one that the run was given; None keeps that.
    """

    fail_on: str = "confirmed"
    min_gap: float = 0.0
    waivers: str | None = None


@dataclasses.dataclass(frozen=True)
class Ruling:
    """What the gate makes of one finding.

    Attributes:
        finding: row of the table `findings`.
        outcome: `pass`, `fail`, `waived`, or `open`, which is too little evidence.
        why: in words; empty for what passes by its verdict.
    """

    finding: dict[str, Any]
    outcome: Literal["pass", "fail", "waived", "open"]
    why: str = ""


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the gate says of one run.

    Attributes:
        status: exit status: 0 pass, 1 findings, 3 no complete run, 4 inconclusive.
        run_id: the run, None where there is none.
        line: the answer in one line.
        rulings: one for each finding of the models that were asked about.
        missing: what `judge.required` lists and has no verdict, one line for each.
        notes: what else has to be said, one line for each.
    """

    status: int
    run_id: str | None
    line: str
    rulings: Sequence[Ruling] = ()
    missing: Sequence[str] = ()
    notes: Sequence[str] = ()

    def of_outcome(self, outcome: str) -> list[Ruling]:
        """The rulings with that outcome."""
        return [ruling for ruling in self.rulings if ruling.outcome == outcome]


def judge_run(output: str, name: str | None, rules: Rules, today: datetime.date) -> Answer:
    """Reads what a run has written and decides.

    Args:
        output: the audits' output directory, on any of Beam's filesystems.
        name: `RUN` or `RUN:MODEL`; None takes the run that was started last, so that a crash tonight is
            never last night's pass.
        rules: what fails.
        today: in UTC; waivers end by it.

    Raises:
        UsageError: the run was never started or has no such model, or the waiver file is wrong.
    """
    run_id, model = split_name(name or "")
    started = _chosen(output, run_id)
    if started is None:
        return Answer(NO_RUN, None, f"no run was started below {output}")
    try:
        run = complete_run(started)
        findings = read_findings(run)
    except RunError as error:
        return Answer(NO_RUN, started.paths.run_id, str(error))
    if model is not None and model not in run.models:
        raise no_such_model(run, model)
    return _answer(run, [model] if model else list(run.models), findings, rules, today)


def _chosen(output: str, run_id: str) -> StartedRun | None:
    if run_id:
        return find_run(output, run_id)
    started = started_runs(output)
    return started[-1] if started else None


def _answer(
    run: CompleteRun,
    models: Sequence[str],
    findings: Sequence[dict[str, Any]],
    rules: Rules,
    today: datetime.date,
) -> Answer:
    manifest = run.manifest
    if rules.waivers is None:
        given = parse_waivers(manifest.get("waivers", []), f"manifest of run {run.paths.run_id}")
    else:
        given = load_waivers(rules.waivers)
    verdicts = {row["finding_id"]: row["verdict"] for row in findings}
    waivers = sort_waivers(given, verdicts, FAILS[rules.fail_on], today)
    asked = [row for row in findings if row["model"] in models]
    rulings = _rulings(asked, rules, waivers.valid)
    required = manifest["config"]["judge"].get("required", [])
    missing = [line for model in models for line in _missing(asked, model, required)]
    notes = [*(_waived_note(ruling) for ruling in rulings if ruling.outcome == "waived"), *waivers.notes]
    if not manifest["config"]["judge"]["confirm"] and rules.fail_on == "confirmed":
        notes.append("judge.confirm is false: nothing can be confirmed, so only --fail-on suspect can fail")
    status, said = _decide(rulings, models, missing, rules)
    return Answer(status, run.paths.run_id, f"run {run.paths.run_id} {said}", rulings, missing, notes)


def _rulings(findings: Sequence[dict[str, Any]], rules: Rules, waivers: Mapping[str, Waiver]) -> list[Ruling]:
    """Rules on classes and slices first: a model's own flag stands for theirs, where it has any."""
    inner = {
        row["finding_id"]: _ruling(row, rules, waivers) for row in findings if row["group_kind"] != "model"
    }
    flagged: dict[str, list[Ruling]] = {}
    for ruling in inner.values():
        if ruling.finding["verdict"] in FAILS[rules.fail_on]:
            flagged.setdefault(ruling.finding["model"], []).append(ruling)
    return [
        inner[row["finding_id"]]
        if row["group_kind"] != "model"
        else _whole(row, flagged.get(row["model"], []), rules, waivers)
        for row in findings
    ]


def _ruling(row: dict[str, Any], rules: Rules, waivers: Mapping[str, Waiver]) -> Ruling:
    if row["verdict"] == "insufficient":
        return Ruling(row, "open", row["message"])
    if row["verdict"] not in FAILS[rules.fail_on]:
        return Ruling(row, "pass")
    gap, waiver = row["swap_gap"], waivers.get(row["finding_id"])
    if row["verdict"] in _CONVICTIONS and gap is not None and gap < rules.min_gap:
        return Ruling(row, "pass", f"{row['verdict']}, but its swap gap {gap:.2f} is below {rules.min_gap:g}")
    if waiver is not None:
        return Ruling(row, "waived", f"waived until {waiver.until} by {waiver.who}: {waiver.why}")
    return Ruling(row, "fail", row["message"])


def _whole(
    row: dict[str, Any], inner: Sequence[Ruling], rules: Rules, waivers: Mapping[str, Waiver]
) -> Ruling:
    ruling = _ruling(row, rules, waivers)
    if ruling.outcome != "fail" or not inner or any(each.outcome == "fail" for each in inner):
        return ruling
    return Ruling(row, "pass", f"{row['verdict']}, but all that is flagged of it passes or is waived")


def _missing(findings: Sequence[dict[str, Any]], model: str, required: Sequence[str]) -> list[str]:
    """What is required of a model and has no verdict."""
    lines = []
    for name in required:
        rows = [row for row in findings if row["model"] == model and name in _names(row)]
        if not rows:
            lines.append(f"{model}: {name} is required and missing")
        elif all(row["verdict"] == "insufficient" for row in rows):
            lines.append(f"{model}: {name} is required and insufficient")
    return lines


def _names(row: Mapping[str, Any]) -> tuple[str, ...]:
    """What a class or slice can be required by; a slice also by its value alone."""
    if row["group_kind"] == "model":
        return ()
    of_slice = (f"{row['slice_key']}={row['slice_value']}",) if row["group_kind"] == "slice" else ()
    return (row["group_name"], *of_slice)


def _decide(
    rulings: Sequence[Ruling], models: Sequence[str], missing: Sequence[str], rules: Rules
) -> tuple[int, str]:
    """The exit status, and why; a finding beats what is open."""
    failing = [ruling.finding for ruling in rulings if ruling.outcome == "fail"]
    if failing:
        return FINDINGS, f"fails: {_named(failing)}"
    judged = {
        ruling.finding["model"]
        for ruling in rulings
        if ruling.finding["group_kind"] == "model" and ruling.outcome != "open"
    }
    unjudged = [model for model in models if model not in judged]
    reasons = ([f"not enough evidence on {', '.join(unjudged)}"] if unjudged else []) + list(missing)
    if reasons:
        return INCONCLUSIVE, f"is inconclusive: {_listed(reasons)}"
    waived = sum(ruling.outcome == "waived" for ruling in rulings)
    but = f" but what is waived ({waived})" if waived else ""
    at_least = f" with a swap gap of {rules.min_gap:g} or more" if rules.min_gap else ""
    return PASS, f"passes: nothing {' or '.join(FAILS[rules.fail_on])}{at_least}{but}"


def _named(failing: Sequence[Mapping[str, Any]]) -> str:
    """Classes and slices by name, models only where nothing else is flagged."""
    inner = [row for row in failing if row["group_kind"] != "model"] or failing
    return _listed([f"{row['model']}: {row['group_name']} {row['verdict']}" for row in inner])


def _listed(words: Sequence[str]) -> str:
    more = f", and {len(words) - _MOST_NAMED} more" if len(words) > _MOST_NAMED else ""
    return ", ".join(words[:_MOST_NAMED]) + more


def _waived_note(ruling: Ruling) -> str:
    row = ruling.finding
    return f"{row['model']}: {row['group_name']} {row['verdict']}, {ruling.why}"
