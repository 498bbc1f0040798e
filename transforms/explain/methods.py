"""CAM formulas: one function each, from activations and gradients at the cut to a heatmap.

Every function takes the activations A and the gradients g of the target's logit with respect to them,
both of shape (N, h, w, C), and returns the map before the final ReLU, shape (N, h, w). None mixes images
of a batch. To add a method, write its function and register it in `METHODS`.
"""

from collections.abc import Callable

import tensorflow as tf


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


def _weighted(activations: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Sum over channels of A_k w_k, for weights of shape (N, C)."""
    return tf.einsum("nhwc,nc->nhw", activations, weights)


METHODS: dict[str, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]] = {
    "gradcam": gradcam,
    "gradcam++": gradcam_plus_plus,
    "hirescam": hirescam,
    "xgradcam": xgradcam,
    "layercam": layercam,
    "eigencam": eigencam,
}
