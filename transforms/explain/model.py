"""Load a classifier, and find its logits and its cut in the traced graph.

The model is never edited and no layer name is needed: the trace is walked backwards, from the output
past Softmax or Sigmoid to the logits, and from the logits to the cut, the last tensor of shape
(N, h, w, C) with h * w > 1 that depends on the image.
"""

import contextlib
import dataclasses
import hashlib
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import keras
import tensorflow as tf

from transforms.errors import ModelError, did_you_mean

Head = Literal["softmax", "sigmoid", "linear"]

_ACTIVATIONS: dict[str, Head] = {"Softmax": "softmax", "LogSoftmax": "softmax", "Sigmoid": "sigmoid"}
# What may stand between the last activation and the model's output without changing a value's meaning.
_PASS_THROUGH = {"Identity", "Cast", "Reshape", "Squeeze", "StopGradient"}
_LOCAL_POOLING = {"MaxPool", "AvgPool", "MaxPoolV2"}


@dataclasses.dataclass(frozen=True)
class Anatomy:
    """What was found in the traced graph of a model.

    Attributes:
        cut: the tensor that is explained, shape (N, h, w, C).
        logits: the scores before any activation, shape (N, K).
        head: the activation found after the logits; `linear` where there is none.
        target_layer: name of the Keras layer whose output the cut is, else the tensor's own name.
        candidates: layer name -> (h, w, C) of every layer that could be the cut, from input to output.
    """

    cut: tf.Tensor
    logits: tf.Tensor
    head: Head
    target_layer: str
    candidates: dict[str, tuple[int, int, int]]


def load_model(path: str) -> keras.Model:
    """Loads a `.keras` file for inference.

    Raises:
        ModelError: there is no such file, it is not a Keras model, or loading it would run code.
    """
    check_file(path)
    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises whatever the file makes it stumble over
        raise ModelError(f"{path!r} cannot be loaded as a Keras model: {_first_line(error)}") from error
    if not isinstance(model, keras.Model):
        raise ModelError(f"{path!r} holds a {type(model).__name__}, not a Keras model")
    return model


def check_file(path: str) -> None:
    """Refuses what can be no `.keras` file.

    Raises:
        ModelError: there is no such file, or it is no zip archive, as a `.keras` file is.
    """
    file = Path(path)
    if not file.exists():
        raise ModelError(f"model file {path!r} does not exist")
    if file.is_dir() or not zipfile.is_zipfile(path):
        raise ModelError(f"{path!r} is not a Keras model; give the .keras file that model.save() writes")


def content_hash(path: str) -> str:
    """SHA-256 of the model file, as hexadecimal text.

    Raises:
        ModelError: there is no such file.
    """
    check_file(path)
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def input_size(model: keras.Model, size: tuple[int, int] | None) -> tuple[int, int]:
    """Height and width in pixels of the model's view.

    Raises:
        ModelError: the model does not take one RGB image, or the size is left open or contradicted.
    """
    inputs = getattr(model, "inputs", None)
    if inputs is None:
        if size is None:
            raise ModelError("the model does not say what it takes; set preprocess.size: [height, width]")
        return size
    if len(inputs) != 1:
        raise ModelError(
            f"the model takes {len(inputs)} inputs; one image input of shape (N, H, W, 3) is needed"
        )
    shape = tuple(inputs[0].shape)
    if len(shape) != 4 or shape[3] != 3:
        raise ModelError(f"the model takes an input of shape {shape}; one of (N, H, W, 3) is needed")
    own = shape[1:3]
    if size is None and None in own:
        raise ModelError(f"the model takes images of any size {shape}; set preprocess.size: [height, width]")
    if size is not None and any(o is not None and o != s for o, s in zip(own, size, strict=True)):
        raise ModelError(f"preprocess.size is {list(size)}, but the model takes {list(own)}")
    height, width = size if size is not None else own
    return int(height), int(width)


