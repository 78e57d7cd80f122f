#!/usr/bin/env python3
"""Make the data that the scenarios share.

usage: data.py FOLDER FILE... [--scale X]

Writes the named files into FOLDER, unless they are there already. Sources, zstd Parquet:

s10.parquet          10 M rows in time order, 100 k keys, 30 days, 10 row groups
s10-random.parquet   the same rows in no order
s10-sorted.parquet   the same rows by key, then time
s10-uuid.parquet     the same rows; user_id is the text of a uuid, 36 bytes
s10-pair.parquet     the same rows; two keys, user_id and shop_id
s50.parquet          50 M rows in time order, 1 M keys
s100.parquet         100 M rows in time order, 100 k keys
h10.parquet          10 M rows in time order, 2 k keys
wide1000.parquet     17,000 rows of 1,000 features (float32) in one row group; 2 k keys
materialize.parquet  1 M rows in time order, 100 k keys, each of which occurs
online.parquet       1 M rows in time order, 1 M keys, each of which occurs once
wide.parquet         1,000 rows of 20 features

Entity rows in no order, Arrow files of user_id, event_timestamp, label: spine.arrow (1 M, of the
100 k keys), and the same rows as spine-uuid.arrow and spine-pair.arrow; spine-small.arrow (1,000);
spine-s50.arrow (1 M, of 1 M keys); spine-h10.arrow (1 M, of 2 k keys); spine-wide.arrow (17,000).

Rows: user_id, event_timestamp, created, f0..f4 (int64), f5..f9 (float32).
Everything follows from row numbers through DuckDB's hash(), so that two runs with one DuckDB make
the same files. Floats are multiples of 1/1024 below 1,024: their sums are exact in any order, and
contenders can be compared by `==`. Event times are distinct, so no tie waits to be broken in
several ways. What the join has to get right is there: keys that the source lacks (1 spine row in
51), keys that fall silent after ten days and expire (1 in 50), nulls (1 % of f4 and f9).
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

START_US = 1_704_067_200_000_000  # 2024-01-01T00:00:00Z
SPAN_US = 30 * 86_400 * 1_000_000
N_WIDE = 20
N_VERY_WIDE = 1_000
VERSION = 2  # of the rules below; raise it when they change

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


def very_wide_rows(n_rows: int, n_keys: int) -> str:
    columns = ", ".join(
        f"(({random(i)} % 65536) / 64.0)::FLOAT AS f{i}" for i in range(N_VERY_WIDE)
    )
    return f"""
        SELECT (i * 7919 % {n_keys})::BIGINT AS user_id,
               make_timestamptz({START_US} + i * {SPAN_US // n_rows}) AS event_timestamp,
               make_timestamptz({START_US} + i * {SPAN_US // n_rows}) AS created,
               {columns}
        FROM range({n_rows}) AS t(i)"""


def with_uuids(sql: str) -> str:
    return f"SELECT * REPLACE (md5(user_id::VARCHAR)::UUID::VARCHAR AS user_id) FROM ({sql})"


def with_pairs(sql: str) -> str:
    """SQL: one key becomes two, each of which says little alone."""
    pair = "user_id // 300 AS user_id, user_id % 300 AS shop_id"
    return f"SELECT {pair}, * EXCLUDE (user_id) FROM ({sql})"


def write_parquet(db: Any, sql: str, path: Path, n_rows: int, n_groups: int = 10) -> None:
    group = max(2048, n_rows // n_groups)
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
        "n_small": min(1_000, scaled(1_000_000)),
        "n_large": scaled(50_000_000),
        "n_huge": scaled(100_000_000),
        "n_many_keys": scaled(1_000_000),
        "n_few_keys": scaled(2_000),
        "n_wide": scaled(17_000),
        "n_materialize": scaled(1_000_000),
    }


def recipes(size: dict[str, int]) -> dict[str, Callable[[Any, Path], None]]:
    """How each file is made: name -> f(database, path)."""
    n, n_spine, n_keys = size["n_source"], size["n_spine"], size["n_keys"]
    s10, spine = source_rows(n, n_keys), spine_rows(n_spine, n_keys)

    def parquet(sql: str, n_rows: int, n_groups: int = 10) -> Callable[[Any, Path], None]:
        return lambda db, path: write_parquet(db, sql, path, n_rows, n_groups)

    def arrow(sql: str) -> Callable[[Any, Path], None]:
        return lambda db, path: write_arrow(db, sql, path)

    n_large, n_many, n_few = size["n_large"], size["n_many_keys"], size["n_few_keys"]
    n_wide, n_huge, n_fresh = size["n_wide"], size["n_huge"], size["n_materialize"]
    return {
        "s10.parquet": parquet(s10, n),
        "s10-random.parquet": parquet(f"{s10} ORDER BY {random(60)}", n),
        "s10-sorted.parquet": parquet(f"{s10} ORDER BY user_id, event_timestamp", n),
        "s10-uuid.parquet": parquet(with_uuids(s10), n),
        "s10-pair.parquet": parquet(with_pairs(s10), n),
        "s50.parquet": parquet(source_rows(n_large, n_many), n_large, 50),
        "s100.parquet": parquet(source_rows(n_huge, n_keys), n_huge, 100),
        "h10.parquet": parquet(source_rows(n, n_few), n),
        "wide1000.parquet": parquet(very_wide_rows(n_wide, n_few), n_wide, 1),
        "materialize.parquet": parquet(dense_rows(n_fresh, n_keys), n_fresh),
        "online.parquet": parquet(dense_rows(n_many, n_many), n_many),
        "wide.parquet": parquet(wide_rows(), 1000),
        "spine.arrow": arrow(spine),
        "spine-uuid.arrow": arrow(with_uuids(spine)),
        "spine-pair.arrow": arrow(with_pairs(spine)),
        "spine-small.arrow": arrow(spine_rows(size["n_small"], n_keys)),
        "spine-s50.arrow": arrow(spine_rows(n_spine, n_many)),
        "spine-h10.arrow": arrow(spine_rows(n_spine, n_few)),
        "spine-wide.arrow": arrow(spine_rows(n_wide, n_few)),
    }


def forget_others(folder: Path, manifest: dict[str, Any]) -> None:
    """Remove files that other rules, another DuckDB or another scale made."""
    stamp = folder / "manifest.json"
    if stamp.exists() and json.loads(stamp.read_text()) == manifest:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    stamp.write_text(json.dumps(manifest) + "\n")


def make(folder: Path, scale: float, names: list[str]) -> None:
    """Make what is missing; a file gets its name when it is whole."""
    size = sizes(scale)
    forget_others(folder, {"version": VERSION, "duckdb": duckdb.__version__, **size})
    known = recipes(size)
    for name in names:
        path, part = folder / name, folder / f"{name}.part"
        if path.exists():
            continue
        print(f"bench: making {path}", flush=True)
        with duckdb.connect(config={"threads": 2}) as db:
            db.execute("SET TimeZone = 'UTC'")
            known[name](db, part)
        part.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the data that the scenarios share.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", metavar="FILE")
    parser.add_argument("--scale", type=float, default=1.0, help="1 = 10 M source rows")
    arguments = parser.parse_args()
    make(arguments.folder, arguments.scale, arguments.names)


if __name__ == "__main__":
    main()
