"""Score-CAM and Ablation-CAM against loops that mask and ablate one channel at a time."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from transforms.explain import load_engine
from transforms.explain.methods import ablationcam, scorecam
from transforms.explain.perturb import _most_varied

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
METHODS = ("scorecam", "ablationcam")


def parts(path: Path) -> tuple[keras.Model, keras.Model]:
    """A saved model without its softmax: image -> logits, and image -> activations of `last`."""
    model = keras.models.load_model(path, compile=False)
    model.get_layer("scores").activation = None
    whole = keras.Model(model.inputs[0], model.outputs[0])
    return whole, keras.Model(model.inputs[0], model.get_layer("last").output)


def brute_scorecam(path: Path, image: NDArray[np.uint8], target: int) -> NDArray[np.float32]:
    whole, trunk = parts(path)
    pixels = image[None].astype(np.float32)
    activations = trunk(pixels).numpy()[0]
    scores = []
    for channel in range(activations.shape[-1]):
        mask = tf.image.resize(activations[..., channel, None], (16, 16)).numpy()
        spread = mask.max() - mask.min()
        mask = (mask - mask.min()) / spread if spread else 0 * mask
        scores.append(whole(pixels * mask).numpy()[0, target])
    weights = np.exp(np.array(scores) - max(scores))
    return np.maximum(activations @ (weights / weights.sum()), 0)


def head_of(path: Path) -> keras.Model:
    """From the activations of `last` to the logits."""
    model = keras.models.load_model(path, compile=False)
    model.get_layer("scores").activation = None
    after = model.layers[[layer.name for layer in model.layers].index("last") + 1 :]
    x = inputs = keras.Input(model.get_layer("last").output.shape[1:])
    for layer in after:
        x = layer(x)
    return keras.Model(inputs, x)


def brute_ablationcam(path: Path, image: NDArray[np.uint8], target: int) -> NDArray[np.float32]:
    _, trunk = parts(path)
    head = head_of(path)
    activations = trunk(image[None].astype(np.float32)).numpy()
    logit = head(activations).numpy()[0, target]
    found = np.zeros(activations.shape[1:3])
    for channel in range(activations.shape[-1]):
        without = activations.copy()
        without[..., channel] = 0
        found += (logit - head(without).numpy()[0, target]) / abs(logit) * activations[0, ..., channel]
    return np.maximum(found, 0)


@pytest.mark.parametrize("fixture", ["tiny_model", "flat_model"])
def test_both_equal_a_loop_over_channels(fixture: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(fixture)
    # Six channels in batches of four: the second batch is padded.
    found = load_engine(str(path), METHODS, batch_size=4)(IMAGES, np.int32([[0, 2], [1, -3]])).heatmaps
    for row, column, target in ((0, 0, 0), (0, 1, 2), (1, 0, 1)):
        for method, brute in (("scorecam", brute_scorecam), ("ablationcam", brute_ablationcam)):
            expected = brute(path, IMAGES[row], target)

            assert expected.max() > 0
            np.testing.assert_allclose(found[method][row, column], expected, atol=1e-4 * expected.max())
    for method in METHODS:
        assert not found[method][1, 1].any()


def test_on_a_linear_head_one_backward_pass_gives_the_ablation_weights(tiny_model: Path) -> None:
    """Y - y_k is sum_ij g_k A_k there, so Ablation-CAM is that over |y|."""
    found = load_engine(str(tiny_model), ("ablationcam",), batch_size=4)(IMAGES, np.int32([[0], [0]]))
    model = keras.models.load_model(tiny_model, compile=False)
    kernel, _ = model.get_layer("scores").get_weights()
    activations = parts(tiny_model)[1](IMAGES.astype(np.float32)).numpy()
    drops = activations.mean(axis=(1, 2)) * kernel[:, 0]
    weights = drops / np.abs(found.logits[:, :1])
    expected = np.maximum(np.einsum("nhwk,nk->nhw", activations, weights), 0)

    np.testing.assert_allclose(found.heatmaps["ablationcam"][:, 0], expected, atol=1e-5)


def test_layers_in_a_model_that_they_do_not_cut_in_two(tmp_path: Path) -> None:
    """The head also reads the mean colour: ablating needs the image beside the activations."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(3, 3, strides=2, activation="relu", name="last")(inputs)
    pooled = layers.GlobalAveragePooling2D()
    x = layers.Concatenate()([pooled(x), layers.GlobalAveragePooling2D()(inputs)])
    model = keras.Model(inputs, layers.Dense(2, name="scores")(x))
    model.save(tmp_path / "m.keras")
    engine = load_engine(str(tmp_path / "m.keras"), ("ablationcam",), batch_size=2)
    found = engine(IMAGES, np.int32([[0], [0]]))
    kernel, _ = model.get_layer("scores").get_weights()
    activations = keras.Model(inputs, model.get_layer("last").output)(IMAGES.astype(np.float32)).numpy()
    weights = activations.mean(axis=(1, 2)) * kernel[:3, 0] / np.abs(found.logits[:, :1])

    assert {"last": False} == engine.separates
    expected = np.maximum(np.einsum("nhwk,nk->nhw", activations, weights), 0)
    np.testing.assert_allclose(found.heatmaps["ablationcam"][:, 0], expected, atol=1e-4 * expected.max())


