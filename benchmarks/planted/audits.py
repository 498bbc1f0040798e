"""Runs an audit as a user would, by its command, and reads its tables."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

ROOT: Final = Path(__file__).resolve().parents[2]
_RUN_ID: Final = "planted"


def run_audit(config: Path) -> Path:
    """Audits by a config whose output is the folder of its own name; an earlier audit there goes.

    Returns:
        The folder with the tables. What the command printed is in the `.log` beside the config.

    Raises:
        RuntimeError: the audit failed.
    """
    output = config.with_suffix("")
    shutil.rmtree(output, ignore_errors=True)
    log = config.with_suffix(".log")
    command = [sys.executable, "-m", "pipeline", "run", str(config), "--run-id", _RUN_ID]
    with log.open("w") as file:
        done = subprocess.run(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{config} ended with {done.returncode}; its last words in {log}:\n{_tail(log)}")
    return output


def fingerprint() -> str:
    """Changes with the code of the audit and with what it is given to judge.

    So verdicts of older code are not taken for those of the code as it is.
    """
    files = [path for package in ("pipeline", "transforms") for path in (ROOT / package).rglob("*.py")]
    here = Path(__file__).parent
    files += [here / "sets.py", here / "shards.py", here / "suite.py"]
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def read_rows(output: Path, table: str, columns: list[str]) -> list[dict[str, Any]]:
    """The rows of a table of the run; a column that the table does not have is None in each."""
    rows: list[dict[str, Any]] = []
    for file in sorted(output.glob(f"{table}/run_date=*/run_id={_RUN_ID}/*.parquet")):
        found = pq.read_table(file, partitioning=None).to_pylist()
        rows.extend({column: row.get(column) for column in columns} for row in found)
    return rows


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])
