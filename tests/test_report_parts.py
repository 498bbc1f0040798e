"""The pictures and the words that the report is made of."""

import base64
import io
from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
import PIL.Image
import pydantic
import pytest

from transforms.write.report.pictures import COLORMAPS, channel_tables, density, grey_url, heat_url
from transforms.write.report.queries import quoted
from transforms.write.report.words import headline, number, verdict_sentence, where_sentence
from transforms.write.settings import ReportSettings


@pytest.mark.parametrize("name", COLORMAPS)
def test_colours_are_those_of_matplotlib(name: str) -> None:
    """A filter is linear between its steps."""
    tables = [[float(value) for value in table.split()] for table in channel_tables(name)]
    at = np.linspace(0, 1, 101)
    drawn = np.stack([np.interp(at, np.linspace(0, 1, len(table)), table) for table in tables], axis=1)

    np.testing.assert_allclose(drawn, matplotlib.colormaps[name](at)[:, :3], atol=0.05)


def pixels_of(url: str) -> Any:

    return np.asarray(
        PIL.Image.open(io.BytesIO(base64.b64decode(url.removeprefix("data:image/png;base64,"))))
    )


def test_a_heatmap_is_upsampled_and_scaled_by_its_own_maximum() -> None:
    found = pixels_of(heat_url([0.0, 4.0, 0.0, 0.0], 2, 2))

    assert (56, 56) == found.shape
    assert (255, 0, 0) == (found[0, -1], found[0, 0], found[-1, 0])
    assert 0 == pixels_of(heat_url([float("nan"), 0.0], 1, 2)).max()
    assert (60, 56) == pixels_of(heat_url([1.0] * 180, 60, 3)).shape


def test_an_atlas_is_heat_over_area() -> None:
    found = density([0.1, 0.0, 0.2, 0.1], [0.25, 0.0, 0.2, 0.05])

    assert found is not None
    np.testing.assert_allclose([[1.6, 0.0], [4.0, 8.0]], found)
    assert [[51, 0], [128, 255]] == pixels_of(grey_url(found, 8.0)).tolist()
    assert None is density(None, None)


ROW: Mapping[str, Any] = {
    "verdict": "suspect",
    "density_share": 0.31,
    "peers_median": 0.8,
    "swap_gap": None,
    "swap_gap_lower": None,
    "region": None,
    "region_share": None,
    "co_occurring_class": None,
}


def test_a_suspect_is_headed_by_its_density_share_and_a_convict_by_its_gap() -> None:
    convicted = {**ROW, "verdict": "hidden", "swap_gap": 0.4, "swap_gap_lower": 0.25}

    assert {
        "value": "0.31",
        "bound": "at most 0.36",
        "meaning": "density share, 0.5 is chance; other classes 0.80",
    } == headline(ROW, {"density_share_upper": 0.36})
    assert {"value": "0.31", "bound": "", "meaning": "density share, 0.5 is chance"} == headline(
        {**ROW, "peers_median": None}, None
    )
    assert {
        "value": "0.40",
        "bound": "at least 0.25",
        "meaning": "change of probability by another background",
    } == headline(convicted, None)


@pytest.mark.parametrize(
    ("region", "company", "expected"),
    [
        (None, None, ""),
        ("bottom_left", None, "Looks at the bottom left corner: 66\u00a0% of the outside heat."),
        ("above_box", None, "Looks at what is above its box: 66\u00a0% of the outside heat."),
        (
            "halo",
            None,
            "Its outside heat is the halo of the box (66\u00a0% of the outside heat): "
            "resolution rather than bias.",
        ),
        (
            "far_from_box",
            "rider",
            "66\u00a0% of the outside heat lies far from its box, at no one place. "
            "Looks at rider, annotated in the same images.",
        ),
    ],
)
def test_where_in_words(region: str | None, company: str | None, expected: str) -> None:
    row = {**ROW, "region": region, "region_share": region and 0.66, "co_occurring_class": company}

    assert expected == where_sentence(row)


@pytest.mark.parametrize(
    ("verdict", "classes", "expected"),
    [
        (
            "confirmed",
            ["confirmed", "hidden", "clear"],
            "depends on what is behind the object in 2 of 3 classes: c0, c1.",
        ),
        ("confirmed", ["clear"], "depends on what is behind the object, over all its classes together."),
        (
            "hidden",
            ["hidden"] * 7,
            "depends on what is behind the object in 7 of 7 classes: c0, c1, c2, c3, c4 and 2 more.",
        ),
        (
            "suspect",
            ["suspect"],
            "looks beside the object in 1 of 1 class: c0; that it depends on what is there has not "
            "been shown.",
        ),
        (
            "clear",
            ["clear", "clear"],
            "is clear: another background changes a probability by at most 0.1 on average.",
        ),
        ("clear", ["clear", "suspect"], "is clear as a whole, but c1 of 2 classes is flagged."),
        (
            "unsuspected",
            ["unsuspected"],
            "looks at its 1 class alike; nothing was tested on other backgrounds.",
        ),
        ("insufficient", ["insufficient"], "could not be judged: why."),
    ],
)
def test_the_verdict_on_a_model_is_one_sentence(verdict: str, classes: list[str], expected: str) -> None:
    rows = [{"group_name": f"c{index}", "verdict": word} for index, word in enumerate(classes)]

    assert expected == verdict_sentence(verdict, rows, 0.1, "why")


def test_numbers_and_sql_strings() -> None:
    assert ["–", "0.12", "−0.50", "0.00", "3"] == [
        *(number(value) for value in (None, 0.125 - 1e-9, -0.5, -0.001)),
        number(3.0, 0),
    ]
    assert "'it''s'" == quoted("it's")


def test_settings_of_a_report_are_bounded() -> None:
    with pytest.raises(pydantic.ValidationError):
        ReportSettings(exemplars=9)
    assert {"exemplars": 2, "images": True, "colormap": "viridis"} == dict(ReportSettings())
