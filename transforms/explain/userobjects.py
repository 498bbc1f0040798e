"""Code of the user that a config names: modules with custom layers, and functions as `module:function`."""

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

from transforms.errors import ModelError, did_you_mean


def import_module(name: str) -> ModuleType:
    """Imports a module by its dotted name, which runs its code.

    Raises:
        ModelError: it cannot be imported; the message says why.
    """
    try:
        return importlib.import_module(name)
    except Exception as error:  # the module's own code runs and can raise anything
        raise ModelError(
            f"module {name!r} cannot be imported: {type(error).__name__}: {error}; "
            "it must be installed, or its folder be on PYTHONPATH, here and on every worker"
        ) from error


def import_function(name: str) -> Callable[..., Any]:
    """Imports `module:function`.

    Raises:
        ModelError: the name has another form, or there is no such function.
    """
    module_name, colon, function_name = name.partition(":")
    if not (module_name and colon and function_name):
        raise ModelError(f"{name!r} names no function; module:function is needed")
    module = import_module(module_name)
    function: Callable[..., Any] | None = getattr(module, function_name, None)
    if not callable(function):
        functions = [key for key, value in vars(module).items() if callable(value)]
        hint = did_you_mean(function_name, functions)
        raise ModelError(f"module {module_name!r} has no function {function_name!r}{hint}")
    return function


def objects_of(module: ModuleType) -> dict[str, Any]:
    """The public classes and functions of a module by name, as Keras looks up custom objects."""
    return {
        name: value for name, value in vars(module).items() if callable(value) and not name.startswith("_")
    }
