"""The config file: every way to get it wrong has its message, and every path ends up absolute."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config import Config, every_key, load_config
from transforms.errors import ConfigError
from transforms.read.formats import FORMATS

GOOD: dict[str, Any] = {
    "name": "pets",
    "data": {"format": "coco", "images": "images", "annotations": "body.json"},
    "models": [{"name": "m", "path": "m.keras"}],
    "output": "audits",
}
TFRECORD = {"format": "tfrecord", "path": "*.rec"}

OF_REPORT = "exemplars, images, colormap"
TOP = "name, data, models, explain, slices, computed_slices, cluster, judge, report, output"
OF_COCO = (
    "class_map, names, metadata, metadata_id, max_bad_fraction, images, extension, annotations, region, "
    "format"
)
OF_FEATURES = "image, id, xmin, ymin, xmax, ymax, box, name, image_name, ignored"
OF_MODEL = (
    "name, path, labels, preprocess, output, score, inputs, target_layer, token_grid, custom_objects, "
    "safe_mode"
)
OF_PREPROCESS = "size, resize, crop, padding, interpolation, channels, scale, mean, std"
OF_EXPLAIN = (
    "methods, targets, classes, polarity, channel_budget, batch_size, precision, decode, orientation, "
    "boxes_orientation, max_pixels, accelerator, min_ram"
)
OF_JUDGE = (
    "fdr, suspect_margin, reference_model, min_images, confirm, epsilon, images_per_class, confirm_budget, "
    "health_images, allowed_regions, allowed_classes, required, waivers"
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test works in a folder of its own, with its config in `c.yaml`."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def changed(place: str, value: Any) -> dict[str, Any]:
    """The good config with one value set, at a place such as `models[0].path`."""
    document = copy.deepcopy(GOOD)
    inner, key = _at(document, place)
    inner[key] = value
    return document


def without(place: str) -> dict[str, Any]:
    document = copy.deepcopy(GOOD)
    inner, key = _at(document, place)
    del inner[key]
    return document


def _at(document: dict[str, Any], place: str) -> tuple[dict[str, Any], str]:
    *path, key = place.replace("[0]", ".0").split(".")
    inner: Any = document
    for part in path:
        inner = inner[0] if part == "0" else inner.setdefault(part, {})
    return inner, key


def load(document: Any, **overrides: Any) -> Config:
    text = document if isinstance(document, str) else yaml.safe_dump(document)
    Path("c.yaml").write_text(text)
    return load_config("c.yaml", overrides or None)


def refusal(document: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load(document)
    return str(caught.value)


def test_a_config_file_that_does_not_exist() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("none.yaml")

    assert "config file 'none.yaml' does not exist" == str(caught.value)


def test_a_config_file_that_is_a_folder_or_no_text() -> None:
    Path("binary.yaml").write_bytes(b"\xff\xfe")
    undecodable = "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"
    for path, problem in {".": "[Errno 21] Is a directory: '.'", "binary.yaml": undecodable}.items():
        with pytest.raises(ConfigError) as caught:
            load_config(path)

        assert f"config file {path!r} cannot be read: {problem}" == str(caught.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("models: [a\noutput: b", "line 2, column 7: expected ',' or ']', but got ':'"),
        ("data:\n\tformat: coco", "line 2, column 1: found character '\\t' that cannot start any token"),
        ("name: a\n---\nname: b", "line 2, column 1: but found another document"),
        ("name: a\nname: b", "line 1, column 1: key 'name' stands twice"),
        ("data:\n  format: coco\n  images: x\n  format: voc", "line 2, column 3: key 'format' stands twice"),
        ("{a: 1, b: 2, a: 3}", "line 1, column 2: key 'a' stands twice"),
    ],
)
def test_broken_yaml(text: str, problem: str) -> None:
    assert f"c.yaml is not valid YAML: {problem}" == refusal(text)


@pytest.mark.parametrize(("text", "shown"), [("- a\n- b", "['a', 'b']"), ("", "None"), ("pets", "'pets'")])
def test_a_document_that_is_no_mapping(text: str, shown: str) -> None:
    assert f"c.yaml holds {shown}; a config is a mapping with the keys {TOP}" == refusal(text)


@pytest.mark.parametrize(
    ("place", "hint", "keys"),
    [
        ("nam", " (did you mean 'name'?)", TOP),
        ("data.image", " (did you mean 'images'?)", OF_COCO),
        ("models[0].pth", " (did you mean 'path'?)", OF_MODEL),
        ("models[0].preprocess.sclae", " (did you mean 'scale'?)", OF_PREPROCESS),
        ("explain.method", " (did you mean 'methods'?)", OF_EXPLAIN),
        ("judge.min_image", " (did you mean 'min_images'?)", OF_JUDGE),
        ("batch_size", " (did you mean explain.batch_size?)", TOP),
        ("explain.fdr", " (did you mean judge.fdr?)", OF_EXPLAIN),
        ("models[0].scale", " (did you mean models[].preprocess.scale?)", OF_MODEL),
    ],
)
def test_an_unknown_key_names_the_nearest_or_where_it_belongs(place: str, hint: str, keys: str) -> None:
    assert f"c.yaml: unknown key {place!r}{hint}; keys here: {keys}" == refusal(changed(place, 1))


def test_feature_names_are_checked() -> None:
    data = {**TFRECORD, "features": {"imag": "jpeg"}}
    expected = f"unknown key 'data.features.imag' (did you mean 'image'?); keys here: {OF_FEATURES}"

    assert f"c.yaml: {expected}" == refusal({**GOOD, "data": data})


def test_a_key_of_another_format_is_not_suggested_to_itself() -> None:
    assert "did you mean data.path?" not in refusal(changed("data.path", "*.rec"))


def test_every_problem_is_told_at_once() -> None:
    expected = (
        "c.yaml: name is 3: input should be a valid string\n"
        f"c.yaml: output is missing; keys of the config: {TOP}\n"
        f"c.yaml: unknown key 'outputs' (did you mean 'output'?); keys here: {TOP}"
    )

    assert expected == refusal({"name": 3, "data": GOOD["data"], "models": GOOD["models"], "outputs": "x"})


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        ("name", f"; keys of the config: {TOP}"),
        ("data.images", f"; keys of data: {OF_COCO}"),
        ("models[0].path", f"; keys of models[0]: {OF_MODEL}"),
        ("data.format", "; formats: " + ", ".join(FORMATS)),
    ],
)
def test_a_missing_key(place: str, problem: str) -> None:
    assert f"c.yaml: {place} is missing{problem}" == refusal(without(place))


NO_CLASS_MAP = "a file, or a mapping of names to class indexes, is needed"
TWINS = [{"name": "m", "path": "a"}, {"name": "m", "path": "b"}]


OURS = (
    "which the audit itself uses (image.brightness, image.border, image.colour_cast, image.blur, "
    "image.corner_edges, image.aspect_ratio, image.file_format, image.box_size, image.objects, mode); "
    "rename the metadata column"
)


@pytest.mark.parametrize(
    ("place", "value", "problem"),
    [
        ("name", 2024, " is 2024: input should be a valid string"),
        ("name", "", " is '': string should have at least 1 character"),
        ("data.images", 3, " is 3: input should be a valid string"),
        ("data.max_bad_fraction", 1.5, " is 1.5: input should be less than or equal to 1"),
        (
            "data.format",
            "cocco",
            " 'cocco' is unknown (did you mean 'coco'?); formats: " + ", ".join(FORMATS),
        ),
        ("data.format", "zip", " 'zip' is unknown; formats: " + ", ".join(FORMATS)),
        ("data.class_map", 3, f" is 3: {NO_CLASS_MAP}"),
        ("data.class_map", ["cat"], f" is ['cat']: {NO_CLASS_MAP}"),
        ("models", [], " is []: list should have at least 1 item"),
        ("slices", ["a", "a"], " names one of its keys twice: a, a"),
        ("computed_slices", ["blur", "blur"], " names one of its keys twice: blur, blur"),
        (
            "computed_slices",
            ["brightnes"],
            "[0] is 'brightnes': input should be 'brightness', 'border', 'colour_cast', 'blur', "
            "'corner_edges', 'aspect_ratio', 'file_format', 'box_size' or 'objects'",
        ),
        ("slices", ["camera", "image.blur"], f" names 'image.blur', {OURS}"),
        ("slices", ["mode"], f" names 'mode', {OURS}"),
        ("models", TWINS, " has two models named 'm'; names tell their rows apart"),
        ("models[0].name", "a b", " is 'a b': string should match pattern '^[A-Za-z0-9][A-Za-z0-9._-]*$'"),
        (
            "models[0].preprocess.resize",
            "strech",
            " is 'strech': input should be 'stretch', 'center_crop' or 'letterbox'",
        ),
        ("models[0].preprocess", {"crop": 0.9}, ": crop applies to resize: center_crop only, not to stretch"),
        (
            "models[0].preprocess",
            {"padding": 114},
            ": padding applies to resize: letterbox only, not to stretch",
        ),
        ("models[0].preprocess", {"std": [1, 0, 1]}, ": std divides, so none of its values may be 0"),
        ("models[0].preprocess.std", [1, 1], " has 2 values, which is too few"),
        ("models[0].preprocess.size", 224, " is 224: input should be a valid list"),
        ("explain.batch_size", "32", " is '32': input should be a valid integer"),
        (
            "explain",
            {"methods": ["gradcam", "hirescam", "gradcam"]},
            ": methods names one of its values twice: gradcam, hirescam, gradcam",
        ),
        (
            "explain",
            {"targets": ["predicted"]},
            ": targets must include annotated: verdicts are about the annotated class",
        ),
        ("judge.confirm", "yes", " is 'yes': input should be a valid boolean"),
    ],
)
def test_a_value_that_is_not_possible(place: str, value: Any, problem: str) -> None:
    assert f"c.yaml: {place}{problem}" == refusal(changed(place, value))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("data.annotations", 3),
        ("data.annotations", [1]),
        ("data.class_map", {"cat": "zero"}),
        ("data.class_map", {"cat": [0, "one"]}),
    ],
)
def test_a_wrong_type_is_one_problem_in_the_users_words(place: str, value: Any) -> None:
    message = refusal(changed(place, value))

    assert 1 == len(message.splitlines())
    assert not {part for part in (".str ", ".int ", "list[") if part in message}


def test_relative_paths_are_relative_to_the_config_file(here: Path) -> None:
    (here / "configs").mkdir()
    data = {**GOOD["data"], "annotations": ["a/*.json", "../b.json"], "class_map": "map.json"}
    models = [{"name": "m", "path": "/models/m.keras", "labels": "labels.txt"}]
    document = {**GOOD, "data": data, "models": models, "judge": {"waivers": "waivers.yaml"}}
    (here / "configs/c.yaml").write_text(yaml.safe_dump(document))
    config = load_config("configs/c.yaml")

    assert f"{here}/configs/images" == config.data.images
    assert [f"{here}/configs/a/*.json", f"{here}/b.json"] == config.data.annotations
    assert f"{here}/configs/map.json" == config.data.class_map
    assert ("/models/m.keras", f"{here}/configs/labels.txt") == (
        config.models[0].path,
        config.models[0].labels,
    )
    assert f"{here}/configs/waivers.yaml" == config.judge.waivers
    assert f"{here}/configs/audits" == config.output


def test_urls_stay_as_they_are() -> None:
    urls = {"images": "gs://b/images", "annotations": "s3://b/../*.json", "class_map": "hdfs://m.json"}
    config = load({**GOOD, "data": {**GOOD["data"], **urls}, "output": "gs://b/audits"})

    assert urls == {key: getattr(config.data, key) for key in urls}
    assert "gs://b/audits" == config.output


def test_an_output_on_the_command_line_is_relative_to_the_working_directory(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "configs").mkdir()
    (here / "configs/c.yaml").write_text(yaml.safe_dump(GOOD))
    found = [load_config("configs/c.yaml", {"output": output}).output for output in ("x", "/x", "gs://x")]

    assert [f"{here}/x", "/x", "gs://x"] == found


def test_an_output_on_the_command_line_makes_up_for_a_missing_one(here: Path) -> None:
    assert f"{here}/x" == load(without("output"), output="x").output


def test_a_class_map_may_stand_in_the_config() -> None:
    class_map = {"cat": 1, "dog": [2, 3]}

    assert class_map == load(changed("data.class_map", class_map)).data.class_map


def test_every_key_is_listed_once() -> None:
    keys = [path for path, _ in every_key()]
    of_features = [f"data.features.{key}" for key in OF_FEATURES.split(", ")]
    others = "path, layout, unit, edges, in_folders, columns, keys"
    of_data = [*OF_COCO.split(", "), "features", *others.split(", ")]
    of_data += [f"columns.{key}" for key in ("image", "name", "box", "ignored")]
    of_data += [f"keys.{key}" for key in ("image", "id", "objects", "box", "name", "ignored", "label")]
    of_model = [*OF_MODEL.split(", "), *(f"preprocess.{key}" for key in OF_PREPROCESS.split(", "))]
    expected = [
        *TOP.split(", "),
        *(f"data.{key}" for key in of_data),
        *of_features,
        *(f"models[].{key}" for key in of_model),
        *(f"explain.{key}" for key in OF_EXPLAIN.split(", ")),
        *(f"judge.{key}" for key in OF_JUDGE.split(", ")),
        *(f"report.{key}" for key in OF_REPORT.split(", ")),
    ]

    assert sorted(expected) == sorted(keys)


def test_the_json_schema_has_the_keys_of_every_level() -> None:
    schema = Config.model_json_schema()
    levels = {"ModelSettings": OF_MODEL, "Preprocess": OF_PREPROCESS, "ExplainSettings": OF_EXPLAIN}
    levels |= {
        "JudgeSettings": OF_JUDGE,
        "ReportSettings": OF_REPORT,
        "CocoSettings": OF_COCO,
        "Features": OF_FEATURES,
    }

    assert TOP.split(", ") == list(schema["properties"])
    assert set(GOOD) == set(schema["required"])
    assert schema["additionalProperties"] is False
    assert levels == {name: ", ".join(schema["$defs"][name]["properties"]) for name in levels}
    assert set(FORMATS) == set(schema["properties"]["data"]["discriminator"]["mapping"])
