"""Which images a finding shows: chosen by their scores, the same on any number of shards in any order.

A key is kept for each candidate of each role; the smallest keys are shown. Keys end in the example's id, so
that ties are decided alike everywhere.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from transforms.exemplars import Exemplar, Showing
from transforms.records import Finding, Score, Swap
from transforms.write.manifest import FLAGS

# Findings that have pictures, in all and, of those that are not flagged, of one model.
MOST_PICTURED, MOST_UNFLAGGED = 50, 4

# What is judged: model, class, slice key and value.
Judged = tuple[str, str, str | None, str | None]
# The role that an image would have, by what it is chosen, and what is shown of it.
Candidate = tuple[str, tuple[Any, ...], list[Exemplar]]


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A finding that has pictures.

    Attributes:
        finding_id: of the finding.
        by_gap: whether its images are ranked by swap gap, since its heat looks as it should (`hidden`).
        mean: of what they are ranked by.
    """

    finding_id: str
    by_gap: bool
    mean: float


def rank_findings(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Rows of `findings`, most alarming first: by verdict, evidence, density share, and name."""
    return sorted(rows, key=_alarm)


def _alarm(row: Mapping[str, Any]) -> tuple[Any, ...]:
    verdict, share = row["verdict"], row["density_share"]
    convicted = verdict in ("confirmed", "hidden")
    return (
        FLAGS.index(verdict) if verdict in FLAGS else len(FLAGS),
        -(row["log10_e_confirmed"] or 0.0) if convicted else 0.0,
        -(row["log10_e_suspect"] or 0.0) if verdict in FLAGS else 0.0,
        1.0 if share is None else share,
        row["model"],
        row["group_name"],
    )


def columns_of(finding: Finding) -> dict[str, Any]:
    """A finding as a row; one that has travelled may be a look-alike."""
    return {field.name: getattr(finding, field.name) for field in dataclasses.fields(Finding)}


def choose_findings(findings: Iterable[Finding]) -> dict[Judged, Wanted]:
    """The findings that have pictures: what is flagged, and of each model the next classes in rank."""
    wanted: dict[Judged, Wanted] = {}
    unflagged: Counter[str] = Counter()
    for row in rank_findings(map(columns_of, findings)):
        if row["group_kind"] not in ("class", "slice") or row["density_share"] is None:
            continue
        if row["verdict"] not in FLAGS:
            if row["group_kind"] == "slice" or unflagged[row["model"]] == MOST_UNFLAGGED:
                continue
            unflagged[row["model"]] += 1
        by_gap = row["verdict"] == "hidden" and row["swap_gap"] is not None
        mean = -row["swap_gap"] if by_gap else row["density_share"]
        judged = (row["model"], row["class_name"], row["slice_key"], row["slice_value"])
        wanted[judged] = Wanted(row["finding_id"], by_gap, mean)
        if len(wanted) == MOST_PICTURED:
            break
    return wanted


def candidates_of(score: Score, wanted: Mapping[Judged, Wanted]) -> Iterator[tuple[str, Candidate]]:
    """What an image could be for the findings that it belongs to: finding id and candidate.

    The right answers come first in every role: a shortcut shows best where it works.

    Args:
        score: of the judged method and layer, with its scene.
        wanted: of `choose_findings`.
    """
    scene, name = score.scene, score.target_name
    if scene is None or name is None or score.density_share is None:
        return
    for key, value in _slices_of(score):
        found = wanted.get((score.model, name, key, value))
        if found is None or (found.by_gap and score.swap_gap is None):
            continue
        badness = score.density_share if not found.by_gap else -(score.swap_gap or 0.0)
        shown = [_shown(score, scene)]
        for role, by in (("worst", badness), ("typical", abs(badness - found.mean)), ("innocent", -badness)):
            yield found.finding_id, (role, (not score.correct, by, score.example_id), shown)


def _shown(score: Score, scene: Any) -> Exemplar:
    across, down = scene.view_width, scene.view_height
    return Exemplar(
        role="",
        example_id=score.example_id,
        background_id=None,
        background_class=None,
        predicted_name=score.predicted_name,
        probability=score.target_probability,
        density_share=score.density_share,
        boxes=[
            min(max(edge / size, 0.0), 1.0)
            for box in scene.target_boxes
            for edge, size in ((box.xmin, across), (box.ymin, down), (box.xmax, across), (box.ymax, down))
        ],
        map_height=score.map_height,
        map_width=score.map_width,
        heatmap=None if score.heatmap is None else np.frombuffer(score.heatmap, "<f4").tolist(),
    )


def swap_candidates_of(swap: Swap, wanted: Mapping[Judged, Wanted]) -> Iterator[tuple[str, Candidate]]:
    """An object on two backgrounds, and the picture without it; of a finding the largest gap is shown."""
    pair = [
        ("same_background", swap.same_id, swap.class_name, swap.other + swap.gap),
        ("other_background", swap.other_id, swap.donor_class, swap.other),
        ("removed", None, None, swap.residual),
    ]
    shown = [
        Exemplar(role, swap.example_id, donor, donor_class, None, probability, None, [], None, None, None)
        for role, donor, donor_class, probability in pair
    ]
    for key, value in _slices_of(swap):
        found = wanted.get((swap.model, swap.class_name, key, value))
        if found is not None:
            yield found.finding_id, ("swapped", (-swap.gap, swap.example_id), shown)


def _slices_of(row: Score | Swap) -> list[tuple[str | None, str | None]]:
    """The whole class, and the slices within it that a row belongs to."""
    return [(None, None), *((entry.key, entry.value) for entry in row.slices)]


# The candidates with the smallest keys of each role, ascending.
Chosen = dict[str, list[tuple[tuple[Any, ...], list[Exemplar]]]]


def merge(choices: Iterable[Chosen], count: int) -> Chosen:
    """The candidates with the smallest keys of each role.

    Args:
        choices: to be merged, in any order.
        count: images of each role that are shown; thrice as many are kept, since an image has one role only.
    """
    merged: Chosen = {}
    for choice in choices:
        for role, candidates in choice.items():
            merged.setdefault(role, []).extend(candidates)
    return {role: sorted(found, key=lambda one: one[0])[: 3 * count] for role, found in merged.items()}


def conclude_choice(chosen: Chosen, count: int) -> list[Exemplar]:
    """The images of a finding in the order in which they are shown: worst, typical, innocent, swapped."""
    taken: dict[str, list[Exemplar]] = {}
    seen: set[str] = set()
    for role in ("worst", "innocent", "typical"):
        free = [shown for _, (shown,) in chosen.get(role, []) if shown.example_id not in seen][:count]
        seen.update(shown.example_id for shown in free)
        taken[role] = [_in_role(shown, role) for shown in free]
    swapped = [exemplar for _, shown in chosen.get("swapped", [])[:1] for exemplar in shown]
    return [*taken["worst"], *taken["typical"], *taken["innocent"], *swapped]


def _in_role(shown: Exemplar, role: str) -> Exemplar:
    # Not dataclasses.replace: a row that has travelled may be a look-alike.
    values = {field.name: getattr(shown, field.name) for field in dataclasses.fields(Exemplar)}
    return Exemplar(**{**values, "role": role})


def with_exemplars(
    finding: Finding, showing: Showing | None, pictures: Mapping[int, bytes] | None
) -> Finding:
    """A finding with what it shows.

    Args:
        finding: as judged.
        showing: its images; None for a finding without.
        pictures: position among them -> JPEG; None where no pictures are kept.
    """
    if showing is None:
        return finding
    exemplars = None
    if pictures is not None:
        exemplars = [pictures.get(index, b"") for index in range(len(showing.exemplars))]
    shown = {"exemplars": exemplars, "exemplar_details": showing.exemplars}
    return Finding(**{**columns_of(finding), **shown})
