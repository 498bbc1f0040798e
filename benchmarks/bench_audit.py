"""What a whole audit costs, against the evaluation that runs anyway: `model.predict` over `tf.data`.

Both read the same TFRecord files of 500x375 JPEGs, each in a process of its own, in turn. The evaluation
decodes, resizes and predicts (parallel map, batch, prefetch); the audit reads, decodes, explains with gradcam
and hirescam, measures, judges and writes; `explain` is its decoding and explaining alone, without Beam.
Each runs on a small and on a large set: the difference of the two times is the steady state, what is left of
the small one the start-up. `other` is the share of the audit's processor time beyond that of `explain`.
Weights are random.

    python benchmarks/bench_audit.py [--models MobileNetV2] [--images 1000 4000] [--repeats 3]
        [--confirm] [--together]

With --confirm the audit also swaps backgrounds, at the default budget, and is timed with and without. With
--together something else is timed: an audit of all models in one run of the large set, against a run each.
"""

import argparse
import collections
import dataclasses
import io
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import yaml
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
WIDTH, HEIGHT = 500, 375
CLASSES = 10
SIZE = 224
HEADER = (
    f"{'model':16}{'predict img/s':>14}{'explain':>9}{'audit':>7}{'audit / predict (range)':>26}"
    f"{'processor ms/img':>22}{'other':>7}{'start-up':>10}{'memory':>8}{'time/img':>9}{'bytes/row':>11}"
)
PREPROCESS: dict[str, dict[str, Any]] = {
    "MobileNetV2": {"scale": [-1, 1]},
    "EfficientNetB0": {},
    "ResNet50": {"channels": "bgr", "mean": [103.939, 116.779, 123.68]},
}


