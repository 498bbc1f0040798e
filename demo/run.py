"""The demo: plant a shortcut, train an honest and a biased model, audit both, see who is flagged and why."""

import datetime
import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import rich.console
import rich.progress
import yaml

from demo.dataset import write_audit_set
from demo.train import EPOCHS, train_models
from demo.world import TAG_CORNER, TAGGED_CLASS
from transforms.regions import REGIONS


def run_demo(folder: Path) -> bool:
    """Runs the demo in a folder.

    Args:
        folder: where data, models and the audit go; made if missing.

    Returns:
        Whether the audit found what was planted and nothing else: the biased model's tagged class is
        confirmed and looks at the tag's corner, no other class of either model is flagged, the honest model
        is clear, and the data themselves are told to give the class away by the tag: by the column that
        says so, and without it by the edges in that corner.
    """
    console = rich.console.Console(soft_wrap=True)
    folder.mkdir(parents=True, exist_ok=True)
    console.print(
        f"Drawing photos; most of class [b]{TAGGED_CLASS}[/b] get a tag in the {_words(TAG_CORNER)}."
    )
    write_audit_set(folder / "data")
    _train(folder / "models")
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(_config(), sort_keys=False))
    console.print(f"Auditing both: gradcam-audit run {config}")
    sys.stdout.flush()  # before another process writes to it
    # As a user would: the demo knows the audit by its command and its tables only.
    run_id = f"demo-{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%SZ}"
    command = [sys.executable, "-m", "pipeline", "run", str(config), "--run-id", run_id]
    if subprocess.run(command, check=False).returncode != 0:
        return False
    found_it = _right_reason(folder / "audits", run_id, console)
    outcome = "passed: the planted shortcut was found" if found_it else "FAILED: see the findings above"
    console.print(f"Demo {outcome}; config, photos and models are in {folder}")
    return found_it


def _train(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    console = rich.console.Console(stderr=True)
    with rich.progress.Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("Training an honest and a biased model", total=2 * EPOCHS)
        train_models(folder, on_epoch=lambda name, epoch, epochs: bar.advance(task))


def _config() -> dict[str, object]:
    return {
        "name": "demo",
        "data": {
            "format": "coco",
            "images": "data/images",
            "annotations": "data/annotations.json",
            "class_map": "data/class_map.json",
        },
        "models": [
            {"name": name, "path": f"models/{name}.keras", "labels": "data/labels.txt"}
            for name in ("honest", "biased")
        ],
        "slices": ["tag"],
        "output": "audits",
    }


def _right_reason(output: Path, run_id: str, console: rich.console.Console) -> bool:
    """Whether exactly the planted class is confirmed, for its tag, which the data themselves give away."""

    def rows(table: str) -> list[dict[str, object]]:
        files = output.glob(f"{table}/run_date=*/run_id={run_id}/*.parquet")
        return [row for file in files for row in pq.read_table(file, partitioning=None).to_pylist()]

    findings = rows("findings")
    classes = {(row["model"], row["class_name"]): row for row in findings if row["group_kind"] == "class"}
    models = {row["model"]: row["verdict"] for row in findings if row["group_kind"] == "model"}
    flagged = {
        key: row["verdict"]
        for key, row in classes.items()
        if row["verdict"] in ("confirmed", "hidden", "suspect")
    }
    corner = {
        row["model"]: row["energy_by_region"][REGIONS.index(TAG_CORNER)]  # type: ignore[index]
        for row in rows("summaries")
        if (row["group_kind"], row["class_name"], row["method"]) == ("class", TAGGED_CLASS, "hirescam")
    }
    for model, share in corner.items():
        console.print(
            f"{model}: {share:.0%} of the heat of class {TAGGED_CLASS} lies in the {_words(TAG_CORNER)}"
        )
    manifest = json.loads((output / "runs" / run_id / "manifest.json").read_text())
    told = [row["slice_key"] for row in manifest["data"]["associations"] if row["associated"]]
    return (
        ("biased", TAGGED_CLASS) in classes
        and flagged == {("biased", TAGGED_CLASS): "confirmed"}
        and models == {"honest": "clear", "biased": "confirmed"}
        and classes["biased", TAGGED_CLASS]["region"] == TAG_CORNER
        and corner["biased"] > 2 * corner["honest"]
        and told == ["tag", "image.corner_edges"]
    )


def _words(region: str) -> str:
    return region.replace("_", " ") + " corner"
