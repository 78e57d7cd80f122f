"""Prepared lookups, answers as arrays, and lookups of asyncio."""

import asyncio
import datetime as dt
import multiprocessing
import threading

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from one_view import start, store_of, times
from rides import definitions, utc

from tiffin import (
    Entity,
    FeatureService,
    FeatureStore,
    FeatureView,
    Field,
    FieldStatus,
    RequestSource,
    errors,
    on_demand_feature_view,
)
from tiffin.types import Float64, Int64, String

DRIVER, SOURCE, STATS, MODEL = definitions()
NOW = utc(2024, 1, 4)
ALL = ["stats:trips", "stats:rate", "stats:city"]
TRIP = RequestSource(name="trip", schema=[Field(name="km", dtype=Float64)])


@on_demand_feature_view(
    sources=[STATS[["trips"]], TRIP],
    schema=[Field(name="work", dtype=Float64)],
    mode="python",
)
def effort(inputs: dict[str, list]) -> dict[str, list]:
    pairs = zip(inputs["trips"], inputs["km"], strict=True)
    return {"work": [None if t is None else t * km for t, km in pairs]}


@pytest.fixture
def loaded(store):
    store.materialize(utc(2024, 1, 1), utc(2024, 1, 3))
    return store


# ---- the handle


@pytest.mark.parametrize("features", [ALL, "model", MODEL, [STATS[["city", "rate"]]]], ids=str)
@pytest.mark.parametrize("full", [False, True])
def test_it_answers_as_get_online_features(loaded, features, full):
    prepared = loaded.prepare(features, full_feature_names=full)
    rows = [{"driver_id": i} for i in (3, 1, 9, 1, None)]
    answer = prepared.get(rows, at=NOW)
    expected = loaded.get_online_features(features, rows, full, at=NOW)
    assert answer.names == list(prepared.names) == expected.names
    assert prepared.join_keys == ("driver_id",)
    assert str(answer.to_dict()) == str(expected.to_dict())  # NaN is no other NaN
    assert answer.statuses == expected.statuses
    assert answer.to_arrow().schema == expected.to_arrow().schema


def test_columns_of_lists_and_ages(loaded):
    prepared = loaded.prepare(["stats:trips"])
    assert prepared.get({"driver_id": [1, 3]}, at=NOW).to_dict()["trips"] == [30, 1000]
    answer = prepared.get({"driver_id": [1, 3]}, at=NOW, max_age=dt.timedelta(days=2))
    assert answer.statuses["trips"] == [FieldStatus.PRESENT, FieldStatus.OUTSIDE_MAX_AGE]
    assert "driver_id, trips" in repr(prepared)


@pytest.mark.parametrize(
    ("features", "error", "words"),
    [
        (["stats:nope"], errors.NotFoundError, "'nope'"),
        ([], errors.InvalidError, "features is empty"),
        ("nothing", errors.NotFoundError, "nothing"),
        (3, errors.SchemaError, "not int"),
    ],
)
def test_what_does_not_exist_is_told_when_it_is_prepared(loaded, features, error, words):
    with pytest.raises(error, match=words):
        loaded.prepare(features)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"driver": 1}], "'driver_id'"),
        ([{"driver_id": "one"}], "int64"),
        ({"driver_id": [1], "x": [1, 2]}, "same columns"),
    ],
)
def test_wrong_rows_are_told_in_one_sentence(loaded, rows, words):
    with pytest.raises(errors.InvalidError, match=words):
        loaded.prepare(["stats:trips"]).get(rows)


def test_it_follows_an_apply(loaded):
    prepared = loaded.prepare("model")
    assert prepared.names == ("driver_id", "city", "trips")
    loaded.apply(FeatureService(name="model", features=[STATS[["rate", "trips"]]]))
    assert prepared.names == ("driver_id", "rate", "trips")
    assert prepared.get([{"driver_id": 3}], at=NOW).to_dict() == {
        "driver_id": [3],
        "rate": [9.5],
        "trips": [1000],
    }


def rekey(store):
    store.delete_feature_service("model")
    town = Entity(name="town", join_keys=["city"], value_type=String)
    fields = [Field(name="trips", dtype=Int64)]
    store.apply(FeatureView(name="stats", entities=[town], source=SOURCE, schema=fields))


