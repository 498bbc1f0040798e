"""ExplainExamples: the one heavy stage, in which images are decoded, batched and explained."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler, RunInference

from transforms.explain.explainer import Explainer, ModelSpec, names_of
from transforms.explain.settings import ExplainSettings
from transforms.explain.targets import plan_targets
from transforms.progress import PROGRESS
from transforms.records import DeadLetter, Example, Explanation


class ExplainerHandler(ModelHandler[Example, Explanation | DeadLetter, Explainer]):
    """Gives RunInference an Explainer: an object that takes and returns plain elements.

    It is no Keras model, which would break once Beam shares it between processes through a proxy.
    """

    def __init__(self, specs: Sequence[ModelSpec], settings: ExplainSettings) -> None:
        super().__init__()
        self._specs = list(specs)
        self._settings = settings

    def load_model(self) -> Explainer:
        return Explainer(self._specs, self._settings)

    def run_inference(
        self, batch: Sequence[Example], model: Explainer, inference_args: dict[str, Any] | None = None
    ) -> Iterator[Explanation | DeadLetter]:
        yield from model.explain(batch)
        PROGRESS.add_images(len(batch))

    def batch_elements_kwargs(self) -> dict[str, int]:
        # One size: every other would be a new shape to pad, and Beam's own default ramps up to 10,000.
        return {"min_batch_size": self._settings.batch_size, "max_batch_size": self._settings.batch_size}

    def get_num_bytes(self, batch: Sequence[Example]) -> int:
        return sum(len(example.image) for example in batch)

    def get_metrics_namespace(self) -> str:
        return "gradcam_audit"


@dataclasses.dataclass
class ExplainExamples(beam.PTransform):
    """Example -> Explanation, and a DeadLetter for each image that cannot be decoded.

    Decode, batch and explain stand in this one composite, so that a resource hint on it moves them
    together and only encoded bytes cross the stage boundary.

    Returns:
        PCollections `explanations` and `dead_letters`.
    """

    specs: Sequence[ModelSpec]
    settings: ExplainSettings

    def expand(self, examples: beam.PCollection[Example]) -> Any:
        return (
            examples
            | "WithTargets" >> beam.Filter(_has_target, self.specs, self.settings)
            | "Explain" >> RunInference(ExplainerHandler(self.specs, self.settings))
            | "SplitDeadLetters"
            >> beam.ParDo(_SplitDeadLetters())
            .with_outputs("dead_letters", main="explanations")
            .with_output_types(Explanation)
        )


def _has_target(example: Example, specs: Sequence[ModelSpec], settings: ExplainSettings) -> bool:
    """Whether any model has a class for it; an image that none can be asked about is not decoded."""
    names = names_of(example)
    return any(plan_targets(names, spec.class_map, settings.targets, spec.listed) for spec in specs)


class _SplitDeadLetters(beam.DoFn):
    def process(self, element: Explanation | DeadLetter) -> Iterable[Any]:
        if isinstance(element, DeadLetter):
            yield beam.pvalue.TaggedOutput("dead_letters", element)
        else:
            yield element
