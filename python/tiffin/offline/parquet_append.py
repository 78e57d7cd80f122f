"""Rows added to a source: one Parquet file more in its folder, there whole or not at all.

    frame -> the columns and types of the source's first file -> a hidden file beside the others,
    on disk -> renamed

Nothing that exists is rewritten, so a scan that is under way is not disturbed, and readers never
see a half-written file: the hidden name begins with a dot and does not end in ``.parquet``. Ties
between equal rows go to the file whose name sorts later (docs/semantics/point-in-time.md, rule 11),
so the new name sorts after all that are there.
"""

import contextlib
import errno
import fnmatch
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiffin.column.cast import cast_column
from tiffin.column.plain import table_to_plain
from tiffin.errors import InvalidError, IoError, SchemaError, UnsupportedError
from tiffin.offline.parquet import ROWS_PER_GROUP, SUFFIXES

if TYPE_CHECKING:
    from tiffin.registry.data_source import FileSource

_OTHERS = {
    "CSV": (".csv", ".csv.gz"),
    "JSON": (".json", ".ndjson", ".jsonl", ".json.gz", ".ndjson.gz", ".jsonl.gz"),
}
_GLOB = "*?["


def stage_rows(
    frame: Any,
    source: "FileSource",
    base_path: Path,
    what: str,
    reorder_columns: bool = True,
) -> "StagedFile":
    """Fit rows to a source and write them beside its files, under a hidden name.

    Parameters
    ----------
    frame : object with ``__arrow_c_stream__``
        Columns under the source's names, or under those that its ``field_mapping`` gives them.
    source : FileSource
    base_path : pathlib.Path
        Where a relative path of the source starts.
    what : str
        What the frame is called in sentences.
    reorder_columns : bool
        Whether the frame may have the columns in another order.

    Returns
    -------
    StagedFile
        To be published, or dropped.

    Raises
    ------
    UnsupportedError, InvalidError
        No file can be added to such a source; says what to do.
    SchemaError
        Other columns than the source's; a type or a value that does not fit.
    IoError
        It cannot be written; nothing is left behind.
    """
    import pyarrow as pa

    place = find_place(source, base_path)
    first = _first_file(place, source)
    types = _read_types(first, source)
    table = _fit(table_to_plain(pa.table(frame)), types, source, what, reorder_columns)
    staged = StagedFile(place, table.num_rows)
    try:
        staged.write(table, first)
    except BaseException:
        staged.drop()
        raise
    return staged


# ---- where


class Place:
    """The folder that a file is added to, and the pattern that its name must match ("" = none)."""

    __slots__ = ("folder", "pattern", "source_name")

    def __init__(self, folder: Path, pattern: str, source_name: str) -> None:
        self.folder = folder
        self.pattern = pattern
        self.source_name = source_name


def find_place(source: "FileSource", base_path: Path) -> Place:
    """Return where files of a source are added. Errors as `stage_rows`."""
    text = source.path.removeprefix("file://")
    who = f"data source {source.name!r}"
    if "://" in text:
        raise UnsupportedError(
            f"{who} is {source.path!r}, and rows are added to local folders only; write the file "
            "there with the tools of that storage"
        )
    if source.file_format not in ("", "parquet"):
        raise UnsupportedError(
            f"{who} is of format {source.file_format}, and rows are added as Parquet only; make it "
            "a folder of Parquet files"
        )
    path = base_path / text
    if path.is_dir():
        return Place(path, "", source.name)
    if path.exists() or not any(c in text for c in _GLOB):
        if not path.exists() and not path.suffix:
            raise IoError(f"{who}: there is no folder {path}")
        folder = text[: -len(path.suffix)] if path.suffix else f"{text}_files"
        raise UnsupportedError(
            f"{who} is the single file {text!r}, and rows are added as a file of their own, never "
            f"into one; make it a folder: move the file into {folder}/, write path: {folder}/ and "
            "apply"
        )
    parent, _, pattern = text.rpartition("/")
    if any(c in parent for c in _GLOB):
        raise UnsupportedError(
            f"{who} is the pattern {text!r}, which names no one folder to add a file to; write the "
            "folder above it as path"
        )
    return Place(base_path / parent, "" if pattern == "**" else pattern, source.name)