def test_changed_join_keys_are_one_sentence(loaded):
    prepared = loaded.prepare(["stats:trips"])
    rekey(loaded)
    for _ in range(2):
        with pytest.raises(errors.ConflictError) as caught:
            prepared.get([{"driver_id": 1}])
        assert str(caught.value) == (
            "the join keys of this request changed with a newer apply; prepare it again"
        )
    assert loaded.prepare(["stats:trips"]).join_keys == ("city",)


def test_what_was_taken_away_is_told(loaded):
    prepared = loaded.prepare(["stats:trips"])
    loaded.delete_feature_service("model")
    loaded.delete_feature_view("stats")
    with pytest.raises(errors.NotFoundError, match="stats"):
        prepared.get([{"driver_id": 1}])


def test_it_reads_what_is_written_later(loaded):
    prepared = loaded.prepare(["stats:trips"])
    assert prepared.get([{"driver_id": 7}], at=NOW).to_dict()["trips"] == [None]
    row = {"driver_id": [7], "trips": [5], "event_timestamp": [NOW], "created": [NOW]}
    loaded.write_to_online_store("stats", row)
    assert prepared.get([{"driver_id": 7}], at=NOW).to_dict()["trips"] == [5]
    FeatureStore(loaded.repo_path).write_to_online_store(
        "stats", row | {"trips": [6], "event_timestamp": [utc(2024, 1, 5)]}
    )
    assert prepared.get([{"driver_id": 7}], at=NOW).to_dict()["trips"] == [6]


def test_a_view_that_was_never_written_is_told_once(store):
    prepared = store.prepare(["stats:trips"])
    with pytest.warns(
        errors.TiffinWarning, match="nothing was ever written to it; materialize or push"
    ):
        assert prepared.get([{"driver_id": 1}]).to_dict()["trips"] == [None]
    prepared.get([{"driver_id": 1}])


def test_it_outlives_its_store(loaded):
    prepared = FeatureStore(loaded.repo_path).prepare(["stats:trips"])
    assert prepared.get([{"driver_id": 1}], at=NOW).to_dict()["trips"] == [30]


def ask_in_child(prepared, results):
    results.put(prepared.get([{"driver_id": 1}], at=NOW).to_dict())


def test_it_works_after_a_fork(loaded):
    prepared = loaded.prepare(["stats:trips"])
    prepared.get([{"driver_id": 1}], at=NOW)
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=ask_in_child, args=(prepared, results))
    child.start()
    assert results.get(timeout=60) == {"driver_id": [1], "trips": [30]}
    child.join(60)
    assert child.exitcode == 0


def test_threads_share_it_while_others_apply_and_write(loaded):
    prepared = loaded.prepare(["stats:trips"])
    wrong: list[object] = []
    done = threading.Event()

    def ask():
        while not done.is_set():
            values = prepared.get({"driver_id": [3, 9] * 50}, at=NOW).to_dict()
            if values["trips"][1::2] != [None] * 50 or len(set(values["trips"][::2])) != 1:
                wrong.append(values)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for i in range(10):
        loaded.apply(FeatureService(name="model", features=[STATS[["trips"]]], tags={"i": str(i)}))
        moment = [utc(2024, 1, 4) + dt.timedelta(minutes=i)]
        row = {"driver_id": [3], "trips": [i], "event_timestamp": moment, "created": moment}
        loaded.write_to_online_store("stats", row)
    done.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert prepared.get([{"driver_id": 3}], at=NOW).to_dict()["trips"] == [9]


# ---- on-demand views


def test_on_demand_views_are_computed(loaded):
    loaded.apply(effort)
    features = ["effort:work", "stats:city"]
    prepared = loaded.prepare(features)
    assert prepared.join_keys == ("driver_id",)
    assert prepared.names == ("driver_id", "work", "city")
    rows = {"driver_id": [1, 2, 3], "km": [2.0, 3.0, 0.5]}
    answer = prepared.get(rows, at=NOW)
    assert answer.to_dict() == {
        "driver_id": [1, 2, 3],
        "work": [60.0, None, 500.0],
        "city": ["c", None, ""],
    }
    assert answer.to_numpy()["work"][[0, 2]].tolist() == [60.0, 500.0]
    old = prepared.get(rows, at=NOW, max_age=dt.timedelta(days=2))
    assert old.to_dict()["work"] == [60.0, None, None]
    found = old.statuses["city"]
    assert found == [FieldStatus.PRESENT, FieldStatus.NULL_VALUE, FieldStatus.OUTSIDE_MAX_AGE]


