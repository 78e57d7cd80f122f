"""Columns of two training sets, made comparable; and entity rows a little earlier."""

import re
from typing import Any

from tiffin.column.plain import to_plain
from tiffin.errors import SchemaError
from tiffin.store.times import to_us

_BEYOND_MICROSECONDS = re.compile(r"\.\d{6}(\d{1,3})")


def as_sql_reads(column: Any) -> Any:
    """Return a column for DuckDB: plain, without half floats, and without NaN, which is null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = to_plain(column)
    if pa.types.is_float16(column.type):
        column = column.cast(pa.float32())
    if not pa.types.is_floating(column.type):
        return column
    return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)


def comparable(theirs: Any, known: Any, name: str) -> tuple[Any, Any]:
    """Return both columns so that equal values are equal: 1.0 of pandas and 1, but not 1.5 and 1.

    Parameters
    ----------
    theirs, known : pyarrow.ChunkedArray
        Of a finished training set, and of the store.
    name : str
        The feature's.

    Raises
    ------
    SchemaError
        They are of types between which nothing is equal.
    """
    import pyarrow as pa

    theirs, known = as_sql_reads(theirs), as_sql_reads(known)
    if theirs.type == known.type:
        return theirs, known
    try:
        return theirs.cast(known.type), known
    except pa.ArrowInvalid:  # not without loss, so compare in what holds both
        wider = _wider(theirs, known)
        if wider is not None:
            return wider
    except pa.ArrowNotImplementedError:
        pass
    raise SchemaError(
        f"column {name!r} of the training set holds {theirs.type}; the feature is {known.type}"
    )


def _wider(theirs: Any, known: Any) -> tuple[Any, Any] | None:
    import pyarrow as pa

    if pa.types.is_timestamp(theirs.type) and pa.types.is_timestamp(known.type):
        units = ("s", "ms", "us", "ns")
        finest = max(theirs.type.unit, known.type.unit, key=units.index)
        # As numbers: DuckDB has no nanoseconds with a zone.
        ours, others = (
            column.cast(pa.timestamp(finest, column.type.tz), safe=False).cast(pa.int64())
            for column in (known, theirs)
        )
        return others, ours
    return (theirs, known) if is_number(theirs.type) and is_number(known.type) else None


def is_number(kind: Any) -> bool:
    """Whether values of a type can be ranked and compared with any number."""
    import pyarrow as pa

    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def shift_earlier(spine: Any, time_column: str) -> tuple[Any, str]:
    """Return the same entity rows a microsecond earlier.

    Where the times are too far away for microseconds it is one of their own unit.

    Returns
    -------
    pyarrow.Table
    str
        How much earlier, in words.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    times = to_plain(spine[time_column])
    if pa.types.is_string(times.type) or pa.types.is_large_string(times.type):
        times = _instants(times, time_column)
    zone, unit = getattr(times.type, "tz", None), getattr(times.type, "unit", "s")
    n_steps, words = (1000 if unit == "ns" else 1), "a microsecond"
    try:
        times = times.cast(pa.timestamp("ns" if unit == "ns" else "us", zone))
    except pa.ArrowInvalid:
        words = {"ms": "a millisecond"}.get(unit, "a second")
        times = times.cast(pa.timestamp("ms" if unit == "ms" else "s", zone))
    earlier = pc.subtract(times, pa.scalar(n_steps, pa.duration(times.type.unit)))
    index = spine.column_names.index(time_column)
    return spine.set_column(index, time_column, earlier), words


def _instants(texts: Any, name: str) -> Any:
    """Return times for texts, which the engine has read already; nanoseconds if one has some."""
    import pyarrow as pa

    known: dict[str | None, int | None] = {None: None}
    for text in texts.drop_null().unique().to_pylist():
        rest = _BEYOND_MICROSECONDS.search(text)
        known[text] = to_us(text, name) * 1000 + (int(rest[1].ljust(3, "0")) if rest else 0)
    instants = [known[text] for text in texts.to_pylist()]
    if all(value is None or value % 1000 == 0 for value in known.values()):
        in_us = [None if value is None else value // 1000 for value in instants]
        return pa.array(in_us, pa.timestamp("us", "UTC"))
    return pa.array(instants, pa.timestamp("ns", "UTC"))
