"""A zlib stream as a file; the standard library has one for gzip only."""

import zlib
from typing import BinaryIO

_CHUNK = 2**16


class Inflated:
    """Reads the content of a zlib file, of which no more is unpacked than is asked for."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._stream = zlib.decompressobj()

    def read(self, count: int) -> bytes:
        """The next `count` bytes, or fewer where the stream ends.

        Raises:
            zlib.error: the stream is broken.
            EOFError: the file ends before the stream does.
        """
        parts, missing = [], count
        while missing and not self._stream.eof:
            packed = self._stream.unconsumed_tail or self._file.read(_CHUNK)
            part = self._stream.decompress(packed, missing)
            if not packed and not part:
                raise EOFError("the compressed stream has no end")
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def seek(self, position: int) -> None:
        """Goes back to the beginning, which is the only place one can go to."""
        if position:
            raise ValueError("a zlib stream can be read from its beginning only")
        self._file.seek(0)
        self._stream = zlib.decompressobj()
