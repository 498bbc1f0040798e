"""Which images the counterfactual stage uses: a sample of each class by stable hash, and donors among them.

A hash of the example's id decides, so that the sample is the same on any number of shards in any order.
"""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence

from transforms.records import Example

# Donors in all, which every worker holds as encoded bytes; and of one class.
_MOST_DONORS, MOST_DONORS_OF_CLASS = 1024, 64
# Classes that lend their backgrounds to one class: each has its own histogram.
_DONOR_CLASSES = 6


@dataclasses.dataclass(frozen=True)
class Sample:
    """Up to which rank an image of a class is tested, and up to which it lends its background; inclusive."""

    tested: int
    lending: int


def rank(example_id: str) -> int:
    """A number in [0, 2^63) that depends on the id alone."""
    return int.from_bytes(hashlib.sha256(example_id.encode()).digest()[:8]) >> 1


def plan_samples(ranks: Mapping[str, Sequence[int]], images_per_class: int, budget: int) -> dict[str, Sample]:
    """How deep each class is sampled.

    Args:
        ranks: class name -> ranks of its images, ascending, at least the smallest `images_per_class` and
            MOST_DONORS_OF_CLASS of them.
        images_per_class: images that are tested of a class.
        budget: images that are tested in all; many classes get fewer each, but never less than one.
    """
    if not ranks:
        return {}
    tested = max(1, min(images_per_class, budget // len(ranks)))
    lending = min(MOST_DONORS_OF_CLASS, max(2, _MOST_DONORS // len(ranks)))
    return {
        name: Sample(found[:tested][-1], found[:lending][-1])
        for name, found in sorted(ranks.items())
        if found
    }


def names_with_boxes(example: Example) -> list[str]:
    """The class names of an example's boxes, each once, in order."""
    return list(dict.fromkeys(box.name for box in example.boxes))


@dataclasses.dataclass(frozen=True)
class Donors:
    """The images that lend their backgrounds, by class, each in order of rank."""

    of_class: Mapping[str, Sequence[Example]]

    @classmethod
    def among(cls, examples: Sequence[Example], samples: Mapping[str, Sample]) -> "Donors":
        """Sorts the pool, which may come in any order and hold an image twice."""
        unique = {example.example_id: example for example in examples}
        ordered = sorted(unique.values(), key=lambda example: (rank(example.example_id), example.example_id))
        return cls(
            {
                name: [
                    example
                    for example in ordered
                    if name in names_with_boxes(example) and rank(example.example_id) <= sample.lending
                ]
                for name, sample in samples.items()
            }
        )

    def same(self, example: Example, name: str) -> list[Example]:
        """Donors of the class itself for an image, best first; never itself, or another of its cluster.

        Which is best is drawn by a hash of both ids, so that a donor that is lacking changes nothing for
        the images that have others.
        """
        return self._drawn(example, name, name)

    def others(self, example: Example, name: str, strangers: Sequence[str]) -> tuple[str, list[Example]]:
        """Donors of another class, best first, and its name.

        Args:
            example: the image that is tested.
            name: the class that it is tested for; no donor shows it.
            strangers: names of classes that mean something else to the model.

        Returns:
            The first of the drawn classes that has a donor; an empty list where none has.
        """
        lenders = sorted(strangers, key=lambda other: rank(f"{name}\x1f{other}"))[:_DONOR_CLASSES]
        drawn_by = _prefix(example, name)
        for other in sorted(lenders, key=lambda other: rank(drawn_by + other)):
            found = [d for d in self._drawn(example, name, other) if name not in names_with_boxes(d)]
            if found:
                return other, found
        return "", []

    def _drawn(self, example: Example, name: str, of: str) -> list[Example]:
        others = [donor for donor in self.of_class.get(of, ()) if not _same_unit(donor, example)]
        drawn_by = _prefix(example, name)
        return sorted(others, key=lambda donor: rank(drawn_by + donor.example_id))


def _prefix(example: Example, name: str) -> str:
    """What donors are drawn by: the images of a cluster, one unit of evidence, all get the same."""
    return f"{example.cluster or example.example_id}\x1f{name}\x1f"


def _same_unit(one: Example, other: Example) -> bool:
    return one.example_id == other.example_id or (one.cluster is not None and one.cluster == other.cluster)
