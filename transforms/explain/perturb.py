"""Score-CAM and Ablation-CAM: forward passes in which one channel acts alone, or is taken away.

Each image needs one forward pass for every channel, or for as many as the budget allows, so these methods
cost tens to thousands of times what the gradient methods cost.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from transforms.explain.devices import compiled
from transforms.explain.methods import ablationcam, scorecam
from transforms.explain.model import Anatomy, Cut
from transforms.explain.program import Program, map_of
from transforms.progress import PROGRESS

# For each layer and method, heatmaps of one image: float32 of shape (T, h, w).
Maps = dict[str, dict[str, NDArray[np.float32]]]


class Perturbation:
    """Computes the methods that need a forward pass for every channel, one image at a time.

    Args:
        program: the model.
        methods: `scorecam`, `ablationcam` or both.
        batch_size: channels in one forward pass.
        budget: the most channels of an image that are tried: those whose activations vary most over its
            positions; the others get no weight.
    """

    def __init__(self, program: Program, methods: Sequence[str], batch_size: int, budget: int) -> None:
        self._program, self._methods, self._batch, self._budget = program, methods, batch_size, budget
        height, width = program.image_input.size
        self._image = tf.TensorSpec((1, height, width, 3), tf.uint8)
        found: list[Anatomy] = []

        def look(images: tf.Tensor) -> list[tf.Tensor]:
            anatomy = program.dissect(program.normalised(images))
            found.append(anatomy)
            maps = [map_of(cut.tensor, cut) for cut in anatomy.cuts]
            return [anatomy.logits, *maps, *(cut.tensor for cut in anatomy.cuts)]

        self._look = compiled(look, [self._image])
        self._cuts = found[0].cuts
        self._masked = compiled(
            self._logits_of_masked,
            [self._image, tf.TensorSpec((batch_size, height, width), tf.float32)],
        )
        self._ablated = [
            self._without_channels(index, cut)
            for index, cut in enumerate(self._cuts)
            if "ablationcam" in methods
        ]

    def explain(self, image: NDArray[np.uint8], targets: NDArray[np.int32]) -> Maps:
        """The heatmaps of one image, after the ReLU.

        Args:
            image: uint8 of shape (H, W, 3).
            targets: class indexes, shape (T,); negative for no target, which gets a map of zeros.
        """
        pixels = tf.constant(image[None])
        logits, *rest = self._look(pixels)
        whole = logits.numpy()[0] * np.float32(self._program.sign)
        found: Maps = {}
        for index, cut in enumerate(self._cuts):
            activations, raw = rest[index], rest[len(self._cuts) + index]
            chosen = _most_varied(activations.numpy()[0], self._budget)
            kept = tf.gather(activations, chosen, axis=-1)
            scores = {}
            if "scorecam" in self._methods:
                mask = functools.partial(self._logits_behind_masks, pixels)
                scores["scorecam"] = self._rounds(tf.transpose(kept[0], (2, 0, 1)), mask)
            if "ablationcam" in self._methods:
                ablate = functools.partial(self._ablated[index], pixels, raw)
                scores["ablationcam"] = self._rounds(tf.constant(chosen, tf.int32), ablate)
            maps = found[cut.name] = {m: np.zeros((len(targets), *cut.map_size), np.float32) for m in scores}
            for column, target in enumerate(targets):
                if target < 0:
                    continue
                for method, values in scores.items():
                    of_target = values[None, :, target]
                    if method == "scorecam":
                        signed = scorecam(kept, of_target)
                    else:
                        signed = ablationcam(kept, whole[None, target], of_target)
                    maps[method][column] = tf.nn.relu(signed)[0].numpy()
        return found

    def _rounds(
        self, tensor: tf.Tensor, logits_of: Callable[[tf.Tensor], list[tf.Tensor]]
    ) -> NDArray[np.float32]:
        """Logits for every channel, shape (channels, K), in batches of which the last is padded."""
        logits = []
        for first in range(0, int(tensor.shape[0]), self._batch):
            part = tensor[first : first + self._batch]
            count = int(part.shape[0])
            padding = [[0, self._batch - count]] + [[0, 0]] * (part.shape.rank - 1)
            logits.append(logits_of(tf.pad(part, padding))[0].numpy()[:count])
            PROGRESS.add_channels(count)
        return np.concatenate(logits) * np.float32(self._program.sign)

    def _logits_behind_masks(self, pixels: tf.Tensor, channels: tf.Tensor) -> Any:
        return self._masked(pixels, self._masks(channels))

    def _logits_of_masked(self, image: tf.Tensor, masks: tf.Tensor) -> list[tf.Tensor]:
        return [self._program.dissect(self._program.normalised(image) * masks[..., None]).logits]

    def _masks(self, channels: tf.Tensor) -> tf.Tensor:
        """Each channel upsampled and scaled to 0..1, shape (B, H, W); a flat one masks everything."""
        size = self._program.image_input.size
        upsampled = tf.image.resize(channels[..., None], size, method="bilinear")[..., 0]
        low = tf.reduce_min(upsampled, axis=(1, 2), keepdims=True)
        high = tf.reduce_max(upsampled, axis=(1, 2), keepdims=True)
        return tf.math.divide_no_nan(upsampled - low, high - low)

    def _without_channels(self, index: int, cut: Cut) -> Any:
        """A function of an image, its cut and a batch of channels: the logits with each channel at zero.

        The cut is fed in the middle of the graph: where it separates the image from the logits, only the head
        is computed.
        """
        axis = next(i for i, parts in enumerate(cut.layout) if parts and parts[0].role == "channel")
        shape = cut.tensor.shape

        def without(image: tf.Tensor, raw: tf.Tensor, channels: tf.Tensor) -> list[tf.Tensor]:
            kept = 1 - tf.one_hot(channels, shape[axis], dtype=raw.dtype)
            alone = [self._batch, *(shape[i] if i == axis else 1 for i in range(1, shape.rank))]
            images = tf.tile(self._program.normalised(image), (self._batch, 1, 1, 1))
            return [self._program.dissect(images, {index: raw * tf.reshape(kept, alone)}).logits]

        return compiled(
            without,
            [
                self._image,
                tf.TensorSpec((1, *shape[1:]), cut.tensor.dtype),
                tf.TensorSpec((self._batch,), tf.int32),
            ],
        )


def _most_varied(activations: NDArray[np.float32], budget: int) -> NDArray[np.int64]:
    """The channels with the largest standard deviation over the positions of an image, in order of index."""
    spread = activations.std(axis=(0, 1))
    return np.sort(np.argsort(-spread, kind="stable")[:budget])