def _walk(folder: Path) -> Iterator[str]:
    """Paths of files below a folder, hidden ones left out: those that a scan of it reads."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith((".", "_")):
                    continue
                if entry.is_dir():
                    yield from _walk(Path(entry.path))
                elif entry.is_file():
                    yield entry.path
    except FileNotFoundError:
        return
    except OSError as error:
        raise IoError(f"{folder} cannot be listed: {error.strerror or error}") from error


def _is_of(path: str, suffixes: tuple[str, ...]) -> bool:
    return path.lower().endswith(suffixes)


def _first_file(place: Place, source: "FileSource") -> str:
    """Return the file whose columns are those of the source: the first in byte order."""
    if place.pattern:
        found = [p for p in _walk(place.folder) if _is_matched(p, place)]
    else:
        found = list(_walk(place.folder))
    files = [p for p in found if _is_of(p, SUFFIXES) or (place.pattern and source.file_format)]
    for name, suffixes in _OTHERS.items():
        if not source.file_format and any(_is_of(p, suffixes) for p in found):
            raise UnsupportedError(
                f"data source {source.name!r} holds {name} files, and rows are added as Parquet "
                "only; make it a folder of Parquet files"
            )
    if not files:
        raise IoError(
            f"data source {source.name!r}: no Parquet file in {place.folder} says its "
            "columns; put a first one there"
        )
    first = min(files, key=os.fsencode)
    inner = first[len(str(place.folder)) :].strip("/").rpartition("/")[0]
    if "=" in inner:
        raise UnsupportedError(
            f"data source {source.name!r} lies in folders by value ({inner}), and rows are not "
            "sorted into them here; write the file into its folder with the tool that made them"
        )
    return first


def _is_matched(path: str, place: Place) -> bool:
    folder, name = os.path.split(path)
    return folder == str(place.folder) and fnmatch.fnmatchcase(name, place.pattern)


# ---- what


def _read_types(path: str, source: "FileSource") -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        raise IoError(
            f"data source {source.name!r}: the columns of {path} cannot be read: "
            f"{str(error).splitlines()[0]}"
        ) from error
    return {field.name: field.type for field in schema}


def _fit(
    table: Any, types: dict[str, Any], source: "FileSource", what: str, reorder_columns: bool
) -> Any:
    """Return the table with the source's columns, in its order and of its types."""
    import pyarrow as pa

    chosen: dict[str, str] = {}
    for column in types:
        names = (column, source.field_mapping.get(column, column))
        found = next((name for name in names if name in table.column_names), None)
        if found is not None:
            chosen[column] = found
    missing = [name for name in types if name not in chosen]
    extra = [name for name in table.column_names if name not in chosen.values()]
    if missing or extra:
        parts = []
        if missing:
            parts.append(f"lacks {_quoted(missing)}, which its files have (null where unknown)")
        if extra:
            parts.append(f"has {_quoted(extra)}, which its files do not have")
        raise SchemaError(
            f"{what} does not have the columns of data source {source.name!r}: it "
            + ", and ".join(parts)
        )
    if not reorder_columns and list(chosen.values()) != table.column_names:
        raise SchemaError(
            f"{what} has the columns in another order than data source {source.name!r}: "
            f"{_quoted(list(chosen.values()))}; reorder them, or pass reorder_columns=True"
        )
    columns = [cast_column(table[chosen[c]], kind, chosen[c], what) for c, kind in types.items()]
    return pa.table(columns, names=list(types))


def _quoted(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names)


# ---- the file


