#!/usr/bin/env python3
"""Make the data that the scenarios share.

usage: data.py FOLDER [--scale X]

Writes into FOLDER, unless it is all there already:

s10.parquet          10 M rows in time order, 100 k keys, 30 days, 10 row groups
spine.arrow          1 M entity rows of it in no order: user_id, event_timestamp, label
materialize.parquet  1 M rows in time order, 100 k keys, each of which occurs
wide.parquet         1,000 rows of 20 features

Rows of the first and third: user_id, event_timestamp, created, f0..f4 (int64), f5..f9 (float32).
Everything follows from row numbers through DuckDB's hash(), so that two runs with one DuckDB make
the same files. Floats are multiples of 1/1024 below 1,024: their sums are exact in any order, and
contenders can be compared by `==`. Event times are distinct, so no tie waits to be broken in
several ways. What the join has to get right is there: keys that the source lacks (1 spine row in
51), keys that fall silent after ten days and expire (1 in 50), nulls (1 % of f4 and f9).
"""

import argparse
import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

START_US = 1_704_067_200_000_000  # 2024-01-01T00:00:00Z
SPAN_US = 30 * 86_400 * 1_000_000
N_WIDE = 20
VERSION = 1  # of the rules below; raise it when they change

INTS = (1_000, 20_000, 1_000_000, 1 << 40, 5)  # f0..f4: how many values each takes


def random(seed: int) -> str:
    """SQL: a large number that depends on the row and on `seed`."""
    return f"hash(i * 64 + {seed})"


def features() -> str:
    """SQL of f0..f9; the last of either type has nulls."""
    columns = [f"({random(i)} % {n})::BIGINT" for i, n in enumerate(INTS)]
    columns += [f"(({random(5 + i)} % 1048576) / 1024.0)::FLOAT" for i in range(5)]
    for i in (4, 9):
        columns[i] = f"CASE WHEN {random(20 + i)} % 100 > 0 THEN {columns[i]} END"
    return ", ".join(f"{sql} AS f{i}" for i, sql in enumerate(columns))


def rows(n_rows: int, key: str) -> str:
    """SQL of `n_rows` source rows, evenly spread over the 30 days."""
    return f"""
        SELECT {key} AS user_id,
               make_timestamptz({START_US} + i * {SPAN_US // n_rows}) AS event_timestamp,
               make_timestamptz({START_US} + i * {SPAN_US // n_rows}
                                + ({random(30)} % 3600000000)::BIGINT) AS created,
               {features()}
        FROM range({n_rows}) AS t(i)"""


def source_rows(n_rows: int, n_keys: int) -> str:
    """SQL: keys at random; every fiftieth has no rows in the last 20 days."""
    key = f"({random(40)} % {n_keys})::BIGINT"
    silent = f"({key} % 50 = 0 AND i >= {n_rows // 3})::BIGINT"
    return rows(n_rows, f"{key} + {silent}")


def dense_rows(n_rows: int, n_keys: int) -> str:
    """SQL: keys at random, after each came once (7,919 is prime: a permutation)."""
    once = f"i * 7919 % {n_keys}"
    return rows(
        n_rows, f"CASE WHEN i < {n_keys} THEN {once} ELSE ({random(40)} % {n_keys})::BIGINT END"
    )


def spine_rows(n_rows: int, n_keys: int) -> str:
    """SQL of entity rows, in no order."""
    return f"""
        SELECT ({random(50)} % {n_keys + max(1, n_keys // 50)})::BIGINT AS user_id,
               make_timestamptz({START_US} + ({random(51)} % {SPAN_US})::BIGINT) AS event_timestamp,
               ({random(52)} % 2)::BIGINT AS label
        FROM range({n_rows}) AS t(i)"""


def wide_rows() -> str:
    columns = ", ".join(f"(({random(i)} % 1000) / 8.0)::DOUBLE AS f{i}" for i in range(N_WIDE))
    return f"""
        SELECT i AS user_id, make_timestamptz({START_US} + i * 1000000) AS event_timestamp,
               {columns}
        FROM range(1000) AS t(i)"""


def write_parquet(db: Any, sql: str, path: Path, n_rows: int) -> None:
    group = max(2048, n_rows // 10)
    options = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {group}"
    db.execute(f"COPY ({sql}) TO '{path}' ({options})")


def write_arrow(db: Any, sql: str, path: Path) -> None:
    """One file of the Arrow IPC format: loading it costs a contender no more than its bytes."""
    table = db.sql(sql).to_arrow_table()
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())


def sizes(scale: float) -> dict[str, int]:
    """Rows and keys at a scale; 1 is what the published tables show."""

    def scaled(n: int) -> int:
        return max(1, round(n * scale))

    return {
        "n_source": scaled(10_000_000),
        "n_spine": scaled(1_000_000),
        "n_keys": scaled(100_000),
        "n_materialize": scaled(1_000_000),
    }


def make(folder: Path, scale: float) -> None:
    """Make what is missing. The manifest is written last: it says that the rest is whole."""
    size = sizes(scale)
    manifest = {"version": VERSION, "duckdb": duckdb.__version__, **size}
    stamp = folder / "manifest.json"
    if stamp.exists() and json.loads(stamp.read_text()) == manifest:
        return
    print(f"bench: making data in {folder}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    db = duckdb.connect(config={"threads": 2})
    db.execute("SET TimeZone = 'UTC'")
    n, keys = size["n_source"], size["n_keys"]
    write_parquet(db, source_rows(n, keys), folder / "s10.parquet", n)
    write_arrow(db, spine_rows(size["n_spine"], keys), folder / "spine.arrow")
    n = size["n_materialize"]
    write_parquet(db, dense_rows(n, keys), folder / "materialize.parquet", n)
    write_parquet(db, wide_rows(), folder / "wide.parquet", 1000)
    stamp.write_text(json.dumps(manifest) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the data that the scenarios share.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scale", type=float, default=1.0, help="1 = 10 M source rows")
    arguments = parser.parse_args()
    make(arguments.folder, arguments.scale)


if __name__ == "__main__":
    main()
