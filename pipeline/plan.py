"""Everything that is found out before the pipeline starts: data files, class maps, models, run id.

What can be wrong with a request is found here, at once and with exit status 2, rather than in a worker.
"""

import dataclasses
import datetime
import hashlib
import importlib.metadata
import json
import platform
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from apache_beam.io.filesystems import FileSystems

from pipeline import __version__
from pipeline.config import Config, StrictLoader, yaml_problem
from pipeline.resume import Resumed, request_of, resumed_run
from pipeline.stores import reach_stores
from pipeline.waivers import load_waivers
from transforms.errors import (
    ConfigError,
    DataError,
    ModelError,
    UnknownClassError,
    UsageError,
    did_you_mean,
)
from transforms.explain.devices import devices, one_thread_a_pass
from transforms.explain.explainer import ModelSpec, engine_of
from transforms.explain.loading import content_hash
from transforms.explain.settings import ModelSettings
from transforms.explain.targets import ClassMap, find_label
from transforms.read.files.wiring import Listing, first_records, list_shards
from transforms.records import Group
from transforms.write.manifest import RunRecord
from transforms.write.paths import RunPaths

_LIBRARIES = ("apache-beam", "tensorflow", "keras", "numpy", "pillow", "pyarrow", "scipy")


@dataclasses.dataclass(frozen=True)
class Plan:
    """A run, ready to start.

    Attributes:
        listing: the data files and the shards made of them.
        specs: the models, as workers load them.
        run: what is already known of the manifest.
        limit: records to read, or None for all.
        request: all that heatmaps depend on beside the images.
        resumed: the interrupted run that this one goes on from, or None.
    """

    listing: Listing
    specs: Sequence[ModelSpec]
    run: RunRecord
    limit: int | None
    request: Mapping[str, Any]
    resumed: Resumed | None

    @property
    def model_groups(self) -> list[Group]:
        """The group of each whole model, for each layer and method."""
        return [
            Group(model["name"], method, layer["name"], "model", None, None, None)
            for model in self.run.details["models"]
            for layer in model["layers"]
            for method in self.run.details["config"]["explain"]["methods"]
        ]

    @property
    def judged(self) -> dict[str, tuple[str, str]]:
        """Model -> the layer and the method that its verdicts use: the first layer and `verdict_method`."""
        method = str(self.run.details["verdict_method"])
        return {model["name"]: (model["target_layer"], method) for model in self.run.details["models"]}

    @property
    def input_sizes(self) -> dict[str, tuple[int, int]]:
        """Model -> height and width of its input."""
        models = self.run.details["models"]
        return {model["name"]: (model["input_size"][0], model["input_size"][1]) for model in models}

    @property
    def confirms(self) -> bool:
        """Whether the counterfactual stage runs."""
        return bool(self.run.details["config"]["judge"]["confirm"]) and self.withheld is None

    @property
    def checks_health(self) -> bool:
        """Whether heatmaps are compared with those of controls."""
        return bool(self.run.details["config"]["judge"]["health_images"]) and self.withheld is None

    @property
    def withheld(self) -> str | None:
        """Why this run makes no verdicts, None where it does."""
        if self.run.details["config"]["explain"]["polarity"] == "negative":
            return "no verdict: explain.polarity is negative, so the heat shows what speaks against a class"
        return None


