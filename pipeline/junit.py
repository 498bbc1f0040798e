"""The gate's answer as JUnit XML, which CI dashboards draw."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.gate import NO_RUN, Answer, Ruling

# What XML 1.0 cannot hold, even escaped.
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_junit(answer: Answer) -> str:
    """An XML document with one suite for each model and one case for each of its findings.

    A finding that fails the gate is a failure; a model without a verdict, what is required and has none, and
    a run that is not there are errors; what is waived or insufficient is skipped.
    """
    document = ElementTree.Element("testsuites", name="gradcam-audit gate")
    run = answer.run_id or "no run"
    if answer.status == NO_RUN:
        _suite(document, run, [_case(run, "run", "error", answer.line)])
    for model in dict.fromkeys(ruling.finding["model"] for ruling in answer.rulings):
        rulings = [ruling for ruling in answer.rulings if ruling.finding["model"] == model]
        _suite(document, f"{run}:{model}", [_of_ruling(ruling) for ruling in rulings])
    if answer.missing:
        _suite(
            document,
            f"{run}: judge.required",
            [_case("required", line, "error", line) for line in answer.missing],
        )
    ElementTree.indent(document)
    text: bytes = ElementTree.tostring(document, encoding="utf-8", xml_declaration=True)
    return text.decode() + "\n"


def _of_ruling(ruling: Ruling) -> ElementTree.Element:
    row = ruling.finding
    tag = {
        "pass": None,
        "fail": "failure",
        "waived": "skipped",
        "open": "error" if row["group_kind"] == "model" else "skipped",
    }[ruling.outcome]
    return _case(f"{row['model']}.{row['group_kind']}", row["group_name"], tag, ruling.why, row)


def _case(
    group: str, name: str, tag: str | None, why: str, finding: Mapping[str, Any] | None = None
) -> ElementTree.Element:
    case = ElementTree.Element("testcase", classname=_legal(group), name=_legal(name), time="0")
    if tag is not None:
        said = ElementTree.SubElement(case, tag, message=_legal(why))
        if finding is not None:
            said.set("type", finding["verdict"])
    return case


def _suite(document: ElementTree.Element, name: str, cases: Sequence[ElementTree.Element]) -> None:
    suite = ElementTree.SubElement(document, "testsuite", name=_legal(name), tests=str(len(cases)), time="0")
    for count, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(count, str(sum(case.find(tag) is not None for case in cases)))
    suite.extend(cases)


def _legal(text: str) -> str:
    return _ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", text)
