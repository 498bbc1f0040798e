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


@pytest.mark.parametrize("head", [recurrent, grouped])
def test_such_a_head_is_explained_for_several_targets_and_by_controls(head: Any, tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    pixels = keras.Input((16, 16, 3))
    maps = keras.layers.Conv2D(8, 4, strides=4, activation="relu", name="last")(pixels / 255)
    keras.Model(pixels, keras.layers.Dense(3)(head(maps))).save(tmp_path / "m.keras")
    engine = load_engine(str(tmp_path / "m.keras"), ("hirescam",), "last", batch_size=2)
    control, program = engine.reinitialised("hirescam")

    with program.drawn("network"):
        for explained in (engine, control):
            together = explained(IMAGES, np.int32([[0, 1], [1, 2], [2, 0]])).heatmaps["hirescam"]
            for column in (0, 1):
                alone = explained(IMAGES, (np.int32([[0], [1], [2]]) + column) % 3).heatmaps["hirescam"]
                np.testing.assert_allclose(alone[:, 0], together[:, column], rtol=1e-5, atol=1e-7)
            assert together.max() > 1e-3
