"""Bytes that nobody meant, through every reader and the decoder: results, bad records or errors that say why.

The default suite takes a few hundred of each; the slow one more than 100,000.
"""

import fnmatch
import io
import random
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from transforms.errors import DataError, RecordError
from transforms.explain.decode import Decoding, boxed_size, decode_as
from transforms.outlines import polygon_mask, unpack
from transforms.read.common import Bad, Source
from transforms.read.formats import FORMATS
from transforms.read.names import parse_names
from transforms.records import Example

from .builders import encode, make_image
from .test_formats_doc import CONFIGS
from .test_masks import BITMAP, OUTLINED, coco
from .test_pictures import FILES, XRAY, dicom, oriented
from .writers import WRITERS

A_FEW, MANY = 150, 10_000
SECONDS, MEGABYTES = 20, 700
NASTY = [
    b"\x00",
    b"\xff",
    b"\xff\xff\xff\x7f",
    b"\x00\x00\x00\x80",
    b"{",
    b"[",
    b'"',
    b"<",
    b"&a;",
    b"../",
    b"1e999",
    b"-1",
]
RUNS = coco({"size": [9, 9], "counts": "e04500000h0"})
PICTURES = {**FILES, "oriented jpeg": oriented(make_image(), 6, "JPEG"), "dicom": dicom(XRAY)}


def mutated(data: bytes, chance: random.Random) -> bytes:
    """A few edits of the kind that bad disks, bad networks and bad people make."""
    found = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 4, 16])):
        at = chance.randrange(len(found) + 1)
        until = min(len(found), at + chance.choice([1, 4, 64, 1024]))
        match chance.randrange(6):
            case 0:
                del found[at:]
            case 1:
                del found[at:until]
            case 2:
                found[at:until] = chance.randbytes(until - at)
            case 3:
                found[at:at] = chance.choice(NASTY)
            case 4:
                found[at : at + 4] = chance.choice(NASTY)
            case _:
                found[at:at] = found[chance.randrange(len(found) + 1) :][: until - at]
    return bytes(found)


def seed_files(title: str, folder: Path) -> tuple[Any, list[tuple[str, bytes]]]:
    """The settings of a section of docs/formats.md, and the files that its reader reads."""
    WRITERS[title](folder)
    keys = yaml.safe_load(CONFIGS[title])["data"]
    entry = FORMATS[keys["format"]]
    pattern = keys.get("path") or keys["annotations"]
    files = sorted(path for path in folder.rglob("*") if fnmatch.fnmatch(str(path), f"*/{pattern}"))
    return entry.settings.model_validate(keys), [(str(path), path.read_bytes()) for path in files]


def within_bounds(inputs: Iterator[bytes], survive: Callable[[bytes], None]) -> None:
    """Runs each input; none may take long or much memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for data in inputs:
        started = time.monotonic()
        survive(data)
        assert time.monotonic() - started < SECONDS, data[:200]
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < MEGABYTES


def fuzz_reader(title: str, folder: Path, count: int) -> None:
    settings, files = seed_files(title, folder)
    read, chance = FORMATS[settings.format].read, random.Random(title)

    def survive(data: bytes) -> None:
        source = Source(files[0][0], "00000", ("site",))
        try:
            for record in read(io.BytesIO(data), source, settings):
                assert isinstance(record, Example | Bad)
        except DataError:
            pass

    within_bounds((mutated(chance.choice(files)[1], chance) for _ in range(count)), survive)


def fuzz_decoder(kind: str, count: int) -> None:
    chance = random.Random(kind)

    def survive(data: bytes) -> None:
        try:
            image = decode_as(data, Decoding(True, max_pixels=10**6, shrink_to=(4, 4))).image
            assert "RGB" == image.mode
        except RecordError as error:
            assert error.reason in ("undecodable_image", "too_many_pixels")
        boxed_size(data, Decoding(boxes_upright=True))

    within_bounds((mutated(PICTURES[kind], chance) for _ in range(count)), survive)


@pytest.mark.parametrize("title", WRITERS)
def test_a_reader_survives(title: str, tmp_path: Path) -> None:
    fuzz_reader(title, tmp_path, A_FEW)


@pytest.mark.parametrize(("kind", "data"), [*OUTLINED, ("coco", RUNS), ("labelme", BITMAP)])
def test_outlines_survive(kind: str, data: bytes) -> None:
    keys = {"format": kind, "images": "photos", "annotations": "x", "region": "mask"}
    settings, chance = FORMATS[kind].settings.model_validate(keys), random.Random(kind)

    def survive(data: bytes) -> None:
        try:
            for record in FORMATS[kind].read(io.BytesIO(data), Source("x", "0", ()), settings):
                boxes = record.boxes if isinstance(record, Example) else []
                for outline in filter(None, (box.outline for box in boxes)):
                    assert (8, 8) == polygon_mask(unpack(outline), 8, 8).shape
        except DataError:
            pass

    within_bounds((mutated(data, chance) for _ in range(A_FEW)), survive)


@pytest.mark.parametrize("kind", PICTURES)
def test_the_decoder_survives(kind: str) -> None:
    fuzz_decoder(kind, A_FEW)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("title", WRITERS)
def test_a_reader_survives_thousands(title: str, tmp_path: Path) -> None:
    fuzz_reader(title, tmp_path, MANY)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", PICTURES)
def test_the_decoder_survives_thousands(kind: str) -> None:
    fuzz_decoder(kind, MANY)


def test_the_thousands_are_a_hundred_thousand() -> None:
    assert 100_000 <= MANY * (len(WRITERS) + len(PICTURES))


@pytest.mark.parametrize("title", WRITERS)
@given(data=st.binary(max_size=600))
def test_a_reader_survives_noise(title: str, data: bytes) -> None:
    keys = yaml.safe_load(CONFIGS[title])["data"]
    entry = FORMATS[keys["format"]]
    settings = entry.settings.model_validate(keys)
    try:
        for record in entry.read(io.BytesIO(data), Source("labels/a.txt", "00000", ("site",)), settings):
            assert isinstance(record, Example | Bad)
    except DataError:
        pass


@given(data=st.binary(max_size=400), ending=st.sampled_from(["txt", "yaml", "pbtxt", "csv", "json"]))
def test_a_file_of_names_survives_noise(data: bytes, ending: str) -> None:
    try:
        found = parse_names(data, f"names.{ending}")
        assert all(isinstance(name, str) for pair in found.items() for name in pair)
    except DataError:
        pass


def test_mutations_differ_and_come_back() -> None:
    data = encode(make_image())
    first, again = (
        [mutated(data, chance) for _ in range(50)] for chance in (random.Random(1), random.Random(1))
    )

    assert first == again
    assert 40 < len(set(first))
