"""The gate's answer as JUnit XML: what a dashboard counts."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from pipeline.cli import main

from .past_runs import id_of, make_finding, write_run


def junit(output: Path, *flags: str) -> ElementTree.Element:
    path = output / "deep" / "gate.xml"
    main(["gate", str(output), "--junit", str(path), *flags])
    return ElementTree.fromstring(path.read_bytes())


def cases(suite: ElementTree.Element) -> dict[str, tuple[str, str] | None]:
    """Case -> tag and message of what is inside, None for a pass."""
    return {
        f"{case.get('classname')} {case.get('name')}": (case[0].tag, str(case[0].get("message")))
        if len(case)
        else None
        for case in suite
    }


def test_each_model_is_a_suite_and_each_finding_a_case(tmp_path: Path) -> None:
    rows = [
        make_finding(verdict="confirmed"),
        make_finding(name="star", verdict="hidden"),
        make_finding(name="ring"),
        make_finding(name="tile", verdict="insufficient"),
    ]
    write_run(
        tmp_path,
        models={"m": "confirmed", "n": "insufficient"},
        findings=rows,
        judge={"required": ["tile"]},
        waivers=[
            {"finding_id": id_of("m", "class", "star"), "who": "Ann", "until": "2100-01-31", "why": "known"}
        ],
    )
    m, n, required = junit(tmp_path)

    assert ("r1:m", "5", "2", "0", "2") == tuple(
        m.get(key) for key in ("name", "tests", "failures", "errors", "skipped")
    )
    assert {
        "m.model m": ("failure", "it is confirmed"),
        "m.class pill": ("failure", "it is confirmed"),
        "m.class star": ("skipped", "waived until 2100-01-31 by Ann: known"),
        "m.class ring": None,
        "m.class tile": ("skipped", "it is insufficient"),
    } == cases(m)
    assert {"n.model n": ("error", "it is insufficient")} == cases(n)
    assert ["m: tile is required and insufficient", "n: tile is required and missing"] == [
        case.get("name") for case in required
    ]
    assert ("2", "2") == (required.get("tests"), required.get("errors"))


def test_a_run_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    write_run(tmp_path, finished=False)
    message = "run r1 was started and has no manifest: it failed or still runs"

    (suite,) = junit(tmp_path)
    assert {"r1 run": ("error", message)} == cases(suite)


def test_any_name_makes_legal_xml(tmp_path: Path) -> None:
    name = "<script>alert('&\x00\x1b\ufffe')</script>\N{GRINNING FACE}"
    write_run(tmp_path, findings=[make_finding(name=name)])

    (suite,) = junit(tmp_path)
    shown = name.translate(dict.fromkeys(map(ord, "\x00\x1b\ufffe"), "\ufffd"))
    assert [f"m.class {shown}", "m.model m"] == list(cases(suite))


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path)

    assert 2 == main(["gate", str(tmp_path), "--junit", str(tmp_path)])
    assert capsys.readouterr().err.startswith(f"error: --junit '{tmp_path}' cannot be written: ")
