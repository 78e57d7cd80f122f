"""Training sets as Parquet: equal rows give equal bytes, and a file is there whole or not at all.

Settings, types and the cuts between row groups and files are fixed, so the bytes depend on the rows
and on the version of pyarrow alone. See docs/formats/saved-dataset.md section 5.
"""

import contextlib
import errno
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tiffin.column.plain import plain_type, table_to_plain
from tiffin.errors import IoError, SavedDatasetLocationAlreadyExists, SchemaError, TiffinError
from tiffin.offline.deadline import Deadline

ROWS_PER_GROUP = 131_072
GROUPS_PER_FILE = 8
SUFFIXES = (".parquet", ".pq", ".parq")


def writer_version() -> str:
    """Return what writes, with its version: part of a manifest's hash."""
    import pyarrow as pa

    return f"pyarrow {pa.__version__}"


def is_file_path(path: str | os.PathLike[str]) -> bool:
    """Whether a path names one file (by its suffix), or else a folder of files."""
    return Path(path).suffix.lower() in SUFFIXES


def write_parquet(source: Any, target: Path, allow_overwrite: bool, deadline: Deadline) -> None:
    """Write a table as one Parquet file, or as a folder of them.

    Parameters
    ----------
    source : pyarrow.RecordBatchReader or Rows
        Read batch by batch, and closed; a row group is in memory at a time.
    target : pathlib.Path
        Absolute. ``*.parquet``, ``*.pq``, ``*.parq``: a file; anything else: a folder.
    allow_overwrite : bool
        Replace what is there: a file at once; a folder that holds such files only by two renames.
    deadline : Deadline

    Raises
    ------
    SavedDatasetLocationAlreadyExists
        Something is there and may not be replaced.
    SchemaError
        A column of a type that Parquet does not have.
    IoError
        It cannot be written; nothing is left behind.
    """
    with staged(source, target, deadline) as part:
        part.put(allow_overwrite)


def staged(source: Any, target: Path, deadline: Deadline) -> "Staged":
    """Write beside the target, to be put in place or dropped; arguments as `write_parquet`."""
    part = Staged(target)
    try:
        part.write(source, deadline)
    except BaseException:
        part.drop()
        raise
    return part


def prepare_target(target: Path, allow_overwrite: bool) -> None:
    """Refuse a target that is there, and make the folder that it is to be in.

    Before any work is done; parameters and errors as `write_parquet`.
    """
    _refuse_existing(target, allow_overwrite)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise IoError(f"cannot write {target}: {error.strerror or error}") from error


def _refuse_existing(target: Path, allow_overwrite: bool) -> None:
    if not target.exists():
        return
    if not allow_overwrite:
        raise _exists(target)
    if is_file_path(target) != target.is_file():
        kind = "a file" if is_file_path(target) else "a folder"
        raise SavedDatasetLocationAlreadyExists(
            f"{target} exists and is not {kind}, so it is not replaced; choose another path"
        )
    if target.is_dir():
        others = sorted(entry.name for entry in target.iterdir() if not _is_part(entry))
        if others:
            raise SavedDatasetLocationAlreadyExists(
                f"the folder {target} also holds {others[0]!r}, which no dataset wrote, so it is "
                "not replaced; choose another path"
            )


def _is_part(entry: Path) -> bool:
    return entry.is_file() and entry.name.startswith("part-") and entry.suffix == ".parquet"


def _exists(target: Path) -> SavedDatasetLocationAlreadyExists:
    return SavedDatasetLocationAlreadyExists(
        f"{target} exists; pass allow_overwrite=True to replace it, or choose another path"
    )


