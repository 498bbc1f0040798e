"""Example -> Explanation: load any classifier, and compute batched CAM heatmaps.

`load_engine` and `Explanations` are the Python API; they import TensorFlow when first asked for, so that
reading a config or printing a help text does not.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transforms.explain.engine import Engine
    from transforms.explain.explanations import Explanations
    from transforms.explain.load import load_engine

__all__ = ["Engine", "Explanations", "load_engine"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from transforms.explain import engine, load

    return load.load_engine if name == "load_engine" else getattr(engine, name)
