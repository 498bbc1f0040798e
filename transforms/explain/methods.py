"""CAM formulas: one function each, from what is known at the cut to a heatmap.

A gradient method takes the activations A and the gradients g of the target's logit with respect to them,
both of shape (N, h, w, C), and returns the map before the final ReLU, shape (N, h, w). None mixes images
of a batch. To add one, write its function and register it in `METHODS`.

Score-CAM and Ablation-CAM need many forward passes instead of one gradient (`perturb.py`); the guided
methods have the resolution of the image (`guided.py`).
"""

from collections.abc import Callable, Sequence

import tensorflow as tf


def cam(activations: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    """CAM: sum_k W_k A_k with the weights W of the target's class in the head.

    Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016. Defined where the head
    is global average pooling and linear layers, which the engine checks: there W_k / (h w) is the
    gradient at every position, so the sum of the gradients over positions is the weight.
    """
    return _weighted(activations, tf.reduce_sum(gradients, axis=(1, 2)))


def gradcam(activations: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    """Grad-CAM: sum_k mean_ij(g_k) A_k.

    Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
    Localization", ICCV 2017. The mean is over positions of one image, never over the batch.
    """
    return _weighted(activations, tf.reduce_mean(gradients, axis=(1, 2)))


def gradcam_plus_plus(activations: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    """Grad-CAM++: sum_k [sum_ij alpha_k relu(g_k)] A_k with alpha_k = g_k^2 / (2 g_k^2 + S_k g_k^3).

    Chattopadhay et al., "Grad-CAM++: Generalized Gradient-Based Visual Explanations for Deep
    Convolutional Networks", WACV 2018, equation 19; S_k is the sum of A_k over positions. The factor
    exp(logit) of the paper is common to all channels of an image and is left out, as it overflows. Where
    g_k is not positive the term is zero; elsewhere alpha_k is 1 / (2 + S_k g_k).
    """
    sums = tf.reduce_sum(activations, axis=(1, 2), keepdims=True)
    terms = tf.math.divide_no_nan(tf.nn.relu(gradients), 2.0 + sums * gradients)
    return _weighted(activations, tf.reduce_sum(terms, axis=(1, 2)))


def hirescam(activations: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    """HiResCAM: sum_k g_k * A_k, elementwise.

    Draelos and Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional
    neural networks", 2020 (arXiv 2011.08891). Equal to Grad-CAM where the head is global average
    pooling and one linear layer; on other heads it shows only places that the logit used.
    """
    return tf.reduce_sum(activations * gradients, axis=-1)


def xgradcam(activations: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    """XGrad-CAM: sum_k [sum_ij g_k A_k / sum_ij A_k] A_k; a channel that sums to zero has no weight.

    Fu et al., "Axiom-based Grad-CAM: Towards Accurate Visualization and Explanation of CNNs", BMVC 2020.
    """
    shares = tf.reduce_sum(activations * gradients, axis=(1, 2))
    return _weighted(activations, tf.math.divide_no_nan(shares, tf.reduce_sum(activations, axis=(1, 2))))


def layercam(activations: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    """LayerCAM: sum_k relu(g_k) * A_k, elementwise.

    Jiang et al., "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization", IEEE TIP 2021.
    """
    return tf.reduce_sum(activations * tf.nn.relu(gradients), axis=-1)


def eigencam(activations: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    """Eigen-CAM: A v with v the first right singular vector of A as a (h w) x C matrix, not centred.

    Muhammad and Yeasin, "Eigen-CAM: Class Activation Map using Principal Components", IJCNN 2020. It knows
    no class: the gradients are not used. The sign of a singular vector is arbitrary; here the larger
    extreme of the map is positive. An image with values that are not finite gets a map of NaN.
    """
    del gradients
    batch, height, width, channels = activations.shape
    finite = tf.reduce_all(tf.math.is_finite(activations), axis=(1, 2, 3))[:, None]
    matrix = tf.reshape(activations, (batch, height * width, channels))
    matrix = tf.where(finite[:, None], matrix, 0.0)  # the decomposition must not see a NaN
    if height * width <= channels:
        values, vectors = tf.linalg.eigh(tf.matmul(matrix, matrix, transpose_b=True))
        # The left singular vector times its singular value; rounding can leave the square just below 0.
        flat = vectors[..., -1] * tf.sqrt(tf.nn.relu(values[..., -1:]))
    else:
        _, vectors = tf.linalg.eigh(tf.matmul(matrix, matrix, transpose_a=True))
        flat = tf.linalg.matvec(matrix, vectors[..., -1])
    flat *= tf.where(tf.reduce_max(flat, 1, True) >= -tf.reduce_min(flat, 1, True), 1.0, -1.0)
    return tf.reshape(tf.where(finite, flat, float("nan")), (batch, height, width))


def scorecam(activations: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
    """Score-CAM: sum_k softmax_k(s_k) A_k with s_k the target's logit for the image masked by A_k.

    Wang et al., "Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural Networks", CVPR
    Workshops 2020. The mask is A_k, upsampled to the image and scaled to 0..1. The baseline that the paper
    subtracts from every s_k does not change the softmax and is left out.

    Args:
        activations: shape (N, h, w, C).
        scores: the s_k, shape (N, C).
    """
    return _weighted(activations, tf.nn.softmax(scores, axis=-1))


def ablationcam(activations: tf.Tensor, logit: tf.Tensor, ablated: tf.Tensor) -> tf.Tensor:
    """Ablation-CAM: sum_k w_k A_k with w_k = (y - y_k) / |y|, y_k the logit where A_k is set to zero.

    Desai and Ramaswamy, "Ablation-CAM: Visual Explanations for Deep Convolutional Network via
    Gradient-free Localization", WACV 2020. The paper divides by y; with |y| the map of a class with a
    negative logit is not turned inside out, and for a positive logit nothing changes.

    Args:
        activations: shape (N, h, w, C).
        logit: y, shape (N,).
        ablated: the y_k, shape (N, C).
    """
    drops = logit[:, None] - ablated
    return _weighted(activations, tf.math.divide_no_nan(drops, tf.abs(logit)[:, None]))


def guided_backprop(gradients: tf.Tensor) -> tf.Tensor:
    """Guided backpropagation: the largest of the three channels' absolute gradients, shape (N, H, W).

    Springenberg et al., "Striving for Simplicity: The All Convolutional Net", ICLR Workshops 2015.

    Args:
        gradients: of the target's logit with respect to the image, shape (N, H, W, 3), where every ReLU let
            only positive gradients through.
    """
    return tf.reduce_max(tf.abs(gradients), axis=-1)


def guided_gradcam(gradients: tf.Tensor, heatmap: tf.Tensor) -> tf.Tensor:
    """Guided Grad-CAM: guided backpropagation times the upsampled Grad-CAM heatmap, shape (N, H, W).

    Selvaraju et al., ICCV 2017, as for `gradcam`.

    Args:
        gradients: as for `guided_backprop`.
        heatmap: Grad-CAM after the ReLU, upsampled to the image, shape (N, H, W).
    """
    return guided_backprop(gradients) * heatmap


def _weighted(activations: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Sum over channels of A_k w_k, for weights of shape (N, C)."""
    return tf.einsum("nhwc,nc->nhw", activations, weights)


METHODS: dict[str, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]] = {
    "cam": cam,
    "gradcam": gradcam,
    "gradcam++": gradcam_plus_plus,
    "hirescam": hirescam,
    "xgradcam": xgradcam,
    "layercam": layercam,
    "eigencam": eigencam,
}


def maps_of(
    methods: Sequence[str], activations: tf.Tensor, gradients: tf.Tensor, averaged: bool
) -> list[tf.Tensor]:
    """The maps of several of `METHODS` before the final ReLU, in their order.

    Args:
        methods: their names.
        activations: shape (N, h, w, C).
        gradients: likewise.
        averaged: whether the head is global average pooling and linear layers. The gradient is then the same
            at every position and HiResCAM is Grad-CAM, which is given for both to the last digit, so that
            what is measured of one need not be measured again of the other.
    """
    formulas = ["gradcam" if averaged and method == "hirescam" else method for method in methods]
    maps = {formula: METHODS[formula](activations, gradients) for formula in dict.fromkeys(formulas)}
    return [maps[formula] for formula in formulas]
