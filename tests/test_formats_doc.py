"""Every config in docs/formats.md is run on data of its format, and all read the same two photos."""

import io
import re
import subprocess
import sys
from pathlib import Path

import apache_beam as beam
import PIL.Image
import pytest
import yaml
from apache_beam.testing.util import assert_that, equal_to

from pipeline.config import load_config
from transforms.read.files.wiring import list_shards
from transforms.read.formats import FORMATS
from transforms.records import Example

from .builders import save_model
from .shards import read_all
from .writers import BOXES, SITES, WRITERS

PAGE = (Path(__file__).parents[1] / "docs/formats.md").read_text()
CONFIGS = dict(re.findall(r"^## ([^\n]+)\n(?:(?!^## ).)*?```yaml\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE))


def written(title: str, folder: Path) -> Path:
    """The data of a section and its config, as a user would have them in one folder."""
    WRITERS[title](folder)
    (folder / "labels.txt").write_text("cat\ndog\nbird\n")
    (folder / "audit.yaml").write_text(CONFIGS[title])
    return folder / "audit.yaml"


def seen(example: Example) -> tuple[str, list[tuple[str, list[float]]], str]:
    """(photo, boxes in pixels, site); YOLO knows no metadata and names its folder."""
    with PIL.Image.open(io.BytesIO(example.image)) as image:
        width, height = image.size if example.relative else (1, 1)
    boxes = []
    for box in example.boxes:
        edges = (box.xmin * width, box.ymin * height, box.xmax * width, box.ymax * height)
        boxes.append((box.name, [round(edge, 3) for edge in edges]))
    photo = Path(example.example_id).stem
    return photo, boxes, example.slices[0].value if example.slices else SITES[photo]


def test_every_format_has_its_section_and_every_section_its_data() -> None:
    assert set(WRITERS) == set(CONFIGS)
    assert set(FORMATS) == {yaml.safe_load(config)["data"]["format"] for config in CONFIGS.values()}


@pytest.mark.parametrize("title", WRITERS)
def test_the_config_of_every_section_reads_the_same_examples(title: str, tmp_path: Path) -> None:
    config = load_config(str(written(title, tmp_path)))
    expected = [(key, [(name, list(edges)) for name, edges in BOXES[key]], SITES[key]) for key in BOXES]
    with beam.Pipeline("FnApiRunner") as pipeline:
        shards = list_shards(config.data).shards
        found = read_all(pipeline, shards, config.data, config.slices)
        assert_that(found["examples"] | beam.Map(seen), equal_to(expected), label="examples")
        assert_that(found["dead_letters"], equal_to([]), label="letters")


@pytest.mark.slow
@pytest.mark.parametrize("title", WRITERS)
def test_the_config_of_every_section_is_audited(title: str, tmp_path: Path) -> None:
    config = written(title, tmp_path)
    save_model(tmp_path / "model.keras")
    command = [sys.executable, "-m", "pipeline", "run", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])

    assert 0 == done.returncode, done.stderr
    assert list(tmp_path.glob("audits/runs/*/manifest.json"))
