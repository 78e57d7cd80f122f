"""From segments of feature logs to Parquet: each answer once, wherever a flush is killed.

The folder of segments has three kinds of files beside them:

``flush.lock``
    Locked by the one process that flushes.
``flush.json``
    The batch at hand: ``{"state", "batch", "segments"}``. Written (temporary file, sync, rename)
    before anything is published; ``"state"`` goes from ``publishing`` to ``published`` when all
    files are where they belong, and only then segments are removed, and this file last.

A batch's files are named by the batch, so publishing it again replaces files by equal ones.
"""

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from tiffin.errors import ConflictError, CorruptError, InvalidError, IoError

_OPEN, _CLOSED = ".open", ".closed"
_MANIFEST = "flush.json"
_LOCK = "flush.lock"
BATCH_BYTES = 256 * 1024 * 1024  # of segments that are in memory at a time
_MAX_PARTITIONS = 4096  # folders that one table may make


class LogFolder:
    """The folder into which servers write segments.

    Parameters
    ----------
    path : pathlib.Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder; one process flushes at a time.

        Raises
        ------
        ConflictError
            Another one does.
        """
        with (self.path / _LOCK).open("ab") as file:
            if not _try_lock(file.fileno()):
                raise ConflictError(
                    f"another process flushes the feature logs of {self.path}; wait for it"
                )
            yield

    def adopt(self) -> int:
        """Close the segments of processes that are gone; return how many servers write still."""
        n_alive = 0
        for path in sorted(self.path.glob(f"*{_OPEN}")):
            try:
                with path.open("rb+") as file:
                    if not _try_lock(file.fileno()):
                        n_alive += 1
                    elif path.exists():  # its server may have closed it just now
                        os.fsync(file.fileno())
                        path.rename(path.with_suffix(_CLOSED))
            except FileNotFoundError:
                continue  # likewise
        return n_alive

    def begin_batch(self) -> "Batch | None":
        """Return the batch that was interrupted, or a new one; None: nothing waits."""
        manifest = self.path / _MANIFEST
        if manifest.exists():
            return Batch(self.path, _read_manifest(manifest))
        names: list[str] = []
        n_bytes = 0
        for path in sorted(self.path.glob(f"*{_CLOSED}")):
            n_bytes += path.stat().st_size
            if names and n_bytes > BATCH_BYTES:
                break
            names.append(path.name)
        if not names:
            return None
        from tiffin._native import checksum

        batch = f"{checksum('/'.join(names).encode()):016x}"
        found = Batch(self.path, {"state": "publishing", "batch": batch, "segments": names})
        found.save()
        return found


class Batch:
    """Segments that are published together.

    Attributes
    ----------
    name : str
        Part of the names of its files.
    segments : list of pathlib.Path
    is_published : bool
    """

    def __init__(self, folder: Path, content: dict[str, Any]) -> None:
        self._manifest = folder / _MANIFEST
        self._content = content
        self.name: str = content["batch"]
        self.segments = [folder / name for name in content["segments"]]

    @property
    def is_published(self) -> bool:
        """Whether all files are where they belong."""
        return bool(self._content["state"] == "published")

    def save(self) -> None:
        """Write the manifest: there whole or not at all."""
        write_durably(self._manifest, json.dumps(self._content).encode())

    def finish(self) -> None:
        """Everything is published: say so, and only then remove the segments."""
        if not self.is_published:
            self._content["state"] = "published"
            self.save()
        for path in self.segments:
            path.unlink(missing_ok=True)
        sync_folder(self._manifest.parent)
        self._manifest.unlink()


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
        names = content["segments"]
        is_good = content["state"] in ("publishing", "published") and bool(content["batch"])
        is_good = is_good and all(Path(name).name == name for name in names)
    except (ValueError, KeyError, TypeError):
        is_good = False
    if not is_good:
        raise CorruptError(f"{path} is no manifest of a flush; move it away to flush all segments")
    return dict(content)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True


# ---- files


def sync_folder(path: Path) -> None:
    """Make a folder's entries durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: Path, content: Any) -> None:
    """Write bytes (or a table, as Parquet) so that the file is there whole or not at all.

    Raises
    ------
    IoError
        It cannot be written.
    """
    part = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            if isinstance(content, bytes):
                file.write(content)
            else:
                import pyarrow.parquet as pq

                pq.write_table(content, file, version="2.6", compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise IoError(f"{path} cannot be written: {error}") from error


# ---- Parquet by service, day and partition


def file_prefix(service: str) -> str:
    """Return what the names of a service's files begin with."""
    return quote(service, safe="") + "@"


def write_days(
    table: Any, folder: Path, service: str, batch: str, partition_by: list[str]
) -> list[Path]:
    """Write a table with ``__log_date`` as one file for each day (and partition).

    Parameters
    ----------
    table : pyarrow.Table
    folder : pathlib.Path
    service, batch : str
        Parts of the names; equal ones replace the files that are there.
    partition_by : list of str
        Columns that make subfolders ``<column>=<value>``, as Hive has them.

    Returns
    -------
    list of pathlib.Path
    """
    import pyarrow.compute as pc

    by = ["__log_date", *(name for name in partition_by if name != "__log_date")]
    for name in by:
        if name not in table.column_names:
            raise InvalidError(
                f"the log of feature service {service!r} is to be partitioned by {name!r}, which "
                f"it does not have; it has {', '.join(table.column_names)}"
            )
    groups = table.select(by).group_by(by).aggregate([]).to_pylist()
    if len(groups) > _MAX_PARTITIONS:
        raise InvalidError(
            f"the log of feature service {service!r} would make {len(groups)} partitions by "
            f"{', '.join(partition_by)}; {_MAX_PARTITIONS} are the most"
        )
    written = []
    for group in sorted(groups, key=repr):
        keep = None
        for name, value in group.items():
            column = table[name]
            same = column.is_null() if value is None else pc.equal(column, value)
            keep = same if keep is None else pc.and_(keep, same)
        rows = table.filter(pc.fill_null(keep, False)).drop_columns(partition_by)
        place = folder
        for name in partition_by:
            place /= f"{name}={_partition_text(group[name])}"
        path = place / f"{file_prefix(service)}{group['__log_date'].isoformat()}-{batch}.parquet"
        write_durably(path, rows)
        written.append(path)
    return written


_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


def _partition_text(value: Any) -> str:
    return _NO_VALUE if value is None else quote(str(value), safe="")


def read_days(
    folder: Path, service: str, types: dict[str, Any], first_day: str, last_day: str
) -> list[Any]:
    """Read the files of a service whose days (ISO 8601) are in a range, ends included.

    Parameters
    ----------
    types : dict of str to pyarrow.DataType
        Of the columns that subfolders stand for.

    Returns
    -------
    list of pyarrow.Table
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    prefix = file_prefix(service)
    tables = []
    for path in sorted(folder.rglob(f"{_glob_text(prefix)}*.parquet")):
        day = path.name[len(prefix) : len(prefix) + 10]
        if not first_day <= day <= last_day:
            continue
        with path.open("rb") as file:
            table = pq.read_table(file)
        for part in path.relative_to(folder).parts[:-1]:
            name, _, text = part.partition("=")
            if name not in types:
                continue
            value = None if text == _NO_VALUE else unquote(text)
            column = pa.array([value] * table.num_rows, pa.string()).cast(types[name])
            table = table.append_column(name, column)
        tables.append(table)
    return tables


def _glob_text(text: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in text)
