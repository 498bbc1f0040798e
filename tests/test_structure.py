"""The rules of the house: who may import what, and how long a file may be."""

import ast
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from transforms import exemplars, health, labels, outcomes, records

ROOT = Path(__file__).parents[1]
ROOMS = ("read", "explain", "measure", "judge", "write")
# What every room may use beside itself.
SHARED = (
    *("records", "labels", "exemplars", "health", "columns", "errors", "geometry", "outlines", "regions"),
    *("settings", "progress", "outcomes"),
)
# Where the elements that travel are registered with Beam's coders.
ELEMENTS = tuple(("transforms", name) for name in ("records", "labels", "exemplars", "health", "outcomes"))
# The kind of DoFn that both wirings of explain use.
BEHIND = ("transforms", "explain", "behind")
MODULES = sorted(path for package in ("pipeline", "transforms") for path in (ROOT / package).rglob("*.py"))


def imports_of(source: str) -> Iterator[str]:
    """Every module that a source file imports, wherever in the file."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def broken_rules(path: Path, source: str) -> Iterator[str]:
    """The rules that a file of `pipeline` or `transforms` breaks by its imports; `path` is relative."""
    parts = path.with_suffix("").parts
    room = parts[1] if parts[0] == "transforms" and len(parts) > 2 else None
    wiring = parts[0] == "pipeline" or path.name == "wiring.py" or parts in (*ELEMENTS, BEHIND)
    for name in imports_of(source):
        top, *rest = name.split(".")
        if top in ("tensorflow", "keras") and room != "explain":
            yield f"{name}: TensorFlow belongs to explain"
        if top == "pyarrow" and room not in ("read", "write"):
            yield f"{name}: pyarrow belongs to read and write"
        if top == "apache_beam" and not wiring:
            yield f"{name}: a module is pure or wiring, never both"
        if top in ("pipeline", "demo") and parts[0] == "transforms":
            yield f"{name}: transforms knows nothing of the job"
        if top == "transforms" and rest and parts[0] == "transforms" and rest[0] not in (room, *SHARED):
            yield f"{name}: a room does not know its neighbours"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_flow(path: Path) -> None:
    assert [] == list(broken_rules(path.relative_to(ROOT), path.read_text()))


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("transforms/judge/verdicts.py", "import tensorflow as tf"),
        ("pipeline/audit.py", "def f():\n    from keras import layers"),
        ("transforms/judge/wiring.py", "import pyarrow.parquet"),
        ("transforms/explain/engine.py", "from apache_beam import coders"),
        ("transforms/geometry.py", "from pipeline.config import Config"),
        ("transforms/measure/localization.py", "from transforms.explain import load_engine"),
        ("transforms/records.py", "from transforms.read import coco"),
    ],
)
def test_the_import_rules_can_be_broken(path: str, source: str) -> None:
    assert 1 <= len(list(broken_rules(Path(path), source)))


def test_records_have_fields_only() -> None:
    """Look-alikes that a worker decodes have the fields and nothing else."""
    for module in (records, labels, exemplars, health, outcomes):
        for name, record in vars(module).items():
            if dataclasses.is_dataclass(record):
                own = {key for key in vars(record) if not key.startswith("_")}
                assert own <= {field.name for field in dataclasses.fields(record)}, name


def test_every_room_has_one_wiring_module() -> None:
    for room in ROOMS:
        assert (ROOT / "transforms" / room / "wiring.py").is_file()


@pytest.mark.parametrize(
    "path",
    sorted(
        p for d in ("pipeline", "transforms", "demo", "tests", "benchmarks") for p in (ROOT / d).rglob("*.py")
    ),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_a_file_of_400_lines_is_two_files(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 400
