"""Which classes of a model are explained for an example, and which boxes belong to them."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

# What the engine takes beside class indexes: codes for targets that it resolves itself.
PREDICTED = -1
RUNNER_UP = -2
NO_TARGET = -3
FIRST_GROUP = -10


@dataclasses.dataclass(frozen=True)
class Target:
    """One target of one example.

    Attributes:
        rule: why it is explained: one of the config's target rules, or `listed`.
        name: the annotated name, None where the rule needs none or the example has none.
        code: what the engine is asked for.
    """

    rule: str
    name: str | None
    code: int


class ClassMap:
    """Annotated names and the model classes they stand for.

    Args:
        classes: annotated name -> class indexes of the model, at least one.
    """

    def __init__(self, classes: Mapping[str, Sequence[int]]) -> None:
        self.classes = {name: tuple(indexes) for name, indexes in classes.items()}

    @functools.cached_property
    def groups(self) -> list[tuple[int, ...]]:
        """The names' groups of several classes, each once, in order; the engine takes the best of one."""
        return list(dict.fromkeys(indexes for indexes in self.classes.values() if len(indexes) > 1))

    def unmapped(self, names: Sequence[str]) -> list[str]:
        """The names that stand for no class of the model."""
        return [name for name in names if name not in self.classes]

    def code(self, name: str) -> int:
        """The engine's code for an annotated name: its class, or the best of its group."""
        indexes = self.classes[name]
        return indexes[0] if len(indexes) == 1 else FIRST_GROUP - self.groups.index(indexes)

    def means(self, name: str, target_class: int) -> bool:
        """Whether an annotated name stands for that class of the model."""
        return target_class in self.classes.get(name, ())


def find_label(name: str, labels: Sequence[str]) -> int | None:
    """The class of a label, or of the only label that has the name among its synonyms.

    ImageNet's labels are lists such as `tabby, tabby cat`.
    """
    if name in labels:
        return labels.index(name)
    found = [index for index, label in enumerate(labels) if name in label.split(", ")]
    return found[0] if len(found) == 1 else None


def plan_targets(
    names: Sequence[str], class_map: ClassMap, rules: Sequence[str], listed: Sequence[int] = ()
) -> list[Target]:
    """The targets of one example, in the order of the rules.

    Args:
        names: the example's annotated names, each once.
        class_map: what they mean to the model.
        rules: `annotated` gives one target for each mapped name, the others one each.
        listed: classes that are explained on every example besides.

    Returns:
        No target where every name is unmapped. An example without any name keeps one `annotated` target
        with neither name nor class, so that it shows in the tables as what it is: an image without a box.
    """
    mapped = [name for name in names if name in class_map.classes]
    if names and not mapped:
        return []
    targets = []
    for rule in rules:
        if rule == "annotated":
            targets += [Target(rule, name, class_map.code(name)) for name in mapped]
            if not mapped:
                targets.append(Target(rule, None, NO_TARGET))
        else:
            targets.append(Target(rule, None, PREDICTED if rule == "predicted" else RUNNER_UP))
    return targets + [Target("listed", None, index) for index in listed]