@dataclasses.dataclass(frozen=True)
class Cost:
    """One process: wall and processor seconds, and the largest resident size in MiB."""

    seconds: float
    processor: float
    memory: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=PREPROCESS, default=list(PREPROCESS))
    parser.add_argument("--images", nargs=2, type=int, default=[1000, 4000], metavar=("FEW", "MANY"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--confirm", action="store_true", help="also with the counterfactual stage")
    parser.add_argument("--together", action="store_true", help="all models in one run, against a run each")
    parser.add_argument("--predict", nargs=3, metavar=("MODEL", "SHARDS", "NAME"), help=argparse.SUPPRESS)
    parser.add_argument("--explain", metavar="CONFIG", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.predict:
        predict(*arguments.predict)
        return
    if arguments.explain:
        explain(arguments.explain)
        return
    rows, load = [], os.getloadavg()[0]
    few, many = arguments.images
    with tempfile.TemporaryDirectory() as folder:
        if arguments.together:
            write_shards(Path(folder) / str(many), many)
            ratio = together(arguments.models, Path(folder), many, arguments.repeats)
            print(f"all models in one run take {ratio:.2f} of the time of a run each", flush=True)
            rows.append({"models": arguments.models, "together_ratio": ratio})
        else:
            for count in arguments.images:
                write_shards(Path(folder) / str(count), count)
            print(HEADER, flush=True)
            for name in arguments.models:
                row = bench(name, Path(folder), few, many, arguments.repeats, arguments.confirm)
                print(line(name, row), flush=True)
                rows.append({"model": name, **row})
    print(json.dumps({"images": arguments.images, "load_before": load, "rows": rows}))


def line(name: str, row: dict[str, float]) -> str:
    """A model's line of the table."""
    spread = f"{row['ratio']:.2f} ({row['ratio_min']:.2f} to {row['ratio_max']:.2f})"
    spent = " ".join(f"{row[f'{job}_processor_ms']:.1f}" for job in ("predict", "explain", "audit"))
    text = (
        f"{name:16}{row['predict_rate']:14.1f}{row['explain_rate']:9.1f}{row['audit_rate']:7.1f}"
        f"{spread:>26}{spent:>22}{row['other_share']:7.0%}{row['start_up_s']:9.1f}s{row['memory_ratio']:8.2f}"
        f"{row['time_per_image_ratio']:9.2f}{row['bytes_per_row']:11.0f}"
    )
    if "confirm_share" in row:
        text += f"\n{'':16}the counterfactual stage is {row['confirm_share']:.0%} of the run"
    return text


def bench(name: str, folder: Path, few: int, many: int, repeats: int, confirm: bool) -> dict[str, float]:
    """Both jobs on both sets, in turn; rates, their ratio turn by turn, and what else the issue asks."""
    model = folder / f"{name}.keras"
    save_model(name, model)
    turns = []
    for _ in range(repeats):
        turn = {}
        for count in (few, many):
            shards = f"{folder / str(count)}/*.tfrecord"
            turn["predict", count] = measured(
                [sys.executable, __file__, "--predict", str(model), shards, name]
            )
            turn["explain", count] = measured(
                [sys.executable, __file__, "--explain", write_config([model], shards, folder / "out")]
            )
            turn["audit", count] = measured(audit_command([model], shards, folder / "out"))
        if confirm:
            shards = f"{folder / str(many)}/*.tfrecord"
            turn["confirm", many] = measured(audit_command([model], shards, folder / "confirm", True))
        turns.append(turn)
    rates = {
        job: [(many - few) / (turn[job, many].seconds - turn[job, few].seconds) for turn in turns]
        for job in ("predict", "explain", "audit")
    }
    # Milliseconds of processor time an image: what else the machine does has less say in it.
    processor = {
        job: statistics.median(
            (turn[job, many].processor - turn[job, few].processor) / (many - few) * 1000 for turn in turns
        )
        for job in rates
    }
    ratios = [audit / predict for audit, predict in zip(rates["audit"], rates["predict"], strict=True)]
    start = {
        job: [turn[job, few].seconds - few / rate for turn, rate in zip(turns, rates[job], strict=True)]
        for job in rates
    }
    parts = list((folder / "out").glob("scores/**/*.parquet"))
    newest = max(parts, key=lambda path: path.stat().st_mtime).parent
    rows = 2 * many  # gradcam and hirescam
    found = {
        "predict_rate": statistics.median(rates["predict"]),
        "explain_rate": statistics.median(rates["explain"]),
        "audit_rate": statistics.median(rates["audit"]),
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        **{f"{job}_processor_ms": processor[job] for job in rates},
        "other_share": 1 - processor["explain"] / processor["audit"],
        "start_up_s": statistics.median(start["audit"]) - statistics.median(start["predict"]),
        "memory_ratio": statistics.median(
            turn["audit", many].memory / turn["audit", few].memory for turn in turns
        ),
        "time_per_image_ratio": statistics.median(
            (turn["audit", many].seconds / many) / (turn["audit", few].seconds / few) for turn in turns
        ),
        "bytes_per_row": sum(path.stat().st_size for path in newest.glob("*.parquet")) / rows,
    }
    if confirm:
        found["confirm_share"] = statistics.median(
            1 - turn["audit", many].seconds / turn["confirm", many].seconds for turn in turns
        )
    return found


def measured(command: list[str]) -> Cost:
    """Runs a command to its end."""
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    seconds = time.perf_counter() - started
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def together(names: list[str], folder: Path, many: int, repeats: int) -> float:
    """The time of one run of all models against that of a run each, in turn; the median."""
    models, shards = [folder / f"{name}.keras" for name in names], f"{folder / str(many)}/*.tfrecord"
    for name, path in zip(names, models, strict=True):
        save_model(name, path)
    return statistics.median(
        measured(audit_command(models, shards, folder / "together")).seconds
        / sum(measured(audit_command([model], shards, folder / "alone")).seconds for model in models)
        for _ in range(repeats)
    )


def audit_command(models: list[Path], shards: str, output: Path, confirm: bool = False) -> list[str]:
    return [sys.executable, "-m", "pipeline", "run", write_config(models, shards, output, confirm)]


def write_config(models: list[Path], shards: str, output: Path, confirm: bool = False) -> str:
    config = {
        "name": "bench",
        "data": {
            "format": "tfrecord",
            "path": shards,
            "class_map": {f"class {index}": index for index in range(CLASSES)},
        },
        "models": [
            {"name": path.stem, "path": str(path), "preprocess": PREPROCESS[path.stem]} for path in models
        ],
        "explain": {"methods": ["gradcam", "hirescam"]},
        "judge": {"confirm": confirm},
        "output": str(output),
    }
    path = output.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(config))
    return str(path)


def explain(config_file: str) -> None:
    """The heavy stage without Beam: what the audit decodes and explains, read by its own reader."""
    from pipeline.config import load_config
    from pipeline.plan import plan_run
    from transforms.explain.wiring import ExplainBatch
    from transforms.read.common import Source
    from transforms.read.tfrecord import read

    config = load_config(config_file)
    plan = plan_run(config, runner="none")
    stage = ExplainBatch(plan.specs, config.explain, config.computed_slices)
    stage.setup()
    stage.start_bundle()
    examples = itertools.chain.from_iterable(
        read(io.BytesIO(Path(path).read_bytes()), Source(path, shard.name, ()), config.data)
        for shard in plan.listing.shards
        for path in shard.paths
    )
    while batch := list(itertools.islice(examples, config.explain.batch_size)):
        collections.deque(stage.process(batch), maxlen=0)
    collections.deque(stage.finish_bundle(), maxlen=0)


def predict(model: str, shards: str, name: str) -> None:
    """The evaluation as TensorFlow's own guides write it."""
    import keras
    import tensorflow as tf

    prepare = {
        "MobileNetV2": keras.applications.mobilenet_v2,
        "EfficientNetB0": keras.applications.efficientnet,
        "ResNet50": keras.applications.resnet50,
    }[name].preprocess_input

    def example(record: tf.Tensor) -> tf.Tensor:
        encoded = tf.io.parse_single_example(record, {"image/encoded": tf.io.FixedLenFeature([], tf.string)})[
            "image/encoded"
        ]
        image = tf.image.resize(tf.io.decode_jpeg(encoded, channels=3), (SIZE, SIZE), antialias=True)
        return prepare(image)

    records = tf.data.TFRecordDataset(sorted(tf.io.gfile.glob(shards)))
    batches = records.map(example, tf.data.AUTOTUNE).batch(32).prefetch(tf.data.AUTOTUNE)
    keras.models.load_model(model, compile=False).predict(batches, verbose=0)


def save_model(name: str, path: Path) -> None:
    """In a process of its own, so that this one stays small and has no threads."""
    code = (
        "import keras, sys; keras.utils.set_random_seed(0); "
        f"keras.applications.{name}(weights=None, input_shape=({SIZE}, {SIZE}, 3)).save(sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, stderr=subprocess.DEVNULL)


def write_shards(folder: Path, count: int, of_shard: int = 500) -> None:
    """TFRecord files with the keys of the TF object-detection API; 200 pictures in turn, ids of their own."""
    code = f"from benchmarks.bench_audit import _write; _write({str(folder)!r}, {count}, {of_shard})"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, stderr=subprocess.DEVNULL)


def _write(folder: str, count: int, of_shard: int) -> None:
    import tensorflow as tf

    Path(folder).mkdir(parents=True)
    random = np.random.default_rng(0)
    pictures = [_picture(random) for _ in range(min(count, 200))]
    for first in range(0, count, of_shard):
        with tf.io.TFRecordWriter(f"{folder}/{first // of_shard:05d}.tfrecord") as writer:
            for index in range(first, min(first + of_shard, count)):
                left, top = random.uniform(0, 0.5, 2)
                values: dict[str, Any] = {
                    "image/encoded": [pictures[index % len(pictures)]],
                    "image/source_id": [str(index).encode()],
                    "image/object/class/text": [f"class {index % CLASSES}".encode()],
                    "image/object/bbox/xmin": [left],
                    "image/object/bbox/xmax": [left + 0.4],
                    "image/object/bbox/ymin": [top],
                    "image/object/bbox/ymax": [top + 0.4],
                }
                feature = {
                    key: tf.train.Feature(bytes_list=tf.train.BytesList(value=value))
                    if isinstance(value[0], bytes)
                    else tf.train.Feature(float_list=tf.train.FloatList(value=value))
                    for key, value in values.items()
                }
                writer.write(
                    tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
                )


def _picture(random: np.random.Generator) -> bytes:
    """Blotches of colour with some grain, which JPEG packs about as tightly as a photo: some 60 kB."""
    blotches = Image.fromarray(random.integers(0, 256, (12, 16, 3), np.uint8))
    smooth = np.asarray(blotches.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.int16)
    grain = random.normal(0, 12, smooth.shape)
    file = io.BytesIO()
    Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=85)
    return file.getvalue()


if __name__ == "__main__":
    main()
