"""The extension tiffin._native: every function right and wrong, leaks, signals, threads."""

import ctypes
import datetime as dt
import gc
import itertools
import json
import os
import signal
import sys
import threading
import time
import weakref
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tiffin import _native, errors
from tiffin.store.engine import find_duckdb

UTC = dt.UTC
T0 = dt.datetime(2024, 1, 1, tzinfo=UTC)
EPOCH = dt.datetime(1970, 1, 1, tzinfo=UTC)

FIELDS = {
    "flag": ("bool", pa.bool_(), [True, None]),
    "small": ("int32", pa.int32(), [-(2**31), None]),
    "big": ("int64", pa.int64(), [2**63 - 1, None]),
    "half": ("float32", pa.float32(), [0.5, None]),
    "real": ("float64", pa.float64(), [1e300, None]),
    "text": ("string", pa.string(), ["hü", None]),
    "blob": ("bytes", pa.binary(), [b"\x00\xff", None]),
    "day": ("date", pa.date32(), [dt.date(1969, 12, 31), None]),
    "at": ("timestamp", pa.timestamp("us", "UTC"), [T0 - dt.timedelta(microseconds=1), None]),
    "many": ("array<int64>", pa.list_(pa.int64()), [[1, None, 3], None]),
}
NAMES = [f"plane_facts:{name}" for name in FIELDS]


def us(instant: dt.datetime) -> int:
    return (instant - EPOCH) // dt.timedelta(microseconds=1)


def features(*names: str) -> str:
    return json.dumps({"features": list(names) or NAMES})


def request() -> str:
    schema = [{"name": n, "dtype": f[0], "description": "", "tags": {}} for n, f in FIELDS.items()]
    keys = [{"name": "tailnum", "dtype": "string", "description": "", "tags": {}}]
    source = {
        "kind": "data_source",
        "name": "planes",
        "type": "file",
        "path": "planes.parquet",
        "timestamp_field": "event_timestamp",
    }
    entity = {
        "kind": "entity",
        "name": "plane",
        "join_key": "tailnum",
        "value_type": "string",
    }
    view = {
        "kind": "feature_view",
        "name": "plane_facts",
        "entities": ["plane"],
        "join_keys": ["tailnum"],
        "source": "planes",
        "schema": keys + schema,
        "ttl_us": 0,
        "online": True,
    }
    return json.dumps({"objects": [entity, source, view]})


def planes() -> pa.Table:
    columns = {name: pa.array(values, kind) for name, (_, kind, values) in FIELDS.items()}
    times = pa.array([T0, T0], pa.timestamp("us", "UTC"))
    return pa.table({"tailnum": ["N1", "N2"], "event_timestamp": times, **columns})


def spine(n_rows: int = 3) -> pa.Table:
    keys = [f"N{i % 3 + 1}" for i in range(n_rows)]
    times = pa.array([T0 + dt.timedelta(days=1)] * n_rows, pa.timestamp("us", "UTC"))
    return pa.table({"tailnum": keys, "event_timestamp": times, "row": range(n_rows)})


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("native")
    pq.write_table(planes(), folder / "planes.parquet")
    open_store(folder).apply(request())
    open_store(folder).materialize(end_us=us(T0 + dt.timedelta(days=2)))
    return folder


def open_store(folder: Path, **changes) -> _native.Store:
    options = {
        "project": "flights",
        "registry_path": str(folder / "registry.db"),
        "online_path": str(folder / "online"),
        "base_path": str(folder),
        "duckdb_library": find_duckdb(),
    }
    return _native.Store(**(options | changes))


@pytest.fixture(scope="module")
def store(folder) -> _native.Store:
    return open_store(folder)


@pytest.fixture(scope="module")
def lookup(store) -> _native.Lookup:
    return store.prepare(features())


# ---- the module ----


def test_every_code_has_its_class_and_base():
    assert [name for name, _, _ in _native.CODES] == list(errors.BY_CODE)
    for name, http, base in _native.CODES:
        assert 400 <= http < 600
        assert base in {cls.__name__ for cls in errors.BY_CODE[name].__mro__}


def test_versions_are_told(store):
    assert _native.__version__.count(".") == 2
    assert store.duckdb_version().lstrip("v")[0].isdigit()


@pytest.mark.parametrize("name", ["Stream", "Lookup", "Answer"])
def test_what_the_engine_makes_is_not_made_by_hand(name):
    with pytest.raises(TypeError, match="cannot create"):
        getattr(_native, name)()


def test_types_are_final_and_immutable():
    with pytest.raises(TypeError):
        type("Mine", (_native.Store,), {})
    with pytest.raises(TypeError):
        _native.Store.plan = None


# ---- wrong arguments ----


