"""A whole audit that reads from and writes to `s3://` and `gs://`, against emulators on this machine.

`make test-stores` installs the emulators, which are pip packages. The rows are those of a local run, and so
is what `gate`, `compare` and `report` make of them.
"""

import dataclasses
import json
import re
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from .audit_sets import write_config, write_set
from .engines.harness import ROOT, background, free_port, run_audit, tables_of, wait_for

# moto lets in whoever signs, and looks at the region only.
_SIGNED = (
    "AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=any"
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@dataclasses.dataclass
class Store:
    """A bucket of an emulator, spoken to without any client library.

    Attributes:
        url: the bucket, as configs name it.
        variables: environment variables that lead clients to the emulator.
        host: where the emulator listens.
    """

    url: str
    variables: dict[str, str]
    host: str

    def ask(
        self,
        path: str,
        data: bytes | None = None,
        kind: str = "application/octet-stream",
        method: str | None = None,
    ) -> bytes:
        headers = {"Content-Type": kind, "Authorization": _SIGNED}
        request = urllib.request.Request(self.host + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return bytes(answer.read())

    def is_up(self) -> bool:
        try:
            self.ask("/")
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True


class S3(Store):
    command = ("moto.server", "-H", "127.0.0.1", "-p")

    def make_bucket(self) -> None:
        self.ask("/bucket", method="PUT")

    def put(self, key: str, data: bytes) -> None:
        self.ask(f"/bucket/{urllib.parse.quote(key)}", data, method="PUT")

    def listed(self) -> list[str]:
        listed = self.ask("/bucket?list-type=2").decode()
        return re.findall("<Key>(.*?)</Key>", listed)

    def get(self, key: str) -> bytes:
        return self.ask(f"/bucket/{urllib.parse.quote(key)}")


class GS(Store):
    command = ("gcp_storage_emulator", "start", "--host", "127.0.0.1", "--in-memory", "--port")

    def make_bucket(self) -> None:
        self.ask("/storage/v1/b?project=p", b'{"name": "bucket"}', "application/json")

    def put(self, key: str, data: bytes) -> None:
        self.ask(f"/upload/storage/v1/b/bucket/o?uploadType=media&name={urllib.parse.quote(key, '')}", data)

    def listed(self) -> list[str]:
        return [item["name"] for item in json.loads(self.ask("/storage/v1/b/bucket/o"))["items"]]

    def get(self, key: str) -> bytes:
        return self.ask(f"/storage/v1/b/bucket/o/{urllib.parse.quote(key, '')}?alt=media")


@pytest.fixture(params=["s3", "gs"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    needed = {"s3": ("boto3", "moto"), "gs": ("google.cloud.storage", "gcp_storage_emulator")}[request.param]
    for module in needed:
        pytest.importorskip(module, reason=f"{request.param}:// is tested by make test-stores")
    port = free_port()
    host = f"http://127.0.0.1:{port}"
    found: Any
    if request.param == "s3":
        keys = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "any")
        found = S3("s3://bucket", {"AWS_ENDPOINT_URL": host, "AWS_DEFAULT_REGION": "us-east-1", **keys}, host)
    else:
        found = GS("gs://bucket", {"STORAGE_EMULATOR_HOST": host, "NO_GCE_CHECK": "true"}, host)
    for name, value in found.variables.items():
        monkeypatch.setenv(name, value)
    with background([sys.executable, "-m", *found.command, str(port)], tmp_path / "store.log"):
        wait_for(found.is_up, "the emulator does not answer")
        found.make_bucket()
        yield found


def ask(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments], capture_output=True, text=True, cwd=ROOT
    )
    return done.returncode, done.stdout + (done.stderr if done.returncode == 2 else "")


def rows_of(folder: Path, where: str) -> dict[str, list[str]]:
    """All rows of the run as text, with what names the place of the data taken out."""
    return {
        table: sorted(repr(row).replace(where, "HERE") for row in rows)
        for table, rows in tables_of(folder, "r1").items()
    }


def test_an_audit_between_buckets_is_the_local_one(store: Any, tmp_path: Path, tiny_model: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    write_set(here, shards=2)
    (here / "images/08.png").unlink()
    (here / "names.txt").write_text("cat\ndog\nfish\n")
    path = write_config(here, {"tiny": tiny_model})
    config = yaml.safe_load(path.read_text())
    config["data"] |= {"max_bad_fraction": 0.2, "names": "names.txt"}
    path.write_text(yaml.safe_dump(config))
    run_audit(here, "r1")

    for file in (*here.glob("set-*.json"), *here.glob("images/*"), here / "names.txt"):
        store.put(f"data/{file.relative_to(here)}", file.read_bytes())
    data = {key: f"{store.url}/data/{config['data'][key]}" for key in ("images", "annotations", "names")}
    there.mkdir()
    document = {**config, "data": {**config["data"], **data}, "output": f"{store.url}/audits"}
    (there / "config.yaml").write_text(yaml.safe_dump(document))
    run_audit(there, "r1")
    for key in store.listed():
        file = there / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(store.get(key))

    expected = rows_of(here, f"{here}/")
    assert ["missing_image"] == [row["error"] for row in tables_of(here, "r1")["dead_letters"]]
    assert expected == rows_of(there, f"{store.url}/data/")
    assert [] == [key for key in store.listed() if "/staging/" in key]

    audits = (str(here / "audits"), f"{store.url}/audits")
    for command in (["gate"], ["compare", "--baseline", "r1", "--candidate", "r1"]):
        local, remote = (ask(command[0], output, *command[1:]) for output in audits)
        assert local == remote, command
        assert local[0] in (0, 4)
    report = "audits/runs/r1/report.html"
    assert (0, f"{store.url}/{report}\n") == ask("report", audits[1])
    assert (there / report).read_bytes() == store.get(report)
    status, said = ask("gate", audits[1], "--waivers", f"{store.url}/none.yaml")
    assert 2 == status
    assert said.startswith(f"error: waiver file '{store.url}/none.yaml' cannot be read: ")
