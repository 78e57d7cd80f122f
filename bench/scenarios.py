"""What is compared with what: every scenario as data.

A scenario is a question, its contenders (scripts in contenders/), the figures that a round yields,
and the claims that its figures must bear out. To add one, add it to `SCENARIOS`; to add a
contender, write its script and name it in a scenario.
"""

from math import inf
from typing import Any

from plugin_scenarios import PLUGINS
from scenario import CALL, Claim, Contender, Figure, Scenario
from server_scenarios import SERVES
from write_scenarios import WRITES

ASOF, POLARS, SCAN = "DuckDB ASOF JOIN", "Polars join_asof", "bare scan (DuckDB)"
FEAST = "Feast (duckdb)"


def join_contenders(question: dict[str, Any], *names: str) -> tuple[Contender, ...]:
    """Tiffin and the named others, all asked the same."""
    known = {
        ASOF: Contender(ASOF, "join_duckdb", True, question, needs="duckdb"),
        POLARS: Contender(
            POLARS, "join_polars", True, {"engine": "auto", **question}, needs="polars"
        ),
        FEAST: Contender(FEAST, "join_feast", True, question, 1, "ibis-framework", 240),
        SCAN: Contender(SCAN, "join_scan", True, question, needs="duckdb"),
    }
    return (Contender("Tiffin", "join_tiffin", params=question), *(known[name] for name in names))


JOIN_S10 = Scenario(
    name="join-s10",
    title="A training set",
    about=(
        "{n_source:,} source rows ({n_keys:,} keys, 5 int64 and 5 float32 features, a created "
        "column; zstd Parquet in time order) joined to {n_spine:,} entity rows in no order, ttl 7 "
        "days: from a `pyarrow.Table` to a `pyarrow.Table` in the order of the entity rows. The "
        "scan adds up the same 13 columns and joins nothing."
    ),
    data=("s10.parquet", "spine.arrow"),
    contenders=join_contenders({}, ASOF, POLARS, SCAN),
    figures=CALL,
    claims=(
        Claim("time / best peer", "seconds", 0.7, (ASOF, POLARS)),
        Claim("time / bare scan", "seconds", 2.0, (SCAN,)),
        Claim("peak memory / DuckDB", "peak_mb", 0.3, (ASOF,)),
    ),
)

S50 = {"file": "s50.parquet", "spine": "spine-s50.arrow"}

JOIN_S50 = Scenario(
    name="join-s50",
    title="A training set: more rows, more keys",
    about=(
        "{n_large:,} source rows of {n_many_keys:,} keys joined to {n_spine:,} entity rows; the "
        "rest as above."
    ),
    data=("s50.parquet", "spine-s50.arrow"),
    contenders=join_contenders(S50, ASOF, FEAST, SCAN),
    figures=CALL,
    claims=(
        Claim("time / DuckDB", "seconds", 0.4, (ASOF,)),
        Claim("time / Feast's DuckDB store", "seconds", 0.7, (FEAST,)),
        Claim("time / bare scan", "seconds", 1.5, (SCAN,)),
        Claim("peak memory / DuckDB", "peak_mb", 0.12, (ASOF,)),
    ),
)

H10 = {"file": "h10.parquet", "spine": "spine-h10.arrow"}

JOIN_H10 = Scenario(
    name="join-h10",
    title="A training set: few keys",
    about=(
        "{n_source:,} source rows of {n_few_keys:,} keys joined to {n_spine:,} entity rows; the "
        "rest as above."
    ),
    data=("h10.parquet", "spine-h10.arrow"),
    contenders=join_contenders(H10, ASOF, POLARS, FEAST, SCAN),
    figures=CALL,
    claims=(
        Claim("time / best peer", "seconds", 0.7, (ASOF, POLARS)),
        Claim("time / Feast's DuckDB store", "seconds", 0.01, (FEAST,)),
        Claim("peak memory / DuckDB", "peak_mb", 0.3, (ASOF,)),
    ),
)

