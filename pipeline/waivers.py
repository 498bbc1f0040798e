"""Waivers: known findings that pass the gate until a day, with the name of whoever answers for it."""

import dataclasses
import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import pydantic
import yaml
from apache_beam.io.filesystems import FileSystems

from pipeline.config import StrictLoader, yaml_problem
from transforms.errors import UsageError, did_you_mean
from transforms.settings import Settings


class _TextLoader(StrictLoader):
    """Reads every scalar as text: an id that is all digits is no number."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  (PyYAML declares it so)


class Waiver(Settings):
    """One known finding.

    Attributes:
        finding_id: as in the table `findings`.
        who: answers for it.
        until: the last day, in UTC, on which it counts.
        why: the reason.
    """

    finding_id: Annotated[str, pydantic.StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    who: Annotated[str, pydantic.StringConstraints(strip_whitespace=True, min_length=1)]
    until: Annotated[datetime.date, pydantic.BeforeValidator(datetime.date.fromisoformat)]
    why: Annotated[str, pydantic.StringConstraints(strip_whitespace=True, min_length=1)]


_NEEDED = {
    "finding_id": "16 hexadecimal digits, from the table findings or from gate --json, are needed",
    "who": "a name is needed",
    "until": "a day such as 2026-12-31 is needed",
    "why": "a reason is needed",
}


@dataclasses.dataclass(frozen=True)
class Waivers:
    """The waivers that count today, and what is to be said of the others.

    Attributes:
        valid: finding id -> its waiver.
        notes: one line for each that has expired, names no finding of the run, or is not needed.
    """

    valid: Mapping[str, Waiver]
    notes: Sequence[str]


def load_waivers(path: str) -> list[Waiver]:
    """Reads a waiver file, from any of Beam's filesystems.

    Raises:
        UsageError: it cannot be read, or an entry is not as it should be; every problem is named.
    """
    try:
        with FileSystems.open(path) as file:
            document = yaml.load(file.read().decode(), Loader=_TextLoader)
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not valid YAML: {yaml_problem(error)}") from error
    except Exception as error:  # each store has its own
        raise UsageError(f"waiver file {path!r} cannot be read: {error}") from error
    if not isinstance(document or [], list):
        raise UsageError(f"{path} holds no list; a waiver is `- finding_id: ...` with {_keys()}")
    return parse_waivers(document or [], path)


def parse_waivers(entries: Sequence[Any], where: str) -> list[Waiver]:
    """Waivers of a list of mappings, as a file or a manifest has them.

    Args:
        entries: one mapping for each.
        where: what the entries come from, for errors.
    """
    problems, waivers = [], []
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict):
            problems.append(f"waiver {number} is {entry!r}; a mapping with {_keys()} is needed")
            continue
        try:
            waivers.append(Waiver.model_validate(entry))
        except pydantic.ValidationError as error:
            problems += [f"waiver {number}{_problem(found)}" for found in error.errors()]
    ids = [waiver.finding_id for waiver in waivers]
    problems += [f"finding {twice} has two waivers" for twice in dict.fromkeys(ids) if ids.count(twice) > 1]
    if problems:
        raise UsageError("\n".join(f"{where}: {problem}" for problem in problems))
    return waivers


def sort_waivers(
    waivers: Iterable[Waiver], verdicts: Mapping[str, str], failing: Sequence[str], today: datetime.date
) -> Waivers:
    """Tells waivers that count from those that do not.

    Args:
        waivers: all of them.
        verdicts: finding id -> verdict, of every finding of the run.
        failing: verdicts that fail the gate.
        today: in UTC.
    """
    valid, notes = {}, []
    for waiver in waivers:
        said = f"waiver of {waiver.finding_id} by {waiver.who}"
        verdict = verdicts.get(waiver.finding_id)
        if verdict is None:
            notes.append(f"{said}: the run has no such finding")
        elif waiver.until < today:
            notes.append(f"{said}: expired on {waiver.until}")
        elif verdict not in failing:
            notes.append(f"{said}: not needed, the verdict is {verdict}")
        else:
            valid[waiver.finding_id] = waiver
    return Waivers(valid, notes)


def _problem(error: Any) -> str:
    key = str(error["loc"][0])
    if error["type"] == "missing":
        return f" has no {key!r}; keys: {_keys()}"
    if error["type"] == "extra_forbidden":
        return f": unknown key {key!r}{did_you_mean(key, Waiver.model_fields)}; keys: {_keys()}"
    return f": {key} is {error['input']!r}: {_NEEDED[key]}"


def _keys() -> str:
    return ", ".join(Waiver.model_fields)
