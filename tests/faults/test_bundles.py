"""Exceptions while a bundle is processed: the run fails, or the bundle is tried again and counts once."""

import random
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import main
from transforms.explain import wiring as explaining
from transforms.explain.explainer import Explainer
from transforms.measure import wiring as measuring
from transforms.write import wiring as writing

from .conftest import files_of, record_of, rows_of

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]
PLACES = [(Explainer, "explain"), (measuring, "score"), (writing, "write_part")]


@pytest.mark.parametrize(("owner", "name"), PLACES, ids=["explain", "measure", "write"])
def test_an_exception_in_a_random_bundle(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    owner: Any,
    name: str,
) -> None:
    before = files_of(folder, "before")
    usual, left = getattr(owner, name), random.Random(name).randrange(4)

    def unlucky(*arguments: Any, **named: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise RuntimeError("a cosmic ray")
        return usual(*arguments, **named)

    with monkeypatch.context() as broken:
        broken.setattr(owner, name, unlucky)
        broken.setattr(explaining, "BATCHES", 1)
        assert 3 == main(["run", str(folder / "config.yaml"), "--run-id", "unlucky"])

    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("error: run unlucky failed: a cosmic ray [while running '"), told
    assert "a cosmic ray" in (folder / "audits/runs/unlucky/error.txt").read_text()
    assert record_of(folder, "unlucky") is None
    assert before == files_of(folder, "before")
    assert 0 == main(["run", str(folder / "config.yaml"), "--run-id", "again"])
    assert rows_of(folder, "before") == rows_of(folder, "again")
