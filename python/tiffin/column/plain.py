"""Arrow columns without dictionaries and views, which many a kernel and library cannot read."""

from typing import Any


def to_plain(column: Any) -> Any:
    """Return the same values in a layout that everything reads.

    Dictionaries (pandas' and Polars' categories, enumerations) become their values, views (texts of
    Polars) large texts and bytes, also inside of lists and structs. All else is returned as it is.

    Parameters
    ----------
    column : pyarrow.Array or pyarrow.ChunkedArray

    Returns
    -------
    pyarrow.Array or pyarrow.ChunkedArray
        As `column`.
    """
    import pyarrow as pa

    kind = plain_type(column.type)
    if kind == column.type:
        return column
    if isinstance(column, pa.ChunkedArray):
        return pa.chunked_array([_array_to_plain(chunk, kind) for chunk in column.chunks], kind)
    return _array_to_plain(column, kind)


def table_to_plain(table: Any) -> Any:
    """Return a `pyarrow.Table` of plain columns; see `to_plain`."""
    import pyarrow as pa

    return pa.table([to_plain(column) for column in table.columns], names=table.column_names)


def plain_type(kind: Any) -> Any:
    """Return the type that `to_plain` makes of one."""
    import pyarrow as pa

    is_ = pa.types
    if is_.is_dictionary(kind):
        return plain_type(kind.value_type)
    if str(kind) == "string_view":
        return pa.large_string()
    if str(kind) == "binary_view":
        return pa.large_binary()
    if is_.is_list(kind):
        return pa.list_(plain_type(kind.value_type))
    if is_.is_large_list(kind):
        return pa.large_list(plain_type(kind.value_type))
    if is_.is_fixed_size_list(kind):
        return pa.list_(plain_type(kind.value_type), kind.list_size)
    if is_.is_struct(kind):
        return pa.struct([pa.field(f.name, plain_type(f.type)) for f in kind])
    return kind


def _array_to_plain(array: Any, kind: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_dictionary(array.type):
        values = to_plain(array.dictionary)
        return pa.DictionaryArray.from_arrays(array.indices, values).dictionary_decode()
    try:
        return array.cast(kind)
    except pa.ArrowNotImplementedError:  # dictionaries of views in lists: no kernel reads them
        return pa.array(array.to_pylist(), kind)
