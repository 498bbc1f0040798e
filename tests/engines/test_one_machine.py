"""deploy/README.md on one machine: installed into a folder of its own, then every schedule's own commands."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.cli import main
from tests.audit_sets import write_config, write_set

from .harness import ROOT

pytestmark = [pytest.mark.engines, pytest.mark.timeout(2400)]

DEPLOY = ROOT / "deploy"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """What `/srv/audit` is in the README: an environment, a config and its data, without the source tree."""
    folder = tmp_path_factory.mktemp("srv") / "audit"
    folder.mkdir()
    source = folder.parent / "source"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".*", "*.egg-info", "build"))
    commands = _block(DEPLOY / "README.md", "## One machine").replace("/srv/audit", str(folder))
    write_set(folder, shards=1)
    write_config(folder, {"tiny": tiny_model}).rename(source / "my-config.yaml")
    environment = {**os.environ, "PIP_CONSTRAINT": str(ROOT / "constraints.txt")}
    subprocess.run(["sh", "-ec", commands], cwd=source, env=environment, check=True)
    shutil.rmtree(source)
    return folder


def test_the_installed_tool_is_not_this_source_tree(installed: Path) -> None:
    code = "import pipeline, pathlib; print(pathlib.Path(pipeline.__file__).parents[3])"
    found = subprocess.run(
        [str(installed / ".venv/bin/python"), "-c", code],
        cwd=installed,
        check=True,
        capture_output=True,
        text=True,
    )

    assert str(installed / ".venv/lib") == found.stdout.strip()


def test_the_line_for_cron(installed: Path) -> None:
    (line,) = [line for line in (DEPLOY / "crontab").read_text().splitlines() if line.startswith("0 3 * * *")]

    assert_audits(installed, [line.removeprefix("0 3 * * * ")])


def test_the_commands_of_the_systemd_service(installed: Path) -> None:
    service = (DEPLOY / "systemd/gradcam-audit.service").read_text()

    assert_audits(installed, re.findall(r"^ExecStart=-?(.+)$", service, re.MULTILINE))


def test_the_units_are_what_systemd_takes(installed: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    for unit in (DEPLOY / "systemd").iterdir():
        text = unit.read_text().replace("/srv/audit", str(installed)).replace("User=audit\n", "")
        (tmp_path / unit.name).write_text(text)
    found = subprocess.run(
        ["systemd-analyze", "verify", *map(str, sorted(tmp_path.glob("gradcam-audit.*")))],
        capture_output=True,
        text=True,
    )

    assert (0, "") == (found.returncode, found.stderr)


def test_the_steps_of_the_workflow(installed: Path) -> None:
    workflow = yaml.safe_load((DEPLOY / "github-actions.yml").read_text())

    assert_audits(installed, [step["run"] for step in workflow["jobs"]["audit"]["steps"] if "name" in step])


def assert_audits(folder: Path, commands: list[str]) -> None:
    """One whole run more, and the last command is the gate, which answers for that run."""
    before = set(folder.glob("audits/runs/*/manifest.json"))
    *_, gate = [_run(folder, command) for command in commands]
    (manifest,) = set(folder.glob("audits/runs/*/manifest.json")) - before

    assert main(["gate", str(folder / "audits")]) == gate.returncode
    assert manifest.parent.name in gate.stdout


def _run(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """A command as a schedule gives it: no environment but a home, a path, and where it was installed."""
    environment = {"HOME": str(folder), "PATH": f"{folder}/.venv/bin:{os.environ['PATH']}"}
    return subprocess.run(
        ["sh", "-c", command.replace("/srv/audit", str(folder))],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )


def _block(page: Path, heading: str) -> str:
    """The first shell commands below a heading."""
    _, _, below = page.read_text().partition(f"{heading}\n")
    match = re.search(r"```sh\n(.*?)```", below, re.DOTALL)
    assert match
    return match[1].replace("python3.11", sys.executable)
