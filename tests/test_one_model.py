"""`inspect` and `overlay`: what they print and write, and what they refuse."""

import json
from pathlib import Path

import keras
import numpy as np
import PIL.Image
import pytest
from matplotlib.figure import Figure

from pipeline.cli import main
from pipeline.overlays import overlays
from transforms.explain import load_engine
from transforms.explain.settings import Preprocess
from transforms.write.overlay import OverlayRow, _draw

from .builders import encode, make_image, make_transformer, save_model


def printed(capsys: pytest.CaptureFixture[str], *arguments: object, status: int = 0) -> list[str]:
    assert status == main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return (out if status == 0 else err).splitlines()


def test_inspect_lists_what_could_be_explained(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logits = load_engine(str(tiny_model), batch_size=1).logits_tensor

    assert [
        "cut layer      last",
        "map size       4x4",
        f"logits tensor  {logits}",
        "head           softmax: one class of many; the logits stand before it",
        "classes        3",
        "input size     16x16",
        "candidates     last 4x4x6",
        "               middle 8x8x4",
        "               norm 8x8x4",
        "               first 8x8x4",
        "               rescaling 16x16x3",
    ] == printed(capsys, "inspect", tiny_model)


def test_inspect_as_json(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = {"rescaling": [16, 16, 3], "first": [8, 8, 4], "norm": [8, 8, 4]}

    assert {
        "model": str(tiny_model),
        "target_layer": "last",
        "map_size": [4, 4],
        "separates": True,
        "behind": 1,
        "logits_tensor": load_engine(str(tiny_model), batch_size=1).logits_tensor,
        "head": "softmax",
        "classes": 3,
        "input_size": [16, 16],
        "layers": [{"name": "last", "map_size": [4, 4], "separates": True}],
        "candidates": {**first, "middle": [8, 8, 4], "last": [4, 4, 6]},
    } == json.loads("\n".join(printed(capsys, "inspect", "--json", tiny_model)))


@pytest.mark.parametrize("exported", [False, True])
def test_inspect_says_where_the_cut_does_not_separate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], exported: bool
) -> None:
    model = make_transformer()
    path = tmp_path / ("m" if exported else "m.keras")
    model.export(path, verbose=False) if exported else model.save(path)
    lines = printed(capsys, "inspect", path)

    assert "map size       4x4" in lines
    assert "note           the logits also see the image past the cut layer" in lines


@pytest.mark.parametrize(
    ("activation", "classes", "head"),
    [
        ("sigmoid", 3, "sigmoid: each class for itself; the logits stand before it"),
        (None, 3, "linear: the output itself"),
        (
            "sigmoid",
            1,
            "binary: one logit, read as two classes: 0 where it is negative, 1 where it is positive",
        ),
    ],
)
def test_inspect_names_the_head(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], activation: str | None, classes: int, head: str
) -> None:
    path = save_model(tmp_path / "m.keras", activation=activation, classes=classes)

    assert f"head           {head}" in printed(capsys, "inspect", path)


def test_inspect_takes_what_a_config_says_of_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layers = keras.layers
    photo, age = keras.Input((None, None, 3), name="photo"), keras.Input((1,), name="age")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, strides=2, name="last")(photo)) * age
    outputs = {"large": layers.Dense(5)(x), "small": layers.Dense(2)(x)}
    keras.Model([photo, age], outputs).save(tmp_path / "m.keras")
    flags = ["--size", 9, 13, "--input", "age=3", "--model-output", "large", "--target-layer", "last"]

    assert ["cut layer      last", "map size       4x6"] == printed(
        capsys, "inspect", tmp_path / "m.keras", *flags
    )[:2]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(encode(make_image(width=32, height=24)))
    return path


def test_overlay_writes_one_picture_for_photos_classes_and_methods(
    tmp_path: Path, tiny_model: Path, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "labels.txt").write_text("cat\ndog\nwolf\n")
    other = tmp_path / "other.png"
    other.write_bytes(encode(make_image(seed=1)))
    out = tmp_path / "o.png"
    lines = printed(
        capsys,
        *("overlay", tiny_model, photo, other, "--methods", "all", "--labels", tmp_path / "labels.txt"),
        *("--class", "wolf", "--class", 0, "--out", out),
    )

    assert f"{out}: 4 x 11 heatmaps" == lines[-1]
    assert ["photo.png, wolf", "photo.png, cat", "other.png, wolf", "other.png, cat"] == [
        line.rsplit(" ", 1)[0] for line in lines[:-1]
    ]
    with PIL.Image.open(out) as picture:
        assert "PNG" == picture.format
        # The twelve pictures of a row stand in two lines of six.
        assert picture.width > picture.height / 4


