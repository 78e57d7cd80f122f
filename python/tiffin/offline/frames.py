"""Any table on its way into the engine: checked, and made an Arrow stream.

Nothing here changes what the caller passed. What is kept for later (training sets are lazy) is a
snapshot: changing the frame afterwards changes nothing.
"""

import datetime
import numbers
import os
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiffin.column.logical import column_to_plain, is_logical, to_plain_values
from tiffin.errors import InvalidError, NotFoundError, SchemaError, UnsupportedError
from tiffin.offline.frame_files import find_file, read_file
from tiffin.offline.frame_sql import run_sql

if TYPE_CHECKING:
    from tiffin._native import ArrowStreamable


_REMOTE = ("s3://", "s3a://", "s3n://")


class Frame:
    """A table as the engine takes it, and as the caller has it.

    Attributes
    ----------
    stream : object with ``__arrow_c_stream__``
        May be exported any number of times.
    names : list of str
        Columns, in order.
    pandas, polars : DataFrame or None
        A snapshot of what the caller passed, when it was one of these.
    """

    __slots__ = ("names", "pandas", "polars", "stream")
    stream: "ArrowStreamable"
    names: list[str]
    pandas: Any
    polars: Any

    def __init__(
        self, stream: "ArrowStreamable", names: Sequence[Any], what: str, pandas: Any, polars: Any
    ) -> None:
        self.stream = stream
        self.names = [str(name) for name in names]
        self.pandas = pandas
        self.polars = polars
        refuse_duplicates(self.names, what)

    @property
    def n_rows(self) -> int:
        """Rows of the table."""
        table: Any = self.stream
        return len(table)

    def with_times(self, name: str) -> "Frame":
        """Give the times of no rows at all a type, which empty lists do not have."""
        import pyarrow as pa

        if self.n_rows > 0 or name not in self.names:
            return self
        table = pa.table(self.stream)
        if pa.types.is_temporal(table.schema.field(name).type):
            return self
        nothing = pa.array([], pa.timestamp("us", "UTC"))
        table = table.set_column(self.names.index(name), name, nothing)
        return Frame(table, self.names, "", self.pandas, self.polars)


