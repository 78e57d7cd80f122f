"""Errors: one class per code of the engine, each also the built-in class that people expect.

The sentence is the engine's own; it says what was asked, what was found and what to do.
"""

import sys
import warnings
from typing import ClassVar


class TiffinError(Exception):
    """Whatever Tiffin raises on purpose.

    Attributes
    ----------
    code : str
        Name of the engine's code, e.g. ``"NOT_FOUND"``.
    """

    code: ClassVar[str] = ""

    def __str__(self) -> str:
        # KeyError would show the sentence quoted, OSError might reorder its parts.
        return str(self.args[0]) if self.args else ""


class InvalidError(TiffinError, ValueError):
    """The caller passed something wrong."""

    code = "INVALID"


class NotFoundError(TiffinError, KeyError):
    """No such object."""

    code = "NOT_FOUND"


class SchemaError(TiffinError, TypeError):
    """A column is missing or of another type; an argument is of the wrong type."""

    code = "SCHEMA"


class LimitError(TiffinError, MemoryError):
    """A stated limit would be passed."""

    code = "LIMIT"


class NoMemoryError(TiffinError, MemoryError):
    """The allocator refused."""

    code = "NO_MEMORY"


class IoError(TiffinError, OSError):
    """The operating system or a peer reported an error."""

    code = "IO"


class CorruptError(TiffinError, RuntimeError):
    """Bytes on disk or wire fail their check."""

    code = "CORRUPT"


class ConflictError(TiffinError, RuntimeError):
    """Somebody else changed the same thing first."""

    code = "CONFLICT"


class CancelledError(TiffinError, RuntimeError):
    """The caller asked to stop."""

    code = "CANCELLED"


class TimedOutError(CancelledError, TimeoutError):
    """A stated ``timeout`` passed before the work was done."""


class SavedDatasetAlreadyExists(ConflictError):  # noqa: N818 - named as Feast names its twin
    """A saved dataset of this name exists, and may not be replaced."""


class SavedDatasetLocationAlreadyExists(ConflictError):  # noqa: N818 - Feast's name
    """Something exists where a dataset was to be written, and may not be replaced."""


class EntityNotFoundException(NotFoundError):  # noqa: N818 - Feast's name
    """`get_entity`: there is none of this name."""


class DataSourceObjectNotFoundException(NotFoundError):  # noqa: N818 - Feast's name
    """`get_data_source`: there is none of this name."""


class FeatureViewNotFoundException(NotFoundError):  # noqa: N818 - Feast's name
    """`get_feature_view`: there is none of this name."""


class OnDemandFeatureViewNotFoundException(NotFoundError):  # noqa: N818 - Feast's name
    """`get_on_demand_feature_view`: there is none of this name."""


class FeatureServiceNotFoundException(NotFoundError):  # noqa: N818 - Feast's name
    """`get_feature_service`: there is none of this name."""


class SavedDatasetNotFound(NotFoundError):  # noqa: N818 - Feast's name
    """`get_saved_dataset`: there is none of this name."""


class ValidationReferenceNotFound(NotFoundError):  # noqa: N818 - Feast's name
    """`get_validation_reference`: there is none of this name."""


class PermissionObjectNotFoundException(NotFoundError):  # noqa: N818 - Feast's name
    """`get_permission`: there is none of this name."""


class ProjectObjectNotFoundException(NotFoundError):  # noqa: N818 - Feast's name
    """`get_project`: there is none of this name."""


class PushSourceNotFoundException(NotFoundError):  # noqa: N818 - Feast's name
    """There is no such push source, or no feature view on it."""


class RequestDataNotFoundInEntityRowsException(NotFoundError):  # noqa: N818 - Feast's name
    """Entity rows of a lookup lack a field that an on-demand feature view takes from them."""


class RequestDataNotFoundInEntityDfException(NotFoundError):  # noqa: N818 - Feast's name
    """Entity rows of a training set lack a field that an on-demand feature view takes from them."""


class UnsupportedError(TiffinError, NotImplementedError):
    """The build or the store cannot do it."""

    code = "UNSUPPORTED"


class UnavailableError(TiffinError, ConnectionError):
    """A server that is needed (Redis) is away or does not answer in time; it may be back soon."""

    code = "UNAVAILABLE"


class TiffinWarning(UserWarning):
    """Something that works, but not as one may think."""


def warn(sentence: str) -> None:
    """Issue a `TiffinWarning` at the line of the caller's that led here."""
    level = 1
    frame = sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("tiffin."):
        frame = frame.f_back
        level += 1
    warnings.warn(sentence, TiffinWarning, stacklevel=level)


BY_CODE: dict[str, type[TiffinError]] = {
    cls.code: cls
    for cls in (
        InvalidError,
        NotFoundError,
        SchemaError,
        LimitError,
        NoMemoryError,
        IoError,
        CorruptError,
        ConflictError,
        CancelledError,
        UnsupportedError,
        UnavailableError,
    )
}
"""Class of every code of the engine but OK, by the code's name."""
