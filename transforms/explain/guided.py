"""Guided backpropagation: gradients with respect to the image, of which ReLUs let only positive ones pass.

A picture of the pixel's edges, for overlays; it is hardly sensitive to the class and to the weights
(Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018), so no table and no verdict uses it.
"""

from typing import Any

import tensorflow as tf
from tensorflow.core.framework.attr_value_pb2 import AttrValue

from transforms.errors import ModelError
from transforms.explain.program import Program

_RELUS = {"Relu": "GuidedRelu", "Relu6": "GuidedRelu6"}


@tf.RegisterGradient("GuidedRelu")  # type: ignore[untyped-decorator]
def _guided_relu(op: tf.Operation, gradient: tf.Tensor) -> tf.Tensor:
    return tf.where(op.outputs[0] > 0, tf.nn.relu(gradient), 0)


@tf.RegisterGradient("GuidedRelu6")  # type: ignore[untyped-decorator]
def _guided_relu6(op: tf.Operation, gradient: tf.Tensor) -> tf.Tensor:
    return tf.where((op.outputs[0] > 0) & (op.outputs[0] < 6), tf.nn.relu(gradient), 0)


def guided_gradients(program: Program, batch_size: int) -> Any:
    """Compiles guided backpropagation.

    Returns:
        A function of images, uint8 (batch_size, H, W, 3), and targets, int32 (batch_size,), to the
        gradients of each target's logit, float32 (batch_size, H, W, 3), in units of the model's input.

    Raises:
        ModelError: the model has no ReLU, which the method is made of.
    """

    def guided(images: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        values = program.normalised(images)
        anatomy = program.dissect(values)
        relus = [op for op in values.graph.get_operations() if op.type in _RELUS]
        if not relus:
            raise ModelError("guided_backprop and guided_gradcam need ReLU activations; the model has none")
        for op in relus:
            # The names that tf.Graph.gradient_override_map would set, which does not reach imported graphs.
            op._set_attr("_gradient_op_type", AttrValue(s=_RELUS[op.type].encode()))
        wanted = tf.one_hot(targets, anatomy.logits.shape[1]) * program.sign
        return tf.gradients(anatomy.logits, values, grad_ys=wanted)[0]

    height, width = program.image_input.size
    return tf.function(guided, autograph=False).get_concrete_function(
        tf.TensorSpec((batch_size, height, width, 3), tf.uint8), tf.TensorSpec((batch_size,), tf.int32)
    )
