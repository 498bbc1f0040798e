"""A classifier and how it is to be explained: what every traced graph of an engine begins with."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from transforms.errors import ModelError, UnknownClassError
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


class Program:
    """Calls a classifier inside a trace and finds its parts there.

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

    @property
    def is_fixed(self) -> bool:
        """Whether its weights stay what they are."""
        return True

    def normalised(self, images: tf.Tensor) -> tf.Tensor:
        """What the model takes of uint8 RGB images of shape (N, H, W, 3): float32 of the same shape."""
        return normalised(images, self.request.preprocess)

    def dissect(self, values: tf.Tensor) -> Anatomy:
        """Calls the model on normalised images, float32 of shape (N, H, W, 3), and finds its parts."""
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
