"""CAM formulas on activations and gradients small enough to do by hand."""

import numpy as np
import tensorflow as tf

from transforms.explain.methods import METHODS, gradcam, hirescam

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


def test_no_method_mixes_images_of_a_batch() -> None:
    random = np.random.default_rng(0)
    activations, gradients = random.random((2, 3, 4, 5, 6), np.float32)
    for name, method in METHODS.items():
        together = method(tf.constant(activations), tf.constant(gradients)).numpy()
        alone = [
            method(tf.constant(activations[i : i + 1]), tf.constant(gradients[i : i + 1])) for i in range(3)
        ]

        np.testing.assert_allclose(np.concatenate(alone), together, rtol=1e-6, err_msg=name)
