"""The command line: exit status, and what stands on which stream."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from pipeline import cli
from pipeline.cli import main
from pipeline.config import Config
from transforms.columns import PHOTOGRAPHIC, computed_key
from transforms.write.schemas import TABLES

from .builders import encode, make_image, write_coco

ROOT = Path(__file__).parents[1]
SEE = "see gradcam-audit run --help, and the options of Beam's runners"


@pytest.fixture
def folder(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: four images of two classes, and `c.yaml`, which audits the tiny model."""
    monkeypatch.chdir(tmp_path)
    images = {f"{number}.png": encode(make_image(seed=number)) for number in range(4)}
    boxes = {name: [("cat" if name < "2" else "dog", [1, 1, 4, 4])] for name in images}
    write_coco(tmp_path, images=images, boxes=boxes)
    write_config(tmp_path, tiny_model)
    return tmp_path


def write_config(folder: Path, model: Path, **data: Any) -> None:
    of_data = {"format": "coco", "images": "images", "annotations": "set.json", **data}
    document = {
        "name": "test",
        "data": {"class_map": {"cat": 0, "dog": 1}, **of_data},
        "models": [{"name": "m", "path": str(model)}],
        "output": "out",
    }
    (folder / "c.yaml").write_text(yaml.safe_dump(document))


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def manifest_of(folder: Path, run_id: str, output: str = "out") -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((folder / output / "runs" / run_id / "manifest.json").read_text())
    return manifest


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The last line of standard error, where argparse itself ends the program."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert 2 == caught.value.code
    out, err = capsys.readouterr()
    assert "" == out
    return err.splitlines()[-1]


def in_process(arguments: Sequence[str], after: str) -> subprocess.CompletedProcess[str]:
    """Runs the command in a new process, and then some code."""
    code = f"""
import sys
from pipeline.cli import main
try:
    assert not main({list(arguments)!r})
except SystemExit as end:
    assert not end.code, end.code
{after}
"""
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["schema"]])
def test_help_and_schema_come_without_tensorflow(arguments: list[str]) -> None:
    done = in_process(arguments, "print([name for name in ('tensorflow', 'keras') if name in sys.modules])")

    assert "[]" == done.stdout.splitlines()[-1], done.stderr


def test_help_names_the_commands() -> None:
    done = in_process(["--help"], "")

    assert done.stdout.startswith("usage: gradcam-audit [-h] [--version] COMMAND ...\n")
    commands = [
        "run",
        "gate",
        "compare",
        "history",
        "card",
        "report",
        "prune",
        "inspect",
        "overlay",
        "schema",
        "demo",
    ]
    assert commands == re.findall(r"^    (\w+) ", done.stdout, re.MULTILINE)


def test_a_process_of_its_own_prints_nothing_but_the_answer(tiny_model: Path) -> None:
    done = in_process(["inspect", "--json", str(tiny_model)], "")

    assert "last" == json.loads(done.stdout)["target_layer"]
    assert "" == done.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "gradcam-audit: error: the following arguments are required: COMMAND"),
        (["run"], "gradcam-audit run: error: the following arguments are required: CONFIG.yaml"),
        (
            ["run", "c", "--limit", "0"],
            "gradcam-audit run: error: argument --limit: '0' is no whole number of at least 1",
        ),
        (["inspect", "m", "--jsn"], "gradcam-audit: error: unrecognized arguments: --jsn"),
    ],
)
def test_bad_usage(capsys: pytest.CaptureFixture[str], arguments: list[str], problem: str) -> None:
    assert problem == refused(capsys, *arguments)


def test_a_limit_that_is_no_number_is_told_in_the_users_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert "_positive" not in refused(capsys, "run", "c.yaml", "--limit", "ten")


@pytest.mark.parametrize(
    ("argument", "problem"),
    [
        ("--runer=DirectRunner", "unknown argument '--runer' (did you mean '--runner'?)"),
        ("--run_id=x", "unknown argument '--run_id' (did you mean '--run-id'?)"),
        ("--qqqqqq", "unknown argument '--qqqqqq'"),
        ("other.yaml", "unknown argument 'other.yaml'"),
    ],
)
def test_a_flag_that_is_neither_ours_nor_beams(
    folder: Path, capsys: pytest.CaptureFixture[str], argument: str, problem: str
) -> None:
    assert 2 == main(["run", "c.yaml", argument])
    assert ("", f"error: {problem}; {SEE}\n") == capsys.readouterr()
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "kind"), [(["run", "none.yaml"], "config"), (["inspect", "none.yaml"], "model")]
)
def test_a_file_that_does_not_exist(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], kind: str
) -> None:
    assert 2 == main(arguments)
    assert ("", f"error: {kind} file 'none.yaml' does not exist\n") == capsys.readouterr()


