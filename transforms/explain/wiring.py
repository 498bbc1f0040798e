"""ExplainExamples: the one heavy stage, in which images are decoded, batched and explained."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam

from transforms.explain.behind import Behind
from transforms.explain.explainer import Explainer, ModelSpec
from transforms.explain.settings import ExplainSettings
from transforms.explain.targets import plan_targets
from transforms.labels import Labelling, names_of
from transforms.outcomes import Outcome, outcomes_of
from transforms.records import DeadLetter, Example, Explanation

# Batches in work: while two are computed, the next is decoded and the one before put into words.
BATCHES = 3


@dataclasses.dataclass
class ExplainExamples(beam.PTransform):
    """Example -> Explanation, its computed slices, and a DeadLetter for each image that cannot be decoded.

    Decode, batch and explain stand in this one composite, so that a resource hint on it moves them
    together and only encoded bytes cross the stage boundary.

    Attributes:
        specs: the models.
        settings: which heatmaps.
        computed: slice columns to compute, of `transforms.columns.COMPUTED_COLUMNS`.
        keep: Outcome -> the same, and what is kept of it; or None to keep nothing.
        recalled: PCollection of Outcome of other examples, explained in an earlier run, or None.

    Returns:
        PCollections `explanations`, `labellings` (the computed slices of each example that is decoded, where
        there are any) and `dead_letters`.
    """

    specs: Sequence[ModelSpec]
    settings: ExplainSettings
    computed: Sequence[str] = ()
    keep: Any = None
    recalled: Any = None

    def expand(self, examples: beam.PCollection[Example]) -> Any:
        size = self.settings.batch_size
        outcomes = (
            examples
            | "WithTargets" >> beam.Filter(_has_target, self.specs, self.settings)
            | "Batch" >> beam.BatchElements(min_batch_size=size, max_batch_size=size)
            | "Explain"
            >> beam.ParDo(ExplainBatch(self.specs, self.settings, self.computed)).with_output_types(Outcome)
        )
        if self.keep is not None:
            outcomes = outcomes | "Keep" >> self.keep
        if self.recalled is not None:
            outcomes = (outcomes, self.recalled) | "WithRecalled" >> beam.Flatten()
        return outcomes | "Split" >> beam.ParDo(_Split()).with_output_types(
            Explanation, labellings=Labelling, dead_letters=DeadLetter
        ).with_outputs("labellings", "dead_letters", main="explanations")


class ExplainBatch(Behind):
    """Examples of one batch -> an Outcome for each, in their order."""

    def __init__(
        self, specs: Sequence[ModelSpec], settings: ExplainSettings, computed: Sequence[str]
    ) -> None:
        super().__init__(threads=BATCHES, most=BATCHES)
        self._how = list(specs), settings, tuple(computed)

    def setup(self) -> None:
        super().setup()
        self._explainer = Explainer(*self._how)

    def work(self, batch: Sequence[Example]) -> list[Outcome]:
        return list(outcomes_of(batch, self._explainer.explain(batch)))


def _has_target(example: Example, specs: Sequence[ModelSpec], settings: ExplainSettings) -> bool:
    """Whether any model has a class for it; an image that none can be asked about is not decoded."""
    names = names_of(example)
    return any(plan_targets(names, spec.class_map, settings.targets, spec.listed) for spec in specs)


class _Split(beam.DoFn):
    def process(self, outcome: Outcome) -> Iterator[Any]:
        yield from outcome.explanations
        for name in ("labellings", "dead_letters"):
            for element in getattr(outcome, name):
                yield beam.pvalue.TaggedOutput(name, element)
