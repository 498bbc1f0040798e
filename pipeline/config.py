"""The YAML config as strict typed models.

`load_config` turns a file into a `Config` or into one `ConfigError` that names every wrong key, what it
found there, and the nearest key that exists. Relative paths are relative to the config file.
"""

import difflib
import posixpath
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any

import pydantic
import yaml

from transforms.columns import COMPUTED_KEYS, MODE_KEY, PHOTOGRAPHIC, ComputedColumn
from transforms.errors import ConfigError, did_you_mean
from transforms.explain.settings import ExplainSettings, ModelSettings
from transforms.judge.settings import JudgeSettings
from transforms.read.formats import FORMATS
from transforms.settings import Settings
from transforms.write.settings import ReportSettings

# One settings model for each dataset format, told apart by the key `format`.
_DATA: Any = reduce(or_, (entry.settings for entry in FORMATS.values()))


class Config(Settings):
    """Everything that one audit is told."""

    name: str = pydantic.Field(min_length=1, description="name of the audit, shown in every report")
    data: Annotated[_DATA, pydantic.Field(discriminator="format")] = pydantic.Field(
        description="the annotated images"
    )
    models: Annotated[tuple[ModelSettings, ...], pydantic.Strict(False)] = pydantic.Field(
        min_length=1, description="the classifiers; each image is read once for all of them"
    )
    explain: ExplainSettings = pydantic.Field(
        default_factory=ExplainSettings, description="which heatmaps, how many images at a time"
    )
    slices: Annotated[tuple[str, ...], pydantic.Strict(False)] = pydantic.Field(
        (), description="metadata columns to judge by: TFRecord features, COCO image fields, VOC elements"
    )
    computed_slices: Annotated[tuple[ComputedColumn, ...], pydantic.Strict(False)] = pydantic.Field(
        PHOTOGRAPHIC,
        description="slice columns that are computed from the picture, to find artefacts that no metadata "
        "name; also box_size and objects",
    )
    cluster: str | None = pydantic.Field(
        None,
        min_length=1,
        description="metadata column whose images are not independent, such as patient_id: each of its "
        "values counts once as evidence, with its mean",
    )
    judge: JudgeSettings = pydantic.Field(
        default_factory=JudgeSettings, description="when a class or slice is flagged"
    )
    report: ReportSettings = pydantic.Field(
        default_factory=ReportSettings, description="what the report shows"
    )
    output: str = pydantic.Field(description="directory for tables and run records, local or gs://, s3://")

    @pydantic.model_validator(mode="after")
    def _names_fit(self) -> "Config":
        names = [model.name for model in self.models]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"models has two models named {twice[0]!r}; names tell their rows apart")
        for key, columns in (("slices", self.slices), ("computed_slices", self.computed_slices)):
            if len(set(columns)) != len(columns):
                raise ValueError(f"{key} names one of its keys twice: {', '.join(columns)}")
        for column in self.slices:
            if column in (*COMPUTED_KEYS, MODE_KEY):
                raise ValueError(
                    f"slices names {column!r}, which the audit itself uses ({', '.join(COMPUTED_KEYS)}, "
                    f"{MODE_KEY}); rename the metadata column"
                )
        reference = self.judge.reference_model
        if reference is not None and reference not in names:
            hint = did_you_mean(reference, names)
            raise ValueError(
                f"judge.reference_model {reference!r} is none of the models{hint}: {', '.join(names)}"
            )
        return self


def load_config(path: str, overrides: Mapping[str, Any] | None = None) -> Config:
    """Reads a config file.

    Args:
        path: the YAML file.
        overrides: top-level keys that replace the file's, such as `output`; relative paths among them
            are relative to the working directory.

    Raises:
        ConfigError: the file is missing or not YAML, or a key is unknown, missing or of the wrong type.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"config file {path!r} does not exist") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"config file {path!r} cannot be read: {error}") from error
    try:
        document = yaml.load(text, Loader=StrictLoader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {yaml_problem(error)}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path} holds {_shown(document)}; a config is a mapping with the keys {_keys(())}")
    try:
        config = Config.model_validate({**document, **(overrides or {})})
    except pydantic.ValidationError as error:
        problems = dict.fromkeys(_problem(found, document) for found in _causes(error.errors()))
        raise ConfigError("\n".join(f"{path}: {problem}" for problem in problems)) from error
    folder = posixpath.dirname(posixpath.abspath(path))
    resolved = _with_paths(config, lambda value: resolve(value, folder))
    output = (overrides or {}).get("output")
    return resolved.model_copy(update={"output": resolve(output, str(Path.cwd()))}) if output else resolved


def resolve(path: str, folder: str) -> str:
    """An absolute path: as it is where it is one already or a URL, `~` at home, else below `folder`."""
    if "://" in path:
        return path
    return posixpath.normpath(posixpath.join(folder, posixpath.expanduser(path)))


def every_key(model: type[Settings] = Config, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key that a config may have, as (dotted path, pydantic field), in the order of declaration.

    Keys of list entries are written `models[].name`; a key that several formats share comes once.
    """
    seen = set()
    for name, field in model.model_fields.items():
        yield prefix + name, field
        for inner in _models_in(field.annotation):
            is_list = typing.get_origin(field.annotation) is tuple
            for path, inner_field in every_key(inner, f"{prefix}{name}{'[]' if is_list else ''}."):
                if path not in seen:
                    seen.add(path)
                    yield path, inner_field