class GivesNoCapsule:
    def __arrow_c_stream__(self, requested_schema=None):
        return 5


class Explodes:
    def __arrow_c_stream__(self, requested_schema=None):
        raise ZeroDivisionError("boom")


WRONG_STORES = [
    ({}, TypeError, "needs project and registry_path"),
    ({"project": "p"}, TypeError, "needs project and registry_path"),
    ({"project": 1, "registry_path": "r"}, TypeError, "must be str"),
    ({"project": "p", "registry_path": 1}, TypeError, "expected str"),
    ({"project": "p", "registry_path": "r", "online_path": "o", "base_path": 1}, TypeError, "str"),
    ({"project": "p", "registry_path": "a\0b"}, ValueError, "null"),
    ({"project": "p", "registry_path": "r", "online_ttl": "no"}, errors.InvalidError, "'enforce'"),
    ({"project": "p", "registry_path": "r", "n_threads": -1}, errors.InvalidError, "negative"),
    ({"project": "p", "registry_path": "r", "n_threads": 2**40}, OverflowError, "maximum"),
    (
        {"project": "p", "registry_path": "r", "duckdb_memory_bytes": -1},
        errors.InvalidError,
        "negative",
    ),
    ({"project": "p", "registry_path": "r", "nope": 1}, TypeError, "nope"),
    ({"project": "", "registry_path": "r"}, errors.InvalidError, "project"),
]


@pytest.mark.parametrize(("options", "error", "text"), WRONG_STORES)
def test_a_store_refuses_wrong_options(options, error, text):
    with pytest.raises(error, match=text):
        _native.Store(**options)


FRAME = {"spine": pa.table({"tailnum": ["N1"]})}
WRONG_CALLS = [
    ("plan", {}, TypeError, "request"),
    ("plan", {"request": 1}, TypeError, "str"),
    ("plan", {"request": "a\0b"}, ValueError, "null"),
    ("plan", {"request": "no json"}, errors.InvalidError, "not JSON"),
    ("apply", {"request": "[]"}, errors.InvalidError, "object"),
    ("apply", {"nope": 1}, TypeError, "request"),
    ("list", {"kind": "entity", "tags": 5}, TypeError, "str or None"),
    ("list", {"kind": "plane"}, errors.InvalidError, "'plane'"),
    ("list", {"kind": "entity", "commit": 2**70}, OverflowError, "too big"),
    ("list", {"kind": "entity", "commit": 999}, errors.NotFoundError, "999"),
    ("get", {"kind": "entity"}, TypeError, "name"),
    ("get", {"kind": "entity", "name": "nope"}, errors.NotFoundError, "nope"),
    ("log", {"limit": "x"}, TypeError, "integer"),
    ("show", {}, TypeError, "commit"),
    ("show", {"commit": 999}, errors.NotFoundError, "999"),
    ("describe_source", {"document": 5}, TypeError, "str"),
    ("historical", {"features": features()}, TypeError, "spine"),
    ("historical", {"features": features(), "spine": [1]}, errors.SchemaError, "not list"),
    ("historical", {"features": features(), "spine": GivesNoCapsule()}, errors.SchemaError, "int"),
    ("historical", {"features": features(), "spine": Explodes()}, ZeroDivisionError, "boom"),
    ("historical", {"features": "{}", **FRAME}, errors.InvalidError, "needs"),
    ("historical", {"features": features("a:b"), **FRAME}, errors.NotFoundError, "a"),
    ("historical", {"features": features(), **FRAME}, errors.TiffinError, "time"),
    (
        "historical",
        {"features": features(), "progress": 3, **FRAME},
        errors.SchemaError,
        "callable",
    ),
    (
        "historical",
        {"features": features(), "known_at_us": "x", **FRAME},
        errors.SchemaError,
        "int",
    ),
    (
        "historical",
        {"features": features(), "known_at_us": 2**70, **FRAME},
        errors.InvalidError,
        "64 bits",
    ),
    ("explain", {"features": features(), "spine": 5}, errors.SchemaError, "spine"),
    ("explain", {"features": features(), "progress": print, **FRAME}, TypeError, "progress"),
    ("latest", {"features": features(), "keys": [1]}, errors.SchemaError, "keys"),
    ("history", {"features": features(), "progress": 3}, errors.SchemaError, "callable"),
    ("history", {"features": "{}"}, errors.InvalidError, "needs"),
    ("events", {"features": features(), "end_us": "x"}, errors.SchemaError, "int"),
    ("events", {}, TypeError, "features"),
    ("materialize", {}, TypeError, "end_us"),
    ("materialize", {"end_us": 1.5}, errors.SchemaError, "end_us"),
    ("materialize", {"end_us": 0, "start_us": 1}, errors.InvalidError, "ends before"),
    ("materialize", {"end_us": 0, "views": "plane_facts"}, errors.SchemaError, "sequence"),
    ("materialize", {"end_us": 0, "views": [1]}, errors.SchemaError, "names"),
    ("materialize", {"end_us": 0, "views": ["a\0b"]}, errors.InvalidError, "NUL"),
    ("materialize", {"end_us": 0, "views": ["nope"]}, errors.NotFoundError, "nope"),
    ("materialize", {"end_us": 0, "progress": 3}, errors.SchemaError, "callable"),
    ("begin_push", {"view": "nope", "frame": planes()}, errors.NotFoundError, "nope"),
    ("begin_push", {"view": "plane_facts"}, TypeError, "frame"),
    ("begin_push", {"view": "plane_facts", "frame": 5}, errors.SchemaError, "frame"),
    ("begin_push", {"frame": planes()}, errors.InvalidError, "and not both"),
    ("begin_push", {"source": "nope", "frame": planes()}, errors.NotFoundError, "nope"),
    ("prepare", {}, TypeError, "features"),
    ("prepare", {"features": features("nope:x")}, errors.NotFoundError, "nope"),
]


