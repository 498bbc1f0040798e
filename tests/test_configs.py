"""The example configs load, and their README names every key as the code has it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pydantic
import pytest
from pydantic_core import PydanticUndefined

from pipeline.config import Config, every_key, load_config

CONFIGS = Path(__file__).parents[1] / "configs"


def row(key: str, field: Any) -> str:
    """The line of configs/README.md for one key."""
    return f"| `{key}` | {default(field)} | {field.description.replace('|', ' or ')} |"


def default(field: Any) -> str:
    if field.default_factory is not None:
        return "see below"
    if field.default is PydanticUndefined:
        return "required"
    value = list(field.default) if isinstance(field.default, tuple) else field.default
    return f"`{json.dumps(value)}`"


def test_the_readme_names_every_key_with_its_default_and_meaning() -> None:
    keys = (CONFIGS / "README.md").read_text().split("\n## ")[1]
    documented = [line for line in keys.splitlines() if line.startswith("| `")]

    assert [row(key, field) for key, field in every_key()] == documented


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_config_loads(path: Path) -> None:
    config = load_config(str(path))

    assert str(CONFIGS / "audits") == config.output
    assert all(Path(model.path).is_relative_to(CONFIGS / "data") for model in config.models)


def test_the_schema_is_that_of_the_config() -> None:
    command = [sys.executable, "-m", "pipeline", "schema"]
    printed = subprocess.run(command, capture_output=True, check=True, text=True, cwd=CONFIGS.parent).stdout

    assert Config.model_json_schema() == json.loads(printed)


def test_every_key_has_a_description() -> None:
    for key, field in every_key():
        assert isinstance(field, pydantic.fields.FieldInfo)
        assert field.description, key
