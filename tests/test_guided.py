"""Guided backpropagation against a tape whose ReLUs are guided by hand, and Guided Grad-CAM."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from transforms.errors import ModelError
from transforms.explain import load_engine

layers = keras.layers
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)


def network(activation: object) -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same")(inputs)
    x = layers.Activation(activation)(x)
    x = layers.Activation(activation, name="last")(layers.Conv2D(6, 3, strides=2, padding="same")(x))
    x = layers.Activation(activation)(layers.Dense(24)(layers.Flatten()(x)))
    return keras.Model(inputs, layers.Dense(3)(x))


@tf.custom_gradient
def guided_relu(x: tf.Tensor) -> object:
    y = tf.nn.relu(x)
    return y, lambda gradient: tf.where((x > 0) & (gradient > 0), gradient, 0)


@pytest.mark.parametrize("kind", ["keras", "saved model"])
def test_guided_methods_equal_a_tape_with_guided_relus(tmp_path: Path, kind: str) -> None:
    model, guided = network("relu"), network(guided_relu)
    guided.set_weights(model.get_weights())
    path = tmp_path / "m.keras"
    model.save(path)
    if kind == "saved model":
        path = tmp_path / "m"
        model.export(path, verbose=False)
    engine = load_engine(str(path), ("gradcam",), batch_size=2)
    found = engine.pixels(IMAGES, np.int32([[0, 1], [2, -3]]))
    heatmaps = engine(IMAGES, np.int32([[0, 1], [2, -3]])).heatmaps["gradcam"]
    for row, column, target in ((0, 0, 0), (0, 1, 1), (1, 0, 2)):
        image = tf.constant(IMAGES[row : row + 1], tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(image)
            logit = guided(image)[:, target]
        expected = np.abs(tape.gradient(logit, image)[0]).max(axis=-1)
        upsampled = tf.image.resize(heatmaps[row, column][..., None], (16, 16))[..., 0].numpy()

        assert expected.max() > 0
        atol = 1e-5 * expected.max()
        np.testing.assert_allclose(found["guided_backprop"][row, column], expected, atol=atol)
        np.testing.assert_allclose(
            found["guided_gradcam"][row, column], expected * upsampled, atol=atol * upsampled.max()
        )
    assert not found["guided_backprop"][1, 1].any()


def test_guiding_leaves_the_heatmaps_as_they_are(tmp_path: Path) -> None:
    """The same engine differentiates its head through plain ReLUs."""
    network("relu").save(tmp_path / "m.keras")
    engine = load_engine(str(tmp_path / "m.keras"), ("gradcam",), batch_size=2)
    targets = np.int32([[0], [1]])
    before = engine(IMAGES, targets).heatmaps["gradcam"]
    engine.pixels(IMAGES, targets)

    np.testing.assert_array_equal(before, engine(IMAGES, targets).heatmaps["gradcam"])


def test_a_model_without_relu_is_refused(tmp_path: Path) -> None:
    network("tanh").save(tmp_path / "m.keras")
    with pytest.raises(ModelError) as caught:
        load_engine(str(tmp_path / "m.keras")).pixels(IMAGES, np.int32([[0], [0]]))

    assert "guided_backprop and guided_gradcam need ReLU activations; the model has none" == str(caught.value)
