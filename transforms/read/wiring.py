"""ReadExamples: shard names are spread over the workers, each shard is read in order.

Listing happens before the pipeline starts, so that a glob that matches nothing or a file of another
format is an error at once.
"""

import dataclasses
import itertools
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems

from transforms.errors import DataError, RecordError, RunError
from transforms.labels import Labelling, labelling_of
from transforms.progress import PROGRESS
from transforms.read.common import Bad, Source, clean
from transforms.read.formats import FORMATS
from transforms.read.metadata import Metadata, read_metadata, with_metadata
from transforms.read.names import enumerated, parse_names, renamed
from transforms.read.settings import DataSettings, ImagesApart, ImagesWithin
from transforms.records import DeadLetter, Example, Shard

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
    _names(settings)
    _metadata(settings, ())
    _sniff(paths, settings)
    images = _images(settings)
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


@dataclasses.dataclass
class ReadExamples(beam.PTransform):
    """Pipeline root -> Example with its image bytes, and a DeadLetter for each record that has none.

    Attributes:
        shards: from `list_shards`.
        settings: the config's `data`.
        slices: metadata keys to keep.
        cluster: the metadata key whose value is an example's cluster, or None.
        limit: read only the first records of each shard.
        wanted: PCollection of one dict by example id; no other image is then loaded. None for all.

    Returns:
        PCollections `examples` and `dead_letters`.
    """

    shards: Sequence[Shard]
    settings: DataSettings
    slices: Sequence[str]
    cluster: str | None = None
    limit: int | None = None
    wanted: Any = None

    def expand(self, root: Any) -> Any:
        reading = _ReadShard(self.settings, _names(self.settings), self.slices, self.cluster, self.limit)
        records = (
            root
            | "Shards" >> beam.Create(self.shards).with_output_types(Shard)
            | "SpreadShards" >> beam.Reshuffle()
            | "ReadShard" >> _divided(reading)
        )
        examples, dead_letters = records.examples, [records.dead_letters]
        if self.wanted is not None:
            only = beam.pvalue.AsSingleton(self.wanted)
            examples = examples | "Wanted" >> beam.Filter(
                lambda example, ids: example.example_id in ids, only
            ).with_output_types(Example)
        if _images(self.settings) is not None:
            loaded = (
                examples
                | "SpreadRecords" >> beam.Reshuffle()  # annotations only: no image is among them yet
                | "LoadImage" >> _divided(_LoadImage())
            )
            examples = loaded.examples
            dead_letters.append(loaded.dead_letters)
        return {"examples": examples, "dead_letters": dead_letters | beam.Flatten()}


class LabelExamples(beam.PTransform):
    """Example -> Labelling: what is judged of the data themselves, without the image."""

    def expand(self, examples: beam.PCollection[Example]) -> beam.PCollection[Labelling]:
        return examples | "Label" >> beam.Map(
            lambda example: labelling_of(example, example.slices)
        ).with_output_types(Labelling)


@dataclasses.dataclass
class FindDuplicates(beam.PTransform):
    """Example -> DeadLetter for each example whose id an earlier record has already.

    Of the examples with one id the smallest (source, position) survives. Only ids are shuffled.

    Returns:
        PCollections `keys` ((example_id, source, position) of each duplicate) and `dead_letters`.
    """

    def expand(self, examples: beam.PCollection[Example]) -> Any:
        keys = (
            examples
            | "ById" >> beam.Map(_identity).with_output_types(tuple[str, tuple[str, int]])
            | "SameId" >> beam.GroupByKey()
            | "AllButFirst" >> beam.FlatMap(_all_but_first).with_output_types(tuple[str, str, int])
        )
        return {"keys": keys, "dead_letters": keys | beam.MapTuple(_duplicate).with_output_types(DeadLetter)}


