"""The commands on one model: `inspect` shows what would be explained, `overlay` explains single photos."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.quiet import quiet_imports
from transforms.errors import DataError, UsageError, did_you_mean


def add_inspect(commands: Any) -> None:
    """Adds `inspect` to the subcommands."""
    inspect = commands.add_parser(
        "inspect",
        help="show what would be explained in a model",
        parents=[_model_options()],
        allow_abbrev=False,
    )
    inspect.add_argument("--json", action="store_true", help="print JSON with every candidate layer")
    inspect.set_defaults(function=_inspect)


def add_overlay(commands: Any) -> None:
    """Adds `overlay` to the subcommands."""
    overlay = commands.add_parser(
        "overlay",
        help="lay heatmaps over photos",
        parents=[_model_options()],
        allow_abbrev=False,
    )
    overlay.add_argument("images", metavar="IMAGE", nargs="+", help="photo files")
    overlay.add_argument(
        "--methods",
        default="gradcam,hirescam",
        metavar="M,...",
        help="CAM methods with commas between, or all (default: %(default)s)",
    )
    overlay.add_argument(
        "--class", dest="classes", action="append", default=[], metavar="C", help="class index or label"
    )
    overlay.add_argument("--top", type=int, metavar="K", help="the K most likely classes (default: 1)")
    overlay.add_argument("--labels", metavar="FILE", help="text file whose line i names class i")
    overlay.add_argument(
        "--polarity",
        choices=["positive", "negative"],
        default="positive",
        help="negative: what speaks against",
    )
    overlay.add_argument("--alpha", type=float, default=0.5, help="opacity of the heatmap, 0 to 1")
    overlay.add_argument("--colormap", default="viridis", help="one of Matplotlib's (default: %(default)s)")
    overlay.add_argument(
        "--out",
        default="overlay.png",
        metavar="FILE",
        help="picture to write, .png or .jpg (default: %(default)s)",
    )
    overlay.set_defaults(function=_overlay)


def _model_options() -> argparse.ArgumentParser:
    """What a config says about a model, as flags."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("model", metavar="MODEL", help="a .keras or .h5 file, or a SavedModel folder")
    options.add_argument("--size", nargs=2, type=int, metavar=("H", "W"), help="input size, if it takes any")
    options.add_argument(
        "--preprocess", default="{}", metavar="YAML", help="as in a config, such as '{scale: [-1, 1]}'"
    )
    options.add_argument(
        "--target-layer", action="append", metavar="LAYER", help="instead of auto; may be repeated"
    )
    options.add_argument("--model-output", metavar="NAME", help="the output that holds the scores")
    options.add_argument("--score", metavar="MODULE:FUNCTION", help="a function of the outputs to explain")
    options.add_argument(
        "--input", action="append", default=[], metavar="NAME=VALUE", help="constant for another input"
    )
    options.add_argument("--token-grid", nargs=2, type=int, metavar=("ROWS", "COLUMNS"))
    options.add_argument("--custom-objects", metavar="MODULE", help="module with the model's own layers")
    options.add_argument("--trust-code", action="store_true", help="load a file that carries Python code")
    return options


def _settings(arguments: argparse.Namespace) -> Any:
    """The flags as the config's own settings, so that both are checked by the same rules."""
    import pydantic
    import yaml

    from transforms.explain.settings import ModelSettings

    try:
        preprocess = yaml.safe_load(arguments.preprocess)
        inputs = {
            name: yaml.safe_load(value) for name, _, value in (i.partition("=") for i in arguments.input)
        }
        if arguments.size:
            preprocess = {**preprocess, "size": list(arguments.size)}
        output = arguments.model_output
        return ModelSettings.model_validate(
            {
                "name": "model",
                "path": arguments.model,
                "preprocess": preprocess,
                "output": int(output) if output is not None and output.isdecimal() else output,
                "score": arguments.score,
                "inputs": inputs,
                "target_layer": arguments.target_layer or "auto",
                "token_grid": arguments.token_grid,
                "custom_objects": arguments.custom_objects,
                "safe_mode": not arguments.trust_code,
            }
        )
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        flag = "--" + ".".join(str(part) for part in first["loc"]).replace("_", "-")
        raise UsageError(
            f"{flag} is {first['input']!r}: {first['msg'].removeprefix('Value error, ')}"
        ) from error
    except (yaml.YAMLError, TypeError) as error:
        raise UsageError(f"--preprocess {arguments.preprocess!r} is no YAML mapping") from error


def _load(arguments: argparse.Namespace, methods: Sequence[str], batch_size: int, polarity: str) -> Any:
    with quiet_imports():
        from transforms.explain.explainer import ModelSpec, engine_of
        from transforms.explain.settings import ExplainSettings
        from transforms.explain.targets import ClassMap

    explain = ExplainSettings.model_validate(
        {"methods": list(methods), "batch_size": batch_size, "polarity": polarity}
    )
    return engine_of(ModelSpec(_settings(arguments), "", [], ClassMap({})), explain)


def _inspect(arguments: argparse.Namespace, _: Sequence[str]) -> int:
    engine = _load(arguments, ["gradcam"], 1, "positive")
    from pipeline import console

    found = {
        "model": arguments.model,
        "target_layer": engine.target_layer,
        "map_size": list(engine.map_size),
        "separates": engine.separates[engine.target_layer],
        "behind": engine.behind[engine.target_layer],
        "logits_tensor": engine.logits_tensor,
        "head": engine.head,
        "classes": engine.classes,
        "input_size": list(engine.input_size),
        "layers": [
            {"name": name, "map_size": list(size), "separates": engine.separates[name]}
            for name, size in engine.map_sizes.items()
        ],
        "candidates": {name: list(shape) for name, shape in engine.candidates.items()},
    }
    if arguments.json:
        print(json.dumps(found, indent=2))
    else:
        console.print_inspection(found)
    return 0


def _overlay(arguments: argparse.Namespace, _: Sequence[str]) -> int:
    from transforms.explain.settings import METHODS, PIXEL_METHODS

    known = [*METHODS, *PIXEL_METHODS]
    methods = known if arguments.methods == "all" else arguments.methods.split(",")
    for method in methods:
        if method not in known:
            hint = did_you_mean(method, known)
            raise UsageError(f"--methods: {method!r} is unknown{hint}; methods: {', '.join(known)}")
    if arguments.classes and arguments.top:
        raise UsageError("--class and --top both say which classes to explain; give one of them")
    photos = [_read(path) for path in arguments.images]
    cams = [method for method in methods if method not in PIXEL_METHODS]
    engine = _load(arguments, cams or ["gradcam"], 1, arguments.polarity)
    from pipeline.overlays import overlays

    rows = overlays(
        engine,
        _settings(arguments).preprocess,
        dict(zip(arguments.images, photos, strict=True)),
        methods=methods,
        classes=arguments.classes,
        top=arguments.top or 1,
        labels=_labels(arguments.labels),
    )
    from transforms.write.overlay import draw_overlays

    try:
        draw_overlays(rows, arguments.out, alpha=arguments.alpha, colormap=arguments.colormap)
    except OSError as error:
        raise UsageError(f"--out {arguments.out!r} cannot be written: {error}") from error
    for row in rows:
        print(row.title.replace("\n", ", "))
    print(f"{arguments.out}: {len(rows)} x {len(methods)} heatmaps")
    return 0


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"image {path!r} cannot be read: {error.strerror}") from error


def _labels(path: str | None) -> list[str]:
    if path is None:
        return []
    try:
        return Path(path).read_text(encoding="utf-8-sig").rstrip("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--labels {path!r} cannot be read: {error}") from error
