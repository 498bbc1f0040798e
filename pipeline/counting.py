"""CountOutcomes: what became of every record, counted in the pipeline.

The manifest's totals come from here and not from Beam's metrics, which count a retried bundle twice.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam

from transforms.explain.decode import Decoding, boxed_size
from transforms.explain.explainer import ModelSpec
from transforms.labels import names_of
from transforms.outcomes import Outcome
from transforms.read.defects import defects_of
from transforms.records import DeadLetter, Example, Score

_Key = tuple[str, ...]


@dataclasses.dataclass
class CountOutcomes(beam.PTransform):
    """A dict of PCollections -> (key, count) pairs, keys as `transforms.write.manifest.Counts` has them.

    Takes `examples` and `unread` (dead letters of reading), which together are the records read, all
    `dead_letters` and `scores`, and `recalled` outcomes of a run that is resumed, where there is one.
    """

    specs: Sequence[ModelSpec]
    allowed_classes: Sequence[str] = ()
    decoding: Decoding = Decoding()  # noqa: RUF009  (immutable)

    def expand(self, outcomes: Any) -> Any:
        keys = {
            "examples": beam.FlatMap(_of_example, self.specs, self.allowed_classes, self.decoding),
            "unread": beam.Map(_record),
            "dead_letters": beam.Map(_reason),
            "scores": beam.Map(_status),
            "recalled": beam.Map(_recalled),
        }
        counts = [
            outcomes[name]
            | f"Name_{name}" >> naming.with_output_types(_Key)
            | f"Count_{name}" >> beam.combiners.Count.PerElement()
            for name, naming in keys.items()
            if name in outcomes
        ]
        # Joined after the count: a Flatten before it would hold one key for every record.
        return counts | beam.Flatten() | beam.CombinePerKey(sum)


def _of_example(
    example: Example, specs: Sequence[ModelSpec], allowed: Sequence[str], decoding: Decoding
) -> Iterator[_Key]:
    yield ("records",)
    size = None if example.relative else boxed_size(example.image, decoding)
    for defect in defects_of(example, size).elements():
        yield ("defect", defect)
    for entry in example.slices:
        yield ("slice", entry.key)
    if example.cluster is not None:
        yield ("clustered",)
    names = names_of(example)
    for name in names:
        if name in allowed:
            yield ("allowed", name)
    for spec in specs:
        for name in spec.class_map.unmapped(names):
            yield ("unmapped", spec.settings.name, name)


def _record(_: DeadLetter) -> _Key:
    return ("records",)


def _reason(letter: DeadLetter) -> _Key:
    return ("dead_letters", letter.error)


def _status(score: Score) -> _Key:
    return ("status", score.model, score.method, score.status)


def _recalled(_: Outcome) -> _Key:
    return ("recalled",)
