"""Find a classifier's logits and its cut in the traced graph.

The model is never edited and no layer name is needed: the trace is walked backwards, from the output
past Softmax or Sigmoid to the logits, and from the logits to the cut, the last tensor of shape
(N, h, w, C) with h * w > 1 that depends on the image.
"""

import dataclasses
import math
from typing import Literal

import tensorflow as tf

from transforms.errors import ModelError, did_you_mean
from transforms.explain.loading import Classifier

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


def input_size(classifier: Classifier, size: tuple[int, int] | None) -> tuple[int, int]:
    """Height and width in pixels of the model's view.

    Raises:
        ModelError: the model does not take one RGB image, or the size is left open or contradicted.
    """
    if classifier.input_shapes is None:
        if size is None:
            raise ModelError("the model does not say what it takes; set preprocess.size: [height, width]")
        return size
    if len(classifier.input_shapes) != 1:
        raise ModelError(
            f"the model takes {len(classifier.input_shapes)} inputs; "
            "one image input of shape (N, H, W, 3) is needed"
        )
    shape = classifier.input_shapes[0]
    if len(shape) != 4 or shape[3] != 3:
        raise ModelError(f"the model takes an input of shape {shape}; one of (N, H, W, 3) is needed")
    own = shape[1:3]
    if size is None and None in own:
        raise ModelError(f"the model takes images of any size {shape}; set preprocess.size: [height, width]")
    if size is not None and any(o is not None and o != s for o, s in zip(own, size, strict=True)):
        raise ModelError(f"preprocess.size is {list(size)}, but the model takes {list(own)}")
    height, width = (int(side or 0) for side in (size or own))
    return height, width


def dissect(
    classifier: Classifier, images: tf.Tensor, target_layer: str, output: str | int | None = None
) -> Anatomy:
    """Calls the model on a symbolic tensor and finds its parts; to be called inside a trace.

    Args:
        classifier: the model.
        images: preprocessed images, float32 of shape (N, H, W, 3).
        target_layer: `auto`, the path of a layer such as `out_relu` or `backbone/out_relu`, or
            the name of a tensor in the trace such as `saved_model/relu/Relu:0`.
        output: name or index of the output that holds the scores; needed where there are several.

    Raises:
        ModelError: the model is not an image classifier, or has no such layer.
    """
    outputs, recorded = classifier.trace(images)
    predictions = _chosen_output(outputs, output)
    logits, head = _find_logits(predictions)
    if logits.shape.rank != 2:
        raise ModelError(
            f"the model's output has shape {tuple(predictions.shape)}; a classifier's is (N, classes)"
        )
    if logits.shape[1] == 1:
        raise ModelError("the model has a single logit; scores of two classes or more are needed")
    on_path = _between(images, logits)
    maps = [t for op in logits.graph.get_operations() for t in op.outputs if t.name in on_path and _is_map(t)]
    names: dict[str, str] = {}
    for path, tensor in recorded.items():
        names.setdefault(tensor.name, path)  # of layers with one output, the one that made it
    # Layers where the model has any; a SavedModel has lost them, and its tensors have names.
    named_maps = {names[t.name]: t for t in maps if t.name in names} if names else {t.name: t for t in maps}
    candidates = {name: tuple(tensor.shape[1:]) for name, tensor in named_maps.items()}
    if target_layer == "auto":
        if not maps:
            raise ModelError("the model has no feature map of shape (N, h, w, C) with h * w > 1 to explain")
        cut = maps[-1]
        if cut.op.type in _LOCAL_POOLING and _is_map(cut.op.inputs[0]):
            cut = cut.op.inputs[0]
    else:
        cut = _named(target_layer, {**recorded, **{t.name: t for t in maps}, **named_maps}, maps, candidates)
    return Anatomy(cut, logits, head, names.get(cut.name, cut.name), candidates)


def _chosen_output(outputs: dict[str, tf.Tensor], wanted: str | int | None) -> tf.Tensor:
    listed = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in outputs.items())
    names = list(outputs)
    if wanted is None:
        if len(outputs) != 1:
            raise ModelError(f"the model has {len(outputs)} outputs: {listed}; set output to one of them")
        return outputs[names[0]]
    if isinstance(wanted, int) and 0 <= wanted < len(names):
        return outputs[names[wanted]]
    if wanted not in outputs:
        raise ModelError(f"output {wanted!r} is none of the model's outputs: {listed}")
    return outputs[str(wanted)]


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
    target_layer: str,
    tensors: dict[str, tf.Tensor],
    maps: list[tf.Tensor],
    candidates: dict[str, tuple[int, int, int]],
) -> tf.Tensor:
    """The tensor of that name, or of the only layer whose path ends with it; it must be one of `maps`."""
    ends = [path for path in tensors if path.rsplit("/", 1)[-1] == target_layer]
    name = target_layer if target_layer in tensors else ends[0] if len(ends) == 1 else None
    listed = ", ".join(f"{path} {shape[0]}x{shape[1]}x{shape[2]}" for path, shape in candidates.items())
    if name is None:
        hint = did_you_mean(target_layer, [*candidates, *(path.rsplit("/", 1)[-1] for path in candidates)])
        raise ModelError(
            f"target_layer {target_layer!r} is no layer of the model{hint}; candidates: {listed}"
        )
    found = tensors[name]
    if found.name not in {tensor.name for tensor in maps}:
        raise ModelError(
            f"target_layer {target_layer!r} has output shape {tuple(found.shape)} and is no feature map "
            f"on the way to the logits; candidates: {listed}"
        )
    return found