# Keys of `data` that may be written in more than one way; pydantic would list what is wrong with each.
_UNIONS = {
    "class_map": "a file, or a mapping of names to class indexes,",
    "annotations": "a glob or a list of globs",
    "path": "a glob or a list of globs",
    "names": "a file, or a list or mapping of names,",
}


class StrictLoader(yaml.SafeLoader):
    """Refuses a key that stands twice in one mapping, of which YAML would silently keep the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """A mapping as a dict; a key that stands twice is a YAML error."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for (key_node, _), key in zip(node.value, keys, strict=True):
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} stands twice", key_node.start_mark
                )
        return super().construct_mapping(node, deep)


def _with_paths(config: Config, absolute: Callable[[str], str]) -> Config:
    def update(settings: Settings, names: Sequence[str]) -> dict[str, Any]:
        changed: dict[str, Any] = {}
        for name in names:
            value = getattr(settings, name, None)
            if isinstance(value, str):
                changed[name] = absolute(value)
            elif isinstance(value, list):
                changed[name] = [absolute(entry) for entry in value]
        return changed

    paths = ("path", "images", "annotations", "class_map", "metadata") + (
        ("names",) if isinstance(config.data.names, str) else ()  # a list of names is no list of paths
    )

    data = config.data.model_copy(update=update(config.data, paths))
    models = tuple(model.model_copy(update=update(model, ("path", "labels"))) for model in config.models)
    judge = config.judge.model_copy(update=update(config.judge, ("waivers",)))
    changed = {"data": data, "models": models, "judge": judge, **update(config, ("output",))}
    return config.model_copy(update=changed)


def _models_in(annotation: Any) -> list[type[Settings]]:
    """The settings models inside a type such as `tuple[ModelSettings, ...]` or `A | B`."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in _models_in(part)]


def _keys(location: Sequence[Any]) -> str:
    return ", ".join(_names_at(location))


def _names_at(location: Sequence[Any]) -> list[str]:
    """The keys that are valid at a location of pydantic's, such as ("data", "coco")."""
    models: list[type[Settings]] = [Config]
    for part in location:
        if part in FORMATS and FORMATS[part].settings in models:
            models = [FORMATS[part].settings]
        elif not isinstance(part, int):
            fields = [model.model_fields.get(part) for model in models]
            models = [inner for field in fields if field for inner in _models_in(field.annotation)]
    return list(dict.fromkeys(name for model in models for name in model.model_fields))


def _causes(errors: Sequence[Any]) -> Iterator[Any]:
    """The errors without those that only follow from another one further inside."""
    for error in errors:
        location = error["loc"]
        inside = [
            e["loc"]
            for e in errors
            if len(e["loc"]) > len(location) and e["loc"][: len(location)] == location
        ]
        if not (error["type"] == "too_short" and inside):
            yield error


def _problem(error: Any, document: Any) -> str:
    """One of pydantic's errors in the words of this file's users."""
    location, kind = error["loc"], error["type"]
    where = _dotted(location)
    if len(location) > 3 and location[0] == "data" and location[2] in _UNIONS:
        key = str(location[2])
        return f"data.{key} is {_shown(document['data'][key])}: {_UNIONS[key]} is needed"
    if kind == "extra_forbidden":
        return _unknown_key(location)
    if kind == "missing" and isinstance(location[-1], int):
        return f"{_dotted(location[:-1])} has {location[-1]} values, which is too few"
    if kind == "missing":
        return f"{where} is missing; keys of {_dotted(location[:-1]) or 'the config'}: {_keys(location[:-1])}"
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        given = error["input"].get("format") if isinstance(error["input"], dict) else None
        formats = ", ".join(FORMATS)
        if given is None:
            return f"data.format is missing; formats: {formats}"
        return f"data.format {given!r} is unknown{did_you_mean(str(given), FORMATS)}; formats: {formats}"
    message = error["msg"].removeprefix("Value error, ")
    message = message.replace("Tuple", "List").replace("tuple", "list").split(" after validation")[0]
    if kind == "value_error":
        return f"{where}: {message}" if where else message
    return f"{where} is {_shown(error['input'])}: {message[:1].lower()}{message[1:]}"


def _unknown_key(location: Sequence[Any]) -> str:
    key, parent = str(location[-1]), location[:-1]
    siblings = _names_at(parent)
    elsewhere = [path for path, _ in every_key() if path.rsplit(".", 1)[-1] == key]
    # A key of that very name elsewhere is likelier than one here that resembles it only from afar.
    near = difflib.get_close_matches(key, siblings, n=1, cutoff=0.8)
    if elsewhere and elsewhere[0] != _dotted(location) and not near:
        hint = f" (did you mean {elsewhere[0]}?)"
    else:
        hint = did_you_mean(key, siblings)
    return f"unknown key {_dotted(location)!r}{hint}; keys here: {', '.join(siblings)}"


def _dotted(location: Sequence[Any]) -> str:
    """`models[0].path` for ("models", 0, "path"); the format's tag within `data` is left out."""
    text = ""
    for index, part in enumerate(location):
        if isinstance(part, int):
            text += f"[{part}]"
        elif index == 1 and location[0] == "data" and part in FORMATS:
            continue
        else:
            text += f".{part}" if text else str(part)
    return text


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def yaml_problem(error: yaml.YAMLError) -> str:
    """One line that says what is wrong with a YAML text, and where."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).split("\n", 1)[0]
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark else problem