@pytest.mark.parametrize(("verb", "arguments", "error", "text"), WRONG_CALLS)
def test_a_verb_refuses_wrong_arguments(store, verb, arguments, error, text):
    with pytest.raises(error, match=text):
        getattr(store, verb)(**arguments)


def test_a_stream_can_be_read_once(store):
    class Once:
        def __init__(self):
            self.capsule = spine().__arrow_c_stream__()

        def __arrow_c_stream__(self, requested_schema=None):
            return self.capsule

    once = Once()
    store.historical(features(), once)
    with pytest.raises(errors.InvalidError, match="already consumed"):
        store.historical(features(), once)


class Watched:
    """A table of which one column is memory of ours: it ends with its stream and all its arrays."""

    def __init__(self, table: pa.Table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema=None):
        memory = np.arange(self.table.num_rows)
        self.memory = weakref.ref(memory)
        return self.table.append_column("watched", pa.array(memory)).__arrow_c_stream__()

    def is_released(self) -> bool:
        gc.collect()
        return self.memory() is None


def test_a_result_keeps_what_it_shares_and_no_longer(store):
    one = Watched(spine())
    stream, _ = store.historical(features(), one)
    table = pa.table(stream)
    del stream
    assert table.column("watched").to_pylist() == [0, 1, 2]
    del table
    assert one.is_released()


def test_input_streams_are_released_whatever_happens(store):
    one = Watched(spine())
    with pytest.raises(errors.NotFoundError):
        store.historical(features("nope:x"), one)
    assert one.is_released()
    store.explain(features(), one)
    assert one.is_released()
    two = Watched(planes())
    with pytest.raises(errors.NotFoundError, match="nope"):
        store.begin_push(two, view="nope")
    assert two.is_released()
    store.begin_push(two, view="plane_facts").commit()
    assert two.is_released()


def test_a_push_is_checked_then_committed_once(store):
    frame = Watched(planes())
    push = store.begin_push(frame, view="plane_facts")
    n_rows = planes().num_rows
    assert json.loads(push.commit())["rows_read"] == n_rows
    assert frame.is_released()
    with pytest.raises(errors.InvalidError, match="committed before"):
        push.commit()
    forgotten = Watched(planes())
    del push
    push = store.begin_push(forgotten, view="plane_facts", check_only=True)
    del push
    assert forgotten.is_released()
    with pytest.raises(TypeError, match="cannot create"):
        _native.Push()


def test_input_streams_of_the_kernels_are_released_whatever_happens():
    one, two = Watched(moments()), Watched(readings())
    _native.join(one, two, **JOIN)
    assert one.is_released()
    assert two.is_released()
    with pytest.raises(errors.SchemaError, match="nope"):
        _native.join(one, two, **(JOIN | {"keys": ["nope"]}))
    assert one.is_released()
    assert two.is_released()
    with pytest.raises(errors.SchemaError, match="source must be"):
        _native.join(one, 5, **JOIN)
    assert one.is_released()
    _native.latest(two, **LATEST)
    assert two.is_released()
    with pytest.raises(errors.SchemaError, match="nope"):
        _native.latest(two, **(LATEST | {"keys": ["nope"]}))
    assert two.is_released()


# ---- text verbs ----


