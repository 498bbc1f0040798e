"""Every error the audit raises on purpose.

* AuditError                 something the user can mend; the message says how
  x UsageError               found before the run starts; exit status 2
    + ConfigError            the config file: missing, not YAML, unknown key, wrong type
    + DataError              the data: a glob that matches nothing, an annotation file of another format
    + ModelError             a model: missing file, not a classifier, unknown layer
      - UnknownClassError    a class index that the model does not have
  x RunError                 found while or after the pipeline ran; exit status 3
* RecordError                one bad record; becomes a row of `dead_letters`, never an exception of the run
"""

import difflib
from collections.abc import Iterable


class AuditError(Exception):
    """Something the user can mend; `str(error)` says what and how."""


class UsageError(AuditError):
    """The request cannot be carried out as it stands; found before the run starts."""


class ConfigError(UsageError):
    """The config file is missing, is not YAML, or says something the audit does not understand."""


class DataError(UsageError):
    """The data named in the config cannot be read at all."""


class ModelError(UsageError):
    """A model cannot be loaded, or is not a classifier that Grad-CAM can explain."""


class UnknownClassError(ModelError):
    """A group of classes names one that the model does not have.

    Args:
        index: the class index.
        classes: how many classes the model has.
    """

    def __init__(self, index: int, classes: int) -> None:
        super().__init__(f"class {index} is none of the model's classes 0 to {classes - 1}")
        self.classes = classes


class RunError(AuditError):
    """The pipeline ran, but what it wrote is not a complete audit."""


class RecordError(Exception):
    """One record cannot be used.

    Args:
        reason: the reason code that stands in `dead_letters.error`, such as `undecodable_image`.
        message: what was found, for a person.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message


def did_you_mean(value: str, valid: Iterable[str]) -> str:
    """Returns `" (did you mean 'x'?)"` for the closest of `valid`, or an empty string."""
    close = difflib.get_close_matches(value, list(valid), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""