def test_the_names_of_computed_answers_follow_an_apply(loaded):
    loaded.apply([effort, FeatureService(name="mixed", features=[effort])])
    prepared = loaded.prepare("mixed")
    assert prepared.names == ("driver_id", "work")
    loaded.apply(FeatureService(name="mixed", features=[effort, STATS[["city"]]]))
    assert prepared.names == ("driver_id", "work", "city")
    loaded.apply(FeatureService(name="mixed", features=[STATS[["city"]]]))
    assert prepared.names == ("driver_id", "city")
    assert prepared.get({"driver_id": [1]}, at=NOW).to_dict()["city"] == ["c"]


def test_changed_join_keys_under_an_on_demand_view_are_one_sentence(loaded):
    loaded.apply(effort)
    prepared = loaded.prepare(["effort:work"])
    rows = {"driver_id": [1], "km": [2.0]}
    assert prepared.get(rows, at=NOW).to_dict()["work"] == [60.0]
    rekey(loaded)
    with pytest.raises(errors.ConflictError, match="prepare it again"):
        prepared.get(rows)
    with pytest.raises(errors.ConflictError, match="prepare it again"):
        prepared.get(rows)


# ---- arrays


@pytest.fixture
def typed(tmp_path):
    table = pa.table(
        {
            "k": pa.array([1, 2, 3], pa.int64()),
            "event_timestamp": times([0, 0, 0]),
            "whole": pa.array([1, 2**60 + 1, -3], pa.int64()),
            "small": pa.array([1, None, 3], pa.int32()),
            "real": pa.array([0.5, None, 2.5], pa.float32()),
            "double": pa.array([0.5, 1.5, 2.5], pa.float64()),
            "flag": pa.array([True, False, True]),
            "maybe": pa.array([True, None, False]),
            "moment": times([1, 2, 3]),
            "moment_ns": times([1, None, 3], "ns"),
            "day": pa.array([dt.date(2024, 1, 1), None, dt.date(1969, 12, 31)]),
            "text": pa.array(["a", None, "c"]),
            "list": pa.array([[1.0, 2.0], [], None], pa.list_(pa.float64())),
        }
    )
    store = store_of(tmp_path, table)
    store.materialize(None, start(1))
    return store


FEATURES = "whole small real double flag maybe moment moment_ns day text list".split()


def test_arrays_hold_the_values_of_to_dict(typed):
    answer = typed.prepare([f"facts:{name}" for name in FEATURES]).get({"k": [3, 1, 2, 1]})
    values, arrays = answer.to_dict(), answer.to_numpy()
    assert list(arrays) == list(values)
    kinds = {name: str(array.dtype) for name, array in arrays.items()}
    assert kinds == {
        "k": "int64",
        "whole": "int64",
        "small": "int32",
        "real": "float32",
        "double": "float64",
        "flag": "bool",
        "maybe": "bool",
        "moment": "datetime64[us]",
        "moment_ns": "datetime64[ns]",
        "day": "datetime64[D]",
        "text": "object",
        "list": "object",
    }
    for name in ("k", "whole", "small", "double", "flag", "maybe", "text"):
        assert arrays[name].tolist() == values[name], name
    assert isinstance(arrays["small"], np.ma.MaskedArray)
    assert isinstance(arrays["maybe"], np.ma.MaskedArray)
    assert arrays["small"].sum() == 5  # 3 + 1 + 1
    assert np.isnan(arrays["real"][2])
    assert arrays["real"][[0, 1, 3]].tolist() == [2.5, 0.5, 0.5]
    assert arrays["moment"].tolist() == [v.replace(tzinfo=None) for v in values["moment"]]
    assert np.isnat(arrays["moment_ns"][2])
    assert arrays["moment_ns"][0] == np.datetime64("2024-01-04T00:00:00", "ns")
    assert arrays["day"].tolist() == values["day"]
    lists = [None if item is None else list(item) for item in arrays["list"]]
    assert lists == values["list"]


def test_numbers_and_times_without_nulls_are_views_of_the_answer(typed):
    answer = typed.prepare(["facts:whole", "facts:double", "facts:moment"]).get({"k": [1, 2]})
    for array in answer.to_numpy().values():
        assert array.base is not None
        assert not array.flags.writeable


