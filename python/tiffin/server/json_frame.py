"""JSON columns as an Arrow table, by the rules of `src/server/frame_json.h`."""

import base64
import binascii
import datetime as dt
from collections.abc import Callable
from typing import Any

from tiffin.errors import InvalidError
from tiffin.store.times import to_us

_EPOCH = dt.date(1970, 1, 1)
_INT64_MAX = 2**63 - 1


def read_columns(columns: dict[str, Any], declared: dict[str, str]) -> Any:
    """Return ``{"driver_id": [1, 2], "rate": [0.5, null]}`` as a `pyarrow.Table`.

    Parameters
    ----------
    columns : dict of str to list
    declared : dict of str to str
        Types of columns, e.g. ``"array<bytes>"``: they say what texts and numbers mean.

    Raises
    ------
    InvalidError
        What is wrong, with column, row (from 0) and item.
    """
    import pyarrow as pa

    arrays = {}
    for name, values in columns.items():
        if not isinstance(values, list):
            word = _word(values)
            raise InvalidError(f"column {name!r} of df is {word}; expected a list of values")
        arrays[name] = _read_column(name, values, declared.get(name, ""))
    first = next(iter(arrays), "")
    for name, array in arrays.items():
        if len(array) != len(arrays[first]):
            raise InvalidError(
                f"column {name!r} of df has {len(array)} values, and column {first!r} has "
                f"{len(arrays[first])}; all columns need equally many"
            )
    return pa.table(arrays)


def _read_column(name: str, values: list[Any], dtype: str) -> Any:
    import pyarrow as pa

    is_list = any(isinstance(value, list) for value in values)
    item_type = dtype.removeprefix("array<").removeprefix("set<").removesuffix(">")
    where = f"column {name!r}, row {{}} (counted from 0): "
    places = [
        (where.format(row) + (f"item {i}: " if is_list else ""), item)
        for row, value in enumerate(values)
        if value is not None
        for i, item in enumerate(value if is_list and isinstance(value, list) else [value])
    ]
    if is_list:
        for row, value in enumerate(values):
            if value is not None and not isinstance(value, list):
                raise InvalidError(f"{where.format(row)}{_word(value)} beside lists")
    kind, read = _meaning(places, item_type)
    if not is_list:
        return pa.array([None if v is None else read(v) for v in values], kind)
    lists = [
        None if v is None else [None if item is None else read(item) for item in v] for v in values
    ]
    return pa.array(lists, pa.large_list(kind))


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    words = {str: "a text", list: "a list", dict: "an object", type(None): "null"}
    return words.get(type(value), "a number")


def _meaning(places: list[tuple[str, Any]], dtype: str) -> tuple[Any, Callable[[Any], Any]]:
    """Return the Arrow type that values share, and what makes one of JSON's of them."""
    import pyarrow as pa

    before = ""
    for where, value in places:
        word = _word(value)
        if value is None:
            continue
        if isinstance(value, dict | list):
            what = "an object" if isinstance(value, dict) else "a list in a list"
            raise InvalidError(
                f"{where}{what}; a value is a text, a number, true, false, null, or a list of these"
            )
        if before and word != before:
            raise InvalidError(
                f"{where}{word}, where a value before it is {before}; the values of a column have "
                "one type"
            )
        before = word
    if before == "a number":
        return _meaning_of_numbers(places, dtype)
    if before == "a text":
        return _meaning_of_texts(places, dtype)
    return (pa.bool_() if before else pa.null()), lambda value: value


def _meaning_of_numbers(
    places: list[tuple[str, Any]], dtype: str
) -> tuple[Any, Callable[[Any], Any]]:
    import pyarrow as pa

    numbers = [(where, value) for where, value in places if value is not None]
    is_whole = all(type(v) is int and -_INT64_MAX - 1 <= v <= _INT64_MAX for _, v in numbers)
    if is_whole:
        kind = pa.timestamp("s", "UTC") if dtype == "timestamp" else pa.int64()
        return kind, lambda value: value
    for where, value in numbers:
        if type(value) is int and (abs(value) > 1 << 1023 or int(float(value)) != value):
            raise InvalidError(
                f"{where}{value} stands in a column with fractions, or beyond int64, and no "
                "float64 has that value"
            )
    return pa.float64(), float


def _meaning_of_texts(
    places: list[tuple[str, Any]], dtype: str
) -> tuple[Any, Callable[[Any], Any]]:
    import pyarrow as pa

    readers: dict[str, tuple[Any, Callable[[str], Any]]] = {
        "bytes": (pa.large_binary(), _read_base64),
        "timestamp": (pa.timestamp("us", "UTC"), lambda text: to_us(text, "the text")),
        "date": (pa.date32(), _read_date),
    }
    if dtype not in readers:
        return pa.large_string(), lambda value: value
    kind, read = readers[dtype]
    for where, value in places:  # to say where
        try:
            if value is not None:
                read(value)
        except InvalidError as error:
            raise InvalidError(f"{where}{error}") from None
    return kind, read


def _read_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidError(
            "the text is no base64; bytes are written as padded base64 (RFC 4648)"
        ) from None


def _read_date(text: str) -> int:
    days, rest = divmod(to_us(text, "the text"), 86_400_000_000)
    if rest != 0:
        raise InvalidError(f"{text!r} has a time of day, and the column is of dates")
    return days
