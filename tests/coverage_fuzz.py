"""Coverage-guided fuzzing of every reader by atheris: `make fuzz`.

Beside `test_fuzz.py`, whose mutations know nothing of the code, this keeps the inputs that reach new lines of
`transforms.read`. An exception that is no `DataError`, or ten seconds on one input, ends it with the input.
"""

import argparse
import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path

SECONDS = 10


def fuzz(settings: dict[str, object], path: str, runs: int, corpus: str) -> None:
    """Fuzzes one reader in this process, which ends with it."""
    import atheris

    with atheris.instrument_imports(include=["transforms.read"]):
        from transforms.read.formats import FORMATS
    from transforms.errors import DataError
    from transforms.read.common import Bad, Source
    from transforms.records import Example

    entry = FORMATS[str(settings["format"])]
    checked, source = entry.settings.model_validate(settings), Source(path, "00000", ("site",))

    def once(data: bytes) -> None:
        try:
            for record in entry.read(io.BytesIO(data), source, checked):
                assert isinstance(record, Example | Bad)
        except DataError:
            pass

    atheris.Setup([sys.argv[0], f"-runs={runs}", f"-timeout={SECONDS}", "-max_len=20000", corpus], once)
    atheris.Fuzz()


def fuzz_all(runs: int, only: str) -> int:
    """Fuzzes each reader in a process of its own, from the files of docs/formats.md on; how many failed."""
    import pytest

    from tests.test_fuzz import seed_files
    from tests.writers import WRITERS

    failed = 0
    for title in (title for title in WRITERS if only in title):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "data").mkdir()
            (Path(folder) / "corpus").mkdir()
            try:
                settings, files = seed_files(title, Path(folder) / "data")
            except pytest.skip.Exception as reason:
                print(f"{title}: skipped: {reason}", flush=True)
                continue
            for number, (_, data) in enumerate(files):
                (Path(folder) / f"corpus/{number}").write_bytes(data)
            given = [settings.model_dump_json(), files[0][0], str(runs), f"{folder}/corpus"]
            done = subprocess.run(
                [sys.executable, "-m", "tests.coverage_fuzz", "--one", *given],
                capture_output=True,
                text=True,
            )
        last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
        print(f"{title}: {'failed' if done.returncode else 'survived'}: {' '.join(last)}", flush=True)
        if done.returncode:
            print(done.stderr[-4000:], flush=True)
            failed += 1
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000, help="inputs for each reader")
    parser.add_argument("--only", default="", help="part of the title of a section of docs/formats.md")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        keys, path, runs, corpus = arguments.one
        fuzz(json.loads(keys), path, int(runs), corpus)
    return min(fuzz_all(arguments.runs, arguments.only), 1)


if __name__ == "__main__":
    sys.exit(main())
