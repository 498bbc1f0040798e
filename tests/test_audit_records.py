"""Duplicates in a whole audit, and how often an image is opened."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from apache_beam.io.filesystems import FileSystems

from pipeline.config import load_config
from transforms.columns import COMPUTED_KEYS

from .audit_sets import (
    IMAGES,
    manifest_of,
    run,
    write_config,
    write_set,
)


def test_a_broken_duplicate_is_one_dead_letter(tmp_path: Path, tiny_model: Path) -> None:
    write_set(tmp_path, shards=1)
    (tmp_path / "images/00.png").write_bytes(b"broken")
    (tmp_path / "set-9.json").write_text((tmp_path / "set-0.json").read_text())
    plan = run(load_config(str(write_config(tmp_path, {"tiny": tiny_model}))))

    assert {"duplicate_id": IMAGES, "undecodable_image": 1} == manifest_of(plan)["dead_letters"]
    # The data are judged without duplicates: by metadata without images too, by looks where there are any.
    # 15 images are of no patient; the three patients show 5, 4 and 4 different sets of classes.
    records = {row["slice_key"]: row["records"] for row in manifest_of(plan)["data"]["associations"]}
    assert {"camera": 28, **dict.fromkeys(COMPUTED_KEYS[:7], 27)} == records


def test_an_image_is_loaded_once_and_again_only_where_it_is_sampled(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a store each time is a request."""
    opened: Counter[str] = Counter()
    usual = FileSystems.open

    def counting(path: str, *arguments: Any, **keys: Any) -> Any:
        opened[path] += path.endswith(".png")
        return usual(path, *arguments, **keys)

    write_set(tmp_path, shards=1)
    judge = {"min_images": 5, "confirm": False, "health_images": 3}
    path = write_config(tmp_path, {"tiny": tiny_model}, judge=judge, report={"exemplars": 0})
    monkeypatch.setattr(FileSystems, "open", counting)
    run(load_config(str(path)))

    assert Counter({1: IMAGES - 3, 2: 3}) == Counter((+opened).values())
