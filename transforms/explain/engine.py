"""The engine: one frozen graph from uint8 images to heatmaps, NumPy in and NumPy out.

The model is traced once with its preprocessing inside, the gradient of the target's logit with respect
to the cut is taken in that same graph (so only the head is differentiated), every method is computed
from the same activations and gradients, and the whole is frozen, which lets TensorFlow's optimiser fold
batch normalisation into the convolutions.
"""

import dataclasses
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from transforms.errors import ModelError, UnknownClassError
from transforms.explain import model as models
from transforms.explain.loading import Classifier, load_classifier
from transforms.explain.methods import METHODS
from transforms.explain.settings import Preprocess
from transforms.explain.targets import FIRST_GROUP, NO_TARGET, PREDICTED, RUNNER_UP

# Target columns that one traced graph takes; more targets for an image mean another pass.
_MAX_COLUMNS = 8
# Above this, folding the weights into the graph costs more time than the folded graph saves.
_MAX_FROZEN_BYTES = 256 * 2**20


@dataclasses.dataclass(frozen=True)
class Explanations:
    """What the engine returns for N images with T targets each.

    Attributes:
        targets: int32 of shape (N, T): the class index that each target resolved to, NO_TARGET where
            there was none.
        heatmaps: for each method float32 of shape (N, T, h, w): ReLU'd, raw, on the cut's own grid;
            all zero where there was no target.
        logits: float32 of shape (N, K).
    """

    targets: NDArray[np.int32]
    heatmaps: dict[str, NDArray[np.float32]]
    logits: NDArray[np.float32]


class Engine:
    """Batched CAM heatmaps of one classifier. Thread-safe; made by `load_engine`.

    Attributes:
        methods: the CAM methods, in the order they were asked for.
        batch_size: images in one pass; any number may be given, the tail is padded.
        input_size: height and width in pixels of the images it takes.
        map_size: height and width of the heatmaps.
        classes: number of classes K.
        target_layer: the layer that is explained.
        logits_tensor: name of the logits in the traced graph.
        head: `softmax`, `sigmoid` or `linear`: the activation found after the logits.
        candidates: layer name -> (h, w, C) of every layer that could be explained instead.
    """

    def __init__(
        self,
        classifier: Classifier,
        *,
        methods: Sequence[str],
        target_layer: str,
        batch_size: int,
        preprocess: Preprocess,
        groups: Sequence[Sequence[int]],
        output: str | int | None = None,
    ) -> None:
        self._classifier = classifier
        self._preprocess = preprocess
        self._groups = [list(group) for group in groups]
        self._requested_layer = target_layer
        self._output = output
        self._functions: dict[int, Any] = {}
        self._lock = threading.Lock()
        self.methods = tuple(methods)
        self.batch_size = batch_size
        self.input_size = models.input_size(classifier, preprocess.size)
        anatomy = self._trace(columns=1)
        self.map_size: tuple[int, int] = tuple(anatomy.cut.shape[1:3])
        self.classes = int(anatomy.logits.shape[1])
        self.target_layer = anatomy.target_layer
        self.logits_tensor: str = anatomy.logits.name
        self.head = anatomy.head
        self.candidates = anatomy.candidates

    def __call__(self, images: NDArray[np.uint8], targets: NDArray[np.int32]) -> Explanations:
        """Explains N images for T targets each.

        Args:
            images: uint8 of shape (N, H, W, 3), RGB, already of the model's size.
            targets: int32 of shape (N, T): a class index, or -1 for the predicted class, -2 for the
                runner-up, -3 for no target, -10 - g for the class of group g with the highest logit.

        Raises:
            ValueError: a shape, a type or a target is not of that kind.
        """
        images, targets = self._checked(images, targets)
        count, columns = targets.shape
        resolved = np.full((count, columns), NO_TARGET, np.int32)
        heatmaps = {m: np.zeros((count, columns, *self.map_size), np.float32) for m in self.methods}
        logits = np.zeros((count, self.classes), np.float32)
        for first in range(0, count, self.batch_size):
            rows = slice(first, first + self.batch_size)
            for left in range(0, max(columns, 1), _MAX_COLUMNS):
                part = targets[rows, left : left + _MAX_COLUMNS]
                block = (rows, slice(left, left + part.shape[1]))
                resolved[block], logits[rows], maps = self._explain(images[rows], part)
                for method, values in zip(self.methods, maps, strict=True):
                    heatmaps[method][block] = values
        return Explanations(resolved, heatmaps, logits)

    def probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """The probabilities that the head makes of the logits, same shape.

        A head without activation is read as softmax, which is how its training loss reads it.
        """
        values = logits.astype(np.float64)
        if self.head == "sigmoid":
            return np.asarray(0.5 * (1 + np.tanh(values / 2)))
        exponentials = np.exp(values - values.max(axis=-1, keepdims=True))
        return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))

    def _explain(self, images: NDArray[np.uint8], targets: NDArray[np.int32]) -> tuple[Any, Any, list[Any]]:
        """One pass: up to `batch_size` images and `_MAX_COLUMNS` targets, padded to a traced shape."""
        count, wanted = targets.shape
        columns = 1 << max(0, wanted - 1).bit_length()
        padded = np.full((self.batch_size, columns), NO_TARGET, np.int32)
        padded[:count, :wanted] = targets
        if count < self.batch_size:
            full = np.zeros((self.batch_size, *images.shape[1:]), np.uint8)
            full[:count] = images
            images = full
        outputs = self._function(columns)(tf.constant(images), tf.constant(padded))
        resolved, logits, *maps = (output.numpy()[:count] for output in outputs)
        return resolved[:, :wanted], logits, [values[:, :wanted] for values in maps]

    def _function(self, columns: int) -> Any:
        with self._lock:
            if columns not in self._functions:
                self._trace(columns)
            return self._functions[columns]

    def _trace(self, columns: int) -> models.Anatomy:
        """Traces, differentiates and freezes the graph for that many target columns."""
        found: list[models.Anatomy] = []

        def explain(images: tf.Tensor, targets: tf.Tensor) -> list[tf.Tensor]:
            anatomy = models.dissect(
                self._classifier,
                _normalised(images, self._preprocess),
                self._requested_layer,
                self._output,
            )
            found.append(anatomy)
            self._check_groups(int(anatomy.logits.shape[1]))
            logits, cut = tf.cast(anatomy.logits, tf.float32), anatomy.cut
            resolved = _resolve(targets, logits, self._groups)
            maps: dict[str, list[tf.Tensor]] = {method: [] for method in self.methods}
            for column in range(columns):
                wanted = tf.one_hot(resolved[:, column], logits.shape[1])
                gradients = tf.gradients(logits, cut, grad_ys=wanted)[0]
                if gradients is None:
                    raise ModelError(f"the logits do not depend on target_layer {anatomy.target_layer!r}")
                for method in self.methods:
                    signed = METHODS[method](tf.cast(cut, tf.float32), tf.cast(gradients, tf.float32))
                    maps[method].append(tf.nn.relu(signed))
            return [resolved, logits, *(tf.stack(maps[method], axis=1) for method in self.methods)]

        height, width = self.input_size
        concrete = tf.function(explain, autograph=False).get_concrete_function(
            tf.TensorSpec((self.batch_size, height, width, 3), tf.uint8),
            tf.TensorSpec((self.batch_size, columns), tf.int32),
        )
        if self._classifier.weight_bytes <= _MAX_FROZEN_BYTES:
            concrete = convert_variables_to_constants_v2(concrete)
        self._functions[columns] = concrete
        return found[0]

    def _check_groups(self, classes: int) -> None:
        for index in (index for group in self._groups for index in group):
            if not 0 <= index < classes:
                raise UnknownClassError(index, classes)

    def _checked(self, images: Any, targets: Any) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        images, targets = np.asarray(images), np.asarray(targets)
        height, width = self.input_size
        if images.dtype != np.uint8 or images.shape[1:] != (height, width, 3):
            raise ValueError(
                f"images are {images.dtype} of shape {images.shape}; "
                f"uint8 of shape (N, {height}, {width}, 3) is needed"
            )
        if targets.ndim != 2 or len(targets) != len(images) or targets.dtype.kind != "i":
            raise ValueError(
                f"targets are {targets.dtype} of shape {targets.shape}; "
                f"int32 of shape ({len(images)}, T) is needed"
            )
        last_group = FIRST_GROUP - len(self._groups) + 1
        valid = ((targets >= NO_TARGET) & (targets < self.classes)) | (
            (targets <= FIRST_GROUP) & (targets >= last_group)
        )
        if not valid.all():
            raise ValueError(
                f"target {targets[~valid][0]} is neither a class in 0..{self.classes - 1}, "
                "nor -1 (predicted), -2 (runner-up) or -3 (none), "
                f"nor one of {len(self._groups)} groups from -10 down"
            )
        return images, targets.astype(np.int32)