def test_a_budget_tries_the_channels_that_vary_most(tiny_model: Path) -> None:
    activations = np.zeros((2, 2, 4), np.float32)
    activations[0, 0] = [1, 5, 3, 5]

    assert [1, 3] == list(_most_varied(activations, 2))
    assert [0, 1, 2, 3] == list(_most_varied(activations, 9))
    two = load_engine(str(tiny_model), METHODS, batch_size=4, channel_budget=2)
    every = load_engine(str(tiny_model), METHODS, batch_size=4, channel_budget=6)
    targets = np.int32([[0], [0]])
    for method in METHODS:
        some, full = two(IMAGES, targets).heatmaps[method], every(IMAGES, targets).heatmaps[method]
        assert not np.allclose(some, full)


def test_the_baseline_of_score_cam_changes_nothing() -> None:
    random = np.random.default_rng(0)
    activations = tf.constant(random.random((2, 3, 3, 5), np.float32))
    scores = tf.constant(random.normal(size=(2, 5)).astype(np.float32))

    np.testing.assert_allclose(scorecam(activations, scores), scorecam(activations, scores - 7), rtol=1e-4)


def test_a_negative_logit_does_not_turn_ablation_cam_inside_out() -> None:
    activations = tf.constant(np.float32([[[[1, 0], [0, 2]]]]))
    # Without channel 0 the logit falls by 1, without channel 1 it rises by 2.
    of_positive = ablationcam(activations, tf.constant([4.0]), tf.constant([[3.0, 6.0]]))
    of_negative = ablationcam(activations, tf.constant([-4.0]), tf.constant([[-5.0, -2.0]]))

    np.testing.assert_array_equal([[[1 / 4, -2 * 2 / 4]]], of_positive)
    np.testing.assert_array_equal(of_positive, of_negative)


def test_negative_polarity_asks_what_speaks_against_the_class(tiny_model: Path) -> None:
    """On a linear head the maps of the two signs are the two halves of one signed map."""
    targets = np.int32([[0], [1]])
    methods = ("gradcam", "hirescam", "ablationcam")
    plus, minus = (
        load_engine(str(tiny_model), methods, batch_size=2, polarity=sign)(IMAGES, targets)
        for sign in ("positive", "negative")
    )

    np.testing.assert_allclose(plus.logits, minus.logits, rtol=1e-6)
    for method in methods:
        assert plus.heatmaps[method].any()
        assert minus.heatmaps[method].any()
        assert not (plus.heatmaps[method] * minus.heatmaps[method]).any()


def test_a_halved_batch_is_that_of_the_channels_too(tiny_model: Path) -> None:
    """Score-CAM's passes are as large as the engine's, and shrink with them."""
    engine = load_engine(str(tiny_model), METHODS, batch_size=4)
    targets = np.int32([[0], [1]])
    expected = engine(IMAGES, targets).heatmaps
    engine._halve(4)
    found = engine(IMAGES, targets).heatmaps

    assert 2 == engine._perturbation._batch
    for method in METHODS:
        np.testing.assert_allclose(found[method], expected[method], atol=1e-5 * expected[method].max())