class Staged:
    """Rows written under a temporary name beside their target.

    Attributes
    ----------
    path : pathlib.Path
        Where they are now.
    n_rows : int
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._is_file = is_file_path(target)
        self.path = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}.part")
        self.n_rows = 0
        self._has_replaced = False

    def __enter__(self) -> "Staged":
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()

    def write(self, source: Any, deadline: Deadline) -> None:
        """Write all rows, and have them on disk."""
        import pyarrow as pa

        try:
            self.drop()
            if not self._is_file:
                self.path.mkdir()
            with contextlib.closing(source):
                self._write_files(source, deadline)
        except TiffinError:  # a TimedOutError is an OSError, too
            raise
        except OSError as error:
            raise IoError(f"cannot write {self._target}: {error.strerror or error}") from error
        except pa.ArrowException as error:
            raise SchemaError(
                f"cannot write {self._target} as Parquet: {str(error).splitlines()[0]}"
            ) from error

    def _write_files(self, source: Any, deadline: Deadline) -> None:
        schema = plain_schema(source.schema)
        writer, i_file = None, 0
        try:
            for i, group in enumerate(_row_groups(source, schema, deadline)):
                if writer is not None and not self._is_file and i % GROUPS_PER_FILE == 0:
                    _close(writer)
                    writer = None
                if writer is None:
                    writer = _open(self._file(i_file), schema)
                    i_file += 1
                writer[0].write_table(group, row_group_size=ROWS_PER_GROUP)
                self.n_rows += group.num_rows
        finally:
            if writer is not None:
                _close(writer)

    def _file(self, i_file: int) -> Path:
        return self.path if self._is_file else self.path / f"part-{i_file:05}.parquet"

    def put(self, allow_overwrite: bool) -> None:
        """Move the rows to their place."""
        try:
            _refuse_existing(self._target, allow_overwrite)
            self._has_replaced = self._target.exists()
            if self._is_file:
                self._put_file(allow_overwrite)
            else:
                self._put_folder(allow_overwrite)
            _sync_folder(self._target.parent)
        except FileExistsError:
            raise _exists(self._target) from None
        except OSError as error:
            raise IoError(f"cannot write {self._target}: {error.strerror or error}") from error

    def _put_file(self, allow_overwrite: bool) -> None:
        if allow_overwrite:
            self.path.replace(self._target)
            return
        try:
            os.link(self.path, self._target)  # which, unlike a rename, never replaces
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP):
                raise
            self.path.rename(self._target)  # no links on this file system; looked a moment ago

    def _put_folder(self, allow_overwrite: bool) -> None:
        _sync_folder(self.path)
        old = self.path.with_suffix(".old")
        if allow_overwrite and self._target.exists():
            self._target.rename(old)
        # Onto a folder that came meanwhile: refused, unless it is empty.
        try:
            self.path.rename(self._target)
        except OSError as error:
            if self._target.exists():
                raise _exists(self._target) from error
            raise
        shutil.rmtree(old, ignore_errors=True)

    def drop(self) -> None:
        """Remove what still has its temporary name."""
        _remove(self.path)

    def withdraw(self) -> None:
        """Remove what was put in place, if nothing was replaced by it."""
        if not self._has_replaced:
            _remove(self._target)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    elif path.exists():
        path.unlink()


def plain_schema(schema: Any) -> Any:
    """Return a schema with one type for all layouts of the same: what a dataset is written with."""
    import pyarrow as pa

    return pa.schema(
        [pa.field(field.name, _small_type(plain_type(field.type))) for field in schema]
    )


def _small_type(kind: Any) -> Any:
    """Return a plain type without the large layouts, which hold the same."""
    import pyarrow as pa

    is_ = pa.types
    if is_.is_large_string(kind):
        return pa.string()
    if is_.is_large_binary(kind):
        return pa.binary()
    if is_.is_list(kind) or is_.is_large_list(kind) or is_.is_fixed_size_list(kind):
        return pa.list_(_small_type(kind.value_type))
    if is_.is_struct(kind):
        return pa.struct([pa.field(f.name, _small_type(f.type)) for f in kind])
    return kind


def _row_groups(reader: Any, schema: Any, deadline: Deadline) -> Iterator[Any]:
    """Cut the rows anew, into groups of one length whatever the batches; one at least."""
    import pyarrow as pa

    waiting: list[Any] = []
    n_waiting, n_groups = 0, 0
    for batch in reader:
        deadline.check()
        waiting.append(table_to_plain(pa.Table.from_batches([batch])).cast(schema))
        n_waiting += batch.num_rows
        while n_waiting >= ROWS_PER_GROUP:
            rows = pa.concat_tables(waiting)
            yield rows.slice(0, ROWS_PER_GROUP).combine_chunks()
            waiting = [rows.slice(ROWS_PER_GROUP)]
            n_waiting -= ROWS_PER_GROUP
            n_groups += 1
    if n_waiting or not n_groups:
        yield pa.concat_tables([schema.empty_table(), *waiting]).combine_chunks()


def _open(path: Path, schema: Any) -> tuple[Any, Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Dictionaries of numbers cost four times what they save, in row groups of this size.
    texts = [f.name for f in schema if pa.types.is_string(f.type) or pa.types.is_binary(f.type)]
    file = path.open("wb")
    try:
        writer = pq.ParquetWriter(
            file,
            schema,
            version="2.6",
            compression="zstd",
            compression_level=1,
            use_dictionary=texts or False,
            write_statistics=True,
            data_page_size=1 << 20,
        )
    except BaseException:
        file.close()
        raise
    return writer, file


def _close(writer: tuple[Any, Any]) -> None:
    try:
        writer[0].close()
        writer[1].flush()
        os.fsync(writer[1].fileno())
    finally:
        writer[1].close()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
