"""`load_engine`: from a model file and what is asked of it to an engine."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from transforms.errors import ModelError
from transforms.explain.devices import prepare
from transforms.explain.engine import Engine
from transforms.explain.loading import load_classifier
from transforms.explain.methods import METHODS
from transforms.explain.program import Program, Request
from transforms.explain.settings import PERTURBATION_METHODS, Polarity, Preprocess
from transforms.explain.userobjects import import_function


def load_engine(
    path: str,
    methods: Sequence[str] = ("gradcam",),
    target_layer: str | Sequence[str] = "auto",
    batch_size: int = 32,
    precision: str = "float32",
    preprocess: Preprocess | Mapping[str, Any] | None = None,
    groups: Sequence[Sequence[int]] = (),
    output: str | int | None = None,
    *,
    score: str | None = None,
    inputs: Mapping[str, Any] | None = None,
    token_grid: tuple[int, int] | None = None,
    custom_objects: str | None = None,
    safe_mode: bool = True,
    polarity: Polarity = "positive",
    channel_budget: int = 256,
) -> Engine:
    """Loads a classifier and compiles its explanation.

    Args:
        path: a `.keras` or `.h5` file, or a SavedModel folder.
        methods: names from `transforms.explain.methods.METHODS`, `scorecam` or `ablationcam`.
        target_layer: `auto` finds the last feature map before the head; or the name of a Keras layer, or of
            a tensor; or several of them.
        batch_size: images in one pass.
        precision: `float32`, or `bfloat16` to let oneDNN compute in bfloat16. The switch is global to the
            process: use one precision in one process.
        preprocess: what happens between uint8 RGB pixels and the model, or the same as a config says it,
            such as `{"scale": [-1, 1]}`; None feeds float32 0..255.
        groups: groups of class indexes that targets of -10 and below refer to.
        output: name or index of the output that holds the scores; needed where there are several.
        score: `module:function`, of the outputs by name to a tensor of shape (N,) or (N, K) that is explained
            instead of the logits.
        inputs: constant values of the model's other inputs, by name.
        token_grid: rows and columns of a transformer's tokens, where they cannot be found.
        custom_objects: dotted name of a module with the model's own layers; it is imported.
        safe_mode: refuse a file that carries Python code.
        polarity: `negative` explains what speaks against a class.
        channel_budget: `scorecam` and `ablationcam`: the most channels of an image that are tried.

    Raises:
        ModelError: the file is missing or no classifier, or a method, layer or class is unknown.
        pydantic.ValidationError: `preprocess` is a mapping with an unknown key or a wrong value.
    """
    known = [*METHODS, *PERTURBATION_METHODS]
    unknown = [method for method in methods if method not in known]
    if unknown:
        raise ModelError(f"method {unknown[0]!r} is unknown; methods: {', '.join(known)}")
    prepare()
    tf.config.optimizer.set_experimental_options(
        {"auto_mixed_precision_onednn_bfloat16": precision == "bfloat16"}
    )
    request = Request(
        target_layers=(target_layer,) if isinstance(target_layer, str) else tuple(target_layer),
        preprocess=Preprocess.model_validate(preprocess or {}),
        output=output,
        score=import_function(score) if score else None,
        inputs=inputs or {},
        token_grid=token_grid,
        groups=groups,
        polarity=polarity,
    )
    classifier = load_classifier(path, safe_mode=safe_mode, custom_objects=custom_objects)
    return Engine(
        Program(classifier, request), methods=methods, batch_size=batch_size, channel_budget=channel_budget
    )
