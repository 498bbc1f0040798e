"""The engine: one graph from uint8 images to heatmaps, NumPy in and NumPy out.

The model is traced once, with batch normalisation folded into its convolutions, and copied into each graph
with the preprocessing before it. The gradient of the target's logit with respect to the cut is taken in the
same graph (so only the head is differentiated), and every method is computed from the same activations and
gradients.
"""

import contextlib
import dataclasses
import functools
import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from transforms.errors import ModelError
from transforms.explain.devices import compiled
from transforms.explain.explanations import Explanations, Part
from transforms.explain.guided import guided_gradients
from transforms.explain.methods import METHODS, guided_backprop, guided_gradcam, maps_of
from transforms.explain.model import Anatomy, list_candidates
from transforms.explain.perturb import Perturbation
from transforms.explain.program import Program, map_of, resolve
from transforms.explain.reinitialised import Reinitialised
from transforms.explain.settings import PERTURBATION_METHODS
from transforms.explain.targets import FIRST_GROUP, NO_TARGET
from transforms.explain.turns import turns

# Target columns that one traced graph takes; more targets for an image mean another pass.
_MAX_COLUMNS = 8


class Engine:
    """Batched CAM heatmaps of one classifier. Thread-safe; made by `load_engine`.

    Attributes:
        methods: the CAM methods, in the order they were asked for.
        batch_size: images in one pass; any number may be given, the tail is padded. Halved where a batch
            does not fit into memory.
        input_size: height and width in pixels of the images it takes.
        classes: number of classes K.
        map_sizes: name of each explained layer -> height and width of its heatmaps.
        separates: name of each explained layer -> whether the image reaches the logits through it only.
        behind: name of each explained layer -> operations with weights between it and the logits.
        target_layer: the first layer that is explained.
        map_size: height and width of its heatmaps.
        logits_tensor: name of the logits in the traced graph.
        head: `softmax`, `sigmoid` or `linear`: the activation found after the logits; `binary` for one logit,
            read as two classes; `function` for a user's own scores.
        candidates: layer name -> (h, w, C) of every layer that could be explained instead.
    """

    def __init__(
        self,
        program: Program,
        *,
        methods: Sequence[str],
        batch_size: int,
        channel_budget: int = 256,
    ) -> None:
        self._program = program
        self._channel_budget = channel_budget
        self._functions: dict[tuple[int, int], Any] = {}
        self._lock = threading.RLock()
        self._turns = turns()
        self._seen_gradients = False
        self.methods = tuple(methods)
        self.batch_size = batch_size
        self.input_size = self._program.image_input.size
        anatomy = self._trace(columns=1)
        for cut in anatomy.cuts:
            if "cam" in methods and cut.not_cam is not None:
                raise ModelError(
                    "method cam needs a head of global average pooling and linear layers; "
                    f"behind {cut.name!r} there is {cut.not_cam}"
                )
        self.map_sizes = {cut.name: cut.map_size for cut in anatomy.cuts}
        if len(self.map_sizes) != len(anatomy.cuts):
            raise ModelError(f"target_layer names a layer twice: {', '.join(c.name for c in anatomy.cuts)}")
        self.separates = {cut.name: cut.separates for cut in anatomy.cuts}
        self.behind = {cut.name: cut.behind for cut in anatomy.cuts}
        self.target_layer, self.map_size = next(iter(self.map_sizes.items()))
        self.classes = int(anatomy.logits.shape[1])
        self.logits_tensor = anatomy.logits_tensor
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
            ModelError: the gradient of the logits is zero everywhere.
        """
        images, targets = self._checked(images, targets)
        found = Explanations.blank(targets.shape, self.map_sizes, self.methods, self.classes)
        call, size = Part(0, images, targets, found), self.batch_size
        parts = [call[first : first + size] for first in range(0, len(images), size)]
        too_large = self._turns.map(self._fill, parts)
        return dataclasses.replace(found, out_of_memory=tuple(itertools.chain(*too_large)))

    def reinitialised(self, method: str) -> tuple["Engine", Reinitialised]:
        """The same engine for one method and the same layers, and the program by which its weights are drawn.

        Args:
            method: one of `methods`.
        """
        program = Reinitialised(self._program, self.batch_size)
        control = Engine(
            program, methods=[method], batch_size=self.batch_size, channel_budget=self._channel_budget
        )
        control._seen_gradients = True  # in a control no gradient at all is a result, not an error
        return control, program

    def pixels(self, images: NDArray[np.uint8], targets: NDArray[np.int32]) -> dict[str, NDArray[np.float32]]:
        """Guided backpropagation and Guided Grad-CAM, for overlays: one image at a time.

        Args:
            images: as for a call.
            targets: as for a call.

        Returns:
            `guided_backprop` and `guided_gradcam`, float32 of shape (N, T, H, W), 0 and above.

        Raises:
            ModelError: the model has no ReLU.
        """
        found = self(images, targets)
        gradcam = METHODS["gradcam"]
        shape = (*found.targets.shape, *self.input_size)
        maps = {"guided_backprop": np.zeros(shape, np.float32), "guided_gradcam": np.zeros(shape, np.float32)}
        for row, column in np.ndindex(found.targets.shape):
            image, target = tf.constant(images[row : row + 1]), tf.constant(found.targets[row, column][None])
            gradients = self._guided(image, target)
            activations, slopes = self._at_the_cut(image, target)
            heatmap = tf.nn.relu(gradcam(activations, slopes))[..., None]
            upsampled = tf.image.resize(heatmap, self.input_size, method="bilinear")[..., 0]
            maps["guided_backprop"][row, column] = guided_backprop(gradients)[0].numpy()
            maps["guided_gradcam"][row, column] = guided_gradcam(gradients, upsampled)[0].numpy()
        return maps

    def probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """The probabilities that the head makes of the logits, same shape.

        A head without activation is read as softmax, which is how its training loss reads it.
        """
        values = logits.astype(np.float64)
        if self.head in ("sigmoid", "binary"):
            return np.asarray(0.5 * (1 + np.tanh(values / 2)))
        exponentials = np.exp(values - values.max(axis=-1, keepdims=True))
        return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))

    def _fill(self, part: Part) -> list[int]:
        """Explains some images; returns the rows of those that did not fit into memory even alone."""
        too_large = []
        while len(part.images):
            batch = self.batch_size
            if self._fits(part[0:batch], batch):
                part = part[batch : len(part.images)]
            elif batch > 1:
                self._halve(batch)
            else:
                too_large.append(part.first)
                part[0:1].clear()
                part = part[1 : len(part.images)]
        return too_large

    def _fits(self, part: Part, batch: int) -> bool:
        """Explains up to a batch of images in one pass, if memory allows it."""
        for turn in (self._turns.beside, self._turns.alone) if batch == 1 else (self._turns.beside,):
            with contextlib.suppress(tf.errors.ResourceExhaustedError), turn():
                self._pass(part, batch)
                return True
        return False

    def _pass(self, part: Part, batch: int) -> None:
        targets, found = part.targets, part.found
        for left in range(0, max(targets.shape[1], 1), _MAX_COLUMNS):
            columns = slice(left, min(left + _MAX_COLUMNS, targets.shape[1]))
            found.targets[:, columns], found.logits[:], maps = self._explain(
                part.images, targets[:, columns], batch
            )
            for layer, values in maps.items():
                for method, heatmaps in values.items():
                    found.layers[layer][method][:, columns] = heatmaps
        perturbed = [method for method in self.methods if method in PERTURBATION_METHODS]
        asked = (found.targets != NO_TARGET).any(axis=1) if perturbed else np.zeros(0, bool)
        for row in np.flatnonzero(asked):
            for layer, alone in self._perturbation.explain(part.images[row], found.targets[row]).items():
                for method in perturbed:
                    found.layers[layer][method][row] = alone[method]

    def _explain(
        self, images: NDArray[np.uint8], targets: NDArray[np.int32], batch: int
    ) -> tuple[Any, Any, dict[str, dict[str, Any]]]:
        """One pass: up to a batch of images and `_MAX_COLUMNS` targets, padded to a traced shape."""
        count, wanted = targets.shape
        columns = 1 << max(0, wanted - 1).bit_length()
        padded = np.full((batch, columns), NO_TARGET, np.int32)
        padded[:count, :wanted] = targets
        if count < batch:
            full = np.zeros((batch, *images.shape[1:]), np.uint8)
            full[:count] = images
            images = full
        outputs = self._function(columns, batch)(tf.constant(images), tf.constant(padded))
        resolved, logits, *flat = (output.numpy()[:count] for output in outputs)
        if not self._seen_gradients and flat and (resolved != NO_TARGET).any():
            self._expect_gradients(any(values.any() for values in flat))
        values = iter(flat)
        maps = {
            layer: {method: next(values)[:, :wanted] for method in self._cheap} for layer in self.map_sizes
        }
        return resolved[:, :wanted], logits, maps

    @property
    def _cheap(self) -> list[str]:
        """The methods that come out of one forward and one backward pass, all of them together."""
        return [method for method in self.methods if method in METHODS]

    def _function(self, columns: int, batch: int) -> Any:
        with self._lock:
            if (columns, batch) not in self._functions:
                self._trace(columns, batch)
            return self._functions[columns, batch]

    def _halve(self, batch: int) -> None:
        """Halves the batch size after one that did not fit."""
        with self._lock:
            if self.batch_size == batch:  # else another thread has halved it meanwhile
                self.batch_size = batch // 2
                self._functions.clear()
                self.__dict__.pop("_perturbation", None)  # made for the old batch size

    def _trace(self, columns: int, batch: int | None = None) -> Anatomy:
        """Traces and differentiates the graph for that many target columns."""
        found: list[Anatomy] = []
        batch = batch or self.batch_size

        def explain(images: tf.Tensor, targets: tf.Tensor) -> list[tf.Tensor]:
            anatomy = self._program.dissect(self._program.normalised(images))
            found.append(anatomy)
            resolved = resolve(targets, anatomy.logits, self._program.request.groups)
            activations = [map_of(cut.tensor, cut) for cut in anatomy.cuts]
            maps: list[list[tf.Tensor]] = [[] for _ in anatomy.cuts for _ in self._cheap]
            for column in range(columns):
                gradients = self._program.gradients(anatomy, resolved[:, column])
                signed = (
                    values
                    for cut, a, g in zip(anatomy.cuts, activations, gradients, strict=True)
                    for values in maps_of(self._cheap, a, g, cut.not_cam is None)
                )
                for collected, values in zip(maps, signed, strict=True):
                    collected.append(tf.nn.relu(values))
            return [resolved, anatomy.logits, *(tf.stack(collected, axis=1) for collected in maps)]

        self._functions[columns, batch] = self._compiled(
            explain, batch, tf.TensorSpec((batch, columns), tf.int32)
        )
        return found[0]

    def _compiled(self, function: Callable[..., Any], batch: int, *specs: tf.TensorSpec) -> Any:
        images = tf.TensorSpec((batch, *self.input_size, 3), tf.uint8)
        return compiled(function, [images, *specs])

    def _expect_gradients(self, seen: bool) -> None:
        """Tells a model whose gradient is zero everywhere from a first batch that happens to have no heat.

        Raises:
            ModelError: the gradients of random images for random classes are zero everywhere too.
        """
        if not seen:
            random = np.random.default_rng(0)
            largest = 0.0
            for _ in range(8):
                image = tf.constant(random.integers(0, 256, (1, *self.input_size, 3), np.uint8))
                target = tf.constant(random.integers(0, self.classes, 1, np.int32))
                largest = max(largest, float(tf.reduce_max(tf.abs(self._at_the_cut(image, target)[1]))))
            if largest == 0.0:
                raise ModelError(
                    f"the gradient of the logits with respect to target_layer {self.target_layer!r} is zero "
                    f"everywhere; candidates: {list_candidates(self.candidates)}"
                )
        self._seen_gradients = True

    @functools.cached_property
    def _at_the_cut(self) -> Any:
        """Activations and gradients at the first layer, for one image and one target."""

        def look(images: tf.Tensor, targets: tf.Tensor) -> list[tf.Tensor]:
            anatomy = self._program.dissect(self._program.normalised(images))
            gradients = self._program.gradients(anatomy, targets)
            return [map_of(anatomy.cuts[0].tensor, anatomy.cuts[0]), gradients[0]]

        return self._compiled(look, 1, tf.TensorSpec((1,), tf.int32))

    @functools.cached_property
    def _guided(self) -> Any:
        return guided_gradients(self._program, 1)

    @functools.cached_property
    def _perturbation(self) -> Perturbation:
        return Perturbation(self._program, self.methods, self.batch_size, self._channel_budget)

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
        groups = len(self._program.request.groups)
        valid = ((targets >= NO_TARGET) & (targets < self.classes)) | (
            (targets <= FIRST_GROUP) & (targets >= FIRST_GROUP - groups + 1)
        )
        if not valid.all():
            raise ValueError(
                f"target {targets[~valid][0]} is neither a class in 0..{self.classes - 1}, "
                "nor -1 (predicted), -2 (runner-up) or -3 (none), "
                f"nor one of {groups} groups from -10 down"
            )
        return images, targets.astype(np.int32)
