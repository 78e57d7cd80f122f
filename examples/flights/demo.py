"""New York's flights of 2013, end to end: tables, training set, a leak, serving, and the proof.

The question: when a flight is about to leave, will it arrive more than 15 minutes late? README.md
says what is known when, prepare.py makes it, features.py defines it, and this file uses it.

usage: python demo.py [--folder FOLDER] [--months N]
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

# scikit-learn's threads wait for each other by spinning, which on a busy machine costs ten times
# what they compute. The setting is read when scikit-learn is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import duckdb
import features
import numpy as np
import prepare
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from tiffin import Entity, FeatureService, FeatureStore, FeatureView, FieldStatus, OnlineResponse
from tiffin.offline.leakage import LeakageReport

HERE = Path(__file__).parent
VIEWS = [value for value in vars(features).values() if isinstance(value, FeatureView)]
OTHERS = [value for value in vars(features).values() if isinstance(value, Entity | FeatureService)]
KEYS = ["origin", "dest", "carrier", "tailnum"]
# What stands in the schedule is known without any feature store.
SCHEDULE = ["hour", "weekday", "distance"]
LEAVING_WITHIN = timedelta(hours=2)

# The join that leaks: histories "by day". The last row of a day has seen how all flights of that
# day ended, and so the one that is asked about.
JOIN_BY_DAY = """
with history as (
    select *, day_of(event_timestamp) as day from '{file}'
    qualify row_number() over (partition by {keys}, day order by event_timestamp desc) = 1
)
select {columns}
from flights left join history using ({keys}, day)
order by row
"""
DAY_OF = "create macro day_of(t) as cast(timezone('America/New_York', t) as date)"


@contextmanager
def step(name: str) -> Iterator[list[str]]:
    """Print one line about a step: its name, what it found, how long it took."""
    found: list[str] = []
    start = time.perf_counter()
    yield found
    print(f"{name:<14}{' '.join(found):<68}{duration(time.perf_counter() - start)}", flush=True)


def duration(seconds: float) -> str:
    """Return a duration as text that lines up with others."""
    return f"{seconds:6.2f} s" if seconds >= 0.1 else f"{seconds * 1000:6.1f} ms"


# ---- from raw data to a training set


def make_tables(folder: Path) -> None:
    """Write the feature tables, from nothing."""
    shutil.rmtree(folder / "data", ignore_errors=True)
    with step("tables") as found:
        rows = prepare.prepare(folder)
        found.append(f"{len(rows)} Parquet files with {sum(rows.values()):,} rows, from raw data")


def apply(folder: Path) -> FeatureStore:
    """Open the store and tell it the definitions."""
    with step("apply") as found:
        store = FeatureStore(repo_path=folder, fs_yaml_file=HERE / "feature_store.yaml")
        store.apply([*OTHERS, *VIEWS])
        n_features = sum(len(view.features) for view in VIEWS)
        found.append(f"{len(VIEWS)} feature views with {n_features} features")
    return store


def start_of(month: int) -> datetime:
    """Return the instant at which a month of 2013 begins in New York, give or take an hour."""
    return datetime(2013 + month // 13, (month - 1) % 12 + 1, 1, 5, tzinfo=UTC)


def read_flights(folder: Path, months: int) -> Any:
    """Return the flights of the first months of the year."""
    table = pq.read_table(folder / "data" / "flights.parquet")
    return table.filter(pc.less(table["event_timestamp"], start_of(months + 1)))


def training_set(store: FeatureStore, flights: Any) -> Any:
    """Return every flight that has an arrival, with each feature as it was known at departure."""
    with step("training set") as found:
        arrived = flights.filter(pc.is_valid(flights["arr_delay"]))
        table = store.get_historical_features(
            arrived,
            features.will_be_late,
            full_feature_names=True,
            filter_by_created_timestamp=True,
        ).to_arrow()
        n_features = table.num_columns - arrived.num_columns
        found.append(f"{len(table):,} flights x {n_features} features, as known at departure")
    return table


def leaky_training_set(folder: Path, table: Any) -> Any:
    """Return the same table with the three histories joined by day in place of by instant."""
    with step("leaky set") as found, duckdb.connect() as db:
        db.execute("set TimeZone = 'UTC'")
        db.execute(DAY_OF)
        rows = pa.array(np.arange(len(table)))
        db.register("spine", table.select(["event_timestamp", *KEYS]).append_column("row", rows))
        db.execute("create table flights as select *, day_of(event_timestamp) as day from spine")
        for view in (features.plane_history, features.carrier_history, features.route_history):
            file = str(folder / "data" / f"{view.name}.parquet").replace("'", "''")
            names = [n for n in table.column_names if n.startswith(f"{view.name}__")]
            columns = ", ".join(f"{name.split('__')[1]} as {name}" for name in names)
            keys = ", ".join(view.join_keys)
            query = JOIN_BY_DAY.format(file=file, keys=keys, columns=columns)
            joined = db.sql(query).to_arrow_table()
            for name in names:
                table = table.set_column(table.column_names.index(name), name, joined[name])
        found.append(f"{len(table):,} flights, their histories joined by day")
    return table


def check_for_leaks(store: FeatureStore, table: Any) -> LeakageReport:
    """Ask the store what of a finished training set was not known when it counts."""
    with step("leak check") as found:
        report = store.check_leakage(
            table,
            features.will_be_late,
            label="is_late",
            full_feature_names=True,
            filter_by_created_timestamp=True,
        )
        wrong = [f["counts"]["rows_different"] for f in report.findings if f["code"] == "not_as_of"]
        found.append(f"{len(wrong)} features were not yet so, in up to {max(wrong, default=0):,}")
        found.append("flights")
    return report


# ---- a model, and what it is worth


def to_matrix(table: Any) -> Any:
    """Return features and schedule as float32, one row per flight; null is NaN."""
    names = [name for name in table.column_names if "__" in name]
    columns = []
    for name in [*names, *SCHEDULE]:
        column = table[name]
        if pa.types.is_timestamp(column.type):  # hours from then to departure
            column = pc.subtract(table["event_timestamp"], column).cast(pa.int64())
            column = pc.divide(column.cast(pa.float64()), 3600e6)
        columns.append(column.cast(pa.float32(), safe=False).to_numpy())
    return np.column_stack(columns)


def fit(table: Any) -> Any:
    """Return a model that was fitted on these flights."""
    with step("model") as found:
        labels = table["is_late"].to_numpy()
        model = HistGradientBoostingClassifier(max_iter=60, random_state=0)
        model.fit(to_matrix(table), labels)
        found.append(f"fitted on {len(table):,} flights, of which {labels.mean():.1%} were late")
    return model


def judge(model: Any, table: Any) -> str:
    """Return two figures: AUC, and how many of the tenth with the highest score were late."""
    labels = table["is_late"].to_numpy()
    scores = model.predict_proba(to_matrix(table))[:, 1]
    top = labels[np.argsort(-scores, kind="stable")[: len(scores) // 10]]
    return f"{roc_auc_score(labels, scores):.3f}    {top.mean():.1%}"


def compare(honest: Any, leaky: Any, judged_from: datetime) -> Any:
    """Print what either training set promises and keeps; return the honest model."""
    is_judged = pc.greater_equal(honest["event_timestamp"], judged_from)
    is_fitted = pc.invert(is_judged)
    model, misled = fit(honest.filter(is_fitted)), fit(leaky.filter(is_fitted))
    known, promised = honest.filter(is_judged), leaky.filter(is_judged)
    kept = judge(model, known)
    rate = known["is_late"].to_numpy().mean()
    print(f"\nJudged on the {len(known):,} flights after that, of which {rate:.1%} were late:\n")
    print(f"{'':<34}{'on paper':<26}in service")
    print(f"{'features':<34}{'AUC      top tenth late':<26}AUC      top tenth late")
    print(f"{'as known at departure':<34}{kept:<26}{kept}")
    print(f"{'joined by day: a leak':<34}{judge(misled, promised):<26}{judge(misled, known)}")
    print(
        "\nIn service a feature is what is known at departure, so the leak's promise is not kept:"
        "\nthe model that saw the future is worse than the one that never did. (AUC: 0.5 is a"
        "\ncoin, 1 an oracle. Top tenth: those flights with the highest scores.)\n"
    )
    return model


# ---- an instant, as it would have been served


def load(store: FeatureStore, now: datetime) -> None:
    """Load the newest values as of `now` into the online store, from the first row on."""
    with step("materialize") as found:
        report = store.materialize(None, now, known_at=now)
        n_keys = sum(view["rows_written"] for view in report.views)
        found.append(f"{n_keys:,} rows online, as known at {now:%Y-%m-%d %H:%M} UTC")


def look_up(store: FeatureStore, what: Any, keys: Any, now: datetime) -> OnlineResponse:
    """Return what is served for the keys at that instant."""
    return store.get_online_features(what, keys.to_pydict(), full_feature_names=True, at=now)


def leaving_next(flights: Any, now: datetime) -> Any:
    """Return the flights that leave within two hours."""
    times = flights["event_timestamp"]
    return flights.filter(
        pc.and_(pc.greater(times, now), pc.less_equal(times, now + LEAVING_WITHIN))
    )


def score_departures(store: FeatureStore, model: Any, flights: Any, now: datetime) -> None:
    """Look up the flights that leave next, score them, and say how the riskiest ended."""
    departures = leaving_next(flights, now)
    with step("lookup") as found:
        answer = look_up(store, features.will_be_late, departures.select(KEYS), now)
        found.append(f"{len(departures)} flights that leave within two hours")
    served = answer.to_arrow()
    for name in ["event_timestamp", *SCHEDULE]:
        served = served.append_column(name, departures[name])
    scores = model.predict_proba(to_matrix(served))[:, 1]
    order = np.argsort(-scores, kind="stable")
    is_late = departures["is_late"].fill_null(True).to_numpy()  # null: it did not arrive at all
    fifth = len(order) // 5

    print("\nThe model fears most for")
    for i in order[:5].tolist():
        print(f"  {describe(departures.slice(i, 1).to_pylist()[0]):<58}{scores[i]:.0%}")
    print(
        f"Of the riskiest fifth {is_late[order[:fifth]].mean():.0%} came late or not at all, "
        f"of the rest {is_late[order[fifth:]].mean():.0%}.\n"
    )


def describe(flight: dict[str, Any]) -> str:
    """Say which flight it is and how it ended."""
    delay = flight["arr_delay"]
    if delay is None:
        end = "did not arrive"
    else:
        end = f"arrived {abs(delay)} minutes {'late' if delay > 0 else 'early'}"
    name = f"{flight['carrier']}{flight['flight']}"
    route = f"{flight['origin']}-{flight['dest']}"
    return f"{name:<7} {route}  {flight['event_timestamp']:%H:%M} UTC  {end}"


# ---- the proof


def every_key(flights: Any) -> Any:
    """Return every combination of keys among the flights, and two that nobody has heard of."""
    seen = flights.select(KEYS).group_by(KEYS).aggregate([])
    unknown = {"origin": ["JFK", None], "dest": ["ZZZ", "LAX"], "carrier": [None, "ZZ"]}
    return pa.concat_tables(
        [seen, pa.table(unknown | {"tailnum": ["", None]}, schema=seen.schema)]
    ).combine_chunks()


def differences(served: Any, known: Any, names: Sequence[str]) -> list[str]:
    """Say in which features the two tables differ: in type, in bits, or in what is there at all."""
    found = []
    for name in names:
        ours, theirs = served[name].combine_chunks(), known[name].combine_chunks()
        is_present = served[f"{name}__status"].to_numpy() == FieldStatus.PRESENT
        has_value = theirs.is_valid().to_numpy(zero_copy_only=False)
        if ours.type != theirs.type:
            found.append(f"{name} is {ours.type} online and {theirs.type} in the training set")
        elif not to_bits(ours).equals(to_bits(theirs)):
            found.append(f"{name} has other values online than in the training set")
        elif not np.array_equal(is_present, has_value):
            found.append(f"{name} is not PRESENT exactly where the training set has a value")
    return found


def to_bits(column: Any) -> Any:
    """Return floats as the integers of their bits, so that NaN equals NaN and -0 is not 0."""
    sizes = {pa.float32(): pa.int32(), pa.float64(): pa.int64()}
    return column.view(sizes[column.type]) if column.type in sizes else column


def prove(store: FeatureStore, flights: Any, now: datetime) -> list[str]:
    """Serve everything, and compare it with a training set at the same instant."""
    with step("check") as found:
        keys = every_key(flights)
        answer = look_up(store, VIEWS, keys, now)
        served = pa.RecordBatchReader.from_stream(answer.to_stream(with_statuses=True)).read_all()
        instant = pa.array([now] * len(keys), pa.timestamp("us", "UTC"))
        known = store.get_historical_features(
            keys.append_column("event_timestamp", instant),
            VIEWS,
            full_feature_names=True,
            filter_by_created_timestamp=True,
        ).to_arrow()
        names = known.column_names[len(KEYS) + 1 :]
        bad = differences(served, known, names)
        n_values = sum(len(keys) - known[name].null_count for name in names)
        found.append(f"{len(keys):,} rows x {len(names)} features: {n_values:,} values served,")
        found.append(f"{count_expired(served, names):,} too old")
    return bad


def count_expired(served: Any, names: Sequence[str]) -> int:
    """Return how many values were withheld because they are older than their view's ttl."""
    too_old = FieldStatus.OUTSIDE_MAX_AGE.value
    return sum(pc.sum(pc.equal(served[f"{n}__status"], too_old)).as_py() for n in names)


