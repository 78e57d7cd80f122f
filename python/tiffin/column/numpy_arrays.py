"""Arrow columns as NumPy arrays, without a Python object for any number or time."""

from typing import Any


def table_to_numpy(table: Any) -> dict[str, Any]:
    """Return the columns of a `pyarrow.Table` as NumPy arrays.

    Returns
    -------
    dict of str to numpy.ndarray
        As `tiffin.OnlineResponse.to_numpy`.

    Cost
    ----
    Numbers and times: none (views) without nulls; one copy where nulls become NaN or NaT, where a
    table has more than one chunk, and for booleans, which Arrow keeps as bits.
    """
    return {name: _to_numpy(table.column(i)) for i, name in enumerate(table.column_names)}


def _to_numpy(column: Any) -> Any:
    import pyarrow as pa

    array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # of no rows, or more than one chunk can hold
        return array.to_numpy()
    is_whole = pa.types.is_integer(array.type) or pa.types.is_boolean(array.type)
    if array.null_count > 0 and is_whole:
        return _to_masked(array)
    return array.to_numpy(zero_copy_only=False)


def _to_masked(array: Any) -> Any:
    """Integers or booleans with nulls; the values behind the mask are 0."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    values = pc.fill_null(array, pa.scalar(0).cast(array.type)).to_numpy(zero_copy_only=False)
    return np.ma.MaskedArray(values, mask=array.is_null().to_numpy(zero_copy_only=False))