def _divided(reading: beam.DoFn) -> beam.ParDo:
    # Types before outputs: after them they are lost, and the records travel pickled.
    typed = beam.ParDo(reading).with_output_types(Example, dead_letters=DeadLetter)
    return typed.with_outputs("dead_letters", main="examples")


class _ReadShard(beam.DoFn):
    def __init__(
        self,
        settings: DataSettings,
        names: dict[str, str],
        slices: Sequence[str],
        cluster: str | None,
        limit: int | None,
    ) -> None:
        self._settings = settings
        self._names = names
        self._slices = tuple(slices)
        self._cluster = cluster
        self._keys = self._slices if cluster is None else tuple(dict.fromkeys((*slices, cluster)))
        self._limit = limit

    def setup(self) -> None:
        self._metadata = _metadata(self._settings, self._keys)

    def process(self, shard: Shard) -> Iterator[Any]:
        yield from itertools.islice(self._records(shard), self._limit)
        PROGRESS.add_shard()

    def _records(self, shard: Shard) -> Iterator[Any]:
        _check_unchanged(shard)
        for path in shard.paths:
            try:
                for record in _read(Source(path, shard.name, self._keys), self._settings):
                    yield _dead(path, record) if isinstance(record, Bad) else self._completed(record)
            except DataError as error:
                # The first file was of the format when the run was planned; this one is not.
                yield _dead(path, Bad(0, None, RecordError("corrupt_shard", str(error))))
        _check_unchanged(shard)

    def _completed(self, example: Example) -> Example:
        """The example with names, joined metadata and cluster, which is no slice unless wanted as one."""
        example = renamed(example, self._names)
        if self._metadata is not None:
            example = with_metadata(example, self._metadata, self._keys)
        if self._cluster is None:
            return example
        cluster = next((entry.value for entry in example.slices if entry.key == self._cluster), None)
        kept = [entry for entry in example.slices if entry.key in self._slices]
        return dataclasses.replace(example, slices=kept, cluster=cluster)


_BUT_IMAGE = [field.name for field in dataclasses.fields(Example) if field.name != "image"]


class _LoadImage(beam.DoFn):
    def process(self, example: Example) -> Iterator[Any]:
        try:
            with FileSystems.open(example.image_path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
                yield Example(**{name: getattr(example, name) for name in _BUT_IMAGE}, image=file.read())
        except Exception as problem:
            # Each store has exceptions of its own. What is there and cannot be had is not the record's fault.
            if not isinstance(problem, (OSError, ValueError)) and FileSystems.exists(example.image_path):
                raise
            error = RecordError("missing_image", f"image file {example.image_path!r} cannot be read")
            yield _dead(example.source, Bad(example.position, example.example_id, error))


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


def _dead(path: str, bad: Bad) -> Any:
    # What is wrong with a record may be its very text.
    message = clean(f"record {bad.position}: {bad.error.message}")
    example_id = None if bad.example_id is None else clean(bad.example_id)
    letter = DeadLetter("read", path, example_id, bad.error.reason, message, bad.position)
    return beam.pvalue.TaggedOutput("dead_letters", letter)


def _identity(example: Example) -> tuple[str, tuple[str, int]]:
    return example.example_id, (example.source, example.position)


def _all_but_first(item: tuple[str, Iterable[tuple[str, int]]]) -> Iterator[tuple[str, str, int]]:
    example_id, places = item
    for source, position in sorted(places)[1:]:
        yield example_id, source, position


def _duplicate(example_id: str, source: str, position: int) -> DeadLetter:
    message = f"record {position}: an earlier record has the same id"
    return DeadLetter("read", source, example_id, "duplicate_id", message, position)


def _images(settings: DataSettings) -> str | None:
    """The folder of images, where they are not within the data files."""
    return settings.images if isinstance(settings, (ImagesApart, ImagesWithin)) else None


def _names(settings: DataSettings) -> dict[str, str]:
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


def _metadata(settings: DataSettings, slices: Sequence[str]) -> Metadata | None:
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
