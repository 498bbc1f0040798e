"""WebDataset shards, written by the standard library, then made hostile."""

import gzip
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from transforms.errors import DataError
from transforms.read import webdataset
from transforms.read.common import Bad, Source
from transforms.read.objects import Keys
from transforms.records import Box, Example, Slice


def tar(
    files: Sequence[tuple[str, bytes]], *members: tarfile.TarInfo, form: int = tarfile.GNU_FORMAT
) -> bytes:
    """An archive of files, and then of headers alone."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for member in members:
            archive.addfile(member)
    return buffer.getvalue()


def header(name: str, kind: bytes = tarfile.REGTYPE, *, link: str = "", size: int = 0) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size = kind, link, size
    return member


def sample(key: str, record: Any = None, image: bytes = b"pixels") -> list[tuple[str, bytes]]:
    return [(f"{key}.jpg", image), (f"{key}.json", json.dumps(record or {}).encode())]


def read(data: bytes, slices: Sequence[str] = (), **keys: Any) -> list[Example | Bad]:
    settings = webdataset.WebDatasetSettings(format="webdataset", path="x", **keys)
    return list(webdataset.read(io.BytesIO(data), Source("/data/a.tar", "00000", slices), settings))


def example(example_id: str = "a", position: int = 0, **fields: Any) -> Example:
    usual = {"image": b"pixels", "image_path": "", "boxes": [], "labels": [], "relative": False, "slices": []}
    return Example(
        example_id=example_id, source="/data/a.tar", position=position, shard="00000", **{**usual, **fields}
    )


def told(record: Example | Bad) -> tuple[int, str | None, str, str]:
    """What a bad record says: position, example id, reason and message."""
    assert isinstance(record, Bad)
    return record.position, record.example_id, record.error.reason, record.error.message


OBJECTS = [{"bbox": [1, 2, 3, 4], "category": "cat"}, {"bbox": [0, 0, 9, 9], "category": 7}]
BOXES = [Box("cat", 1.0, 2.0, 4.0, 6.0), Box("7", 0.0, 0.0, 9.0, 9.0)]


@pytest.mark.parametrize(
    "record",
    [
        {"objects": OBJECTS},
        {"annotations": {"bbox": [[1, 2, 3, 4], [0, 0, 9, 9]], "category": ["cat", 7]}},
        OBJECTS,
    ],
    ids=["list of objects", "object of lists", "the list itself"],
)
def test_objects_are_a_list_or_a_mapping_of_lists(record: Any) -> None:
    assert [example(boxes=BOXES)] == read(tar(sample("a", record)))


def test_files_of_one_name_but_the_ending_are_a_sample() -> None:
    files = [
        *sample("x/a"),
        ("x/a.seg.png", b""),
        ("x/b.v1.jpg", b""),
        ("x/b.PNG", b"pixels"),
        ("x/b.cls", b"5"),
    ]

    assert [example("x/a"), example("x/b", 1, labels=["5"])] == read(tar(files))


@pytest.mark.parametrize("packed", [gzip.compress, lambda data: data])
def test_a_shard_may_be_compressed(packed: Any) -> None:
    assert [example("a"), example("b", 1)] == read(packed(tar([*sample("a"), *sample("b")])))


def test_other_keys_and_layouts() -> None:
    record = {"things": [{"where": [0.25, 0.5, 0.75, 1], "what": "cat"}], "site": 3, "file": "a.jpg"}
    keys = Keys(objects="things", box="where", name="what", id="file")
    found = read(tar(sample("a", record)), ["site"], keys=keys, layout="xyxy", unit="shares")
    box = Box("cat", 0.25, 0.5, 0.75, 1.0)

    assert [example("a.jpg", boxes=[box], relative=True, slices=[Slice("site", "3")])] == found


def test_images_may_stand_elsewhere() -> None:
    data = tar([("a.json", b'{"id": "sub/a.jpg"}'), ("b.json", b'{"id": "../../etc/passwd"}')])
    good, bad = read(data, images="/photos")

    assert example("sub/a.jpg", image=b"", image_path="/photos/sub/a.jpg") == good
    assert (1, "b", "unsafe_path", "image name '../../etc/passwd' leads out of the images folder") == told(
        bad
    )


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([("a.txt", b"")], "no image among the endings txt"),
        ([("a.jpg", b""), ("a.json", b"{")], "the sample's .json is not JSON: Expecting property name"),
        (sample("a", {"objects": 3}), "the objects are neither a mapping of lists nor a list of mappings"),
        (
            sample("a", {"objects": {"bbox": 3, "category": []}}),
            "the boxes and classes of the objects are not",
        ),
        (sample("a", {"objects": {"bbox": [[1, 2, 3, 4]]}}), "there are 1 boxes and 0 classes"),
        (sample("a", [{"bbox": [1, 2, 3, 4]}]), "an object has no class"),
        (sample("a", [{"bbox": [1, 2], "class": 0}]), "box of '0' is [1, 2], not four numbers xywh"),
        (sample("a", [{"bbox": "1234", "class": 0}]), "box of '0' is '1234', not four numbers xywh"),
    ],
)
def test_a_bad_sample_costs_itself(files: list[tuple[str, bytes]], message: str) -> None:
    bad, good = read(tar([*files, *sample("b")]))

    assert (0, "a", "malformed_record") == told(bad)[:3]
    assert told(bad)[3].startswith(message)
    assert example("b", 1) == good


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (header("../a.jpg"), "tar member '../a.jpg' leads out of the archive"),
        (header("/etc/a.jpg"), "tar member '/etc/a.jpg' leads out of the archive"),
        (
            header("a.jpg", tarfile.SYMTYPE, link="/etc/passwd"),
            "tar member 'a.jpg' is a link or no regular file",
        ),
        (header("a.jpg", tarfile.LNKTYPE, link="b.jpg"), "tar member 'a.jpg' is a link or no regular file"),
        (header("a.jpg", tarfile.FIFOTYPE), "tar member 'a.jpg' is a link or no regular file"),
    ],
)
def test_a_member_that_leads_elsewhere_is_unsafe(member: tarfile.TarInfo, message: str) -> None:
    good, bad = read(tar(sample("b"), member))

    assert example("b") == good
    assert ("unsafe_path", message) == told(bad)[2:]


def test_a_sample_that_claims_too_much_is_not_read() -> None:
    found = read(tar(sample("b"), header("a.jpg", size=2**29)))
    message = f"the sample of tar member 'a.jpg' is larger than {2**28} bytes"

    assert [example("b"), (1, "a", "malformed_record", message)] == [found[0], told(found[1])]
    assert (2, None, "corrupt_shard") == told(found[2])[:3]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_member_that_claims_terabytes_is_the_end(form: int) -> None:
    found = read(tar(sample("b"), header("a.jpg", size=2**50), form=form))
    message = "the tar breaks off ('a.jpg' claims 1125899906842624 bytes); the rest of the shard is lost"

    assert [example("b"), (1, None, "corrupt_shard", message)] == [found[0], told(found[1])]


def test_a_name_of_gigabytes_is_not_read() -> None:
    found = read(tar(sample("b"), header("long", tarfile.GNUTYPE_LONGNAME, size=2**33)))
    message = (
        "the tar breaks off (a header of type b'L' claims 8589934592 bytes); the rest of the shard is lost"
    )

    assert [example("b"), (1, None, "corrupt_shard", message)] == [found[0], told(found[1])]


@pytest.mark.parametrize("kept", [700, 1536, 2048, 3072])
def test_wherever_a_shard_breaks_off_it_is_told(kept: int) -> None:
    whole = tar([("a.jpg", b"x" * 600), ("b.jpg", b"y" * 600)])
    found = read(whole[:kept])

    assert "corrupt_shard" == told(found[-1])[2]


def test_a_broken_header_is_not_the_end() -> None:
    data = bytearray(tar([*sample("a"), *sample("b")]))
    data[2048 + 3] ^= 1
    found = read(bytes(data))
    message = "the tar breaks off (bad checksum); the rest of the shard is lost"

    assert [example("a"), (1, None, "corrupt_shard", message)] == [found[0], told(found[1])]


@pytest.mark.parametrize("data", [b"", b"no tar", b"{}" * 600, gzip.compress(b"no tar")])
def test_what_is_no_tar_is_a_data_error(data: bytes) -> None:
    with pytest.raises(DataError, match=r"^'/data/a.tar' is not tar: "):
        read(data)


def test_an_empty_archive_holds_no_sample() -> None:
    assert [] == read(tar([]))


def test_a_sample_has_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    many: Mapping[str, bytes] = {f"a.e{n}": b"" for n in range(101)}
    (found,) = read(tar(list(many.items())))

    assert (0, "a", "malformed_record", "a sample has more than 100 files") == told(found)
