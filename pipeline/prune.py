"""Old runs: what is large and no later command needs is removed, what history is made of stays."""

import dataclasses
import datetime
import posixpath
from collections.abc import Iterator, Sequence

from pipeline.runs import StartedRun, started_runs
from transforms.errors import UsageError
from transforms.write.wiring import files_below, read_manifest

# A run without a manifest may still go on, or be resumed.
_WAITED_FOR = datetime.timedelta(days=7)


@dataclasses.dataclass(frozen=True)
class Leftover:
    """What can go of one run.

    Attributes:
        run_id: its name.
        what: `scores` of a run that has ended, `staging` of one that was interrupted.
        folder: where it stands.
        size: in bytes.
    """

    run_id: str
    what: str
    folder: str
    size: int


def leftovers(
    output: str, *, keep: int | None, older_than: datetime.timedelta | None, now: datetime.datetime
) -> list[Leftover]:
    """What can go of the runs below an output directory, oldest run first.

    Of a run that has ended only the scores go: `gate`, `history`, `card` and `report` work as before,
    `compare` does not. Of a run that died, and was started more than a week ago, what it staged goes.

    Args:
        output: the audits' output directory, on any of Beam's filesystems.
        keep: spare so many runs, those that were started last.
        older_than: spare runs that were started later than that before now.
        now: in UTC.

    Raises:
        UsageError: nothing says which runs are old.
    """
    if keep is None and older_than is None:
        raise UsageError("say which runs are old: --keep N, --older-than DAYS, or both")
    runs = started_runs(output)
    return list(_of_runs(runs[: max(len(runs) - (keep or 0), 0)], older_than or datetime.timedelta(0), now))


def _of_runs(
    runs: Sequence[StartedRun], spared: datetime.timedelta, now: datetime.datetime
) -> Iterator[Leftover]:
    for run in runs:
        age = now - datetime.datetime.fromisoformat(run.started)
        if read_manifest(run.paths) is not None:
            what, folder, least = "scores", posixpath.dirname(run.paths.part("scores", "x")), spared
        else:
            what, folder, least = "staging", run.paths.staging, max(spared, _WAITED_FOR)
        size = sum(file.size_in_bytes for file in files_below(folder)) if age > least else 0
        if size:
            yield Leftover(run.paths.run_id, what, folder, size)
