"""What a whole audit costs, against the evaluation that runs anyway: `model.predict` over `tf.data`.

Both read the same TFRecord files of 500x375 JPEGs, each in a process of its own. The evaluation decodes,
resizes and predicts (parallel map, batch, prefetch); the audit reads, decodes, explains with gradcam and
hirescam, measures, judges and writes; `explain` is its decoding and explaining alone, without Beam. Each runs
on a small and on a large set: the difference of the two times is the steady state, what is left of the small
one the start-up, with health, which looks at 128 images of either. `other` is the share of the audit's
processor time beyond that of `explain`. Then an audit with the counterfactual stage, and one of all models in
one run against a run each. Weights are random.

Processes that are compared go on in slices of a second, one at a time, while the others are stopped. So all
have the machine at the speed that it has, which others who share it change from minute to minute.

    python benchmarks/bench_audit.py [--models MobileNetV2] [--images 500 2000] [--repeats 3]
        [--parts models swaps together]
"""

import argparse
import collections
import dataclasses
import io
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, TypeVar

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import yaml
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
WIDTH, HEIGHT = 500, 375
CLASSES = 10
SIZE = 224
SLICE = 1.0
# Of a run of this many images the counterfactual stage tests so many by default, of the small set all.
LARGE_RUN, TESTED = 50_000, 2_000
HEADER = (
    f"{'model':16}{'predict img/s':>14}{'explain':>9}{'audit':>7}{'audit / predict (range)':>26}"
    f"{'processor ms/img':>22}{'other':>7}{'start-up':>10}{'memory':>8}{'time/img':>9}{'bytes/row':>11}"
)
PREPROCESS: dict[str, dict[str, Any]] = {
    "MobileNetV2": {"scale": [-1, 1]},
    "EfficientNetB0": {},
    "ResNet50": {"channels": "bgr", "mean": [103.939, 116.779, 123.68]},
}


Key = TypeVar("Key", bound=Hashable)
Turn = Mapping[tuple[str, int], "Cost"]


