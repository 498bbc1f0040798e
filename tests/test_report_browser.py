"""The report in a real browser: it works, looks at nobody, and can be used by everybody.

Needs Chromium or Chrome on the path, or in AUDIT_CHROMIUM. Screenshots are kept in `screenshots/`.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.bench_report import make_run
from pipeline.report import report_again

ROOT = Path(__file__).parents[1]
SCREENSHOTS = ROOT / "screenshots"
NAMES = [f"class {number:02}" for number in range(39)] + ["<script>alert(1)</script>"]
VIEWS = [(width, scheme) for width in (1280, 400) for scheme in ("light", "dark")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = os.environ.get("AUDIT_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(names)} is on the path; set AUDIT_CHROMIUM to one")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    make_run(folder, NAMES, flagged=15, scores=40)
    return Path(report_again(str(folder), None))


def opened(browser: Browser, report: Path, width: int = 1280, scheme: Any = "light") -> Page:
    """The report in a page that fails when anything is reported on its console or asked of a network."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.on("console", lambda message: pytest.fail(f"console: {message.text}"))
    page.on("pageerror", lambda error: pytest.fail(f"page: {error}"))
    page.on("dialog", lambda dialog: pytest.fail(f"dialog: {dialog.message}"))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    page.wait_for_load_state("networkidle")
    assert [report.as_uri()] == [url for url in asked if not url.startswith("data:")]
    return page


def check(browser: Browser, report: Path, name: str, first_class: str) -> None:
    """What holds for every report: at both widths, light and dark."""
    for width, scheme in VIEWS:
        page = opened(browser, report, width, scheme)
        SCREENSHOTS.mkdir(exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"{name}-{width}-{scheme}.png")
        page.screenshot(path=SCREENSHOTS / f"{name}-{width}-{scheme}-whole.png", full_page=True)

        assert width == page.evaluate("document.documentElement.scrollWidth")
        first = page.locator(".card").first
        box = first.locator(".cover").bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < 900
        assert first_class in (first.locator("a").text_content() or "")
        page.evaluate("for (const folded of document.querySelectorAll('details')) folded.open = true")
        found = Axe().run(page).response["violations"]
        assert [] == [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] != "minor"]
        page.close()


def shown(page: Page, column: int) -> list[str]:
    """The texts of one column of the biased model's classes, as far as they are shown."""
    rows = page.locator("#model-2-table tbody tr:visible")
    return rows.evaluate_all(f"rows => rows.map(row => row.cells[{column}].textContent.trim())")


def test_it_can_be_read_by_everybody_at_any_width(browser: Browser, report: Path) -> None:
    check(browser, report, "made-up", "class")


def test_a_click_on_a_header_sorts_and_another_one_turns_it_round(browser: Browser, report: Path) -> None:
    page = opened(browser, report)
    head = page.locator("#model-2-table thead th", has_text="density share").first
    page.locator("#model-2 button.more").click()
    assert len(NAMES) == len(shown(page, 0))
    for direction in ("ascending", "descending"):
        head.get_by_role("button").click()
        shares = [float(text.split()[0]) for text in shown(page, 4)]

        assert direction == head.get_attribute("aria-sort")
        assert shares == sorted(shares, reverse=direction == "descending")
    assert 1 == page.locator("#model-2-table th[aria-sort]").count()


def test_sorting_needs_no_mouse(browser: Browser, report: Path) -> None:
    page = opened(browser, report)
    page.locator("#model-2-table thead th", has_text="class").first.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert sorted(NAMES, key=str.lower)[:25] == shown(page, 0)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    assert ["clear"] * 25 == shown(page, 1)


def test_search_shows_what_matches_and_says_how_many(browser: Browser, report: Path) -> None:
    page = opened(browser, report)
    search, found = page.locator("#model-2 input[type=search]"), page.locator("#model-2 .found")
    assert "40 classes" == found.text_content()
    assert 25 == len(shown(page, 0))
    search.fill("CLASS 3")
    threes = [name for name in NAMES if "3" in name]
    assert threes == sorted(shown(page, 0))
    assert f"{len(threes)} of 40 classes" == found.text_content()
    search.fill("alert(1)")
    assert [NAMES[-1]] == shown(page, 0)
    search.fill("confirmed class")

    assert ["confirmed"] * 5 == shown(page, 1)
    search.fill("no such class")
    assert ([], "0 of 40 classes") == (shown(page, 0), found.text_content())


def test_heat_lies_over_the_photo_in_the_colours_that_are_chosen(browser: Browser, report: Path) -> None:
    page = opened(browser, report)
    cover = page.locator(".card .cover").first
    pictures = [cover.screenshot()]
    for choice in ("jet", "off"):
        page.locator(f"#{choice}").check()
        pictures.append(cover.screenshot())
    page.locator("#boxes").uncheck()
    pictures.append(cover.screenshot())

    assert 4 == len(set(pictures))


def test_light_and_dark_can_be_chosen(browser: Browser, report: Path) -> None:
    page = opened(browser, report)
    colours = [page.evaluate("getComputedStyle(document.body).backgroundColor")]
    page.locator("#dark").check()
    colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    assert ["rgb(255, 255, 255)", "rgb(21, 23, 27)"] == colours


def test_a_link_unfolds_what_it_leads_to(browser: Browser, report: Path) -> None:
    page = opened(browser, report)
    folded, link = page.locator("details.other").last, page.locator("#model-2-table th a").last
    page.locator("#model-2 button.more").click()
    assert str(folded.locator("summary").first.text_content()).startswith(f"{link.text_content()} ")
    assert not folded.locator(".lede").is_visible()
    link.click()

    assert folded.locator(".lede").is_visible()


def test_a_query_is_copied_by_a_click(browser: Browser, report: Path) -> None:
    page = opened(browser, report)
    folded = page.locator("details.query").first
    assert folded.get_attribute("open") is None
    folded.locator("summary").click()
    code = folded.locator("code").text_content()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    folded.locator("button.copy").click()

    assert "Copied" == folded.locator("button.copy").text_content()
    assert code == page.evaluate("navigator.clipboard.readText()")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_report_of_the_demo(browser: Browser, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipeline", "demo", "--folder", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True)
    (report,) = tmp_path.glob("audits/runs/*/report.html")

    check(browser, report, "demo", "pill")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_report_of_the_pets(browser: Browser, tmp_path: Path, real_data: Path) -> None:
    config = {
        "name": "pets",
        "data": {
            "format": "coco",
            "images": str(real_data / "pets/images"),
            "annotations": str(real_data / "pets/species_body.json"),
            "class_map": str(real_data / "pets/species_to_imagenet_index.json"),
        },
        "models": [
            {
                "name": "mobilenet_v2",
                "path": str(real_data / "models/mobilenet_v2_1.0_224_imagenet.keras"),
                "labels": str(real_data / "models/imagenet_labels.txt"),
                "preprocess": {"resize": "stretch", "scale": [-1, 1]},
            }
        ],
        "slices": ["breed"],
        "output": str(tmp_path / "audits"),
    }
    (tmp_path / "pets.yaml").write_text(yaml.safe_dump(config))
    subprocess.run(
        [sys.executable, "-m", "pipeline", "run", str(tmp_path / "pets.yaml")], cwd=ROOT, check=True
    )
    (report,) = tmp_path.glob("audits/runs/*/report.html")

    check(browser, report, "pets", "")