def test_schema_prints_the_json_schema_of_the_config(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["schema"])
    assert Config.model_json_schema() == json.loads(capsys.readouterr().out)


def test_a_dry_run_prints_config_and_plan_and_touches_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files_of(folder)
    size = (folder / "set.json").stat().st_size

    assert 0 == main(["run", "c.yaml", "--dry-run", "--run-id", "r1"])
    config, plan = capsys.readouterr().out.split("\n\n")
    assert f"{folder}/images" == yaml.safe_load(config)["data"]["images"]
    assert [
        f"data: 1 file in 1 shard, {size} bytes, format coco",
        "model m: heatmaps of 4x4 at last, 3 classes, softmax head",
        f"output: run r1 below {folder}/out",
        "Dry run: nothing was written.",
    ] == plan.splitlines()
    assert before == files_of(folder)


def test_a_dry_run_breaks_no_line_however_long(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = "/".join([str(folder), "x" * 120, "y" * 120])

    assert 0 == main(["run", "c.yaml", "--dry-run", "--run-id", "r1", "--output", output])
    config, plan = capsys.readouterr().out.split("\n\n")
    assert output == yaml.safe_load(config)["output"]
    assert f"output: run r1 below {output}" in plan.splitlines()


def test_a_run_ends_with_one_clear_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["run", "c.yaml", "--run-id", "r1", "--output", "elsewhere"])
    out, err = capsys.readouterr()
    found = manifest_of(folder, "r1", "elsewhere")

    assert "" == err
    assert (
        "Audit test complete: nothing flagged among 2 classes (2 insufficient), 4 records at "
        f"{found['images_per_second']:,.1f}/s; run r1 in elsewhere"
    ) == out.splitlines()[-1]
    assert (True, 4, 8) == (found["complete"], found["records"], found["rows"]["scores"])
    assert "Report: elsewhere/runs/r1/report.html" == out.splitlines()[-2]
    names = ("started.json", "config.yaml", "report.html", "manifest.json")
    run = {f"elsewhere/runs/r1/{name}" for name in names}
    assert run == {name for name in files_of(folder) if name.startswith("elsewhere/runs/")}
    assert set(TABLES) | {"runs"} == {path.name for path in (folder / "elsewhere").iterdir()}


def test_a_limit_reads_that_many_and_the_direct_runner_is_ours(folder: Path) -> None:
    assert 0 == main(["run", "c.yaml", "--run-id", "r1", "--limit", "3", "--runner", "DirectRunner"])
    found = manifest_of(folder, "r1")

    assert (3, 3, "FnApiRunner") == (found["records"], found["limit"], found["runner"])


def test_too_many_dead_letters_fail_the_run_and_are_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "images/0.png").write_bytes(b"garbage")
    failure = (
        "1 of 4 records are dead letters (1 undecodable_image): 0.25 is more than max_bad_fraction, 0.01; "
        "see the table dead_letters"
    )

    assert 3 == main(["run", "c.yaml", "--run-id", "r1"])
    assert ("", f"error: run r1 is not complete: {failure}\n") == capsys.readouterr()
    found = manifest_of(folder, "r1")
    assert (False, failure) == (found["complete"], found["failure"])
    letters = duckdb.sql(
        f"select example_id, error from read_parquet('{folder}/out/dead_letters/**/*.parquet')"
    )
    assert [("0.png", "undecodable_image")] == letters.fetchall()


def test_a_crash_leaves_no_manifest_and_its_traceback_in_a_file(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "out").mkdir()
    (folder / "out/scores").write_text("a file where the table's directory should be")

    assert 3 == main(["run", "c.yaml", "--run-id", "r1"])
    out, err = capsys.readouterr()
    runs = folder / "out/runs/r1"
    error = err.splitlines()[-1]
    assert "" == out
    assert error.startswith("error: run r1 failed: ")
    assert error.endswith(f"; traceback in {runs}/error.txt")
    assert "scores" in error
    left = {"started.json", "config.yaml", "error.txt", "staging"}
    assert left == {path.name for path in runs.iterdir()}


