"""What is compared with what: every scenario as data.

A scenario is a question, its contenders (scripts in contenders/), the figures that a round yields,
and the claims that its figures must bear out. To add one, add it to `SCENARIOS`; to add a
contender, write its script and name it in a scenario.
"""

from dataclasses import dataclass, field
from math import inf
from typing import Any


@dataclass(frozen=True)
class Contender:
    """One side of a comparison; `peer`: it runs in the peers' interpreter."""

    name: str
    script: str
    peer: bool = False
    params: dict[str, Any] = field(default_factory=dict)
    max_rounds: int = 1_000  # of one that is too slow to be run five times
    needs: str = ""  # package without which it is left out


@dataclass(frozen=True)
class Figure:
    """A number that a round yields, and how the table writes it."""

    name: str
    title: str
    form: str = "{:,.2f}"


@dataclass(frozen=True)
class Claim:
    """Tiffin's figure, or its ratio to the best of `against`, is at most `bound`.

    `of`: another contender than the one named Tiffin. A bound of infinity claims nothing: the
    number is shown.
    """

    text: str
    figure: str
    bound: float
    against: tuple[str, ...] = ()
    of: str = "Tiffin"
    unit: str = ""


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    about: str  # one paragraph; {n_source} and the like are the sizes of the data
    contenders: tuple[Contender, ...]
    figures: tuple[Figure, ...]
    claims: tuple[Claim, ...] = ()


CALL = (
    Figure("seconds", "seconds"),
    Figure("cpu", "core seconds"),
    Figure("before_mb", "MB before", "{:,.0f}"),
    Figure("peak_mb", "MB peak", "{:,.0f}"),
)

JOIN = Scenario(
    name="join",
    title="A training set",
    about=(
        "{n_source:,} source rows ({n_keys:,} keys, 5 int64 and 5 float32 features, a created "
        "column; zstd Parquet in time order) joined to {n_spine:,} entity rows in no order, ttl 7 "
        "days: from a `pyarrow.Table` to a `pyarrow.Table` in the order of the entity rows. The "
        "scan adds up the same 13 columns and joins nothing."
    ),
    contenders=(
        Contender("Tiffin", "join_tiffin"),
        Contender("DuckDB ASOF JOIN", "join_duckdb", peer=True, needs="duckdb"),
        Contender(
            "Polars join_asof", "join_polars", peer=True, params={"engine": "auto"}, needs="polars"
        ),
        Contender("bare scan (DuckDB)", "join_scan", peer=True, needs="duckdb"),
    ),
    figures=CALL,
    claims=(
        Claim("time / best peer", "seconds", 1.0, ("DuckDB ASOF JOIN", "Polars join_asof")),
        Claim(
            "peak memory / leaner peer", "peak_mb", 1 / 3, ("DuckDB ASOF JOIN", "Polars join_asof")
        ),
        Claim("time / bare scan", "seconds", 2.0, ("bare scan (DuckDB)",)),
    ),
)

MATERIALIZE = Scenario(
    name="materialize",
    title="Loading the online store",
    about=(
        "The newest of {n_materialize:,} rows x 10 features for each of {n_keys:,} keys into an "
        "empty store: `materialize()` alone, the definitions being applied. Tiffin into LMDB, "
        "synced to disk; Feast into SQLite."
    ),
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

APPLY = Scenario(
    name="apply",
    title="Many definitions",
    about=(
        "`apply()` of 1,000 views x 20 features over one file into a fresh registry; the objects "
        "are made before."
    ),
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

SCENARIOS = {s.name: s for s in (JOIN, MATERIALIZE, ONLINE, APPLY, OPEN, STARTUP)}
