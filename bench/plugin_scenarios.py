"""Scenarios of Tiffin's stores inside a real Feast."""

from math import inf

from scenario import CALL, Claim, Contender, Figure, Scenario

PLUGGED = {"offline": "tiffin"}
UNDER, SQLITE, DUCKDB = "Tiffin under Feast", "Feast (SQLite)", "Feast (duckdb)"
MANY = {"store": "one", "n_rows": 100}

PLUGIN_JOIN = Scenario(
    name="plugin-join",
    title="Inside Feast: a training set",
    about=(
        "{n_source:,} source rows ({n_keys:,} keys x 10 features) joined to {n_spine:,} entity "
        "rows, ttl 7 days, by `get_historical_features(...).to_arrow()`: of Tiffin, of Feast with "
        " `TiffinOfflineStore` (from a pandas frame, which Feast wants), and of Feast with its "
        "DuckDB store."
    ),
    data=("s10.parquet", "spine.arrow"),
    contenders=(
        Contender(UNDER, "join_feast", True, PLUGGED, needs="feast"),
        Contender("Tiffin", "join_tiffin"),
        Contender(DUCKDB, "join_feast", True, {}, 1, "ibis-framework", 240),
    ),
    figures=CALL,
    claims=(
        Claim("time / Tiffin's own", "seconds", 1.3, ("Tiffin",), UNDER),
        Claim("time / Feast's DuckDB store", "seconds", inf, (DUCKDB,), UNDER),
    ),
)

PLUGIN_LOOKUP = Scenario(
    name="plugin-lookup",
    title="Inside Feast: a lookup",
    about=(
        "100 entities x 10 features from {n_many_keys:,} keys by "
        "`get_online_features(...).to_dict()` of Feast, with `TiffinOnlineStore` and with SQLite. "
        "Keys are random and new for each call. Microseconds a call."
    ),
    data=("online.parquet",),
    contenders=(
        Contender(UNDER, "lookup_feast", True, MANY | PLUGGED | {"n_calls": 1_000}, needs="feast"),
        Contender("Tiffin", "lookup_tiffin", params=MANY | {"n_calls": 3_000}),
        Contender(
            *(SQLITE, "lookup_feast", True, MANY | {"n_calls": 200}, 3, "feast"), timeout_s=3_600
        ),
    ),
    figures=(Figure("median", "median", "{:,.1f}"), Figure("p99", "p99", "{:,.1f}")),
    claims=(
        Claim("median / Feast on SQLite", "median", 1 / 3, (SQLITE,), UNDER),
        Claim("median / Tiffin's own", "median", inf, ("Tiffin",), UNDER),
    ),
)

PLUGIN_LOAD = Scenario(
    name="plugin-load",
    title="Inside Feast: materialize",
    about=(
        "The newest of {n_materialize:,} rows x 10 features for each of {n_keys:,} keys into an "
        "empty store by `FeatureStore.materialize()` of Feast: with Tiffin's three classes, and "
        "with its own engine and SQLite."
    ),
    data=("materialize.parquet",),
    contenders=(
        Contender(UNDER, "materialize_feast", True, PLUGGED, needs="feast"),
        Contender("Tiffin", "materialize_tiffin"),
        Contender(SQLITE, "materialize_feast", True, {}, 1, "feast"),
    ),
    figures=CALL,
    claims=(
        Claim("time / Feast on SQLite", "seconds", 1 / 5, (SQLITE,), UNDER),
        Claim("time / Tiffin's own", "seconds", inf, ("Tiffin",), UNDER),
    ),
)

PLUGINS = (PLUGIN_JOIN, PLUGIN_LOOKUP, PLUGIN_LOAD)