def test_overlay_shows_the_most_likely_classes_by_default(
    tmp_path: Path, tiny_model: Path, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed(capsys, "overlay", tiny_model, photo, "--top", 3, "--out", tmp_path / "o.png")
    probabilities = [float(line.rsplit(" ", 1)[1]) for line in lines[:-1]]

    assert sorted(probabilities, reverse=True) == probabilities
    assert 3 == len(probabilities)


def test_heat_is_drawn_where_the_model_saw_it() -> None:
    """The view shows the right half of the photo only, and so does the heat."""
    row = OverlayRow(
        np.zeros((20, 40, 3), np.uint8),
        "t",
        {"gradcam": np.float32([[0, 3], [1, 2]])},
        (20.0, 0.0, 40.0, 20.0),
    )
    cell = Figure().subplots()
    _draw(cell, row, "gradcam", 0.4, "magma")
    photo, heat = cell.images

    assert ([0, 40, 20, 0], [20, 40, 20, 0]) == (list(photo.get_extent()), list(heat.get_extent()))
    assert ((0, 40), (20, 0)) == (cell.get_xlim(), cell.get_ylim())
    assert (0.4, (0, 3), "magma") == (heat.get_alpha(), heat.get_clim(), heat.get_cmap().name)
    np.testing.assert_array_equal([[0, 3], [1, 2]], heat.get_array())


def test_rows_of_a_letterboxed_photo_reach_beyond_it(tiny_model: Path, photo: Path) -> None:
    engine = load_engine(str(tiny_model), batch_size=1, target_layer=("last", "middle"))
    rows = overlays(
        engine,
        Preprocess(resize="letterbox"),
        {str(photo): photo.read_bytes()},
        methods=["gradcam"],
        classes=["1"],
        top=1,
        labels=[],
    )

    # 32x24 pixels in a view of 16x16: two pixels of padding above and below.
    assert [(0.0, -4.0, 32.0, 28.0)] * 2 == [row.extent for row in rows]
    assert ["last", "middle"] == [row.title.rsplit("\n", 1)[1] for row in rows]
    assert [(4, 4), (8, 8)] == [row.heatmaps["gradcam"].shape for row in rows]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--methods", "gradcam,hirecam"],
            "--methods: 'hirecam' is unknown (did you mean 'hirescam'?); methods: cam, gradcam, gradcam++, "
            "hirescam, xgradcam, layercam, eigencam, scorecam, ablationcam, guided_backprop, guided_gradcam",
        ),
        (["--class", "3"], "--class '3' is no class of the model, which has the classes 0 to 2"),
        (
            ["--class", "1", "--top", "2"],
            "--class and --top both say which classes to explain; give one of them",
        ),
        (
            ["--colormap", "jett"],
            "--colormap 'jett' is none of Matplotlib's (did you mean 'jet'?); such as viridis, magma, jet",
        ),
        (["--preprocess", "{scale: [0]}"], "--preprocess.scale.1 is [0]: Field required"),
        (["--preprocess", "{scal"], "--preprocess '{scal' is no YAML mapping"),
        (
            ["--labels", "none.txt"],
            "--labels 'none.txt' cannot be read: [Errno 2] No such file or directory: 'none.txt'",
        ),
        (
            ["--out", "none/o.png"],
            "--out 'none/o.png' cannot be written: [Errno 2] No such file or directory: 'none/o.png'",
        ),
    ],
)
def test_overlay_refuses(
    tiny_model: Path, photo: Path, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    assert [f"error: {message}"] == printed(capsys, "overlay", tiny_model, photo, *flags, status=2)


def test_a_photo_that_cannot_be_read_or_decoded(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.png").write_bytes(b"no photo")
    missing, bad = tmp_path / "none.png", tmp_path / "bad.png"

    assert [f"error: image '{missing}' cannot be read: No such file or directory"] == printed(
        capsys, "overlay", tiny_model, missing, status=2
    )
    assert [f"error: image '{bad}' cannot be decoded: 8 bytes, cannot identify image file"] == printed(
        capsys, "overlay", tiny_model, bad, status=2
    )
