"""Which targets an example has, given what its names mean to the model."""

from transforms.explain.targets import ClassMap, Target, find_label, plan_targets

CLASSES = ClassMap({"cat": [3], "dog": [5, 6], "wolf": [5, 6], "fish": [1, 2]})


def test_groups_are_the_sets_of_several_classes_each_once() -> None:
    assert [(5, 6), (1, 2)] == CLASSES.groups
    assert [3, -10, -10, -11] == [CLASSES.code(name) for name in ("cat", "dog", "wolf", "fish")]


def test_each_mapped_name_is_a_target_and_other_rules_are_one_each() -> None:
    targets = plan_targets(["dog", "ufo", "cat"], CLASSES, ("annotated", "predicted", "runner_up"))

    assert [
        Target("annotated", "dog", -10),
        Target("annotated", "cat", 3),
        Target("predicted", None, -1),
        Target("runner_up", None, -2),
    ] == targets


def test_an_example_whose_names_are_all_unmapped_has_no_target() -> None:
    assert [] == plan_targets(["ufo"], CLASSES, ("annotated", "predicted"))
    assert ["ufo"] == CLASSES.unmapped(["ufo", "cat"])


def test_an_example_without_names_keeps_one_target_without_a_class() -> None:
    assert [Target("annotated", None, -3), Target("predicted", None, -1)] == plan_targets(
        [], CLASSES, ("annotated", "predicted")
    )


def test_a_name_means_each_of_its_classes() -> None:
    assert [False, True, True] == [CLASSES.means("dog", index) for index in (3, 5, 6)]
    assert not CLASSES.means("ufo", 3)


def test_listed_classes_are_targets_of_every_example_that_has_one() -> None:
    assert [
        Target("annotated", "cat", 3),
        Target("listed", None, 7),
        Target("listed", None, 3),
    ] == plan_targets(["cat"], CLASSES, ("annotated",), (7, 3))
    assert [] == plan_targets(["ufo"], CLASSES, ("annotated",), (7,))


def test_a_label_is_found_by_itself_or_by_a_synonym_of_its_own() -> None:
    labels = ["tabby, tabby cat", "crane", "crane, bird", "cat"]

    assert [0, 0, 1, 3, None] == [
        find_label(name, labels) for name in ("tabby", "tabby, tabby cat", "crane", "cat", "dog")
    ]
