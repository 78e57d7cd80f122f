"""Instants in any spelling, as the engine's microseconds. Naive times are UTC."""

import datetime
import math
import numbers
from typing import Any

from tiffin.errors import InvalidError, SchemaError

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)
_EXPECTED_AGE = (
    "give a span above zero and below 292,000 years, e.g. timedelta(hours=1) or 3600 (seconds)"
)


def to_us(value: Any, where: str) -> int:
    """Microseconds since 1970-01-01T00:00Z of an instant.

    Parameters
    ----------
    value : datetime, date, pandas.Timestamp, numpy.datetime64 or str
        A str in ISO 8601. Naive is UTC; a date is its midnight. Nanoseconds are cut off.
    where : str
        Name of the argument, for the sentence of an error.

    Returns
    -------
    int

    Raises
    ------
    InvalidError
        A text that is no time, or NaT.
    SchemaError
        Something of another type.
    """
    if isinstance(value, str):
        try:
            value = datetime.datetime.fromisoformat(value.strip())
        except ValueError as error:
            raise InvalidError(
                f"{where}: {value!r} is no time; write e.g. 2024-01-31 or 2024-01-31T12:00:00Z"
            ) from error
    elif type(value).__module__ == "numpy" and type(value).__name__ == "datetime64":
        if str(value) == "NaT":
            raise InvalidError(f"{where} is NaT; a time is needed")
        return int(value.astype("datetime64[us]").astype("int64"))
    if isinstance(value, datetime.datetime):
        if value != value:
            raise InvalidError(f"{where} is NaT; a time is needed")
        if value.tzinfo is None:
            value = value.replace(tzinfo=datetime.UTC)
        since: datetime.timedelta = value - _EPOCH
        return since // _MICROSECOND
    if isinstance(value, datetime.date):
        midnight = datetime.datetime(value.year, value.month, value.day, tzinfo=datetime.UTC)
        return (midnight - _EPOCH) // _MICROSECOND
    raise SchemaError(
        f"{where} must be a datetime, a date or a str in ISO 8601, not {type(value).__name__}"
    )


def to_us_or_none(value: Any, where: str) -> int | None:
    """`to_us`, or None for None."""
    return None if value is None else to_us(value, where)


def to_age_us(value: Any, where: str) -> int:
    """Microseconds of a positive span of time.

    Parameters
    ----------
    value : timedelta, or int or float of seconds
        Less than a microsecond is cut off.
    where : str
        Name of the argument, for the sentence of an error.

    Raises
    ------
    InvalidError
        Not positive, not finite, or longer than 292,000 years.
    SchemaError
        Something of another type.
    """
    if isinstance(value, datetime.timedelta):
        age_us = value // _MICROSECOND
    elif isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise SchemaError(
            f"{where} must be a timedelta or a number of seconds, not {type(value).__name__}"
        )
    else:
        try:
            micros = float(value) * 1_000_000
        except OverflowError:
            raise InvalidError(
                f"{where} is a number of more than 300 digits; {_EXPECTED_AGE}"
            ) from None
        age_us = int(micros) if math.isfinite(micros) else 0
    if not 0 < age_us < 1 << 63:
        raise InvalidError(f"{where} is {value!r}; {_EXPECTED_AGE}")
    return age_us
