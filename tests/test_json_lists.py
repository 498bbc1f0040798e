"""The streaming reader against the whole one: the same elements, the same refusals."""

import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.read import json_lists
from transforms.read.json_lists import JsonLists

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(st.text(max_size=4), st.lists(VALUES, max_size=5) | VALUES, max_size=4)


class Trickle(io.BytesIO):
    """A file that gives one to three bytes at a time after the first four, whatever it is asked for."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(1 + self.tell() % 3 if self.tell() else size)


def streamed(data: bytes) -> tuple[set[str], list[tuple[str, Any]]]:
    document = JsonLists(Trickle(data))
    return document.lists, list(document)


def whole(pairs: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return [(key, one) for key, value in pairs if isinstance(value, list) for one in value]


def pairs_of(text: str) -> list[tuple[str, Any]]:
    """What stands right below the root, of a key that stands twice both; the root comes last."""
    last: list[tuple[str, Any]] = []

    def keep(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        last[:] = pairs
        return dict(pairs)

    json.loads(text, object_pairs_hook=keep)
    return last


@given(
    DOCUMENTS,
    st.sampled_from([None, 1, "\t"]),
    st.booleans(),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_the_elements_are_those_of_json_load(
    document: dict[str, Any], indent: Any, ascii_only: bool, encoding: str
) -> None:
    data = json.dumps(document, indent=indent, ensure_ascii=ascii_only).encode(encoding, "surrogatepass")
    lists, found = streamed(data)

    assert whole(document.items()) == found
    assert {key for key, value in document.items() if isinstance(value, list)} == lists


@given(DOCUMENTS, st.data())
def test_what_json_load_refuses_is_refused(document: dict[str, Any], data: st.DataObject) -> None:
    text = json.dumps(document)
    at = data.draw(st.integers(0, len(text) - 1))
    broken = text[:at] + data.draw(st.sampled_from(["", "{", "]", ",", '"', "x"])) + text[at + 1 :]
    try:
        expected = pairs_of(broken)
    except ValueError:
        with pytest.raises(ValueError, match="at character"):
            streamed(broken.encode())
    else:
        assert whole(expected) == streamed(broken.encode())[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": [1, 2', "Expecting ',' at character 11"),
        ('{"a": [1 2]}', "Expecting ',' at character 9"),
        ('{"a": [1,]}', "Expecting value at character 9"),
        ('{"a" [1]}', "Expecting ':' at character 5"),
        ("{1: [1]}", "Expecting a property name at character 2"),
        ('{"a": []} x', "Expecting nothing more at character 10"),
        ("[1]", "Expecting an object at character 0"),
    ],
)
def test_it_says_what_it_expects_and_where(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        streamed(text.encode())

    assert message == str(caught.value)


def test_an_element_has_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lists, "_MAX_ELEMENT_CHARACTERS", 100)
    with pytest.raises(ValueError, match="An element of more than 100 characters at character 7"):
        streamed(b'{"a": [' + b"1" * 5000)


@pytest.mark.parametrize("elements", [[], [10], [{"id": 7}, {"id": 8}]])
def test_one_element_is_in_memory_at_a_time(elements: Sequence[Any]) -> None:
    found = iter(JsonLists(io.BytesIO(json.dumps({"a": elements}).encode() + b"?")))

    assert [("a", one) for one in elements] == [next(found) for _ in elements]
