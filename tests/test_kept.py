"""What is kept of explained examples: files that are whole or none, and which example is the same."""

import dataclasses
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given
from hypothesis import strategies as st

from transforms.labels import Labelling
from transforms.outcomes import Outcome, digest_of, outcomes_of
from transforms.records import DeadLetter, Example, Slice
from transforms.write.kept import wiring
from transforms.write.kept.files import holds, index_of, name_of, pack, unpack
from transforms.write.kept.wiring import KeepOutcomes, RecallOutcomes, kept_files

DIGESTS = st.binary(min_size=16, max_size=16)


def example(position: int, image: bytes = b"pixels", source: str = "a.json") -> Example:
    slices = [Slice("camera", "A")]
    return Example(f"id{position}", source, position, "00000", image, "", [], ["cat"], False, slices)


def outcome(of: Example) -> Outcome:
    letter = DeadLetter("explain", of.source, of.example_id, "undecodable_image", "no image", of.position)
    return Outcome(digest_of(of), of.source, of.position, [], [], [letter])


@given(st.lists(st.binary(max_size=40)))
def test_what_is_packed_is_unpacked(outcomes: list[bytes]) -> None:
    assert outcomes == list(unpack(pack(outcomes)))


@given(st.lists(st.binary(max_size=9), min_size=1, max_size=4), st.data())
def test_a_file_that_was_cut_off_holds_nothing(outcomes: list[bytes], data: st.DataObject) -> None:
    content = pack(outcomes)
    length = data.draw(st.integers(0, len(content) - 1))

    assert [] == list(unpack(content[:length]))


def test_a_file_is_named_by_its_content() -> None:
    assert name_of(pack([b"a", b"b"])) == name_of(pack([b"a", b"b"]))
    assert 2 == len({name_of(pack([b"a", b"b"])), name_of(pack([b"ab"]))})


@given(st.lists(st.tuples(st.integers(0, 5), DIGESTS)), st.integers(0, 5), DIGESTS)
def test_an_index_holds_what_was_put_in(
    places: list[tuple[int, bytes]], position: int, digest: bytes
) -> None:
    index = index_of(places)

    assert all(holds(index, *place) for place in places)
    assert ((position, digest) in places) == holds(index, position, digest)


def test_an_index_has_24_bytes_for_a_place_however_often_it_is_given() -> None:
    digests = [digest_of(example(position)) for position in range(100)]

    assert 100 * 24 == len(index_of([*enumerate(digests), *enumerate(digests)]))


@pytest.mark.parametrize(
    "change",
    [{"image": b"other"}, {"labels": ["dog"]}, {"slices": []}, {"cluster": "p1"}, {"position": 4}],
    ids=lambda change: next(iter(change)),
)
def test_an_example_that_differs_in_anything_is_another(change: dict[str, object]) -> None:
    assert digest_of(example(3)) == digest_of(example(3))
    assert digest_of(example(3)) != digest_of(dataclasses.replace(example(3), **change))


def test_what_was_found_is_put_together_by_example() -> None:
    batch = [example(0), example(1, source="b.json"), example(1)]
    dead = [outcome(of).dead_letters[0] for of in batch]
    labelling = Labelling("id1", "a.json", 1, ["cat"], [], None)

    assert [
        Outcome(digest_of(batch[0]), "a.json", 0, [], [], []),
        Outcome(digest_of(batch[1]), "b.json", 1, [], [], [dead[1]]),
        Outcome(digest_of(batch[2]), "a.json", 1, [], [labelling], [dead[2]]),
    ] == list(outcomes_of(batch, [labelling, dead[2], dead[1]]))


def keep(folder: Path, examples: list[Example]) -> list[str]:
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        pipeline | beam.Create([outcome(of) for of in examples]) | KeepOutcomes(str(folder))
    return kept_files(str(folder))


def test_outcomes_are_kept_while_a_bundle_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "OUTCOMES_A_FILE", 4)
    files = keep(tmp_path / "kept", [example(position) for position in range(10)])

    counts = [len(list(unpack(Path(file).read_bytes()))) for file in files]
    assert (10, 4) == (sum(counts), max(counts))


def test_nothing_is_kept_of_nothing(tmp_path: Path) -> None:
    assert [] == keep(tmp_path / "kept", [])
    assert not (tmp_path / "kept").exists()


def test_what_is_kept_is_recalled_once_and_only_of_the_same_examples(tmp_path: Path) -> None:
    """Kept twice, gone from the data, changed since, cut off: each example is known or unknown."""
    known = [example(position, source=source) for source in ("a.json", "b.json") for position in range(5)]
    gone, cut = [example(7)], [example(8)]
    files = keep(tmp_path / "first", [*known, *gone]) + keep(tmp_path / "again", known[:3])
    (broken,) = keep(tmp_path / "broken", cut)
    Path(broken).write_bytes(Path(broken).read_bytes()[:-1])
    now = [example(0, b"other pixels"), *known[1:], *cut, example(9)]

    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        found = pipeline | beam.Create(now) | RecallOutcomes([*files, broken])
        assert_that(found["unknown"], equal_to([now[0], *cut, example(9)]), label="Unknown")
        assert_that(found["outcomes"], equal_to([outcome(of) for of in known[1:]]), label="Outcomes")


def test_without_files_every_example_is_unknown() -> None:
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        found = pipeline | beam.Create([example(1)]) | RecallOutcomes([])
        assert_that(found["unknown"], equal_to([example(1)]), label="Unknown")
        assert_that(found["outcomes"], equal_to([]), label="Outcomes")
