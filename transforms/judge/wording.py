"""Says in findings where the heat outside the boxes lies, in columns and in words."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

from transforms.judge.company import Companion, Pair, name_companion
from transforms.judge.heat import FAR_CELLS, FAR_FROM_BOX, Heat, Ints
from transforms.judge.places import HALO_CELLS, Place, enough, name_place
from transforms.judge.settings import JudgeSettings
from transforms.judge.statistics import Tally
from transforms.judge.usual import usual_of, usual_of_others
from transforms.records import Finding, Group
from transforms.regions import PLACE_WORDS

# Verdicts whose message says where; the columns say it for every class and slice.
FLAGGED = ("confirmed", "hidden", "suspect")


def say_where(
    findings: Iterable[Finding],
    tallies: Mapping[Group, Tally],
    company: Mapping[Pair, Ints],
    settings: JudgeSettings,
) -> Iterator[Finding]:
    """Fills `region`, `region_share` and `co_occurring_class`, and tells them where a message flags.

    Args:
        findings: of one model.
        tallies: what they were judged by.
        company: sums of `transforms.judge.company.pairs_of`, of the same model.
        settings: `min_images`.

    Yields:
        The findings in their order; that on the model itself as it was.
    """
    heats = {
        (group.kind, str(group.class_name), group.slice_key, group.slice_value): tally.heat
        for group, tally in tallies.items()
    }
    least = settings.min_images
    classes = {name: heat for (kind, name, *_), heat in heats.items() if kind == "class"}
    usual = usual_of_others({name: heat for name, heat in classes.items() if enough(heat, least)})
    companies: dict[str, dict[str, Ints]] = {}
    for (group, other), numbers in company.items():
        companies.setdefault(str(group.class_name), {})[other] = numbers
    for finding in findings:
        if finding.group_kind == "model":
            yield finding
            continue
        name, companion = str(finding.class_name), None
        own = heats[finding.group_kind, name, finding.slice_key, finding.slice_value]
        if finding.group_kind == "class":
            place = name_place(own, usual.get(name), least)
            companion = name_companion(own, companies.get(name, {}), least)
        else:
            rest = classes[name] - own
            place = name_place(own, usual_of(rest), least) if enough(rest, least) else None
        yield dataclasses.replace(
            finding,
            region=place.name if place else None,
            region_share=place.share if place else None,
            co_occurring_class=companion.name if companion else None,
            message=finding.message + (in_words(place, companion, own) if finding.verdict in FLAGGED else ""),
        )


def in_words(place: Place | None, companion: Companion | None, own: Heat) -> str:
    """What follows a finding's message: where the heat lies, and on which other class."""
    parts = []
    if place is not None:
        parts.append(_place_in_words(place))
    if companion is not None:
        parts.append(
            f"{_percent(companion.share)} of the outside heat lies on {companion.name}, annotated in "
            f"{companion.images} of its {own.count('scores')} images"
        )
    return "".join(f"; {part}" for part in parts)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _place_in_words(place: Place) -> str:
    share = _percent(place.share)
    if place.name == "halo":
        return (
            f"its outside heat is the halo of the box: {share} within {HALO_CELLS:g} cell of it, "
            "a matter of resolution rather than bias"
        )
    usual = "" if place.usual is None else f" (usual: {_percent(place.usual)})"
    if place.name == FAR_FROM_BOX:
        cells = f"{FAR_CELLS:g} cells"
        return f"{share} of the outside heat lies more than {cells} from its box, at no one place{usual}"
    where = PLACE_WORDS[place.name]
    return f"looks at {where}: {share} of the outside heat in {_percent(place.area)} of the area{usual}"
