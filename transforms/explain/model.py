"""Find a classifier's logits and the feature maps to explain in the traced graph.

The model is never edited and no layer name is needed: the trace is walked backwards, from the output
past Softmax or Sigmoid to the logits, and `Route` finds the maps between the image and them.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import tensorflow as tf

from transforms.errors import ModelError, did_you_mean
from transforms.explain.cut import Route
from transforms.explain.layout import Layout

Head = Literal["softmax", "sigmoid", "binary", "linear", "function"]
# A user's own scores: the model's outputs by name -> a tensor of shape (N,) or (N, K).
Score = Callable[[Mapping[str, tf.Tensor]], tf.Tensor]

_MOST_LISTED = 10
_ACTIVATIONS: dict[str, Head] = {"Softmax": "softmax", "LogSoftmax": "softmax", "Sigmoid": "sigmoid"}
# What may stand between the last activation and the model's output without changing a value's meaning.
_PASS_THROUGH = {"Identity", "Cast", "Reshape", "Squeeze", "StopGradient"}


@dataclasses.dataclass(frozen=True)
class Cut:
    """A tensor that is explained.

    Attributes:
        tensor: the tensor as it stands in the graph.
        layout: which of its axes are rows, columns, tokens and channels.
        name: path of the Keras layer whose output it is, else the tensor's own name.
        map_size: rows and columns of the map.
        separates: whether the image reaches the logits through it only.
        behind: operations with weights between it and the logits.
        not_cam: the operation because of which the head is not global average pooling and linear layers,
            None for such a head.
    """

    tensor: tf.Tensor
    layout: Layout
    name: str
    map_size: tuple[int, int]
    separates: bool
    behind: int
    not_cam: str | None


@dataclasses.dataclass(frozen=True)
class Anatomy:
    """What was found in the traced graph of a model.

    Attributes:
        cuts: what is explained, in the order asked for.
        logits: the scores before any activation, float32 of shape (N, K).
        logits_tensor: name of the tensor that they were found in.
        head: `softmax` or `sigmoid`: the activation found after the logits; `linear` where there is none;
            `binary` for a single logit z, read as two classes with the logits -z and z; `function` for a
            user's own scores.
        candidates: layer name -> (h, w, C) of every layer that could be the cut, from input to output.
    """

    cuts: Sequence[Cut]
    logits: tf.Tensor
    logits_tensor: str
    head: Head
    candidates: dict[str, tuple[int, int, int]]


def dissect(
    outputs: Mapping[str, tf.Tensor],
    recorded: Mapping[str, tf.Tensor],
    images: tf.Tensor,
    *,
    target_layers: Sequence[str],
    data_format: bytes = b"NHWC",
    output: str | int | None = None,
    score: Score | None = None,
    token_grid: tuple[int, int] | None = None,
) -> Anatomy:
    """Finds the parts of a model that was called on a symbolic tensor; to be called inside the trace.

    Args:
        outputs: the model's outputs by name.
        recorded: outputs of its layers by path.
        images: what the model was called on, shape (N, H, W, 3) or (N, 3, H, W).
        target_layers: each `auto`, the path of a layer such as `out_relu` or `backbone/out_relu`, or
            the name of a tensor in the trace such as `saved_model/relu/Relu:0`.
        data_format: NHWC or NCHW, that of `images`.
        output: name or index of the output that holds the scores; needed where there are several.
        score: a function of the outputs that is explained instead of the logits.
        token_grid: rows and columns of the tokens, for a transformer where they cannot be found.

    Raises:
        ModelError: the model is not an image classifier, or has no such layer.
    """
    if score is None:
        predictions = _chosen_output(outputs, output)
        found, head = _find_logits(predictions)
    else:
        predictions = found = _scored(score, outputs)
        head = "function"
    logits, head = _as_classes(found, head, predictions)
    route = Route(images, logits, data_format, token_grid)
    if not route.reached:
        raise ModelError("the model's output does not depend on the image")
    names: dict[str, str] = {}
    for path, tensor in recorded.items():
        names.setdefault(tensor.name, path)  # of layers with one output, the one that made it
    # Layers where the model has any; a SavedModel has lost them, and its tensors have names.
    named = [t for t in route.maps if t.name in names] if names else route.maps
    candidates = {names.get(t.name, t.name): (*route.grid(t), route.channels(t)) for t in named}
    known = {**recorded, **{t.name: t for t in route.maps}}
    cuts = []
    for wanted in target_layers:
        cut = _auto(route) if wanted == "auto" else _named(wanted, known, route, candidates)
        cuts.append(
            Cut(
                tensor=cut,
                layout=route.layouts[cut.name],
                name=names.get(cut.name, cut.name),
                map_size=route.grid(cut),
                separates=route.separates(cut),
                behind=route.behind(cut),
                not_cam=route.after_the_average(cut),
            )
        )
    return Anatomy(cuts, logits, found.name, head, candidates)


def list_candidates(candidates: Mapping[str, tuple[int, int, int]]) -> str:
    """The layers nearest to the head that could be explained, and how many more there are."""
    shown = [f"{path} {h}x{w}x{c}" for path, (h, w, c) in candidates.items()][-_MOST_LISTED:]
    rest = len(candidates) - len(shown)
    return (f"{rest} more (see gradcam-audit inspect --json), " if rest else "") + ", ".join(shown)


def _shape(tensor: tf.Tensor) -> str:
    """The shape of an output; how many images were traced says nothing of the model, so that is N."""
    if not tensor.shape.rank:
        return str(tensor.shape)
    _, *rest = tensor.shape.as_list()
    return f"(N, {', '.join(map(str, rest))})" if rest else "(N,)"


def _auto(route: Route) -> tf.Tensor:
    cut = route.choose()
    if cut is None:
        raise ModelError(
            "the model has no feature map of shape (N, h, w, C) with h * w > 1 to explain; "
            "for a transformer whose tokens cannot be followed, give token_grid: [rows, columns]"
        )
    return cut


def _chosen_output(outputs: Mapping[str, tf.Tensor], wanted: str | int | None) -> tf.Tensor:
    listed = ", ".join(f"{name} {_shape(tensor)}" for name, tensor in outputs.items())
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


def _scored(score: Score, outputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """What a user's function makes of the outputs."""
    try:
        scores = tf.convert_to_tensor(score(outputs))
    except Exception as error:  # it is the user's code
        listed = ", ".join(f"{name} {_shape(tensor)}" for name, tensor in outputs.items())
        raise ModelError(f"score failed on the outputs {listed}: {type(error).__name__}: {error}") from error
    if scores.shape.rank not in (1, 2) or not scores.dtype.is_floating:
        raise ModelError(
            f"score returned {scores.dtype.name} of shape {_shape(scores)}; "
            "a floating tensor of shape (N,) or (N, K) is needed"
        )
    return scores


