"""The data files are listed, opened and read record by record.

Listing happens before the pipeline starts, so that a glob that matches nothing or a file of another
format is an error at once.
"""

import dataclasses
import itertools
import posixpath
import re
from collections.abc import Iterator, Sequence
from typing import Any

from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems

from transforms.errors import DataError, RecordError, RunError
from transforms.read.common import Bad, Source
from transforms.read.formats import FORMATS
from transforms.read.metadata import Metadata, read_metadata
from transforms.read.names import enumerated, parse_names
from transforms.read.settings import DataSettings, ImagesApart, ImagesWithin
from transforms.records import Example, Shard

# Where a file is one record, so many are tried: the first may be the one that is broken.
_SNIFFED_RECORDS = 20


@dataclasses.dataclass(frozen=True)
class Listing:
    """The data files as they stood when the run was planned.

    Attributes:
        shards: what the workers read, in the order of the file names.
        files: (path, size in bytes) of every data or annotation file, sorted.
    """

    shards: list[Shard]
    files: list[tuple[str, int]]


def list_shards(settings: DataSettings) -> Listing:
    """Lists the data files and makes shards of them.

    Raises:
        DataError: a glob matches nothing, or the files are not of the format that the config names.
    """
    key = "path" if isinstance(settings, ImagesWithin) else "annotations"
    patterns = getattr(settings, key)
    found: dict[str, Any] = {}
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        try:
            matched = FileSystems.match([pattern])[0].metadata_list
        except (ValueError, BeamIOError) as error:
            raise DataError(f"data.{key}: {pattern!r} cannot be listed: {error}") from error
        if not matched:
            raise DataError(f"data.{key}: {pattern!r} matches no file")
        found.update((file.path, file) for file in matched)
    paths = sorted(found)
    files = [(path, found[path].size_in_bytes) for path in paths]
    load_names(settings)
    load_metadata(settings, ())
    _sniff(paths, settings)
    images = folder_of_images(settings)
    if images is not None and "://" not in images and not FileSystems.exists(images):
        raise DataError(f"data.images: folder {images!r} does not exist")
    step = FORMATS[_format(settings)].files_a_shard
    shards = []
    for first in range(0, len(paths), step):
        label = "" if step > 1 else "-" + re.sub(r"[^A-Za-z0-9._-]", "_", posixpath.basename(paths[first]))
        version = None if step > 1 else _version(found[paths[first]])
        shards.append(Shard(f"{first // step:05d}{label}", paths[first : first + step], version))
    return Listing(shards, files)


def first_records(listing: Listing) -> Listing:
    """The same files as one shard, so that the first records are the same ones every time."""
    return Listing([Shard("00000-first", [path for path, _ in listing.files])], listing.files)


def records_of(
    shard: Shard, keys: Sequence[str], settings: DataSettings, limit: int | None
) -> Iterator[tuple[str, Example | Bad]]:
    """The records of a shard as they stand there, each with its file."""
    return itertools.islice(_all_records(shard, keys, settings), limit)


def _all_records(
    shard: Shard, keys: Sequence[str], settings: DataSettings
) -> Iterator[tuple[str, Example | Bad]]:
    _check_unchanged(shard)
    for path in shard.paths:
        try:
            for record in _read(Source(path, shard.name, tuple(keys)), settings):
                yield path, record
        except DataError as error:
            # The first file was of the format when the run was planned; this one is not.
            yield path, Bad(0, None, RecordError("corrupt_shard", str(error)))
    _check_unchanged(shard)


def _version(file: Any) -> str:
    return f"{file.size_in_bytes} bytes of {file.last_updated_in_seconds:.6f}"


def _check_unchanged(shard: Shard) -> None:
    """A run reads its shards more than once, and must find the same records each time.

    Raises:
        RunError: the file is another one than when the run was planned.
    """
    if shard.version is None:
        return
    (path,) = shard.paths
    if [shard.version] != [_version(file) for file in FileSystems.match([path])[0].metadata_list]:
        raise RunError(f"data file {path!r} has changed since the run was planned; start it again")


def _read(source: Source, settings: DataSettings) -> Iterator[Example | Bad]:
    with FileSystems.open(source.path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        yield from FORMATS[_format(settings)].read(file, source, settings)


def folder_of_images(settings: DataSettings) -> str | None:
    """The folder of images, where they are not within the data files."""
    return settings.images if isinstance(settings, (ImagesApart, ImagesWithin)) else None


def load_names(settings: DataSettings) -> dict[str, str]:
    """What stands in the annotations -> the class's name, where the config says so.

    Raises:
        DataError: the file of names cannot be read.
    """
    if isinstance(settings.names, str):
        try:
            with FileSystems.open(settings.names) as file:
                content = file.read()
        except Exception as error:  # each store has its own
            raise DataError(f"data.names: {settings.names!r} cannot be read: {error}") from error
        return parse_names(content, settings.names)
    return enumerated(settings.names) if isinstance(settings.names, list) else settings.names or {}


def load_metadata(settings: DataSettings, slices: Sequence[str]) -> Metadata | None:
    """The table of metadata, where the config names one.

    Raises:
        DataError: it cannot be read.
    """
    if settings.metadata is None:
        return None
    try:
        with FileSystems.open(settings.metadata) as file:
            return read_metadata(file, settings.metadata, settings.metadata_id, slices)
    except DataError:
        raise
    except Exception as error:  # each store has its own
        raise DataError(f"data.metadata: {settings.metadata!r} cannot be read: {error}") from error


def _format(settings: DataSettings) -> str:
    return str(getattr(settings, "format"))  # noqa: B009  (each format declares it as its own literal)


def _sniff(paths: Sequence[str], settings: DataSettings) -> None:
    """Reads the beginning of the data, to see whether it is of the format at all.

    Raises:
        DataError: the first file is not; or, where a file is one record, none of the first files is.
    """
    name = _format(settings)
    one_record_a_file = FORMATS[name].files_a_shard > 1
    problems = []
    for path in paths[: _SNIFFED_RECORDS if one_record_a_file else 1]:
        try:
            record = next(_read(Source(path, "", ()), settings), None)
        except OSError as error:
            raise DataError(f"{path!r} cannot be read: {error}") from error
        if not isinstance(record, Bad):
            return
        problems.append(f"{path!r} is not of format {name!r}: {record.error.message}")
    if problems and one_record_a_file:
        raise DataError(problems[0])
