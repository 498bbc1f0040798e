"""What is found out before the pipeline starts: each thing that does not fit, by its exact name."""

import hashlib
import json
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config import load_config
from pipeline.plan import Plan, plan_run
from transforms.errors import ConfigError, DataError, ModelError, UsageError
from transforms.records import Group

from .builders import encode, make_image, write_coco

LAYERS = "rescaling 16x16x3, first 8x8x4, norm 8x8x4, middle 8x8x4, last 4x4x6"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set of one image, where the configs stand too."""
    image = encode(make_image())
    write_coco(tmp_path, images={"a.png": image}, boxes={"a.png": [("cat", [1, 1, 4, 4])]})
    return tmp_path


def plan(
    folder: Path,
    model: Path,
    *,
    data: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
    explain: dict[str, Any] | None = None,
    judge: dict[str, Any] | None = None,
    others: Sequence[dict[str, Any]] = (),
    **arguments: Any,
) -> Plan:
    """Plans a run over the data set, with a class map unless `data` says otherwise."""
    of_data = {"format": "coco", "images": "images", "annotations": "set.json", "class_map": {"cat": 0}}
    of_data.update(data or {})
    document = {
        "name": "test",
        "data": {key: value for key, value in of_data.items() if value is not None},
        "models": [{"name": "m", "path": str(model), **(settings or {})}, *others],
        "explain": explain or {},
        "judge": judge or {},
        "output": "out",
    }
    (folder / "c.yaml").write_text(yaml.safe_dump(document))
    return plan_run(load_config(str(folder / "c.yaml")), runner="FnApiRunner", **arguments)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_plan_says_all_that_is_known_before_the_run(folder: Path, tiny_model: Path) -> None:
    found = plan(folder, tiny_model)
    details = found.run.details
    annotations = folder / "set.json"
    files = [[str(annotations), annotations.stat().st_size]]

    assert ("test", f"{folder}/out", 0.01) == (
        found.run.name,
        found.run.paths.output,
        found.run.max_bad_fraction,
    )
    assert {
        "name": "m",
        "path": str(tiny_model),
        "sha256": hashlib.sha256(tiny_model.read_bytes()).hexdigest(),
        "input_size": [16, 16],
        "target_layer": "last",
        "map_size": [4, 4],
        "layers": [{"name": "last", "map_size": [4, 4], "separates": True}],
        "logits_tensor": details["models"][0]["logits_tensor"],
        "head": "softmax",
        "classes": 3,
    } == details["models"][0]
    assert {
        "format": "coco",
        "files": 1,
        "shards": 1,
        "bytes": annotations.stat().st_size,
        "listing_sha256": hashlib.sha256(json.dumps(files).encode()).hexdigest(),
    } == details["data"]
    assert json.loads(json.dumps(details)) == details


def test_a_plan_writes_nothing(folder: Path, tiny_model: Path) -> None:
    plan(folder, tiny_model)
    before = contents(folder)
    plan(folder, tiny_model, run_id="r1")

    assert before == contents(folder)
    assert not (folder / "out").exists()


def test_a_run_is_named_after_its_start(folder: Path, tiny_model: Path) -> None:
    run = plan(folder, tiny_model).run
    day = run.started[:10]

    assert day == run.paths.run_date
    assert re.fullmatch(day.replace("-", "") + r"T\d{6}Z-[0-9a-f]{6}", run.paths.run_id)
    assert run.paths.run_id != plan(folder, tiny_model).run.paths.run_id


def test_the_same_config_has_the_same_hash_and_another_one_another(folder: Path, tiny_model: Path) -> None:
    hashes = [
        plan(folder, tiny_model, explain={"batch_size": size}).run.details["config_sha256"]
        for size in (8, 8, 9)
    ]

    assert hashes[0] == hashes[1] != hashes[2]


def test_a_limit_makes_one_shard(folder: Path, tiny_model: Path) -> None:
    (folder / "set-2.json").write_bytes((folder / "set.json").read_bytes())
    data = {"annotations": "*.json"}

    assert ["00000-set-2.json", "00001-set.json"] == [
        shard.name for shard in plan(folder, tiny_model, data=data).listing.shards
    ]
    limited = plan(folder, tiny_model, data=data, limit=3)
    assert [("00000-first", [f"{folder}/set-2.json", f"{folder}/set.json"])] == [
        (shard.name, shard.paths) for shard in limited.listing.shards
    ]
    assert 3 == limited.limit == limited.run.details["limit"]


@pytest.mark.parametrize(
    ("methods", "expected"),
    [(["gradcam", "hirescam"], "hirescam"), (["hirescam"], "hirescam"), (["gradcam"], "gradcam")],
)
def test_verdicts_use_hirescam_where_it_is_computed(
    folder: Path, tiny_model: Path, methods: list[str], expected: str
) -> None:
    found = plan(folder, tiny_model, explain={"methods": methods})

    assert {"m": ("last", expected)} == found.judged
    assert found.withheld is None
    assert [Group("m", m, "last", "model", None, None, None) for m in methods] == found.model_groups


def test_of_several_layers_the_first_is_judged(folder: Path, tiny_model: Path) -> None:
    found = plan(folder, tiny_model, settings={"target_layer": ["middle", "auto"]})

    assert {"m": ("middle", "hirescam")} == found.judged
    assert [
        {"name": "middle", "map_size": [8, 8], "separates": True},
        {"name": "last", "map_size": [4, 4], "separates": True},
    ] == found.run.details["models"][0]["layers"]
    assert [("middle", "gradcam"), ("middle", "hirescam"), ("last", "gradcam"), ("last", "hirescam")] == [
        (group.target_layer, group.method) for group in found.model_groups
    ]


def test_negative_polarity_makes_no_verdicts(folder: Path, tiny_model: Path) -> None:
    assert (
        "no verdict: explain.polarity is negative, so the heat shows what speaks against a class"
        == plan(folder, tiny_model, explain={"polarity": "negative"}).withheld
    )


@pytest.mark.parametrize(
    ("judge", "polarity", "expected"),
    [
        ({}, "positive", (True, True)),
        ({"confirm": False}, "positive", (False, True)),
        ({"health_images": 0}, "positive", (True, False)),
        ({}, "negative", (False, False)),
    ],
)
def test_what_is_read_again_is_said_by_the_config(
    folder: Path, tiny_model: Path, judge: dict[str, Any], polarity: str, expected: tuple[bool, bool]
) -> None:
    found = plan(folder, tiny_model, judge=judge, explain={"polarity": polarity})

    assert expected == (found.confirms, found.checks_health)


def test_listed_classes_are_found_by_index_or_label(folder: Path, tiny_model: Path) -> None:
    (folder / "labels.txt").write_text("cat\ndog\nwolf\n")
    settings = {"labels": "labels.txt"}
    (spec,) = plan(folder, tiny_model, settings=settings, explain={"classes": ["wolf", 0]}).specs

    assert (2, 0) == spec.listed
    assert "explain.classes: 'wolff' is no label of models[0] (m) (did you mean 'wolf'?)" == refusal(
        ConfigError, folder, tiny_model, settings=settings, explain={"classes": ["wolff"]}
    )
    assert "explain.classes: 3 is no class of models[0] (m), which has the classes 0 to 2" == refusal(
        ConfigError, folder, tiny_model, explain={"classes": [3]}
    )


def refusal(error: type[UsageError], *arguments: Any, **keywords: Any) -> str:
    with pytest.raises(UsageError) as caught:
        plan(*arguments, **keywords)
    assert error is type(caught.value)
    return str(caught.value)


def test_a_model_file_that_does_not_exist(folder: Path) -> None:
    path = folder / "none.keras"

    assert f"models[0] (m): model file '{path}' does not exist" == refusal(ModelError, folder, path)


@pytest.mark.parametrize("kind", ["text", "empty", "folder"])
def test_a_file_that_is_not_a_model(folder: Path, kind: str) -> None:
    path = folder / "m.keras"
    path.mkdir() if kind == "folder" else path.write_text("" if kind == "empty" else "weights")
    no_model = "is no model: neither a .keras nor an .h5 file, nor a SavedModel folder"
    expected = "is a folder without saved_model.pb, so no SavedModel" if kind == "folder" else no_model

    assert f"models[0] (m): '{path}' {expected}" == refusal(ModelError, folder, path)


def test_a_zip_that_is_not_a_model(folder: Path) -> None:
    path = folder / "m.keras"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.txt", "a")
    reason = "There is no item named 'config.json' in the archive"

    assert (f"models[0] (m): '{path}' cannot be loaded as a Keras model: \"{reason}\"") == refusal(
        ModelError, folder, path
    )


@pytest.mark.parametrize(
    ("layer", "problem"),
    [
        ("lost", f"is no layer of the model (did you mean 'last'?); candidates: {LAYERS}"),
        ("block_16_project", f"is no layer of the model; candidates: {LAYERS}"),
        (
            "scores",
            f"has output shape (N, 3) and is no feature map on the way to the logits; candidates: {LAYERS}",
        ),
    ],
)
def test_a_target_layer_that_is_not_there_lists_those_that_are(
    folder: Path, tiny_model: Path, layer: str, problem: str
) -> None:
    message = refusal(ModelError, folder, tiny_model, settings={"target_layer": layer})

    assert f"models[0] (m): target_layer {layer!r} {problem}" == message


@pytest.mark.parametrize(("classes", "beyond"), [(3, 3), ([0, 7, 9], 7), ([0, -1], -1)])
def test_a_class_map_that_names_a_class_the_model_does_not_have(
    folder: Path, tiny_model: Path, classes: Any, beyond: int
) -> None:
    message = refusal(ConfigError, folder, tiny_model, data={"class_map": {"cat": classes}})

    assert f"data.class_map: 'cat' is class {beyond}, but models[0] (m) has the classes 0 to 2" == message


def test_a_class_map_file_that_does_not_exist(folder: Path, tiny_model: Path) -> None:
    path = f"{folder}/none.json"
    message = refusal(DataError, folder, tiny_model, data={"class_map": "none.json"})
    reason = f"[Errno 2] No such file or directory: '{path}'"

    assert f"data.class_map: '{path}' cannot be read: {reason}" == message


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[1, 2]", "holds no mapping of annotated names to class indexes"),
        ("", "holds no mapping of annotated names to class indexes"),
        ('{"cat": "zero"}', "maps 'cat' to 'zero'; a class index or a list of them is needed"),
        ('{"cat": []}', "maps 'cat' to []; a class index or a list of them is needed"),
        ('{"cat": [0, 1.5]}', "maps 'cat' to [0, 1.5]; a class index or a list of them is needed"),
        ('{"cat": true}', "maps 'cat' to True; a class index or a list of them is needed"),
    ],
)
def test_a_class_map_file_that_maps_nothing_or_not_to_classes(
    folder: Path, tiny_model: Path, text: str, problem: str
) -> None:
    (folder / "map.json").write_text(text)
    message = refusal(DataError, folder, tiny_model, data={"class_map": "map.json"})

    assert f"data.class_map: '{folder}/map.json' {problem}" == message


def test_a_broken_class_map_file_is_told_in_one_line(folder: Path, tiny_model: Path) -> None:
    (folder / "map.json").write_text('{"cat": ')
    message = refusal(DataError, folder, tiny_model, data={"class_map": "map.json"})

    assert message.startswith(f"data.class_map: '{folder}/map.json' cannot be read: ")
    assert 1 == len(message.splitlines())


@pytest.mark.parametrize("text", ['{\n\t"cat": [1, 2]\n}', "cat: [1, 2]", '{"cat": [1, 2], "3": 0}'])
def test_a_class_map_file_may_be_any_json_or_yaml(folder: Path, tiny_model: Path, text: str) -> None:
    (folder / "map.json").write_text(text)
    found = plan(folder, tiny_model, data={"class_map": "map.json"})

    assert (1, 2) == found.specs[0].class_map.classes["cat"]


def test_a_name_that_maps_to_no_class_at_all_is_refused(folder: Path, tiny_model: Path) -> None:
    with pytest.raises(UsageError):
        plan(folder, tiny_model, data={"class_map": {"cat": []}})


def test_an_empty_list_of_globs_is_refused(folder: Path, tiny_model: Path) -> None:
    with pytest.raises(UsageError):
        plan(folder, tiny_model, data={"annotations": []})


def test_without_a_class_map_the_labels_are_the_names(folder: Path, tiny_model: Path) -> None:
    (folder / "labels.txt").write_text("cat\ndog\ncat\n")
    found = plan(folder, tiny_model, data={"class_map": None}, settings={"labels": "labels.txt"})

    assert ["cat", "dog", "cat"] == list(found.specs[0].labels)
    assert {"cat": (0, 2), "dog": (1,)} == found.specs[0].class_map.classes


def test_labels_of_another_length_than_the_model(folder: Path, tiny_model: Path) -> None:
    (folder / "labels.txt").write_text("cat\ndog\n")
    message = refusal(ModelError, folder, tiny_model, settings={"labels": "labels.txt"})

    assert f"models[0] (m): '{folder}/labels.txt' names 2 classes, the model has 3" == message


def test_a_labels_file_that_does_not_exist(folder: Path, tiny_model: Path) -> None:
    message = refusal(ConfigError, folder, tiny_model, settings={"labels": "none.txt"})
    path = f"{folder}/none.txt"

    assert f"labels file '{path}' cannot be read: [Errno 2] No such file or directory: '{path}'" == message


def test_neither_labels_nor_class_map(folder: Path, tiny_model: Path) -> None:
    message = refusal(ConfigError, folder, tiny_model, data={"class_map": None})

    assert "models[0] (m) has no labels and data has no class_map; give one of them" == message


@pytest.mark.parametrize("run_id", ["a/b", "../a", ".a", "a b", "ä"])
def test_a_run_id_that_is_no_folder_name(folder: Path, tiny_model: Path, run_id: str) -> None:
    message = refusal(UsageError, folder, tiny_model, run_id=run_id)

    assert f"run id {run_id!r} may hold letters, digits, '.', '_' and '-' only" == message


def test_a_run_id_that_exists_already(folder: Path, tiny_model: Path) -> None:
    (folder / "out/runs/r1").mkdir(parents=True)
    (folder / "out/runs/r1/started.json").write_text("{}")
    message = refusal(UsageError, folder, tiny_model, run_id="r1")

    assert f"run id 'r1' exists already below {folder}/out; give another --run-id" == message


def test_a_reference_model_must_be_a_model_of_the_config(folder: Path, tiny_model: Path) -> None:
    with pytest.raises(ConfigError) as error:
        plan(folder, tiny_model, judge={"reference_model": "n"})

    assert str(error.value).endswith("judge.reference_model 'n' is none of the models: m")


def test_a_reference_model_must_have_maps_of_the_same_size(folder: Path, tiny_model: Path) -> None:
    finer = {"name": "finer", "path": str(tiny_model), "target_layer": "middle"}
    with pytest.raises(ConfigError) as error:
        plan(folder, tiny_model, judge={"reference_model": "m"}, others=[finer])

    expected = (
        "judge.reference_model 'm' has heatmaps of 4x4, model 'finer' of 8x8, and maps of different sizes "
        "cannot be compared; choose target_layer accordingly"
    )
    assert expected == str(error.value)


def test_waivers_go_into_the_manifest_as_they_are_today(folder: Path, tiny_model: Path) -> None:
    known = {"finding_id": "0123456789abcdef", "who": "Ann", "until": "2030-01-31", "why": "known"}
    (folder / "waivers.yaml").write_text(yaml.safe_dump([known]))

    assert [known] == plan(folder, tiny_model, judge={"waivers": "waivers.yaml"}).run.details["waivers"]
    assert [] == plan(folder, tiny_model).run.details["waivers"]


def test_a_waiver_that_is_wrong_stops_the_run_before_it_starts(folder: Path, tiny_model: Path) -> None:
    (folder / "waivers.yaml").write_text("[pill]")

    with pytest.raises(UsageError) as caught:
        plan(folder, tiny_model, judge={"waivers": "waivers.yaml"})
    keys = "finding_id, who, until, why"
    assert f"{folder}/waivers.yaml: waiver 1 is 'pill'; a mapping with {keys} is needed" == str(caught.value)
