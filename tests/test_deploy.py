"""The deployment files say what the code does: parameters, versions, and the gate as the second step."""

import json
import re
import runpy
from pathlib import Path

import apache_beam
import pydantic
import pytest
import yaml

from pipeline.cli import _parser
from transforms.explain.settings import ExplainSettings

DEPLOY = Path(__file__).parents[1] / "deploy"
PARAMETERS = {row["name"]: row for row in json.loads((DEPLOY / "metadata.json").read_text())["parameters"]}
FLEX = runpy.run_path(str(DEPLOY / "flex.py"))
EXAMPLES = {
    "config": ("/audit/other.yaml", "gs://bucket/config.yaml"),
    "output": ("gs://bucket/audits", "audits"),
    "run_id": ("nightly-1.2", "a/b"),
    "resume": ("nightly-1.2", "a/b"),
    "limit": ("1000", "0"),
}


def test_every_option_of_run_is_a_parameter_of_the_template() -> None:
    """Except --dry-run, of which a job would be no use."""
    (commands,) = [action for action in _parser()._actions if isinstance(action.choices, dict)]
    options = {action.dest for action in commands.choices["run"]._actions} - {"help", "dry_run"}

    assert options == set(PARAMETERS) == set(EXAMPLES)
    assert {*FLEX["OURS"], "config"} == set(PARAMETERS)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_parameter_takes_what_the_option_takes(name: str) -> None:
    good, bad = EXAMPLES[name]
    (pattern,) = PARAMETERS[name]["regexes"]

    assert re.fullmatch(pattern, good)
    assert not re.fullmatch(pattern, bad)
    assert PARAMETERS[name]["isOptional"]


def test_the_launchers_flags_become_those_of_run() -> None:
    command = FLEX["command_of"](
        ["--config=/audit/b.yaml", "--run_id=n-1", "--limit=5", "--project=my-project", "--output=gs://b/o"]
    )
    arguments, rest = _parser().parse_known_args(command)

    assert ("/audit/b.yaml", "n-1", 5, "gs://b/o") == (
        arguments.config,
        arguments.run_id,
        arguments.limit,
        arguments.output,
    )
    assert ["--runner=DataflowRunner", "--project=my-project"] == rest
    assert "/audit/config.yaml" == FLEX["command_of"]([])[1]


def test_the_image_has_the_beam_that_is_pinned() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text()

    assert f"ARG BEAM={apache_beam.__version__}\n" in dockerfile
    assert f"apache-beam=={apache_beam.__version__}\n" in (DEPLOY.parent / "constraints.txt").read_text()
    copied = re.findall(r"^COPY ((?!--from)[^\n]+) \S+$", dockerfile, re.MULTILINE)
    missing = [path for line in copied for path in line.split() if not (DEPLOY.parent / path).exists()]
    assert ["audit"] == missing  # the user's own


@pytest.mark.parametrize(
    "path",
    ["crontab", "github-actions.yml", "systemd/gradcam-audit.service", "scheduler.sh", "airflow_dag.py"],
)
def test_the_gate_comes_second(path: str) -> None:
    lines = [line for line in (DEPLOY / path).read_text().splitlines() if not line.startswith("#")]
    text = "\n".join(lines)
    gate = re.search(r"gradcam-audit gate|--args=gate", text)
    run = re.search(r"gradcam-audit run|flexTemplates:launch|FlexTemplateOperator\(", text)

    assert run
    assert gate
    assert run.start() < gate.start()


def test_the_workflow_is_yaml_with_a_schedule() -> None:
    workflow = yaml.safe_load((DEPLOY / "github-actions.yml").read_text())

    assert "0 3 * * *" == workflow[True]["schedule"][0]["cron"]  # YAML reads `on` as true
    assert ["run", "gate"] == [step["name"] for step in workflow["jobs"]["audit"]["steps"] if "name" in step]


def test_the_gpu_settings_are_those_of_a_config() -> None:
    explain = yaml.safe_load((DEPLOY / "gpu.yaml").read_text())["explain"]
    settings = ExplainSettings.model_validate(explain)

    assert {
        "accelerator": "type:nvidia-tesla-t4;count:1;install-nvidia-driver",
        "min_ram": "12GB",
    } == settings.resource_hints


@pytest.mark.parametrize(("key", "value"), [("accelerator", "nvidia-tesla-t4"), ("min_ram", "lots")])
def test_resources_that_beam_would_not_understand_are_refused(key: str, value: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=key):
        ExplainSettings.model_validate({key: value})


@pytest.mark.parametrize("script", ["flex.py", "airflow_dag.py"])
def test_the_scripts_are_python(script: str) -> None:
    compile((DEPLOY / script).read_text(), script, "exec")
