"""The axes of an image followed through single operations, and maps read back in any layout."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from transforms.explain.follow import drops_the_map, follow
from transforms.explain.layout import Layout, as_map, grid_of, of_image, of_tokens

MAP = "n2 r4 c6 k3"
WEIGHTS = tf.constant(np.ones((3, 5), np.float32))


def written(layout: Layout | None) -> str | None:
    """A layout as text: n batch, r rows, c columns, t tokens (skipped+grid), k channels; axes by spaces."""
    letters = {"batch": "n", "row": "r", "column": "c", "token": "t", "channel": "k"}
    if layout is None:
        return None
    return " ".join(
        "".join(
            f"{letters[p.role]}{p.size}"
            + (f"({p.skip}+{p.grid[0]}x{p.grid[1]})" if p.role == "token" else "")
            for p in axis
        )
        or "1"
        for axis in layout
    )


def layouts_of(
    build: Callable[[tf.Tensor], tf.Tensor],
    shape: tuple[int, ...] = (2, 4, 6, 3),
    data_format: bytes = b"NHWC",
) -> tuple[tf.Tensor, dict[str, Layout]]:
    """Traces a function of an image and follows its layout to the function's output."""
    found: list[tuple[tf.Tensor, dict[str, Layout]]] = []

    def trace(image: tf.Tensor) -> tf.Tensor:
        output = build(image)
        layouts = {image.name: of_image(image, data_format)}
        for op in image.graph.get_operations():
            layout = follow(op, layouts)
            for tensor in op.outputs if layout is not None else ():
                layouts[tensor.name] = layout
        found.append((output, layouts))
        return output

    tf.function(trace, autograph=False).get_concrete_function(tf.TensorSpec(shape, tf.float32))
    return found[0]


def followed(build: Callable[[tf.Tensor], tf.Tensor], **options: object) -> str | None:
    output, layouts = layouts_of(build, **options)  # type: ignore[arg-type]
    return written(layouts.get(output.name))


def tokens(x: tf.Tensor) -> tf.Tensor:
    return tf.reshape(x, (2, 24, 3))


def with_class(x: tf.Tensor) -> tf.Tensor:
    return tf.concat([tf.zeros((2, 1, 3)), tokens(x)], axis=1)


CASES: dict[str, tuple[Callable[[tf.Tensor], tf.Tensor], str | None]] = {
    "elementwise": (lambda x: tf.nn.relu(x) + 1.0, MAP),
    "convolution": (lambda x: tf.nn.conv2d(x, tf.ones((3, 3, 3, 7)), 2, "SAME"), "n2 r2 c3 k7"),
    "pooling": (lambda x: tf.nn.max_pool2d(x, 2, 2, "VALID"), "n2 r2 c3 k3"),
    "resizing": (lambda x: tf.image.resize(x, (8, 9)), "n2 r8 c9 k3"),
    "padding": (lambda x: tf.pad(x, [[0, 0], [1, 1], [2, 0], [0, 0]]), "n2 r6 c8 k3"),
    "cropping": (lambda x: x[:, 1:, :-1], "n2 r3 c5 k3"),
    "every second pixel": (lambda x: x[:, ::2, 1::2], "n2 r2 c3 k3"),
    "channels side by side": (lambda x: tf.concat([x, 2 * x], axis=-1), "n2 r4 c6 k6"),
    "images above each other": (lambda x: tf.concat([x, 2 * x], axis=1), None),
    "to channels first": (lambda x: tf.transpose(x, (0, 3, 1, 2)), "n2 k3 r4 c6"),
    "mirrored": (lambda x: tf.reverse(x, [2]), None),
    "rolled": (lambda x: tf.roll(x, 1, axis=1), None),
    "rolled beside the image": (lambda x: tf.roll(x, 1, axis=1) + x, MAP),
    "gate of a squeeze": (lambda x: x * tf.reduce_mean(x, (1, 2), keepdims=True), MAP),
    "halves of the channels": (
        lambda x: tf.split(tf.concat([x, x], -1), 2, axis=-1)[1],
        MAP,
    ),
    "a convolution of what was lost": (
        lambda x: tf.nn.conv2d(tf.roll(x, 1, axis=1), tf.ones((1, 1, 3, 7)), 1, "SAME"),
        "n2 r4 c6 k7",
    ),
    "transposed convolution": (
        lambda x: tf.nn.conv2d_transpose(x, tf.ones((2, 2, 5, 3)), (2, 8, 12, 5), 2),
        "n2 r8 c12 k5",
    ),
    "class token dropped with an ellipsis": (lambda x: with_class(x)[:, 1:, ...], "n2 t24(0+4x6) k3"),
    "channels taken with an ellipsis": (lambda x: x[..., 1:], "n2 r4 c6 k2"),
    "mean over positions": (lambda x: tf.reduce_mean(x, (1, 2)), None),
    "mean over channels": (lambda x: tf.reduce_mean(x, -1, keepdims=True), "n2 r4 c6 1"),
    "normalised channels": (lambda x: x - tf.reduce_mean(x, -1, keepdims=True) * tf.ones(3), MAP),
    "tokens": (tokens, "n2 r4c6 k3"),
    "tokens as rows of a matrix": (lambda x: tf.reshape(x, (48, 3)) @ WEIGHTS, "n2r4c6 k5"),
    "tokens and back": (lambda x: tf.reshape(tokens(x) @ WEIGHTS, (2, 4, 6, 5)), "n2 r4 c6 k5"),
    "class token": (with_class, "n2 t25(1+4x6) k3"),
    "class token behind": (
        lambda x: tf.concat([tokens(x), tf.zeros((2, 1, 3))], axis=1),
        "n2 t25(0+4x6) k3",
    ),
    "class token dropped": (lambda x: with_class(x)[:, 1:], "n2 t24(0+4x6) k3"),
    "one of two class tokens dropped": (
        lambda x: tf.concat([tf.zeros((2, 1, 3)), with_class(x)], axis=1)[:, 1:],
        "n2 t25(1+4x6) k3",
    ),
    "part of the tokens": (lambda x: with_class(x)[:, 2:], None),
    "class token alone": (lambda x: with_class(x)[:, 0], None),
    "patches": (
        lambda x: tf.reshape(tf.transpose(tf.reshape(x, (2, 2, 2, 3, 2, 3)), (0, 1, 3, 2, 4, 5)), (2, 6, 12)),
        "n2 r2c3 k12",
    ),
    "heads": (lambda x: tf.transpose(tf.reshape(tokens(x), (2, 24, 3, 1)), (0, 2, 1, 3)), "n2 k3 r4c6 1"),
    "einsum with weights": (lambda x: tf.einsum("abcd,de->abce", x, WEIGHTS), "n2 r4 c6 k5"),
    "einsum over positions": (lambda x: tf.einsum("abcd,ce->abed", x, tf.ones((6, 6))), None),
    "attention": (lambda x: tf.matmul(tokens(x), tokens(x), transpose_b=True), None),
    "tokens mixed by weights": (
        lambda x: tf.matmul(tf.transpose(tokens(x), (0, 2, 1)), tf.ones((24, 24))),
        None,
    ),
    "windows": (
        lambda x: tf.reshape(tf.transpose(tf.reshape(x, (2, 2, 2, 3, 2, 3)), (0, 1, 3, 2, 4, 5)), (12, 4, 3)),
        "n2r2c3 k4 k3",
    ),
    "a part of a row merged with another axis": (lambda x: tf.reshape(x, (2, 3, 8, 3)), None),
}


