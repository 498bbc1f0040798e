"""Which groups a score is judged in, and what a group is called."""

from collections.abc import Iterator

from transforms.records import Group, Score


def groups_of(score: Score) -> Iterator[Group]:
    """The groups that a score counts in: its model, its class, and its slices with and without the class.

    Only scores of the rule `annotated` are summarised: verdicts are about annotated classes.
    """
    if score.target_rule != "annotated":
        return
    of_model = (score.model, score.method, score.target_layer)
    yield Group(*of_model, "model", None, None, None)
    if score.target_name is not None:
        yield Group(*of_model, "class", score.target_name, None, None)
    for entry in score.slices:
        yield Group(*of_model, "slice", None, entry.key, entry.value)
        if score.target_name is not None:
            yield Group(*of_model, "slice", score.target_name, entry.key, entry.value)


def group_name(group: Group) -> str:
    """The `group_name` column: the model, the class, `key=value`, or `class, key=value`."""
    if group.kind == "model":
        return group.model
    of_slice = f"{group.slice_key}={group.slice_value}" if group.kind == "slice" else None
    return ", ".join(part for part in (group.class_name, of_slice) if part is not None)
