"""Scenarios of writing online: loads, pushes, and Redis beside them."""

from scenario import CALL, Claim, Contender, Figure, Scenario

MATERIALIZE = Scenario(
    name="materialize",
    title="Loading the online store",
    about=(
        "The newest of {n_materialize:,} rows x 10 features for each of {n_keys:,} keys into an "
        "empty store: `materialize()` alone, the definitions being applied. Tiffin into LMDB, "
        "synced to disk; Feast into SQLite."
    ),
    data=("materialize.parquet",),
    contenders=(
        Contender("Tiffin", "materialize_tiffin"),
        Contender("Feast", "materialize_feast", peer=True, max_rounds=1, needs="feast"),
    ),
    figures=CALL,
    claims=(
        Claim("seconds", "seconds", 1.5, unit=" s"),
        Claim("time / Feast", "seconds", 1.0, ("Feast",)),
    ),
)

COMMAND = (Figure("seconds", "seconds"), Figure("peak_mb", "MB peak", "{:,.0f}"))

LOAD_COMMAND = Scenario(
    name="load-command",
    title="Loading the online store, the whole command",
    about=(
        "The newest of {n_materialize:,} rows x 10 features for each of {n_keys:,} keys into an "
        "empty store, by the command `materialize` in a folder whose definitions are applied: from "
        "the start of the process to its end. Tiffin into LMDB, synced to disk, and into Redis; "
        "Feast into SQLite and into Redis. Each Redis is a server of its own, on the same machine."
    ),
    data=("materialize.parquet",),
    contenders=(
        Contender("Tiffin", "command_materialize", params={"package": "tiffin"}),
        Contender(
            "Tiffin, Redis",
            "command_materialize",
            params={"package": "tiffin", "online": "redis"},
        ),
        Contender(
            "Feast, SQLite",
            "command_materialize",
            True,
            {"package": "feast", "online": "sqlite"},
            max_rounds=1,
            needs="feast",
        ),
        Contender(
            "Feast, Redis",
            "command_materialize",
            True,
            {"package": "feast", "online": "redis"},
            max_rounds=1,
            needs="redis",
        ),
    ),
    figures=COMMAND,
    claims=(
        Claim("LMDB: seconds", "seconds", 0.8, unit=" s"),
        Claim("LMDB: time / Feast on SQLite", "seconds", 1 / 25, ("Feast, SQLite",)),
        Claim("Redis: time / Feast on Redis", "seconds", 1 / 8, ("Feast, Redis",), "Tiffin, Redis"),
    ),
)

LARGE = {"file": "s50.parquet"}

LOAD_LARGE = Scenario(
    name="load-large",
    title="Loading the online store, from many rows",
    about=(
        "The newest of {n_large:,} rows x 10 features for each of {n_many_keys:,} keys into an "
        "empty store; and the same again into a full one, where every row is the same. The bare "
        "scan reads the same columns. The allowance is the time of the load itself at 400,000 rows "
        "a second."
    ),
    data=("s50.parquet",),
    contenders=(
        Contender("Tiffin", "materialize_tiffin", params=LARGE),
        Contender("bare scan (DuckDB)", "join_scan", True, LARGE, needs="duckdb"),
    ),
    figures=CALL,
    claims=(
        Claim(
            "(time - load) / bare scan",
            "seconds",
            1.6,
            ("bare scan (DuckDB)",),
            allowance=2.5,
        ),
        Claim("peak memory", "peak_mb", 600, unit=" MB"),
    ),
)

PUSHES = {"n_one": 5_000, "n_many": 40, "rows_many": 10_000}

PUSH = Scenario(
    name="push",
    title="Pushes",
    about=(
        "`push` of 1 row, and of 10,000 rows (an Arrow table), x 10 features into a store of "
        "{n_many_keys:,} keys that the page cache holds; random keys, all newer than those there. "
        "In memory (a tmpfs: what remains without the disk) and on the disk. After a second load "
        "each change is noted too, for a rollback. The yardstick writes as many pages as LMDB does "
        "for one row, and syncs as often."
    ),
    data=("online.parquet",),
    contenders=(
        Contender("Tiffin", "push_tiffin", params={**PUSHES, "in_memory": True}),
        Contender("Tiffin, on disk", "push_tiffin", params=PUSHES),
        Contender(
            *("Tiffin, two loads", "push_tiffin"),
            params={**PUSHES, "in_memory": True, "in_two_loads": True},
        ),
        Contender("two writes and fsyncs", "push_files", params=PUSHES),
    ),
    figures=(
        Figure("one_median", "1 row: median us", "{:,.0f}"),
        Figure("one_p99", "p99 us", "{:,.0f}"),
        Figure("many_rate", "10,000 rows: rows/s", "{:,.0f}"),
        Figure("many_us", "us a row", "{:,.2f}"),
    ),
    claims=(
        Claim("1 row, p99, without the disk", "one_p99", 1_000, unit=" us"),
        Claim(
            "(1 row on disk, p99 - 1 ms) / writes and fsyncs",
            "one_p99",
            1.0,
            ("two writes and fsyncs",),
            "Tiffin, on disk",
            allowance=1_000,
        ),
        Claim("10,000 rows, a row (300,000 rows/s)", "many_us", 1e6 / 300_000, unit=" us"),
        Claim(
            "10,000 rows on disk, a row", "many_us", 1e6 / 300_000, of="Tiffin, on disk", unit=" us"
        ),
    ),
)

HUNDRED = {"store": "one", "n_rows": 100}

REDIS_LOOKUP = Scenario(
    name="lookup-redis",
    title="Lookups in Redis",
    about=(
        "100 entities x 10 features by random keys from the {n_many_keys:,} of a Redis server on "
        "the same machine, `to_dict()`, in microseconds a call. Tiffin and Feast read the same "
        "hashes. redis-benchmark sends 100 HMGETs of as many fields of the same sizes in one "
        "pipeline, over one connection, and throws the answers away. Beside them Tiffin's lookup "
        "of the same from LMDB."
    ),
    data=("online.parquet",),
    contenders=(
        Contender("Tiffin", "redis_tiffin", params=HUNDRED | {"n_calls": 2_000}),
        Contender("Feast", "redis_feast", True, HUNDRED | {"n_calls": 100}, 3, "redis"),
        Contender("redis-benchmark", "redis_benchmark", params=HUNDRED | {"n_calls": 2_000}),
        Contender("Tiffin, LMDB", "lookup_tiffin", params=HUNDRED | {"n_calls": 2_000}),
    ),
    figures=(Figure("median", "median", "{:,.0f}"), Figure("p99", "p99", "{:,.0f}")),
    claims=(
        Claim("100 entities / redis-benchmark", "median", 1.4, ("redis-benchmark",)),
        Claim("100 entities / Feast", "median", 1 / 6, ("Feast",)),
        Claim("100 entities from LMDB / Feast", "median", 1 / 25, ("Feast",), "Tiffin, LMDB"),
    ),
)

WRITES = (MATERIALIZE, LOAD_COMMAND, LOAD_LARGE, PUSH, REDIS_LOOKUP)
