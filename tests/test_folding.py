"""Traced functions made quicker against the same functions as they were, and what is left of their graphs."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from transforms.explain import folding
from transforms.explain.folding import folded
from transforms.explain.graphs import copied

IMAGES = np.random.default_rng(0).normal(size=(2, 6, 5, 3)).astype(np.float32)
VALUES = np.random.default_rng(1).uniform(0.5, 2, size=1000).astype(np.float32)


def traced(function: Callable[..., Any], *arrays: np.ndarray) -> Any:
    specs = [tf.TensorSpec(array.shape, array.dtype) for array in arrays]
    return tf.function(lambda *given: [function(*given)], autograph=False).get_concrete_function(*specs)


def operations(concrete: Any) -> Counter[str]:
    """How many operations of a kind there are but those that cost nothing."""
    free = {"Placeholder", "Const", "Identity", "ReadVariableOp", "NoOp"}
    return Counter(op.type for op in concrete.graph.get_operations() if op.type not in free)


def weights(*shape: int) -> tf.Variable:
    return tf.Variable(VALUES[: np.prod(shape)].reshape(shape))


def assert_same(concrete: Any, found: Any, *arrays: np.ndarray) -> None:
    expected = concrete(*map(tf.constant, arrays))[0]
    np.testing.assert_allclose(expected, found(*map(tf.constant, arrays))[0], rtol=1e-5, atol=1e-5)


@pytest.fixture(params=[0, 2**20], ids=["outside", "constants"])
def most_constant(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Whether what is computed of weights stays outside of the graph."""
    monkeypatch.setattr(folding, "_MOST_CONSTANT", request.param)
    return request.param


def test_by_hand(most_constant: int) -> None:
    """One pixel of one channel: ((3 x 2 + 1) x 5 - 4) x 10 = 310, which is 3 x 100 + 10."""
    two, one, five, four, ten = (tf.Variable([[[[value]]]]) for value in (2.0, 1.0, 5.0, 4.0, 10.0))

    def function(pixel: tf.Tensor) -> tf.Tensor:
        return ((tf.nn.conv2d(pixel, two, 1, "SAME") + one) * five - four) * ten

    three = np.float32([[[[3]]]])
    found = folded(traced(function, three))

    assert {"Conv2D": 1, "BiasAdd": 1} == operations(found)
    assert [[[[[310.0]]]]] == [output.numpy().tolist() for output in found(tf.constant(three))]
    outside = sorted(tensor.numpy().item() for tensor in found.captured_inputs)
    assert ([] if most_constant else [10.0, 100.0]) == outside


@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (lambda **o: keras.layers.Conv2D(4, 3, strides=2, **o), "Conv2D"),
        (lambda **o: keras.layers.Conv2D(6, (1, 2), padding="same", **o), "Conv2D"),
        (lambda **o: keras.layers.DepthwiseConv2D(3, depth_multiplier=2, **o), "DepthwiseConv2dNative"),
    ],
)
def test_batch_normalisation_goes_into_a_convolution(
    most_constant: int, layer: Any, kind: str, use_bias: bool
) -> None:
    convolution, norm = layer(use_bias=use_bias), keras.layers.BatchNormalization()
    norm(convolution(IMAGES))
    for target in (convolution, norm):
        target.set_weights([VALUES[: w.size].reshape(w.shape) for w in target.get_weights()])
    concrete = traced(lambda images: tf.nn.relu(norm(convolution(images), training=False)), IMAGES)
    found = folded(concrete)

    assert "Mul" in operations(concrete)
    assert {kind: 1, "BiasAdd": 1, "Relu": 1} == operations(found)
    assert_same(concrete, found, IMAGES)


KERNEL = weights(2, 2, 3, 5)


def convolved(images: tf.Tensor) -> tf.Tensor:
    return tf.nn.conv2d(images, KERNEL, 1, "SAME")


def twice(images: tf.Tensor) -> tf.Tensor:
    found = convolved(images)
    return found * weights_of_five + tf.nn.relu(found)