@pytest.mark.parametrize("case", CASES)
def test_the_layout_after_an_operation(case: str) -> None:
    build, expected = CASES[case]

    assert expected == followed(build)


def test_channels_first_stays_channels_first() -> None:
    assert "n2 k7 r4 c6" == followed(
        lambda x: tf.nn.conv2d(x, tf.ones((1, 1, 3, 7)), 1, "SAME", data_format="NCHW"),
        shape=(2, 3, 4, 6),
        data_format=b"NCHW",
    )


@pytest.mark.parametrize(
    ("case", "grid"),
    [
        ("elementwise", (4, 6)),
        ("to channels first", (4, 6)),
        ("tokens", (4, 6)),
        ("class token", (4, 6)),
        ("patches", (2, 3)),
        ("windows", None),
        ("tokens as rows of a matrix", None),
        ("mean over channels", None),
    ],
)
def test_what_is_a_feature_map(case: str, grid: tuple[int, int] | None) -> None:
    output, layouts = layouts_of(CASES[case][0])

    assert grid == grid_of(layouts[output.name])


@pytest.mark.parametrize(
    "case", ["elementwise", "to channels first", "tokens", "class token", "class token behind"]
)
def test_a_map_of_any_layout_is_read_back_as_the_image(case: str) -> None:
    build, _ = CASES[case]
    image = np.random.default_rng(0).random((2, 4, 6, 3)).astype(np.float32)
    output, layouts = layouts_of(build)
    expected = image + 1 if case == "elementwise" else image

    np.testing.assert_allclose(as_map(build(tf.constant(image)), layouts[output.name]), expected)


def test_patches_are_read_back_as_rows_and_columns_of_pixels() -> None:
    build, _ = CASES["patches"]
    image = np.arange(2 * 4 * 6 * 3, dtype=np.float32).reshape(2, 4, 6, 3)
    output, layouts = layouts_of(build)
    found = as_map(build(tf.constant(image)), layouts[output.name]).numpy()

    np.testing.assert_array_equal(image[1, 2:4, 2:4].ravel(), found[1, 1, 1])


@pytest.mark.parametrize(
    ("take", "drops"),
    [
        (lambda x: x[:, 0], True),
        (lambda x: x[:, :1], True),
        (lambda x: tf.gather(x, 0, axis=1), True),
        (lambda x: tf.slice(x, (0, 0, 0), (2, 1, 3)), True),
        (lambda x: x[:, -1], False),
        (lambda x: x[:, 1:], False),
        (lambda x: x[0], False),
        (lambda x: x + 1.0, False),
    ],
)
def test_what_takes_only_the_class_token_loses_the_map(
    take: Callable[[tf.Tensor], tf.Tensor], drops: bool
) -> None:
    output, layouts = layouts_of(lambda x: take(with_class(x)))

    assert drops == drops_the_map(output.op, layouts[output.op.inputs[0].name])


def test_tokens_of_a_given_grid() -> None:
    def grid(shape: tuple[int, ...]) -> str | None:
        return written(of_tokens(tf.zeros(shape), (2, 3)))

    assert "n4 t6(0+2x3) k5" == grid((4, 6, 5))
    assert "n4 t8(2+2x3) k5" == grid((4, 8, 5))
    assert [None, None, None] == [grid((4, 5, 5)), grid((4, 40, 5)), grid((4, 6))]
