"""Fixtures: where the shared real data stands, models that are made once, a store that is lost.

Beam and TensorFlow are imported where they are used: the process that only hands out the tests needs neither.
"""

import os
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Real photos and a real model; set AUDIT_TEST_DATA where they stand elsewhere."""
    folder = Path(os.environ.get("AUDIT_TEST_DATA", Path(__file__).parents[2] / "shared/data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set AUDIT_TEST_DATA to run this test")
    return folder.resolve()


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CNN with a GAP head and three classes, 16x16 input."""
    from .builders import save_model

    return save_model(tmp_path_factory.mktemp("models") / "tiny.keras")


@pytest.fixture(scope="session")
def flat_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a Flatten + Dense head, on which Grad-CAM and HiResCAM differ."""
    from .builders import save_model

    return save_model(tmp_path_factory.mktemp("models") / "flat.keras", head="flat", seed=1)


class NotFoundError(Exception):
    """What the client library of a store raises; no OSError."""


@pytest.fixture
def no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store in which nothing can be opened."""
    from apache_beam.io.filesystems import FileSystems

    def lost(path: str, **_: Any) -> Any:
        raise NotFoundError(f"404 {path}")

    monkeypatch.setattr(FileSystems, "open", lost)
