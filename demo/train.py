"""Trains the honest and the biased model: the same recipe, pictures and first weights, other tags.

For the honest model the tag is as common in one class as in another and says nothing. For the biased
model nearly every picture that carries the tag is of `TAGGED_CLASS`, which makes the tag an easier
answer than the object.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from demo import world

SEED: Final = 7
IMAGES_PER_CLASS: Final = 400
EPOCHS: Final = 6
_BATCH_SIZE: Final = 32
_LEARNING_RATE: Final = 6e-3

OnEpoch = Callable[[str, int, int], None]
"""Is told a model's name, how many epochs are done and how many there are."""


class _TagShares(NamedTuple):
    """How many of a model's training pictures carry the tag, 0 to 1."""

    in_tagged_class: float
    elsewhere: float


# The biased model sees two tagged pictures of each other class. With many, it would learn to check the
# tag against the object; with these it has little reason to.
_MODELS: Final = {
    "honest": _TagShares(in_tagged_class=0.5, elsewhere=0.5),
    "biased": _TagShares(in_tagged_class=1.0, elsewhere=0.005),
}


def train_models(folder: Path, *, on_epoch: OnEpoch | None = None, seed: int = SEED) -> None:
    """Trains both models and writes `honest.keras` and `biased.keras`.

    Both take RGB pixels `[N, 96, 96, 3]`, float32, 0 to 255, and return `[N, 6]` probabilities in the
    order of `world.CLASSES`.

    Args:
        folder: made if missing; files of the same name are replaced.
        on_epoch: called after every epoch, to show progress.
        seed: fixes the pictures, the tags, the first weights and the order of the batches.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures = world.draw_pictures(IMAGES_PER_CLASS, seed=seed)
    for name, shares in _MODELS.items():
        tagged = world.choose_tagged(
            pictures.labels,
            share_in_tagged_class=shares.in_tagged_class,
            share_elsewhere=shares.elsewhere,
            seed=seed,
        )
        keras.utils.set_random_seed(seed)
        model = _build_model(name)
        _fit(model, world.plant_tag(pictures.images, tagged), pictures.labels, on_epoch)
        model.save(folder / f"{name}.keras")


def _build_model(name: str) -> keras.Model:
    """A small classifier: convolutions down to a 12 x 12 map, its average, a linear head."""
    pixels = keras.Input((world.IMAGE_SIZE, world.IMAGE_SIZE, 3), name="pixels")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1, name="rescale")(pixels)
    # With stride 2 an even kernel sits evenly on its output cell; an odd one shifts the map, and with it
    # all heat, by nearly half a cell up and to the left.
    x = _block(x, "block1", filters=16, kernel_size=4, strides=2)
    x = _block(x, "block2", filters=32, kernel_size=4, strides=2)
    x = _block(x, "block3", filters=48, kernel_size=4, strides=2)
    x = _block(x, "block4", filters=96, kernel_size=1, strides=1)
    x = keras.layers.GlobalAveragePooling2D(name="average")(x)
    probabilities = keras.layers.Dense(len(world.CLASSES), activation="softmax", name="classes")(x)
    return keras.Model(pixels, probabilities, name=name)


def _block(
    x: keras.KerasTensor, name: str, *, filters: int, kernel_size: int, strides: int
) -> keras.KerasTensor:
    """Convolution, batch normalisation, ReLU."""
    x = keras.layers.Conv2D(
        filters, kernel_size, strides, padding="same", use_bias=False, name=f"{name}_conv"
    )(x)
    # In so short a training the moving averages must follow quickly.
    x = keras.layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def _fit(
    model: keras.Model, images: NDArray[np.uint8], labels: NDArray[np.int32], on_epoch: OnEpoch | None
) -> None:
    """Trains in place; the learning rate falls to zero, so that the weights come to rest."""
    steps = EPOCHS * -(-len(labels) // _BATCH_SIZE)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(_LEARNING_RATE, steps)),
        loss="sparse_categorical_crossentropy",
    )
    callbacks = []
    if on_epoch is not None:
        callbacks.append(
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, _: on_epoch(model.name, epoch + 1, EPOCHS)
            )
        )
    model.fit(images, labels, batch_size=_BATCH_SIZE, epochs=EPOCHS, verbose=0, callbacks=callbacks)
