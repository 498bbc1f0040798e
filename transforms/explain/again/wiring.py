"""What is read again: SampleExamples, SwapBackgrounds, CompareControls, FindNeeds and IllustrateExemplars."""

import dataclasses
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam

from transforms.exemplars import Showing
from transforms.explain.again.controls import Controls, compared_name, known_names
from transforms.explain.again.illustrate import Need, Piece, needs_of, picture_of, pieces_of
from transforms.explain.again.sampling import (
    MOST_DONORS_OF_CLASS,
    Donors,
    Sample,
    budget_of,
    names_with_boxes,
    plan_samples,
    rank,
)
from transforms.explain.again.swapper import Swapper
from transforms.explain.behind import Behind
from transforms.explain.decode import Decoding
from transforms.explain.explainer import Explainer, ModelSpec
from transforms.explain.settings import ExplainSettings
from transforms.health import HealthMaps
from transforms.records import Example, Swap


@dataclasses.dataclass
class SampleExamples(beam.PTransform):
    """Example -> one dict: class name -> how deep the counterfactual stage samples it.

    Attributes:
        specs: a class that no model knows is not sampled.
        images_per_class: images that are tested of a class.
        budget: images that are tested in all, or None for a share of the run's.
        suspicion: PCollection of (class name, how much the heatmaps speak against it).
    """

    specs: Sequence[ModelSpec]
    images_per_class: int
    budget: int | None
    suspicion: Any

    def expand(self, examples: beam.PCollection[Example]) -> Any:
        known = sorted({name for spec in self.specs for name in spec.class_map.classes})
        kept = max(self.images_per_class, MOST_DONORS_OF_CLASS)
        count = examples | "Count" >> beam.combiners.Count.Globally()
        return (
            examples
            | "Rank" >> beam.FlatMap(_ranked, frozenset(known)).with_output_types(tuple[str, int])
            | "Smallest" >> beam.CombinePerKey(_SmallestRanks(kept))
            | "Together" >> beam.combiners.ToDict()
            | "Plan"
            >> beam.Map(
                _planned,
                self.images_per_class,
                self.budget,
                beam.pvalue.AsSingleton(count),
                beam.pvalue.AsDict(self.suspicion),
            )
        )


@dataclasses.dataclass
class SwapBackgrounds(beam.PTransform):
    """Example -> Swap: the sampled examples, read again, on backgrounds of each other.

    Attributes:
        specs: the models.
        settings: as for ExplainExamples, whose engines are used.
        samples: PCollection of the one dict of SampleExamples.
        load: Example -> the same with its image bytes, among the PCollections `examples`.
        computed: as for ExplainExamples.
    """

    specs: Sequence[ModelSpec]
    settings: ExplainSettings
    samples: Any
    load: Any
    computed: Sequence[str] = ()

    def expand(self, examples: beam.PCollection[Example]) -> beam.PCollection[Swap]:
        samples, size = beam.pvalue.AsSingleton(self.samples), self.settings.batch_size
        donors, tested = (
            _picked(examples, name, _is_sampled, samples, use) | f"Load{name}" >> self.load
            for name, use in (("Donors", "lending"), ("Tested", "tested"))
        )
        pool = beam.pvalue.AsList(donors["examples"])
        return (
            tested["examples"]
            | "Batch" >> beam.BatchElements(min_batch_size=size, max_batch_size=size)
            | "Swap"
            >> beam.ParDo(
                _SwapBatch(self.specs, self.settings, self.computed),
                pool,
                samples,
            ).with_output_types(Swap)
        )


