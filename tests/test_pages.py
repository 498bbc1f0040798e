"""Pages and cards: what they say, that names are text in them, and that they ask nothing of a network."""

import html.parser
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import main
from transforms.write.card import escape
from transforms.write.pages import comparison_page, history_page

from .past_runs import make_finding, write_run

Capture = pytest.CaptureFixture[str]
EVIL = "<script>alert(1)</script>"


class Page(html.parser.HTMLParser):
    """The tags of a page, the rows of its tables as text, and whatever a browser would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "input"):
            self.open.append(tag)
        self.fetched += [str(value) for name, value in attrs if name in ("src", "href", "srcset", "action")]
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.open.pop()

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] = " ".join(f"{self.rows[-1][-1]} {data}".split())


def make_change(**fields: Any) -> dict[str, Any]:
    return {
        "measure": "density_share",
        "group_kind": "class",
        "group_name": "pill",
        "verdict": "worse",
        "n": 40,
        "only_baseline": 0,
        "only_candidate": 0,
        "baseline": 0.9,
        "candidate": 0.5,
        "change": -0.4,
        "lower": -0.5,
        "upper": -0.25,
        "without_donor": None,
        **fields,
    }


def comparison(*changes: Mapping[str, Any], **fields: Any) -> str:
    model = make_change(group_kind="model", group_name="new", verdict="same", only_candidate=3)
    return comparison_page(
        {
            "baseline": "r1:old",
            "candidate": "r2:new",
            "method": "hirescam",
            "margin": 0.1,
            "headline": "r2:new is worse than r1:old",
            "reason": "pill",
            "differences": [],
            "changes": [model, *changes],
            **fields,
        }
    )


def test_a_comparison_shows_the_model_and_then_what_changed_most() -> None:
    nothing = dict.fromkeys(("baseline", "candidate", "change", "lower", "upper"))
    page = Page(
        comparison(
            make_change(group_name="ring", verdict="same", change=0.0),
            make_change(group_name="moon", verdict="inconclusive", n=0, **nothing),
            make_change(group_name="pill, tag=yes", group_kind="slice", change=-0.9),
            make_change(group_name="star", change=-0.3),
            make_change(without_donor="tile"),
        )
    )

    assert ["the model", "pill (without backgrounds of tile)", "star", "pill, tag=yes", "moon", "ring"] == [
        row[0] for row in page.rows[1:]
    ]
    assert ["worse", "40", "0.90", "0.50", "-0.40", "-0.50 to -0.25"] == page.rows[2][1:]
    assert ["inconclusive", "0", "-", "-", "-", "-"] == page.rows[5][1:]


def test_a_bar_stands_where_its_bounds_are() -> None:
    """On 200 pixels from -1 to 1."""
    text = comparison(make_change())

    assert '<rect x="90.0" y="2" width="20.0"' in text
    assert 'd="M50.0 10H75.0"' in text
    assert '<circle cx="60.0" cy="10"' in text


def test_what_was_not_alike_stands_in_the_page() -> None:
    assert "<li>map size 4x4 against 7x7</li>" in comparison(differences=["map size 4x4 against 7x7"])
    assert "Not alike" not in comparison()


def run(day: int, *findings: Any, failure: str | None = None) -> dict[str, Any]:
    rows = [vars(finding) for finding in findings]
    return {
        "run_id": f"r{day}",
        "day": f"2026-01-0{day}",
        "name": "test",
        "failure": failure,
        "findings": rows,
    }


def test_a_history_has_a_row_for_each_class_of_any_run_and_the_flagged_come_first() -> None:
    whole = make_finding(kind="model", name="m")
    text = history_page(
        "audits",
        [
            run(1, whole, make_finding(name="ring"), make_finding(name="gone")),
            run(2, failure="run r2 is not complete: no record was read"),
            run(3, whole, make_finding(name="ring"), make_finding(verdict="confirmed", swap_gap=0.5)),
        ],
    )
    page = Page(text)

    assert [
        ["the model", "clear", "0.75", "", "-", "", "c c"],
        ["pill", "confirmed", "0.75", "", "0.50", "", "\N{MIDDLE DOT} C"],
        ["ring", "clear", "0.75", "", "-", "", "c c"],
        ["gone", "-", "-", "", "-", "", "c \N{MIDDLE DOT}"],
    ] == page.rows[1:]
    assert "3 runs, 2026-01-01 to 2026-01-03" in text
    assert "<li>r2, 2026-01-02: run r2 is not complete: no record was read</li>" in text


def test_a_line_goes_through_the_values_and_breaks_where_there_is_none() -> None:
    """On 160 x 32 pixels with edges of 3 and 2: 0 lies at 30, 1 at 2."""
    shares = [0.0, 1.0, None, 0.5]
    text = history_page("audits", [run(i + 1, make_finding(density_share=s)) for i, s in enumerate(shares)])

    assert 'd="M3.0 30.0L54.3 2.0M157.0 16.0"' in text
    assert 'aria-label="density share: 0.00, 1.00, none, 0.50"' in text
    assert ['cx="157.0" cy="16.0"'] == re.findall(r'cx="[\d.]+" cy="[\d.]+"', text)


def test_the_history_of_an_output_directory(tmp_path: Path, capsys: Capture) -> None:
    for night in range(1, 5):
        write_run(tmp_path, f"n{night}", f"2026-01-0{night}", findings=[make_finding()], finished=night != 3)
    page = tmp_path / "history.html"

    assert 0 == main(["history", str(tmp_path), "--last", "3", "--html", str(page)])
    assert f"{page}: 3 runs\n" == capsys.readouterr().out
    text = page.read_text()
    assert "3 runs, 2026-01-02 to 2026-01-04" in text
    assert "run n3 was started and has no manifest: it failed or still runs" in text
    assert ["the model", "pill"] == [row[0] for row in Page(text).rows[1:]]


def test_a_history_needs_a_complete_run(tmp_path: Path, capsys: Capture) -> None:
    write_run(tmp_path, finished=False)

    assert 3 == main(["history", str(tmp_path), "--html", str(tmp_path / "h.html")])
    assert f"error: no complete run below {tmp_path}\n" == capsys.readouterr().err
    assert not (tmp_path / "h.html").exists()


def test_names_are_text_and_nothing_is_fetched() -> None:
    pages = [
        comparison(make_change(group_name=EVIL, without_donor=EVIL), reason=EVIL, differences=[EVIL]),
        history_page(EVIL, [run(1, make_finding(model=EVIL, name=f'"{EVIL}')), run(2, failure=EVIL), run(3)]),
    ]
    for text in pages:
        page = Page(text)
        assert 1 == page.tags.count("script")
        assert EVIL not in text
        assert any(EVIL in cell for row in page.rows for cell in row)
        assert [] == page.fetched
        assert [] == page.open
        assert "url(" not in text


def card(capsys: Capture, output: Path, *flags: str) -> str:
    assert 0 == main(["card", str(output), *flags])
    return capsys.readouterr().out


SAID = {
    "run_date": "2026-01-01",
    "tool": {"name": "gradcam-audit", "version": "9.9"},
    "records": 1200,
    "dead_letters": {"missing_image": 2},
    "unmapped": {"m": {"moon": 3}},
    "data": {
        "listing_sha256": "abc",
        "associations": [{"associated": True, "message": "tag=yes in 96 % of pill"}, {"associated": None}],
    },
}


def test_a_card_has_the_sections_of_its_paper(tmp_path: Path, capsys: Capture) -> None:
    rows = [
        make_finding(verdict="confirmed", swap_gap=0.5, swap_gap_lower=0.4, swap_gap_upper=0.6),
        make_finding(name="star", verdict="insufficient"),
        make_finding(kind="slice", name="pill, tag=yes", verdict="unsuspected"),
        make_finding(kind="slice", name="star, tag=yes", verdict="insufficient"),
    ]
    judge = {"epsilon": 0.1}
    write_run(tmp_path, "r1", models={"m": "confirmed"}, findings=rows, judge=judge, **SAID)
    write_run(tmp_path, "r2", "2026-01-02", finished=False)

    assert """# m

