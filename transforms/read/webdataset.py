"""WebDataset: tar shards, plain or compressed, in which files of the same name but the ending are one sample.

The image is the file with an image's ending; `.json` holds boxes and metadata, `.cls` a class without a
box. Slices are keys of the JSON. The shard is read as a stream, and nothing of it is ever written to a disk.
"""

import json
import posixpath
import tarfile
from collections.abc import Iterator
from typing import Any, BinaryIO, Literal

import pydantic

from transforms.errors import DataError, RecordError
from transforms.read.common import Bad, Source, as_text, clean, image_path
from transforms.read.objects import NestedSettings, annotations_of, first_of
from transforms.read.settings import ImagesWithin
from transforms.records import Example, Slice

_IMAGES = ("jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff", "ppm", "pgm", "jp2", "dcm", "avif")
_MAX_MEMBER_BYTES, _MAX_SAMPLE_BYTES, _MAX_SAMPLE_FILES = 2**33, 2**28, 100
# Headers with content of their own, such as a long name, which is read at once; and sparse files.
_EXTENSIONS, _MAX_EXTENSION_BYTES = (b"L", b"K", b"x", b"g", b"X", b"S"), 2**20


class _Header(tarfile.TarInfo):
    """Raises where the standard library ends in silence, and before it reads a name of gigabytes."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Header":
        """A header from its 512 bytes; 512 zeros are the end."""
        if bytes(buf) == bytes(tarfile.BLOCKSIZE):
            return super().frombuf(buf, encoding, errors)
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            raise OSError(str(error)) from error
        if header.type in _EXTENSIONS and header.size > _MAX_EXTENSION_BYTES:
            raise OSError(f"a header of type {header.type!r} claims {header.size} bytes")
        return header


class WebDatasetSettings(ImagesWithin, NestedSettings):
    """`data` for WebDataset."""

    format: Literal["webdataset"] = pydantic.Field(description="the dataset format")


def read(file: BinaryIO, source: Source, settings: WebDatasetSettings) -> Iterator[Example | Bad]:
    """Reads one shard: an example for each sample.

    Raises:
        DataError: the file is not tar.
    """
    for position, (key, files) in enumerate(_samples(file, source.path)):
        try:
            if isinstance(files, RecordError):
                raise files
            yield _example(key, files, position, source, settings)
        except RecordError as error:
            yield Bad(position, key or None, error)


def _samples(file: BinaryIO, path: str) -> Iterator[tuple[str, dict[str, bytes] | RecordError]]:
    """(key, ending -> content) of each sample; files of a sample stand together, as the format asks."""
    key, files = "", dict[str, bytes]()
    problem: RecordError | None = None
    first = True
    try:
        with tarfile.open(fileobj=file, mode="r|*", tarinfo=_Header) as tar:
            for member in tar:
                tar.members = []  # type: ignore[attr-defined]  # else it keeps them all
                first = False
                if not 0 <= member.size <= _MAX_MEMBER_BYTES:  # skipping a lie would take for ever
                    raise OSError(f"{clean(member.name)!r} claims {member.size} bytes")
                if member.isdir():
                    continue
                name, ending = _split(member.name)
                if name != key and (files or problem):
                    yield key, problem or files
                    files, problem = {}, None
                key = name
                problem = problem or _problem(member, files)
                if problem is None and (content := tar.extractfile(member)) is not None:
                    files[ending] = content.read()
    except Exception as error:  # a hostile archive can make the library raise anything
        if first:
            raise DataError(f"{path!r} is not tar: {error}") from error
        if files or problem:
            yield key, problem or files
        message = f"the tar breaks off ({error}); the rest of the shard is lost"
        yield "", RecordError("corrupt_shard", message)
        return
    if files or problem:
        yield key, problem or files


def _split(name: str) -> tuple[str, str]:
    """`a/b.seg.png` -> `a/b`, `seg.png`: the key ends at the first dot of the file's name."""
    folder, base = posixpath.split(clean(name))
    stem, _, ending = base.partition(".")
    return posixpath.join(folder, stem), ending.lower()


def _problem(member: tarfile.TarInfo, files: dict[str, bytes]) -> RecordError | None:
    name = clean(member.name)
    if posixpath.isabs(name) or ".." in name.split("/"):
        return RecordError("unsafe_path", f"tar member {name!r} leads out of the archive")
    if not member.isreg() or member.issparse():
        return RecordError("unsafe_path", f"tar member {name!r} is a link or no regular file")
    if sum(map(len, files.values())) + member.size > _MAX_SAMPLE_BYTES:
        return RecordError(
            "malformed_record", f"the sample of tar member {name!r} is larger than {_MAX_SAMPLE_BYTES} bytes"
        )
    if len(files) == _MAX_SAMPLE_FILES:
        return RecordError("malformed_record", f"a sample has more than {_MAX_SAMPLE_FILES} files")
    return None


def _example(
    key: str, files: dict[str, bytes], position: int, source: Source, settings: WebDatasetSettings
) -> Example:
    record = _record(files)
    ending = next((ending for ending in _IMAGES if ending in files), None)
    data, stands_at = b"", ""
    named = first_of(record, settings.keys.id)
    if settings.images is not None:
        stands_at = image_path(settings.images, key if named is None else as_text(named))
    elif ending is None:
        raise RecordError("malformed_record", f"no image among the endings {', '.join(sorted(files))}")
    else:
        data = files[ending]
    annotations = annotations_of(record, settings)
    return Example(
        example_id=key if named is None else as_text(named),
        source=source.path,
        position=position,
        shard=source.shard,
        image=data,
        image_path=stands_at,
        boxes=annotations.boxes,
        labels=annotations.labels,
        relative=settings.unit == "shares",
        slices=[Slice(k, as_text(record[k])) for k in source.slices if record.get(k) is not None],
    )


def _record(files: dict[str, bytes]) -> dict[str, Any]:
    """The sample's JSON, and its class where it has a file for it."""
    record: dict[str, Any] = {}
    if "json" in files:
        try:
            document = json.loads(files["json"])
        except (ValueError, RecursionError) as error:
            raise RecordError("malformed_record", f"the sample's .json is not JSON: {error}") from error
        record = document if isinstance(document, dict) else {"objects": document}
    if "cls" in files:
        record.setdefault("cls", files["cls"].decode("utf-8", "replace").strip())
    return record
