"""A classifier and how it is to be explained: what every traced graph of an engine begins with."""

import dataclasses
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from transforms.errors import ModelError, UnknownClassError
from transforms.explain.folding import folded
from transforms.explain.graphs import copied
from transforms.explain.inputs import filled, find_image_input
from transforms.explain.layout import as_map
from transforms.explain.loading import Classifier
from transforms.explain.model import Anatomy, Cut, Score, dissect
from transforms.explain.settings import Polarity, Preprocess
from transforms.explain.targets import FIRST_GROUP, PREDICTED, RUNNER_UP


@dataclasses.dataclass(frozen=True)
class Request:
    """How a classifier is to be explained.

    Attributes:
        target_layers: the layers, each a name or `auto`.
        preprocess: what happens between uint8 RGB pixels and the model.
        output: name or index of the output that holds the scores.
        score: a function of the outputs that is explained instead of the logits.
        inputs: constant values of the model's other inputs.
        token_grid: rows and columns of a transformer's tokens.
        groups: groups of class indexes that targets of -10 and below refer to.
        polarity: `negative` explains what speaks against a class: the negated logit.
    """

    target_layers: Sequence[str] = ("auto",)
    preprocess: Preprocess = dataclasses.field(default_factory=Preprocess)
    output: str | int | None = None
    score: Score | None = None
    inputs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    token_grid: tuple[int, int] | None = None
    groups: Sequence[Sequence[int]] = ()
    polarity: Polarity = "positive"


@dataclasses.dataclass(frozen=True)
class Trace:
    """A classifier, traced by itself.

    Attributes:
        function: from normalised images, float32 (N, H, W, 3), to its logits and cuts.
        anatomy: what was found when it was traced; of a trace that was folded since, the tensors are gone.
    """

    function: Any
    anatomy: Anatomy

    @property
    def images(self) -> str:
        """The name of the tensor of normalised images."""
        return str(self.function.inputs[0].name)

    def copied(self, given: Mapping[str, tf.Tensor], fed: Mapping[int, tf.Tensor]) -> Anatomy:
        """The same in the graph that is being traced.

        Args:
            given: name of a tensor -> what stands for it.
            fed: index of a cut -> what stands for it.
        """
        # What a traced function returns waits for all its weights to be read; what it is a copy of does not.
        names = [tensor.op.inputs[0].name for tensor in self.function.outputs]
        given = {**given, **{names[1 + index]: tensor for index, tensor in fed.items()}}
        logits, *tensors = copied(self.function.graph, names, given)
        cuts = [dataclasses.replace(c, tensor=t) for c, t in zip(self.anatomy.cuts, tensors, strict=True)]
        return dataclasses.replace(self.anatomy, cuts=cuts, logits=logits)


