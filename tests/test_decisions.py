"""Every exit status of `gate` and `compare` on runs of the real pipeline.

Two models that can be read off their weights tell red things from green ones: `honest` by their colour
anywhere but in the top left corner, `biased` by the colour of a tag in that corner, which all photos carry.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import yaml

from pipeline.cli import main

from .builders import encode, write_coco

Capture = pytest.CaptureFixture[str]
IMAGES, COLOURS = 160, {"red": (220, 30, 30), "green": (30, 220, 30)}


def photo(colour: tuple[int, int, int], left: int, seed: int) -> bytes:
    """Grey noise of 16x16 with a thing of 6x6 at (left, 6) and a tag of 4x4 in the corner, of one colour."""
    grey = np.random.default_rng(seed).integers(80, 170, (16, 16, 1), np.uint8)
    pixels = np.repeat(grey, 3, axis=2)
    pixels[6:12, left : left + 6] = pixels[:4, :4] = colour
    return encode(pixels)


def save_by_hand(path: Path, *, reads_corner: bool) -> None:
    """A model that adds up the red and the green in cells of 4x4: of the corner only, or of all others."""
    inputs = keras.Input((16, 16, 3))
    cells = keras.layers.Conv2D(2, 4, strides=4, activation="relu", name="cells")(inputs)
    outputs = keras.layers.Dense(2, activation="softmax", name="scores")(keras.layers.Flatten()(cells))
    model = keras.Model(inputs, outputs)
    colour = np.zeros((4, 4, 3, 2), np.float32)
    colour[:, :, 0] = [1, -1]
    colour[:, :, 1] = [-1, 1]
    corner = np.zeros((4, 4, 1, 1), np.float32)
    corner[0, 0] = 1
    read = (corner if reads_corner else 1 - corner) * np.eye(2, dtype=np.float32)
    model.get_layer("cells").set_weights([colour / 16 / 190, np.zeros(2, np.float32)])
    model.get_layer("scores").set_weights([8 * read.reshape(32, 2), np.zeros(2, np.float32)])
    model.save(path)


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where three runs wrote: `night`, `small` on 12 photos, and `broken`, which is not complete."""
    folder = tmp_path_factory.mktemp("decisions")
    names = {f"{index:03d}.png": list(COLOURS)[index % 2] for index in range(IMAGES)}
    lefts = {file: 4 + int(file[:3]) % 7 for file in names}
    images = {file: photo(COLOURS[name], lefts[file], int(file[:3])) for file, name in names.items()}
    boxes = {file: [(name, [lefts[file], 6, 6, 6])] for file, name in names.items()}
    write_coco(folder, images=images, boxes=boxes, fields={file: {"site": "A"} for file in names})
    for model in ("honest", "biased"):
        save_by_hand(folder / f"{model}.keras", reads_corner=model == "biased")
    config = {
        "name": "colours",
        "data": {
            "format": "coco",
            "images": "images",
            "annotations": "set.json",
            "class_map": {"red": 0, "green": 1},
        },
        "models": [{"name": name, "path": f"{name}.keras"} for name in ("honest", "biased")],
        "slices": ["site"],
        "output": "audits",
    }
    path = folder / "c.yaml"
    path.write_text(yaml.safe_dump(config))
    assert 0 == main(["run", str(path), "--run-id", "night"])
    assert 0 == main(["run", str(path), "--run-id", "small", "--limit", "12"])
    for file in list(names)[:5]:
        (folder / "images" / file).write_bytes(b"garbage")
    assert 3 == main(["run", str(path), "--run-id", "broken"])
    return folder / "audits"


def answer(capsys: Capture, *arguments: str) -> tuple[int, str]:
    capsys.readouterr()
    status = main(arguments)
    out, err = capsys.readouterr()
    return status, (out or err).splitlines()[-1]


@pytest.mark.parametrize(
    ("flags", "status", "line"),
    [
        (["--run-id", "night:honest"], 0, "run night passes: nothing confirmed or hidden"),
        (["--run-id", "night"], 1, "run night fails: biased: green confirmed, biased: red confirmed"),
        (["--run-id", "night:other"], 2, "error: run night has no model 'other'"),
        ([], 3, "see the table dead_letters"),
        (["--run-id", "small"], 4, "run small is inconclusive: not enough evidence on honest, biased"),
    ],
)
def test_every_exit_status_of_the_gate(
    output: Path, capsys: Capture, flags: Sequence[str], status: int, line: str
) -> None:
    found = answer(capsys, "gate", str(output), *flags)

    assert status == found[0]
    assert found[1].endswith(line)


@pytest.mark.parametrize(
    ("baseline", "candidate", "status", "line"),
    [
        (
            "night:honest",
            "night:honest",
            0,
            "night:honest is no worse than night:honest: density share the same within 0.1, "
            "swap gap the same within 0.1",
        ),
        (
            "night:biased",
            "night:honest",
            0,
            "night:honest is no worse than night:biased: density share better, swap gap better",
        ),
        (
            "night",
            "night:biased",
            2,
            "error: run night has 2 models; say night:honest or night:biased",
        ),
        (
            "night:honest",
            "small:honest",
            2,
            "error: night:honest and small:honest cannot be compared: limit None against 12; "
            "--allow-different compares the images that both have nevertheless",
        ),
        (
            "broken:honest",
            "night:honest",
            3,
            "see the table dead_letters",
        ),
        (
            "small:honest",
            "small:biased",
            4,
            "small:biased is inconclusive against small:honest: too few images or too much spread for a "
            "margin of 0.1",
        ),
    ],
)
def test_every_exit_status_of_a_comparison(
    output: Path, capsys: Capture, baseline: str, candidate: str, status: int, line: str
) -> None:
    found = answer(capsys, "compare", str(output), "--baseline", baseline, "--candidate", candidate)

    assert status == found[0]
    assert found[1].endswith(line)


def test_a_biased_candidate_is_worse_and_it_is_said_where_and_how_much(output: Path, capsys: Capture) -> None:
    flags = ["--baseline", "night:honest", "--candidate", "night:biased"]
    status, printed = answer(capsys, "compare", str(output), *flags)
    capsys.readouterr()
    main(["compare", str(output), *flags, "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    changes = {(row["measure"], row["group_name"]): row for row in found["changes"]}
    gap, share = changes["swap_gap", "red"], changes["density_share", "red"]

    assert 1 == status == found["status"]
    assert printed == f"night:biased is worse than night:honest: {found['reason']}"
    moved = f"red (swap gap {gap['baseline']:.2f} to {gap['candidate']:.2f}, "
    assert moved in printed
    asked = [row for row in found["changes"] if not (row["slice_key"] or "").startswith("image.")]
    assert {"worse"} == {row["verdict"] for row in asked}
    assert {80, 160} == {row["n"] for row in asked}
    # The tag alone decides: another background takes the class away, and no heat is left on the thing.
    assert gap["change"] > 0.9
    assert share["change"] < -0.8
    assert share["lower"] <= share["change"] <= share["upper"] < -0.5


def test_what_differs_may_be_allowed_and_is_shown(output: Path, capsys: Capture) -> None:
    flags = ["--baseline", "night:honest", "--candidate", "small:honest", "--allow-different"]
    capsys.readouterr()
    status = main(["compare", str(output), *flags])
    printed = capsys.readouterr().out.splitlines()

    assert 4 == status
    assert "allowed: limit None against 12" in printed
    assert "density share: measured by one only: 148 under the baseline, 0 under the candidate" in printed