def load_engine(
    path: str,
    methods: Sequence[str] = ("gradcam",),
    target_layer: str = "auto",
    batch_size: int = 32,
    precision: str = "float32",
    preprocess: Preprocess | Mapping[str, Any] | None = None,
    groups: Sequence[Sequence[int]] = (),
    output: str | int | None = None,
) -> Engine:
    """Loads a classifier and compiles its explanation.

    Args:
        path: a `.keras` or `.h5` file, or a SavedModel folder.
        methods: names from `transforms.explain.methods.METHODS`.
        target_layer: `auto` finds the last feature map before the head; or the name of a Keras layer.
        batch_size: images in one pass.
        precision: `float32`, or `bfloat16` to let oneDNN compute in bfloat16. The switch is global to the
            process: use one precision in one process.
        preprocess: what happens between uint8 RGB pixels and the model, or the same as a config says it,
            such as `{"scale": [-1, 1]}`; None feeds float32 0..255.
        groups: groups of class indexes that targets of -10 and below refer to.
        output: name or index of the output that holds the scores; needed where there are several.

    Raises:
        ModelError: the file is missing or no classifier, or a method, layer or class is unknown.
        pydantic.ValidationError: `preprocess` is a mapping with an unknown key or a wrong value.
    """
    unknown = [method for method in methods if method not in METHODS]
    if unknown:
        raise ModelError(f"method {unknown[0]!r} is unknown; methods: {', '.join(METHODS)}")
    tf.config.optimizer.set_experimental_options(
        {"auto_mixed_precision_onednn_bfloat16": precision == "bfloat16"}
    )
    return Engine(
        load_classifier(path),
        methods=methods,
        target_layer=target_layer,
        batch_size=batch_size,
        preprocess=Preprocess.model_validate(preprocess or {}),
        groups=groups,
        output=output,
    )


def devices() -> list[str]:
    """What TensorFlow can compute on, such as `CPU` and `GPU:0`."""
    return [device.name.removeprefix("/physical_device:") for device in tf.config.list_physical_devices()]


def _normalised(images: tf.Tensor, preprocess: Preprocess) -> tf.Tensor:
    """Channels, scale, mean and std, in that order; uint8 in, float32 out."""
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


def _resolve(targets: tf.Tensor, logits: tf.Tensor, groups: Sequence[Sequence[int]]) -> tf.Tensor:
    """Turns predicted, runner-up and group targets into class indexes; shape (N, T)."""
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
