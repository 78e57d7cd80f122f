"""Values of definitions that are kept without being understood, as documents can hold them."""

import datetime
import enum
from collections.abc import Mapping
from typing import Any

_MICROSECOND = datetime.timedelta(microseconds=1)
_INT64 = 2**63


def as_plain(value: Any) -> Any:
    """Return a value as JSON types with whole numbers only, equal for equal values.

    A fraction becomes its text, a timedelta whole microseconds, an enumeration's member its name,
    a class or function its name, and any other object its class with what it holds.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if -_INT64 <= value < _INT64 else str(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, datetime.timedelta):
        return {"microseconds": value // _MICROSECOND}
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): as_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(as_plain(item) for item in value)
    return _object_as_plain(value)


def _object_as_plain(value: Any) -> Any:
    if isinstance(value, type) or callable(value):
        return str(getattr(value, "__qualname__", type(value).__qualname__))
    if hasattr(value, "to_document"):
        return as_plain(value.to_document())
    members = {key: item for key, item in vars(value).items() if not key.startswith("_")}
    return {"class": type(value).__name__, **{key: as_plain(item) for key, item in members.items()}}
