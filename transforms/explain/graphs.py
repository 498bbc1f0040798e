"""Copy a part of a traced graph into another."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf


def copied(
    graph: Any, wanted: Sequence[str], given: Mapping[str, tf.Tensor], definition: Any = None
) -> list[tf.Tensor]:
    """Copies into the graph that is being traced whatever it takes to make some tensors of another.

    Variables and all else that the other graph has from outside are not copied but shared.

    Args:
        graph: the traced graph that is copied from.
        wanted: names of the tensors.
        given: name of a tensor -> what stands for it in the copy; what only it depends on is left out.
        definition: an altered `graph.as_graph_def()`, where that is to be copied.
    """
    current = tf.compat.v1.get_default_graph()
    given = {inside.name: outside for outside, inside in graph.captures} | dict(given)
    definition = graph.as_graph_def() if definition is None else definition
    nodes = {node.name: node for node in definition.node}
    part = tf.compat.v1.GraphDef(library=definition.library, versions=definition.versions)
    used = set()
    left = list(dict.fromkeys(_node(name) for name in wanted if name not in given))
    seen = set(left)
    while left:
        node = part.node.add()
        node.CopyFrom(nodes[left.pop()])
        node.attr.pop("_class", None)  # its place is that of another node, which may not be copied
        for name in node.input:
            tensor = name if ":" in name else f"{name}:0"
            if tensor in given:
                used.add(tensor)
            elif _node(name) not in seen:
                seen.add(_node(name))
                left.append(_node(name))
    made = [name for name in wanted if name not in given]
    tensors = tf.graph_util.import_graph_def(
        part,
        input_map={name: current.capture(given[name]) for name in sorted(used)},
        return_elements=made,
        name="copied",
    )
    found = {**given, **dict(zip(made, tensors, strict=True))}
    return [found[name] for name in wanted]


def _node(name: str) -> str:
    """The name of the node that makes a tensor, or that is waited for."""
    return name.removeprefix("^").partition(":")[0]