@dataclasses.dataclass(frozen=True)
class Cost:
    """One process: seconds in which it went on, processor seconds, and the largest resident size in MiB."""

    seconds: float
    processor: float
    memory: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=PREPROCESS, default=list(PREPROCESS))
    parser.add_argument("--images", nargs=2, type=int, default=[500, 2000], metavar=("FEW", "MANY"))
    parser.add_argument("--repeats", type=int, default=3)
    parts = ["models", "swaps", "together"]
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    parser.add_argument("--predict", nargs=3, metavar=("MODEL", "SHARDS", "NAME"), help=argparse.SUPPRESS)
    parser.add_argument("--explain", metavar="CONFIG", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.predict:
        predict(*arguments.predict)
        return
    if arguments.explain:
        explain(arguments.explain)
        return
    rows: list[dict[str, Any]] = []
    load, (few, many) = os.getloadavg()[0], arguments.images
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for count in arguments.images:
            write_shards(folder / str(count), count)
        for model in arguments.models:
            save_model(model, folder / f"{model}.keras")
        if "models" in arguments.parts:
            print(HEADER, flush=True)
            for model in arguments.models:
                row = bench(model, folder, few, many, arguments.repeats)
                print(line(model, row), flush=True)
                rows.append({"model": model, **row})
        if "swaps" in arguments.parts:
            model = arguments.models[0]
            share = swaps(folder / f"{model}.keras", folder, few, many, arguments.repeats)
            rows.append({"model": model, **share})
            print(
                f"{model}: the counterfactual stage takes {share['share']:.0%} of a run of {many} images; "
                f"of one of {LARGE_RUN}, by calculation, {share['large_share']:.0%}",
                flush=True,
            )
        if "together" in arguments.parts:
            ratio = together(
                [folder / f"{m}.keras" for m in arguments.models], folder, many, arguments.repeats
            )
            rows.append({"models": arguments.models, **ratio})
            print(f"all models in one run take {spread(ratio)} of the time of a run each", flush=True)
    print(json.dumps({"images": arguments.images, "load_before": load, "rows": rows}))


def line(name: str, row: dict[str, float]) -> str:
    """A model's line of the table."""
    spent = " ".join(f"{row[f'{job}_processor_ms']:.1f}" for job in ("predict", "explain", "audit"))
    return (
        f"{name:16}{row['predict_rate']:14.1f}{row['explain_rate']:9.1f}{row['audit_rate']:7.1f}"
        f"{spread(row):>26}{spent:>22}{row['other_share']:7.0%}{row['start_up_s']:9.1f}s{row['memory_ratio']:8.2f}"
        f"{row['time_per_image_ratio']:9.2f}{row['bytes_per_row']:11.0f}"
    )


def spread(row: Mapping[str, float]) -> str:
    """The median of a ratio, with its range."""
    return f"{row['ratio']:.2f} ({row['ratio_min']:.2f} to {row['ratio_max']:.2f})"


def ratios(values: list[float]) -> dict[str, float]:
    """The median of a ratio and its range, as they are reported."""
    return {"ratio": statistics.median(values), "ratio_min": min(values), "ratio_max": max(values)}


def bench(name: str, folder: Path, few: int, many: int, repeats: int) -> dict[str, float]:
    """All jobs on both sets; rates, their ratio turn by turn, and what else is asked of an audit."""
    model = folder / f"{name}.keras"
    commands = {}
    for count in (few, many):
        shards, output = f"{folder / str(count)}/*.tfrecord", folder / f"out{count}"
        config = write_config([model], shards, output)
        commands["predict", count] = [sys.executable, __file__, "--predict", str(model), shards, name]
        commands["explain", count] = [sys.executable, __file__, "--explain", config]
        commands["audit", count] = audit(config)
    turns = [in_slices(commands) for _ in range(repeats)]
    rates = {job: [rate(turn, job, few, many) for turn in turns] for job in ("predict", "explain", "audit")}
    # Milliseconds of processor time an image: what else the machine does has less say in it.
    processor = {
        job: statistics.median(
            (turn[job, many].processor - turn[job, few].processor) / (many - few) * 1000 for turn in turns
        )
        for job in rates
    }
    start = {
        job: [turn[job, few].seconds - few / rate for turn, rate in zip(turns, rates[job], strict=True)]
        for job in rates
    }
    written = sum(path.stat().st_size for path in (folder / f"out{many}").glob("scores/**/*.parquet"))
    return {
        "predict_rate": statistics.median(rates["predict"]),
        "explain_rate": statistics.median(rates["explain"]),
        "audit_rate": statistics.median(rates["audit"]),
        **ratios([audit / predict for audit, predict in zip(rates["audit"], rates["predict"], strict=True)]),
        **{f"{job}_processor_ms": processor[job] for job in rates},
        "other_share": 1 - processor["explain"] / processor["audit"],
        "start_up_s": statistics.median(start["audit"]) - statistics.median(start["predict"]),
        "memory_ratio": statistics.median(
            turn["audit", many].memory / turn["audit", few].memory for turn in turns
        ),
        "time_per_image_ratio": statistics.median(
            (turn["audit", many].seconds / many) / (turn["audit", few].seconds / few) for turn in turns
        ),
        "bytes_per_row": written / (repeats * 2 * many),  # a row for gradcam and one for hirescam
    }


def rate(turn: Turn, job: str, few: int, many: int) -> float:
    """Images a second in the steady state."""
    return (many - few) / (turn[job, many].seconds - turn[job, few].seconds)


def swaps(model: Path, folder: Path, few: int, many: int, repeats: int) -> dict[str, float]:
    """What share the counterfactual stage takes of a run of the large set, and of one of `LARGE_RUN`."""
    shards = {count: f"{folder / str(count)}/*.tfrecord" for count in (few, many)}
    commands = {
        ("audit", few): audit(write_config([model], shards[few], folder / "few")),
        ("audit", many): audit(write_config([model], shards[many], folder / "many")),
        ("swaps", many): audit(write_config([model], shards[many], folder / "swaps", confirm=True)),
    }
    shares, of_large = [], []
    for _ in range(repeats):
        turn = in_slices(commands)
        more = turn["swaps", many].seconds - turn["audit", many].seconds
        shares.append(more / turn["swaps", many].seconds)
        large = turn["audit", few].seconds + (LARGE_RUN - few) / rate(turn, "audit", few, many)
        more *= TESTED / min(many, TESTED)
        of_large.append(more / (large + more))
    return {"share": statistics.median(shares), "large_share": statistics.median(of_large)}


def together(models: list[Path], folder: Path, many: int, repeats: int) -> dict[str, float]:
    """The time of one run of all models against that of a run each."""
    shards = f"{folder / str(many)}/*.tfrecord"
    alone = {
        model.stem: audit(write_config([model], shards, folder / f"of_{model.stem}")) for model in models
    }
    commands = {"together": audit(write_config(models, shards, folder / "together")), **alone}
    turns = [in_slices(commands) for _ in range(repeats)]
    return ratios([turn["together"].seconds / sum(turn[name].seconds for name in alone) for turn in turns])


def in_slices(commands: Mapping[Key, list[str]]) -> dict[Key, Cost]:
    """Runs commands to their ends, each for a second in turn.

    Raises:
        RuntimeError: one of them fails.
    """
    left, costs = {key: Job(command) for key, command in commands.items()}, {}
    try:
        while left:
            for key, job in list(left.items()):
                if (cost := job.go_on()) is not None:
                    costs[key] = cost
                    del left[key]
    finally:
        for job in left.values():
            job.kill()
    return costs


class Job:
    """A command that goes on in slices of `SLICE` seconds and is stopped in between."""

    def __init__(self, command: list[str]) -> None:
        self._command, self._seconds = command, 0.0
        self._process: subprocess.Popen[bytes] | None = None

    def go_on(self) -> Cost | None:
        """One slice; what the command cost, when it has ended."""
        started = time.perf_counter()
        if self._process is None:
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            self._process = subprocess.Popen(self._command, cwd=ROOT, start_new_session=True, **quiet)
        else:
            os.killpg(self._process.pid, signal.SIGCONT)
        while (passed := time.perf_counter() - started) < SLICE:
            ended, status, usage = os.wait4(self._process.pid, os.WNOHANG)
            if ended:
                self._process = None
                if status != 0:
                    code = os.waitstatus_to_exitcode(status)
                    raise RuntimeError(f"{' '.join(self._command)} ended with {code}")
                seconds = self._seconds + passed
                return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
            time.sleep(0.005)
        os.killpg(self._process.pid, signal.SIGSTOP)
        self._seconds += passed
        return None

    def kill(self) -> None:
        """Ends the command, if it has not ended."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)


def audit(config: str) -> list[str]:
    return [sys.executable, "-m", "pipeline", "run", config]


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
