"""CAM formulas: one function each, from activations and gradients at the cut to a heatmap.

Every function takes the activations A and the gradients g of the target's logit with respect to them,
both of shape (N, h, w, C), and returns the map before the final ReLU, shape (N, h, w). To add a method,
write its function and register it in `METHODS`.
"""

from collections.abc import Callable

import tensorflow as tf


def gradcam(activations: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    """Grad-CAM: sum_k mean_ij(g_k) A_k.

    Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
    Localization", ICCV 2017. The mean is over positions of one image, never over the batch.
    """
    weights = tf.reduce_mean(gradients, axis=(1, 2))
    return tf.einsum("nhwc,nc->nhw", activations, weights)


def hirescam(activations: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    """HiResCAM: sum_k g_k * A_k, elementwise.

    Draelos and Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional
    neural networks", 2020 (arXiv 2011.08891). Equal to Grad-CAM where the head is global average
    pooling and one linear layer; on other heads it shows only places that the logit used.
    """
    return tf.reduce_sum(activations * gradients, axis=-1)


METHODS: dict[str, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]] = {
    "gradcam": gradcam,
    "hirescam": hirescam,
}
