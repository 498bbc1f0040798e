"""The comparison of runs: what is paired, what is refused, and that parts may lie anywhere."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from apache_beam.io.filesystem import FileMetadata, FileSystem

from pipeline.cli import main
from pipeline.compare import compare_models
from transforms.errors import RunError, UsageError
from transforms.records import Score
from transforms.write.reading import JudgedRow, judged_rows
from transforms.write.schemas import write_part

from .builders import make_score
from .past_runs import make_finding, write_run

Capture = pytest.CaptureFixture[str]


def scores(
    count: int = 40, *, model: str = "m", share: float = 0.75, first: int = 0, **fields: Any
) -> list[Score]:
    return [
        make_score(model=model, density_share=share, example_id=f"{first + i:03d}.png", **fields)
        for i in range(count)
    ]


def compared(output: Path, baseline: str = "r1", candidate: str = "r2", **options: Any) -> dict[str, Any]:
    """The comparison by measure and group."""
    options = {"margin": 0.1, "allow_different": False, **options}
    found = compare_models(str(output), baseline, candidate, **options)
    return {change.group_name: change for change in found.changes if change.measure == "density_share"}


def refused(output: Path, baseline: str = "r1", candidate: str = "r2") -> str:
    with pytest.raises(UsageError) as caught:
        compared(output, baseline, candidate)
    return str(caught.value)


def test_images_are_paired_by_id_and_class_in_whatever_part_they_lie(tmp_path: Path) -> None:
    write_run(tmp_path, "r1", scores={"a": scores(20), "b": scores(20, first=20)})
    parts = {"c": scores(30, share=0.25, first=10), "d": scores(10, share=0.25)}
    write_run(tmp_path, "r2", scores=parts, data={"listing_sha256": "other"})

    found = compared(tmp_path, allow_different=True)
    assert {"cat": (40, 0, 0, 0.75, 0.25)} == {
        name: (c.n, c.only_baseline, c.only_candidate, c.baseline, c.candidate)
        for name, c in found.items()
        if name == "cat"
    }


def test_the_same_shards_are_compared_part_by_part(tmp_path: Path) -> None:
    """An image that changed its shard under the same listing is not held in memory for it."""
    for run_id, names in (("r1", "ab"), ("r2", "ba")):
        parts = {names[0]: scores(30), names[1]: scores(10, first=30)}
        write_run(tmp_path, run_id, scores=parts)

    cat = compared(tmp_path)["cat"]
    assert (0, 40, 40) == (cat.n, cat.only_baseline, cat.only_candidate)


def test_only_what_is_judged_is_compared(tmp_path: Path) -> None:
    aside = [
        *scores(5, method="gradcam", share=0.0),
        *scores(5, target_rule="predicted", share=0.0),
        *scores(5, model="n", share=0.0),
        *scores(5, status="no_box", first=40),
    ]
    for run_id in ("r1", "r2"):
        write_run(tmp_path, run_id, models={"m": "clear"}, scores={"a": [*scores(), *aside]})

    assert {"m": (40, 0.75), "cat": (40, 0.75)} == {
        n: (c.n, c.baseline) for n, c in compared(tmp_path).items()
    }


def test_an_image_that_one_model_cannot_be_measured_on_is_counted(tmp_path: Path, capsys: Capture) -> None:
    lost = scores(7, status="zero_map", first=40)
    write_run(tmp_path, "r1", scores={"a": [*scores(), *scores(7, first=40)]})
    write_run(tmp_path, "r2", scores={"a": [*scores(), *lost]})

    main(["compare", str(tmp_path), "--baseline", "r1", "--candidate", "r2"])
    assert (
        "density share: measured by one only: 7 under the baseline, 0 under the candidate"
        in capsys.readouterr().out.splitlines()
    )


def test_a_page_and_json_are_written(tmp_path: Path, capsys: Capture) -> None:
    write_run(tmp_path, "r1", scores={"a": scores(90, slices={"site": "<b>"})})
    write_run(tmp_path, "r2", scores={"a": scores(90, share=0.25, slices={"site": "<b>"})})
    page = tmp_path / "page.html"
    flags = ["--baseline", "r1", "--candidate", "r2", "--html", str(page), "--json"]

    assert 1 == main(["compare", str(tmp_path), *flags])
    found = json.loads(capsys.readouterr().out)
    reason = (
        "cat (density share 0.75 to 0.25), cat, site=<b> (density share 0.75 to 0.25), "
        "site=<b> (density share 0.75 to 0.25)"
    )
    assert (1, "r2:m is worse than r1:m", reason, "hirescam", 0.1, []) == tuple(
        found[key] for key in ("status", "headline", "reason", "method", "margin", "differences")
    )
    assert "<p>" + reason.replace("<b>", "&lt;b&gt;") + ".</p>" in page.read_text()


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        ({"data": {"listing_sha256": "other"}}, "other data"),
        ({"limit": 10}, "limit None against 10"),
        ({"verdict_method": "gradcam"}, "method hirescam against gradcam"),
        ({"map_size": (7, 8)}, "map size 4x4 against 7x8"),
        (
            {"judge": {"allowed_regions": ["frame"], "confirm_budget": 10}},
            "allowed regions [] against ['frame']; confirm_budget 20000 against 10",
        ),
    ],
)
def test_what_differs_is_refused_and_named(tmp_path: Path, changed: dict[str, Any], difference: str) -> None:
    write_run(tmp_path, "r1", scores={"a": scores()})
    write_run(tmp_path, "r2", scores={"a": scores()}, **changed)

    assert (
        f"r1:m and r2:m cannot be compared: {difference}; "
        "--allow-different compares the images that both have nevertheless"
    ) == refused(tmp_path)
    found = compare_models(str(tmp_path), "r1", "r2", margin=0.1, allow_different=True)
    assert difference == "; ".join(found.differences)


def test_another_class_map_is_no_difference(tmp_path: Path) -> None:
    """Another model may number its classes in another way."""
    for run_id in ("r1", "r2"):
        data = {"format": "coco", "class_map": f"{run_id}.json"}
        judge = {"allowed_regions": [], "allowed_classes": [], "confirm": True, "fdr": 0.1, "min_images": 30}
        config = {
            "data": data,
            "explain": {"polarity": "positive"},
            "judge": {**judge, "images_per_class": 300, "confirm_budget": 20000},
        }
        write_run(tmp_path, run_id, config=config, scores={"a": scores()})

    assert 40 == compared(tmp_path)["cat"].n


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    write_run(tmp_path, "r1", models={"m": "clear", "n": "clear"})
    write_run(tmp_path, "r2")
    write_run(tmp_path, "r3", finished=False)

    assert f"no run 'r1x' below {tmp_path} (did you mean 'r1'?)" == refused(tmp_path, "r1x")
    assert "run r1 has 2 models; say r1:m or r1:n" == refused(tmp_path, "r1")
    assert "run r2 has no model 'k'" == refused(tmp_path, "r2:k")
    with pytest.raises(RunError, match="run r3 was started and has no manifest: it failed or still runs"):
        compared(tmp_path, "r2", "r3")


def test_no_common_image_is_inconclusive(tmp_path: Path, capsys: Capture) -> None:
    write_run(tmp_path, "r1", scores={"a": scores()})
    write_run(tmp_path, "r2", scores={"a": []})

    assert 4 == main(["compare", str(tmp_path), "--baseline", "r1", "--candidate", "r2"])
    assert (
        "r2:m is inconclusive against r1:m: too few images or too much spread for a margin of 0.1"
        == capsys.readouterr().out.splitlines()[-1]
    )


@pytest.mark.parametrize("text", ["1.5", "-0.1", "much", "nan"])
def test_a_margin_is_a_share(tmp_path: Path, capsys: Capture, text: str) -> None:
    with pytest.raises(SystemExit):
        main(["compare", str(tmp_path), "--baseline", "a", "--candidate", "b", f"--margin={text}"])
    assert capsys.readouterr().err.endswith(f"argument --margin: {text!r} is no number from 0 to 1\n")


def test_rows_of_a_table_without_a_later_column_read_as_null() -> None:
    file = io.BytesIO()
    rows = scores(2, slices={"site": "A"})
    write_part(file, "scores", rows, {})
    old = io.BytesIO()
    pq.write_table(pq.read_table(io.BytesIO(file.getvalue())).drop_columns(["donor_class"]), old)

    expected = [JudgedRow(row.example_id, "cat", 0.75, None, None, None, (("site", "A"),)) for row in rows]
    assert expected == list(judged_rows(old, "m", "last", "hirescam"))


class MemoryFileSystem(FileSystem):  # type: ignore[misc]
    """An object store: paths are keys, and there are no directories."""

    files: dict[str, bytes] = {}  # noqa: RUF012  (one store, as a bucket is)

    @classmethod
    def scheme(cls) -> str:
        return "mem"

    def has_dirs(self) -> bool:
        return False

    def join(self, basepath: str, *paths: str) -> str:
        return "/".join([basepath, *paths])

    def split(self, path: str) -> tuple[str, str]:
        head, _, tail = path.rpartition("/")
        return head, tail

    def mkdirs(self, path: str) -> None:
        pass

    def exists(self, path: str) -> bool:
        return path in self.files

    def _list(self, dir_or_prefix: str) -> Iterator[FileMetadata]:
        for path, data in self.files.items():
            if path.startswith(dir_or_prefix):
                yield FileMetadata(path, len(data))

    def open(self, path: str, *_: Any, **__: Any) -> io.BytesIO:
        return io.BytesIO(self.files[path])

    def create(self, path: str, *_: Any, **__: Any) -> io.BytesIO:
        store = self.files

        class Upload(io.BytesIO):
            def close(self) -> None:
                store[path] = self.getvalue()
                super().close()

        return Upload()

    def copy(self, *_: Any) -> None:
        raise NotImplementedError

    rename = size = last_updated = checksum = metadata = delete = copy


def test_everything_works_on_an_object_store(tmp_path: Path, capsys: Capture) -> None:
    write_run(tmp_path, "r1", "2026-01-01", scores={"a": scores()}, findings=[make_finding()])
    write_run(tmp_path, "r2", "2026-01-02", scores={"a": scores()}, findings=[make_finding()])
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    store = {f"mem://bucket/{path.relative_to(tmp_path)}": path.read_bytes() for path in files}
    MemoryFileSystem.files.update({**store, "mem://bucket/waivers.yaml": b"[]"})

    flags = ["--waivers", "mem://bucket/waivers.yaml", "--junit", "mem://bucket/gate.xml"]
    assert 0 == main(["gate", "mem://bucket", *flags])
    pages = ["--html", "mem://bucket/page.html"]
    assert 4 == main(["compare", "mem://bucket", "--baseline", "r1", "--candidate", "r2", *pages])
    assert 0 == main(["history", "mem://bucket", "--html", "mem://bucket/history.html"])
    assert "run r2 passes: nothing confirmed or hidden" == capsys.readouterr().out.splitlines()[0]
    assert {"gate.xml", "page.html", "history.html"} == {
        path.removeprefix("mem://bucket/") for path in MemoryFileSystem.files.keys() - store.keys()
    } - {"waivers.yaml"}
