"""The page: escaped, valid, traceable to rows, and the same whenever it is rendered."""

import html
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import html5lib
import pytest

from benchmarks.bench_report import make_run
from pipeline.cli import main
from pipeline.report import report_again
from transforms.write.manifest import to_json
from transforms.write.paths import RunPaths
from transforms.write.report import page as whole_page
from transforms.write.report.page import MOST_BYTES, Room
from transforms.write.wiring import render_again, write_text

HOSTILE = "<script>alert(1)</script>"
NAMES = ("cat", "dog", f"{HOSTILE}&\"'", "fish")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of four classes, three of them flagged in `biased`, under hostile names."""
    folder = tmp_path_factory.mktemp("report")
    make_run(folder, NAMES, flagged=3, scores=20, slice_value=HOSTILE, side=32)
    return Path(report_again(str(folder), "r1"))


def parsed(text: str) -> Any:
    """The page as a tree.

    Raises:
        html5lib.html5parser.ParseError: it is not valid HTML.
    """
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(text)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def names(element: Any) -> list[str]:
    return list(element.get("class", "").split())


def changed(page: Path, tmp_path: Path, **changes: Any) -> str:
    """The report of the same run with another manifest."""
    folder = tmp_path / "copy"
    folder.symlink_to(page.parents[2], target_is_directory=True)
    manifest = json.loads((page.parent / "manifest.json").read_text())
    return render_again(RunPaths(str(folder), "r1", "2026-03-01"), {**manifest, **changes})


def test_the_page_is_valid_html(page: Path) -> None:
    tree = parsed(text_of(page))

    assert "made up: where its models look" == tree.findtext("head/title")
    ids = [element.get("id") for element in tree.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    targets = [link.get("href")[1:] for link in tree.iter("a") if link.get("href", "").startswith("#")]
    assert set(targets) <= set(ids)


def test_an_invalid_page_would_be_seen(page: Path) -> None:
    with pytest.raises(html5lib.html5parser.ParseError):
        parsed(text_of(page).replace("</main>", "</section>"))


def test_names_from_the_data_are_text_and_never_markup(page: Path) -> None:
    text = text_of(page)
    tree = parsed(text)

    assert 1 == len(list(tree.iter("script")))
    assert HOSTILE not in text
    headers = ["".join(cell.itertext()) for cell in tree.iter("th")]
    assert NAMES[2] in headers
    assert any(header == f"camera = {HOSTILE}" for header in headers)
    ids = ["".join(cell.itertext()) for cell in tree.iter("b")]
    assert f"{NAMES[2]} 0.jpg" in ids


def test_nothing_is_fetched_and_only_this_script_may_run(page: Path) -> None:
    text = text_of(page)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    addresses = re.findall(r'(?:href|src)="([^"]{5})', text)

    assert policy is not None
    assert policy[1].startswith(
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-"
    )
    assert all(address.startswith(("#", "data:")) for address in addresses)
    assert "http" not in re.sub(r"Content-Security-Policy", "", text).replace("http-equiv", "")
    assert [] == re.findall(r"\son\w+=", re.sub(r"<script>.*</script>", "", text, flags=re.DOTALL))


def test_every_query_gives_the_rows_of_its_table(page: Path) -> None:
    tree = parsed(text_of(page))
    queries = {
        details.find("div/pre").get("aria-label").removeprefix("DuckDB query for "): "".join(
            details.find("div/pre/code").itertext()
        )
        for details in tree.iter("details")
        if details.get("class") == "query"
    }
    found = {what: [duckdb.sql(one).fetchall() for one in sql.split(";\n")] for what, sql in queries.items()}
    rows = {what: [len(table) for table in tables] for what, tables in found.items()}

    assert 3 * 3 + 2 + 4 == len(queries)
    for name in NAMES[:3]:
        assert [1, 1] == rows[f"the numbers of {name} in biased"]
        assert [9] == rows[f"the images of {name} in biased"]
        assert [1] == rows[f"the slices of {name} in biased"]
    assert [4] == rows["all classes of biased"] == rows["all classes of honest"]
    assert [[("malformed_record", 1)]] == found["dead letters by reason"]
    assert [[("biased", "hirescam", "ok", 20)]] == found["heatmaps by status"]
    assert [1] == rows["dead letters"] == rows["slice columns and classes"]


def test_the_table_of_classes_is_that_of_its_query(page: Path) -> None:
    tree = parsed(text_of(page))
    (table,) = [table for table in tree.iter("table") if table.get("id") == "model-2-table"]
    drawn = {
        row.findtext("th/a") or row.findtext("th"): [cell.get("data-value") for cell in row.findall("td")]
        for row in table.find("tbody")
    }
    output = page.parents[2]
    shares = duckdb.sql(
        f"select group_name, density_share from '{output}/findings/**/*.parquet' "
        "where model = 'biased' and group_kind = 'class'"
    ).fetchall()

    assert {name: f"{share:.5g}" for name, share in shares} == {
        name: cells[3] for name, cells in drawn.items()
    }


def test_it_is_rendered_again_without_a_change(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = text_of(page)
    page.unlink()

    assert 0 == main(["report", str(page.parents[2])])
    assert f"{page}\n" == capsys.readouterr().out
    assert before == text_of(page)


def test_it_is_rendered_without_the_models_library(page: Path) -> None:
    code = f"""
