"""Whether a model can be judged at all: at chance accuracy, something between pixels and labels is wrong."""

import math
from collections.abc import Mapping

from transforms.judge.statistics import Tally
from transforms.records import Group

# Standard errors by which the accuracy must exceed chance, and images without which nothing is said.
_ERRORS, _FEWEST = 3.0, 30


def implausible(tallies: Mapping[Group, Tally]) -> str | None:
    """Why a model is not judged; None where its accuracy exceeds chance.

    The mean of the classes' accuracies is compared, since a model that knows nothing has 1/C there
    whatever it answers and however unequal the classes are.

    Args:
        tallies: of one model, method and layer.
    """
    classes = [tally for group, tally in tallies.items() if group.kind == "class" and tally.count("known")]
    known = [tally.count("known") for tally in classes]
    if len(classes) < 2 or sum(known) < _FEWEST:
        return None
    shares = [tally.accuracy or 0.0 for tally in classes]
    accuracy, chance = sum(shares) / len(shares), 1 / len(classes)
    # Of each share as it would be at chance: a share of 0 or 1 has no spread of its own.
    error = math.sqrt(sum(chance * (1 - chance) / count for count in known)) / len(classes)
    if accuracy > chance + _ERRORS * error:
        return None
    return (
        f"no verdict: the classes' mean accuracy is {accuracy:.2f}, no better than chance ({chance:.2f}); "
        "is preprocess, class_map or labels wrong?"
    )
