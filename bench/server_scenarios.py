"""Scenarios of the feature server: load, latency, memory, start."""

from math import inf
from typing import Any

from scenario import Claim, Contender, Figure, Scenario

CONSTANT, FEAST = "a constant (libmicrohttpd)", "feast serve"
HOW = (
    "The server has one worker and one core, the load (wrk, 64 connections that are kept; 8 for "
    "Feast) the other. Keys are random, of the {n_many_keys:,} of the store; every answer is "
    "checked to be a good one."
)


def servers(*kinds: str, **case: Any) -> tuple[Contender, ...]:
    """The named servers, all asked the same; Feast's in fewer rounds, over fewer connections.

    Latencies are measured of Tiffin's alone.
    """
    plain = {k: v for k, v in case.items() if k != "paced"}
    known = {
        "tiffin": Contender("Tiffin", "serve_load", params={"server": "tiffin", **case}),
        "constant": Contender(CONSTANT, "serve_load", params={"server": "constant", **plain}),
        "feast": Contender(
            *(FEAST, "serve_load", True, {"server": "feast", **plain, "n_connections": 8}),
            *(3, "feast"),
            timeout_s=3_600,
        ),
    }
    return tuple(known[kind] for kind in kinds)


RATE = Figure("rate", "requests/s", "{:,.0f}")
CPU = Figure("cpu_us", "core us a request", "{:,.1f}")
BUSY = Figure("busy", "% of the core", "{:,.0f}")
BYTES = Figure("answer_bytes", "bytes an answer", "{:,.0f}")
ROWS = (
    Figure("row_rate", "entity rows/s", "{:,.0f}"),
    RATE,
    Figure("row_us", "us a row", "{:,.2f}"),
    CPU,
    BUSY,
    BYTES,
    Figure("median_ms", "at half of that load: median ms", "{:,.2f}"),
    Figure("p99_ms", "p99 ms", "{:,.2f}"),
    Figure("p999_ms", "p99.9 ms", "{:,.2f}"),
)

SERVE_ONE = Scenario(
    name="serve-one",
    title="The feature server: one entity",
    about=(
        f"`POST /get-online-features`, 1 entity x 10 features, 10 references in the body. {HOW} "
        "The constant answers the same POST with the bytes that Tiffin's server once sent."
    ),
    data=("online.parquet",),
    contenders=servers("tiffin", "constant", "feast", n_rows=1),
    figures=(RATE, Figure("us", "us a request", "{:,.1f}"), CPU, BUSY, BYTES),
    claims=(
        Claim("time a request / a constant (60% of its rate)", "us", 1 / 0.6, (CONSTANT,)),
        Claim("time a request / feast serve", "us", 1 / 80, (FEAST,)),
    ),
)

SERVE_MANY = Scenario(
    name="serve-many",
    title="The feature server: a hundred entities",
    about=(
        f"`POST /get-online-features`, 100 entities x 10 features. {HOW} Latencies are those of an "
        "open loop at half of the rate that was found: requests come when they are due, by chance, "
        "whether or not others are answered, and count from then."
    ),
    data=("online.parquet",),
    contenders=servers("tiffin", "constant", "feast", n_rows=100, paced=True),
    figures=ROWS,
    claims=(
        Claim("us a row (300,000 rows/s)", "row_us", 1e6 / 300_000, unit=" us"),
        Claim("p99 at half of the load", "p99_ms", 3, unit=" ms"),
        Claim("time a row / feast serve", "row_us", 1 / 40, (FEAST,)),
        Claim("time a row / a constant", "row_us", inf, (CONSTANT,)),
    ),
)

SERVE_LEAN = Scenario(
    name="serve-lean",
    title="The feature server: the lean form",
    about=f"`POST /v1/features`, 100 entities x 10 features, by column. {HOW}",
    data=("online.parquet",),
    contenders=servers("tiffin", "constant", n_rows=100, form="lean", paced=True),
    figures=ROWS,
    claims=(
        Claim("us a row (450,000 rows/s)", "row_us", 1e6 / 450_000, unit=" us"),
        Claim("time a row / a constant", "row_us", inf, (CONSTANT,)),
    ),
)


def both(script: str, **params: dict[str, Any]) -> tuple[Contender, ...]:
    """Tiffin's server, and Feast's in one round."""
    return (
        Contender("Tiffin", script, params={"server": "tiffin", **params.get("tiffin", {})}),
        Contender(
            *(FEAST, script, True, {"server": "feast", **params.get("feast", {})}, 1, "feast"),
            timeout_s=3_600,
        ),
    )


SERVE_MEMORY = Scenario(
    name="serve-memory",
    title="The feature server: memory",
    about=(
        "Greatest anonymous memory (not that of files) of the server's processes while 64 "
        "connections ask for 1 and then for 100 entities x 10 features of {n_many_keys:,}; before "
        "the first request; and resident, the pages of the store included, which every process "
        "shares."
    ),
    data=("online.parquet",),
    contenders=both("serve_memory"),
    figures=(
        Figure("anonymous_mb", "MB anonymous", "{:,.1f}"),
        Figure("idle_mb", "before", "{:,.1f}"),
        Figure("resident_mb", "MB resident", "{:,.0f}"),
    ),
    claims=(Claim("MB anonymous", "anonymous_mb", 30, unit=" MB"),),
)

SERVE_START = Scenario(
    name="serve-start",
    title="The feature server: start",
    about=(
        "From the start of the process to the last byte of the first answer to `POST "
        "/get-online-features` (1 entity x 10 features of {n_many_keys:,}), files cached, in "
        "milliseconds: the median and the greatest of the starts of a round."
    ),
    data=("online.parquet",),
    contenders=both("serve_start", tiffin={"n_runs": 20}, feast={"n_runs": 2}),
    figures=(
        Figure("median", "median ms", "{:,.1f}"),
        Figure("greatest", "greatest ms", "{:,.1f}"),
    ),
    claims=(Claim("start to first answer", "median", 50, unit=" ms"),),
)

SERVES = (SERVE_ONE, SERVE_MANY, SERVE_LEAN, SERVE_MEMORY, SERVE_START)
