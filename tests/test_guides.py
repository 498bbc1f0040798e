"""The pages for people: links that lead somewhere, and commands that the command line knows."""

import re
import shlex
from pathlib import Path

import pytest

from pipeline.cli import _parser

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page
    for folder in (".", "docs", "deploy", "configs", "benchmarks", "benchmarks/planted")
    for page in (ROOT / folder).glob("*.md")
)
# Flags of Beam's runners, which our parser hands on.
_OF_BEAM = re.compile(r"--\w+_\w+|--(runner|project|region|parallelism|experiments)")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(page: Path) -> list[list[str]]:
    """The words of every `gradcam-audit` line in the blocks of a page, without what a shell does with it."""
    blocks = re.findall(r"```\w*\n(.*?)```", page.read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    found = [match[1] for line in lines if (match := re.match(r"(?:\$ )?gradcam-audit (.*)", line))]
    return [shlex.split(line, comments=True) for line in found]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL))
    lost = []
    for link in links:
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not re.match(r"https?:", link) and not (
            target.exists() and (not anchor or anchor in anchors(target))
        ):
            lost.append(link)

    assert [] == lost


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_is_one_that_can_be_given(page: Path) -> None:
    for words in commands(page):
        _, rest = _parser().parse_known_args([word for word in words if word != "..."])

        assert [] == [word for word in rest if not _OF_BEAM.match(word)], words


def test_the_commands_of_the_pages_are_seen() -> None:
    assert ["inspect", "demo-audit/models/biased.keras"] in commands(ROOT / "docs/ml-engineer.md")
    assert {"run", "gate", "report", "compare", "history", "card", "overlay", "inspect"} <= {
        words[0] for page in PAGES for words in commands(page)
    }