def refuse_duplicates(names: Sequence[str], what: str) -> None:
    """Refuse a table in which two columns have one name."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InvalidError(f"{what} has two columns named {name!r}; every name must be unique")
        seen.add(name)


def read_frame(
    frame: Any,
    what: str,
    base_path: Path | None = None,
    frames: Mapping[str, Any] | None = None,
    is_written: bool = False,
) -> Frame:
    """Take a table in any form that people have them.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, pyarrow.Table, dict of lists, ...
        Or a Polars LazyFrame (collected), a list of dicts (a missing key is null), a pyarrow batch,
        reader, dataset or scanner, anything with ``__arrow_c_stream__``, the path of a Parquet, CSV
        or newline-delimited JSON file, or SQL that reads. Naive times are UTC.
    what : str
        What it is called in sentences, e.g. ``"entity_df"``.
    base_path : pathlib.Path, optional
        Where relative paths start; default: the working directory.
    frames : mapping of str to a table in any of these forms, optional
        Tables that SQL may name.
    is_written : bool
        Its rows are written to features: decimals, UUIDs, maps, structs and sets become what
        columns hold of them (`tiffin.column.logical`). Otherwise they stay what they are.

    Returns
    -------
    Frame
        Of the same rows and columns. A pandas index is left out.

    Raises
    ------
    SchemaError
        No table; a column of mixed types.
    InvalidError
        Two columns with one name; lists of unequal lengths; SQL that DuckDB refuses.
    NotFoundError, IoError
        There is no such file; it cannot be read.
    """
    if is_written:
        return _with_texts(read_frame(_without_objects(frame, what), what, base_path, frames), what)
    if isinstance(frame, str | os.PathLike):
        return _read_text_or_path(frame, what, base_path or Path.cwd(), frames or {})
    if frames:
        raise InvalidError(f"frames are what SQL may name, and {what} is no SQL")
    if _is_of_pandas(frame):
        return _read_pandas(frame, what)
    if type(frame).__module__.split(".")[0] == "polars":
        return _read_polars(frame, what)
    if isinstance(frame, Mapping):
        return _read_mapping(frame, what)
    if isinstance(frame, list | tuple):
        return _read_mapping(_columns_of_rows(frame, what), what)
    if _is_dataset(frame):
        scanner = frame.scanner() if hasattr(frame, "scanner") else frame
        return _read_arrow(_read_all(scanner.to_reader()), what)
    if hasattr(frame, "__arrow_c_stream__"):
        return _read_arrow(frame, what)
    raise SchemaError(
        f"{what} must be a pandas, Polars or Arrow table, a dict of lists, a list of dicts, a "
        "path, SQL, or have __arrow_c_stream__; it is a "
        f"{type(frame).__module__}.{type(frame).__qualname__}"
    )


def _read_text_or_path(
    text: str | os.PathLike[str], what: str, base_path: Path, frames: Mapping[str, Any]
) -> Frame:
    if isinstance(text, str) and text.startswith(_REMOTE) and len(text.split()) == 1:
        raise UnsupportedError(
            f"{what} is {text!r}, and only sources are read from S3; copy the file here, or pass "
            "the rows as a table"
        )
    path = find_file(text, base_path) if isinstance(text, str) else text
    if path is not None:
        if frames:
            raise InvalidError(f"frames are what SQL may name, and {what} is the file {path}")
        return _read_arrow(read_file(path, base_path, what), what)
    sql = str(text)
    if len(sql.split()) < 2:  # what is meant is a path: DuckDB would only see a syntax error
        raise NotFoundError(
            f"{what}: there is no file {base_path / sql}, and {sql!r} is no SQL either"
        )
    if not all(isinstance(name, str) and name for name in frames):
        raise SchemaError("frames must be a dict of names and tables")
    tables = {name: read_frame(f, f"frames[{name!r}]", base_path) for name, f in frames.items()}
    streams = {name: frame.stream for name, frame in tables.items()}
    return _read_arrow(run_sql(sql, streams, base_path, what), what)


def without_objects(frame: Any, what: str, names: Container[str]) -> Any:
    """Replace objects in some columns, as rows that are written have them (`read_frame`)."""
    if isinstance(frame, list | tuple):
        frame = _columns_of_rows(frame, what)
    if not isinstance(frame, Mapping) and not _is_of_pandas(frame):
        return frame
    part = {name: frame[name] for name in frame if name in names}
    found = {name: _plain_values(column, name, what) for name, column in part.items()}
    if isinstance(frame, Mapping):
        return {name: found.get(name) or frame[name] for name in frame}
    changed = frame.copy(deep=False)
    for name, values in found.items():
        if values is not None:
            changed[name] = _object_series(values, changed.index)
    return changed


def _without_objects(frame: Any, what: str) -> Any:
    """Replace columns of Python objects that columns hold as texts or lists, for one, UUIDs."""
    if isinstance(frame, list | tuple):
        frame = _columns_of_rows(frame, what)
    if isinstance(frame, Mapping):
        found = {name: _plain_values(column, name, what) for name, column in frame.items()}
        return {name: frame[name] if v is None else v for name, v in found.items()}
    if not _is_of_pandas(frame) or not hasattr(frame, "dtypes"):
        return frame
    changed = frame.copy(deep=False)
    for i, dtype in enumerate(frame.dtypes):
        column = frame.iloc[:, i] if str(dtype) == "object" else None
        values = None if column is None else _plain_values(column, frame.columns[i], what)
        if values is not None:
            changed.isetitem(i, _object_series(values, changed.index))
    return changed


def _object_series(values: list[Any], index: Any) -> Any:
    import pandas as pd

    return pd.Series(values, index=index, dtype=object)


def _library_of(value: Any) -> str:
    return type(value).__module__.split(".")[0]


def _plain_values(column: Any, name: Any, what: str) -> list[Any] | None:
    if str(getattr(column, "dtype", "object")) != "object" or isinstance(column, str | bytes):
        return None
    if not isinstance(column, Iterable) or _library_of(column) in ("pyarrow", "polars"):
        return None
    try:
        return to_plain_values(column)
    except (TypeError, ValueError) as error:
        raise SchemaError(f"{what}: column {name!r} cannot be read: {error}") from None


def _with_texts(frame: Frame, what: str) -> Frame:
    import pyarrow as pa

    table = pa.table(frame.stream)
    if not any(is_logical(field.type) for field in table.schema):
        return frame
    columns = []
    for name, column in zip(frame.names, table.columns, strict=True):
        try:
            columns.append(column_to_plain(column))
        except TypeError as error:
            raise SchemaError(f"{what}: column {name!r} cannot be read: {error}") from None
    return Frame(pa.table(columns, frame.names), frame.names, "", frame.pandas, frame.polars)


def _columns_of_rows(rows: Sequence[Any], what: str) -> dict[str, list[Any]]:
    """Turn a list of dicts into a dict of lists; a key that a row does not have is null."""
    names: dict[str, None] = {}
    for i, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise SchemaError(f"{what}[{i}] must be a dict, not {type(row).__name__}")
        names.update(dict.fromkeys(row))
    return {name: [row.get(name) for row in rows] for name in names}


def _is_dataset(frame: Any) -> bool:
    """Whether it is a pyarrow dataset or a scanner of one, which offer no stream of their own."""
    return type(frame).__module__ == "pyarrow._dataset" and hasattr(frame, "to_table")


def _is_of_pandas(value: Any) -> bool:
    return any(c.__module__.split(".")[0] == "pandas" for c in type(value).__mro__)


def _read_pandas(frame: Any, what: str) -> Frame:
    import pandas as pd
    import pyarrow as pa

    if not isinstance(frame, pd.DataFrame):
        raise SchemaError(f"{what} must be a DataFrame, not a pandas {type(frame).__name__}")
    if isinstance(frame.columns, pd.MultiIndex):
        raise SchemaError(f"{what} has columns of {frame.columns.nlevels} levels; one is possible")
    refuse_duplicates([str(name) for name in frame.columns], what)
    # Since version 3 pandas copies when somebody writes; before, such writes show through.
    snapshot = frame.copy(deep=int(pd.__version__.split(".")[0]) < 3)
    exact = {}
    for i, (name, dtype) in enumerate(snapshot.dtypes.items()):
        if str(dtype) == "object":
            refuse_mixture(snapshot[name], name, what)
            if _nanosecond_type(snapshot[name]) is not None:
                exact[i] = _to_arrow(snapshot[name], name, what)
    try:
        # Threads are started anew by every call, which small frames do not pay back.
        n_threads = 1 if snapshot.size < 1_000_000 else None
        table = pa.Table.from_pandas(snapshot, preserve_index=False, nthreads=n_threads)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        for name in snapshot.columns:  # again, one by one, to name the column
            _to_arrow(snapshot[name], name, what)
        raise SchemaError(f"{what} cannot be read: {_first_line(error)}") from error
    table = table.replace_schema_metadata(None)
    for i, column in exact.items():
        table = table.set_column(i, table.column_names[i], column)
    return Frame(table, table.column_names, what, snapshot, None)


def _read_polars(frame: Any, what: str) -> Frame:
    if type(frame).__name__ == "LazyFrame":
        frame = frame.collect()
    if not hasattr(frame, "clone") or not hasattr(frame, "columns"):
        raise SchemaError(f"{what} must be a DataFrame, not a Polars {type(frame).__name__}")
    for name, dtype in frame.schema.items():
        if str(dtype) == "Object":
            raise SchemaError(
                f"{what}: column {name!r} holds Python objects, which Arrow has no type for; leave "
                "it out, or give its values a type"
            )
    snapshot = frame.clone()
    return Frame(snapshot, snapshot.columns, what, None, snapshot)


def _read_mapping(frame: Mapping[Any, Any], what: str) -> Frame:
    import pyarrow as pa

    lengths: dict[str, int] = {}
    for name, column in frame.items():
        if not isinstance(name, str):
            raise SchemaError(f"{what} has a column named {name!r}; names must be str")
        if isinstance(column, str | bytes) or not hasattr(column, "__len__"):
            raise SchemaError(
                f"{what}: column {name!r} must be a list, not {type(column).__name__}"
            )
        lengths[name] = len(column)
    if len(set(lengths.values())) > 1:
        inner = ", ".join(f"{name!r} has {n}" for name, n in lengths.items())
        raise InvalidError(f"{what}: all columns must have the same number of rows, but {inner}")

    table = pa.table({name: _to_arrow(column, name, what) for name, column in frame.items()})
    return Frame(table, table.column_names, what, None, None)


def _read_arrow(frame: Any, what: str) -> Frame:
    import pyarrow as pa

    if isinstance(frame, pa.Table):
        table = frame
    elif isinstance(frame, pa.RecordBatch):
        table = pa.Table.from_batches([frame])
    else:
        # Many producers can be read once only; a lazy result may need its rows again.
        try:
            table = _read_all(pa.RecordBatchReader.from_stream(frame))
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise SchemaError(
                f"{what}: the {type(frame).__qualname__} gives no Arrow table: {_first_line(error)}"
            ) from error
    return Frame(table, table.column_names, what, None, None)


def _read_all(reader: Any) -> Any:
    """Read batch by batch: between two of them Ctrl-C is seen, in ``read_all`` only at the end."""
    import pyarrow as pa

    return pa.Table.from_batches(list(reader), reader.schema)


def _first_line(error: BaseException) -> str:
    text = " ".join(str(part) for part in error.args) or type(error).__name__
    return text.splitlines()[0]


def _to_arrow(column: Any, name: Any, what: str) -> Any:
    """Make a column Arrow, or say in one sentence why it is none.

    Some mixtures would pass silently: a datetime among dates loses its time of day.
    """
    import pyarrow as pa

    if isinstance(column, pa.Array | pa.ChunkedArray):
        return column
    arrow_type = None
    if str(getattr(column, "dtype", "object")) == "object":
        refuse_mixture(column, name, what)
        arrow_type = _nanosecond_type(column)
    try:
        # In pandas NaN is null; in lists and NumPy arrays it is NaN.
        return pa.array(column, type=arrow_type, from_pandas=_is_of_pandas(column))
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise SchemaError(
            f"{what}: column {name!r} cannot be read: {_first_line(error)}"
        ) from error


def _nanosecond_type(column: Any) -> Any:
    """Return the type for Python objects that are times with nanoseconds; None for all else.

    Arrow takes such times, and lists of them, for microseconds and cuts the rest without a word.
    """
    import pyarrow as pa

    kinds = {kind.__name__ for kind in set(map(type, column))}
    if not kinds & {"Timestamp", "list"}:
        return None
    values = column
    if "list" in kinds:
        values = (v for row in column if isinstance(row, list) for v in row)
    stamps = [v for v in values if type(v).__name__ == "Timestamp"]
    if not any(v.nanosecond for v in stamps):
        return None
    plain = pa.timestamp("ns", "UTC" if any(v.tzinfo is not None for v in stamps) else None)
    return pa.list_(plain) if "list" in kinds else plain


def refuse_mixture(column: Iterable[Any], name: Any, what: str) -> None:
    """Refuse a column of Python objects of several types. Integers among floats are fine."""
    kinds = set(map(type, column))
    if len(kinds) < 2 or len({_family(kind) for kind in kinds} - {"null"}) < 2:
        return
    found: dict[str, str] = {}
    for value in column:
        family = _family(type(value))
        is_null = family == "null" or (family == "number" and value != value)
        if not is_null:
            found.setdefault(family, type(value).__name__)
    if len(found) > 1:
        names = " and ".join(found.values())
        raise SchemaError(f"{what}: column {name!r} mixes {names}; give its values one type")


def _family(kind: type) -> str:
    """Types that one Arrow type holds without loss have one family."""
    if kind.__name__ in ("NoneType", "NaTType", "NAType"):
        return "null"
    if issubclass(kind, bool) or kind.__name__ == "bool":
        return "bool"
    if issubclass(kind, numbers.Real):
        return "number"
    for family in (str, bytes, datetime.datetime, datetime.date, list):
        if issubclass(kind, family):
            return family.__name__
    if kind.__name__ in ("ndarray", "tuple"):
        return "list"
    return kind.__name__
