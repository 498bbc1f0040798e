"""Copy a part of a traced graph into another, and alter what is copied."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.python.eager import context

_COPIES = itertools.count()
CALLS = ("PartitionedCall", "StatefulPartitionedCall")
CONTROL_FLOW = ("While", "StatelessWhile", "If", "StatelessIf", "Case", "StatelessCase")


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
    _name_loops_anew(part)
    made = [name for name in wanted if name not in given]
    calls = [graph.get_operation_by_name(node.name) for node in part.node if node.op in CALLS]
    imported = tf.graph_util.import_graph_def(
        part,
        input_map={name: current.capture(given[name]) for name in sorted(used)},
        return_elements=[*made, *(call.name for call in calls)],
        name="copied",
    )
    tensors, copies = imported[: len(made)], imported[len(made) :]
    for call, copy in zip(calls, copies, strict=True):
        copy._gradient_function = call._gradient_function  # how it is differentiated, which no graph says
    found = {**given, **dict(zip(made, tensors, strict=True))}
    return [found[name] for name in wanted]


def ensured(definition: Any, specs: Mapping[str, tf.TensorSpec]) -> Any:
    """A graph whose tensors have shapes that it did not tell; it fails where they do not.

    Args:
        definition: a GraphDef.
        specs: name of a tensor -> its shape and type.
    """
    if not specs:
        return definition  # which has all weights in it
    altered = tf.compat.v1.GraphDef()
    altered.CopyFrom(definition)
    names = {name.removesuffix(":0"): f"{name.replace(':', '/')}/ensured" for name in specs}
    for node in altered.node:
        node.input[:] = [names.get(name.removesuffix(":0"), name) for name in node.input]
    for name, spec in specs.items():
        node = altered.node.add(name=names[name.removesuffix(":0")], op="EnsureShape", input=[name])
        node.attr["T"].type = spec.dtype.as_datatype_enum
        node.attr["shape"].shape.CopyFrom(spec.shape.as_proto())
    return altered


def _name_loops_anew(definition: Any) -> None:
    """Gives the functions of loops and branches names that those of no other copy have, in place.

    Their gradients are made of functions that are named after them: of two copies with functions of the same
    names only one could be differentiated.
    """
    library, suffix = definition.library, f"_copy_{next(_COPIES)}"
    nodes = [*definition.node, *(node for function in library.function for node in function.node_def)]
    called = [
        value
        for node in nodes
        if node.op in CONTROL_FLOW
        for attribute in node.attr.values()
        for value in (attribute.func, *attribute.list.func)
        if value.name
    ]
    names = {value.name for value in called}
    renamed = [function for function in library.function if function.signature.name in names]
    for value in (*called, *(function.signature for function in renamed)):
        value.name += suffix
    for function in renamed:
        context.context().add_function_def(function)  # what is imported is looked for there when it runs


def _node(name: str) -> str:
    """The name of the node that makes a tensor, or that is waited for."""
    return name.removeprefix("^").partition(":")[0]