def plan_run(
    config: Config,
    *,
    runner: str,
    run_id: str | None = None,
    limit: int | None = None,
    resume: str | None = None,
) -> Plan:
    """Lists the data, loads and checks every model, and names the run. Writes nothing.

    Args:
        config: with absolute paths.
        runner: name of the Beam runner, for the manifest.
        run_id: the run's name, or None to make one of the time.
        limit: read only the first records.
        resume: name of an interrupted run, whose explained images need not be explained again.

    Raises:
        UsageError: a file, class, layer or run id does not fit; the message says which.
    """
    reach_stores()
    one_thread_a_pass()  # before the first model is loaded
    started = datetime.datetime.now(datetime.UTC)
    paths = RunPaths(
        config.output, _new_run_id(started) if run_id is None else run_id, started.strftime("%Y-%m-%d")
    )
    _check_run_id(paths)
    listing = list_shards(config.data)
    if limit is not None:
        listing = first_records(listing)
    waivers = load_waivers(config.judge.waivers) if config.judge.waivers else []
    specs = [_model_spec(config, index) for index in range(len(config.models))]
    resolved = config.model_dump(mode="json")
    text = json.dumps(resolved, sort_keys=True)
    details: dict[str, Any] = {
        "tool": {"name": "gradcam-audit", "version": __version__},
        "libraries": {name: importlib.metadata.version(name) for name in _LIBRARIES},
        "python": platform.python_version(),
        "devices": devices(),
        "runner": runner,
        "limit": limit,
        "resumes": resume,
        "config": resolved,
        "config_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "waivers": [waiver.model_dump(mode="json") for waiver in waivers],
        "verdict_method": "hirescam" if "hirescam" in config.explain.methods else config.explain.methods[0],
        "models": [_model_details(config, spec) for spec in specs],
        "data": {
            "format": config.data.format,
            "files": len(listing.files),
            "shards": len(listing.shards),
            "bytes": sum(size for _, size in listing.files),
            "listing_sha256": hashlib.sha256(json.dumps(listing.files).encode()).hexdigest(),
        },
    }
    _check_reference(config.judge.reference_model, details["models"])
    record = RunRecord(
        paths=paths,
        name=config.name,
        started=started.isoformat(timespec="milliseconds"),
        max_bad_fraction=config.data.max_bad_fraction,
        models=[model.name for model in config.models],
        slices=config.slices,
        details=details,
    )
    request = request_of(details, specs)
    resumed = None if resume is None else resumed_run(config.output, resume, request)
    return Plan(listing, specs, record, limit, request, resumed)


def _new_run_id(started: datetime.datetime) -> str:
    return f"{started:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def _check_run_id(paths: RunPaths) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", paths.run_id):
        raise UsageError(f"run id {paths.run_id!r} may hold letters, digits, '.', '_' and '-' only")
    try:
        exists = FileSystems.exists(paths.record("started.json"))
    except (ValueError, OSError) as error:
        raise UsageError(f"output {paths.output!r} cannot be reached: {error}") from error
    if exists:
        raise UsageError(
            f"run id {paths.run_id!r} exists already below {paths.output}; give another --run-id"
        )


def _model_spec(config: Config, index: int) -> ModelSpec:
    settings = config.models[index]
    where = f"models[{index}] ({settings.name})"
    labels = _read_labels(settings.labels) if settings.labels else []
    class_map = _class_map(config, labels, where)
    try:
        listed = _listed(config.explain.classes, labels, where)
        spec = ModelSpec(settings, content_hash(settings.path), labels, class_map, listed)
        classes = engine_of(spec, config.explain).classes
    except UnknownClassError as error:
        _check_labels(settings, labels, error.classes, where)
        raise _beyond(class_map, error.classes, where) from error
    except ModelError as error:
        raise ModelError(f"{where}: {error}") from error
    _check_labels(settings, labels, classes, where)
    if any(not 0 <= index < classes for indexes in class_map.classes.values() for index in indexes):
        raise _beyond(class_map, classes, where)
    for index in listed:
        if not 0 <= index < classes:
            raise ConfigError(
                f"explain.classes: {index} is no class of {where}, which has the classes 0 to {classes - 1}"
            )
    return spec


def _listed(classes: Sequence[int | str], labels: Sequence[str], where: str) -> tuple[int, ...]:
    """The indexes of the classes that a config lists by index or by label."""
    indexes = []
    for name in classes:
        if isinstance(name, int):
            indexes.append(name)
            continue
        index = find_label(name, labels)
        if index is None:
            hint = did_you_mean(name, labels)
            raise ConfigError(f"explain.classes: {name!r} is no label of {where}{hint}")
        indexes.append(index)
    return tuple(dict.fromkeys(indexes))


