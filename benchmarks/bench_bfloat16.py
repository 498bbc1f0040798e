"""What `precision: bfloat16` changes in an audit of real photos: two audits that differ in precision only.

    python benchmarks/bench_bfloat16.py SHARED_DATA [--annotations body.json]

SHARED_DATA is a folder with `pets/` and `models/` as the tests use it. Rows are matched by photo and
annotated name; of the classes that stand for the name another may become the target. Only the rows of
hirescam, which verdicts use, are compared. The switch does nothing on a CPU without `avx512_bf16` or
`amx_bf16`, so the script refuses to run there.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from audits import Rows, audited


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--annotations", default="body.json")
    arguments = parser.parse_args()
    flags = Path("/proc/cpuinfo").read_text().split()
    if "avx512_bf16" not in flags and "amx_bf16" not in flags:
        parser.error("this CPU has no bfloat16 units: there is nothing to compare")
    full, half = (
        audited(arguments.data, arguments.annotations, precision) for precision in ("float32", "bfloat16")
    )
    results = {**changed_scores(full[0], half[0]), **changed_verdicts(full[1], half[1])}
    for what, value in results.items():
        print(f"{what:48}{value:.3g}" if isinstance(value, float) else f"{what:48}{value}")
    print(json.dumps(results))


def changed_scores(full: Rows, half: Rows) -> dict[str, float]:
    """How far density shares move, and how many rows change what they are counted as."""
    before, after = (
        {(row["example_id"], row["target_name"]): row for row in rows if row["method"] == "hirescam"}
        for rows in (full, half)
    )
    assert before.keys() == after.keys(), "the audits measured different photos"
    pairs = [(before[key], after[key]) for key in before]
    changes = np.array(
        [b["density_share"] - a["density_share"] for a, b in pairs if {a["status"], b["status"]} == {"ok"}]
    )
    return {
        "rows": len(before),
        "rows with another target": differing(pairs, "target_class"),
        "rows with another status": differing(pairs, "status"),
        "rows with another predicted class": differing(pairs, "predicted_class"),
        "rows with another peak_in_box": differing(pairs, "peak_in_box"),
        "density shares compared": len(changes),
        "absolute change, mean": float(np.abs(changes).mean()),
        "absolute change, median": float(np.median(np.abs(changes))),
        "absolute change, 99th percentile": float(np.quantile(np.abs(changes), 0.99)),
        "absolute change, largest": float(np.abs(changes).max()),
        "mean change": float(changes.mean()),
    }


def changed_verdicts(full: Rows, half: Rows) -> dict[str, float]:
    before, after = ({row["finding_id"]: row for row in rows} for rows in (full, half))
    assert before.keys() == after.keys(), "the audits judged different groups"
    pairs = [(before[key], after[key]) for key in before]
    return {
        "findings": len(pairs),
        "findings with another verdict": differing(pairs, "verdict"),
        "findings that say more than insufficient": sum(row["verdict"] != "insufficient" for row in full),
    }


def differing(pairs: list[tuple[dict[str, Any], dict[str, Any]]], column: str) -> int:
    return sum(repr(a[column]) != repr(b[column]) for a, b in pairs)


if __name__ == "__main__":
    main()
