"""The small networks: four convolutions down to an 8 x 8 map, then one of two heads."""

from typing import Final

import keras
import numpy as np
from numpy.typing import NDArray

from benchmarks.planted.specs import Head
from benchmarks.planted.world import CLASSES, SIZE

EPOCHS: Final = 10
_BATCH_SIZE: Final = 64
_LEARNING_RATE: Final = 2e-3


def build(head: Head, seed: int) -> keras.Model:
    """A network with random weights: uint8 pixels `[N, 64, 64, 3]` to logits `[N, 6]`.

    With the head `gap` Grad-CAM and HiResCAM are the same map; with `mlp` they are not.
    """
    keras.utils.clear_session()  # what the process has built before
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    pixels = keras.Input((SIZE, SIZE, 3), name="pixels")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="rescale")(pixels)
    x = _block(x, "first", filters=16, kernel_size=5, strides=2)
    x = layers.MaxPooling2D(name="pool1")(x)
    x = _block(x, "second", filters=32, kernel_size=3)
    x = _block(x, "third", filters=48, kernel_size=3)
    x = layers.MaxPooling2D(name="pool3")(x)
    x = _block(x, "fourth", filters=64, kernel_size=3)
    if head == "gap":
        x = layers.GlobalAveragePooling2D(name="average")(x)
    else:
        x = layers.MaxPooling2D(name="pool4")(x)
        x = layers.Flatten(name="flat")(x)
        x = layers.Dropout(0.3, name="dropout")(x)
        x = layers.Dense(64, activation="relu", name="hidden")(x)
    return keras.Model(pixels, layers.Dense(len(CLASSES), name="logits")(x), name=head)


def train(model: keras.Model, images: NDArray[np.uint8], labels: NDArray[np.int32]) -> None:
    """Trains in place; the learning rate falls to zero, so that the weights come to rest."""
    steps = EPOCHS * -(-len(labels) // _BATCH_SIZE)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(_LEARNING_RATE, steps)),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(images, labels, batch_size=_BATCH_SIZE, epochs=EPOCHS, verbose=0)


def predict(model: keras.Model, images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The class index of the highest logit of each image, `[N]`."""
    chosen: NDArray[np.int64] = model.predict(images, batch_size=256, verbose=0).argmax(axis=1)
    return chosen


def _block(
    x: keras.KerasTensor, name: str, *, filters: int, kernel_size: int, strides: int = 1
) -> keras.KerasTensor:
    """Convolution, batch normalisation, ReLU."""
    x = keras.layers.Conv2D(
        filters, kernel_size, strides, padding="same", use_bias=False, name=f"{name}_conv"
    )(x)
    # In so short a training the moving averages must follow quickly.
    x = keras.layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)
