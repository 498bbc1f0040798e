"""Parts of the audit as plain loops over everything at once, for tests to compare the pipeline with."""

from collections.abc import Mapping
from typing import Any

from pipeline.config import Config
from pipeline.plan import Plan
from transforms.exemplars import Showing
from transforms.explain.again.illustrate import needs_of, picture_of, pieces_of
from transforms.explain.decode import Decoding
from transforms.records import Example, Swap
from transforms.write import exemplars


def direct_exemplars(
    config: Config,
    plan: Plan,
    findings: list[Any],
    scores: list[Any],
    swaps: Mapping[Any, Swap],
    examples: list[Example],
) -> list[Any]:
    """The findings with the images that they show, chosen from all scores at once."""
    wanted = exemplars.choose_findings(findings)
    hirescam = [row for row in scores if row.method == "hirescam" and row.target_rule == "annotated"]
    candidates = [found for row in hirescam for found in exemplars.candidates_of(row, wanted)]
    candidates += [found for swap in swaps.values() for found in exemplars.swap_candidates_of(swap, wanted)]
    count, by_id = config.report.exemplars, {example.example_id: example for example in examples}
    views = {spec.settings.name: (plan.input_sizes["tiny"], spec.settings.preprocess) for spec in plan.specs}
    shown = []
    for finding in findings:
        own = [{role: [(key, of)]} for found, (role, key, of) in candidates if found == finding.finding_id]
        if not own:
            shown.append(finding)
            continue
        chosen = exemplars.conclude_choice(exemplars.merge(own, len(own)), count)
        showing = Showing(finding.finding_id, finding.model, finding.class_name, chosen)
        pieces: dict[int, list[Any]] = {}
        for example_id, needs in needs_of([showing]).items():
            for (_, index), piece in pieces_of(by_id[example_id], needs, views, Decoding()):
                pieces.setdefault(index, []).append(piece)
        pictures = {index: picture_of(parts) or b"" for index, parts in pieces.items()}
        shown.append(exemplars.with_exemplars(finding, showing, pictures))
    return shown
