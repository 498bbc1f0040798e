"""What any right Grad-CAM must give: maps worked out by hand, and laws that they obey.

Numbered in the literature of CAM libraries as oracles; the formulas alone are tested in test_methods.py.
"""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from transforms.explain import load_engine

from .builders import save_model
from .test_engine import METHODS, assert_close, column, images_of


def test_gradcam_and_hirescam_agree_on_a_pooling_head_and_differ_on_a_flat_one(
    tiny_model: Path, flat_model: Path
) -> None:
    images, targets = images_of(4), column(0, 1, 2, 0)
    pooled = load_engine(str(tiny_model), METHODS, batch_size=4)(images, targets).heatmaps
    flat = load_engine(str(flat_model), METHODS, batch_size=4)(images, targets).heatmaps

    assert_close(pooled["gradcam"], pooled["hirescam"])
    assert np.abs(flat["gradcam"] - flat["hirescam"]).max() > 0.1 * flat["hirescam"].max()


def test_hirescam_adds_up_to_the_logit_without_its_bias(tmp_path: Path) -> None:
    """Completeness of a linear head; without the ReLU the heatmap would sum to logit minus bias."""
    path = save_model(tmp_path / "m.keras")
    model = keras.models.load_model(path, compile=False)
    kernel, _ = model.get_layer("scores").get_weights()
    model.get_layer("scores").set_weights([np.abs(kernel), np.float32([0.25, -0.5, 4])])
    model.save(path)
    found = load_engine(str(path), ("hirescam",), batch_size=2)(images_of(2), column(0, 1))
    sums = found.heatmaps["hirescam"].sum(axis=(1, 2, 3))

    np.testing.assert_allclose(sums, found.logits[[0, 1], [0, 1]] - [0.25, -0.5], rtol=1e-5)


def test_hand_set_weights_give_the_map_worked_out_by_hand(tmp_path: Path) -> None:
    inputs = keras.Input((2, 2, 3))
    x = keras.layers.Conv2D(2, 1, use_bias=False, activation="relu", name="last")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax", name="scores")(x))
    # Channel 0 takes red, channel 1 takes green.
    model.get_layer("last").set_weights([np.float32([[[[1, 0], [0, 1], [0, 0]]]])])
    # Class 0 wants red and not green, class 1 the other way round.
    model.get_layer("scores").set_weights([np.float32([[2, -1], [-4, 8]]), np.float32([0, 100])])
    model.save(tmp_path / "m.keras")
    red = [[8, 0], [4, 2]]
    green = [[0, 4], [1, 1]]
    image = np.stack([red, green, np.zeros((2, 2))], axis=-1).astype(np.uint8)[None]
    found = load_engine(str(tmp_path / "m.keras"), METHODS, batch_size=1)(image, np.int32([[0, 1]]))

    # A quarter of (2 red - 4 green), and of (8 green - red), cut off at zero.
    expected = np.float32([[[[4, 0], [1, 0]], [[0, 8], [1, 1.5]]]])
    np.testing.assert_array_equal(expected, found.heatmaps["gradcam"])
    np.testing.assert_array_equal(expected, found.heatmaps["hirescam"])
    # Means: red 3.5, green 1.5.
    np.testing.assert_array_equal([[2 * 3.5 - 4 * 1.5, -3.5 + 8 * 1.5 + 100]], found.logits)


def test_a_saturated_softmax_changes_no_map(tmp_path: Path) -> None:
    """At a margin of 100 the probability's gradient is exactly zero in float32; the logit's is not."""
    path = save_model(tmp_path / "m.keras")
    images = images_of(3)
    before = load_engine(str(path), batch_size=4)(images, column(0, 0, 0))
    model = keras.models.load_model(path, compile=False)
    kernel, bias = model.get_layer("scores").get_weights()
    model.get_layer("scores").set_weights([kernel, bias + np.float32([100, 0, 0])])
    model.save(path)
    after = load_engine(str(path), batch_size=4)(images, column(0, 0, 0))

    np.testing.assert_array_equal(before.heatmaps["gradcam"], after.heatmaps["gradcam"])


