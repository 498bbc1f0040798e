"""A JSON object of long lists, read as a stream: one element of one list is in memory at a time."""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

_CHUNK_BYTES = 2**18
# No annotation is near this size; a longer one is a file that is broken or hostile.
_MAX_ELEMENT_CHARACTERS = 2**26
_SPACE = re.compile(r"[ \t\n\r]*")


class JsonLists:
    """Iterates over (key, element) of every list that stands right below the root, in the order of the file.

    Other values right below the root are passed over. What `json.load` checks is checked as it is reached.

    Attributes:
        lists: the keys, so far, whose values are lists.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.lists: set[str] = set()
        start = file.read(4)
        self._file = file
        self._decode = codecs.getincrementaldecoder(json.detect_encoding(start))("surrogatepass").decode
        self._json = json.JSONDecoder()
        self._text = self._decode(start)
        self._at = 0  # in the text that is in memory
        self._passed = 0  # characters that no longer are
        self._ended = False

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """Yields (key, element).

        Raises:
            ValueError: the file is not JSON, or no object.
            RecursionError: an element is nested too deeply.
        """
        if self._next_character() != "{":
            # What it is instead may be as long as the file.
            raise ValueError(f"Expecting an object at character {self._passed + self._at}")
        for _ in self._separated("}"):
            key = self._value()
            if not isinstance(key, str):
                raise self._error("Expecting a property name")
            self._expect(":")
            if self._next_character() != "[":
                self._value()
                continue
            self.lists.add(key)
            for _ in self._separated("]"):
                yield key, self._value()
        if self._next_character():
            raise self._error("Expecting nothing more")

    def _separated(self, end: str) -> Iterator[None]:
        """Stops once at each part of an object or list at whose first character we stand."""
        self._at += 1
        if self._next_character() == end:
            self._at += 1
            return
        while True:
            yield
            if self._next_character() == end:
                self._at += 1
                return
            self._expect(",")

    def _value(self) -> Any:
        """The JSON value at the next character."""
        self._next_character()
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if self._ended:
                    raise ValueError(f"{error.msg} at character {self._passed + error.pos}") from error
            else:
                # A number at the end of the text, such as the 1 of 1e+5, may go on in the next chunk.
                if end + len("e+5") <= len(self._text) or self._ended:
                    self._at = end
                    return value
            self._read_more()

    def _next_character(self) -> str:
        """The first character from here on that is no white space; empty at the end of the file."""
        while True:
            match = _SPACE.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text) or self._ended:
                return self._text[self._at : self._at + 1]
            self._read_more()

    def _expect(self, character: str) -> None:
        if self._next_character() != character:
            raise self._error(f"Expecting {character!r}")
        self._at += 1

    def _read_more(self) -> None:
        """Forgets what is behind and doubles what is ahead, so that a long element is not tried too often."""
        ahead = self._text[self._at :]
        if len(ahead) > _MAX_ELEMENT_CHARACTERS:
            raise self._error(f"An element of more than {_MAX_ELEMENT_CHARACTERS} characters")
        data = self._file.read(max(_CHUNK_BYTES, len(ahead)))
        self._ended = not data
        self._passed += self._at
        self._text, self._at = ahead + self._decode(data, self._ended), 0

    def _error(self, what: str) -> ValueError:
        return ValueError(f"{what} at character {self._passed + self._at}")
