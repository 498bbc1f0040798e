"""Dataflow without a cloud: what would be submitted, and that it runs."""

import copy
import warnings
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
import yaml
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from pipeline.audit import audit
from pipeline.config import load_config
from pipeline.plan import plan_run

from .conftest import Tables, assert_same_rows

pytestmark = [pytest.mark.engines, pytest.mark.timeout(1200)]

IMAGE = "registry.example/gradcam-audit:1"
T4 = "type:nvidia-tesla-t4;count:1;install-nvidia-driver"
OPTIONS = [
    "--runner=DataflowRunner",
    "--dry_run=True",
    "--project=my-project",
    "--region=us-central1",
    "--temp_location=gs://my-bucket/tmp",
    "--no_auth",
    f"--sdk_container_image={IMAGE}",
]
# The steps that hold a model: heatmaps, swaps of backgrounds, and controls with weights drawn anew.
HEAVY = ("Explain", "SwapBackgrounds", "CompareControls")
# Where a record goes to other workers: to a shuffle, or to and from the workers with the accelerator.
PER_IMAGE = (
    "Load/SpreadRecords",
    "SwapBackgrounds/LoadDonors/SpreadRecords",
    "SwapBackgrounds/LoadTested/SpreadRecords",
    "CompareControls/Load/SpreadRecords",
    "Illustrate/Load/SpreadRecords",
    "FindDuplicates/SameId",
    "Explain/WithTargets",
    "Measure/Measure",
    "Write/Group_scores",
    "Write/Group_dead_letters",
)


@pytest.fixture(scope="module")
def submitted(audited: Path) -> Any:
    """The job that Dataflow would get, of the run `dataflow`."""
    pytest.importorskip("apitools", reason="DataflowRunner needs apache-beam[gcp]")
    document = yaml.safe_load((audited / "config.yaml").read_text())
    document["explain"] |= {"accelerator": T4, "min_ram": "12GB"}
    path = audited / "gpu.yaml"
    path.write_text(yaml.safe_dump(document))
    config = load_config(str(path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Google's client libraries warn of each other
        pipeline = beam.Pipeline(options=PipelineOptions(OPTIONS))
        audit(pipeline, config, plan_run(config, runner="DataflowRunner", run_id="dataflow"))
        return pipeline.run().job


def hints_of(proto: beam_runner_api_pb2.Pipeline, step: beam_runner_api_pb2.PTransform) -> dict[str, bytes]:
    return dict(proto.components.environments[step.environment_id].resource_hints)


def test_what_holds_a_model_asks_for_the_accelerator_and_nothing_else_does(submitted: Any) -> None:
    proto = submitted.proto_pipeline
    wanted = {
        "beam:resources:accelerator:v1": T4.encode(),
        "beam:resources:min_ram_bytes:v1": b"12000000000",
    }
    # A step without an environment is carried out by the runner itself.
    leaves = [s for s in proto.components.transforms.values() if s.environment_id and not s.subtransforms]
    asked = [step.unique_name for step in leaves if hints_of(proto, step) == wanted]
    others = [step.unique_name for step in leaves if not hints_of(proto, step)]

    assert set(HEAVY) == {name.split("/")[0] for name in asked}
    assert not [name for name in others if name.split("/")[0] in HEAVY]
    assert len(leaves) == len(asked) + len(others)


def test_every_worker_runs_the_image_that_was_asked_for(submitted: Any) -> None:
    environments = submitted.proto_pipeline.components.environments.values()
    images = {beam_runner_api_pb2.DockerPayload.FromString(e.payload).container_image for e in environments}

    assert {IMAGE} == images


def test_no_record_travels_pickled(submitted: Any) -> None:
    """What there is one of for each image has a coder of its own wherever it leaves its worker."""
    components = submitted.proto_pipeline.components
    coders = travelling(components)

    assert [] == [name for name in PER_IMAGE if name not in coders]
    assert {} == {name: bad for name in PER_IMAGE if (bad := pickled(components, coders[name]))}


def travelling(components: Any) -> dict[str, str]:
    """Steps whose input comes from other workers, by a shuffle or by another environment -> its coder."""
    leaves = [step for step in components.transforms.values() if not step.subtransforms]
    maker = {output: step for step in leaves for output in step.outputs.values()}
    found = {}
    for step in leaves:
        for key, source in step.inputs.items():
            coder = components.pcollections[source].coder_id
            if step.spec.urn == "beam:transform:group_by_key:v1":
                if "/ReshufflePerKey/" in step.unique_name:  # Beam adds window and pane, which are constants
                    _, value = components.coders[coder].component_coder_ids
                    coder = components.coders[value].component_coder_ids[0]
                found[step.unique_name.removesuffix("/ReshufflePerKey/GroupByKey")] = coder
            elif key not in side_inputs(step):
                environments = {step.environment_id, maker[source].environment_id} - {""}
                if len(environments) == 2:
                    found[step.unique_name] = coder
    return found


def side_inputs(step: beam_runner_api_pb2.PTransform) -> set[str]:
    if step.spec.urn != "beam:transform:pardo:v1":
        return set()
    return set(beam_runner_api_pb2.ParDoPayload.FromString(step.spec.payload).side_inputs)


def pickled(components: Any, coder_id: str) -> list[str]:
    """The parts of a coder that Python pickles."""
    coder = components.coders[coder_id]
    if coder.spec.urn.startswith("beam:coder:pickled_python"):
        return [coder_id]
    return [found for part in coder.component_coder_ids for found in pickled(components, part)]


def test_what_dataflow_would_get_runs_and_writes_the_same_rows(
    submitted: Any, audited: Path, expected: Tables
) -> None:
    proto = copy.deepcopy(submitted.proto_pipeline)
    for environment in proto.components.environments.values():
        environment.urn = "beam:env:embedded_python:v1"
        environment.payload = b""
        del environment.dependencies[:]
    FnApiRunner().run_via_runner_api(proto, PipelineOptions([]))

    assert_same_rows(audited, "dataflow", expected)