def test_targets_scale_and_add_up(tmp_path: Path) -> None:
    """The map is linear in the logit: scaling a class's weights scales it, the bias does nothing."""
    path = save_model(tmp_path / "m.keras", activation=None)
    images = images_of(2)
    before = load_engine(str(path), METHODS, batch_size=2)(images, column(0, 0)).heatmaps
    model = keras.models.load_model(path, compile=False)
    kernel, bias = model.get_layer("scores").get_weights()
    model.get_layer("scores").set_weights([kernel * np.float32([3, 1, 1]), bias + 5])
    model.save(path)
    after = load_engine(str(path), METHODS, batch_size=2)(images, column(0, 0)).heatmaps

    for method in METHODS:
        assert before[method].any()
        assert_close(3 * before[method], after[method])


def test_permuting_the_batch_permutes_the_maps(tiny_model: Path) -> None:
    engine = load_engine(str(tiny_model), METHODS, batch_size=4)
    images, targets, order = images_of(4), column(0, 1, 2, 0), [2, 0, 3, 1]
    plain, permuted = engine(images, targets), engine(images[order], targets[order])

    np.testing.assert_array_equal(plain.heatmaps["hirescam"][order], permuted.heatmaps["hirescam"])


def test_captums_convolution_by_hand(tmp_path: Path) -> None:
    """After the test of Captum (`tests/attr/layer/test_grad_cam.py`): pixels 0..15, one convolution."""
    inputs = keras.Input((4, 4, 3))
    grey = inputs[..., :1]
    x = keras.layers.Conv2D(2, 3, name="last")(grey)
    x = keras.layers.ReLU()(x)
    model = keras.Model(inputs, keras.layers.Dense(2, name="scores")(keras.layers.Flatten()(x)))
    model.get_layer("last").set_weights([np.ones((3, 3, 1, 2), np.float32) / 4, np.zeros(2, np.float32)])
    model.get_layer("scores").set_weights([np.full((8, 2), 0.5, np.float32), np.zeros(2, np.float32)])
    model.save(tmp_path / "m.keras")
    image = np.repeat(np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1), 3, axis=-1)
    found = load_engine(str(tmp_path / "m.keras"), ("gradcam",), "last", batch_size=1)(image, column(0))

    # Each of the two channels is the sum of nine pixels / 4, and weighs 0.5: together the sum / 4.
    np.testing.assert_allclose(found.heatmaps["gradcam"][0, 0], [[11.25, 13.5], [20.25, 22.5]], rtol=1e-6)


def test_pairs_line_detector_by_hand(tmp_path: Path) -> None:
    """After the test of PAIR's saliency (`core/grad_cam_test.py`): a filter finds two horizontal lines."""
    inputs = keras.Input((5, 5, 3))
    x = keras.layers.Conv2D(2, 3, padding="same", name="last")(inputs[..., :1])
    model = keras.Model(inputs, keras.layers.Dense(2, name="scores")(keras.layers.Flatten()(x)))
    detector = np.repeat(np.float32([[-1], [2], [-1]]), 3, axis=1)[:, :, None, None]
    both = np.concatenate([detector, detector], axis=-1)
    model.get_layer("last").set_weights([both, np.zeros(2, np.float32)])
    model.get_layer("scores").set_weights([np.ones((50, 2), np.float32), np.zeros(2, np.float32)])
    model.save(tmp_path / "m.keras")
    image = np.zeros((1, 5, 5, 3), np.uint8)
    image[0, [1, 3], 1:4] = 60
    found = load_engine(str(tmp_path / "m.keras"), ("gradcam",), "last", batch_size=1)(image, column(0))

    line, nothing = [1 / 3, 2 / 3, 1, 2 / 3, 1 / 3], [0] * 5
    heatmap = found.heatmaps["gradcam"][0, 0]
    np.testing.assert_allclose(heatmap / heatmap.max(), [nothing, line, nothing, line, nothing], rtol=1e-6)


def test_gradients_equal_finite_differences_of_the_head(flat_model: Path) -> None:
    """The head in float64 NumPy, moved a little at every activation of the cut."""
    model = keras.models.load_model(flat_model, compile=False)
    (first, shift), (second, bias) = (la.get_weights() for la in model.layers if hasattr(la, "units"))
    engine = load_engine(str(flat_model), batch_size=1)
    activations, gradients = (
        tensor.numpy()[0] for tensor in engine._at_the_cut(tf.constant(images_of(1)), tf.constant([1]))
    )

    def logit(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((np.maximum(values @ first + shift, 0) @ second + bias)[..., 1], np.float64)

    flat = activations.astype(np.float64).ravel()
    steps = 1e-6 * np.eye(flat.size)
    expected = (logit(flat + steps) - logit(flat - steps)) / 2e-6

    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(gradients.ravel(), expected, atol=1e-5 * np.abs(expected).max())
