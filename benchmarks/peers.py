"""What a user would pick instead of the engine, each in the fastest form that its documentation shows.

All take the same logits model, the same uint8 images and the same class indexes, and explain the same
layer, so they do the same job as the engine. Pixels are prepared with the model family's `preprocess_input`,
as in all their documentation. Building the model and the explainer is not timed, except where the recipe
itself builds something for each image.

- `keras_io`: the recipe of https://keras.io/examples/vision/grad_cam, one image at a time. As published it
  derives a two-output model in each call; `rebuild=False` derives it once, which the page does not show but
  is the first thing that one would mend.
- `tf_keras_vis`: `Gradcam` on the whole batch. `expand_cam=False` leaves the map on the layer's own grid and
  spares it the zoom to the image's size.
- `xplique`: `GradCAM` on the whole batch, compiled. Its public call always resizes the maps to the image.
"""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

Explain = Callable[[np.ndarray, np.ndarray], np.ndarray]
Prepare = Callable[[np.ndarray], np.ndarray]


def keras_io(model: keras.Model, layer: str, prepare: Prepare, rebuild: bool = True) -> Explain:
    """The keras.io recipe: maps divided by their maximum, on the layer's grid."""

    def two_headed() -> keras.Model:
        return keras.Model(model.input, [model.get_layer(layer).output, model.output])

    once = two_headed()

    def heatmap(image: np.ndarray, target: int) -> np.ndarray:
        derived = two_headed() if rebuild else once
        with tf.GradientTape() as tape:
            activations, logits = derived(prepare(image[None].astype(np.float32)))
            logit = logits[:, target]
        weights = tf.reduce_mean(tape.gradient(logit, activations), axis=(0, 1, 2))
        cam = tf.squeeze(activations[0] @ weights[:, None])
        return (tf.maximum(cam, 0) / tf.reduce_max(cam)).numpy()

    def explain(images: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return np.stack([heatmap(image, int(target)) for image, target in zip(images, targets, strict=True)])

    return explain


def tf_keras_vis(model: keras.Model, layer: str, prepare: Prepare) -> Explain:
    """tf-keras-vis: raw maps on the layer's grid."""
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.utils.scores import CategoricalScore

    gradcam = Gradcam(model)

    def explain(images: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return np.asarray(
            gradcam(
                CategoricalScore(targets.tolist()),
                prepare(images.astype(np.float32)),
                penultimate_layer=layer,
                seek_penultimate_conv_layer=False,
                expand_cam=False,
                normalize_cam=False,
            )
        )

    return explain


def xplique(model: keras.Model, layer: str, prepare: Prepare, batch_size: int) -> Explain:
    """Xplique: raw maps, resized bicubically to the image's size."""
    from xplique.attributions import GradCAM

    gradcam = GradCAM(model, batch_size=batch_size, conv_layer=layer)
    one_hot = np.eye(model.output_shape[-1], dtype=np.float32)

    def explain(images: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return gradcam(prepare(images.astype(np.float32)), one_hot[targets]).numpy()[..., 0]

    return explain
