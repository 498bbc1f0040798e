"""The audit of real photos with the real MobileNetV2, through the command line, for scripts to compare."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import duckdb
import yaml

MODEL = "models/mobilenet_v2_1.0_224_imagenet.keras"

Rows = list[dict[str, Any]]


def class_map(annotations: str) -> str:
    """Name of the file that maps the classes of an annotation file to ImageNet's."""
    return f"{'species' if annotations.startswith('species') else 'breed'}_to_imagenet_index.json"


def audited(data: Path, annotations: str, precision: str = "float32") -> tuple[Rows, Rows]:
    """The rows of `scores` and of `findings`; the audit runs in a process of its own."""
    pets = data.resolve() / "pets"
    with tempfile.TemporaryDirectory() as folder:
        config = {
            "name": "pets",
            "data": {
                "format": "coco",
                "images": str(pets / "images"),
                "annotations": str(pets / annotations),
                "class_map": str(pets / class_map(annotations)),
            },
            "models": [
                {
                    "name": "mobilenet_v2",
                    "path": str(data.resolve() / MODEL),
                    "preprocess": {"scale": [-1, 1]},
                }
            ],
            "explain": {"precision": precision},
            "judge": {"min_images": 8},  # there are ten photos of a breed, and verdicts are compared too
            "output": folder,
        }
        path = Path(folder) / "config.yaml"
        path.write_text(yaml.safe_dump(config))
        subprocess.run([sys.executable, "-m", "pipeline", "run", str(path)], check=True)
        return table(folder, "scores"), table(folder, "findings")


def table(output: str, name: str) -> Rows:
    return duckdb.sql(f"select * from '{output}/{name}/**/*.parquet'").df().to_dict("records")