def _as_classes(found: tf.Tensor, head: Head, predictions: tf.Tensor) -> tuple[tf.Tensor, Head]:
    """The scores as float32 of shape (N, K), with a single logit read as two classes."""
    shape: list[Any] = found.shape.as_list() if found.shape.rank else [None, None]
    if len(shape) == 1:
        classes = 1
    elif None not in shape[1:] and math.prod(shape[1:-1]) == 1:
        classes = shape[-1]  # a head of 1x1 convolutions keeps its rows and columns of one
    else:
        raise ModelError(
            f"the model's output has shape {_shape(predictions)}; a classifier's is (N, classes)"
        )
    scores = tf.cast(tf.reshape(found, (-1, classes)), tf.float32)
    if classes == 1 and head != "function":
        return tf.concat([-scores, scores], axis=1), "binary"
    return scores, head


def _named(
    target_layer: str,
    tensors: Mapping[str, tf.Tensor],
    route: Route,
    candidates: Mapping[str, tuple[int, int, int]],
) -> tf.Tensor:
    """The map on the route of that name, or of the only layer whose path ends with it."""
    ends = [path for path in tensors if path.rsplit("/", 1)[-1] == target_layer]
    name = target_layer if target_layer in tensors else ends[0] if len(ends) == 1 else None
    listed = list_candidates(candidates)
    if name is None:
        hint = did_you_mean(target_layer, [*candidates, *(path.rsplit("/", 1)[-1] for path in candidates)])
        raise ModelError(
            f"target_layer {target_layer!r} is no layer of the model{hint}; candidates: {listed}"
        )
    found = tensors[name]
    if found.name not in {tensor.name for tensor in route.maps}:
        raise ModelError(
            f"target_layer {target_layer!r} has output shape {_shape(found)} and is no feature map "
            f"on the way to the logits; candidates: {listed}"
        )
    return found
