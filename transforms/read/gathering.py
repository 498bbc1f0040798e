"""The annotations of many images, whose rows may come in any order, in about fifty bytes each.

A file with a million annotations fits into memory so, where a million Python objects would not.
"""

import dataclasses
from array import array
from collections.abc import Iterator

import numpy as np

from transforms.errors import RecordError
from transforms.records import Box

_BOX, _LABEL, _IGNORED = 0, 1, 2


@dataclasses.dataclass(frozen=True)
class Annotations:
    """What is annotated on one image, in the order of the file."""

    boxes: list[Box]
    labels: list[str]


class Gathering:
    """Takes annotations in any order and gives them back image by image.

    An image with a bad annotation is bad: measured by the others alone, it would be measured wrongly.
    """

    def __init__(self) -> None:
        self._images: dict[str, int] = {}
        self._names: dict[str, int] = {}
        self._errors: dict[int, RecordError] = {}
        self._image_of, self._name_of = array("q"), array("q")
        self._kind_of = array("b")
        self._edges = array("d")  # four for each annotation
        self._outlines: dict[int, bytes] = {}

    def add_image(self, image: str) -> int:
        """Notes an image, which may have no annotation at all; its index in the order of arrival."""
        return self._images.setdefault(image, len(self._images))

    def add_box(self, image: str, box: Box) -> None:
        """Notes a box of an image."""
        edges = (box.xmin, box.ymin, box.xmax, box.ymax)
        self.add_edges(image, box.name, edges, box.ignored, box.outline)

    def add_edges(
        self,
        image: str,
        name: str,
        edges: tuple[float, float, float, float],
        ignored: bool = False,
        outline: bytes | None = None,
    ) -> None:
        """Notes a box of an image, whose xmin, ymin, xmax, ymax nobody has checked yet."""
        if outline is not None:
            self._outlines[len(self._image_of)] = outline
        self._add(image, name, _IGNORED if ignored else _BOX, edges)

    def add_label(self, image: str, name: str) -> None:
        """Notes a class of an image that has no box."""
        self._add(image, name, _LABEL, (0.0, 0.0, 0.0, 0.0))

    def _add(self, image: str, name: str, kind: int, edges: tuple[float, float, float, float]) -> None:
        self._image_of.append(self.add_image(image))
        self._name_of.append(self._names.setdefault(name, len(self._names)))
        self._kind_of.append(kind)
        self._edges.extend(edges)

    def fail(self, image: str, error: RecordError) -> None:
        """Notes that an annotation of an image is bad; the first reason stays."""
        self._add(image, "", _LABEL, (0.0, 0.0, 0.0, 0.0))
        self._errors.setdefault(self.add_image(image), error)

    def gathered(self) -> "Gathered":
        """All that was taken, sorted by image; nothing may be added after that."""
        images = np.frombuffer(self._image_of, np.int64)
        order = np.argsort(images, kind="stable")
        starts = np.searchsorted(images[order], np.arange(len(self._images) + 1))
        return Gathered(
            self._images,
            list(self._names),
            self._errors,
            order,
            starts,
            np.frombuffer(self._name_of, np.int64),
            np.frombuffer(self._kind_of, np.int8),
            np.frombuffer(self._edges, np.float64).reshape(-1, 4),
            self._outlines,
        )


@dataclasses.dataclass(frozen=True)
class Gathered:
    """Annotations by image.

    Attributes:
        images: name of each image and its index, in the order of arrival.
        names: the class names.
        errors: index of an image and what is wrong with its annotations.
        order: the annotations sorted by image, shape (annotations,).
        starts: where each image's part of `order` begins, shape (images + 1,).
        name_of: index into `names` of each annotation.
        kind_of: whether each annotation is a box, an ignored one, or a label without one.
        edges: xmin, ymin, xmax, ymax of each annotation.
        outlines: of the annotations that have one.
    """

    images: dict[str, int]
    names: list[str]
    errors: dict[int, RecordError]
    order: np.typing.NDArray[np.int64]
    starts: np.typing.NDArray[np.int64]
    name_of: np.typing.NDArray[np.int64]
    kind_of: np.typing.NDArray[np.int8]
    edges: np.typing.NDArray[np.float64]
    outlines: dict[int, bytes]

    def __iter__(self) -> Iterator[str]:
        return iter(self.images)

    def count(self, image: str) -> int:
        """How many annotations an image has, good or bad."""
        index = self.images[image]
        return int(self.starts[index + 1] - self.starts[index])

    def of(self, image: str) -> Annotations:
        """What is annotated on an image; nothing for one that never came.

        Raises:
            RecordError: as given to `fail`.
        """
        index = self.images.get(image)
        if index is None:
            return Annotations([], [])
        if index in self.errors:
            raise self.errors[index]
        boxes, labels = [], []
        for annotation in self.order[self.starts[index] : self.starts[index + 1]]:
            name, kind = self.names[self.name_of[annotation]], self.kind_of[annotation]
            if kind == _LABEL:
                labels.append(name)
            else:
                xmin, ymin, xmax, ymax = self.edges[annotation].tolist()
                outline = self.outlines.get(int(annotation))
                boxes.append(Box(name, xmin, ymin, xmax, ymax, bool(kind == _IGNORED), outline))
        return Annotations(boxes, labels)
