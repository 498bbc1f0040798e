"""The audit that every engine runs, and what the local runner makes of it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.audit_sets import write_config, write_set

from .harness import manifest_of, run_audit, tables_of

Tables = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="session")
def audited(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, flat_model: Path) -> Path:
    """A folder with two models, two shards of good and bad records, and the local runner's run `local`."""
    folder = tmp_path_factory.mktemp("audited")
    write_set(folder, shards=2)
    (folder / "images/05.png").write_bytes(b"garbage")
    (folder / "images/08.png").unlink()
    path = write_config(folder, {"tiny": tiny_model, "flat": flat_model})
    config = yaml.safe_load(path.read_text())
    config["data"]["max_bad_fraction"] = 0.2
    path.write_text(yaml.safe_dump(config))
    run_audit(folder, "local")
    return folder


@pytest.fixture(scope="session")
def expected(audited: Path) -> Tables:
    """The rows of the local run, of which none is missing."""
    tables = tables_of(audited, "local")
    assert ["missing_image", "undecodable_image"] == sorted(row["error"] for row in tables["dead_letters"])
    assert all(tables.values())
    assert manifest_of(audited, "local")["complete"]
    return tables


def assert_same_rows(folder: Path, run_id: str, expected: Tables) -> None:
    found = tables_of(folder, run_id)
    for table, rows in expected.items():
        assert rows == found[table], table