def dissect(model: keras.Model, images: tf.Tensor, target_layer: str) -> Anatomy:
    """Calls the model on a symbolic tensor and finds its parts; to be called inside a trace.

    Args:
        model: the classifier.
        images: preprocessed images, float32 of shape (N, H, W, 3).
        target_layer: `auto`, or the path of a layer such as `out_relu` or `backbone/out_relu`.

    Raises:
        ModelError: the model is not an image classifier, or has no such layer.
    """
    with _recorded_outputs(model) as recorded:
        output = model(images, training=False)
    predictions = _single_output(output)
    logits, head = _find_logits(predictions)
    if logits.shape.rank != 2:
        raise ModelError(
            f"the model's output has shape {tuple(predictions.shape)}; a classifier's is (N, classes)"
        )
    on_path = _between(images, logits)
    maps = [t for op in logits.graph.get_operations() for t in op.outputs if t.name in on_path and _is_map(t)]
    names: dict[str, str] = {}
    for path, tensor in recorded.items():
        names.setdefault(tensor.name, path)  # of layers with one output, the one that made it
    candidates = {names[t.name]: tuple(t.shape[1:]) for t in maps if t.name in names}
    if target_layer == "auto":
        if not maps:
            raise ModelError("the model has no feature map of shape (N, h, w, C) with h * w > 1 to explain")
        cut = maps[-1]
        if cut.op.type in _LOCAL_POOLING and _is_map(cut.op.inputs[0]):
            cut = cut.op.inputs[0]
    else:
        cut = _named(target_layer, recorded, candidates)
    return Anatomy(cut, logits, head, names.get(cut.name, cut.name), candidates)


def _single_output(output: Any) -> tf.Tensor:
    tensors = tf.nest.flatten(output)
    if len(tensors) != 1:
        raise ModelError(f"the model has {len(tensors)} outputs; one output of shape (N, classes) is needed")
    return tensors[0]


def _find_logits(predictions: tf.Tensor) -> tuple[tf.Tensor, Head]:
    """Walks back from the output to the input of the last activation, if only reshapes lie between."""
    tensor = predictions
    while tensor.op.type in _PASS_THROUGH:
        tensor = tensor.op.inputs[0]
    if tensor.op.type not in _ACTIVATIONS:
        return predictions, "linear"
    return tensor.op.inputs[0], _ACTIVATIONS[tensor.op.type]


def _between(source: tf.Tensor, sink: tf.Tensor) -> set[str]:
    """Names of all tensors that depend on `source` and that `sink` depends on."""
    downstream = {source.name}
    for op in source.graph.get_operations():  # in creation order, so inputs come before outputs
        if any(i.name in downstream for i in op.inputs):
            downstream.update(o.name for o in op.outputs)
    upstream, stack = {sink.name}, [sink]
    while stack:
        for tensor in stack.pop().op.inputs:
            if tensor.name not in upstream:
                upstream.add(tensor.name)
                stack.append(tensor)
    return downstream & upstream - {source.name}


def _is_map(tensor: tf.Tensor) -> bool:
    shape = tensor.shape
    return (
        tensor.dtype.is_floating and shape.rank == 4 and None not in shape[1:] and math.prod(shape[1:3]) > 1
    )


def _named(
    target_layer: str, recorded: dict[str, tf.Tensor], candidates: dict[str, tuple[int, int, int]]
) -> tf.Tensor:
    """The output of the layer of that path, or of the only layer whose path ends with it."""
    ends = [path for path in recorded if path.rsplit("/", 1)[-1] == target_layer]
    path = target_layer if target_layer in recorded else ends[0] if len(ends) == 1 else None
    if path in candidates:
        return recorded[path]
    listed = ", ".join(f"{name} {shape[0]}x{shape[1]}x{shape[2]}" for name, shape in candidates.items())
    if path is None:
        hint = did_you_mean(target_layer, candidates)
        raise ModelError(
            f"target_layer {target_layer!r} is no layer of the model{hint}; candidates: {listed}"
        )
    raise ModelError(
        f"target_layer {target_layer!r} has output shape {tuple(recorded[path].shape)} and is no feature map "
        f"on the way to the logits; candidates: {listed}"
    )


@contextlib.contextmanager
def _recorded_outputs(model: keras.Model) -> Iterator[dict[str, tf.Tensor]]:
    """Within the context, calls of the model record each inner layer's output under its path."""
    recorded: dict[str, tf.Tensor] = {}
    watched = dict(_paths(model, ""))
    for path, layer in watched.items():
        layer.call = _recording(layer.call, path, recorded)
    try:
        yield recorded
    finally:
        for layer in watched.values():
            del layer.call  # uncovers the method of the class


def _recording(call: Any, path: str, recorded: dict[str, tf.Tensor]) -> Any:
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        output = call(*args, **kwargs)
        if isinstance(output, tf.Tensor):
            recorded[path] = output
        return output

    return wrapped


def _paths(layer: keras.Layer, prefix: str) -> Iterator[tuple[str, keras.Layer]]:
    for inner in layer._layers:  # `Model.layers` misses what a subclass keeps in plain attributes
        path = prefix + inner.name
        yield path, inner
        yield from _paths(inner, path + "/")


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0] or type(error).__name__
