"""ReadExamples: shard names are spread over the workers, each is read in order. LoadImages: their images."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from transforms.errors import RecordError
from transforms.labels import Labelling, labelling_of
from transforms.progress import PROGRESS
from transforms.read.common import Bad, clean
from transforms.read.files.wiring import folder_of_images, load_metadata, load_names, records_of
from transforms.read.metadata import with_metadata
from transforms.read.names import renamed
from transforms.read.settings import DataSettings
from transforms.records import DeadLetter, Example, Shard

# An id, and the (source, position) of a record that has it.
_Place = tuple[str, tuple[str, int]]


@dataclasses.dataclass
class ReadExamples(beam.PTransform):
    """Pipeline root -> Example, and a DeadLetter for each record that is none.

    An image in a file of its own is not loaded yet.

    Attributes:
        shards: from `list_shards`.
        settings: the config's `data`.
        slices: metadata keys to keep.
        cluster: the metadata key whose value is an example's cluster, or None.
        limit: read only the first records of each shard.
        duplicates: PCollection `keys` of FindDuplicates, whose examples are dropped; few, a side input. None
            to keep them.

    Returns:
        PCollections `examples` and `dead_letters`.
    """

    shards: Sequence[Shard]
    settings: DataSettings
    slices: Sequence[str]
    cluster: str | None = None
    limit: int | None = None
    duplicates: Any = None

    def expand(self, root: Any) -> Any:
        reading = _ReadShard(self.settings, load_names(self.settings), self.slices, self.cluster, self.limit)
        records = root | _SpreadShards(self.shards) | "ReadShard" >> _divided(reading)
        examples = records.examples
        if self.duplicates is not None:
            marked = self.duplicates | "Mark" >> beam.Map(lambda key: (key, True))
            examples = examples | "DropDuplicates" >> beam.Filter(
                _is_first, beam.pvalue.AsDict(marked)
            ).with_output_types(Example)
        return {"examples": examples, "dead_letters": records.dead_letters}


@dataclasses.dataclass
class LoadImages(beam.PTransform):
    """Example -> the same with its image bytes, and a DeadLetter for each whose image cannot be had.

    Whoever needs few of the examples picks them before.

    Attributes:
        settings: the config's `data`.

    Returns:
        PCollections `examples` and `dead_letters`.
    """

    settings: DataSettings

    def expand(self, examples: beam.PCollection[Example]) -> Any:
        if folder_of_images(self.settings) is None:
            none = examples.pipeline | beam.Create([]).with_output_types(DeadLetter)
            return {"examples": examples, "dead_letters": none}
        loaded = (
            examples
            | "SpreadRecords" >> beam.Reshuffle()  # annotations only: no image is among them yet
            | "LoadImage" >> _divided(_LoadImage())
        )
        return {"examples": loaded.examples, "dead_letters": loaded.dead_letters}


class LabelExamples(beam.PTransform):
    """Example -> Labelling: what is judged of the data themselves, without the image."""

    def expand(self, examples: beam.PCollection[Example]) -> beam.PCollection[Labelling]:
        return examples | "Label" >> beam.Map(
            lambda example: labelling_of(example, example.slices)
        ).with_output_types(Labelling)


@dataclasses.dataclass
class FindDuplicates(beam.PTransform):
    """Pipeline root -> DeadLetter for each example whose id an earlier record has already.

    Of the examples with one id the smallest (source, position) survives. All records are read for that, so
    that whoever reads them next drops a duplicate at once and passes on the others without waiting for the
    last. Images in files of their own are not loaded, and only ids are shuffled.

    Attributes:
        shards, settings, limit: as for ReadExamples.

    Returns:
        PCollections `keys` ((example_id, source, position) of each duplicate) and `dead_letters`.
    """

    shards: Sequence[Shard]
    settings: DataSettings
    limit: int | None = None

    def expand(self, root: Any) -> Any:
        keys = (
            root
            | _SpreadShards(self.shards)
            | "ReadIds" >> beam.FlatMap(_ids, self.settings, self.limit).with_output_types(_Place)
            | "SameId" >> beam.GroupByKey()
            | "AllButFirst" >> beam.FlatMap(_all_but_first).with_output_types(tuple[str, str, int])
        )
        return {"keys": keys, "dead_letters": keys | beam.MapTuple(_duplicate).with_output_types(DeadLetter)}


@dataclasses.dataclass
class _SpreadShards(beam.PTransform):
    """Pipeline root -> Shard, each read by one worker."""

    shards: Sequence[Shard]

    def expand(self, root: Any) -> beam.PCollection[Shard]:
        created = root | "Shards" >> beam.Create(self.shards).with_output_types(Shard)
        return created | "SpreadShards" >> beam.Reshuffle()


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
        self._metadata = load_metadata(self._settings, self._keys)

    def process(self, shard: Shard) -> Iterator[Any]:
        for path, record in records_of(shard, self._keys, self._settings, self._limit):
            yield _dead(path, record) if isinstance(record, Bad) else self._completed(record)

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


def _ids(shard: Shard, settings: DataSettings, limit: int | None) -> Iterator[_Place]:
    count = 0
    for _, record in records_of(shard, (), settings, limit):
        if not isinstance(record, Bad):
            count += 1
            yield record.example_id, (record.source, record.position)
    PROGRESS.add_found(count)


def _is_first(example: Example, duplicates: Mapping[tuple[str, str, int], bool]) -> bool:
    return (example.example_id, example.source, example.position) not in duplicates


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


def _dead(path: str, bad: Bad) -> Any:
    # What is wrong with a record may be its very text.
    message = clean(f"record {bad.position}: {bad.error.message}")
    example_id = None if bad.example_id is None else clean(bad.example_id)
    letter = DeadLetter("read", path, example_id, bad.error.reason, message, bad.position)
    return beam.pvalue.TaggedOutput("dead_letters", letter)


def _all_but_first(item: tuple[str, Iterable[tuple[str, int]]]) -> Iterator[tuple[str, str, int]]:
    example_id, places = item
    for source, position in sorted(places)[1:]:
        yield example_id, source, position


def _duplicate(example_id: str, source: str, position: int) -> DeadLetter:
    message = f"record {position}: an earlier record has the same id"
    return DeadLetter("read", source, example_id, "duplicate_id", message, position)
