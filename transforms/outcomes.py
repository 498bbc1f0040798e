"""What explaining made of one example, whole: kept while a run goes on, so that it can be resumed.

It travels like the elements of `transforms.records`, whose habits this file keeps.
"""

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from typing import List

from apache_beam import coders

from transforms.labels import Labelling
from transforms.records import DeadLetter, Example, Explanation


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Everything that the explain stage made of one example.

    Attributes:
        digest: of the example, by `digest_of`.
        source, position: as in `Example`.
        labellings: one where slices are computed and the image could be decoded.
    """

    digest: bytes
    source: str
    position: int
    explanations: List[Explanation]
    labellings: List[Labelling]
    dead_letters: List[DeadLetter]


for element in (Outcome,):
    coders.registry.register_row(element)

_EXAMPLE = coders.registry.get_coder(Example)


def digest_of(example: Example) -> bytes:
    """16 bytes by which an example is the same in another run: BLAKE2b of its image, boxes and all else."""
    return hashlib.blake2b(_EXAMPLE.encode(example), digest_size=16).digest()


def outcomes_of(
    batch: Sequence[Example], found: Iterable[Explanation | Labelling | DeadLetter]
) -> Iterable[Outcome]:
    """What was found, put together by example; one outcome for each example of the batch."""
    outcomes = {
        (example.source, example.position): Outcome(
            digest_of(example), example.source, example.position, [], [], []
        )
        for example in batch
    }
    for element in found:
        outcome = outcomes[element.source, element.position]
        if isinstance(element, Explanation):
            outcome.explanations.append(element)
        elif isinstance(element, Labelling):
            outcome.labellings.append(element)
        else:
            outcome.dead_letters.append(element)
    return outcomes.values()
