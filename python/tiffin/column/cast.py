"""Columns as another type, where that loses nothing: how rows are fitted to files that exist.

The rules are those by which the engine reads a source as its declared types (docs/writing.md):
whole numbers keep their value or are refused, floats are rounded to the width that the files have,
times keep their instant.
"""

from typing import Any

from tiffin.column.logical import column_from_plain, is_logical
from tiffin.errors import InvalidError, SchemaError
from tiffin.store.times import to_us


def cast_column(column: Any, target: Any, name: str, what: str) -> Any:
    """Return a column as another Arrow type.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Without dictionaries and views (`tiffin.column.plain`).
    target : pyarrow.DataType
    name, what : str
        Of the column and of its table, for sentences.

    Returns
    -------
    pyarrow.ChunkedArray

    Raises
    ------
    SchemaError
        The types have nothing in common (names column and types), or a value does not fit (names
        row, column and value).
    InvalidError
        A text that is no time.
    """
    import pyarrow as pa

    if column.type == target:
        return column
    if pa.types.is_timestamp(target) and _is_text(column.type):
        column = _parse_times(column, name, what)
    if is_logical(target) and (_is_text(column.type) or _is_list(column.type)):
        return _from_texts(column, target, name, what)
    if not _may_cast(column.type, target):
        raise SchemaError(f"column {name!r} of {what} holds {column.type}; the files hold {target}")
    try:
        return _cast(column, target)
    except pa.ArrowInvalid:
        i = _first_misfit(column, target)
        raise SchemaError(
            f"{what}: column {name!r}, row {i} (counted from 0): value {column[i].as_py()!r} does "
            f"not fit {target}, the type in the files"
        ) from None


def _from_texts(column: Any, target: Any, name: str, what: str) -> Any:
    """Read texts as the decimals, UUIDs, maps or structs that the files hold."""
    import pyarrow as pa

    parts = []
    for i in range(len(column)):
        try:
            parts.append(column_from_plain(column.slice(i, 1), target))
        except (pa.ArrowException, ValueError, ArithmeticError, TypeError, AttributeError):
            raise SchemaError(
                f"{what}: column {name!r}, row {i} (counted from 0): value "
                f"{column[i].as_py()!r} does not fit {target}, the type in the files"
            ) from None
    chunks = [chunk for part in parts for chunk in part.chunks]
    return pa.chunked_array(chunks, target).combine_chunks()


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_bytes(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    is_ = pa.types
    return bool(is_.is_list(kind) or is_.is_large_list(kind) or is_.is_fixed_size_list(kind))


def _may_cast(found: Any, target: Any) -> bool:
    import pyarrow as pa

    is_ = pa.types
    if found == target or is_.is_null(found):
        return True
    if _is_list(found) or _is_list(target):
        both = _is_list(found) and _is_list(target)
        return both and _may_cast(found.value_type, target.value_type)
    if is_.is_integer(target) or is_.is_floating(target):
        return bool(is_.is_integer(found) or is_.is_floating(found))
    if is_.is_timestamp(target):
        return bool(is_.is_timestamp(found) or is_.is_date(found))
    if is_.is_date(target):
        return bool(is_.is_date(found))
    return (_is_text(found) and _is_text(target)) or (_is_bytes(found) and _is_bytes(target))


def _cast(column: Any, target: Any) -> Any:
    import pyarrow as pa

    is_ = pa.types
    if is_.is_timestamp(target) and (is_.is_timestamp(column.type) or is_.is_date(column.type)):
        # By way of the number: a naive time is UTC, whichever side it stands on.
        if is_.is_date(column.type):
            column = column.cast(pa.timestamp("s"))
        naive = column.cast(pa.int64()).cast(pa.timestamp(column.type.unit))
        return naive.cast(pa.timestamp(target.unit)).cast(pa.int64()).cast(target)
    return column.cast(target)


def _first_misfit(column: Any, target: Any) -> int:
    """Return the first row that cannot be cast, by halving: there is one."""
    import pyarrow as pa

    begin, n = 0, len(column)
    while n > 1:
        half = n // 2
        try:
            _cast(column.slice(begin, half), target)
        except pa.ArrowInvalid:
            n = half
        else:
            begin, n = begin + half, n - half
    return begin


def _parse_times(column: Any, name: str, what: str) -> Any:
    """Read texts as times, as the engine does for the same column (naive is UTC)."""
    import pyarrow as pa

    times = []
    for i, text in enumerate(column.to_pylist()):
        try:
            times.append(None if text is None else to_us(text, "time"))
        except InvalidError:
            raise InvalidError(
                f"{what}: column {name!r}, row {i} (counted from 0): {text!r} is not a time; write "
                "it as 2024-01-31T12:00:00Z"
            ) from None
        if text is not None and _n_fraction_digits(text) > 6:
            raise InvalidError(
                f"{what}: column {name!r}, row {i} (counted from 0): {text!r} is finer than "
                "microseconds; give such times as timestamps"
            )
    return pa.chunked_array([pa.array(times, pa.timestamp("us", "UTC"))])


def _n_fraction_digits(text: str) -> int:
    _, _, fraction = text.partition(".")
    return len(fraction) - len(fraction.lstrip("0123456789"))
