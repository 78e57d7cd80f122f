"""Arrow tables as NumPy arrays and tensors: `RetrievalJob.to_numpy` and `to_tensor`."""

from collections.abc import Sequence
from typing import Any

from tiffin.column.plain import to_plain
from tiffin.errors import InvalidError, NotFoundError, SchemaError, UnsupportedError

_EXACT_IN_FLOAT64 = 2**53


def table_to_arrays(table: Any) -> dict[str, Any]:
    """Return a `pyarrow.Table` as one `numpy.ndarray` of n rows per column.

    floats          as they are; null is NaN
    integers        as they are; with nulls float64 and NaN, or, when a value lies beyond 2**53,
                    objects: int and None
    booleans        bool; with nulls objects: bool and None
    times, dates    ``datetime64[unit]`` in UTC, ``datetime64[D]``; null is NaT
    durations       ``timedelta64[unit]``; null is NaT
    lists           objects: an ndarray of the items, by these rules, or None
    all else        objects: Python's, None for null
    """
    return {name: _to_array(table.column(i)) for i, name in enumerate(table.column_names)}


def _to_array(column: Any) -> Any:
    import pyarrow as pa

    kind = column.type
    types = pa.types
    if types.is_dictionary(kind):
        column = to_plain(column)
        kind = column.type
    if types.is_timestamp(kind):
        return _plain(column.cast(pa.timestamp(kind.unit)))
    if types.is_date(kind):
        return _plain(column.cast(pa.date32()))
    if types.is_floating(kind) or types.is_duration(kind):
        return _plain(column)
    if types.is_integer(kind):
        return _integers(column)
    if types.is_boolean(kind) and not column.null_count:
        return _plain(column)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _lists(column)
    return _objects(column.to_pylist())


def _plain(column: Any) -> Any:
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        return column.to_numpy()
    return column.to_numpy(zero_copy_only=False)


def _objects(values: Sequence[Any]) -> Any:
    import numpy as np

    out = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        out[i] = value
    return out


def _integers(column: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not column.null_count:
        return _plain(column)
    extremes = pc.min_max(column)
    least, greatest = extremes["min"].as_py(), extremes["max"].as_py()
    if least is not None and max(-least, greatest) > _EXACT_IN_FLOAT64:
        return _objects(column.to_pylist())
    return _plain(column.cast(pa.float64()))


def _lists(column: Any) -> Any:
    import numpy as np
    import pyarrow as pa

    column = column.cast(pa.large_list(column.type.value_type))
    out = np.empty(len(column), dtype=object)
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    i = 0
    for chunk in chunks:
        items = _to_array(chunk.values)
        offsets = chunk.offsets.to_numpy()
        is_valid = chunk.is_valid().to_numpy(zero_copy_only=False)
        for begin, end, valid in zip(offsets[:-1], offsets[1:], is_valid, strict=True):
            out[i] = items[begin:end] if valid else None
            i += 1
    return out


def select_columns(table: Any, columns: Any) -> Any:
    """Return these columns of a table, in this order.

    Raises
    ------
    SchemaError
        `columns` is no list of names.
    NotFoundError
        A name that the table does not have; the sentence has those that it has.
    """
    if isinstance(columns, str) or not isinstance(columns, list | tuple):
        raise SchemaError(f"columns must be a list of names, not {type(columns).__name__}")
    for name in columns:
        if name not in table.column_names:
            raise NotFoundError(
                f"there is no column {name!r}; there are {', '.join(table.column_names)}"
            )
    return table.select(list(columns))


def table_to_matrix(table: Any, dtype: Any) -> Any:
    """Return numbers as one `numpy.ndarray` of n rows by as many columns, in C order.

    Numbers are rounded to a float `dtype` as NumPy does; null is NaN.

    Raises
    ------
    SchemaError
        A column that holds no numbers or booleans; nulls, fractions or too large numbers in a
        matrix of integers.
    """
    import numpy as np

    try:
        wanted = np.dtype(dtype)
    except TypeError as error:
        raise SchemaError(f"dtype: {dtype!r} is none of NumPy's") from error
    if wanted.kind not in "fiu":
        raise SchemaError(f"a matrix has a dtype of floats or integers, not {wanted}")
    out = np.empty((table.num_rows, table.num_columns), dtype=wanted)
    for i, name in enumerate(table.column_names):
        out[:, i] = _to_numbers(table.column(i), name, wanted, np)
    return out


def _to_numbers(column: Any, name: str, wanted: Any, np: Any) -> Any:
    import pyarrow as pa

    kind = column.type
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if not is_number and not pa.types.is_boolean(kind):
        raise SchemaError(
            f"column {name!r} holds {kind}, which is no number; name columns of numbers with "
            "columns=[...]"
        )
    if pa.types.is_boolean(kind):
        column = column.cast(pa.uint8())
    if wanted.kind == "f":
        return _plain(
            column if pa.types.is_floating(kind) else column.cast(pa.float64(), safe=False)
        )
    if column.null_count or pa.types.is_floating(kind):
        what = "nulls" if column.null_count else "fractions"
        raise SchemaError(
            f"column {name!r} may hold {what}, which {wanted} cannot; use a float dtype"
        )
    values = _plain(column)
    numbers = values.astype(wanted)
    if not np.array_equal(numbers, values) or ((numbers < 0) != (values < 0)).any():
        raise SchemaError(f"column {name!r} holds numbers that {wanted} cannot; use a wider dtype")
    return numbers


def table_to_tensors(table: Any, kind: str, default_value: Any) -> dict[str, Any]:
    """Return a `pyarrow.Table` as tensors of n numbers, and lists for what is no number (Feast's).

    A missing value, null or NaN, becomes `default_value`. Floats keep their width, and integers and
    booleans their type if nothing is missing or `default_value` is of it, else they are float64.

    Raises
    ------
    InvalidError
        Another `kind` than ``"torch"``.
    UnsupportedError
        PyTorch is not installed.
    """
    if kind != "torch":
        raise InvalidError(f"there are tensors of kind 'torch', not {kind!r}")
    try:
        import torch
    except ImportError as error:
        raise UnsupportedError(
            "to_tensor needs PyTorch, which is not installed; run: pip install torch"
        ) from error
    device = "cuda" if torch.cuda.is_available() else "cpu"
    out: dict[str, Any] = {}
    for i, name in enumerate(table.column_names):
        numbers = _filled(table.column(i), default_value)
        if numbers is None:
            values = table.column(i).to_pylist()
            out[name] = [default_value if value is None else value for value in values]
        else:
            out[name] = torch.from_numpy(numbers).to(device)
    return out


def _filled(column: Any, default_value: Any) -> Any:
    """Return a writable array of numbers without gaps; None when the column holds no numbers."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_floating(kind):
        numbers = _plain(column).copy()
        numbers[numbers != numbers] = default_value
        return numbers
    if not pa.types.is_integer(kind) and not pa.types.is_boolean(kind):
        return None
    if not column.null_count:
        return _plain(column).copy()
    own = bool if pa.types.is_boolean(kind) else int
    if type(default_value) is own:
        return _plain(pc.fill_null(column, pa.scalar(default_value, kind))).copy()
    numbers = _plain(
        column.cast(pa.uint8() if own is bool else kind).cast(pa.float64(), safe=False)
    )
    numbers = numbers.copy()
    numbers[numbers != numbers] = default_value
    return numbers