def test_text_verbs_answer_json(store):
    assert json.loads(store.plan(request()))["changes"] == []
    assert json.loads(store.apply(request=request()))["commit"] >= 1
    assert [d["name"] for d in json.loads(store.list("feature_view"))] == ["plane_facts"]
    assert json.loads(store.list("entity", tags='{"team": "x"}')) == []
    assert json.loads(store.get("entity", "plane", commit=-1))["join_key"] == "tailnum"
    assert len(json.loads(store.log(limit=1))) == 1
    assert json.loads(store.show(json.loads(store.log())[0]["commit"]))
    assert [p["name"] for p in json.loads(store.projects())] == ["flights"]
    assert json.loads(store.status())
    document = json.loads(store.get("data_source", "planes"))
    columns = json.loads(store.describe_source(json.dumps(document)))
    assert {"tailnum", "flag"} <= {c["name"] for c in columns}


def test_teardown_removes_the_project(tmp_path):
    pq.write_table(planes(), tmp_path / "planes.parquet")
    store = open_store(tmp_path)
    store.apply(request())
    assert json.loads(store.teardown())
    assert json.loads(store.list("feature_view")) == []


# ---- training sets and streams ----


def test_a_training_set_may_be_exported_any_number_of_times(store):
    stream, report = store.historical(features(), spine())
    assert json.loads(report)
    tables = [pa.table(stream) for _ in range(3)]
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])
    assert pa.schema(stream) == tables[0].schema
    assert tables[0].column_names == [*spine().column_names, *FIELDS]
    for name, (_, _, values) in FIELDS.items():
        assert tables[0].column(name).to_pylist() == [*values, None]


def test_an_export_outlives_its_stream_and_the_store(folder):
    store = open_store(folder)
    stream, _ = store.historical(features(), spine())
    reader = pa.RecordBatchReader.from_stream(stream)
    unused = [stream.__arrow_c_stream__(requested_schema=None), stream.__arrow_c_schema__()]
    del stream, store
    gc.collect()
    assert reader.read_all().column("text").to_pylist() == ["hü", None, None]
    del unused


@pytest.mark.parametrize(
    "make", [pa.Table.to_reader, pa.Table.to_pandas, pl.from_arrow, lambda t: t.to_batches()[0]]
)
def test_a_spine_may_come_from_any_library(store, make):
    stream, _ = store.historical(features("plane_facts:text"), make(spine()))
    assert pl.DataFrame(stream)["text"].to_list() == ["hü", None, None]


def test_a_result_is_a_spine_again(store):
    stream, _ = store.historical(features("plane_facts:text"), spine())
    again, _ = store.historical(features("plane_facts:big"), stream)
    assert pa.table(again).column_names[-2:] == ["text", "big"]


def test_options_of_a_training_set_arrive(store):
    early = spine().append_column("when", pa.array([T0 - dt.timedelta(days=1)] * 3))
    stream, _ = store.historical(features("plane_facts:text"), early, time_column="when")
    assert pa.table(stream).column("text").to_pylist() == [None] * 3
    stream, _ = store.historical(features("plane_facts:text"), spine(), force_one_step=True)
    assert pa.table(stream).column("text").to_pylist() == ["hü", None, None]
    assert json.loads(store.explain(features(), spine()))


# ---- the kernels without a store ----


def readings() -> pa.Table:
    hours = [0, 1, 2, 2, 5]
    return pa.table(
        {
            "k": ["a", "a", "a", "b", None],
            "t": pa.array([T0 + dt.timedelta(hours=h) for h in hours], pa.timestamp("us", "UTC")),
            "made": pa.array([T0 + dt.timedelta(hours=h + 3) for h in hours]),
            "v": [10, 11, 12, 20, 99],
        }
    )


def moments() -> pa.Table:
    times = [T0 + dt.timedelta(hours=h) for h in (1, 9, 2, 1, 9)]
    return pa.table({"k": ["a", "a", "b", "b", None], "when": times})


JOIN = {"keys": ["k"], "features": ["v"], "spine_time": "when", "source_time": "t"}
LATEST = {"keys": ["k"], "features": ["v"], "source_time": "t"}


def joined(**options) -> list:
    return pa.table(_native.join(moments(), readings(), **(JOIN | options)))["v"].to_pylist()


def test_join_attaches_the_newest_row_that_may_be_seen():
    table = pa.table(_native.join(moments(), readings(), **JOIN))
    assert table.column_names == ["k", "when", "v"]
    assert table["v"].to_pylist() == [11, 12, 20, None, None]


def test_options_of_join_arrive():
    hour = 3_600_000_000
    assert joined(ttl_us=2 * hour) == [11, None, 20, None, None]
    assert joined(created="made", filter_by_created=True) == [None, 12, None, None, None]
    assert joined(created="made", known_at_us=us(T0) + 4 * hour) == [11, 11, None, None, None]
    assert joined(n_threads=7) == joined(n_threads=1) == joined()


