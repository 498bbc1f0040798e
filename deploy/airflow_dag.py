"""Airflow: every night the Flex Template, then the gate, whose exit status is the answer.

The job being done says that the audit ran; only the gate says that the models pass. Its statuses: 1 findings,
3 no complete run, 4 inconclusive. All of them fail the task, and its log has the line that says why.
"""

import datetime
import os

from airflow.providers.google.cloud.operators.dataflow import DataflowStartFlexTemplateOperator
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

PROJECT = os.environ.get("AUDIT_PROJECT", "my-project")
REGION = os.environ.get("AUDIT_REGION", "us-central1")
BUCKET = os.environ.get("AUDIT_BUCKET", "gs://my-bucket")
IMAGE = os.environ.get("AUDIT_IMAGE", f"{REGION}-docker.pkg.dev/{PROJECT}/audits/gradcam-audit:0.1")
# The same name for both steps, and another one for each try.
RUN_ID = "{{ ts_nodash }}-{{ ti.try_number }}"

with DAG(
    dag_id="gradcam_audit",
    schedule="0 3 * * *",
    start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    catchup=False,
    max_active_runs=1,
) as dag:
    run = DataflowStartFlexTemplateOperator(
        task_id="run",
        project_id=PROJECT,
        location=REGION,
        wait_until_finished=True,
        do_xcom_push=True,
        body={
            "launchParameter": {
                "jobName": "gradcam-audit-{{ ts_nodash | lower }}-{{ ti.try_number }}",
                "containerSpecGcsPath": f"{BUCKET}/templates/gradcam-audit.json",
                "parameters": {"output": f"{BUCKET}/audits", "run_id": RUN_ID, "sdk_container_image": IMAGE},
            }
        },
    )
    # The gate judges the run that was started last, which is this one.
    gate = BashOperator(task_id="gate", bash_command=f"gradcam-audit gate {BUCKET}/audits")
    run >> gate
