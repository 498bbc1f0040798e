"""What the report says in words of verdicts and numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

from transforms.regions import PLACE_WORDS
from transforms.write.manifest import FLAGS

MEANINGS = {
    "confirmed": "the heat lies outside the boxes, and another background changes the probability",
    "hidden": "another background changes the probability, though the heat looks as it should",
    "suspect": "the heat lies outside the boxes more than in other classes; dependence is not shown",
    "clear": "another background changes the probability by no more than epsilon on average",
    "unsuspected": "the heat is where it is in other classes; nothing was tested on other backgrounds",
    "insufficient": "too few images, or too much spread: neither a flag nor a pass",
}

NEXT_STEPS = {
    "confirmed": (
        "Look at the pictures: is what the heat lies on context that will be there in production?",
        "If not, take the cue out of the data or vary it (crop, mask, new photos), train again, audit again.",
        "If it is legitimate, declare it: judge.allowed_regions or judge.allowed_classes.",
    ),
    "hidden": (
        "Compare colours, sharpness and compression of this class's images with those of the others.",
        "Add a metadata column (camera, site, date) to slices and see whether it tells the class.",
        "Vary the cue in training, audit again.",
    ),
    "suspect": (
        "See whether the boxes are larger than the objects: thin objects in large boxes look like this.",
        "More images, or judge.confirm, can decide whether the model depends on what the heat lies on.",
    ),
    "insufficient": ("More images of this class, or a larger judge.images_per_class, can decide.",),
    "clear": ("Nothing; it is shown for comparison.",),
    "unsuspected": ("Nothing; it is shown for comparison.",),
}

ROLES = {
    "worst": "Worst",
    "typical": "Typical",
    "innocent": "For contrast",
    "same_background": "On a background of its class",
    "other_background": "On a background of another class",
    "removed": "Without the object",
}
WHY = {
    "worst": "least heat in the box",
    "typical": "nearest to the mean of the class",
    "innocent": "most heat in the box",
}
SWAPPED = ("same_background", "other_background", "removed")

_MOST_NAMED = 5


def verdict_sentence(verdict: str, classes: Sequence[Mapping[str, Any]], epsilon: float, message: str) -> str:
    """The verdict on a model, to follow its name.

    Args:
        verdict: of the model.
        classes: the findings on its classes, in order of rank.
        epsilon: the change of probability that is tolerated.
        message: of the model's finding, for want of better.
    """
    of = {word: [row["group_name"] for row in classes if row["verdict"] == word] for word in MEANINGS}
    total = f"{len(classes)} {'class' if len(classes) == 1 else 'classes'}"
    convicted = of["confirmed"] + of["hidden"]
    if verdict in ("confirmed", "hidden"):
        if not convicted:
            return "depends on what is behind the object, over all its classes together."
        return f"depends on what is behind the object in {len(convicted)} of {total}: {_named(convicted)}."
    if verdict == "suspect" and of["suspect"]:
        suspects = of["suspect"]
        return (
            f"looks beside the object in {len(suspects)} of {total}: {_named(suspects)}; "
            "that it depends on what is there has not been shown."
        )
    if verdict == "clear":
        if convicted or of["suspect"]:
            return f"is clear as a whole, but {_named(convicted + of['suspect'])} of {total} is flagged."
        return f"is clear: another background changes a probability by at most {epsilon:g} on average."
    if verdict == "unsuspected":
        return f"looks at its {total} alike; nothing was tested on other backgrounds."
    return f"could not be judged: {message}."


def _named(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def where_sentence(row: Mapping[str, Any]) -> str:
    """Where the heat of a finding lies outside its boxes; empty where no place stands out."""
    parts = []
    share = (
        "" if row["region_share"] is None else f"{100 * row['region_share']:.0f}\u00a0% of the outside heat"
    )
    region = row["region"]
    if region in PLACE_WORDS:
        parts.append(f"Looks at {PLACE_WORDS[region]}: {share}.")
    elif region == "halo":
        parts.append(f"Its outside heat is the halo of the box ({share}): resolution rather than bias.")
    elif region is not None:
        parts.append(f"{share} lies far from its box, at no one place.")
    if row["co_occurring_class"] is not None:
        parts.append(f"Looks at {row['co_occurring_class']}, annotated in the same images.")
    return " ".join(parts)


def headline(row: Mapping[str, Any], summary: Mapping[str, Any] | None) -> dict[str, str]:
    """The number of a finding with its bound: `value`, `bound` and what they are, `meaning`."""
    if row["verdict"] in ("confirmed", "hidden") and row["swap_gap"] is not None:
        return {
            "value": number(row["swap_gap"]),
            "bound": f"at least {number(row['swap_gap_lower'])}",
            "meaning": "change of probability by another background",
        }
    upper = None if summary is None else summary["density_share_upper"]
    peers = "" if row["peers_median"] is None else f"; other classes {number(row['peers_median'])}"
    return {
        "value": number(row["density_share"]),
        "bound": f"at most {number(upper)}" if upper is not None else "",
        "meaning": f"density share, 0.5 is chance{peers}",
    }


def number(value: float | None, digits: int = 2) -> str:
    """A number as the report prints it, a dash where there is none."""
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.removeprefix("-")


def flagged(row: Mapping[str, Any]) -> bool:
    """Whether a verdict is a flag."""
    return row["verdict"] in FLAGS
