"""Arrow columns as functions take them, and their results as Arrow columns.

Both directions go by the declared type of the column and by nothing else, so that a function sees
the same dtypes whatever rows are in a batch, and a result is the same column in a training set and
in a lookup.
"""

import datetime
from typing import Any

from tiffin.column.logical import (
    column_to_plain,
    from_objects,
    has_meaning,
    is_text,
    to_objects,
    with_meaning,
)
from tiffin.column.plain import to_plain
from tiffin.types import Array, FeatureType, Set


def arrow_type(dtype: FeatureType) -> Any:
    """Return the `pyarrow.DataType` of a column that a function made."""
    import pyarrow as pa

    if isinstance(dtype, Array | Set):
        return pa.list_(arrow_type(dtype.base_type))
    if is_text(dtype.text):
        return pa.string()
    return {
        "bool": pa.bool_(),
        "int32": pa.int32(),
        "int64": pa.int64(),
        "float32": pa.float32(),
        "float64": pa.float64(),
        "string": pa.string(),
        "bytes": pa.binary(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us", "UTC"),
    }[dtype.text]


def arrow_field(name: str, dtype: FeatureType) -> Any:
    """Return the `pyarrow.Field` of such a column, which says what its type means."""
    return with_meaning(name, arrow_type(dtype), dtype.text)


def to_pandas(column: Any, dtype: FeatureType) -> Any:
    """Return a column as what a pandas Series holds.

    Parameters
    ----------
    column : pyarrow.Array
    dtype : FeatureType
        Booleans and integers become pandas' nullable types, whether there is a null or not; floats
        stay floats (null is NaN); times are UTC; dates, bytes, lists and types with a meaning are
        Python objects.

    Returns
    -------
    numpy.ndarray or pandas.api.extensions.ExtensionArray
    """
    import pandas as pd

    nullable: dict[str, Any] = {
        "bool": pd.BooleanDtype,
        "int32": pd.Int32Dtype,
        "int64": pd.Int64Dtype,
    }
    if dtype.text in nullable:
        return nullable[dtype.text]().__from_arrow__(column)
    if dtype.text in ("float32", "float64"):
        return column.to_numpy(zero_copy_only=False)
    if has_meaning(dtype.text):
        return pd.Series(to_objects(column.to_pylist(), dtype.text), dtype=object).array
    if isinstance(dtype, Array) or dtype.text in ("date", "bytes"):
        return pd.Series(column.to_pylist(), dtype=object).array
    return plain(column).to_pandas().array


def to_list(column: Any, dtype: FeatureType) -> list[Any]:
    """Return a column as Python objects: None for null, times as UTC datetimes of microseconds."""
    import pyarrow as pa

    if has_meaning(dtype.text):
        return to_objects(column.to_pylist(), dtype.text)

    if pa.types.is_timestamp(column.type):
        values = column.cast(pa.timestamp("us", "UTC"), safe=False).to_pylist()
        return [None if v is None else v.astimezone(datetime.UTC) for v in values]
    return list(column.to_pylist())


def plain(column: Any) -> Any:
    """Return the column in one piece, and in the layout that pandas knows."""
    import pyarrow as pa

    column = to_plain(column)
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def from_result(values: Any, dtype: FeatureType, lenient: bool = False) -> Any:
    """Return what a function (or a caller) gave for one column as an Arrow array.

    Parameters
    ----------
    values : pandas.Series, numpy.ndarray, list, ...
        NaN in what pandas or NumPy made is null, but for floats, where it comes to the same.
    dtype : FeatureType
        Declared; safe casts only: between numbers where nothing is lost, naive times are UTC.
    lenient : bool
        Also read texts as numbers, times and dates: for what a caller brings along.

    Returns
    -------
    pyarrow.Array

    Raises
    ------
    TypeError, ValueError
        The values are not of the type, with the reason.
    """
    import pyarrow as pa

    target = arrow_type(dtype)
    if has_meaning(dtype.text):
        return _from_objects(values, dtype, target)
    if isinstance(values, pa.Array | pa.ChunkedArray):
        column = plain(values)
    else:
        from_pandas = not isinstance(values, list | tuple)
        if isinstance(dtype, Array):
            column = _lists(values, target, from_pandas)
        else:
            column = plain(pa.array(values, from_pandas=from_pandas))
    if column.type == target:
        return column
    if not _may_cast(column.type, target, lenient):
        raise TypeError(f"is {column.type}, not {dtype.text}")
    return column.cast(target)


def _from_objects(values: Any, dtype: FeatureType, target: Any) -> Any:
    import pyarrow as pa

    if hasattr(values, "to_pylist"):
        values = column_to_plain(values).to_pylist()
    return pa.array(from_objects(list(values), dtype.text), target)


def _lists(values: Any, target: Any, from_pandas: bool) -> Any:
    import pyarrow as pa

    try:
        return plain(pa.array(values, from_pandas=from_pandas))
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # e.g. integers and floats in one list
        return plain(pa.array(values, type=target, from_pandas=from_pandas))


def _may_cast(found: Any, target: Any, lenient: bool) -> bool:
    import pyarrow as pa

    is_ = pa.types
    if is_.is_null(found) or found == target:
        return True
    if is_.is_list(target):
        return _is_list(found) and _may_cast(found.value_type, target.value_type, lenient)
    is_text = is_.is_string(found) or is_.is_large_string(found)
    if is_.is_integer(target) or is_.is_floating(target):
        may = is_.is_integer(found) or is_.is_floating(found)
    elif is_.is_string(target):
        may = is_text
    elif is_.is_binary(target):
        may = is_.is_binary(found) or is_.is_large_binary(found) or is_.is_fixed_size_binary(found)
    elif is_.is_timestamp(target):
        may = is_.is_timestamp(found)
    else:
        may = is_.is_date(target) and is_.is_date(found)
    return bool(may or (lenient and is_text and not is_.is_binary(target)))


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    is_ = pa.types
    return bool(is_.is_list(kind) or is_.is_large_list(kind) or is_.is_fixed_size_list(kind))
