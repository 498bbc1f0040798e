"""Every element travels as a schema row: what goes in comes out, and equal elements have equal bytes."""

import dataclasses
import typing
from typing import Any

import pytest
from apache_beam import coders

from transforms.exemplars import Exemplar, Showing
from transforms.labels import AssociatedPair, Association, Labelling
from transforms.records import (
    Box,
    Company,
    DeadLetter,
    Example,
    Explanation,
    Finding,
    Group,
    Outside,
    Scene,
    Score,
    Shard,
    Slice,
    Summary,
)

ELEMENTS = (
    *(Box, Slice, Shard, Example, DeadLetter, Explanation, Scene, Company, Outside, Score),
    *(Group, Summary, Finding, Labelling, AssociatedPair, Association, Exemplar, Showing),
)

# Values that a lossy coder would change: text beyond ASCII, 64 bits, a fraction with no short binary form.
VALUES = {str: "bärs 🐻", int: -(2**40) - 1, float: 0.1, bool: True, bytes: b"\x00\xff"}


def filled(element: Any, *, nones: bool = False) -> Any:
    """An instance with a telling value in every field; with `nones`, None in every optional one."""
    kinds = typing.get_type_hints(element)
    return element(
        **{field.name: value_of(kinds[field.name], nones) for field in dataclasses.fields(element)}
    )


def value_of(kind: Any, nones: bool) -> Any:
    arguments = typing.get_args(kind)
    if type(None) in arguments:
        return None if nones else value_of(arguments[0], nones)
    if typing.get_origin(kind) is list:
        return [value_of(arguments[0], nones)] * 2
    return filled(kind) if dataclasses.is_dataclass(kind) else VALUES[kind]


def optional_fields(element: Any) -> list[str]:
    kinds = typing.get_type_hints(element)
    return [name for name, kind in kinds.items() if type(None) in typing.get_args(kind)]


@pytest.mark.parametrize("element", ELEMENTS)
def test_every_element_has_a_deterministic_row_coder(element: Any) -> None:
    coder = coders.registry.get_coder(element)

    assert isinstance(coder, coders.RowCoder)
    assert coder.is_deterministic()


@pytest.mark.parametrize("element", ELEMENTS)
def test_a_full_element_comes_back_as_it_was(element: Any) -> None:
    coder, original = coders.registry.get_coder(element), filled(element)
    decoded = coder.decode(coder.encode(original))

    assert original == decoded
    assert type(original) is type(decoded)


@pytest.mark.parametrize("element", [element for element in ELEMENTS if optional_fields(element)])
def test_none_comes_back_as_none(element: Any) -> None:
    coder, original = coders.registry.get_coder(element), filled(element, nones=True)
    decoded = coder.decode(coder.encode(original))

    assert original == decoded
    assert [None] * len(optional_fields(element)) == [
        getattr(decoded, name) for name in optional_fields(element)
    ]


def test_an_empty_list_and_none_stay_apart() -> None:
    coder = coders.registry.get_coder(Score)
    score = dataclasses.replace(filled(Score), energy_by_region=[], heatmap=None)
    decoded = coder.decode(coder.encode(score))

    assert ([], None) == (decoded.energy_by_region, decoded.heatmap)


@pytest.mark.parametrize("element", ELEMENTS)
def test_equal_elements_have_equal_bytes(element: Any) -> None:
    coder = coders.registry.get_coder(element)

    assert coder.encode(filled(element)) == coder.encode(filled(element))


def names_of(element: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(element)]


def test_a_score_has_the_columns_of_its_table_and_then_its_place() -> None:
    expected = (
        "model example_id source method target_layer target_rule target_class target_name predicted_class "
        "predicted_name target_logit target_probability correct status box_count box_area energy_in_box "
        "density_share peak_in_box rank_accuracy energy_in_other_boxes energy_by_region swap_gap residual "
        "cluster map_height map_width heatmap slices position shard "
        "other_background_probability donor_class scene outside"
    )

    assert expected == " ".join(names_of(Score))


def test_a_finding_has_the_columns_of_its_table() -> None:
    expected = (
        "finding_id model group_kind group_name class_name slice_key slice_value verdict n log10_e_suspect "
        "log10_e_confirmed density_share peers_median swap_gap swap_gap_lower swap_gap_upper residual region "
        "region_share co_occurring_class exemplars message reference detectable_density_share detectable_gap "
        "p_value cohens_d exemplar_details"
    )

    assert expected == " ".join(names_of(Finding))


def test_a_dead_letter_has_the_columns_of_its_table() -> None:
    columns = ["stage", "source", "example_id", "error", "message"]

    assert [*columns, "position"] == names_of(DeadLetter)
