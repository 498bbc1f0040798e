"""Files of kept outcomes: whole or none.

A file is the digest of the rest, then each outcome as its length and its bytes. A worker that dies leaves at
most a file that was cut off; it does not match its digest, and what it held is explained again.
"""

import hashlib
from collections.abc import Iterable, Iterator

import numpy as np

_DIGEST, _LENGTH = 32, 4
# What tells an example of a file of data: its position there, and its digest.
_PLACE = np.dtype([("position", "<i8"), ("digest", "V16")])


def pack(outcomes: Iterable[bytes]) -> bytes:
    """The content of a file of these encoded outcomes."""
    body = b"".join(len(outcome).to_bytes(_LENGTH, "little") + outcome for outcome in outcomes)
    return hashlib.blake2b(body, digest_size=_DIGEST).digest() + body


def name_of(content: bytes) -> str:
    """The name of a file: of its content, so that a bundle that is tried again writes the same file again."""
    return f"{content[:_DIGEST].hex()}.kept"


def unpack(content: bytes) -> Iterator[bytes]:
    """The encoded outcomes of a file; none of a file that was cut off."""
    digest, body = content[:_DIGEST], content[_DIGEST:]
    if hashlib.blake2b(body, digest_size=_DIGEST).digest() != digest:
        return
    start = 0
    while start < len(body):
        end = start + _LENGTH + int.from_bytes(body[start : start + _LENGTH], "little")
        yield body[start + _LENGTH : end]
        start = end


def index_of(places: Iterable[tuple[int, bytes]]) -> bytes:
    """Positions and digests of one file of data, 24 bytes each, sorted."""
    return np.array(sorted(set(places)), _PLACE).tobytes()


def holds(index: bytes, position: int, digest: bytes) -> bool:
    """Whether an index has the example at a position, unchanged."""
    places = np.frombuffer(index, _PLACE)
    first, end = np.searchsorted(places["position"], [position, position + 1])
    return any(place.tobytes() == digest for place in places["digest"][first:end])
