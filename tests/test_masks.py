"""`region: mask`: outlines from the readers through the view to measures, against brute force on pixels."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import load_config
from transforms.explain.again.counterfactual import box_mask
from transforms.explain.decode import Decoding, decode_as, with_boxes_of
from transforms.geometry import resize_matrix
from transforms.measure.ground import rectangles
from transforms.measure.localization import density_share
from transforms.measure.wiring import score
from transforms.outlines import moved, pack, polygon_mask, unpack
from transforms.read.common import Bad, Source
from transforms.read.formats import FORMATS
from transforms.records import Box, Example

from .builders import encode, make_example, make_explanation, make_image, write_coco
from .test_audit import rows_of, run
from .test_pictures import oriented

TRIANGLE = [(1.0, 1.0), (7.0, 1.0), (1.0, 7.0)]
FLAT = [1, 1, 7, 1, 1, 7]


def boxed(outline: bytes | None, name: str = "cat") -> Box:
    return Box(name, 1.0, 1.0, 7.0, 7.0, outline=outline)


def coco(segmentation: Any) -> bytes:
    entry = {"image_id": 1, "category_id": 1, "bbox": [1, 1, 6, 6], "segmentation": segmentation}
    images, categories = [{"id": 1, "file_name": "a.jpg"}], [{"id": 1, "name": "cat"}]
    return json.dumps({"images": images, "annotations": [entry], "categories": categories}).encode()


def labelme() -> bytes:
    shape = {"label": "cat", "shape_type": "polygon", "points": TRIANGLE}
    return json.dumps({"imagePath": "a.jpg", "shapes": [shape]}).encode()


CVAT = b'<annotations><image name="a.jpg"><polygon label="cat" points="1,1;7,1;1,7"/></image></annotations>'
YOLO = b"0 .1 .1 .7 .1 .1 .7"


OUTLINED = [("coco", coco([FLAT])), ("labelme", labelme()), ("cvat", CVAT), ("yolo", YOLO)]


@pytest.mark.parametrize(("kind", "data"), OUTLINED)
def test_polygons_are_kept_where_masks_are_measured(kind: str, data: bytes) -> None:
    for region in ("box", "mask"):
        keys = {"format": kind, "images": "photos", "annotations": "x", "region": region}
        settings = FORMATS[kind].settings.model_validate(keys)
        (found,) = FORMATS[kind].read(io.BytesIO(data), Source("x", "0", ()), settings)

        assert isinstance(found, Example)
        (box,) = found.boxes
        scale = 10 if found.relative else 1
        edges = np.array([box.xmin, box.ymin, box.xmax, box.ymax])
        assert pytest.approx([1, 1, 7, 7]) == (scale * edges).tolist()
        if region == "box":
            assert box.outline is None
        else:
            assert box.outline is not None
            np.testing.assert_allclose(TRIANGLE, scale * unpack(box.outline)[0], rtol=1e-6)


def test_a_bad_segmentation_costs_its_image_only_where_masks_are_measured() -> None:
    for region, kind in (("box", Example), ("mask", None)):
        keys = {"format": "coco", "images": "photos", "annotations": "x", "region": region}
        settings = FORMATS["coco"].settings.model_validate(keys)
        (found,) = FORMATS["coco"].read(io.BytesIO(coco([[1, 2]])), Source("x", "0", ()), settings)

        assert isinstance(found, Example) == (kind is Example)


def test_run_lengths_are_pixels_of_the_image() -> None:
    mask = np.zeros((8, 9), bool)
    mask[2:5, 3:8] = True
    counts = np.diff([0, *np.flatnonzero(np.diff(np.pad(mask.T.ravel().astype(int), 1))), 72]).tolist()
    keys = {"format": "coco", "images": "photos", "annotations": "x", "region": "mask"}
    settings = FORMATS["coco"].settings.model_validate(keys)
    data = coco({"size": [8, 9], "counts": counts})
    (found,) = FORMATS["coco"].read(io.BytesIO(data), Source("x", "0", ()), settings)

    assert isinstance(found, Example)
    assert found.boxes[0].outline is not None
    np.testing.assert_array_equal(mask, polygon_mask(unpack(found.boxes[0].outline), 9, 8))


def test_run_lengths_of_cvat_are_rows_of_the_box() -> None:
    shape = '<mask label="cat" rle="{}" left="2" top="3" width="3" height="2"/>'
    keys = {"format": "cvat", "images": "photos", "annotations": "x", "region": "mask"}
    settings = FORMATS["cvat"].settings.model_validate(keys)

    def read(rle: str) -> Example | Bad:
        data = f'<annotations><image name="a.jpg">{shape.format(rle)}</image></annotations>'.encode()
        (found,) = FORMATS["cvat"].read(io.BytesIO(data), Source("x", "0", ()), settings)
        return found

    good = read("1, 2, 1, 1, 1")
    assert isinstance(good, Example)
    assert good.boxes[0].outline is not None
    expected = np.zeros((6, 6), bool)
    expected[3, 3:5] = expected[4, 3] = True
    np.testing.assert_array_equal(expected, polygon_mask(unpack(good.boxes[0].outline), 6, 6))
    for rle, message in {
        "1, x": "the mask of 'cat' is not run lengths",
        "1, 2": "run lengths do not fill a mask of 3 x 2 pixels",
    }.items():
        bad = read(rle)
        assert isinstance(bad, Bad)
        assert ("malformed_record", message) == (bad.error.reason, bad.error.message)


def bitmap(mask: np.ndarray, mode: str = "L") -> str:
    file = io.BytesIO()
    PIL.Image.fromarray(mask.astype(np.uint8)).convert(mode).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def labelme_bitmap(text: Any) -> bytes:
    """LabelMe's mask between the pixels (2, 3) and (4, 4), both within."""
    shape = {"label": "cat", "shape_type": "mask", "points": [[2.0, 3.0], [4.0, 4.0]], "mask": text}
    return json.dumps({"imagePath": "a.jpg", "shapes": [shape]}).encode()