class Program:
    """A classifier and its parts, for the graphs that are made of it.

    Its weights must not change, for what they alone decide is computed once. Thread-safe.

    Args:
        classifier: the model.
        request: how it is explained.

    Raises:
        ModelError: the model takes no image, or what the request says does not fit it.
    """

    def __init__(self, classifier: Classifier, request: Request) -> None:
        self.classifier = classifier
        self.request = request
        self.image_input = find_image_input(classifier, request.preprocess.size, request.inputs)
        self._lock = threading.RLock()
        self._traces: dict[int, Trace] = {}
        self._folded: dict[int, Trace] = {}

    def normalised(self, images: tf.Tensor) -> tf.Tensor:
        """What the model takes of uint8 RGB images of shape (N, H, W, 3): float32 of the same shape."""
        return normalised(images, self.request.preprocess)

    def dissect(self, values: tf.Tensor, fed: Mapping[int, tf.Tensor] | None = None) -> Anatomy:
        """The model on normalised images, in the graph that is being traced, and its parts there.

        Args:
            values: float32 of shape (N, H, W, 3).
            fed: index of a cut -> what stands for it, so that nothing before it is computed.
        """
        size = values.shape[0]
        with self._lock:
            if size not in self._folded:
                trace = self.trace(size)
                with tf.init_scope():
                    self._folded[size] = Trace(folded(trace.function), trace.anatomy)
        trace = self._folded[size]
        return trace.copied({trace.images: values}, fed or {})

    def trace(self, batch_size: int) -> Trace:
        """The classifier as it is, traced once for each batch size."""
        with self._lock:
            if batch_size not in self._traces:
                found: list[Anatomy] = []

                def call(images: tf.Tensor) -> list[tf.Tensor]:
                    found.append(self._anatomy(images))
                    return [found[0].logits, *(cut.tensor for cut in found[0].cuts)]

                images = tf.TensorSpec((batch_size, *self.image_input.size, 3), tf.float32)
                with tf.init_scope():
                    function = tf.function(call, autograph=False).get_concrete_function(images)
                self._traces[batch_size] = Trace(function, found[0])
            return self._traces[batch_size]

    def _anatomy(self, values: tf.Tensor) -> Anatomy:
        """Calls the model on normalised images and finds its parts."""
        inputs = filled(self.classifier, self.image_input, values, self.request.inputs)
        images = inputs[self.image_input.name]
        outputs, recorded = self.classifier.trace(inputs)
        anatomy = dissect(
            outputs,
            recorded,
            images,
            target_layers=self.request.target_layers,
            data_format=self.image_input.data_format,
            output=self.request.output,
            score=self.request.score,
            token_grid=self.request.token_grid,
        )
        classes = int(anatomy.logits.shape[1])
        for index in (index for group in self.request.groups for index in group):
            if not 0 <= index < classes:
                raise UnknownClassError(index, classes)
        return anatomy

    def gradients(self, anatomy: Anatomy, targets: tf.Tensor) -> list[tf.Tensor]:
        """The gradient of each image's target logit with respect to each cut, as (N, h, w, C), float32.

        Args:
            anatomy: what `dissect` found in this trace.
            targets: int32 of shape (N,), a class index or anything negative for none.
        """
        wanted = tf.one_hot(targets, anatomy.logits.shape[1]) * self.sign
        found = tf.gradients(anatomy.logits, [cut.tensor for cut in anatomy.cuts], grad_ys=wanted)
        for cut, gradient in zip(anatomy.cuts, found, strict=True):
            if gradient is None:
                raise ModelError(f"the logits do not depend on target_layer {cut.name!r}")
        return [map_of(gradient, cut) for gradient, cut in zip(found, anatomy.cuts, strict=True)]

    @property
    def sign(self) -> float:
        """1.0, or -1.0 where what speaks against a class is asked for."""
        return -1.0 if self.request.polarity == "negative" else 1.0


def normalised(images: tf.Tensor, preprocess: Preprocess) -> tf.Tensor:
    """Channels, scale, mean and std, in that order; uint8 in, float32 out, shape (N, H, W, 3) both."""
    values = tf.cast(images, tf.float32)
    if preprocess.channels == "bgr":
        values = values[..., ::-1]
    if preprocess.scale is not None:
        low, high = preprocess.scale
        values = values * ((high - low) / 255.0) + low
    if preprocess.mean is not None:
        values -= preprocess.mean
    if preprocess.std is not None:
        values /= preprocess.std
    return values


def map_of(tensor: tf.Tensor, cut: Cut) -> tf.Tensor:
    """A tensor in the layout of a cut, such as its activations or gradients, as float32 (N, h, w, C)."""
    return tf.cast(as_map(tf.convert_to_tensor(tensor), cut.layout), tf.float32)


def resolve(targets: tf.Tensor, logits: tf.Tensor, groups: Sequence[Sequence[int]]) -> tf.Tensor:
    """Turns predicted, runner-up and group targets into class indexes; int32 of shape (N, T).

    Args:
        targets: codes as an engine takes them, int32 of shape (N, T).
        logits: shape (N, K).
        groups: class indexes of each group.
    """
    top = tf.math.top_k(logits, k=min(2, logits.shape[1])).indices
    resolved = tf.where(targets == PREDICTED, top[:, :1], targets)
    resolved = tf.where(targets == RUNNER_UP, top[:, -1:], resolved)
    if groups:
        members = np.full((len(groups), logits.shape[1]), -np.inf, np.float32)
        for row, group in enumerate(groups):
            members[row, group] = 0.0
        group = tf.maximum(FIRST_GROUP - targets, 0)
        inside = tf.gather(tf.constant(members), group) + logits[:, None, :]
        best = tf.argmax(inside, axis=-1, output_type=tf.int32)
        resolved = tf.where(targets <= FIRST_GROUP, best, resolved)
    return resolved
