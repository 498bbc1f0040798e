"""COCO JSON: what becomes an example, and what each kind of bad record leaves behind."""

import io
import json
from collections.abc import Sequence
from typing import Any

import pytest

from transforms.errors import DataError
from transforms.read import coco
from transforms.read.common import Bad, Source
from transforms.records import Box, Example, Slice

SETTINGS = coco.CocoSettings(format="coco", images="/photos", annotations="set.json")
CAT_AND_DOG = [{"id": 3, "name": "cat"}, {"id": 5, "name": "dog"}]
PHOTO = {"id": 1, "file_name": "a.png"}


def annotation(number: int = 10, *, image: Any = 1, category: Any = 3, **fields: Any) -> dict[str, Any]:
    return {"id": number, "image_id": image, "category_id": category, **fields}


def read(
    *,
    images: Sequence[Any] = (PHOTO,),
    annotations: Sequence[Any] = (),
    categories: Sequence[Any] = CAT_AND_DOG,
    slices: Sequence[str] = (),
) -> list[Example | Bad]:
    document = {"images": list(images), "annotations": list(annotations), "categories": list(categories)}
    return read_bytes(json.dumps(document).encode(), slices)


def read_bytes(data: bytes, slices: Sequence[str] = ()) -> list[Example | Bad]:
    return list(coco.read(io.BytesIO(data), Source("/data/set.json", "00000-set.json", slices), SETTINGS))


def example(
    *,
    file_name: str = "a.png",
    position: int = 0,
    boxes: Sequence[Box] = (),
    labels: Sequence[str] = (),
    slices: Sequence[Slice] = (),
) -> Example:
    return Example(
        example_id=file_name,
        source="/data/set.json",
        position=position,
        shard="00000-set.json-00000",
        image=b"",
        image_path=f"/photos/{file_name}",
        boxes=list(boxes),
        labels=list(labels),
        relative=False,
        slices=list(slices),
    )


def told(record: Example | Bad) -> tuple[int, str | None, str, str]:
    """What a bad record says: position, example id, reason and message."""
    assert isinstance(record, Bad)
    return record.position, record.example_id, record.error.reason, record.error.message


def test_x_y_width_height_become_edges() -> None:
    found = read(
        annotations=[annotation(bbox=[2, 3.5, 10, 20]), annotation(11, category=5, bbox=[0, 0, 1, 1])]
    )

    assert [example(boxes=[Box("cat", 2.0, 3.5, 12.0, 23.5), Box("dog", 0.0, 0.0, 1.0, 1.0)])] == found


def test_annotations_find_their_image_in_any_order() -> None:
    images = [{"id": "z", "file_name": "z.png"}, {"id": 4, "file_name": "sub/b.png"}]
    found = read(
        images=images,
        annotations=[annotation(image=4, bbox=[0, 0, 2, 2]), annotation(image="z", bbox=[1, 1, 2, 2])],
    )

    assert [
        example(file_name="z.png", boxes=[Box("cat", 1.0, 1.0, 3.0, 3.0)]),
        example(file_name="sub/b.png", position=1, boxes=[Box("cat", 0.0, 0.0, 2.0, 2.0)]),
    ] == found


def test_an_image_without_annotations_is_an_example_without_boxes() -> None:
    assert [example()] == read()


def test_an_annotation_without_bbox_is_a_label() -> None:
    found = read(annotations=[annotation(), annotation(11, category=5, bbox=[0, 0, 1, 1])])

    assert [example(labels=["cat"], boxes=[Box("dog", 0.0, 0.0, 1.0, 1.0)])] == found


def test_a_box_of_zero_area_or_outside_is_kept_for_its_status() -> None:
    found = read(annotations=[annotation(bbox=[4, 4, 0, 0]), annotation(11, bbox=[-9, -9, 2, 2])])

    assert [example(boxes=[Box("cat", 4.0, 4.0, 4.0, 4.0), Box("cat", -9.0, -9.0, -7.0, -7.0)])] == found


def test_an_image_listed_twice_keeps_its_boxes_both_times() -> None:
    box = Box("cat", 0.0, 0.0, 1.0, 1.0)
    found = read(images=[PHOTO, PHOTO], annotations=[annotation(bbox=[0, 0, 1, 1])])

    assert [example(boxes=[box]), example(position=1, boxes=[box])] == found


def test_slices_are_image_fields_in_the_order_of_the_config() -> None:
    photo = {**PHOTO, "camera": "A", "day": 3, "night": False, "place": {"y": 1, "x": 2}, "nothing": None}
    found = read(images=[photo], slices=["place", "day", "camera", "absent", "nothing", "night"])

    assert [
        example(
            slices=[
                Slice("place", '{"x": 2, "y": 1}'),
                Slice("day", "3"),
                Slice("camera", "A"),
                Slice("night", "false"),
            ]
        )
    ] == found


def test_every_thousand_images_share_an_output_file() -> None:
    found = read(images=[{"id": n, "file_name": f"{n}.png"} for n in range(1001)])
    shards = [record.shard for record in found if isinstance(record, Example)]

    assert ["00000-set.json-00000"] * 1000 + ["00000-set.json-00001"] == shards


@pytest.mark.parametrize(
    ("bbox", "message"),
    [
        ([1, 2, 3], "bbox [1, 2, 3] is not four numbers [x, y, width, height]"),
        ([1, 2, 3, 4, 5], "bbox [1, 2, 3, 4, 5] is not four numbers [x, y, width, height]"),
        (["a", 2, 3, 4], "bbox ['a', 2, 3, 4] is not four numbers [x, y, width, height]"),
        (None, "bbox None is not four numbers [x, y, width, height]"),
        (7, "bbox 7 is not four numbers [x, y, width, height]"),
        ([], "bbox [] is not four numbers [x, y, width, height]"),
        ([float("nan"), 0, 1, 1], "box of 'cat' has edges [nan, 0.0, nan, 1.0], which are not finite"),
        ([0, 0, float("inf"), 1], "box of 'cat' has edges [0.0, 0.0, inf, 1.0], which are not finite"),
    ],
)
def test_a_bad_bbox_is_a_malformed_record(bbox: Any, message: str) -> None:
    (found,) = read(annotations=[annotation(bbox=bbox)])

    assert (0, "a.png", "malformed_record", message) == told(found)