## Quantitative Analyses

Audit test, run r1 of 2026-01-01 by gradcam-audit 9.9: 1,200 images. Density share: how dense the heat \
of hirescam is inside the annotated boxes against outside; 0.5 is chance, 1 is all inside. Swap gap: by how \
much another background lowers the probability of the class, with bounds that each hold with 95 %.

### Unitary results

| | images | accuracy | density share | swap gap | verdict |
|---|---:|---:|---:|---:|---|
| **all classes** | 40 | - | 0.75 | - | confirmed |
| pill | 40 | - | 0.75 | 0.50 [0.40, 0.60] | confirmed |
| star | 40 | - | 0.75 | - | insufficient |

### Intersectional results

| | images | accuracy | density share | swap gap | verdict |
|---|---:|---:|---:|---:|---|
| pill, tag=yes | 40 | - | 0.75 | - | unsuspected |

## Caveats and Recommendations

- **pill** is confirmed: it is confirmed. Recommended: vary the context in the training data or take the cue \
away, or declare it accepted context.
- Undecided, for want of images or of certainty: star.
- The data give the class away: tag=yes in 96 % of pill.
- Not measured: 2 missing\\_image.
- Annotated, but no class of the model: moon.
- A change of 0.1 of the probability by another background was tolerated; the expected share of false \
convictions among the convicted classes is at most 0.1.
- Heat outside the box is reliance on context, which can be legitimate; a shortcut inside the box is not \
seen. The figures hold for data like those that were audited.
""" == card(capsys, tmp_path)


def test_a_card_of_one_model_without_flags(tmp_path: Path, capsys: Capture) -> None:
    models = {"m": "unsuspected", "n": "unsuspected"}
    write_run(tmp_path, models=models, judge={"confirm": False}, **SAID)

    found = card(capsys, tmp_path, "--run-id", "r1:n")
    assert ["# n"] == re.findall("^# .+", found, re.MULTILINE)
    assert "No slice within a class had enough images.\n" in found
    assert "- No class or slice was flagged, which clears only what the tables above call clear.\n" in found
    assert (
        "- Nothing was tested on other backgrounds: a suspect is no conviction, and nothing is clear.\n"
        in found
    )
    assert ["# m", "# n"] == re.findall("^# .+", card(capsys, tmp_path), re.MULTILINE)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("tag=yes, b-c", "tag=yes, b-c"),
        (EVIL, "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("a|b\n# c", r"a\|b \# c"),
        ("*a* _b_ `c` [d](e) \\", r"\*a\* \_b\_ \`c\` \[d\](e) \\"),
    ],
)
def test_names_are_text_in_markdown(text: str, shown: str) -> None:
    assert shown == escape(text)