# ---- the same over HTTP


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Run `tiffin serve` on a free port; yield its URL."""
    # A server knows no other instant than today, on which all of 2013 is too old: ttl is ignored.
    settings = (HERE / "feature_store.yaml").read_text("utf-8")
    file = folder / "data" / "serve.yaml"
    file.write_text(settings.replace("online_ttl: enforce", "online_ttl: ignore"), "utf-8")
    tiffin = [sys.executable, "-m", "tiffin.cli.main", "--chdir", str(folder)]
    command = [*tiffin, "--feature-store-yaml", str(file), "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()  # "... is listening on http://127.0.0.1:PORT (...)"
            if "http://" not in line:
                raise RuntimeError("tiffin serve did not start; it has said why")
            yield line.partition(" on ")[2].split()[0]
        finally:
            process.terminate()


def ask(url: str, keys: Any) -> dict[str, Any]:
    """Return what a server answers to a lookup, in its lean form (docs/server-api.md)."""
    question = {
        "service": features.will_be_late.name,
        "entities": keys.to_pydict(),
        "full_feature_names": True,
    }
    request = urllib.request.Request(url + "/v1/features", json.dumps(question).encode())
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def to_column(values: list[Any], kind: Any) -> Any:
    """Return values that were read from JSON as a column: there, times are texts."""
    if pa.types.is_timestamp(kind):
        values = [value and datetime.fromisoformat(value) for value in values]
    return pa.array(values, kind)


def prove_over_http(store: FeatureStore, folder: Path, flights: Any, now: datetime) -> list[str]:
    """Ask a server for the flights that leave next, and compare with the lookup at that instant."""
    keys = leaving_next(flights, now).select(KEYS)
    with step("http") as found, server(folder) as url:
        answer = ask(url, keys)
        known = look_up(store, features.will_be_late, keys, now).to_arrow()
        columns = zip(answer["names"], answer["columns"], strict=True)
        served = {name: to_column(values, known[name].type) for name, values in columns}
        bad = [
            f"{name} has other values over HTTP"
            for name, column in served.items()
            if not same_where_known(column, known[name].combine_chunks())
        ]
        n_values = sum(len(keys) - known[name].null_count for name in served)
        found.append(f"{len(keys)} flights x {len(served)} features from {url}:")
        found.append(f"{n_values:,} values")
    return bad


def same_where_known(served: Any, known: Any) -> bool:
    """Return whether both have the same bits wherever the second has a value at all."""
    is_known = known.is_valid()
    return bool(to_bits(served.filter(is_known)).equals(to_bits(known.filter(is_known))))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it all; return 0 if what was served is what a training set has."""
    parser = argparse.ArgumentParser(description="New York's flights of 2013, end to end")
    parser.add_argument("--folder", type=Path, default=HERE, help="where data/ is made anew")
    parser.add_argument("--months", type=int, default=12, help="of the year, from January on")
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    n_judged = max(1, options.months // 6)
    now = datetime(2013, options.months, 23, 17, tzinfo=UTC)  # noon in New York, or 1 p.m.

    print("When a flight is about to leave New York: will it arrive more than 15 minutes late?\n")
    make_tables(options.folder)
    store = apply(options.folder)
    flights = read_flights(options.folder, options.months)
    honest = training_set(store, flights)
    leaky = leaky_training_set(options.folder, honest)
    check_for_leaks(store, leaky)
    model = compare(honest, leaky, start_of(options.months - n_judged + 1))
    load(store, now)
    score_departures(store, model, flights, now)
    bad = prove(store, flights, now)
    bad += prove_over_http(store, options.folder, flights, now)
    print(f"{'in all':<82}{duration(time.perf_counter() - start)}\n")
    for sentence in bad:
        print(f"  {sentence}")
    print(
        f"FAILED: {len(bad)} features differ between serving and training."
        if bad
        else "PASSED: every value served equals the training set's at that instant, bit for bit,\n"
        "and is PRESENT exactly where the training set has one; over HTTP it is the same."
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
