"""Is a marked fifth of a class found, and no column tells it? `python -m benchmarks.planted.fifth FOLDER`.

Takes the models with a tag or a frame that `make validate` or `make validate-full` has trained, and audits
each on pictures of which only a fifth of the class carries the shortcut, with no metadata at all.
"""

import argparse
import dataclasses
from pathlib import Path
from typing import Final

from benchmarks.planted import audits, sets, shards
from benchmarks.planted.specs import Spec, all_specs
from benchmarks.planted.world import CLASSES

SHARE: Final = 0.2
COLUMNS: Final = ["group_kind", "class_name", "slice_key", "slice_value", "verdict", "n", "message"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="such as validation/reporting")
    parser.add_argument("--only", default="", help="models whose name begins so")
    arguments = parser.parse_args()
    for spec in all_specs("reporting"):
        path = arguments.folder / spec.name / "model.keras"
        marks = spec.plants and spec.plants[0].kind in ("tag", "frame") and spec.role == "planted"
        if marks and path.is_file() and spec.name.startswith(arguments.only):
            print(f"{spec.name}: {told(spec, path)}", flush=True)


def told(spec: Spec, model: Path) -> str:
    """What the audit flags in the marked class, and in how many of the others a mode."""
    marked = dataclasses.replace(
        spec, plants=tuple(dataclasses.replace(plant, share=SHARE) for plant in spec.plants)
    )
    pictures = sets.audit_set(marked)
    shard, config = model.with_name("fifth.tfrecord"), model.with_name("fifth.yaml")
    shards.write_shard(shard, pictures)
    judge = {"confirm": True, "epsilon": shards.EPSILON}
    shards.write_config(
        config,
        shard=shard.resolve(),
        model=spec.name,
        model_path=model.resolve(),
        pictures=pictures,
        judge=judge,
    )
    rows = audits.read_rows(audits.run_audit(config.resolve()), "findings", COLUMNS)
    shard.unlink()
    own = CLASSES[spec.plants[0].label or 0]
    flagged = [row for row in rows if row["verdict"] in ("confirmed", "hidden", "suspect")]
    of_class = [row for row in flagged if row["class_name"] == own]
    named = [
        f"{row['slice_key'] or 'class'}={row['slice_value'] or own} {row['verdict']}" for row in of_class
    ]
    others = [row for row in flagged if row["slice_key"] == "mode" and row["class_name"] != own]
    return f"{', '.join(named) or 'nothing'}; modes of innocent classes: {len(others)}"


if __name__ == "__main__":
    main()
