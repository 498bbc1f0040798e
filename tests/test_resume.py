"""`run --resume`: the rows of an undisturbed run, without explaining again what was explained."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
import yaml
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from pipeline.audit import audit
from pipeline.cli import main
from pipeline.config import load_config
from pipeline.plan import plan_run
from tests.engines.harness import manifest_of, tables_of
from transforms.explain.explainer import Explainer

from .audit_sets import BATCH, IMAGES, dying, write_config, write_set


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, flat_model: Path) -> Path:
    """Two shards and two models, the undisturbed run `whole`, and `broken`, which died in its third batch."""
    folder = tmp_path_factory.mktemp("whole") / "audit"
    folder.mkdir()
    write_set(folder, shards=2)
    (folder / "images/05.png").write_bytes(b"garbage")
    path = write_config(folder, {"tiny": tiny_model, "flat": flat_model})
    config = yaml.safe_load(path.read_text())
    config["data"]["max_bad_fraction"] = 0.2
    path.write_text(yaml.safe_dump(config))
    assert 0 == main(["run", str(path), "--run-id", "whole"])
    with pytest.MonkeyPatch.context() as patch:
        dying(patch, batches=2)
        assert 3 == main(["run", str(path), "--run-id", "broken"])
    return folder


@pytest.fixture
def folder(whole: Path) -> Path:
    """The same, without the runs of other tests."""
    for path in whole.glob("audits/**/*again*"):
        if path.is_dir():
            shutil.rmtree(path)
    return whole


def explained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of all examples that are explained from now on, as they come."""
    usual, ids = Explainer.explain, []

    def explain(self: Explainer, examples: Any) -> Any:
        ids.extend(example.example_id for example in examples)
        return usual(self, examples)

    monkeypatch.setattr(Explainer, "explain", explain)
    return ids


def whole_manifest(folder: Path, run_id: str, **changes: Any) -> dict[str, Any]:
    return {**manifest_of(folder, run_id), "resumes": None, "recalled": 0, **changes}


def test_a_resumed_run_has_the_rows_of_an_undisturbed_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = explained(monkeypatch)
    assert 0 == main(["run", str(folder / "config.yaml"), "--run-id", "again", "--resume", "broken"])

    assert IMAGES - 2 * BATCH == len(ids) == len(set(ids))
    assert tables_of(folder, "whole") == tables_of(folder, "again")
    found = manifest_of(folder, "again")
    assert ("broken", 2 * BATCH) == (found["resumes"], found["recalled"])
    assert whole_manifest(folder, "whole") == whole_manifest(folder, "again")
    assert "42 records (16 explained by run broken) at" in " ".join(capsys.readouterr().out.split())


def test_what_is_kept_goes_with_a_run_that_ends_well(folder: Path) -> None:
    assert not (folder / "audits/runs/whole/staging").exists()
    assert 2 == len(list((folder / "audits/runs/broken/staging/explained").iterdir()))