@pytest.mark.parametrize("category", [9, None, "cat"])
def test_an_unknown_category_is_a_malformed_record(category: Any) -> None:
    (found,) = read(annotations=[annotation(category=category, bbox=[0, 0, 1, 1])])
    shown = "null" if category is None else category
    message = f"category_id {shown} is not in the list of categories"

    assert (0, "a.png", "malformed_record", message) == told(found)


@pytest.mark.parametrize("image", [{"id": 1}, {"id": 1, "file_name": ""}, {"id": 1, "file_name": None}])
def test_an_image_without_file_name_is_a_malformed_record(image: dict[str, Any]) -> None:
    (found,) = read(images=[image])

    assert (
        0,
        image.get("file_name") or None,
        "malformed_record",
        "image entry 0 has no 'file_name'",
    ) == told(found)


@pytest.mark.parametrize("name", ["../secret.png", "a/../../b.png", "..\\b.png", "/etc/passwd", ".."])
def test_a_file_name_that_leaves_the_folder_is_unsafe(name: str) -> None:
    (found,) = read(images=[{"id": 1, "file_name": name}])

    assert (0, name, "unsafe_path", f"image name {name!r} leads out of the images folder") == told(found)


def test_dots_inside_a_name_are_safe() -> None:
    assert [example(file_name="a..b/c...png")] == read(images=[{"id": 1, "file_name": "a..b/c...png"}])


def test_annotations_of_an_unlisted_image_are_a_missing_image() -> None:
    lost = [annotation(n, image=8, bbox=[0, 0, 1, 1][:n]) for n in (3, 4)]
    found = read(annotations=[*lost, annotation(12, image=None)])

    assert example() == found[0]
    assert [
        (1, None, "missing_image", "2 annotations are of image 8, which the file does not list"),
        (1, None, "missing_image", "1 annotation is of image null, which the file does not list"),
    ] == [told(record) for record in found[1:]]


def test_a_bad_record_leaves_its_neighbours_unharmed() -> None:
    images = [{"id": n, "file_name": f"{n}.png"} for n in range(3)]
    found = read(images=images, annotations=[annotation(image=1, bbox=[1])])

    assert [example(file_name="0.png"), example(file_name="2.png", position=2)] == [found[0], found[2]]
    assert "malformed_record" == told(found[1])[2]


@pytest.mark.parametrize(
    "bad",
    [
        {"annotations": [annotation(bbox=[10**400, 0, 1, 1])]},
        {"annotations": [annotation(category=[3], bbox=[0, 0, 1, 1])]},
        {"annotations": [annotation(image=[1], bbox=[0, 0, 1, 1])]},
        {"images": [PHOTO, {"id": [1], "file_name": "b.png"}]},
    ],
    ids=["edge beyond float", "list as category_id", "list as image_id", "list as id"],
)
def test_values_of_an_absurd_type_cost_only_their_record(bad: dict[str, Any]) -> None:
    found = read(**bad)

    assert {"malformed_record", "missing_image"} >= {r.error.reason for r in found if isinstance(r, Bad)}
    assert 1 == len([record for record in found if isinstance(record, Bad)])


@pytest.mark.parametrize("name", [7, ["a.png"]])
def test_the_id_of_a_bad_record_is_text_or_nothing(name: Any) -> None:
    (found,) = read(images=[{"id": 1, "file_name": name}])

    assert (0, None, "malformed_record", "image entry 0 has no 'file_name'") == told(found)


LISTS = "it needs the lists 'images', 'annotations' and 'categories'"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "Expecting an object at character 0"),
        (b"<annotation/>", "Expecting an object at character 0"),
        (b'{"images": [', "Expecting value at character 12"),
        (b'{"images": [{}, {]}', "Expecting property name enclosed in double quotes at character 17"),
        (b"\x1f\x8b\x08", "'utf-8' codec can't decode byte 0x8b in position 1: invalid start byte"),
        (b"[]", "Expecting an object at character 0"),
        (b"{}", LISTS),
        (b'{"images": [], "annotations": []}', LISTS),
        (b'{"images": {}, "annotations": [], "categories": []}', LISTS),
        (b'{"images": [1], "annotations": [], "categories": []}', LISTS),
        (
            b'{"images": [], "annotations": [], "categories": [{"id": 1}]}',
            "every category needs 'id' and 'name'",
        ),
    ],
)
def test_a_file_of_another_format_is_a_data_error(data: bytes, problem: str) -> None:
    with pytest.raises(DataError) as caught:
        read_bytes(data)

    assert f"'/data/set.json' is not COCO JSON: {problem}" == str(caught.value)


@pytest.mark.parametrize(
    "data", [b"[" * 100_000, b'{"images": [], "annotations": [], "categories": [{"id": [1], "name": "a"}]}']
)
def test_absurd_documents_are_data_errors_too(data: bytes) -> None:
    with pytest.raises(DataError, match=r"^'/data/set\.json' is not COCO JSON: "):
        read_bytes(data)


def test_a_byte_order_mark_is_no_obstacle() -> None:
    document = {"images": [PHOTO], "annotations": [], "categories": []}

    assert [example()] == read_bytes(b"\xef\xbb\xbf" + json.dumps(document).encode())
