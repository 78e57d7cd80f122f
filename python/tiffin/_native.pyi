"""The engine: a complete, thin binding of the C headers in include/tiffin.

Requests and answers that describe things (definitions, reports) are JSON text; tables cross as
Arrow streams (any object with ``__arrow_c_stream__``). Every call may raise a class of
``tiffin.errors`` with the engine's own sentence; an argument of a wrong type is a ``SchemaError``
or a plain ``TypeError``. The interpreter lock is released around every call that may take longer
than 10 microseconds, but for lookups of a few rows. All objects may be shared between threads.
"""

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any, Protocol, Self, final, type_check_only

@type_check_only
class ArrowStreamable(Protocol):
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

__version__: str
CODES: tuple[tuple[str, int, str], ...]
"""(name, HTTP status, Python base class) of every engine code but OK."""

# Called on the calling thread, at most every 100 ms: (what, rows_done, rows_total or -1). What it
# raises ends the call and comes through.
_Progress = Callable[[str, int, int], None]

@final
class Stream:
    """A table made by the engine; may be exported any number of times."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...
    def __arrow_c_schema__(self) -> object: ...

@final
class Batches:
    """A training set, handed out batch by batch; one thread at a time."""

    def next(self) -> Stream | None:
        """Return the next batch as a Stream of one; None at the end."""
    def report(self) -> str:
        """Return what was read and done (JSON); ends the batches."""
    def close(self) -> None:
        """Give memory and temporary files back; may come twice."""

@final
class Answer:
    """What one lookup found."""

    n_rows: int
    names: tuple[str, ...]
    n_keys: int
    commit: int
    """Number of the commit whose definitions it follows."""
    warnings: tuple[str, ...]
    def to_dict(self, include_event_timestamps: bool = False) -> dict[str, list[Any]]:
        """Values by column, keys first. Timestamps are aware datetimes in UTC, cut to microseconds.

        With ``include_event_timestamps`` each feature is followed by ``<name>__ts``: whole seconds
        since 1970 as int, 0 where nothing was found (Feast's shape).
        """
    def statuses(self) -> dict[str, list[int]]:
        """Feast's FieldStatus numbers by column, keys included.

        1 PRESENT, 2 NULL_VALUE, 3 NOT_FOUND, 4 OUTSIDE_MAX_AGE.
        """
    def event_timestamps(self) -> dict[str, list[float | None]]:
        """Seconds since 1970 of the row of each feature value; None where nothing was found."""
    def to_stream(self, with_statuses: bool = False) -> Stream: ...

@final
class Lookup:
    """A resolved online request; follows later applies by itself."""

    key_names: tuple[str, ...]
    names: tuple[str, ...]
    n_views: int
    computes: bool
    def run(
        self,
        entity_rows: Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Any]],
        at_us: int | None = None,
        max_age_us: int | None = None,
    ) -> Answer: ...

@final
class Push:
    """Checked rows on their way into the online store; unused, they are forgotten."""

    def commit(self) -> str:
        """Write all of it, once; return what became of the rows (JSON)."""

@final
class Store:
    """A feature store at explicit paths."""

    def __new__(
        cls,
        *,
        project: str,
        registry_path: str,
        online_path: str | None = None,
        base_path: str | None = None,
        duckdb_library: str | None = None,
        duckdb_memory_bytes: int = 0,
        n_threads: int = 0,
        online_ttl: str = "",
        memory_limit_bytes: int = 0,
        temp_path: str | None = None,
        s3: str | None = None,
        redis: str | None = None,
        online_sync: int = 0,
        online_max_ahead_seconds: int = 0,
    ) -> Self:
        """Open a store; reads nothing yet. online_ttl is "" (not said), "ignore" or "enforce".

        memory_limit_bytes: of a training set; 0 = a quarter of what the process may use.
        redis: JSON object, in place of online_path. online_sync: 0 = full, 1 = batch.
        online_max_ahead_seconds: 0 = 300.
        """
    def plan(self, request: str) -> str: ...
    def apply(self, request: str) -> str: ...
    def feast_projects(self, file: bytes) -> str: ...
    def plan_feast(self, file: bytes, project: str | None = None) -> str: ...
    def import_feast(self, file: bytes, project: str | None = None) -> str: ...
    def export_feast(
        self, random: bytes, functions: str | None = None, base: bytes | None = None
    ) -> bytes:
        """Return the project as a registry file of Feast; random: 32 bytes."""
    def list(self, kind: str, tags: str | None = None, commit: int = -1) -> str: ...
    def get(self, kind: str, name: str, commit: int = -1) -> str: ...
    def log(self, limit: int = 0) -> str: ...
    def show(self, commit: int) -> str: ...
    def projects(self) -> str: ...
    def status(self) -> str: ...
    def teardown(self) -> str: ...
    def describe_source(self, document: str) -> str: ...
    def resolve(self, features: str) -> str:
        """Return what a request takes that names on-demand views (JSON); tiffin/store.h has it."""
    def historical(
        self,
        features: str,
        spine: ArrowStreamable,
        *,
        time_column: str | None = None,
        filter_by_created: bool = False,
        known_at_us: int | None = None,
        force_one_step: bool = False,
        memory_limit_bytes: int = 0,
        max_batch_rows: int = 0,
        progress: _Progress | None = None,
    ) -> tuple[Stream, str]:
        """Return the training set and the report of how it was made (JSON)."""
    def batches(
        self,
        features: str,
        spine: ArrowStreamable,
        *,
        time_column: str | None = None,
        filter_by_created: bool = False,
        known_at_us: int | None = None,
        force_one_step: bool = False,
        memory_limit_bytes: int = 0,
        max_batch_rows: int = 0,
        progress: _Progress | None = None,
    ) -> Batches:
        """Return the training set, computed as far as it is read."""
    def explain(
        self,
        features: str,
        spine: ArrowStreamable,
        *,
        time_column: str | None = None,
        filter_by_created: bool = False,
        known_at_us: int | None = None,
        memory_limit_bytes: int = 0,
    ) -> str: ...
    def latest(
        self,
        features: str,
        *,
        keys: ArrowStreamable | None = None,
        start_us: int | None = None,
        end_us: int | None = None,
        known_at_us: int | None = None,
        max_bytes: int = 0,
        progress: _Progress | None = None,
    ) -> tuple[Stream, str]:
        """Return the newest row of every key of one view, and the report (JSON)."""
    def history(
        self,
        features: str,
        *,
        keys: ArrowStreamable | None = None,
        start_us: int | None = None,
        end_us: int | None = None,
        known_at_us: int | None = None,
        max_bytes: int = 0,
        progress: _Progress | None = None,
    ) -> tuple[Stream, str]:
        """Return all rows of one view in a window, and the report (JSON)."""
    def events(
        self,
        features: str,
        *,
        start_us: int | None = None,
        end_us: int | None = None,
        known_at_us: int | None = None,
        one_row_per_key: bool = False,
        max_bytes: int = 0,
        progress: _Progress | None = None,
    ) -> Stream:
        """Return entity rows made of the events of views."""
    def check_leakage(
        self,
        features: str,
        spine: ArrowStreamable,
        *,
        time_column: str | None = None,
        filter_by_created: bool = False,
        known_at_us: int | None = None,
        progress: _Progress | None = None,
    ) -> str:
        """Return counts and examples of rows that could know too much (JSON)."""
    def make_manifest(
        self,
        features: str,
        spine: ArrowStreamable,
        *,
        time_column: str | None = None,
        filter_by_created: bool = False,
        known_at_us: int | None = None,
        writer: str | None = None,
        names_only: bool = False,
        progress: _Progress | None = None,
    ) -> str:
        """Return what a training set asks for, and what it would be made from now (JSON)."""
    def verify_dataset(
        self,
        name: str,
        spine: ArrowStreamable | None = None,
        *,
        writer: str | None = None,
        progress: _Progress | None = None,
    ) -> str:
        """Return what has changed since a saved dataset was made (JSON)."""
    def materialize(
        self,
        *,
        end_us: int,
        start_us: int | None = None,
        views: Sequence[str] | None = None,
        known_at_us: int | None = None,
        incremental: bool = False,
        progress: _Progress | None = None,
    ) -> str: ...
    def begin_push(
        self,
        frame: ArrowStreamable,
        *,
        source: str | None = None,
        view: str | None = None,
        check_only: bool = False,
        rehearse: bool = False,
    ) -> Push:
        """Check rows for all views on a push source, or for one view; nothing is written."""
    def rollback(self, view: str, *, drop_pushes: bool = False) -> str: ...
    def online_stats(self, *, progress: _Progress | None = None) -> str: ...
    def vacuum_online(
        self,
        *,
        at_us: int | None = None,
        dry_run: bool = False,
        drop_previous: bool = False,
        keep_expired: bool = False,
        progress: _Progress | None = None,
    ) -> str: ...
    def delete_online(self, view: str, keys: ArrowStreamable) -> str: ...
    def backup_online(self, folder: str, *, progress: _Progress | None = None) -> str: ...
    def restore_online(self, folder: str, *, progress: _Progress | None = None) -> str: ...
    def prepare(self, features: str) -> Lookup: ...
    def duckdb_version(self) -> str: ...

def join(
    spine: ArrowStreamable,
    source: ArrowStreamable,
    *,
    keys: Sequence[str],
    features: Sequence[str],
    spine_time: str,
    source_time: str,
    created: str | None = None,
    ttl_us: int = 0,
    filter_by_created: bool = False,
    known_at_us: int | None = None,
    n_threads: int = 0,
) -> Stream:
    """Join two Arrow tables point-in-time, without a store."""

def latest(
    source: ArrowStreamable,
    *,
    keys: Sequence[str],
    features: Sequence[str],
    source_time: str,
    created: str | None = None,
    end_us: int | None = None,
    known_at_us: int | None = None,
    n_threads: int = 0,
) -> Stream:
    """Return the newest row of every key of an Arrow table."""

def describe_dataset_files(path: str | bytes | PathLike[str] | PathLike[bytes]) -> str:
    """Return sizes and checksums of a Parquet file, or of all in a folder (JSON). Absolute."""

def checksum(data: bytes | memoryview) -> int:
    """Return the 64-bit checksum of Tiffin's own files (XXH3)."""

def hash_table(table: ArrowStreamable) -> str:
    """Return the hash of names, types and values of a table: 32 hex digits."""
