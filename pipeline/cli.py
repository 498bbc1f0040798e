"""The command line: `gradcam-audit run`, and what is done with runs and with single models.

Exit status: 0 done, 2 the request is wrong, 3 the run failed; `gate` and `compare` have their own. TensorFlow
and Beam are imported by the commands that need them, so that help and usage errors come at once.
"""

import argparse
import atexit
import contextlib
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from pipeline import __version__
from pipeline.on_runs import add_card, add_compare, add_gate, add_history, add_prune, add_report, positive
from pipeline.one_model import add_inspect, add_overlay
from pipeline.quiet import quiet_imports
from transforms.errors import AuditError, UsageError, did_you_mean

DONE, BAD_USAGE, RUN_FAILED = 0, 2, 3


def command() -> NoReturn:
    """The process of `gradcam-audit`: runs one command and ends, whatever threads are left.

    Those that Beam has for its workers would be waited for, and may wait for what is lost; those of Arrow and
    TensorFlow may outlive the interpreter, which then ends in an abort rather than with its exit status.
    """
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    atexit._run_exitfuncs()
    os._exit(status)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: arguments without the program's name; None takes the process's own.

    Returns:
        The exit status.
    """
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    if rest and arguments.command != "run":
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s: %(message)s")
    # What goes wrong in a worker is told once, at the end, with its traceback in a file.
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    try:
        with _termination():
            status: int = arguments.function(arguments, rest)
    except AuditError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_USAGE if isinstance(error, UsageError) else RUN_FAILED
    except BrokenPipeError:  # the reader of our output, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt as stop:
        print(f"error: {str(stop) or 'interrupted'}; no manifest was written", file=sys.stderr)
        return RUN_FAILED
    return status


@contextlib.contextmanager
def _termination() -> Iterator[None]:
    """Lets SIGTERM, which schedulers send, end the block as Ctrl-C does."""

    def terminate(*_: object) -> NoReturn:
        raise KeyboardInterrupt("terminated")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, usual)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gradcam-audit",
        description="Find image classifiers that look at the wrong place.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"gradcam-audit {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser(
        "run",
        help="audit the models of a config",
        description="Audit the models of a config. Beam's options, such as --runner, are passed on.",
        allow_abbrev=False,
    )
    run.add_argument("config", metavar="CONFIG.yaml")
    run.add_argument("--output", metavar="DIR", help="write here instead of the config's output")
    run.add_argument("--run-id", metavar="ID", help="name of the run; default: the time and a random suffix")
    run.add_argument(
        "--resume",
        metavar="ID",
        help="go on from an interrupted run of the same config: see docs/reliability.md",
    )
    run.add_argument("--limit", metavar="N", type=positive, help="read only the first N records")
    run.add_argument(
        "--dry-run", action="store_true", help="print the resolved config and the plan; write nothing"
    )
    run.set_defaults(function=_run)

    add_gate(commands)
    add_compare(commands)
    add_history(commands)
    add_card(commands)
    add_report(commands)
    add_prune(commands)
    add_inspect(commands)
    add_overlay(commands)

    schema = commands.add_parser("schema", help="print the JSON Schema of the config", allow_abbrev=False)
    schema.set_defaults(function=_schema)

    demo = commands.add_parser("demo", help="make data with a planted shortcut, train two models, audit them")
    demo.add_argument(
        "--folder", default="demo-audit", metavar="DIR", help="where to work (default: %(default)s)"
    )
    demo.set_defaults(function=_demo)
    return parser


def _run(arguments: argparse.Namespace, rest: Sequence[str]) -> int:
    with quiet_imports():
        from pipeline import config, console, launch, plan
        from transforms.write.wiring import read_rows
    options, runner = _beam_options(rest)
    overrides = {"output": arguments.output} if arguments.output else None
    loaded = config.load_config(arguments.config, overrides)
    planned = plan.plan_run(
        loaded, runner=runner, run_id=arguments.run_id, limit=arguments.limit, resume=arguments.resume
    )
    if arguments.dry_run:
        console.print_plan(planned, _yaml(planned.run.details["config"]))
        return DONE
    manifest = launch.run_audit(loaded, planned, options, runner)
    if manifest is None:
        print(f"Run {planned.run.paths.run_id} was handed to {runner}; its manifest comes last.")
        return DONE
    paths = planned.run.paths
    console.print_summary(manifest, read_rows(paths, "summaries"), read_rows(paths, "findings"))
    return DONE


def _schema(_: argparse.Namespace, __: Sequence[str]) -> int:
    from pipeline.config import Config

    print(json.dumps(Config.model_json_schema(), indent=2))
    return DONE


def _demo(arguments: argparse.Namespace, _: Sequence[str]) -> int:
    with quiet_imports():
        from demo.run import run_demo
    return DONE if run_demo(Path(arguments.folder)) else RUN_FAILED


def _beam_options(rest: Sequence[str]) -> tuple[Any, str]:
    """Beam's options and the runner's name.

    Raises:
        UsageError: a flag is neither ours nor Beam's, which Beam itself would only warn of.
    """
    from apache_beam.options.pipeline_options import (
        PipelineOptions,
        StandardOptions,
        _BeamArgumentParser,
    )
    from apache_beam.runners.runner import create_runner

    from pipeline.launch import LOCAL_RUNNER, RunOptions
    from pipeline.stores import reach_stores

    known = _BeamArgumentParser(allow_abbrev=False, prog="gradcam-audit run")
    for options in PipelineOptions.__subclasses__():
        options._add_argparse_args(known)
    _, unknown = known.parse_known_args(rest)
    if unknown:
        flag = unknown[0].split("=", 1)[0]
        own = ("--output", "--run-id", "--resume", "--limit", "--dry-run")
        beams = [name for action in known._actions for name in action.option_strings]
        valid = [*own, *(name for name in beams if name.replace("_", "-") not in own)]
        raise UsageError(
            f"unknown argument {flag!r}{did_you_mean(flag, valid)}; "
            "see gradcam-audit run --help, and the options of Beam's runners"
        )
    beam_options = RunOptions(rest)
    reach_stores(beam_options)
    asked = beam_options.view_as(StandardOptions).runner
    # The same runner in this process, by the name that users know, without Beam's try at a download.
    runner = LOCAL_RUNNER if asked in (None, "DirectRunner") else asked
    try:
        create_runner(runner)
    except (ValueError, ImportError, AttributeError) as error:
        raise UsageError(f"--runner {runner!r} cannot be used: {error}") from error
    return beam_options, runner


def _yaml(document: Any) -> str:
    import yaml

    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