@dataclasses.dataclass
class CompareControls(beam.PTransform):
    """Example -> HealthMaps: sampled examples, read again, explained by each model and its controls.

    Attributes:
        specs: the models.
        settings: as for ExplainExamples, whose engines are used.
        method: whose heatmaps are compared.
        images: examples that are sampled for each model, of a cluster one.
        first: PCollection of the examples as they were read first, of which the sample is drawn.
        load: as for SwapBackgrounds.
    """

    specs: Sequence[ModelSpec]
    settings: ExplainSettings
    method: str
    images: int
    first: Any
    load: Any

    def expand(self, examples: beam.PCollection[Example]) -> beam.PCollection[HealthMaps]:
        specs, size = list(self.specs), self.settings.batch_size  # by themselves: `self` holds a PCollection
        drawn = beam.pvalue.AsSingleton(
            self.first
            | "RankImages"
            >> beam.FlatMap(_ranked_by_model, specs).with_output_types(tuple[str, tuple[str, int]])
            | "First" >> beam.CombinePerKey(_FirstOfUnits(self.images))
            | "Drawn" >> beam.combiners.ToDict()
        )
        sampled = _picked(examples, "OfSample", _is_compared, drawn, specs) | "Load" >> self.load
        return (
            sampled["examples"]
            | "Batch" >> beam.BatchElements(min_batch_size=size, max_batch_size=size)
            | "Compare"
            >> beam.ParDo(_CompareBatch(specs, self.settings, self.method), drawn).with_output_types(
                HealthMaps
            )
        )


class _FirstOfUnits(beam.CombineFn):
    """The smallest ranks, of a unit only the smallest; units are clusters, or images that are in none."""

    def __init__(self, count: int) -> None:
        self._count = count

    def create_accumulator(self) -> dict[str, int]:
        return {}

    def add_input(self, ranks: dict[str, int], ranked: tuple[str, int]) -> dict[str, int]:
        unit, rank = ranked
        if rank < ranks.get(unit, 2**63):
            ranks[unit] = rank
        return ranks if len(ranks) <= 2 * self._count else self._smallest(ranks)

    def merge_accumulators(self, accumulators: Iterable[dict[str, int]]) -> dict[str, int]:
        merged: dict[str, int] = {}
        for ranks in accumulators:
            for ranked in ranks.items():
                merged = self.add_input(merged, ranked)
        return merged

    def extract_output(self, ranks: dict[str, int]) -> list[int]:
        return sorted(self._smallest(ranks).values())

    def _smallest(self, ranks: dict[str, int]) -> dict[str, int]:
        return dict(sorted(ranks.items(), key=lambda ranked: ranked[1])[: self._count])


class FindNeeds(beam.PTransform):
    """Showing -> one dict: id of each example that is shown, or lends its background -> what for."""

    def expand(self, showings: beam.PCollection[Showing]) -> Any:
        return showings | "All" >> beam.combiners.ToList() | "Needs" >> beam.Map(needs_of)


@dataclasses.dataclass
class IllustrateExemplars(beam.PTransform):
    """Example, read again -> ((finding id, position), JPEG) for every picture that it takes to show them.

    Attributes:
        specs: the models.
        settings: as for ExplainExamples: images are read alike.
        input_sizes: model -> height and width of its input.
        needs: PCollection of the one dict of FindNeeds.
        load: as for SwapBackgrounds.
    """

    specs: Sequence[ModelSpec]
    settings: ExplainSettings
    input_sizes: Mapping[str, tuple[int, int]]
    needs: Any
    load: Any

    def expand(self, examples: beam.PCollection[Example]) -> Any:
        views = {
            spec.settings.name: (self.input_sizes[spec.settings.name], spec.settings.preprocess)
            for spec in self.specs
        }
        largest = tuple(max(sides) for sides in zip(*self.input_sizes.values(), strict=True))
        decoding = Decoding.of(self.settings, largest)
        needs = beam.pvalue.AsSingleton(self.needs)
        needed = _picked(examples, "Needed", _is_needed, needs) | "Load" >> self.load
        return (
            needed["examples"]
            | "Pieces"
            >> beam.FlatMap(_pieces, needs, views, decoding).with_output_types(tuple[tuple[str, int], Piece])
            | "Together" >> beam.GroupByKey()
            | "Picture" >> beam.FlatMapTuple(_picture)
        )


def _picked(
    examples: beam.PCollection[Example], name: str, is_picked: Callable[..., bool], *sides: Any
) -> beam.PCollection[Example]:
    """The examples to be loaded. Typed, for else they would travel pickled."""
    return examples | name >> beam.Filter(is_picked, *sides).with_output_types(Example)


