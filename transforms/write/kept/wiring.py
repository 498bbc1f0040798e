"""KeepOutcomes writes what was explained while a run goes on; RecallOutcomes reads it in the next.

An outcome is known of these very bytes: a digest of image, boxes, labels and metadata decides.
"""

import dataclasses
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
from apache_beam import coders
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from transforms.outcomes import Outcome, digest_of
from transforms.records import Example
from transforms.write.kept.files import holds, index_of, name_of, pack, unpack
from transforms.write.wiring import files_below, write_bytes

# A run that dies loses up to this many explained images of each worker: half a minute on a CPU.
OUTCOMES_A_FILE = 1024


@dataclasses.dataclass
class KeepOutcomes(beam.PTransform):
    """Outcome -> the same, also written to files; nothing is shuffled.

    Attributes:
        folder: of the files, on any of Beam's filesystems.
    """

    folder: str

    def expand(self, outcomes: beam.PCollection[Outcome]) -> beam.PCollection[Outcome]:
        return outcomes | "Keep" >> beam.ParDo(_Keep(self.folder)).with_output_types(Outcome)


@dataclasses.dataclass
class RecallOutcomes(beam.PTransform):
    """Example -> Outcome, where one is kept of the very same example.

    Attributes:
        files: as `kept_files` lists them.

    Returns:
        PCollections `outcomes`, one for each example that is known, and `unknown`, all other examples.
    """

    files: Sequence[str]

    def expand(self, examples: beam.PCollection[Example]) -> Any:
        keyed = tuple[bytes, Outcome]
        kept = (
            examples.pipeline
            | "Files" >> beam.Create(self.files).with_output_types(str)
            | "SpreadFiles" >> beam.Reshuffle()
            | "ReadFile" >> beam.FlatMap(_read).with_output_types(Outcome)
        )
        # Of an image 24 bytes go to a worker, and only with the other images of its file of data.
        index = (
            kept
            | "Place" >> beam.Map(_place).with_output_types(tuple[str, tuple[int, bytes]])
            | "OfSource" >> beam.GroupByKey()
            | "Index" >> beam.MapTuple(_index).with_output_types(tuple[str, bytes])
        )
        divided = examples | "Divide" >> beam.ParDo(
            _Divide(), beam.pvalue.AsMultiMap(index)
        ).with_output_types(Example, known=tuple[bytes, bool]).with_outputs("known", main="unknown")
        # An example may be kept twice, where a bundle was tried again; and no longer be among the data.
        outcomes = (
            {
                "known": divided.known,
                "kept": kept | "ByDigest" >> beam.Map(_by_digest).with_output_types(keyed),
            }
            | "Join" >> beam.CoGroupByKey()
            | "One" >> beam.FlatMap(_one).with_output_types(Outcome)
        )
        return {"outcomes": outcomes, "unknown": divided.unknown}


def kept_files(folder: str) -> list[str]:
    """The files below a folder of kept outcomes, sorted; none where there is no such folder."""
    return sorted(file.path for file in files_below(folder))


class _Keep(beam.DoFn):
    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._coder = coders.registry.get_coder(Outcome)

    def start_bundle(self) -> None:
        self._encoded: list[bytes] = []

    def process(self, outcome: Outcome) -> Iterator[Outcome]:
        self._encoded.append(self._coder.encode(outcome))
        if len(self._encoded) >= OUTCOMES_A_FILE:
            self.finish_bundle()
        yield outcome

    def finish_bundle(self) -> None:
        if self._encoded:
            content = pack(self._encoded)
            write_bytes(posixpath.join(self._folder, name_of(content)), content)
            self._encoded = []


class _Divide(beam.DoFn):
    def __init__(self) -> None:
        self._source: str | None = None

    def process(self, example: Example, index: Mapping[str, Iterable[bytes]]) -> Iterator[Any]:
        if example.source != self._source:  # once for a file of data that is read in order
            self._source, self._index = example.source, b"".join(index[example.source])
        digest = digest_of(example)
        if holds(self._index, example.position, digest):
            yield beam.pvalue.TaggedOutput("known", (digest, True))
        else:
            yield example


def _read(path: str) -> Iterator[Outcome]:
    coder = coders.registry.get_coder(Outcome)
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        yield from map(coder.decode, unpack(file.read()))


def _place(outcome: Outcome) -> tuple[str, tuple[int, bytes]]:
    return outcome.source, (outcome.position, outcome.digest)


def _index(source: str, places: Iterable[tuple[int, bytes]]) -> tuple[str, bytes]:
    return source, index_of(places)


def _by_digest(outcome: Outcome) -> tuple[bytes, Outcome]:
    return outcome.digest, outcome


def _one(item: tuple[bytes, dict[str, Iterable[Any]]]) -> Iterator[Outcome]:
    if any(item[1]["known"]):
        yield next(iter(item[1]["kept"]))
