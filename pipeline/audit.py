"""The whole graph on one screen."""

import functools
from typing import Any

import apache_beam as beam

from pipeline.config import Config
from pipeline.counting import CountOutcomes
from pipeline.plan import Plan
from transforms.columns import computed_key
from transforms.explain.again.wiring import (
    CompareControls,
    FindNeeds,
    IllustrateExemplars,
    SampleExamples,
    SwapBackgrounds,
)
from transforms.explain.decode import Decoding
from transforms.explain.wiring import ExplainExamples
from transforms.judge.data.wiring import AssociateSlices
from transforms.judge.wiring import CountCompany, JudgeModels, RankSuspects, SampleHeat, SummarizeScores
from transforms.measure.ground import Allowed
from transforms.measure.wiring import AddSwaps, LocateHeat, MeasureHealth, MeasureLocalization
from transforms.read.wiring import FindDuplicates, LabelExamples, LoadImages, ReadExamples
from transforms.write.kept.wiring import KeepOutcomes, RecallOutcomes
from transforms.write.wiring import AddExemplars, ChooseExemplars, WriteReport


def audit(root: Any, config: Config, plan: Plan) -> Any:
    """Builds the audit on a pipeline.

    Args:
        root: a pipeline.
        config: the resolved config.
        plan: what `plan_run` found out.

    Returns:
        PCollection of one manifest, once it is written.
    """
    # Shard names are spread over the workers; images stay where they were read. Duplicates are found before,
    # so that all else goes on from image to image without waiting for the last one.
    shards = plan.listing.shards
    duplicates = root | "FindDuplicates" >> FindDuplicates(shards, config.data, plan.limit)
    reading = functools.partial(
        ReadExamples, shards, config.data, limit=plan.limit, duplicates=duplicates["keys"]
    )
    records = root | "Read" >> reading(config.slices, config.cluster)
    load = LoadImages(config.data)
    read = records["examples"] | "Load" >> load

    # The one heavy stage. Encoded bytes go in, low-resolution maps come out.
    # What it makes is kept while it goes on; a run that resumes another explains only what that had not.
    unexplained, recalled = _divided(read["examples"], plan)
    keep = KeepOutcomes(plan.run.paths.kept)
    explaining = ExplainExamples(plan.specs, config.explain, config.computed_slices, keep, recalled)
    explained = unexplained | "Explain" >> explaining.with_resource_hints(**config.explain.resource_hints)

    allowed = Allowed(config.judge.allowed_regions, config.judge.allowed_classes)
    scores = explained.explanations | "Measure" >> MeasureLocalization(allowed)

    # From here on everything is integers that add up the same in any order.
    clusters = config.cluster is not None
    located = scores | "Locate" >> LocateHeat(allowed)
    tallies = located | "Summarize" >> SummarizeScores(plan.model_groups, plan.judged, clusters)
    company = located | "CountCompany" >> CountCompany(plan.judged)
    # What is sampled of all examples is read again, so that no image waits in memory.
    again = None
    if plan.confirms or plan.checks_health:
        again = (root | "ReadAgain" >> reading(config.slices, config.cluster))["examples"]
    sampled = (plan, config, read["examples"], again, load)
    swaps = _swaps(*sampled, tallies) if plan.confirms else None
    health = _health(*sampled, allowed) if plan.checks_health else None
    sightings = located | "SampleHeat" >> SampleHeat(plan.judged)
    judged = tallies | "JudgeModels" >> JudgeModels(
        config.judge, plan.judged, company, plan.withheld, swaps, clusters, sightings, health
    )
    if swaps is not None:
        scores = scores | "WithSwaps" >> AddSwaps(swaps)

    # What the report shows: images chosen by their scores, and read again as small pictures.
    findings = judged["findings"]
    if config.report.exemplars:
        shown = {"findings": findings, "scores": scores, **({"swaps": swaps} if swaps is not None else {})}
        images = (root | "ReadExemplars" >> reading([]))["examples"] if config.report.images else None
        findings = _with_exemplars(shown, images, plan, config, load)

    # The data are judged themselves, whatever the models: by metadata, then by what the pictures look like.
    computed = [computed_key(column) for column in config.computed_slices]
    labellings = read["examples"] | "Label" >> LabelExamples()
    associations = [
        rows | f"Associate{name}" >> AssociateSlices(keys, config.judge)
        for name, rows, keys in (
            ("Given", labellings, config.slices),
            ("Computed", explained.labellings, computed),
        )
    ] | "Associations" >> beam.Flatten()

    unread = [found["dead_letters"] for found in (duplicates, records, read)] | "Unread" >> beam.Flatten()
    dead_letters = (unread, explained.dead_letters) | "DeadLetters" >> beam.Flatten()
    counts = {
        "examples": read["examples"],
        "unread": unread,
        "dead_letters": dead_letters,
        "scores": scores,
        **({} if recalled is None else {"recalled": recalled}),
    } | "Count" >> CountOutcomes(plan.specs, config.judge.allowed_classes, Decoding.of(config.explain))

    # Parts are staged as they come; the manifest is written last.
    return {
        "scores": scores,
        "summaries": judged["summaries"],
        "findings": findings,
        "dead_letters": dead_letters,
        "counts": counts,
        "associations": associations,
        "health": judged["health"],
    } | "Write" >> WriteReport(plan.run)


def _divided(examples: Any, plan: Plan) -> tuple[Any, Any]:
    """The examples that are to be explained, and what an earlier run made of the others, None without one."""
    if plan.resumed is None:
        return examples, None
    recalled = examples | "Recall" >> RecallOutcomes(plan.resumed.files)
    return recalled["unknown"], recalled["outcomes"]


def _swaps(plan: Plan, config: Config, examples: Any, again: Any, load: LoadImages, tallies: Any) -> Any:
    """The counterfactual stage: objects of sampled examples on other backgrounds."""
    judge = config.judge
    suspicion = tallies | "RankSuspects" >> RankSuspects(judge, plan.judged)
    samples = examples | "Sample" >> SampleExamples(
        plan.specs, judge.images_per_class, judge.confirm_budget, suspicion
    )
    swapping = SwapBackgrounds(plan.specs, config.explain, samples, load, config.computed_slices)
    return again | "SwapBackgrounds" >> swapping.with_resource_hints(**config.explain.resource_hints)


def _health(plan: Plan, config: Config, examples: Any, again: Any, load: LoadImages, allowed: Allowed) -> Any:
    """Heatmaps of sampled examples beside those of the same networks with weights drawn anew."""
    method, images = plan.run.details["verdict_method"], config.judge.health_images
    comparing = CompareControls(plan.specs, config.explain, method, images, examples, load)
    return (
        again
        | "CompareControls" >> comparing.with_resource_hints(**config.explain.resource_hints)
        | "MeasureHealth" >> MeasureHealth(allowed)
    )


def _with_exemplars(tables: Any, images: Any, plan: Plan, config: Config, load: LoadImages) -> Any:
    """The findings with the images that they show: chosen by scores, read again, kept as small pictures."""
    showings = tables | "ChooseExemplars" >> ChooseExemplars(config.report.exemplars, plan.judged)
    parts = {"findings": tables["findings"], "showings": showings}
    if images is not None:
        needs = showings | "FindNeeds" >> FindNeeds()
        parts["pictures"] = images | "Illustrate" >> IllustrateExemplars(
            plan.specs, config.explain, plan.input_sizes, needs, load
        )
    return parts | "AddExemplars" >> AddExemplars()