def test_latest_gives_one_row_per_key():
    hour = 3_600_000_000
    for options, expected in [
        ({}, {"a": 12, "b": 20}),
        ({"end_us": us(T0) + hour}, {"a": 11}),
        ({"created": "made", "known_at_us": us(T0) + 3 * hour}, {"a": 10}),
        ({"n_threads": 3}, {"a": 12, "b": 20}),
    ]:
        table = pa.table(_native.latest(readings(), **(LATEST | options)))
        rows = dict(zip(table["k"].to_pylist(), table["v"].to_pylist(), strict=True))
        assert rows == expected


WRONG_KERNELS = [
    ("join", (), {}, TypeError, "spine"),
    ("join", (moments(), readings()), {}, TypeError, "needs keys, features"),
    ("join", (5, readings()), JOIN, errors.SchemaError, "spine must be"),
    ("join", (moments(), 5), JOIN, errors.SchemaError, "source must be"),
    ("join", (moments(), readings()), JOIN | {"keys": "k"}, errors.SchemaError, "keys must be"),
    ("join", (moments(), readings()), JOIN | {"features": [1]}, errors.SchemaError, "names"),
    ("join", (moments(), readings()), JOIN | {"features": ["w"]}, errors.SchemaError, "w"),
    ("join", (moments(), readings()), JOIN | {"ttl_us": 2**70}, OverflowError, "int"),
    ("join", (moments(), readings()), JOIN | {"ttl_us": -1}, errors.InvalidError, "ttl"),
    ("join", (moments(), readings()), JOIN | {"known_at_us": ""}, errors.SchemaError, "known_at"),
    ("latest", (), {}, TypeError, "source"),
    ("latest", (readings(),), {}, TypeError, "needs keys, features"),
    ("latest", (readings(),), LATEST | {"end_us": 2**70}, errors.InvalidError, "64 bits"),
    ("latest", (readings(),), LATEST | {"keys": ["q"]}, errors.SchemaError, "q"),
]


@pytest.mark.parametrize(("function", "frames", "options", "error", "text"), WRONG_KERNELS)
def test_a_kernel_refuses_wrong_arguments(function, frames, options, error, text):
    with pytest.raises(error, match=text):
        getattr(_native, function)(*frames, **options)


class Slow:
    """A source that takes ten seconds, a batch every 20 ms."""

    def __init__(self):
        self.n_batches = 0

    def __arrow_c_stream__(self, requested_schema=None):
        def batches():
            for _ in range(500):
                time.sleep(0.02)
                self.n_batches += 1
                yield readings().to_batches()[0]

        reader = pa.RecordBatchReader.from_batches(readings().schema, batches())
        return reader.__arrow_c_stream__()


@pytest.mark.parametrize("function", ["join", "latest"])
def test_ctrl_c_ends_a_kernel_over_a_slow_producer(function):
    slow = Slow()
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        if function == "join":
            _native.join(moments(), slow, **JOIN)
        else:
            _native.latest(slow, **LATEST)
    timer.join()
    assert 0 < slow.n_batches < 250  # ended by the signal, long before the source was


def test_an_error_of_a_producer_is_told():
    class Fails:
        def __arrow_c_stream__(self, requested_schema=None):
            def batches():
                yield readings().to_batches()[0]
                raise ValueError("the sensor is gone")

            reader = pa.RecordBatchReader.from_batches(readings().schema, batches())
            return reader.__arrow_c_stream__()

    with pytest.raises(errors.TiffinError, match="the sensor is gone"):
        _native.latest(Fails(), **LATEST)


# ---- progress and signals ----


@pytest.fixture(scope="module")
def long_folder(tmp_path_factory) -> Path:
    """Enough rows that a training set takes a few ticks on one thread."""
    folder = tmp_path_factory.mktemp("long")
    n_rows = 4_000_000
    random = np.random.default_rng(1)
    table = pa.table(
        {
            "tailnum": pa.array([f"N{i}" for i in range(1000)]).take(
                pa.array(random.integers(0, 1000, n_rows))
            ),
            "event_timestamp": pa.array(us(T0) - random.integers(0, 10**12, n_rows)).cast(
                pa.timestamp("us", "UTC")
            ),
            **{
                name: pa.nulls(n_rows, kind) if name != "real" else pa.array(random.random(n_rows))
                for name, (_, kind, _) in FIELDS.items()
            },
        }
    )
    pq.write_table(table, folder / "planes.parquet")
    open_store(folder).apply(request())
    return folder


LONG_WINDOW = {"start_us": us(T0) - 10**13, "end_us": us(T0)}


def run_long(folder: Path, **options):
    store = open_store(folder, n_threads=1)
    return store.historical(features("plane_facts:real"), spine(1000), **options)


