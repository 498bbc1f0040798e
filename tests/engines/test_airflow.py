"""The DAG of `deploy/` under a real Airflow, which has an environment of its own: `make test-airflow`."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from .harness import ROOT

pytestmark = [pytest.mark.engines, pytest.mark.timeout(600)]

PYTHON = ROOT / ".venv-airflow/bin/python"
PARSE = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
tasks = lambda dag: {task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks}
dags = {name: tasks(dag) for name, dag in bag.dags.items()}
commands = {name: dag.get_task("gate").bash_command for name, dag in bag.dags.items()}
print(json.dumps([bag.import_errors, dags, commands]))
"""


def test_airflow_reads_the_dag_and_the_gate_comes_second(tmp_path: Path) -> None:
    if not PYTHON.exists():
        pytest.skip("no Airflow in .venv-airflow: `make test-airflow` installs it")
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AUDIT_BUCKET": "gs://mine",
    }
    parsed = subprocess.run(
        [str(PYTHON), "-c", PARSE, str(ROOT / "deploy/airflow_dag.py")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == parsed.returncode, parsed.stderr

    errors, dags, commands = json.loads(parsed.stdout.splitlines()[-1])
    assert {} == errors
    assert {"gradcam_audit": {"run": [], "gate": ["run"]}} == dags
    assert {"gradcam_audit": "gradcam-audit gate gs://mine/audits"} == commands