def _check_labels(settings: ModelSettings, labels: Sequence[str], classes: int, where: str) -> None:
    if labels and len(labels) != classes:
        raise ModelError(f"{where}: {settings.labels!r} names {len(labels)} classes, the model has {classes}")


def _beyond(class_map: ClassMap, classes: int, where: str) -> ConfigError:
    """The error that names the first class of the map that the model does not have."""
    name, index = next(
        (name, index)
        for name, indexes in class_map.classes.items()
        for index in indexes
        if not 0 <= index < classes
    )
    return ConfigError(
        f"data.class_map: {name!r} is class {index}, but {where} has the classes 0 to {classes - 1}"
    )


def _check_reference(reference: str | None, models: Sequence[Mapping[str, Any]]) -> None:
    """A finer map lets less heat spill over the edge of a box, which looks like a better model."""
    sizes = {model["name"]: "x".join(map(str, model["map_size"])) for model in models}
    for name, size in sizes.items():
        if reference is not None and size != sizes[reference]:
            raise ConfigError(
                f"judge.reference_model {reference!r} has heatmaps of {sizes[reference]}, model {name!r} of "
                f"{size}, and maps of different sizes cannot be compared; choose target_layer accordingly"
            )


def _model_details(config: Config, spec: ModelSpec) -> dict[str, Any]:
    engine = engine_of(spec, config.explain)
    return {
        "name": spec.settings.name,
        "path": spec.settings.path,
        "sha256": spec.sha256,
        "input_size": list(engine.input_size),
        "target_layer": engine.target_layer,
        "map_size": list(engine.map_size),
        "layers": [
            {"name": name, "map_size": list(size), "separates": engine.separates[name]}
            for name, size in engine.map_sizes.items()
        ],
        "logits_tensor": engine.logits_tensor,
        "head": engine.head,
        "classes": engine.classes,
    }


def _read_labels(path: str) -> list[str]:
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        return [line.rstrip() for line in text.rstrip("\n").split("\n")]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"labels file {path!r} cannot be read: {error}") from error


def _class_map(config: Config, labels: Sequence[str], where: str) -> ClassMap:
    """The class map of the config, else the model's own labels by name."""
    given = config.data.class_map
    if given is None:
        if not labels:
            raise ConfigError(f"{where} has no labels and data has no class_map; give one of them")
        # A label may stand twice, as "crane" does in ImageNet's: the name then means both classes.
        return ClassMap({name: [i for i, other in enumerate(labels) if other == name] for name in labels})
    mapping = _read_class_map(given) if isinstance(given, str) else given
    return ClassMap({name: [value] if isinstance(value, int) else value for name, value in mapping.items()})


def _read_class_map(path: str) -> Mapping[str, Any]:
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        document = _json_or_yaml(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        problem = yaml_problem(error) if isinstance(error, yaml.YAMLError) else error
        raise DataError(f"data.class_map: {path!r} cannot be read: {problem}") from error
    if not isinstance(document, dict):
        raise DataError(f"data.class_map: {path!r} holds no mapping of annotated names to class indexes")
    for name, value in document.items():
        indexes = value if isinstance(value, list) else [value]
        if not indexes or not all(type(index) is int for index in indexes):
            raise DataError(
                f"data.class_map: {path!r} maps {name!r} to {value!r}; "
                "a class index or a list of them is needed"
            )
    return {str(name): value for name, value in document.items()}


def _json_or_yaml(text: str) -> Any:
    """Nearly all JSON is YAML, but not what is indented with tabs."""
    try:
        return json.loads(text)
    except ValueError:
        return yaml.load(text, Loader=StrictLoader)