READS = "bare reads (DuckDB)"

JOIN_SMALL = Scenario(
    name="join-small",
    title="A training set: few entity rows",
    about=(
        "{n_source:,} source rows joined to {n_small:,} entity rows. The reads add up keys and "
        "times of all rows, and fetch the features of {n_small:,} random rows by row number. "
        "DuckDB's library is loaded before the call on all sides."
    ),
    data=("s10.parquet", "spine-small.arrow"),
    contenders=(
        *join_contenders({"spine": "spine-small.arrow"}, ASOF, POLARS),
        Contender(READS, "join_reads", True, needs="duckdb"),
    ),
    figures=CALL,
    claims=(
        Claim("(time - 50 ms) / bare reads", "seconds", 1.1, (READS,), allowance=0.05),
        Claim("MB beyond what was there before", "beyond_mb", 200, unit=" MB"),
    ),
)

WIDE = {"file": "wide1000.parquet", "spine": "spine-wide.arrow", "n_float_features": 1_000}

JOIN_WIDE = Scenario(
    name="join-wide",
    title="A training set: a thousand features",
    about="{n_wide:,} source rows of 1,000 float32 features joined to {n_wide:,} entity rows.",
    data=("wide1000.parquet", "spine-wide.arrow"),
    contenders=join_contenders(WIDE, ASOF, POLARS, SCAN),
    figures=CALL,
    claims=(
        Claim("seconds", "seconds", 1.0, unit=" s"),
        Claim("peak memory", "peak_mb", 500, unit=" MB"),
    ),
)

ONE, MANY = "Tiffin, 1 view", "Tiffin, 20 views"

JOIN_VIEWS = Scenario(
    name="join-views",
    title="A training set of many views",
    about=(
        "One and twenty views of {n_source:,} rows over the same key joined to {n_spine:,} entity "
        "rows. Seconds a view leave out the index of the entity rows, which views share; memory "
        "without output leaves out the new columns."
    ),
    data=("s10.parquet", "spine.arrow"),
    contenders=(
        Contender(ONE, "join_tiffin"),
        Contender(MANY, "join_tiffin", params={"n_views": 20}),
    ),
    figures=(
        *CALL,
        Figure("seconds_a_view", "seconds a view"),
        Figure("without_output_mb", "MB peak without output", "{:,.0f}"),
    ),
    claims=(
        Claim("seconds a view, 20 views / 1", "seconds_a_view", 1.0, (ONE,), MANY),
        Claim("memory without output, 20 views / 1", "without_output_mb", 1.0, (ONE,), MANY),
    ),
)

TENTH, WHOLE = "Tiffin, 10 M rows", "Tiffin, 100 M rows"

JOIN_S100 = Scenario(
    name="join-s100",
    title="A training set: ten times the rows",
    about="{n_source:,} and {n_huge:,} source rows of the same keys, the same entity rows.",
    data=("s10.parquet", "s100.parquet", "spine.arrow"),
    contenders=(
        Contender(TENTH, "join_tiffin", params={"checked": False}),
        Contender(WHOLE, "join_tiffin", params={"checked": False, "file": "s100.parquet"}),
    ),
    figures=CALL,
    claims=(
        Claim("time, 100 M / 10 M", "seconds", 11.0, (TENTH,), WHOLE),
        Claim("peak memory, 100 M / 10 M", "peak_mb", 1.2, (TENTH,), WHOLE),
    ),
)

UUID = {"file": "s10-uuid.parquet", "spine": "spine-uuid.arrow", "text_keys": True}
PAIR = {"file": "s10-pair.parquet", "spine": "spine-pair.arrow", "keys": ["user_id", "shop_id"]}
UUID_SCAN, PAIR_SCAN = "bare scan, uuid", "bare scan, two keys"