BITMAP = labelme_bitmap(bitmap(np.array([[0, 255, 255], [255, 0, 255]])))


def read_bitmap(text: Any, region: str = "mask") -> Example | Bad:
    keys = {"format": "labelme", "images": "photos", "annotations": "x", "region": region}
    settings = FORMATS["labelme"].settings.model_validate(keys)
    data = labelme_bitmap(text)
    (found,) = FORMATS["labelme"].read(io.BytesIO(data), Source("x", "0", ()), settings)
    return found


@pytest.mark.parametrize("mode", ["L", "1"])
def test_bitmaps_of_labelme_stand_between_their_corners(mode: str) -> None:
    pixels = np.array([[0, 255, 255], [255, 0, 255]])
    expected = np.zeros((6, 6), bool)
    expected[3:5, 2:5] = pixels > 0
    found = read_bitmap(bitmap(pixels, mode))

    assert isinstance(found, Example)
    (box,) = found.boxes
    assert (2.0, 3.0, 5.0, 5.0) == (box.xmin, box.ymin, box.xmax, box.ymax)
    assert box.outline is not None
    np.testing.assert_array_equal(expected, polygon_mask(unpack(box.outline), 6, 6))


@pytest.mark.parametrize(
    "text", ["", "no base64!", "AAAA", 7, bitmap(np.ones((2, 4))), bitmap(np.ones((2, 3)))[:56]]
)
def test_a_bitmap_that_is_none_costs_its_image_only_where_masks_are_measured(text: Any) -> None:
    bad, good = read_bitmap(text), read_bitmap(text, "box")

    assert isinstance(bad, Bad)
    message = "a mask is no PNG of 3 x 2 pixels in base64"
    assert ("malformed_record", message) == (bad.error.reason, bad.error.message)
    assert isinstance(good, Example)


