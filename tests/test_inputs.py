"""The image among a model's inputs, constants for the others, and what is refused."""

from pathlib import Path

import keras
import numpy as np
import pytest

from transforms.errors import ModelError
from transforms.explain import load_engine
from transforms.explain.engine import Engine

layers = keras.layers
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)
TARGETS = np.int32([[0], [1], [2]])


def save_network(path: Path) -> keras.Model:
    """An image, a number and a row of four numbers; the numbers scale and shift the features."""
    keras.utils.set_random_seed(0)
    photo = keras.Input((16, 16, 3), name="photo")
    age, place = keras.Input((1,), name="age"), keras.Input((4,), name="place")
    x = layers.Conv2D(4, 3, strides=2, activation="relu", name="last")(photo)
    x = layers.GlobalAveragePooling2D()(x) * age + place
    model = keras.Model({"photo": photo, "age": age, "place": place}, layers.Dense(3)(x))
    model.save(path)
    return model


def engine_of(path: Path, **inputs: object) -> Engine:
    return load_engine(str(path), ("hirescam",), batch_size=4, inputs=inputs)


@pytest.mark.parametrize("kind", ["keras", "saved model"])
def test_constants_reach_the_other_inputs(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "m.keras"
    model = save_network(path)
    if kind == "saved model":
        path = tmp_path / "m"
        model.export(path, verbose=False)
    engine = engine_of(path, age=2, place=[1, 2, 3, 4])
    found = engine(IMAGES, TARGETS)
    given = {
        "photo": IMAGES.astype(np.float32),
        "age": np.full((3, 1), 2, np.float32),
        "place": np.tile(np.float32([1, 2, 3, 4]), (3, 1)),
    }

    np.testing.assert_allclose(found.logits, model(given).numpy(), rtol=1e-4, atol=1e-4)
    doubled = engine_of(path, age=4, place=0)(IMAGES, TARGETS)
    # The gradient at the cut is proportional to age.
    np.testing.assert_allclose(doubled.heatmaps["hirescam"], 2 * found.heatmaps["hirescam"], rtol=1e-4)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (
            {"age": 1},
            "the model takes 3 inputs: age (None, 1), photo (None, 16, 16, 3), place (None, 4); "
            "give each but the image a constant value under inputs",
        ),
        (
            {"agee": 1, "place": 0},
            "inputs: 'agee' is none of the model's inputs (did you mean 'age'?): "
            "age (None, 1), photo (None, 16, 16, 3), place (None, 4)",
        ),
        ({"age": 1, "place": [1, 2, 3]}, "inputs: the value of 'place' has shape (3,) and does not fit (4,)"),
        ({"age": "old", "place": 0}, "inputs: the value of 'age' has shape () and does not fit (1,)"),
        (
            {"photo": 0, "place": 0},
            "the model takes an input of shape (None, 1); one of (N, H, W, 3) or (N, 3, H, W) is needed",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_refused(tmp_path: Path, inputs: dict[str, object], message: str) -> None:
    save_network(tmp_path / "m.keras")
    with pytest.raises(ModelError) as caught:
        engine_of(tmp_path / "m.keras", **inputs)

    assert message == str(caught.value)