def test_arrays_of_no_rows_and_of_nobody(typed):
    prepared = typed.prepare(["facts:whole", "facts:text", "facts:real"])
    none = prepared.get({"k": []}).to_numpy()
    assert [len(array) for array in none.values()] == [0, 0, 0, 0]
    nobody = prepared.get({"k": [77]}).to_numpy()
    assert nobody["whole"].tolist() == [None]
    assert nobody["text"].tolist() == [None]
    assert np.isnan(nobody["real"][0])


def test_an_answer_is_one_arrow_batch_whatever_the_nulls(typed):
    keys = [1, 2, 3, None, 77] * 20
    answer = typed.prepare([f"facts:{name}" for name in FEATURES]).get({"k": keys})
    table, values = answer.to_arrow(), answer.to_dict()
    table.validate(full=True)
    for name in table.column_names:
        assert table[name].num_chunks == 1
        assert table[name].to_pylist() == values[name], name


def test_frames_have_epoch_seconds_beside_the_values(typed):
    answer = typed.prepare(["facts:whole", "facts:text"]).get({"k": [1, 77]})
    frame = answer.to_df(include_event_timestamps=True)
    values = answer.to_dict(include_event_timestamps=True)
    assert list(frame.columns) == ["k", "whole", "text", "whole__ts", "text__ts"]
    assert frame["whole__ts"].to_list() == values["whole__ts"] == [int(start().timestamp()), 0]
    assert frame["whole"].isna().to_list() == [False, True]
    pd.testing.assert_frame_equal(frame[["k", "whole", "text"]], answer.to_df())


# ---- asyncio


def test_asyncio_gives_the_same(loaded):
    prepared = loaded.prepare(["stats:trips"])
    rows = [{"driver_id": 1}, {"driver_id": 9}]

    async def ask():
        first = await loaded.get_online_features_async(["stats:trips"], rows, at=NOW)
        again = await loaded.get_online_features_async(["stats:trips"], rows, at=NOW)
        handle = await prepared.get_async(rows, at=NOW)
        aged = await prepared.get_async(rows, at=NOW, max_age=1)
        return [answer.to_dict()["trips"] for answer in (first, again, handle, aged)]

    assert asyncio.run(ask()) == [[30, None], [30, None], [30, None], [None, None]]


def test_what_takes_longer_runs_in_a_thread(loaded, monkeypatch):
    loaded.apply(effort)
    threads: list[bool] = []
    usual = asyncio.to_thread

    async def seen(call, *arguments, **named):
        threads.append(True)
        return await usual(call, *arguments, **named)

    monkeypatch.setattr(asyncio, "to_thread", seen)
    few, many = {"driver_id": [1] * 1_000}, {"driver_id": [1] * 1_001}

    async def ask(prepared, rows):
        before = len(threads)
        answer = await prepared.get_async(rows, at=NOW)
        return len(answer), len(threads) > before

    assert asyncio.run(ask(loaded.prepare(["stats:trips"]), few)) == (1_000, False)
    assert asyncio.run(ask(loaded.prepare(["stats:trips"]), many)) == (1_001, True)
    rows = {"driver_id": [1], "km": [1.0]}
    assert asyncio.run(ask(loaded.prepare(["effort:work"]), rows)) == (1, True)


def test_rows_of_every_view_count_for_what_runs_in_a_thread(loaded, monkeypatch):
    fields = [Field(name="city", dtype=String)]
    loaded.apply([FeatureView(name="twin", entities=[DRIVER], source=SOURCE, schema=fields)])
    loaded.materialize(None, NOW)
    prepared = loaded.prepare(["stats:trips", "stats:rate", "twin:city"])
    monkeypatch.setattr(asyncio, "to_thread", refuse_threads)
    asyncio.run(prepared.get_async({"driver_id": [1] * 500}, at=NOW))
    with pytest.raises(AssertionError, match="a thread"):
        asyncio.run(prepared.get_async({"driver_id": [1] * 501}, at=NOW))


async def refuse_threads(*_, **__):
    raise AssertionError("a thread")


def test_errors_reach_who_awaits(loaded):
    with pytest.raises(errors.InvalidError, match="'driver_id'"):
        asyncio.run(loaded.get_online_features_async(["stats:trips"], [{"x": 1}]))
    with pytest.raises(errors.SchemaError):
        asyncio.run(loaded.prepare(["stats:trips"]).get_async(3))
