"""Which of a model's inputs is the image, how large it is, and what the others are given."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from transforms.errors import ModelError, did_you_mean
from transforms.explain.loading import Classifier

Shape = tuple[int | None, ...]


@dataclasses.dataclass(frozen=True)
class ImageInput:
    """The input that takes the image.

    Attributes:
        name: the input's name, None for a model that does not name its inputs.
        size: height and width in pixels.
        data_format: NHWC, or NCHW for channels first.
    """

    name: str | None
    size: tuple[int, int]
    data_format: bytes


def find_image_input(
    classifier: Classifier, size: tuple[int, int] | None, constants: Mapping[str, Any]
) -> ImageInput:
    """Finds the one input that is an image and is given no constant.

    Args:
        classifier: the model.
        size: height and width that the user asks for; needed where the model leaves them open.
        constants: values for its other inputs, by name.

    Raises:
        ModelError: the model takes no RGB image, or other inputs too, or the size is open or contradicted.
    """
    shapes = classifier.input_shapes
    if shapes is None:
        if constants:
            raise ModelError("the model does not name its inputs, so inputs cannot be given constant values")
        if size is None:
            raise ModelError("the model does not say what it takes; set preprocess.size: [height, width]")
        return ImageInput(None, size, b"NHWC")
    listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    for name in constants:
        if name not in shapes:
            hint = did_you_mean(name, list(shapes))
            raise ModelError(f"inputs: {name!r} is none of the model's inputs{hint}: {listed}")
    open_inputs = [name for name in shapes if name not in constants]
    if len(open_inputs) != 1:
        raise ModelError(
            f"the model takes {len(shapes)} inputs: {listed}; "
            "give each but the image a constant value under inputs"
        )
    name = open_inputs[0]
    shape = shapes[name]
    data_format = _data_format(shape)
    own = shape[1:3] if data_format == b"NHWC" else shape[2:4]
    if size is None and None in own:
        raise ModelError(f"the model takes images of any size {shape}; set preprocess.size: [height, width]")
    if size is not None and any(o is not None and o != s for o, s in zip(own, size, strict=True)):
        raise ModelError(f"preprocess.size is {list(size)}, but the model takes {list(own)}")
    height, width = (int(side or 0) for side in (size or own))
    return ImageInput(name, (height, width), data_format)


def _data_format(shape: Shape) -> bytes:
    if len(shape) == 4 and shape[3] in (3, None):
        return b"NHWC"
    if len(shape) == 4 and shape[1] == 3:
        return b"NCHW"
    raise ModelError(
        f"the model takes an input of shape {shape}; one of (N, H, W, 3) or (N, 3, H, W) is needed"
    )


def filled(
    classifier: Classifier, image_input: ImageInput, images: tf.Tensor, constants: Mapping[str, Any]
) -> dict[str | None, tf.Tensor]:
    """The model's inputs by name: the images, and each constant repeated for every image.

    Args:
        classifier: the model.
        image_input: what `find_image_input` found.
        images: float32 of shape (N, H, W, 3); channels are moved first where the model takes them so.
        constants: numbers or nested lists of them, broadcast to the input's shape without the batch.

    Raises:
        ModelError: a constant does not fit its input.
    """
    if image_input.data_format == b"NCHW":
        images = tf.transpose(images, (0, 3, 1, 2))
    inputs: dict[str | None, tf.Tensor] = {image_input.name: images}
    for name, value in constants.items():
        shape: Any = (classifier.input_shapes or {})[name][1:]
        try:
            array = np.broadcast_to(np.asarray(value, np.float32), shape)
        except (TypeError, ValueError) as error:
            found = np.shape(value)
            raise ModelError(
                f"inputs: the value of {name!r} has shape {found} and does not fit {shape}"
            ) from error
        inputs[name] = tf.constant(np.broadcast_to(array, (images.shape[0], *array.shape)))
    return inputs