@pytest.mark.alone
def test_progress_is_told_at_most_every_100_ms(long_folder):
    told = []
    run_long(long_folder, progress=lambda *state: told.append((time.monotonic(), *state)))
    assert told
    for _, what, n_done, n_total in told:
        assert isinstance(what, str)
        assert n_total == -1 or n_done <= n_total
    assert all(b[0] - a[0] > 0.09 for a, b in itertools.pairwise(told))


def test_an_exception_of_progress_ends_the_call_and_comes_through(long_folder):
    class StoppedError(Exception):
        pass

    def progress(*_):
        raise StoppedError("enough")

    with pytest.raises(StoppedError, match="enough"):
        run_long(long_folder, progress=progress)
    store = open_store(long_folder)
    with pytest.raises(StoppedError, match="enough"):
        store.materialize(end_us=us(T0), progress=progress)
    for verb in (store.latest, store.history, store.events):
        with pytest.raises(StoppedError, match="enough"):
            verb(features("plane_facts:real"), progress=progress, **LONG_WINDOW)
    assert pa.table(run_long(long_folder)[0]).num_rows == 1000


@pytest.mark.alone
def test_ctrl_c_ends_a_long_call(long_folder):
    before = time.monotonic()
    run_long(long_folder)
    seconds = time.monotonic() - before
    timer = threading.Timer(seconds / 10, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    before = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        for _ in range(20):
            run_long(long_folder)
    timer.join()
    assert time.monotonic() - before < seconds * 2 + 1


def test_the_exception_of_a_signal_handler_comes_through(long_folder):
    def handler(*_):
        raise TimeoutError("alarm")

    old = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(TimeoutError, match="alarm"):
            for _ in range(20):
                run_long(long_folder)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


# ---- lookups ----


def test_a_lookup_tells_values_statuses_and_times(lookup):
    assert lookup.key_names == ("tailnum",)
    answer = lookup.run([{"tailnum": "N1"}, {"tailnum": "N2"}, {"tailnum": "N9"}])
    assert (answer.n_rows, answer.n_keys) == (3, 1)
    assert answer.names == ("tailnum", *FIELDS)
    columns = answer.to_dict()
    assert list(columns) == ["tailnum", *FIELDS]
    assert columns["tailnum"] == ["N1", "N2", "N9"]
    for name, (_, _, values) in FIELDS.items():
        assert columns[name] == [*values, None]
        assert type(columns[name][0]) is type(values[0])
    assert columns["at"][0].tzinfo is UTC
    statuses = answer.statuses()
    assert list(statuses) == ["tailnum", *FIELDS]
    assert statuses["big"] == [1, 2, 3]
    times = answer.event_timestamps()
    assert list(times) == list(FIELDS)
    assert times["big"] == [T0.timestamp(), T0.timestamp(), None]


def test_event_timestamps_stand_behind_their_features(lookup):
    columns = lookup.run([{"tailnum": "N1"}, {"tailnum": "N9"}]).to_dict(True)
    expected = ["tailnum"]
    for name in FIELDS:
        expected += [name, f"{name}__ts"]
    assert list(columns) == expected
    assert columns["big__ts"] == [int(T0.timestamp()), 0]
    assert columns == lookup.run([{"tailnum": "N1"}, {"tailnum": "N9"}]).to_dict(
        include_event_timestamps=True
    )


def test_an_answer_is_a_table_too(lookup):
    answer = lookup.run({"tailnum": ["N1", "N2"]})
    table = pa.table(answer.to_stream())
    assert table.column_names == ["tailnum", *FIELDS]
    assert table.column("many").to_pylist() == [[1, None, 3], None]
    wide = pa.table(answer.to_stream(with_statuses=True))
    assert wide.column("big__status").to_pylist() == [1, 2]
    with pytest.raises(TypeError):
        answer.to_stream(1, 2)


@pytest.mark.parametrize(
    "rows",
    [
        [{"tailnum": "N1", "x": 1}, {"x": 2, "tailnum": "N2"}],
        ({"tailnum": "N1"}, {"tailnum": "N2"}),
        [MappingProxyType({"tailnum": "N1"}), MappingProxyType({"tailnum": "N2"})],
        {"tailnum": ["N1", "N2"], "x": [1, 2]},
        {"tailnum": ("N1", "N2")},
        {"tailnum": np.array(["N1", "N2"])},
        {"tailnum": np.array(["N1", "N2"], dtype=object)},
        {"tailnum": pd.Series(["N1", "N2"], index=[7, 9])},
        {"tailnum": pl.Series(["N1", "N2"])},
        pd.DataFrame({"tailnum": ["N1", "N2"]}),
        MappingProxyType({"tailnum": ["N1", "N2"]}),
    ],
)
def test_entity_rows_may_have_any_shape(lookup, rows):
    assert lookup.run(rows).to_dict()["text"] == ["hü", None]


def test_no_rows_give_no_rows(lookup):
    assert lookup.run([]).to_dict()["big"] == []
    assert lookup.run({"tailnum": []}).n_rows == 0


class BadIndex:
    def __index__(self):
        raise ZeroDivisionError("index")


class BadKeys:
    def keys(self):
        raise ZeroDivisionError("keys")


WRONG_ROWS = [
    (5, errors.SchemaError, "entity_rows must be"),
    ("abc", errors.SchemaError, "entity_rows must be"),
    ([1], errors.SchemaError, "entity row 0 must be a mapping"),
    ([{"tailnum": "a"}, None], errors.SchemaError, "entity row 1 must be a mapping"),
    ([{"x": 1}], errors.InvalidError, r"join key 'tailnum'; they have \['x'\]"),
    ([{}], errors.InvalidError, "join key 'tailnum'"),
    ([{"tailnum": "a"}, {"x": "a"}], ValueError, "All entity rows must have the same columns"),
    ([{"tailnum": "a"}, {}], ValueError, "All entity rows must have the same columns"),
    ([{"tailnum": "a", "x": 1}, {"tailnum": "a", "y": 1}], ValueError, "the same columns"),
    ({"tailnum": ["a"], "x": []}, ValueError, "All entity rows must have the same columns"),
    ({"x": [1]}, errors.InvalidError, "join key 'tailnum'"),
    ({}, errors.InvalidError, r"pass \[\{\}\]"),
    ({"tailnum": "N1"}, errors.SchemaError, "must be a sequence of values, not str"),
    ({"tailnum": 5}, errors.SchemaError, "must be a sequence of values, not int"),
    ([{"tailnum": 2**63}], errors.InvalidError, "64 bits: 9223372036854775808"),
    ([{"tailnum": "\ud800"}], errors.InvalidError, "not valid Unicode"),
    ([{"tailnum": [1]}], errors.InvalidError, "expected a bool, int"),
    ([{"tailnum": BadIndex()}], ZeroDivisionError, "index"),
    ([BadKeys()], ZeroDivisionError, "keys"),
    (BadKeys(), ZeroDivisionError, "keys"),
]


@pytest.mark.parametrize(("rows", "error", "text"), WRONG_ROWS)
def test_wrong_entity_rows_are_refused(lookup, rows, error, text):
    with pytest.raises(error, match=text):
        lookup.run(rows)


def test_arguments_of_run_and_to_dict_are_checked(lookup):
    for arguments, named in [((), {}), (([], 1, 2, 3), {}), (([],), {"x": 1})]:
        with pytest.raises(TypeError, match=r"run\(\)"):
            lookup.run(*arguments, **named)
    with pytest.raises(TypeError, match=r"run\(\)"):
        lookup.run([], entity_rows=[])
    with pytest.raises(errors.SchemaError, match="at_us"):
        lookup.run([], at_us=0.5)
    with pytest.raises(errors.InvalidError, match="64 bits"):
        lookup.run([], at_us=2**63)
    answer = lookup.run(entity_rows=[{"tailnum": "N1"}], at_us=us(T0))
    with pytest.raises(TypeError, match=r"to_dict\(\)"):
        answer.to_dict(True, False)
    with pytest.raises(TypeError, match=r"to_dict\(\)"):
        answer.to_dict(x=True)


def test_a_row_that_changes_while_it_is_read_does_no_harm(lookup):
    rows = [{"tailnum": "N1"} for _ in range(3)]

    class Shrinks:
        def __index__(self):
            rows.clear()
            return 1

    rows[0]["tailnum"] = Shrinks()
    with pytest.raises((IndexError, errors.TiffinError)):
        lookup.run(rows)


# ---- values in and out ----

MISSING = [None, float("nan"), np.float32("nan"), pd.NA, pd.NaT, np.datetime64("NaT", "ns")]


@pytest.mark.parametrize("missing", MISSING, ids=repr)
def test_whatever_means_missing_is_a_null_key(lookup, missing):
    answer = lookup.run([{"tailnum": missing}])
    assert answer.to_dict()["tailnum"] == [None]
    assert answer.statuses()["big"] == [3]


# ---- leaks ----


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def check_leak(call, n_calls: int, max_bytes: int = 4 << 20) -> None:
    for _ in range(n_calls // 4):
        call()
    gc.collect()
    blocks, resident = sys.getallocatedblocks(), resident_bytes()
    for _ in range(n_calls):
        call()
    gc.collect()
    assert sys.getallocatedblocks() - blocks < n_calls // 2 + 50
    assert resident_bytes() - resident < max_bytes


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@linux
def test_a_thousand_lookups_leak_nothing(lookup):
    rows = [{"tailnum": f"N{i}", "x": T0} for i in range(100)]
    references = [sys.getrefcount(row["tailnum"]) for row in rows]

    def call():
        answer = lookup.run(rows)
        assert len(answer.to_dict(True)["big"]) == 100
        assert answer.statuses()
        assert answer.event_timestamps()
        assert answer.warnings is not None
        pa.table(answer.to_stream(with_statuses=True))

    check_leak(call, 1000)
    assert [sys.getrefcount(row["tailnum"]) for row in rows] == references


@linux
def test_a_thousand_wrong_calls_leak_nothing(store, lookup):
    def call():
        for rows, _, _ in WRONG_ROWS:
            with pytest.raises(Exception):  # noqa: B017 - which one is tested above
                lookup.run(rows)
        for verb, arguments, error, _ in WRONG_CALLS:
            if error is TypeError or error is errors.SchemaError:
                with pytest.raises(error):
                    getattr(store, verb)(**arguments)
        for options, error, _ in WRONG_STORES:
            with pytest.raises(error):
                _native.Store(**options)

    check_leak(call, 1000)


class MallInfo(ctypes.Structure):
    """What glibc's mallinfo2 gives; the eighth number is the bytes in use."""

    _fields_: ClassVar = [(f"n{i}", ctypes.c_size_t) for i in range(10)]


def test_what_the_engine_hands_out_is_ended(folder):
    try:
        mallinfo2 = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        pytest.skip("needs mallinfo2 of glibc")
    mallinfo2.restype = MallInfo
    lookup = open_store(folder).prepare(features())

    def opened():
        open_store(folder)

    def told():
        store.get("feature_view", "plane_facts")

    def prepared():
        store.prepare(features())

    def answered():
        lookup.run([{"tailnum": "N1"}])

    store = open_store(folder)
    for call in (opened, told, prepared, answered):
        for _ in range(300):
            call()
        gc.collect()
        before = mallinfo2().n7
        for _ in range(1000):
            call()
        gc.collect()
        assert mallinfo2().n7 - before < 16_000, call.__name__


@linux
def test_a_thousand_kernel_runs_leak_nothing():
    spine_table, source_table = moments(), readings()
    references = sys.getrefcount(spine_table), sys.getrefcount(source_table)

    def call():
        pa.table(_native.join(spine_table, source_table, **JOIN, n_threads=1))
        pa.table(_native.latest(source_table, **LATEST, n_threads=1))
        for function, frames, options, error, _ in WRONG_KERNELS:
            with pytest.raises(error):
                getattr(_native, function)(*frames, **options)

    check_leak(call, 1000, max_bytes=8 << 20)
    assert (sys.getrefcount(spine_table), sys.getrefcount(source_table)) == references


@linux
def test_a_hundred_training_sets_and_failures_leak_nothing(store):
    table, rows = spine(), planes()
    references = sys.getrefcount(table)

    def call():
        stream, _ = store.historical(features(), table)
        stream.__arrow_c_stream__()
        stream.__arrow_c_schema__()
        pa.table(stream)
        with pytest.raises(errors.TiffinError):
            store.historical(features("nope:x"), table)
        with pytest.raises(errors.TiffinError):
            store.begin_push(table, view="nope")
        store.begin_push(rows, view="plane_facts")
        store.prepare(features())

    check_leak(call, 100, max_bytes=16 << 20)
    assert sys.getrefcount(table) == references


# ---- threads ----


def test_many_threads_share_one_store_and_one_lookup(store, lookup):
    wrong = []

    def work(seed: int) -> None:
        try:
            for i in range(60):
                n_rows = (seed * 37 + i * 11) % 150 + 1
                keys = [f"N{(seed + row) % 3 + 1}" for row in range(n_rows)]
                columns = lookup.run({"tailnum": keys}).to_dict()
                expected = ["hü" if key == "N1" else None for key in keys]
                if columns["tailnum"] != keys or columns["text"] != expected:
                    wrong.append((seed, i))
                if i % 20 == 0:
                    stream, _ = store.historical(features("plane_facts:text"), spine())
                    if pa.table(stream).column("text").to_pylist() != ["hü", None, None]:
                        wrong.append((seed, i, "historical"))
                    json.loads(store.log())
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.alone
def test_other_threads_run_during_a_long_call(long_folder):
    beats, stop = [], threading.Event()

    def beat():
        while not stop.wait(0.005):
            beats.append(time.monotonic())

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        run_long(long_folder)
    finally:
        stop.set()
        thread.join()
    assert len(beats) > 3
    gaps = [b - a for a, b in itertools.pairwise(beats)]
    assert max(gaps) < 0.5
