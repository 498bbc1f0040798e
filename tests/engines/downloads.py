"""What the engines are made of: fetched once into `.engines/`, at pinned versions, checked by their hashes.

Whatever cannot be had skips its tests and says why. Package clients are asked in their own ways, so that
proxies and mirrors work as they are set up: `go` (GOPROXY), `pip` (PIP_INDEX_URL) and `mvn` (its settings).
"""

import functools
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import apache_beam
import pytest

CACHE = Path(__file__).parents[2] / ".engines"
BEAM = apache_beam.__version__
STORAGE_EMULATOR = "2026.7.19"
FLINK = "1.19.3"
FLINK_LINE = "1.19"
_FLINK_SHA256 = "4a58e3a1fb7d83340bc96b6c080624c6d792d69fae5d294b96224775204a9c60"
# The newest of which a Maven repository at hand had all parts.
JOB_SERVER = "2.62.0"
_JOB_SERVER_POM = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>gradcam-audit</groupId>
  <artifactId>job-server</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.beam</groupId>
      <artifactId>beam-runners-flink-{line}</artifactId>
      <version>{version}</version>
    </dependency>
  </dependencies>
</project>
"""
_PATIENCE = 1800


@functools.cache
def prism() -> Path:
    """Beam's Go runner, of the version of the Python package; Go checks its modules by their sums."""
    binary = CACHE / f"prism-{BEAM}" / "prism"
    if not binary.exists():
        module = f"github.com/apache/beam/sdks/v2/go/cmd/prism@v{BEAM}"
        _client("go", "install", module, GOBIN=str(binary.parent))
    return binary


@functools.cache
def flink() -> Path:
    """The folder of a Flink distribution, which holds `lib/` and more."""
    home = CACHE / f"flink-{FLINK}"
    if not home.exists():
        CACHE.mkdir(exist_ok=True)
        wanted = CACHE / "flink.txt"
        wanted.write_text(f"apache-flink-libraries=={FLINK} --hash=sha256:{_FLINK_SHA256}\n")
        _client(
            sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-build-isolation",
            "--require-hashes", "--dest", str(CACHE), "--requirement", str(wanted),
        )  # fmt: skip
        (archive,) = CACHE.glob(f"apache?flink?libraries-{FLINK}.tar.gz")
        unpacked = CACHE / "unpacked"
        shutil.rmtree(unpacked, ignore_errors=True)
        with tarfile.open(archive) as members:
            members.extractall(unpacked, filter="data")
        (unpacked / archive.name.removesuffix(".tar.gz") / "deps").rename(home)
        shutil.rmtree(unpacked)
        archive.unlink()
    return home


@functools.cache
def job_server() -> Path:
    """Beam's job server for that Flink: a jar that names the runner's own jars, where Maven has put them.

    What Beam releases as `beam-runners-flink-*-job-server` is the same classes in one file of 150 MB.
    """
    home = CACHE / f"job-server-{FLINK_LINE}-{JOB_SERVER}"
    jar = home / "job-server.jar"
    if not jar.exists():
        home.mkdir(parents=True, exist_ok=True)
        pom, jars = home / "pom.xml", home / "jars"
        pom.write_text(_JOB_SERVER_POM.format(line=FLINK_LINE, version=JOB_SERVER))
        _client(
            "mvn", "--batch-mode", "--quiet", "--file", str(pom),
            "dependency:copy-dependencies", f"-DoutputDirectory={jars}",
        )  # fmt: skip
        manifest = [
            "Manifest-Version: 1.0",
            "Main-Class: org.apache.beam.runners.flink.FlinkJobServerDriver",
            *_folded("Class-Path: " + " ".join(f"jars/{path.name}" for path in sorted(jars.glob("*.jar")))),
        ]
        with zipfile.ZipFile(jar, "w") as archive:
            archive.writestr("META-INF/MANIFEST.MF", "".join(f"{line}\n" for line in manifest))
    return jar


def _folded(line: str) -> list[str]:
    """A manifest's line in pieces of at most 72 bytes, of which each but the first begins with a space."""
    return [line[:72], *(f" {line[start : start + 71]}" for start in range(72, len(line), 71))]


@functools.cache
def storage_emulator() -> Path:
    """A stand-in for Google Cloud Storage, in an environment of its own."""
    home = CACHE / f"storage-emulator-{STORAGE_EMULATOR}"
    program = home / "bin/gcp-storage-emulator"
    if not program.exists():
        _client(sys.executable, "-m", "venv", str(home))
        _client(
            str(home / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
            f"gcp-storage-emulator=={STORAGE_EMULATOR}",
        )  # fmt: skip
    return program


@functools.cache
def java() -> str:
    """The Java that runs Flink."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=None if home is None else f"{home}/bin")
    if found is None:
        pytest.skip("no java: install Java 17, or set JAVA_HOME")
    return found


def _client(*command: str, **environment: str) -> None:
    try:
        subprocess.run(
            command,
            env={**os.environ, **environment},
            check=True,
            timeout=_PATIENCE,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        pytest.skip(f"{command[0]} is not installed")
    except subprocess.CalledProcessError as error:
        told = (error.stderr.strip() or error.stdout.strip()).splitlines()  # Maven speaks on stdout
        pytest.skip(f"{' '.join(command)} failed: {told[-1] if told else error.returncode}")
