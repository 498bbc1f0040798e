"""A standalone Flink cluster on this machine: a job manager, two task managers, a pool of Python workers."""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .downloads import FLINK_LINE, flink, java, job_server
from .harness import ROOT, background, free_port, wait_for

TASK_MANAGERS = 2
# Flink and its serializers look into the JDK; its own start script opens the same packages.
_OPENED = [
    f"--add-opens=java.base/java.{package}=ALL-UNNAMED"
    for package in ("lang", "lang.reflect", "net", "io", "nio", "text", "time", "util", "util.concurrent")
]


@dataclasses.dataclass(frozen=True)
class Cluster:
    """A running cluster.

    Attributes:
        address: host:port of the job manager's REST service.
        workers: host:port of the pool that starts Python workers.
        task_managers: their processes, each at the place that is its id.
    """

    address: str
    workers: str
    task_managers: list[subprocess.Popen[bytes]]

    def ask(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://{self.address}/{path}", timeout=10) as answer:
            return json.load(answer)

    def options(self) -> list[str]:
        """What a run takes to go there, with two workers side by side."""
        return [
            "--runner=FlinkRunner",
            f"--flink_master={self.address}",
            f"--flink_version={FLINK_LINE}",
            f"--flink_job_server_jar={job_server()}",
            "--parallelism=2",
            "--environment_type=EXTERNAL",
            f"--environment_config={self.workers}",
        ]

    def attempts(self, name: str) -> list[dict[str, Any]]:
        """The latest attempts at the subtasks whose step has that in its name, of all jobs."""
        return [
            subtask
            for job in self.ask("jobs")["jobs"]
            for vertex in self.ask(f"jobs/{job['id']}")["vertices"]
            if name in vertex["name"]
            for subtask in self.ask(f"jobs/{job['id']}/vertices/{vertex['id']}")["subtasks"]
        ]

    def registered(self) -> int:
        """How many task managers the job manager knows; 0 while it is not up yet."""
        try:
            return len(self.ask("taskmanagers")["taskmanagers"])
        except (urllib.error.URLError, ConnectionError):
            return 0


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Starts a cluster and waits until every task manager has registered; ends it with the block."""
    rest, workers = free_port(), free_port()
    (folder / "config.yaml").write_text(
        json.dumps(
            {
                "jobmanager.rpc.address": "localhost",
                "jobmanager.rpc.port": free_port(),
                "jobmanager.bind-host": "localhost",
                "rest.port": rest,
                "rest.bind-address": "localhost",
                "taskmanager.host": "localhost",
                "taskmanager.bind-host": "localhost",
                "taskmanager.numberOfTaskSlots": 2,
                "taskmanager.cpu.cores": 1.0,
                # Flink's own start script would work these out of the size of the machine.
                "taskmanager.memory.framework.heap.size": "128m",
                "taskmanager.memory.framework.off-heap.size": "128m",
                "taskmanager.memory.jvm-metaspace.size": "256m",
                "taskmanager.memory.jvm-overhead.min": "192m",
                "taskmanager.memory.jvm-overhead.max": "192m",
                "taskmanager.memory.task.heap.size": "256m",
                "taskmanager.memory.task.off-heap.size": "0m",
                "taskmanager.memory.managed.size": "128m",
                "taskmanager.memory.network.min": "256m",
                "taskmanager.memory.network.max": "256m",
                # Each shuffle that is being written holds that many buffers; 512 unless told.
                "taskmanager.network.sort-shuffle.min-buffers": 64,
                "restart-strategy.type": "fixed-delay",
                "restart-strategy.fixed-delay.attempts": 3,
                "restart-strategy.fixed-delay.delay": "1 s",
                "heartbeat.timeout": 20000,
                "io.tmp.dirs": str(folder),
            }
        )
    )
    machine = [java(), "-Xmx512m", "-XX:MaxMetaspaceSize=256m", *_OPENED, "-cp", f"{flink()}/lib/*"]
    entry = "org.apache.flink.runtime"
    config = ["--configDir", str(folder)]
    with contextlib.ExitStack() as stack:
        manager = [*machine, f"{entry}.entrypoint.StandaloneSessionClusterEntrypoint", *config]
        stack.enter_context(background(manager, folder / "job-manager.log"))
        tasks = [*machine, f"{entry}.taskexecutor.TaskManagerRunner", *config]
        managers = [
            stack.enter_context(
                background(
                    [*tasks, f"-Dtaskmanager.resource-id={number}"], folder / f"task-manager-{number}.log"
                )
            )
            for number in range(TASK_MANAGERS)
        ]
        pool = ["-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={workers}"]
        # The pool starts each worker by the name `python`.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path}
        log = folder / "workers.log"
        stack.enter_context(background([sys.executable, *pool], log, cwd=ROOT, env=environment))
        running = Cluster(f"localhost:{rest}", f"localhost:{workers}", managers)
        wait_for(lambda: running.registered() == TASK_MANAGERS, "the task managers have not registered")
        yield running
