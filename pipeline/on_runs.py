"""The commands on runs that are over: `gate`, `compare`, `history`, `card`, `report` and `prune`."""

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


def add_compare(commands: Any) -> None:
    """Adds `compare` to the subcommands."""
    compare = commands.add_parser(
        "compare",
        help="say whether a model is worse than another, and where",
        description="Differences on the same images. " + _STATUSES.format("not worse", "worse"),
        allow_abbrev=False,
    )
    compare.add_argument("output", metavar="OUTPUT", help="the output directory of the audits")
    for name in ("baseline", "candidate"):
        compare.add_argument(
            f"--{name}",
            required=True,
            metavar="RUN[:MODEL]",
            help="the model if there are several",
        )
    compare.add_argument(
        "--margin",
        type=share,
        default=0.1,
        metavar="M",
        help="change of a mean that is accepted (default: %(default)s)",
    )
    compare.add_argument(
        "--allow-different",
        action="store_true",
        help="compare even what was measured on other data or in another way",
    )
    compare.add_argument("--json", action="store_true", help="print JSON")
    compare.add_argument("--html", metavar="FILE", help="write a page besides")
    compare.set_defaults(function=_compare)


def add_history(commands: Any) -> None:
    """Adds `history` to the subcommands."""
    history = commands.add_parser(
        "history", help="draw the trend of every model and class over the last runs", allow_abbrev=False
    )
    history.add_argument("output", metavar="OUTPUT", help="the output directory of the audits")
    history.add_argument(
        "--last", type=positive, default=30, metavar="N", help="how many runs (default: %(default)s)"
    )
    history.add_argument("--html", required=True, metavar="FILE", help="the page to write")
    history.set_defaults(function=_history)


def add_card(commands: Any) -> None:
    """Adds `card` to the subcommands."""
    card = commands.add_parser(
        "card",
        help="print what an audit can say in a model card",
        description="Quantitative Analyses, and Caveats and Recommendations, in Markdown.",
        allow_abbrev=False,
    )
    card.add_argument("output", metavar="OUTPUT", help="the output directory of the audits")
    card.add_argument(
        "--run-id", metavar="RUN[:MODEL]", help="instead of all models of the newest complete run"
    )
    card.set_defaults(function=_card)


def add_report(commands: Any) -> None:
    """Adds `report` to the subcommands."""
    report = commands.add_parser(
        "report",
        help="render a run's report again, from its tables",
        description="Write OUTPUT/runs/ID/report.html again, from the run's tables, without its models.",
        allow_abbrev=False,
    )
    report.add_argument("output", metavar="OUTPUT", help="the output directory of the audits")
    report.add_argument("--run-id", metavar="ID", help="instead of the newest run")
    report.set_defaults(function=_report)


def add_prune(commands: Any) -> None:
    """Adds `prune` to the subcommands."""
    prune = commands.add_parser(
        "prune",
        help="remove the scores of old runs, and keep what history is made of",
        description="Lists what can go: the scores of old runs, and what runs that died a week ago have "
        "staged. Summaries, findings, dead letters, manifests and reports stay.",
        allow_abbrev=False,
    )
    prune.add_argument("output", metavar="OUTPUT", help="the output directory of the audits")
    prune.add_argument("--keep", type=positive, metavar="N", help="spare the last N runs")
    prune.add_argument("--older-than", type=positive, metavar="DAYS", help="spare younger runs")
    prune.add_argument("--yes", action="store_true", help="remove it, rather than list it")
    prune.set_defaults(function=_prune)


def share(text: str) -> float:
    """A number from 0 to 1 of a flag."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to 1")
    return value


def positive(text: str) -> int:
    """A number of at least 1 of a flag."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return int(text)


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


def _report(arguments: argparse.Namespace, _: Sequence[str]) -> int:
    from pipeline.report import report_again

    print(report_again(arguments.output, arguments.run_id))
    return 0


def _prune(arguments: argparse.Namespace, _: Sequence[str]) -> int:
    from pipeline.prune import leftovers
    from transforms.write.wiring import remove_folder

    days = arguments.older_than
    found = leftovers(
        arguments.output,
        keep=arguments.keep,
        older_than=None if days is None else datetime.timedelta(days=days),
        now=datetime.datetime.now(datetime.UTC),
    )
    for leftover in found:
        if arguments.yes:
            remove_folder(leftover.folder)
        print(f"run {leftover.run_id}: {leftover.what}, {leftover.size:,} bytes")
    size = sum(leftover.size for leftover in found)
    if not found:
        print("Nothing to remove.")
    elif arguments.yes:
        print(f"Removed {size:,} bytes.")
    else:
        print(f"Nothing was removed; add --yes to remove these {size:,} bytes.")
    return 0


def _history(arguments: argparse.Namespace, _: Sequence[str]) -> int:
    from pipeline.history import history
    from transforms.write.pages import history_page

    runs = history(arguments.output, arguments.last)
    _write(arguments.html, "--html", history_page(arguments.output, runs))
    print(f"{arguments.html}: {len(runs)} runs")
    return 0


def _card(arguments: argparse.Namespace, _: Sequence[str]) -> int:
    from pipeline import runs
    from transforms.write.card import model_card

    run_id, model = runs.split_name(arguments.run_id or "")
    if run_id:
        run = runs.complete_run(runs.find_run(arguments.output, run_id))
    else:
        run = runs.newest_complete(arguments.output)
    if model is not None and model not in run.models:
        raise runs.no_such_model(run, model)
    findings, summaries = runs.read_findings(run), runs.read_summaries(run)
    cards = [
        model_card(
            run.manifest,
            name,
            [row for row in findings if row["model"] == name],
            [row for row in summaries if row["model"] == name],
        )
        for name in ([model] if model else run.models)
    ]
    print("\n".join(cards), end="")
    return 0


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


def _compare(arguments: argparse.Namespace, _: Sequence[str]) -> int:
    from pipeline.compare import compare_models

    found = compare_models(
        arguments.output,
        arguments.baseline,
        arguments.candidate,
        margin=arguments.margin,
        allow_different=arguments.allow_different,
    )
    if arguments.html:
        from transforms.write.pages import comparison_page

        _write(arguments.html, "--html", comparison_page(found.as_dict()))
    if arguments.json:
        print(json.dumps(found.as_dict(), indent=2))
    else:
        from pipeline import console

        console.print_comparison(found)
    return found.status
