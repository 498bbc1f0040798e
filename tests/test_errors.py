"""Messages that name the nearest valid word, and errors that survive the way to a worker and back."""

import pickle

import pytest

from transforms.errors import (
    AuditError,
    ConfigError,
    DataError,
    ModelError,
    RecordError,
    RunError,
    UsageError,
    did_you_mean,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("modle", " (did you mean 'model'?)"),
        ("model", " (did you mean 'model'?)"),
        ("label", " (did you mean 'labels'?)"),
        ("zebra", ""),
        ("", ""),
    ],
)
def test_the_closest_word_is_named_or_none(value: str, expected: str) -> None:
    assert expected == did_you_mean(value, ["labels", "model", "models"])


def test_nothing_is_suggested_where_nothing_is_valid() -> None:
    assert "" == did_you_mean("model", [])


def test_valid_words_may_come_from_an_iterator() -> None:
    assert " (did you mean 'fdr'?)" == did_you_mean("fdrr", iter({"fdr": 1, "epsilon": 2}))


@pytest.mark.parametrize("error", [ConfigError, DataError, ModelError])
def test_what_is_found_before_the_run_is_a_usage_error(error: type[AuditError]) -> None:
    assert issubclass(error, UsageError)
    assert issubclass(error, AuditError)


def test_a_failed_run_is_no_usage_error_and_a_bad_record_is_neither() -> None:
    assert issubclass(RunError, AuditError)
    assert not issubclass(RunError, UsageError)
    assert not issubclass(RecordError, AuditError)


def test_a_record_error_keeps_reason_and_message_through_pickling() -> None:
    error = pickle.loads(pickle.dumps(RecordError("missing_image", "there is no file")))

    assert ("missing_image", "there is no file") == (error.reason, error.message)