import sys
from pipeline.cli import main
assert 0 == main(["report", {str(page.parents[2])!r}])
print([name for name in ("tensorflow", "keras") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]" == done.stdout.splitlines()[-1]


def test_a_run_that_is_not_there_is_an_error(
    page: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = page.parents[2]

    assert 2 == main(["report", str(output), "--run-id", "r2"])
    assert (f"error: no run 'r2' below {output}\n") == capsys.readouterr().err
    paths = RunPaths(str(tmp_path), "r3", "2026-03-01")
    started = {"run_id": "r3", "run_date": "2026-03-01", "started": "2026-03-01T00:00:00+00:00"}
    write_text(paths.record("started.json"), to_json(started))
    assert 2 == main(["report", str(tmp_path), "--run-id", "r3"])
    assert "error: run 'r3' has no manifest: it failed or still runs\n" == capsys.readouterr().err
    assert 2 == main(["report", str(tmp_path)])
    assert (
        f"error: no run below {tmp_path} has a manifest, so there is nothing to report\n"
    ) == capsys.readouterr().err


def test_without_images_no_pixel_is_shown_and_the_page_says_so(tmp_path: Path) -> None:
    make_run(tmp_path, NAMES, flagged=3, scores=4, images=False, side=32)
    text = text_of(Path(report_again(str(tmp_path), None)))
    parsed(text)

    assert "image/jpeg" not in text
    assert "No pixels: report.images is false, so the pictures are heatmaps and boxes only." in text
    assert 3 * 6 + 3 == text.count('class="heat alone"')
    kept = duckdb.sql(f"select count(exemplars) from '{tmp_path}/findings/**/*.parquet'").fetchall()
    assert [(0,)] == kept


def test_photos_beyond_the_budget_are_left_out_and_said_so(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_page, "ROOMS", (Room(0, 200, 10_000),))
    text = changed(page, tmp_path)

    assert "image/jpeg" not in text
    assert 3 == text.count("The photos of this finding are left out of the page, which is full")


def test_findings_and_classes_beyond_the_room_are_left_out_and_said_so(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_page, "ROOMS", (Room(0, 2, 5),))
    monkeypatch.setattr(whole_page, "_MOST_MANIFEST", 100)
    text = changed(page, tmp_path)
    tree = parsed(text)

    assert 2 == len(tree.findall(".//article[@class='finding']"))
    assert "1 more is flagged and left out here, since the page is full" in text
    assert [2, 2] == [
        len(table.findall("tbody/tr")) for table in tree.iter("table") if "long" in names(table)
    ]
    assert 2 == text.count("The 2 most alarming of 4 classes, since the page is full; the query gives all.")
    assert "manifest.json is too large for this page; it stands beside it." in text


def test_the_page_takes_the_most_room_with_which_it_is_not_too_large(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all photos, without them, and, where nothing helps, the least that there is."""
    paths = RunPaths(str(page.parents[2]), "r1", "2026-03-01")
    manifest = json.loads((page.parent / "manifest.json").read_text())
    rooms = (Room(4_000_000, 200, 10_000), Room(0, 1, 2))
    pages = []
    for room in rooms:
        monkeypatch.setattr(whole_page, "ROOMS", (room,))
        pages.append(render_again(paths, manifest))
    size = len(pages[0].encode())
    monkeypatch.setattr(whole_page, "ROOMS", rooms)
    taken = []
    for most in (size, size - 1, 0):
        monkeypatch.setattr(whole_page, "MOST_BYTES", most)
        taken.append(render_again(paths, manifest))

    assert len(pages[1]) < len(pages[0])
    assert [pages[0], pages[1], pages[1]] == taken


@pytest.mark.slow
@pytest.mark.parametrize(("classes", "flagged"), [(2000, 60), (2000, 2000), (20_000, 20)])
def test_the_page_of_a_huge_run_stays_below_ten_megabytes(tmp_path: Path, classes: int, flagged: int) -> None:
    make_run(tmp_path, [f"class {number}" for number in range(classes)], flagged=flagged, scores=1)
    text = text_of(Path(report_again(str(tmp_path), None)))

    assert len(text.encode()) <= MOST_BYTES
    assert "since the page is full" in text or "which is full" in text


def test_an_incomplete_run_says_so_first(page: Path, tmp_path: Path) -> None:
    text = changed(page, tmp_path, complete=False, failure="no record was read")

    assert "<b>This run is no complete audit:</b> no record was read" in text
    parsed(text)


def test_a_manifest_of_before_the_report_can_be_rendered(page: Path, tmp_path: Path) -> None:
    manifest = json.loads((page.parent / "manifest.json").read_text())
    del manifest["config"]["report"]

    parsed(changed(page, tmp_path, config=manifest["config"]))


def test_health_is_shown_where_a_run_has_it(page: Path, tmp_path: Path) -> None:
    manifest = json.loads((page.parent / "manifest.json").read_text())
    health = {"verdict": "trusted", "gain": 0.41, "head": None, HOSTILE: HOSTILE, "message": f"it {HOSTILE}"}
    models = [{**model, "health": health} for model in manifest["models"]]
    text = changed(page, tmp_path, models=models)

    parsed(text)
    assert 2 == text.count("<h4>Health of the explanation</h4>")
    assert 2 == text.count("<dt>gain</dt><dd>0.410</dd>")
    assert 2 == text.count(f"<dd>{html.escape(HOSTILE)}</dd>")
    assert 2 == text.count(f"<p>It {html.escape(HOSTILE)}.</p>")


def test_defects_of_annotations_are_counted_in_the_page(page: Path, tmp_path: Path) -> None:
    text = changed(page, tmp_path, defects={"clipped_box": 1234})

    parsed(text)
    assert '<tr><th scope="row">clipped box</th><td>1,234</td></tr>' in text


def test_waivers_are_shown_with_their_findings(page: Path, tmp_path: Path) -> None:
    manifest = json.loads((page.parent / "manifest.json").read_text())
    first, second = (row["finding_id"] for row in manifest["flagged"][:2])
    waivers = [
        {"finding_id": first, "who": "Ada", "until": "2026-03-01", "why": HOSTILE},
        {"finding_id": second, "who": "Bob", "until": "2026-02-28", "why": "known"},
    ]
    text = changed(page, tmp_path, waivers=waivers)

    parsed(text)
    assert 2 == text.count(f"Waived by Ada until 2026-03-01: {html.escape(HOSTILE)}")
    assert 2 == text.count("The waiver by Bob expired on 2026-02-28: known")


def test_the_json_of_the_manifest_is_in_the_page(page: Path) -> None:
    manifest = json.loads((page.parent / "manifest.json").read_text())
    (code,) = [
        pre.find("code")
        for pre in parsed(text_of(page)).iter("pre")
        if pre.get("aria-label") == "manifest.json"
    ]

    assert to_json(manifest).strip() == "".join(code.itertext())