class StagedFile:
    """Rows on disk under a hidden name, in the folder that they are meant for.

    Attributes
    ----------
    n_rows : int
    """

    def __init__(self, place: Place, n_rows: int) -> None:
        self.n_rows = n_rows
        self._place = place
        self._token = f"{os.getpid()}-{secrets.token_hex(8)}"
        self._hidden = place.folder / f".push-{self._token}.part"
        self._is_there = False

    def write(self, table: Any, first: str) -> None:
        """Write the rows, and have them on disk; `first` is a file that they must be like."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            descriptor = os.open(self._hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            self._is_there = True
            with os.fdopen(descriptor, "wb") as file:
                pq.write_table(table, file, row_group_size=ROWS_PER_GROUP, compression="zstd")
                file.flush()
                os.fsync(file.fileno())
            self._compare(first)
        except OSError as error:
            raise self._failed(error) from error
        except pa.ArrowException as error:
            raise SchemaError(
                f"the rows cannot be written as Parquet: {str(error).splitlines()[0]}"
            ) from error

    def _compare(self, first: str) -> None:
        """Refuse a file that a scan would not read together with the others."""
        import pyarrow.parquet as pq

        ours, theirs = pq.ParquetFile(self._hidden).schema, pq.ParquetFile(first).schema
        for i in range(len(theirs.names)):
            a, b = ours.column(i), theirs.column(i)
            if (a.physical_type, str(a.logical_type)) != (b.physical_type, str(b.logical_type)):
                raise UnsupportedError(
                    f"column {b.path!r} is stored as {b.physical_type} {b.logical_type} in "
                    f"{first}, which cannot be written here; rewrite the files with current types"
                )

    def publish(self) -> Path:
        """Give the file its name; return it. On disk before this returns."""
        try:
            target = self._place.folder / self._choose_name()
            self._hidden.rename(target)
            self._is_there = False
        except OSError as error:
            raise self._failed(error) from error
        finally:
            self.drop()
        try:
            _sync_folder(self._place.folder)
        except OSError as error:
            raise IoError(
                f"{target} was added, but it is not sure to outlive a power cut: "
                f"{error.strerror or error}"
            ) from error
        return target

    def _choose_name(self) -> str:
        """Return a name that sorts after all that are there, and that the pattern takes."""
        with os.scandir(self._place.folder) as entries:
            names = [e.name for e in entries if not e.name.startswith((".", "_"))]
        last = max(names, key=os.fsencode, default="")
        now_s, nanos = divmod(time.time_ns(), 1_000_000_000)
        stamp = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(now_s))}.{nanos:09d}Z"
        name = f"push-{stamp}-{self._token}.parquet"
        if os.fsencode(name) <= os.fsencode(last):
            # "~" sorts after "." and "/", and whatever begins with a name sorts after it.
            long_name = f"{_stem_of(last.split('~push-')[0])}~{name}"
            if os.fsencode(long_name) <= os.fsencode(last):  # the clock was set back
                long_name = f"{_stem_of(last)}~{name}"
            name = long_name
        if self._place.pattern and not fnmatch.fnmatchcase(name, self._place.pattern):
            raise InvalidError(
                f"data source {self._place.source_name!r} takes files that match "
                f"{self._place.pattern!r}, and the new one would be {name!r}; write the folder as "
                "path, or a pattern such as *.parquet"
            )
        return name

    def drop(self) -> None:
        """Remove what still has its hidden name."""
        if self._is_there:
            with contextlib.suppress(FileNotFoundError):
                self._hidden.unlink()
            self._is_there = False

    def _failed(self, error: OSError) -> IoError:
        why = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            why = f"the disk is full ({why}); free space and write again"
        return IoError(f"no file was added to {self._place.folder}: {why}")


def _stem_of(name: str) -> str:
    return next((name[: -len(s)] for s in SUFFIXES if name.lower().endswith(s)), name)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
