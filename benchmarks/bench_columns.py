"""What the computed slice columns cost, against decoding: `python benchmarks/bench_columns.py IMAGES...`."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transforms.columns import PHOTOGRAPHIC
from transforms.explain.appearance import describe
from transforms.explain.decode import decode
from transforms.records import Box, Example

ROUNDS = 5


def milliseconds(work: Callable[[Any], Any], items: list[Any]) -> float:
    """The best of several rounds over all items, processor time for one of them."""
    rounds = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for item in items:
            work(item)
        rounds.append((time.process_time() - started) / len(items))
    return 1000 * min(rounds)


def main() -> None:
    files = [Path(name).read_bytes() for name in sys.argv[1:]]
    box = Box("object", 0.3, 0.3, 0.7, 0.7)
    examples = [Example("", "", 0, "", data, "", [box], [], True, []) for data in files]
    images = [(decode(data), example) for data, example in zip(files, examples, strict=True)]
    figures = {
        "decode": milliseconds(decode, files),
        "default_columns": milliseconds(lambda item: describe(*item, PHOTOGRAPHIC), images),
        **{
            column: milliseconds(lambda item, column=column: describe(*item, [column]), images)
            for column in PHOTOGRAPHIC
        },
    }
    for name, figure in figures.items():
        print(f"{name:16} {figure:5.2f} ms")
    print(json.dumps({"images": len(files), "milliseconds": figures}))


if __name__ == "__main__":
    main()
