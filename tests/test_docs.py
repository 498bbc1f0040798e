"""What the documents say is what the code does."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from pipeline import __version__
from pipeline.cli import main
from transforms.geometry import View
from transforms.judge.company import MIN_TOGETHER
from transforms.judge.data.associations import MIN_EFFECT, MOST_PAIRS
from transforms.judge.data.contingency import MAX_VALUES
from transforms.judge.heat import PLACES
from transforms.judge.places import MIN_EXCESS, MIN_FIXED, MIN_ODDS_RATIO, MIN_SIGMAS
from transforms.judge.statistics import STATUSES
from transforms.labels import AssociatedPair, Association
from transforms.measure.localization import lay_out, measure
from transforms.regions import REGIONS
from transforms.write.schemas import TABLES

ROOT = Path(__file__).parents[1]
METRICS = (ROOT / "docs/metrics.md").read_text()
WHERE = (ROOT / "docs/where.md").read_text()
DATA = (ROOT / "docs/data.md").read_text()


def section(title: str) -> str:
    return METRICS.split(f"\n{title}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("table", TABLES)
def test_every_column_is_described_in_order(table: str) -> None:
    rows = re.findall(r"^\| (`[a-z0-9_`, ]+) \|", section(f"## `{table}`"), re.MULTILINE)
    described = [name.strip("`") for row in rows for name in row.split(", ")]

    assert set(TABLES[table].names) == set(described)
    assert len(described) == len(set(described))


def test_regions_and_statuses_are_listed_as_they_are() -> None:
    regions = re.findall(r"^\| (\d) \| `(\w+)` \| ([\d.]+) \|", METRICS, re.MULTILINE)
    uniform = measure(np.ones((3, 3)), lay_out(VIEW, [(0, 0, 4, 8)])).energy_by_region

    assert [(str(i), region) for i, region in enumerate(REGIONS)] == [(i, name) for i, name, _ in regions]
    np.testing.assert_allclose(uniform, [float(area) for *_, area in regions], atol=1e-12)
    assert set(STATUSES) == set(re.findall(r"^\| `(\w+)` \|", section("### Status"), re.MULTILINE))


def test_places_and_what_names_them_are_as_they_are() -> None:
    rows = re.findall(
        r"^\| ((?:`\w+` ?)+) \|", WHERE.split("\n## Places\n")[1].split("\n## ")[0], re.MULTILINE
    )
    listed = [name for row in rows for name in re.findall(r"`(\w+)`", row) if name != "region"]
    thresholds = (
        f"by {MIN_EXCESS}, by an odds ratio of {MIN_ODDS_RATIO} and by {MIN_SIGMAS:.0f} standard errors"
    )

    assert [*PLACES, "halo"] == listed
    assert thresholds in " ".join(WHERE.split())
    assert f"no fixed place has {MIN_FIXED} of its evidence" in " ".join(WHERE.split())
    assert f"at least {MIN_TOGETHER} of the class's images" in " ".join(WHERE.split())


def test_every_key_of_an_association_is_described() -> None:
    for title, kind in (("| key | meaning |", Association), ("| key of a pair | meaning |", AssociatedPair)):
        rows = re.findall(r"^\| (`[a-z_`, ]+) \|", DATA.split(title)[1].split("\n\n")[0], re.MULTILINE)
        described = [name.strip("`") for row in rows for name in row.split(", ")]
        assert [field.name for field in dataclasses.fields(kind)] == described


def test_the_limits_of_an_association_are_as_they_are() -> None:
    assert f"null where there are more than {MAX_VALUES}" in DATA
    assert f"a surviving pair with a `phi`, of {MIN_EFFECT} or more" in DATA
    assert f"at most {MOST_PAIRS} " in DATA


VIEW = View(8, 8, (0, 0, 8, 8), (0, 0, 8, 8))


@pytest.mark.parametrize(
    ("box", "energy", "share"),
    [((0, 0, 4, 8), 0.6875, 0.6875), ((0, 0, 4, 4), 0.578125, 0.8043)],
)
def test_the_worked_values(box: tuple[int, int, int, int], energy: float, share: float) -> None:
    found = measure(np.array([[3.0, 0.0], [0.0, 1.0]]), lay_out(VIEW, [box]))

    assert energy == found.energy_in_box
    assert share == round(found.density_share, 4)
    assert f"{energy}" in section("## What is measured")
    assert f"| {share} |" in section("## What is measured")


def test_the_changelog_begins_with_this_version() -> None:
    versions = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert ["Unreleased", __version__] == versions[:2]


@pytest.mark.parametrize(
    ("command", "page"),
    [("gate", "gate"), ("compare", "compare"), ("history", "compare"), ("card", "compare")],
)
def test_every_flag_of_the_commands_on_runs_is_described(
    command: str, page: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    flags = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}

    assert flags <= set(re.findall(r"--[a-z-]+", (ROOT / f"docs/{page}.md").read_text()))
