"""Which images the counterfactual stage uses: a sample of each class by stable hash, and donors among them.

A hash of the example's id decides, so that the sample is the same on any number of shards in any order.
"""

import dataclasses
import hashlib
import math
from collections.abc import Mapping, Sequence

from transforms.records import Example

# Donors in all, which every worker holds as encoded bytes; and of one class.
_MOST_DONORS, MOST_DONORS_OF_CLASS = 1024, 64
# Classes that lend their backgrounds to one class: each has its own histogram.
_DONOR_CLASSES = 6


# A tested image costs as much as four explained ones: so much of a run is some 15 % of its time.
_LEAST_BUDGET, _BUDGET_SHARE = 2000, 0.04
# Images of a class that show a gap of 0.3 three times out of four.
_LEAST_TESTED = 50


@dataclasses.dataclass(frozen=True)
class Sample:
    """Up to which rank an image of a class is tested, and up to which it lends its background; inclusive.

    `tested` is -1 for a class that is not tested.
    """

    tested: int
    lending: int


def rank(example_id: str) -> int:
    """A number in [0, 2^63) that depends on the id alone."""
    return int.from_bytes(hashlib.sha256(example_id.encode()).digest()[:8]) >> 1


def plan_samples(
    ranks: Mapping[str, Sequence[int]],
    images_per_class: int,
    budget: int,
    suspicion: Mapping[str, float],
    least: int = _LEAST_TESTED,
) -> dict[str, Sample]:
    """How deep each class is sampled.

    Args:
        ranks: class name -> ranks of its images, ascending, at least the smallest `images_per_class` and
            MOST_DONORS_OF_CLASS of them.
        images_per_class: images that are tested of a class, if the budget allows.
        budget: images that are tested in all. Classes share it equally.
        suspicion: class name -> how much the heatmaps speak against it; the more the larger.
        least: images of a class below which a test would show too little. Where the shares are smaller, as
            many classes as the budget allows get so many each, the most suspicious first, the others none.
    """
    if not ranks:
        return {}
    share = min(images_per_class, budget // len(ranks))
    tested = set(ranks)
    if share < least:
        share = min(images_per_class, least)
        order = sorted(ranks, key=lambda name: (-suspicion.get(name, -math.inf), rank(name)))
        tested = set(order[: max(1, budget // share)])
    lending = min(MOST_DONORS_OF_CLASS, max(2, _MOST_DONORS // len(ranks)))
    return {
        name: Sample(found[:share][-1] if name in tested else -1, found[:lending][-1])
        for name, found in sorted(ranks.items())
        if found
    }


def budget_of(images: int) -> int:
    """How many of the images of a run are tested unless the config says otherwise."""
    return max(_LEAST_BUDGET, int(images * _BUDGET_SHARE))


def names_with_boxes(example: Example) -> list[str]:
    """The class names of an example's boxes but ignored ones, each once, in order."""
    return list(dict.fromkeys(box.name for box in example.boxes if not box.ignored))


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
            found = [d for d in self._drawn(example, name, other) if not _shows(d, name)]
            if found:
                return other, found
        return "", []

    def _drawn(self, example: Example, name: str, of: str) -> list[Example]:
        others = [donor for donor in self.of_class.get(of, ()) if not _same_unit(donor, example)]
        drawn_by = _prefix(example, name)
        return sorted(others, key=lambda donor: rank(drawn_by + donor.example_id))


def _shows(example: Example, name: str) -> bool:
    """Whether a class stands on an image, be it in an ignored crowd."""
    return any(box.name == name for box in example.boxes)


def _prefix(example: Example, name: str) -> str:
    """What donors are drawn by: the images of a cluster, one unit of evidence, all get the same."""
    return f"{example.cluster or example.example_id}\x1f{name}\x1f"


def _same_unit(one: Example, other: Example) -> bool:
    return one.example_id == other.example_id or (one.cluster is not None and one.cluster == other.cluster)
