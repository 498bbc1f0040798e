"""Start a planned run, watch it, and fetch what it wrote."""

import contextlib
import datetime
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import Any, NoReturn

import apache_beam as beam
import rich.console
import rich.progress
import yaml
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.audit import audit
from pipeline.config import Config
from pipeline.plan import Plan
from pipeline.runs import started_runs
from transforms.errors import RunError, UsageError
from transforms.progress import PROGRESS, Progress
from transforms.write.manifest import to_json
from transforms.write.wiring import claim_text, read_manifest, write_text

# The runner in this process. Beam's "DirectRunner" would first try to download another one.
LOCAL_RUNNER = "FnApiRunner"
# Clocks of machines that start runs below one output may be this far apart.
_CLOCKS_DIFFER = datetime.timedelta(minutes=5)


class RunOptions(PipelineOptions):
    """Beam's options, each view of which is made once.

    To make one takes half a millisecond, as all flags are parsed anew, and while a pipeline is built two
    thousand are asked for. Views share their values, so that the same one does as well.
    """

    def view_as(self, cls: Any) -> Any:
        """The options of one class; see `PipelineOptions`."""
        views = self.__dict__.setdefault("_views", {})
        if cls not in views:
            views[cls] = super().view_as(cls)
        return views[cls]


def run_audit(config: Config, plan: Plan, options: PipelineOptions, runner: str) -> dict[str, Any] | None:
    """Runs a planned audit to its end.

    Args:
        config: the resolved config.
        plan: from `plan_run`.
        options: Beam's options.
        runner: name of the Beam runner.

    Returns:
        The manifest, or None where the runner has only accepted the job (a Dataflow template).

    Raises:
        UsageError: another run took the id meanwhile, or the clock was set back.
        RunError: the pipeline failed, or what it wrote is not a complete audit.
    """
    paths = plan.run.paths
    started = {
        "run_id": paths.run_id,
        "run_date": paths.run_date,
        "name": plan.run.name,
        "started": plan.run.started,
        "tool": plan.run.details["tool"],
        "runner": runner,
        "resumes": plan.run.details["resumes"],
        "request": plan.request,
    }
    _check_clock(plan)
    config_text = yaml.safe_dump(plan.run.details["config"], sort_keys=False, allow_unicode=True)
    try:
        claim_text(paths.record("started.json"), to_json(started))
        write_text(paths.record("config.yaml"), config_text)
    except FileExistsError as error:
        raise UsageError(
            f"run id {paths.run_id!r} exists already below {paths.output}; give another --run-id"
        ) from error
    except OSError as error:
        raise RunError(f"cannot write below {paths.output}: {error}") from error
    try:
        pipeline = beam.Pipeline(runner=runner, options=options)
        audit(pipeline, config, plan)
        with _progress(), _watched_workers():
            pipeline.run().wait_until_finish()
    except Exception as error:  # whatever a runner raises, the user gets one line and the whole in a file
        where = _keep_traceback(error, paths.record("error.txt"))
        reason = (str(error).strip() or type(error).__name__).rsplit("\n", 1)[-1]
        raise RunError(f"run {paths.run_id} failed: {reason}{where}") from error
    manifest = read_manifest(paths)
    if manifest is not None and not manifest["complete"]:
        raise RunError(f"run {paths.run_id} is not complete: {manifest['failure']}")
    return manifest


def _check_clock(plan: Plan) -> None:
    """The gate judges the run that was started last, so a run must not seem older than the one before it."""
    runs = started_runs(plan.run.paths.output)
    now = datetime.datetime.fromisoformat(plan.run.started)
    if runs and datetime.datetime.fromisoformat(runs[-1].started) > now + _CLOCKS_DIFFER:
        raise UsageError(
            f"the clock says {plan.run.started}, but run {runs[-1].paths.run_id} was started at "
            f"{runs[-1].started}; set the clock, or move that run's folder out of runs"
        )


def _keep_traceback(error: Exception, path: str) -> str:
    """Writes the traceback beside the run's other records, where the disk still takes it."""
    try:
        write_text(path, "".join(traceback.format_exception(error)))
    except OSError:
        return ""
    return f"; traceback in {path}"


@contextlib.contextmanager
def _watched_workers() -> Iterator[None]:
    """Ends the block with a RuntimeError where a worker process dies: the local runner would wait forever."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread can be woken
        yield
        return
    lost: list[object] = []

    def of_thread(error: threading.ExceptHookArgs) -> None:
        if error.thread is not None and error.thread.name == "run_worker":
            lost.append(error.exc_value)
            os.kill(os.getpid(), signal.SIGUSR1)
        else:
            usual(error)

    def wake(*_: object) -> NoReturn:
        raise RuntimeError(str(lost[0]) if lost else "stopped by SIGUSR1")

    usual, threading.excepthook = threading.excepthook, of_thread
    # Not SIGINT, which a shell lets programs ignore that it starts in the background.
    before = signal.signal(signal.SIGUSR1, wake)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)
        threading.excepthook = usual


@contextlib.contextmanager
def _progress() -> Iterator[None]:
    """Draws what is done, how fast, and the time left while the block runs; silent without a terminal."""
    PROGRESS.reset()
    if not sys.stderr.isatty():
        yield
        return
    bar = rich.progress.Progress(
        rich.progress.SpinnerColumn(),
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(bar_width=12),
        rich.progress.TextColumn("{task.fields[rate]:,.1f} images/s"),
        rich.progress.TimeElapsedColumn(),
        rich.progress.TimeRemainingColumn(),
        console=rich.console.Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task(described(PROGRESS), total=None, rate=0.0)
        done = threading.Event()

        def draw() -> None:
            shown = bar.tasks[task]
            while not done.wait(0.5):
                images, found = PROGRESS.images, PROGRESS.found
                # Without a total the clock goes on: what follows takes its time too.
                shown.total = found if 0 < images < found else None
                rate = images / (shown.elapsed or 1.0) if shown.total else shown.fields["rate"]
                bar.update(task, description=described(PROGRESS), completed=images, rate=rate)

        drawer = threading.Thread(target=draw, daemon=True)
        drawer.start()
        try:
            yield
        finally:
            done.set()
            drawer.join()


def described(progress: Progress) -> str:
    """What a local run is doing, in words; nothing is known of workers in other processes."""
    # Score-CAM and Ablation-CAM take minutes for a batch of images.
    tried = f", {progress.channels:,} channels tried" if progress.channels else ""
    if not progress.images:
        return f"{progress.found:,} images found{tried}" if progress.found else "running"
    if progress.images < progress.found:
        return f"{progress.images:,} of {progress.found:,} images{tried}"
    return f"all {progress.images:,} images, judging{tried}"
