"""Every family of keras.applications: the cut that is found, and its heatmaps against a GradientTape.

The families that take long stand in the slow suite (`make test-slow`).
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from transforms.explain.engine import Engine
from transforms.explain.loading import _KerasModel
from transforms.explain.program import Program, Request
from transforms.explain.settings import Preprocess

slow = pytest.mark.slow

# Family, cut layer and map size at the family's own input size (224x224 where it takes any). No name where
# Keras counts it up within a process (`activation_17`), and where the cut is an addition without a layer.
FAMILIES = [
    pytest.param("ConvNeXtTiny", None, (7, 7), marks=slow),
    pytest.param("DenseNet121", "relu", (7, 7), marks=slow),
    pytest.param("DenseNet201", "relu", (7, 7), marks=slow),
    pytest.param("EfficientNetB0", "top_activation", (7, 7)),
    pytest.param("EfficientNetB4", "top_activation", (12, 12), marks=slow),
    pytest.param("EfficientNetV2B0", "top_activation", (7, 7), marks=slow),
    pytest.param("EfficientNetV2S", "top_activation", (12, 12), marks=slow),
    pytest.param("InceptionResNetV2", "conv_7b_ac", (8, 8), marks=slow),
    pytest.param("InceptionV3", "mixed10", (8, 8), marks=slow),
    pytest.param("MobileNet", "conv_pw_13_relu", (7, 7)),
    pytest.param("MobileNetV2", "out_relu", (7, 7)),
    pytest.param("MobileNetV3Large", None, (7, 7), marks=slow),
    pytest.param("MobileNetV3Small", None, (7, 7)),
    pytest.param("NASNetMobile", None, (7, 7), marks=slow),
    pytest.param("ResNet50", "conv5_block3_out", (7, 7)),
    pytest.param("ResNet50V2", "post_relu", (7, 7), marks=slow),
    pytest.param("ResNet101V2", "post_relu", (7, 7), marks=slow),
    pytest.param("VGG16", "block5_conv3", (14, 14), marks=slow),
    pytest.param("VGG19", "block5_conv4", (14, 14), marks=slow),
    pytest.param("Xception", "block14_sepconv2_act", (10, 10), marks=slow),
]


@pytest.mark.parametrize(("family", "layer", "size"), FAMILIES)
def test_cut_and_heatmaps(family: str, layer: str | None, size: tuple[int, int]) -> None:
    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, family)(weights=None)
    height, width = (side or 224 for side in model.input_shape[1:3])
    engine = Engine(
        Program(_KerasModel(model), Request(preprocess=Preprocess(size=(height, width), scale=(-1, 1)))),
        methods=("gradcam", "hirescam"),
        batch_size=1,
    )

    assert (size, "softmax", 1000) == (engine.map_size, engine.head, engine.classes)
    assert {engine.target_layer: True} == engine.separates
    if layer is not None:
        assert layer == engine.target_layer
    image = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
    found = engine(image, np.int32([[-1]]))
    expected = by_tape(model, layer, image, int(found.targets[0, 0]))
    # Float32 carries no further through ConvNeXt: a tape in float64 differs from that in float32 by 1.6e-4 of
    # the maximum, and from the engine by 2.7e-4.
    tolerance = 5e-4 if family.startswith("ConvNeXt") else 1e-4
    for method, heatmap in expected.items():
        actual = found.heatmaps[method][0, 0]
        if family.startswith("VGG"):
            actual, heatmap = in_windows(actual), in_windows(heatmap)
        assert heatmap.max() > 0
        np.testing.assert_allclose(actual, heatmap, rtol=0, atol=tolerance * heatmap.max())


def in_windows(heatmap: np.ndarray) -> np.ndarray:
    """Sums over the windows of VGG's last pooling: in each, rounding decides who gets the gradient."""
    return heatmap.reshape(7, 2, 7, 2).sum(axis=(1, 3))


def by_tape(model: keras.Model, layer: str | None, image: np.ndarray, target: int) -> dict[str, np.ndarray]:
    """The textbook way, by the layer of the table or by what is pooled."""
    pooled = [la.input for la in model.layers if isinstance(la, keras.layers.GlobalAveragePooling2D)]
    cut = pooled[-1] if layer is None else model.get_layer(layer).output
    model.layers[-1].activation = keras.activations.linear
    both = keras.Model(model.inputs[0], [cut, model.outputs[0]])
    with tf.GradientTape() as tape:
        activations, logits = both(image.astype(np.float32) / 127.5 - 1, training=False)
        logit = logits[0, target]
    gradients = tape.gradient(logit, activations)
    weights = tf.reduce_mean(gradients, axis=(1, 2), keepdims=True)
    return {
        "gradcam": tf.nn.relu(tf.reduce_sum(activations * weights, -1))[0].numpy(),
        "hirescam": tf.nn.relu(tf.reduce_sum(activations * gradients, -1))[0].numpy(),
    }