@given(
    st.lists(st.floats(0, 1, width=32), min_size=12, max_size=12).filter(lambda values: sum(values) > 0.1),
    st.lists(st.tuples(st.integers(0, 32), st.integers(0, 32)), min_size=3, max_size=6),
)
def test_measures_of_an_outline_are_those_of_its_pixels(
    heat: list[float], corners: list[tuple[int, int]]
) -> None:
    heatmap = np.array(heat).reshape(3, 4)
    outline = pack([np.array(corners) / 2])
    mask = polygon_mask(unpack(outline), 16, 16)
    upsampled = resize_matrix(16, 3) @ heatmap @ resize_matrix(16, 4).T
    (found,) = score(make_explanation(heatmap=heatmap.tolist(), target_boxes=[boxed(outline)], size=16))

    assert pytest.approx(mask.mean()) == found.box_area
    if found.status == "ok":
        energy = upsampled[mask].sum() / upsampled.sum()
        assert pytest.approx(energy) == found.energy_in_box
        assert pytest.approx(density_share(energy, mask.mean())) == found.density_share
        assert 1 == found.box_count
    else:
        assert not mask.any() or mask.mean() >= 0.95


def test_the_object_of_a_swap_is_what_its_outline_holds() -> None:
    outline = pack([TRIANGLE])
    expected = polygon_mask([np.array(TRIANGLE)], 9, 9)

    np.testing.assert_array_equal(expected, box_mask([boxed(outline)], 9, 9))
    assert 36 > expected.sum() > 10
    assert expected.sum() == sum((r - l) * (b - t) for l, t, r, b in rectangles([boxed(outline)], 9, 9))  # noqa: E741


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_outlines_follow_the_orientation(orientation: int, relative: bool) -> None:
    """The pixels inside are the white ones, as stored and upright."""
    stored = np.zeros((8, 12, 3), np.uint8)
    triangle = np.array([(1.0, 1.0), (7.25, 1.0), (1.0, 7.25)])  # its sides meet no pixel's centre
    stored[polygon_mask([triangle], 12, 8)] = 255
    scale = np.array([12, 8]) if relative else np.array([1, 1])
    box = boxed(pack([triangle / scale]))
    example = make_example(boxes=[box], relative=relative)
    data = oriented(stored, orientation)
    for upright in (False, True):
        decoded = decode_as(data, Decoding(upright))
        found = with_boxes_of(decoded, example)
        height, width = np.asarray(decoded.image).shape[:2]
        size = (width, height) if found.relative else (1, 1)
        outline = moved(found.boxes[0].outline, lambda x, y, size=size: (x * size[0], y * size[1]))

        assert outline is not None
        inside = polygon_mask(unpack(outline), width, height)
        np.testing.assert_array_equal(np.asarray(decoded.image)[..., 0] == 255, inside)


def test_an_audit_of_masks(tmp_path: Path, tiny_model: Path) -> None:
    """Of a triangle that is half its box, by run lengths and by polygon; the third has a box only."""
    pictures = {name: encode(make_image()) for name in ("a.png", "b.png", "c.png")}
    boxes = {name: [("cat", (0, 0, 16, 16))] for name in pictures}
    path = write_coco(tmp_path, images=pictures, boxes=boxes)
    document = json.loads(path.read_text())
    mask = polygon_mask([np.array([(0, 0), (15.9, 0), (0, 15.9)])], 16, 16)
    changes = np.flatnonzero(np.diff(np.pad(mask.T.ravel().astype(int), 1)))
    counts = np.diff([0, *changes, 256]).tolist()
    document["annotations"][0]["segmentation"] = [[0, 0, 15.9, 0, 0, 15.9]]
    document["annotations"][1]["segmentation"] = {"size": [16, 16], "counts": counts}
    path.write_text(json.dumps(document))
    config = {
        "name": "masks",
        "data": {
            "format": "coco",
            "images": "images",
            "annotations": "set.json",
            "region": "mask",
            "class_map": {"cat": 0},
        },
        "models": [{"name": "tiny", "path": str(tiny_model)}],
        "explain": {"methods": ["hirescam"]},
        "judge": {"confirm": False},
        "output": "audits",
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    plan = run(load_config(str(tmp_path / "config.yaml")))
    rows = sorted(rows_of(plan, "scores"), key=lambda row: str(row["example_id"]))

    assert [mask.mean(), mask.mean(), 1.0] == [row["box_area"] for row in rows]
    assert ["ok", "ok", "full_box"] == [row["status"] for row in rows]
    assert [1, 1, 1] == [row["box_count"] for row in rows]