weights_of_five = weights(5)
by_column = weights(5, 1)


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(twice, id="its output is used twice"),
        pytest.param(lambda x: convolved(x) * tf.reduce_mean(x), id="the image decides the scale"),
        pytest.param(lambda x: (weights_of_five - convolved(x)) * 2.0, id="it is what is taken away"),
        pytest.param(lambda x: convolved(x) * by_column, id="the scale is of a column"),
        pytest.param(lambda x: convolved(x) + weights_of_five, id="nothing is scaled"),
        pytest.param(
            lambda x: tf.nn.conv2d(x, x[0, :2, :2, :, None], 1, "SAME") * 2.0, id="its kernel varies"
        ),
    ],
)
def test_other_convolutions_stay_what_they_are(function: Callable[..., Any]) -> None:
    concrete = traced(function, IMAGES)
    found = folded(concrete)

    assert operations(concrete) == operations(found)
    assert_same(concrete, found, IMAGES)


def test_an_output_of_the_function_is_left_alone() -> None:
    def function(images: tf.Tensor) -> list[tf.Tensor]:
        found = convolved(images)
        return [found, found * weights_of_five]

    concrete = tf.function(function, autograph=False).get_concrete_function(
        tf.TensorSpec(IMAGES.shape, tf.float32)
    )
    for expected, value in zip(
        concrete(tf.constant(IMAGES)), folded(concrete)(tf.constant(IMAGES)), strict=True
    ):
        np.testing.assert_array_equal(expected, value)


def test_a_convolution_of_which_only_a_gradient_is_left_is_folded_too() -> None:
    """Of a head with convolutions: its gradient is that of the same function."""
    norm = weights(5)

    def function(images: tf.Tensor) -> tf.Tensor:
        score = tf.reduce_sum(tf.nn.relu(convolved(images) * norm - 9.0))
        return tf.gradients(score, images)[0]

    concrete = traced(function, IMAGES)
    assert_same(concrete, folded(concrete), IMAGES)


def test_what_weights_alone_decide_is_computed_once() -> None:
    scale = weights(3)
    concrete = traced(lambda x: x * tf.sqrt(scale * 2.0 + 1.0), IMAGES)
    found = folded(concrete)

    assert {"Mul": 1} == operations(found)
    assert_same(concrete, found, IMAGES)


def test_what_is_drawn_anew_each_time_still_is() -> None:
    found = folded(traced(lambda x: x * tf.sqrt(weights_of_five[:3]) + tf.random.normal([3]), IMAGES))
    one, other = (found(tf.constant(IMAGES))[0].numpy() for _ in range(2))

    assert (one != other).all()


def test_variables_stay_outside_of_the_graph() -> None:
    """Else loading a model would copy it."""
    large = tf.Variable(np.ones((3, 2000), np.float32))
    found = folded(traced(lambda x: tf.matmul(x[:, 0, 0] * tf.sqrt(weights_of_five[:3]), large), IMAGES))

    assert any(handle is large.handle for handle in found.captured_inputs)
    assert len(found.graph.as_graph_def().SerializeToString()) < 6000


def test_a_function_without_anything_to_fold_is_handed_back() -> None:
    concrete = traced(lambda x: tf.nn.relu(x), IMAGES)

    assert concrete is folded(concrete)


def test_a_part_is_copied_from_the_middle_on() -> None:
    """Only what follows the given tensor is there, and variables are shared."""
    names: list[str] = []
    scale = tf.Variable(3.0)

    def whole(x: tf.Tensor) -> tf.Tensor:
        middle = tf.exp(x)
        names.append(middle.name)
        return tf.negative(middle) * scale

    concrete = traced(whole, IMAGES)
    tail = traced(
        lambda middle: copied(concrete.graph, [concrete.outputs[0].name], {names[0]: middle})[0], IMAGES
    )

    assert {"Neg": 1, "Mul": 1} == operations(tail)
    np.testing.assert_array_equal(-3 * IMAGES, tail(tf.constant(IMAGES))[0])
    scale.assign(1.0)
    np.testing.assert_array_equal(-IMAGES, tail(tf.constant(IMAGES))[0])


def test_what_is_given_need_not_be_copied() -> None:
    concrete = traced(lambda x: tf.exp(x), IMAGES)
    output = concrete.outputs[0].name
    same = traced(lambda x: copied(concrete.graph, [output], {output: x})[0], IMAGES)

    np.testing.assert_array_equal(IMAGES, same(tf.constant(IMAGES))[0])