@pytest.mark.slow
def test_a_resumed_run_that_dies_is_resumed_with_all_that_both_have(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        dying(patch, batches=1)
        assert 3 == main(["run", str(folder / "config.yaml"), "--run-id", "again", "--resume", "broken"])
    ids = explained(monkeypatch)
    assert 0 == main(["run", str(folder / "config.yaml"), "--run-id", "again-2", "--resume", "again"])

    assert IMAGES - 3 * BATCH == len(ids)
    assert tables_of(folder, "whole") == tables_of(folder, "again-2")


@pytest.mark.slow
def test_an_image_that_changed_since_is_explained_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images beside their annotations are in no listing; their bytes decide."""
    copy = Path(shutil.copytree(folder, tmp_path / "audit"))
    path, config = copy / "config.yaml", yaml.safe_load((copy / "config.yaml").read_text())
    config["data"] |= {"images": str(folder / "images"), "annotations": str(folder / "set-*.json")}
    path.write_text(yaml.safe_dump(config))
    content = (folder / "images/02.png").read_bytes()
    ids = explained(monkeypatch)
    try:
        (folder / "images/02.png").write_bytes((folder / "images/03.png").read_bytes())
        assert 0 == main(["run", str(path), "--run-id", "again", "--resume", "broken"])
        assert 0 == main(["run", str(path), "--run-id", "fresh"])
    finally:
        (folder / "images/02.png").write_bytes(content)

    assert "02.png" in ids[: IMAGES - 2 * BATCH + 1]
    assert 2 * BATCH - 1 == manifest_of(copy, "again")["recalled"]
    assert tables_of(copy, "fresh") == tables_of(copy, "again")


def test_a_resumed_run_holds_no_images(folder: Path) -> None:
    """Reading, asking whether an image is known, and explaining it are one fused stage."""
    config = load_config(str(folder / "config.yaml"))
    plan = plan_run(config, runner="FnApiRunner", resume="broken")
    pipeline = beam.Pipeline(runner="FnApiRunner")
    audit(pipeline, config, plan)
    _, stages = FnApiRunner().create_stages(pipeline.to_runner_api())

    (explaining,) = [
        s for s in stages if any(t.unique_name.startswith("Explain/Explain") for t in s.transforms)
    ]
    names = [transform.unique_name for transform in explaining.transforms]
    for step in ("Load/LoadImage", "Recall/Divide", "Explain/Batch", "Explain/Keep"):
        assert any(name.startswith(step) for name in names), step
    (dividing,) = [t for t in explaining.transforms if t.unique_name.startswith("Recall/Divide")]
    takers = [s for s in stages for t in s.transforms if dividing.outputs["None"] in t.inputs.values()]
    assert [explaining] == takers


def test_a_pruned_run_has_the_same_report(folder: Path, tmp_path: Path) -> None:
    output = Path(shutil.copytree(folder / "audits", tmp_path / "audits"))
    page = output / "runs/whole/report.html"
    reports = []
    for _ in range(2):
        assert 0 == main(["report", str(output), "--run-id", "whole"])
        reports.append(page.read_text())
        assert 0 == main(["prune", str(output), "--keep", "1", "--yes"])

    assert [] == list(output.glob("scores/**/run_id=whole/*"))
    assert reports[0] == reports[1]


def change_config(folder: Path) -> None:
    path = folder / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["explain"]["batch_size"] = 4
    config["judge"]["fdr"] = 0.2
    path.write_text(yaml.safe_dump(config))


def change_model(folder: Path) -> None:
    path = folder / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["models"][0], config["models"][1] = (
        {**config["models"][0], "path": config["models"][1]["path"]},
        {**config["models"][1], "path": config["models"][0]["path"]},
    )
    path.write_text(yaml.safe_dump(config))


def change_record(name: str, value: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "audits/runs/broken/started.json"
        record = json.loads(path.read_text())
        record["request"][name] = value
        path.write_text(json.dumps(record))

    return change


def change_version(folder: Path) -> None:
    path = folder / "audits/runs/broken/started.json"
    record = json.loads(path.read_text())
    del record["request"]
    path.write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("change", "run_id", "told"),
    [
        (
            change_config,
            "broken",
            "run 'broken' cannot be resumed: config.explain.batch_size was 8, is 4, "
            "config.judge.fdr was 0.1, is 0.2; start a new run",
        ),
        (change_model, "broken", "run 'broken' cannot be resumed: config.models[0].path was "),
        (
            change_record("python", "2.7"),
            "broken",
            'run \'broken\' cannot be resumed: python was "2.7", is "',
        ),
        (change_version, "broken", "run 'broken' was started by an earlier version; start a new run"),
        (
            lambda _: None,
            "whole",
            "run 'whole' was not interrupted; --resume is for runs without a manifest",
        ),
        (lambda _: None, "brokn", "no run 'brokn' below "),
    ],
    ids=["config", "model", "python", "version", "complete", "unknown"],
)
def test_what_cannot_be_resumed_is_refused(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Path], None],
    run_id: str,
    told: str,
) -> None:
    copy = tmp_path / "audit"
    shutil.copytree(folder, copy)
    path = copy / "config.yaml"
    text = path.read_text()
    for name in ("images", "set-*.json"):  # the data stay where they were; only what is asked for may differ
        text = text.replace(f" {name}\n", f" {folder / name}\n")
    path.write_text(text)
    change(copy)

    assert 2 == main(["run", str(path), "--run-id", "again", "--resume", run_id])
    assert f"error: {told}" in capsys.readouterr().err
    assert not (copy / "audits/runs/again").exists()
