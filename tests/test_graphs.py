"""Copies of traced functions, differentiated: each as what it is a copy of would be."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from transforms.explain import load_engine
from transforms.explain.graphs import copied

ONE = tf.TensorSpec((1,), tf.float32)
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)


def traced(function: Callable[..., Any]) -> Any:
    return tf.function(lambda x: [function(x)], autograph=False).get_concrete_function(ONE)


def cube(x: tf.Tensor) -> tf.Tensor:
    return tf.while_loop(lambda _, i: i < 3, lambda y, i: (y * x, i + 1), (tf.ones(1), 0))[0]


@tf.function(autograph=False)
@tf.custom_gradient
def same_of_slope_seven(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    return tf.identity(x), lambda slope: 7.0 * slope


@pytest.mark.parametrize(
    ("function", "value", "slope"), [(cube, 8.0, 12.0), (same_of_slope_seven, 2.0, 7.0)], ids=["loop", "call"]
)
def test_copies_in_several_graphs_have_gradients(function: Any, value: float, slope: float) -> None:
    concrete = traced(function)
    (output,) = (tensor.op.inputs[0].name for tensor in concrete.outputs)

    def differentiated(x: tf.Tensor) -> tf.Tensor:
        (y,) = copied(concrete.graph, [output], {concrete.inputs[0].name: x})
        return tf.concat([y, *tf.gradients(y, x)], axis=0)

    for _ in range(2):
        found = traced(differentiated)
        assert [value, slope] == found(tf.constant([2.0]))[0].numpy().tolist()
    once_more = traced(
        lambda x: copied(found.graph, [found.outputs[0].op.inputs[0].name], {found.inputs[0].name: x})[0]
    )
    assert [value, slope] == once_more(tf.constant([2.0]))[0].numpy().tolist()


def recurrent(maps: tf.Tensor) -> tf.Tensor:
    """Rows of the map one after the other, in a loop of the graph."""
    rows = keras.layers.Reshape((4, 32))(maps)
    return keras.layers.SimpleRNN(5)(rows)


def grouped(maps: tf.Tensor) -> tf.Tensor:
    """Keras calls a function for a convolution in groups."""
    maps = keras.layers.Conv2D(8, 3, groups=4, padding="same")(maps)
    return keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(keras.layers.BatchNormalization()(maps)))


def saved(head: Callable[[tf.Tensor], tf.Tensor], folder: Path) -> Path:
    keras.utils.set_random_seed(1)
    pixels = keras.Input((16, 16, 3))
    maps = keras.layers.Conv2D(8, 4, strides=4, activation="relu", name="last")(pixels / 255)
    keras.Model(pixels, keras.layers.Dense(3)(head(maps))).save(folder / "m.keras")
    return folder / "m.keras"


@pytest.mark.parametrize("head", [recurrent, grouped])
def test_such_a_head_is_explained_for_several_targets_and_by_controls(head: Any, tmp_path: Path) -> None:
    engine = load_engine(str(saved(head, tmp_path)), ("hirescam",), "last", batch_size=2)
    control, program = engine.reinitialised("hirescam")

    with program.drawn("network"):
        for explained in (engine, control):
            together = explained(IMAGES, np.int32([[0, 1], [1, 2], [2, 0]])).heatmaps["hirescam"]
            for column in (0, 1):
                alone = explained(IMAGES, (np.int32([[0], [1], [2]]) + column) % 3).heatmaps["hirescam"]
                np.testing.assert_allclose(alone[:, 0], together[:, column], rtol=1e-5, atol=1e-7)
            assert together.max() > 1e-3


def test_a_recurrent_head_of_a_saved_model_is_that_of_the_file(tmp_path: Path) -> None:
    """Frozen with the loop as one operation: taken apart, it led nowhere."""
    path, targets = saved(recurrent, tmp_path), np.int32([[0], [1], [2]])
    keras.models.load_model(path, compile=False).export(tmp_path / "exported", verbose=False)
    of_file, of_folder = (
        load_engine(str(p), ("hirescam",), batch_size=2)(IMAGES, targets).heatmaps["hirescam"]
        for p in (path, tmp_path / "exported")
    )

    assert of_file.max() > 1e-3
    np.testing.assert_allclose(of_file, of_folder, rtol=1e-4, atol=1e-7)


class Standardising(tf.Module):
    """A signature that prepares its images, one after the other; so it forgets how many there are."""

    def __init__(self, model: keras.Model) -> None:
        self.model, self.values = model, model.variables

    @tf.function(input_signature=[tf.TensorSpec((None, 16, 16, 3))])
    def serve(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"scores": self.model(self.prepared(images))}

    def prepared(self, images: tf.Tensor) -> tf.Tensor:
        images = tf.cond(tf.reduce_max(images) > 1, lambda: images / 255, lambda: images)
        return tf.map_fn(tf.image.per_image_standardization, images)


def test_a_signature_that_prepares_its_images_by_loops_and_branches(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    pixels = keras.Input((16, 16, 3))
    maps = keras.layers.Conv2D(8, 4, strides=4, activation="relu", name="last")(pixels)
    pooled = keras.layers.GlobalAveragePooling2D()(maps)
    model = keras.Model(pixels, keras.layers.Dense(3)(pooled))
    module = Standardising(model)
    tf.saved_model.save(module, str(tmp_path), signatures=module.serve)
    engine = load_engine(str(tmp_path), ("gradcam",), batch_size=2)
    found = engine(IMAGES, np.int32([[0], [1], [2]]))

    prepared = module.prepared(tf.constant(IMAGES, tf.float32))
    activations = keras.Model(model.input, model.get_layer("last").output)(prepared).numpy()
    weights = model.layers[-1].kernel.numpy() / 16
    expected = np.maximum(0, np.einsum("nhwc,cn->nhw", activations, weights))
    assert engine.target_layer.endswith("last_1/Relu:0")
    np.testing.assert_allclose(model(prepared), found.logits, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(expected, found.heatmaps["gradcam"][:, 0], rtol=1e-4, atol=1e-6)