JOIN_KEYS = Scenario(
    name="join-keys",
    title="A training set: other keys",
    about=(
        "The first training set; the same with uuids as keys (36 bytes of text); the same with two "
        "int64 keys. Each has its bare scan."
    ),
    data=(
        *("s10.parquet", "s10-uuid.parquet", "s10-pair.parquet"),
        *("spine.arrow", "spine-uuid.arrow", "spine-pair.arrow"),
    ),
    contenders=(
        Contender("int64", "join_tiffin"),
        Contender("uuid", "join_tiffin", params=UUID),
        Contender("two keys", "join_tiffin", params=PAIR),
        Contender(UUID_SCAN, "join_scan", True, UUID, needs="duckdb"),
        Contender(PAIR_SCAN, "join_scan", True, PAIR, needs="duckdb"),
    ),
    figures=CALL,
    claims=(
        Claim("uuid: time / bare scan", "seconds", 2.2, (UUID_SCAN,), "uuid"),
        Claim("two keys: time / bare scan", "seconds", 2.2, (PAIR_SCAN,), "two keys"),
        Claim("uuid: peak memory / int64", "peak_mb", 2.0, ("int64",), "uuid"),
        Claim("two keys: peak memory / int64", "peak_mb", 2.0, ("int64",), "two keys"),
    ),
)

JOIN_ORDERS = Scenario(
    name="join-orders",
    title="A training set: files in other orders",
    about="The first training set; its file in random order, and sorted by key.",
    data=("s10.parquet", "s10-random.parquet", "s10-sorted.parquet", "spine.arrow"),
    contenders=(
        Contender("by time", "join_tiffin"),
        Contender("random", "join_tiffin", params={"file": "s10-random.parquet"}),
        Contender("by key", "join_tiffin", params={"file": "s10-sorted.parquet"}),
    ),
    figures=CALL,
    claims=tuple(
        Claim(f"{order}: {what} / by time", figure, 1.5, ("by time",), order)
        for order in ("random", "by key")
        for what, figure in (("time", "seconds"), ("peak memory", "peak_mb"))
    ),
)

JOINS = (
    *(JOIN_S10, JOIN_S50, JOIN_H10, JOIN_SMALL, JOIN_WIDE, JOIN_VIEWS, JOIN_S100),
    *(JOIN_KEYS, JOIN_ORDERS),
)


def lookups(n_one: int, n_many: int) -> dict[str, Any]:
    return {"n_one": n_one, "n_many": n_many}


ONLINE = Scenario(
    name="online",
    title="Lookups in process",
    about=(
        "`get_online_features(...).to_dict()` of 10 features by random keys from the {n_keys:,} of "
        "a store, which the page cache holds: 1 entity and 100 entities, in microseconds a call. "
        "The raw gets read rows of Tiffin's own LMDB environment through py-lmdb and decode "
        "nothing; the dict is built from values that Python has already."
    ),
    data=("materialize.parquet",),
    contenders=(
        Contender("Tiffin", "online_tiffin", params=lookups(20_000, 2_000)),
        Contender("Feast", "online_feast", True, lookups(2_000, 100), 2, "feast"),
        Contender("raw gets (py-lmdb)", "online_lmdb", True, lookups(20_000, 2_000), needs="lmdb"),
        Contender("the dict alone", "online_python", params=lookups(20_000, 2_000)),
    ),
    figures=(
        Figure("one_median", "1 entity: median", "{:,.1f}"),
        Figure("one_p99", "p99", "{:,.1f}"),
        Figure("many_median", "100 entities: median", "{:,.1f}"),
        Figure("many_p99", "p99 ", "{:,.1f}"),
    ),
    claims=(
        Claim("1 entity, median", "one_median", 20, unit=" us"),
        Claim("1 entity / Feast", "one_median", 1.0, ("Feast",)),
        Claim("100 entities / Feast", "many_median", 1.0, ("Feast",)),
        Claim("1 entity / raw gets", "one_median", inf, ("raw gets (py-lmdb)",)),
        Claim("100 entities / raw gets", "many_median", inf, ("raw gets (py-lmdb)",)),
        Claim("1 entity / the dict alone", "one_median", inf, ("the dict alone",)),
    ),
)

