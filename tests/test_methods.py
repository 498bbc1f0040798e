"""CAM formulas on activations and gradients small enough to do by hand."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from transforms.explain.methods import (
    METHODS,
    eigencam,
    gradcam,
    gradcam_plus_plus,
    hirescam,
    layercam,
    maps_of,
    xgradcam,
)

# One image, 2x2 positions, two channels.
A = np.array([[[[1, 0], [2, 1]], [[3, 1], [0, 2]]]], np.float32)
# The first channel's gradients have mean 1, the second's mean -1.
G = np.array([[[[4, 0], [0, -4]], [[0, 0], [0, 0]]]], np.float32)


def test_gradcam_weighs_channels_by_their_mean_gradient() -> None:
    # 1 * A_0 - 1 * A_1
    expected = [[[1 - 0, 2 - 1], [3 - 1, 0 - 2]]]

    np.testing.assert_array_equal(expected, gradcam(tf.constant(A), tf.constant(G)))


def test_hirescam_multiplies_place_by_place() -> None:
    # 4 * 1 at the first position, -4 * 1 at the second, nothing elsewhere
    expected = [[[4, -4], [0, 0]]]

    np.testing.assert_array_equal(expected, hirescam(tf.constant(A), tf.constant(G)))


def test_both_agree_where_gradients_are_the_same_at_every_position() -> None:
    constant = np.broadcast_to(np.float32([0.5, -2]), A.shape)

    np.testing.assert_array_equal(
        gradcam(tf.constant(A), tf.constant(constant)), hirescam(tf.constant(A), tf.constant(constant))
    )


def test_layercam_leaves_out_what_speaks_against_the_class() -> None:
    # 4 * 1 at the first position; the second has a negative gradient only
    expected = [[[4, 0], [0, 0]]]

    np.testing.assert_array_equal(expected, layercam(tf.constant(A), tf.constant(G)))


def test_xgradcam_weighs_channels_by_their_share_of_the_logit() -> None:
    # Channel 0: (4 * 1) / (1 + 2 + 3 + 0); channel 1: (-4 * 1) / (0 + 1 + 1 + 2).
    expected = 4 / 6 * A[..., 0] - 4 / 4 * A[..., 1]

    np.testing.assert_allclose(xgradcam(tf.constant(A), tf.constant(G)), expected, rtol=1e-6)


def test_gradcam_plus_plus_by_hand() -> None:
    # Channel 0 sums to 6: its one positive gradient 4 weighs 4 / (2 + 6 * 4). Channel 1 has none.
    expected = 4 / 26 * A[..., 0]

    np.testing.assert_allclose(gradcam_plus_plus(tf.constant(A), tf.constant(G)), expected, rtol=1e-6)


def test_a_channel_without_activation_has_no_weight() -> None:
    nothing = np.zeros_like(A)
    for name, method in METHODS.items():
        assert not np.any(method(tf.constant(nothing), tf.constant(G))), name


def test_on_a_pooling_head_the_methods_are_functions_of_its_weights() -> None:
    """Gradients of a linear layer on global average pooling are W_k / (h w) at every position."""
    random = np.random.default_rng(0)
    activations, weights = random.random((2, 5, 6, 7)).astype(np.float32), random.normal(size=7)
    gradients = np.broadcast_to(weights / 30, activations.shape).astype(np.float32)
    means = activations.mean(axis=(1, 2))
    arguments = (tf.constant(activations), tf.constant(gradients))
    cam = np.einsum("nhwk,k->nhw", activations, weights) / 30

    np.testing.assert_allclose(gradcam(*arguments), cam, atol=1e-5)
    np.testing.assert_allclose(hirescam(*arguments), cam, atol=1e-5)
    np.testing.assert_allclose(xgradcam(*arguments), cam, atol=1e-5)
    positive = np.maximum(weights, 0)
    np.testing.assert_allclose(
        layercam(*arguments), np.einsum("nhwk,k->nhw", activations, positive) / 30, atol=1e-5
    )
    np.testing.assert_allclose(
        gradcam_plus_plus(*arguments),
        np.einsum("nhwk,nk->nhw", activations, positive / (2 + means * weights)),
        rtol=1e-4,
    )


def test_where_the_head_averages_hirescam_is_gradcam_to_the_last_digit() -> None:
    methods = ("hirescam", "layercam", "gradcam")
    for averaged, formulas in ((True, (gradcam, layercam, gradcam)), (False, (hirescam, layercam, gradcam))):
        found = maps_of(methods, tf.constant(A), tf.constant(G), averaged)
        for formula, values in zip(formulas, found, strict=True):
            np.testing.assert_array_equal(formula(tf.constant(A), tf.constant(G)), values)


@pytest.mark.parametrize("shape", [(3, 4, 20), (3, 4, 5)], ids=["few positions", "few channels"])
def test_eigencam_is_the_first_singular_direction(shape: tuple[int, int, int]) -> None:
    activations = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    found = eigencam(tf.constant(activations), tf.constant(activations)).numpy()
    for image, heatmap in zip(activations, found, strict=True):
        matrix = image.reshape(-1, shape[-1])
        expected = matrix @ np.linalg.svd(matrix)[2][0]
        expected *= np.sign(expected[np.abs(expected).argmax()])

        np.testing.assert_allclose(heatmap.ravel(), expected, atol=1e-4)


def test_eigencam_of_an_image_that_is_not_finite_harms_no_other() -> None:
    activations = np.random.default_rng(0).random((2, 3, 3, 20), np.float32)
    healthy = eigencam(tf.constant(activations), tf.constant(activations))[1]
    activations[0, 1, 1, 3] = np.nan
    found = eigencam(tf.constant(activations), tf.constant(activations)).numpy()

    assert np.isnan(found[0]).all()
    np.testing.assert_allclose(found[1], healthy, atol=1e-5)


@pytest.mark.parametrize("net", ["gap", "mlp"])
def test_methods_equal_two_pytorch_libraries(real_data: Path, net: str) -> None:
    """Raw maps of two tiny nets, as pytorch-grad-cam's formulas and torch-cam give them.

    Grad-CAM++ is not compared: the libraries deviate from the paper, each in its own way.
    """
    oracle = np.load(real_data / "oracles/cam_oracles.npz")
    activations = tf.constant(oracle[f"{net}/A"].transpose(0, 2, 3, 1))
    gradients = tf.constant(oracle[f"{net}/dYdA"].transpose(0, 2, 3, 1))
    for name in ("gradcam", "hirescam", "xgradcam", "layercam"):
        found = np.maximum(METHODS[name](activations, gradients), 0)

        np.testing.assert_allclose(found, np.maximum(oracle[f"{net}/raw/{name}"], 0), atol=1e-6, err_msg=name)
        if name != "hirescam":
            other = oracle[f"{net}/torchcam_unnormalised_6x6/{name}"]
            np.testing.assert_allclose(found, np.maximum(other, 0), atol=1e-6, err_msg=name)


def test_no_method_mixes_images_of_a_batch() -> None:
    random = np.random.default_rng(0)
    activations, gradients = random.random((2, 3, 4, 5, 6), np.float32)
    for name, method in METHODS.items():
        together = method(tf.constant(activations), tf.constant(gradients)).numpy()
        alone = [
            method(tf.constant(activations[i : i + 1]), tf.constant(gradients[i : i + 1])) for i in range(3)
        ]

        np.testing.assert_allclose(np.concatenate(alone), together, rtol=1e-5, atol=1e-6, err_msg=name)
