"""Tables that a query makes on their way into the engine: run by DuckDB, read-only."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import gettempdir
from typing import Any
from uuid import uuid4

from tiffin.errors import InvalidError, IoError, UnsupportedError
from tiffin.offline.interrupts import interruptible
from tiffin.offline.sql_files import name_from


def run_sql(sql: str, tables: Mapping[str, Any], base_path: Path, what: str) -> Any:
    """Run one query.

    Parameters
    ----------
    sql : str
        One statement that reads: ``select``, ``with``, ``from``, ``values``. Files are named in
        quotes: ``from 'data/orders.parquet'``.
    tables : mapping of str to object with ``__arrow_c_stream__``
        What else it may name.
    base_path : pathlib.Path
        Where relative paths start.
    what : str
        What the result is called in sentences.

    Returns
    -------
    pyarrow.Table
        Times with a zone are UTC.

    Raises
    ------
    InvalidError
        No query, or one that DuckDB refuses (with its sentence).
    IoError
        A file is missing or cannot be read.
    UnsupportedError
        The package ``duckdb`` is not there.

    Notes
    -----
    The query runs in a database of its own, in memory, which ends with it. Python's variables are
    not seen, and no extension is installed for it. Ctrl-C ends it within a tenth of a second.
    """
    try:
        import duckdb
    except ImportError as error:
        raise UnsupportedError(
            f"{what} is SQL, which the package duckdb runs; install it with pip install duckdb"
        ) from error
    import pyarrow as pa

    try:
        with duckdb.connect(":memory:", config=_settings(base_path, what)) as connection:
            connection.execute(
                "set TimeZone = 'UTC'"
            )  # no setting before DuckDB 2: of an extension
            _check_statement(connection.extract_statements(sql), sql, what)
            sql = name_from(base_path, sql, tables, connection, what)
            for name, table in tables.items():
                connection.register(name, table)
            return interruptible(connection, lambda: _read(connection, sql))
    except (duckdb.IOException, duckdb.HTTPException) as error:
        raise IoError(f"{what}: {_sentence(error)}") from error
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        raise InvalidError(f"{what}: {_sentence(error)}") from error


def _read(connection: Any, sql: str) -> Any:
    import pyarrow as pa

    return pa.RecordBatchReader.from_stream(connection.sql(sql)).read_all()


def _settings(base_path: Path, what: str) -> dict[str, Any]:
    if "," in str(base_path):
        raise InvalidError(
            f"{what} is SQL, and DuckDB cannot start paths at {base_path}, which has a comma in it"
        )
    return {
        "file_search_path": str(base_path),
        "temp_directory": scratch_path(),
        "python_enable_replacements": "false",
        "autoinstall_known_extensions": "false",
    }


def scratch_path() -> str:
    """Return a folder for what a query spills, which DuckDB makes when it must and removes."""
    return str(Path(gettempdir()) / f"tiffin-sql-{uuid4().hex}")


def _check_statement(statements: Any, sql: str, what: str) -> None:
    kinds = [str(statement.type).rsplit(".", 1)[-1] for statement in statements]
    if kinds == ["SELECT"]:
        return
    if not kinds:
        raise InvalidError(f"{what} is SQL without a statement: {sql!r}")
    found = "several statements" if len(kinds) > 1 else f"a statement of kind {kinds[0]}"
    raise InvalidError(f"{what} must be one query that only reads (select ...), not {found}")


def _sentence(error: BaseException) -> str:
    """Return what DuckDB says, without the picture of where."""
    lines = [line.strip() for line in str(error).split("\nLINE ")[0].splitlines()]
    return " ".join(line for line in lines if line) or type(error).__name__