RAW, SQLITE = "raw gets (C)", "Feast (SQLite)"


def lookup_contenders(n_feast: int, **case: Any) -> tuple[Contender, ...]:
    """Tiffin, LMDB alone and Feast, all asked the same; Feast fewer times."""
    return (
        Contender("Tiffin", "lookup_tiffin", params=case),
        Contender(RAW, "lookup_raw", params=case),
        Contender(
            *(SQLITE, "lookup_feast", True, case | {"n_calls": n_feast}, 3, "feast"),
            timeout_s=3_600,
        ),
    )


def lookup_scenario(
    name: str, title: str, about: str, claims: tuple[Claim, ...], **case: Any
) -> Scenario:
    return Scenario(
        name=name,
        title=title,
        about=(
            f"{about} Keys are random and new for each call; the page cache holds the stores. "
            "Tiffin asks a prepared lookup. The raw gets are a C program that reads the same keys "
            "of Tiffin's own LMDB environment in the order asked, and touches the values. "
            "Microseconds a call."
        ),
        data=("online.parquet" if case["store"] == "one" else "materialize.parquet",),
        contenders=lookup_contenders(**case),
        figures=(
            Figure("median", "median", "{:,.1f}"),
            Figure("p99", "p99", "{:,.1f}"),
            Figure("store_mb", "MB of the store", "{:,.0f}"),
        ),
        claims=claims,
    )


ONE_STORE = "a store of {n_many_keys:,} keys x 10 features"

LOOKUP_ONE = lookup_scenario(
    "lookup-one",
    "A lookup: one entity",
    f"1 entity x 10 features from {ONE_STORE}, to a dict.",
    (
        Claim("median", "median", 6, unit=" us"),
        Claim("p99", "p99", 20, unit=" us"),
        Claim("median / Feast on SQLite", "median", 1 / 25, (SQLITE,)),
    ),
    store="one",
    n_rows=1,
    n_calls=20_000,
    n_feast=2_000,
)

LOOKUP_MANY = lookup_scenario(
    "lookup-many",
    "A lookup: a hundred entities",
    f"100 entities x 10 features from {ONE_STORE}, to a dict.",
    (
        Claim("(median - 30 us) / raw gets", "median", 1.3, (RAW,), allowance=30),
        Claim("median / Feast on SQLite", "median", 1 / 40, (SQLITE,)),
    ),
    store="one",
    n_rows=100,
    n_calls=3_000,
    n_feast=200,
)

LOOKUP_ARROW = lookup_scenario(
    "lookup-arrow",
    "A lookup: a thousand entities, to Arrow",
    f"1,000 entities x 10 features from {ONE_STORE}, to a pyarrow table.",
    (Claim("median / raw gets", "median", 1.4, (RAW,)),),
    store="one",
    n_rows=1_000,
    n_calls=500,
    n_feast=20,
    form="arrow",
)

LOOKUP_VIEWS = lookup_scenario(
    "lookup-views",
    "A lookup: many views",
    "50 entities x 20 views x 5 features, each view of {n_keys:,} keys, to a dict.",
    (Claim("(median - 20 us) / raw gets", "median", 1.4, (RAW,), allowance=20),),
    store="views",
    n_rows=50,
    n_calls=500,
    n_feast=20,
)

PER_VIEW_CASE = {"store": "views", "n_rows": 5, "n_calls": 5_000}

