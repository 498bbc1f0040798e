"""The commands on runs that were started earlier: `gate` decides on one."""

import argparse
import datetime
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_STATUSES = "Exit status: 0 {}, 1 {}, 2 bad usage, 3 no complete run, 4 inconclusive."


def add_gate(commands: Any) -> None:
    """Adds `gate` to the subcommands."""
    gate = commands.add_parser(
        "gate",
        help="pass or fail the newest run, by its exit status",
        description=_STATUSES.format("pass", "findings"),
        allow_abbrev=False,
    )
    gate.add_argument("output", metavar="OUTPUT", help="the output directory of the audits")
    gate.add_argument("--run-id", metavar="RUN[:MODEL]", help="instead of the run that was started last")
    gate.add_argument(
        "--fail-on",
        choices=["confirmed", "suspect"],
        default="confirmed",
        help="confirmed includes hidden; suspect includes all flags (default: %(default)s)",
    )
    gate.add_argument(
        "--min-gap",
        type=share,
        default=0.0,
        metavar="G",
        help="let convictions pass whose mean swap gap is below G",
    )
    gate.add_argument(
        "--waivers", metavar="FILE", help="known findings that pass, instead of the run's judge.waivers"
    )
    gate.add_argument("--json", action="store_true", help="print JSON")
    gate.add_argument("--junit", metavar="FILE", help="write JUnit XML besides")
    gate.set_defaults(function=_gate)


def share(text: str) -> float:
    """A number from 0 to 1 of a flag."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to 1")
    return value


def _gate(arguments: argparse.Namespace, _: Sequence[str]) -> int:
    from pipeline.gate import Rules, judge_run

    rules = Rules(arguments.fail_on, arguments.min_gap, arguments.waivers)
    today = datetime.datetime.now(datetime.UTC).date()
    answer = judge_run(arguments.output, arguments.run_id, rules, today)
    if arguments.junit:
        from pipeline.junit import to_junit

        _write(arguments.junit, "--junit", to_junit(answer))
    if arguments.json:
        found = {
            "status": answer.status,
            "run_id": answer.run_id,
            "line": answer.line,
            "findings": [ruling.finding for ruling in answer.of_outcome("fail")],
            "waived": [{**r.finding, "waiver": r.why} for r in answer.of_outcome("waived")],
            "missing": list(answer.missing),
            "notes": list(answer.notes),
        }
        print(json.dumps(found, indent=2))
    else:
        print("\n".join([answer.line, *answer.notes]))
    return answer.status


def _write(path: str, flag: str, text: str) -> None:
    """Writes what a flag asks for, to any of Beam's filesystems.

    Raises:
        UsageError: it cannot be written.
    """
    from pipeline.config import resolve
    from transforms.errors import UsageError
    from transforms.write.wiring import write_text

    try:
        write_text(resolve(path, str(Path.cwd())), text)
    except (OSError, ValueError) as error:
        raise UsageError(f"{flag} {path!r} cannot be written: {error}") from error
