"""Which groups a score is judged in, and what a group is called."""

from collections.abc import Iterable, Iterator

from transforms.records import Group, Score


def groups_of(score: Score) -> Iterator[Group]:
    """The groups that a score counts in: its model, its class, and its slices with and without the class.

    Only scores of the rule `annotated` are summarised: verdicts are about annotated classes.
    """
    if score.target_rule != "annotated":
        return
    slices = [(entry.key, entry.value) for entry in score.slices]
    yield from groups_within(score.model, score.method, score.target_layer, score.target_name, slices)


def groups_within(
    model: str,
    method: str,
    target_layer: str,
    class_name: str | None,
    slices: Iterable[tuple[str, str]],
) -> Iterator[Group]:
    """The groups of an annotated class, or of no class, and of (key, value) pairs."""
    of_model = (model, method, target_layer)
    yield Group(*of_model, "model", None, None, None)
    if class_name is not None:
        yield Group(*of_model, "class", class_name, None, None)
    for key, value in slices:
        yield Group(*of_model, "slice", None, key, value)
        if class_name is not None:
            yield Group(*of_model, "slice", class_name, key, value)


def group_name(group: Group) -> str:
    """The `group_name` column: the model, the class, `key=value`, or `class, key=value`."""
    if group.kind == "model":
        return group.model
    of_slice = f"{group.slice_key}={group.slice_value}" if group.kind == "slice" else None
    return ", ".join(part for part in (group.class_name, of_slice) if part is not None)