LOOKUP_PER_VIEW = Scenario(
    name="lookup-per-view",
    title="A lookup: what a view costs",
    about=(
        "100 rows of 5 features, as 5 entities x 20 views and as 100 entities x 1 view, each view "
        "of {n_keys:,} keys; the difference is what a view more costs. Tiffin asks prepared "
        "lookups; only the read is timed, not what its answer is made into. Keys and the raw gets "
        "as above. Microseconds a call."
    ),
    data=("materialize.parquet",),
    contenders=(
        Contender("Tiffin", "per_view_tiffin", params=PER_VIEW_CASE),
        Contender(RAW, "per_view_raw", params=PER_VIEW_CASE),
    ),
    figures=(
        Figure("per_view", "a view more"),
        Figure("many", "20 views", "{:,.1f}"),
        Figure("one", "1 view", "{:,.1f}"),
    ),
    claims=(Claim("a view more, beyond the raw gets", "per_view", 0.3, unit=" us", beyond=RAW),),
)

LOOKUPS = (LOOKUP_ONE, LOOKUP_MANY, LOOKUP_ARROW, LOOKUP_VIEWS, LOOKUP_PER_VIEW)

APPLY = Scenario(
    name="apply",
    title="Many definitions",
    about=(
        "`apply()` of 1,000 views x 20 features over one file into a fresh registry; the objects "
        "are made before."
    ),
    data=("wide.parquet",),
    contenders=(
        Contender("Tiffin", "apply_tiffin", params={"step": "apply", "n_views": 1_000}),
        Contender(
            "Feast",
            "apply_feast",
            peer=True,
            params={"step": "apply", "n_views": 1_000},
            max_rounds=1,
            needs="feast",
        ),
    ),
    figures=CALL,
    claims=(
        Claim("seconds", "seconds", 1.0, unit=" s"),
        Claim("time / Feast", "seconds", 1.0, ("Feast",)),
    ),
)

OPEN = Scenario(
    name="open",
    title="Opening a store of many definitions",
    about=(
        "In a fresh process that has imported the package: open the store of the 1,000 views and "
        "read one of them, in milliseconds. What a package imports on first use is inside."
    ),
    data=("wide.parquet",),
    contenders=(
        Contender("Tiffin", "apply_tiffin", params={"step": "open", "n_views": 1_000}),
        Contender(
            "Feast",
            "apply_feast",
            peer=True,
            params={"step": "open", "n_views": 1_000},
            max_rounds=2,
            needs="feast",
        ),
    ),
    figures=(Figure("seconds", "milliseconds", "{:,.1f}"), *CALL[2:]),
    claims=(
        Claim("milliseconds", "seconds", 20, unit=" ms"),
        Claim("time / Feast", "seconds", 1.0, ("Feast",)),
    ),
)


def startup(name: str, *command: str, peer: bool = False) -> Contender:
    params = {"command": list(command), "n_runs": 3 if peer else 20}
    rounds, needs = (1, "feast") if peer else (1_000, "")
    return Contender(name, "startup", peer, params, rounds, needs)


STARTUP = Scenario(
    name="startup",
    title="Starting",
    about=(
        "Whole processes, files cached, in milliseconds; `python -c pass` of the same interpreter "
        "in turn with each, and what remains without it."
    ),
    data=(),
    contenders=(
        startup("import tiffin", "python", "-c", "import tiffin"),
        startup("tiffin --help", "tiffin", "--help"),
        startup("import feast", "python", "-c", "import feast", peer=True),
        startup("feast --help", "feast", "--help", peer=True),
    ),
    figures=(
        Figure("wall", "whole process", "{:,.0f}"),
        Figure("python", "python -c pass", "{:,.0f}"),
        Figure("beyond", "beyond python", "{:,.0f}"),
    ),
    claims=(
        Claim("import tiffin, beyond python", "beyond", 60, of="import tiffin", unit=" ms"),
        Claim("tiffin --help, whole process", "wall", 150, of="tiffin --help", unit=" ms"),
    ),
)

SCENARIOS = {
    s.name: s for s in (*JOINS, *WRITES, ONLINE, *LOOKUPS, *SERVES, *PLUGINS, APPLY, OPEN, STARTUP)
}
