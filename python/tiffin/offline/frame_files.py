"""Tables in files on their way into the engine: Parquet, CSV, newline-delimited JSON."""

import os
from pathlib import Path
from typing import Any

from tiffin.errors import InvalidError, IoError, NotFoundError

_BATCH_ROWS = 1 << 18
_SUFFIXES = (".parquet", ".csv", ".json", ".ndjson", ".jsonl")


def find_file(text: str, base_path: Path) -> Path | None:
    """Return the path that a text means; None when it must be SQL.

    Parameters
    ----------
    text : str
        A path if it names a file or folder that is there, or ends as a file does that can be read.
    base_path : pathlib.Path
        Where relative paths start.
    """
    if "\n" in text or "\0" in text:
        return None
    path = base_path / text
    try:
        if path.is_file() or (path.is_dir() and len(text.split()) == 1):
            return path
    except OSError:  # too long for a path
        return None
    has_suffix = text.lower().endswith(_SUFFIXES) and text.split()[0].lower() not in _VERBS
    return path if has_suffix else None


_VERBS = ("select", "from", "with", "values", "table")


def read_file(path: str | os.PathLike[str], base_path: Path, what: str) -> Any:
    """Read a file whole.

    Parameters
    ----------
    path : str or os.PathLike
        What it holds is told by its suffix.
    base_path : pathlib.Path
        Where relative paths start.
    what : str
        What the table is called in sentences.

    Returns
    -------
    pyarrow.Table

    Raises
    ------
    NotFoundError
        There is no such file.
    InvalidError
        A folder, or a suffix that says nothing.
    IoError
        It cannot be read as what its suffix says.
    """
    import pyarrow as pa

    full = base_path / os.fspath(path)
    if full.is_dir():
        raise InvalidError(
            f"{what}: {full} is a folder; name one file, or pass SQL: from '{full}/*.parquet'"
        )
    if not full.is_file():
        raise NotFoundError(f"{what}: there is no file {full}")
    reader = _READERS.get(full.suffix.lower())
    if reader is None:
        raise InvalidError(
            f"{what}: {full} ends in {full.suffix or 'no suffix'!r}; files end in "
            f"{', '.join(_SUFFIXES)}"
        )
    try:
        return reader(full)
    except (pa.ArrowException, OSError) as error:
        raise IoError(f"{what}: {full} cannot be read: {_first_line(error)}") from error


def _read_parquet(path: Path) -> Any:
    import pyarrow as pa
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:  # by batches: Ctrl-C is seen between two of them
        return pa.Table.from_batches(list(file.iter_batches(_BATCH_ROWS)), file.schema_arrow)


def _read_csv(path: Path) -> Any:
    from pyarrow import csv

    return csv.read_csv(path)


def _read_json(path: Path) -> Any:
    from pyarrow import json

    return json.read_json(path)


_READERS = {
    ".parquet": _read_parquet,
    ".csv": _read_csv,
    ".json": _read_json,
    ".ndjson": _read_json,
    ".jsonl": _read_json,
}


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
