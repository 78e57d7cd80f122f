"""Arrow tables as pandas, without loss where pandas can: the rules of `RetrievalJob.to_df`."""

from typing import Any

from tiffin.column.logical import has_meaning, split, table_types, to_objects
from tiffin.column.plain import to_plain
from tiffin.errors import InvalidError

BACKENDS = (None, "pyarrow", "numpy_nullable")


def check_backend(dtype_backend: str | None) -> None:
    """Refuse a ``dtype_backend`` that does not exist."""
    if dtype_backend not in BACKENDS:
        raise InvalidError(
            f"dtype_backend must be None, 'pyarrow' or 'numpy_nullable', not {dtype_backend!r}"
        )


def table_to_pandas(
    table: Any, dtype_backend: str | None, index: Any = None, with_objects: bool = False
) -> Any:
    """Return a `pyarrow.Table` as a pandas DataFrame.

    Parameters
    ----------
    table : pyarrow.Table
    dtype_backend : None, "pyarrow" or "numpy_nullable"
        None: floats stay floats (null is NaN), integers and booleans with nulls become pandas'
        nullable types, times are ``datetime64[unit, UTC]``, dates, lists and bytes Python objects.
    index : pandas.Index, optional
    with_objects : bool
        Decimals, UUIDs, JSON and sets as Python's objects; maps and structs are dicts in any case,
        but with the backend "pyarrow", which keeps all texts.

    Returns
    -------
    pandas.DataFrame
    """
    import pandas as pd

    check_backend(dtype_backend)
    types = {} if dtype_backend == "pyarrow" else table_types(table.schema)
    columns = {}
    for i, name in enumerate(table.column_names):
        text = types.get(name, "")
        if with_objects or split(text)[1] in ("map", "struct"):
            columns[name] = _objects_to_pandas(table.column(i), text, dtype_backend, pd)
        else:
            columns[name] = _column_to_pandas(table.column(i), dtype_backend, pd)
    frame = pd.DataFrame(columns, columns=list(columns) if columns else None)
    if not columns:
        frame = pd.DataFrame(index=range(table.num_rows))
    if index is not None:
        frame.index = index
    return frame


def _objects_to_pandas(column: Any, text: str, dtype_backend: str | None, pd: Any) -> Any:
    if not has_meaning(text):
        return _column_to_pandas(column, dtype_backend, pd)
    return pd.Series(to_objects(column.to_pylist(), text), dtype=object)


def _column_to_pandas(column: Any, dtype_backend: str | None, pd: Any) -> Any:
    import pyarrow as pa

    kind = column.type
    if not pa.types.is_dictionary(kind):  # which pandas has
        column = to_plain(column)
        kind = column.type
    if dtype_backend == "pyarrow":
        return column.to_pandas(types_mapper=pd.ArrowDtype)
    if pa.types.is_dictionary(kind):
        return column.to_pandas()
    if pa.types.is_nested(kind):
        return pd.Series(column.to_pylist(), dtype=object)
    if dtype_backend == "numpy_nullable":
        return column.to_pandas(types_mapper=_nullable(pd, pa).get)
    if column.null_count and (pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        return column.to_pandas(types_mapper=_nullable(pd, pa).get)
    return column.to_pandas()


def _nullable(pd: Any, pa: Any) -> dict[Any, Any]:
    return {
        pa.bool_(): pd.BooleanDtype(),
        pa.int8(): pd.Int8Dtype(),
        pa.int16(): pd.Int16Dtype(),
        pa.int32(): pd.Int32Dtype(),
        pa.int64(): pd.Int64Dtype(),
        pa.uint8(): pd.UInt8Dtype(),
        pa.uint16(): pd.UInt16Dtype(),
        pa.uint32(): pd.UInt32Dtype(),
        pa.uint64(): pd.UInt64Dtype(),
        pa.float32(): pd.Float32Dtype(),
        pa.float64(): pd.Float64Dtype(),
        pa.string(): pd.StringDtype(),
        pa.large_string(): pd.StringDtype(),
    }