class _SmallestRanks(beam.CombineFn):
    """The smallest distinct ranks of a class, ascending."""

    def __init__(self, count: int) -> None:
        self._count = count

    def create_accumulator(self) -> list[int]:
        return []

    def add_input(self, ranks: list[int], rank: int) -> list[int]:
        if len(ranks) == self._count and rank >= ranks[-1]:
            return ranks
        return self.merge_accumulators([ranks, [rank]])

    def merge_accumulators(self, accumulators: Iterable[list[int]]) -> list[int]:
        return sorted({rank for ranks in accumulators for rank in ranks})[: self._count]

    def extract_output(self, ranks: list[int]) -> list[int]:
        return ranks


class _SwapBatch(Behind):
    """Examples of one batch -> their Swaps: while one batch is computed, the next is put together."""

    def __init__(
        self, specs: Sequence[ModelSpec], settings: ExplainSettings, computed: Sequence[str]
    ) -> None:
        super().__init__(threads=2, most=2)
        self._how = list(specs), settings, tuple(computed)

    def setup(self) -> None:
        super().setup()
        self._explainer = Explainer(*self._how)
        self._pool_of_donors: list[str] | None = None
        self._changing = threading.Lock()

    def work(
        self, batch: Sequence[Example], donors: Sequence[Example], samples: dict[str, Sample]
    ) -> list[Swap]:
        return list(self._swapper_of(donors, samples).swap(batch))

    def _swapper_of(self, donors: Sequence[Example], samples: dict[str, Sample]) -> Swapper:
        pool = [donor.example_id for donor in donors]
        with self._changing:
            if pool != self._pool_of_donors:  # once for each bundle at most: side inputs stay the same
                self._pool_of_donors = pool
                self._swapper = Swapper(self._explainer, Donors.among(donors, samples), samples)
            return self._swapper


class _CompareBatch(beam.DoFn):
    def __init__(self, specs: Sequence[ModelSpec], settings: ExplainSettings, method: str) -> None:
        self._specs, self._settings, self._method = specs, settings, method
        self._controls: Controls | None = None

    def process(self, batch: Sequence[Example], drawn: dict[str, list[int]]) -> Iterator[HealthMaps]:
        if self._controls is None:  # the side input is the same throughout
            self._controls = Controls(Explainer(self._specs, self._settings), self._method, drawn)
        yield from self._controls.compare(batch)


def _ranked_by_model(example: Example, specs: Sequence[ModelSpec]) -> Iterator[tuple[str, tuple[str, int]]]:
    # An id and a cluster of the same name are two units.
    unit = f"image {example.example_id}" if example.cluster is None else f"cluster {example.cluster}"
    for spec in specs:
        if any(known_names(example, spec)):
            yield spec.settings.name, (unit, rank(example.example_id))


def _is_compared(example: Example, drawn: dict[str, list[int]], specs: Sequence[ModelSpec]) -> bool:
    return any(compared_name(example, spec, drawn) is not None for spec in specs)


def _ranked(example: Example, known: frozenset[str]) -> Iterator[tuple[str, int]]:
    for name in names_with_boxes(example):
        if name in known:
            yield name, rank(example.example_id)


def _planned(
    ranks: dict[str, list[int]],
    images_per_class: int,
    budget: int | None,
    images: int,
    suspicion: dict[str, float],
) -> dict[str, Sample]:
    budget = budget_of(images) if budget is None else budget
    return plan_samples(ranks, images_per_class, budget, suspicion)


def _is_sampled(example: Example, samples: dict[str, Sample], use: str) -> bool:
    own = rank(example.example_id)
    return any(own <= getattr(samples[name], use) for name in names_with_boxes(example) if name in samples)


def _is_needed(example: Example, needs: dict[str, list[Need]]) -> bool:
    return example.example_id in needs


def _pieces(
    example: Example, needs: dict[str, list[Need]], views: Any, decoding: Decoding
) -> Iterator[tuple[tuple[str, int], Piece]]:
    return pieces_of(example, needs.get(example.example_id, []), views, decoding)


def _picture(key: tuple[str, int], pieces: Iterable[Piece]) -> Iterator[tuple[tuple[str, int], bytes]]:
    picture = picture_of(pieces)
    if picture is not None:
        yield key, picture
