"""What the engines are made of: fetched once into `.engines/`, at pinned versions, checked by their hashes.

Whatever cannot be had skips its tests and says why. Package clients are asked in their own ways, so that
proxies and mirrors work as they are set up: `go` (GOPROXY), `pip` (PIP_INDEX_URL), and MAVEN_REPOSITORY.
"""

import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
from pathlib import Path

import apache_beam
import pytest

CACHE = Path(__file__).parents[2] / ".engines"
BEAM = apache_beam.__version__
STORAGE_EMULATOR = "2026.7.19"
FLINK = "1.20.5"
FLINK_LINE = "1.20"
_FLINK_SHA256 = "e6aee62ea1a1fe7b32e28894ad079f3f1a50a372a4caac3df52405267f4228c8"
_MAVEN = os.environ.get("MAVEN_REPOSITORY", "https://repo.maven.apache.org/maven2").rstrip("/")
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
        (archive,) = CACHE.glob(f"apache_flink_libraries-{FLINK}.tar.gz")
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
    """Beam's job server for that Flink, checked by the sum that the repository has beside it."""
    name = f"beam-runners-flink-{FLINK_LINE}-job-server"
    jar = CACHE / f"{name}-{BEAM}.jar"
    if not jar.exists():
        url = f"{_MAVEN}/org/apache/beam/{name}/{BEAM}/{jar.name}"
        data = _fetch(url)
        wanted = _fetch(f"{url}.sha1").decode().split()[0]
        found = hashlib.sha1(data, usedforsecurity=False).hexdigest()
        assert wanted == found, f"{url} has the SHA-1 {found}, its repository says {wanted}"
        CACHE.mkdir(exist_ok=True)
        jar.write_bytes(data)
    return jar


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
        pytest.skip(f"{' '.join(command)} failed: {error.stderr.strip().splitlines()[-1]}")


def _fetch(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE) as answer:
            data: bytes = answer.read()
    except urllib.error.HTTPError as error:
        error.close()
        pytest.skip(f"{url} cannot be fetched: {error}")
    except urllib.error.URLError as error:
        pytest.skip(f"{url} cannot be fetched: {error}")
    return data