def test_an_unknown_runner_is_bad_usage_and_starts_no_run(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 2 == main(["run", "c.yaml", "--run-id", "r1", "--runner=NoSuchRunner"])
    assert "NoSuchRunner" in capsys.readouterr().err
    assert not (folder / "out").exists()


@pytest.mark.parametrize("output", ["nowhere://bucket/out", "c.yaml"])
def test_an_output_that_cannot_be_written_is_one_line_and_no_traceback(
    folder: Path, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    assert main(["run", "c.yaml", "--run-id", "r1", "--output", output]) in (2, 3)
    assert re.fullmatch(r"error: .+\n", capsys.readouterr().err)


def test_an_interrupt_is_a_failed_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_schema", interrupted)
    assert 3 == main(["schema"])
    assert ("", "error: interrupted; no manifest was written\n") == capsys.readouterr()


def test_markup_in_a_name_is_text(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = (folder / "c.yaml").read_text().replace("name: test", "name: 'x [/y] [bold]'")
    (folder / "c.yaml").write_text(config)

    assert 0 == main(["run", "c.yaml"])
    assert "x [/y] [bold]: hirescam" in capsys.readouterr().out


def test_a_reader_that_has_seen_enough_is_no_error(folder: Path) -> None:
    command = f"{sys.executable} -m pipeline run {folder}/c.yaml --dry-run | head -1; exit ${{PIPESTATUS[0]}}"

    assert 0 == subprocess.run(["bash", "-c", command], cwd=ROOT, check=False, capture_output=True).returncode


def test_what_is_said_of_the_data_and_of_what_is_allowed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads((folder / "set.json").read_text())
    for number, image in enumerate(document["images"]):
        image |= {"tag": "yes" if number < 2 else "no", "site": "north"}
    (folder / "set.json").write_text(json.dumps(document))
    judge = "judge: {min_images: 4, fdr: 0.5, allowed_classes: [cat, rider]}"
    (folder / "c.yaml").write_text(
        (folder / "c.yaml").read_text() + f"slices: [tag, site, cammera]\n{judge}\n"
    )

    assert 0 == main(["run", "c.yaml", "--run-id", "r1"])
    lines = capsys.readouterr().out.splitlines()
    found = manifest_of(folder, "r1")
    tag, _, cammera, *computed = found["data"]["associations"]
    assert [computed_key(column) for column in PHOTOGRAPHIC] == [row["slice_key"] for row in computed]
    assert ("tag", True, 1.0) == (tag["slice_key"], tag["associated"], tag["nmi"])
    assert f"data: {tag['message']}" in lines
    assert "slice site: not tested: the one value north in every record" in lines
    assert ("cammera", "not tested: in no record") == (cammera["slice_key"], cammera["message"])
    assert ["slice cammera: in no record"] == [line for line in lines if "cammera" in line]
    assert {"cat": 2} == found["allowed_classes"]
    assert ["judge.allowed_classes: no record has rider"] == [line for line in lines if "allowed" in line]


def test_a_cluster_that_no_record_has_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "c.yaml").write_text((folder / "c.yaml").read_text() + "cluster: patient\n")

    assert 0 == main(["run", "c.yaml"])
    expected = "cluster patient: in no record, every image counts by itself"
    assert expected in capsys.readouterr().out.splitlines()


def test_an_explanation_that_is_not_trusted_or_not_checked_is_told_once(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = (folder / "c.yaml").read_text()
    for min_images, verdict in ((2, "not_trusted"), (30, "insufficient")):
        (folder / "c.yaml").write_text(f"{given}judge: {{min_images: {min_images}}}\n")
        assert 0 == main(["run", "c.yaml", "--run-id", verdict])
        (model,) = manifest_of(folder, verdict)["models"]
        lines = capsys.readouterr().out.splitlines()
        message = model["health"]["message"]
        (told,) = [line for line in lines if message in line]

        assert verdict == model["health"]["verdict"]
        assert told.startswith("m: ")
        assert (told == f"m: {message}") == (verdict == "insufficient")


def test_without_health_images_nothing_is_compared(folder: Path) -> None:
    (folder / "c.yaml").write_text((folder / "c.yaml").read_text() + "judge: {health_images: 0}\n")

    assert 0 == main(["run", "c.yaml", "--run-id", "r1"])
    assert [None] == [model["health"] for model in manifest_of(folder, "r1")["models"]]


def test_a_slice_that_no_record_has_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "c.yaml").write_text((folder / "c.yaml").read_text() + "slices: [cammera]\n")

    assert 0 == main(["run", "c.yaml"])
    assert "slice cammera: in no record" in capsys.readouterr().out.splitlines()
