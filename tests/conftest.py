"""Fixtures: where the shared real data stands, and models that are made once."""

import os
from pathlib import Path

import pytest

from .builders import save_model

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
    return save_model(tmp_path_factory.mktemp("models") / "tiny.keras")


@pytest.fixture(scope="session")
def flat_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a Flatten + Dense head, on which Grad-CAM and HiResCAM differ."""
    return save_model(tmp_path_factory.mktemp("models") / "flat.keras", head="flat", seed=1)
