"""A small audit that is whole, in a folder that each test may break."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.audit_sets import write_config, write_set
from tests.engines.harness import run_audit, tables_of


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A data set of two shards, its model, and the undisturbed run `before`."""
    folder = tmp_path_factory.mktemp("whole") / "audit"
    folder.mkdir()
    write_set(folder, shards=2)
    shutil.copy(tiny_model, folder / "tiny.keras")
    write_config(folder, {"tiny": Path("tiny.keras")})
    run_audit(folder, "before")
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy of it, to break."""
    return Path(shutil.copytree(whole, tmp_path / "audit"))


def files_of(folder: Path, run_id: str) -> dict[str, bytes]:
    """All files of a run, tables and records."""
    paths = (path for path in folder.glob(f"audits/**/*{run_id}*/**/*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def rows_of(folder: Path, run_id: str) -> dict[str, list[dict[str, Any]]]:
    """All rows of a run, without the folder that they came from."""
    tables = tables_of(folder, run_id)
    return {
        table: [{key: value for key, value in row.items() if key != "source"} for row in rows]
        for table, rows in tables.items()
    }


def record_of(folder: Path, run_id: str, name: str = "manifest.json") -> Any:
    """A run's record, None where it is missing."""
    path = folder / "audits/runs" / run_id / name
    return json.loads(path.read_text()) if path.exists() else None
