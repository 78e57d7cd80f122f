"""The point-in-time join as SQL, written from docs/semantics/point-in-time.md and nothing else.

Every pair of an entity row and a source row is made and judged; a window function ranks those that
are left. Numbers in the comments of the SQL are sentences of that page. Nothing of it is quick, and
nothing of it is the engine's: files are read by the `duckdb` package, and instants are nanoseconds
as HUGEINT, in which every time of every unit is exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from histories import FAR, History, Kind, Side, array_of, unit_of

SQL_TYPES = {
    "bool": "boolean",
    "int32": "integer",
    "int64": "bigint",
    "float32": "float",
    "float64": "double",
    "string": "varchar",
    "bytes": "blob",
    "date": "date",
}
BEYOND = 10**36  # later than every time, in HUGEINT's range
assert BEYOND < FAR


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class Twin:
    """How a reader that Tiffin may use differs from this one."""

    cuts_zoned_nanos: bool = False  # DuckDB before 2.0 reads them as microseconds, toward zero

    def instant(self, value: str, arrow: pa.DataType) -> str:
        """Return an expression: nanoseconds since 1970; null for a null and for an infinity."""
        unit = unit_of(arrow)
        if unit == "date":  # 18
            return f"(({value} - date '1970-01-01')::hugeint * 86400000000000)"
        if unit != "ns":
            return f"(epoch_us({value})::hugeint * 1000)"
        if arrow.tz is not None and self.cuts_zoned_nanos:
            return f"(epoch_ns({value})::hugeint // 1000 * 1000)"
        return f"epoch_ns({value})::hugeint"

    def created(self, value: str, arrow: pa.DataType) -> str:
        """Return an expression as `instant`; infinities are beyond all (17)."""
        if unit_of(arrow) == "date":
            return self.instant(value, arrow)
        return (
            f"case when {value} = 'infinity' then {BEYOND}::hugeint "
            f"when {value} = '-infinity' then -{BEYOND}::hugeint "
            f"else {self.instant(value, arrow)} end"
        )

    def key(self, value: str, arrow: pa.DataType) -> str:
        return self.instant(value, arrow) if pa.types.is_timestamp(arrow) else value

    def joined(self, history: History, files: Sequence[Path], features: list[str]) -> str:
        """Return the query: for every row of `entity_rows`, in order, these features."""
        conditions = [
            *(f"e.k{i} = s.k{i}" for i in range(len(history.key_kinds))),  # 3, 4
            "s.event <= e.t",  # 5; 12: an unknown time is no candidate
        ]
        if history.ttl_us > 0:
            conditions.append(f"s.event >= e.t - {history.ttl_us * 1000}::hugeint")  # 6
        if history.filter_by_created:
            conditions.append("s.created <= e.t")  # 7
        if history.known_at_us is not None:
            conditions.append(f"s.created <= {history.known_at_us * 1000}::hugeint")  # 8
        columns = ", ".join(f"c.{quoted(name)}" for name in features)
        return f"""
            with source as ({self.source(history, files)}),
            candidates as (
                select e.i, s.*, row_number() over (
                    partition by e.i
                    order by
                        s.event desc,               -- 9
                        s.created desc nulls last,  -- 10
                        s.file desc, s.row desc     -- 11
                ) as place
                from entity_rows e join source s on {" and ".join(conditions)}
            )
            select {columns}                        -- 13
            from entity_rows e left join candidates c on c.i = e.i and c.place = 1  -- 1, 14
            order by e.i
        """

    def source(self, history: History, files: Sequence[Path]) -> str:
        """Return a query: the rows of all files, with key parts k0, k1, ..., event and created."""
        side = history.source
        kinds = dict(zip(history.feature_names, history.feature_kinds, strict=True))
        event = value_of(history, "event_timestamp", Kind("timestamp", side.time_type))
        columns = [f"{self.instant(event, side.time_type)} as event"]
        if history.has_created:
            created = value_of(history, "created", Kind("timestamp", side.created_type))
            columns.append(f"{self.created(created, side.created_type)} as created")
        else:
            columns.append("null::hugeint as created")
        for i, (name, kind) in enumerate(zip(history.key_names, history.key_kinds, strict=True)):
            columns.append(f"{self.key(value_of(history, name, kind), kind.arrow)} as k{i}")
        for name, kind in kinds.items():
            columns.append(f"{value_of(history, name, kind)} as {quoted(name)}")
        return " union all ".join(
            f"select {i} as file, {', '.join([*columns, row_of(history)])} from {read(path)}"
            for i, path in enumerate(files)
        )

    def entity_rows(self, side: Side) -> pa.Table:
        """Return entity rows as numbers, instants and keys."""
        times = [instant_of(raw, side.time_type) for raw in side.times]
        arrays: dict[str, Any] = {"i": range(side.n), "t": pa.array(times, pa.string())}
        for i, (values, arrow) in enumerate(zip(side.keys, side.key_types, strict=True)):
            arrays[f"k{i}"] = array_of(values, arrow)
        return pa.table(arrays)

    def answer(
        self, db: duckdb.DuckDBPyConnection, history: History, folder: Path, features: list[str]
    ) -> pa.Table:
        """Run the query of one view over its files."""
        db.register("entity_frame", self.entity_rows(history.spine))
        keys = [  # entity rows pass no reader
            f"{Twin().key(f'k{i}', arrow)} as k{i}"
            for i, arrow in enumerate(history.spine.key_types)
        ]
        db.execute(
            "create or replace temp table entity_rows as "
            f"select {', '.join(['i', 't::hugeint as t', *keys])} from entity_frame"
        )
        return db.sql(self.joined(history, files_of(folder), features)).to_arrow_table()


def instant_of(raw: int | None, arrow: pa.DataType) -> str:
    """Return an entity time as nanoseconds in decimal."""
    assert raw is not None  # 2
    nanos = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1, "date": 86_400 * 10**9}
    return str(raw * nanos[unit_of(arrow)])


def files_of(folder: Path) -> list[Path]:
    """Return the files of a source in the order of the bytes of their paths (11)."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sorted(files, key=lambda path: str(path.relative_to(folder)).encode())


def read(path: Path) -> str:
    text = str(path).replace("'", "''")
    if path.suffix == ".csv":
        return f"read_csv('{text}', all_varchar = true, header = true, delim = ',', quote = '\"')"
    return f"read_parquet('{text}', file_row_number = true)"


def row_of(history: History) -> str:
    return "row_number() over () as row" if history.in_csv else "file_row_number as row"


def value_of(history: History, name: str, kind: Kind) -> str:
    """Return an expression: a column of the file, read as its declared type (19)."""
    column = quoted(history.file_name(name))
    if pa.types.is_null(kind.arrow):
        return f"null::{SQL_TYPES[kind.dtype]}"
    if kind.dtype in SQL_TYPES:
        return f"{column}::{SQL_TYPES[kind.dtype]}"
    if history.in_csv:
        is_date = pa.types.is_date(kind.arrow)
        is_naive = not is_date and kind.arrow.tz is None
        return f"{column}::{'date' if is_date else 'timestamp' if is_naive else 'timestamptz'}"
    return column
