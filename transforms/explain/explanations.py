"""What an engine returns, and the parts of it that are filled one after the other."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from transforms.explain.targets import NO_TARGET


@dataclasses.dataclass(frozen=True)
class Explanations:
    """What the engine returns for N images with T targets each.

    Attributes:
        targets: int32 of shape (N, T): the class index that each target resolved to, NO_TARGET where
            there was none.
        layers: for each layer and method float32 of shape (N, T, h, w): ReLU'd, raw, on the layer's own
            grid; all zero where there was no target.
        logits: float32 of shape (N, K).
        out_of_memory: rows of images that did not fit into memory even alone; their values are all zero, and
            they have no target.
    """

    targets: NDArray[np.int32]
    layers: dict[str, dict[str, NDArray[np.float32]]]
    logits: NDArray[np.float32]
    out_of_memory: tuple[int, ...] = ()

    @classmethod
    def blank(
        cls,
        shape: tuple[int, int],
        map_sizes: Mapping[str, tuple[int, int]],
        methods: Sequence[str],
        classes: int,
    ) -> "Explanations":
        """All zero and without a target.

        Args:
            shape: N and T.
            map_sizes: layer -> h and w.
            methods: of each layer.
            classes: K.
        """
        layers = {
            layer: {method: np.zeros((*shape, *size), np.float32) for method in methods}
            for layer, size in map_sizes.items()
        }
        return cls(np.full(shape, NO_TARGET, np.int32), layers, np.zeros((shape[0], classes), np.float32))

    @property
    def heatmaps(self) -> dict[str, NDArray[np.float32]]:
        """The heatmaps of the first layer, by method."""
        return next(iter(self.layers.values()))


@dataclasses.dataclass(frozen=True)
class Part:
    """Some images of a call, and where it is written what they show; all are views of the call's arrays.

    Attributes:
        first: the row of its first image in the call.
    """

    first: int
    images: NDArray[np.uint8]
    targets: NDArray[np.int32]
    found: Explanations

    def __getitem__(self, rows: slice) -> "Part":
        layers = {
            layer: {method: values[rows] for method, values in maps.items()}
            for layer, maps in self.found.layers.items()
        }
        found = Explanations(self.found.targets[rows], layers, self.found.logits[rows])
        return Part(self.first + rows.start, self.images[rows], self.targets[rows], found)

    def clear(self) -> None:
        """Takes back what has been found."""
        self.found.targets[:] = NO_TARGET
        self.found.logits[:] = 0.0
        for maps in self.found.layers.values():
            for values in maps.values():
                values[:] = 0.0
