"""Pushes, writes and materializations of a real server: answers, errors, what is online then."""

import base64
import datetime as dt
import json
import os
import re
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pushes import definitions, rides
from server_process import ServerProcess, wait_until
from server_repo import T1, ask, ask_text, day, frame, make_repo, read

from tiffin import FeatureView, Field
from tiffin.types import Bytes

WRITE = "/write-to-online-store"


@pytest.fixture
def store(tmp_path):
    return make_repo(tmp_path)


@pytest.fixture
def server(store):
    with ServerProcess(store.repo_path) as server:
        yield server


@pytest.fixture
def python_server(store):
    with ServerProcess(store.repo_path, "--python", sys.executable) as server:
        yield server


def test_a_push_is_read_by_all_before_its_answer(server, store):
    assert ask(server, "/push", {"push_source_name": "rides_push", "df": frame()}) == (200, None)
    assert read(store, "stats:trips", "stats:grade", "places:city") == {
        "trips": [5, 6],
        "grade": [1, 2],
        "city": ["x", None],
    }


def test_one_view_is_written_and_null_is_the_answer(server, store):
    body = {"feature_view_name": "places", "df": frame(), "allow_registry_cache": False}
    assert ask(server, WRITE, body) == (200, None)
    assert read(store, "places:city", "stats:trips") == {"city": ["x", None], "trips": [None] * 2}


def test_every_type_comes_back_as_it_was_written(server, store):
    raw = base64.b64encode(b"\0\xff bytes").decode()
    df = {
        "driver_id": [1, 2],
        "event_timestamp": [T1, "2024-02-01 00:00:00+01:00"],
        "created": [T1, None],
        "whole": [2**63 - 1, None],
        "single": [0.5, 3],
        "double": [1e300, 2],
        "flag": [True, None],
        "text": ["caf\u00e9", ""],
        "raw": [raw, None],
        "at": [1704067200, 0],
        "day": ["2024-02-29", None],
        "doubles": [[1, 2.5, None], []],
        "raws": [[raw], None],
    }
    body = {"feature_view_name": "every", "df": df}
    assert ask(server, WRITE, body) == (200, None)
    features = [f"every:{name}" for name in list(df)[3:]]
    assert read(store, *features) == {
        **{name: df[name] for name in ("whole", "single", "double", "flag", "text")},
        "raw": [b"\0\xff bytes", None],
        "at": [dt.datetime(2024, 1, 1, tzinfo=dt.UTC), dt.datetime(1970, 1, 1, tzinfo=dt.UTC)],
        "day": [day("2024-02-29"), None],
        "doubles": [[1.0, 2.5, None], []],
        "raws": [[b"\0\xff bytes"], None],
    }


REFUSED = {
    "unequal columns": (
        frame(trips=[1]),
        "column 'trips' of df has 1 values, and column 'driver_id' has 2; all columns need equally "
        "many",
    ),
    "an object": (
        frame(trips=[1, {"a": 1}]),
        "column 'trips', row 1 (counted from 0): an object; a value is a text, a number, true, "
        "false, null, or a list of these",
    ),
    "two types": (
        frame(trips=[1, "2"]),
        "column 'trips', row 1 (counted from 0): a text, where a value before it is a number; the "
        "values of a column have one type",
    ),
    "beyond int64": (
        frame(trips=[1, 2**63]),
        "column 'trips', row 1 (counted from 0): value 9.2233720368547758e+18 does not fit int64",
    ),
    "a fraction": (
        frame(trips=[1, 2.5]),
        "column 'trips', row 1 (counted from 0): value 2.5 is no whole number, as int64 must be",
    ),
    "a null key": (
        frame(driver_id=[1, None]),
        "column 'driver_id', row 1 (counted from 0): null; a join key needs a value",
    ),
    "a missing column": (
        frame(created=None),
        "the frame has no column 'created', the created_timestamp_column of feature view 'stats'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_said_in_one_sentence_and_nothing_is_written(case, server, store):
    df, sentence = REFUSED[case]
    status, said = ask(server, WRITE, {"feature_view_name": "stats", "df": df})
    assert status == 500
    assert said.removeprefix("writing to 'stats': ") == sentence
    assert read(store, "stats:grade") == {"grade": [None, None]}


def test_bytes_that_are_no_base64_are_refused(server):
    df = frame(raw=["?", None])
    status, said = ask(server, WRITE, {"feature_view_name": "every", "df": df})
    assert (status, said[:45]) == (500, "column 'raw', row 0 (counted from 0): the tex")


def test_errors_have_feasts_statuses_and_bodies(server):
    status, said = ask(server, "/push", {"push_source_name": "none", "df": frame()})
    detail = json.loads(said)
    assert status == 422
    assert (detail["module"], detail["class"]) == ("feast.errors", "PushSourceNotFoundException")
    for name in ("none", "st\0ats"):
        status, said = ask(server, WRITE, {"feature_view_name": name, "df": frame()})
        assert (status, json.loads(said)["class"]) == (404, "FeastObjectNotFoundException")
    body = {"push_source_name": "rides_push", "df": frame(), "to": "up"}
    status, said = ask(server, "/push", body)
    assert status == 500
    assert said == (
        "up is not a supported push format. Please specify one of these ['online', 'offline', "
        "'online_and_offline']."
    )
    status, said = ask(server, "/push", {"df": []})
    assert status == 422
    assert [each["type"] for each in said["detail"]] == ["missing", "dict_type"]


def test_a_frame_without_rows_writes_nothing(server, store):
    for df in ({}, {"driver_id": []}):
        body = {"push_source_name": "rides_push", "df": df}
        assert ask(server, "/push", body) == (200, None)
    assert read(store, "stats:trips") == {"trips": [None, None]}


def test_files_are_for_servers_with_python(server):
    body = {"push_source_name": "rides_push", "df": frame(), "to": "offline"}
    status, said = ask(server, "/push", body)
    assert status == 501
    assert "without Python" in said


def test_a_push_goes_to_files_and_online(python_server, store):
    df = frame(km=None, km_total=[0.5, 2])
    body = {"push_source_name": "rides_push", "df": df}
    folder = store.repo_path / "data" / "rides"
    assert ask(python_server, "/push", {**body, "to": "offline"}) == (200, None)
    assert len(list(folder.iterdir())) == 2
    assert read(store, "stats:trips") == {"trips": [None, None]}
    assert ask(python_server, "/push", {**body, "to": "online_and_offline"}) == (200, None)
    assert len(list(folder.iterdir())) == 3
    assert read(store, "stats:km") == {"km": [0.5, 2.0]}
    status, said = ask(python_server, "/push", {**body, "push_source_name": "x", "to": "offline"})
    assert (status, json.loads(said)["class"]) == (422, "PushSourceNotFoundException")
    body["df"] = {**df, "trips": [1, "x"]}
    status, said = ask(python_server, "/push", {**body, "to": "offline"})
    assert (status, said) == (500, REFUSED["two types"][1].replace('"2"', "x"))


def test_a_write_is_read_by_the_types_of_the_newest_apply(server, store):
    body = {"push_source_name": "rides_push", "df": frame(seen=["AP8=", None])}
    assert ask(server, "/push", body) == (200, None)
    file = store.repo_path / "data" / "rides" / "first.parquet"
    pq.write_table(rides(seen=pa.array([b"", None], pa.binary())), file)
    driver, _, pushed, _, places = definitions()
    fields = [*places.schema, Field(name="seen", dtype=Bytes)]
    store.apply([FeatureView(name="places", entities=[driver], source=pushed, schema=fields)])
    assert ask(server, "/push", body) == (200, None)
    assert read(store, "places:seen") == {"seen": [b"\0\xff", None]}


def test_what_python_writes_online_is_counted_as_well(python_server):
    def count(view):
        found = re.search(
            rf'^tiffin_rows_written_total{{view="{view}"}} (\d+)$',
            ask_text(python_server, "/metrics", None, "GET")[1],
            re.MULTILINE,
        )
        return 0 if found is None else int(found[1])

    body = {"push_source_name": "rides_push", "df": frame()}
    for to, n_rows in (("offline", 0), ("online_and_offline", 2), ("online", 4)):
        assert ask(python_server, "/push", {**body, "to": to}) == (200, None)
        assert (count("stats"), count("places")) == (n_rows, n_rows)


def test_a_materialization_is_done_when_it_is_answered(python_server, store):
    times = {"start_ts": "2023-01-01", "end_ts": "2025-01-01T00:00:00Z"}
    assert ask(python_server, "/materialize", {**times, "feature_views": ["stats"]}) == (200, None)
    assert read(store, "stats:trips", "places:city") == {"trips": [10, 20], "city": [None, None]}
    body = {"end_ts": "2025-01-01"}
    assert ask(python_server, "/materialize-incremental", body) == (200, None)
    assert read(store, "places:city") == {"city": ["a", "b"]}
    assert python_server.children() == []


def test_a_materialization_in_the_background_is_accepted_and_not_twice(python_server, store):
    body = {"disable_event_timestamp": True, "feature_views": ["stats", "places"]}
    accepted = (202, {"status": "accepted", "feature_views": ["stats", "places"]})
    assert ask(python_server, "/materialize?async=true", body) == accepted
    status, said = ask(python_server, "/materialize?async=1", {**body, "feature_views": ["stats"]})
    if status != 202:  # the first one may be that quick
        assert status == 409
        assert said["feature_views"] == ["stats"]
        assert "already" in said["error"]
    assert ask(python_server, "/materialize?async=yes&force=true", body) == accepted
    wait_until(lambda: read(store, "stats:trips") == {"trips": [10, 20]}, "the rows")
    wait_until(lambda: python_server.children() == [], "the children to be reaped")


def test_questions_to_materialize_that_make_no_sense(server):
    times = {"start_ts": "2023-01-01", "end_ts": "2025-01-01"}
    cases = [
        ({}, "start_ts and end_ts are required when disable_event_timestamp is False"),
        ({**times, "end_ts": "2023-01-01"}, "start_ts (2023-01-01) must be before end_ts"),
        ({**times, "end_ts": "soon"}, "Invalid timestamp format: end_ts: "),
        ({**times, "version": "v2"}, "version 'v2' cannot be materialized"),
    ]
    for body, words in cases:
        status, said = ask(server, "/materialize", body)
        assert status == 500
        assert said.startswith(words)
    status, said = ask(server, "/materialize", {**times, "feature_views": ["none"]})
    assert (status, json.loads(said)["class"]) == (404, "FeatureViewNotFoundException")
    status, said = ask(server, "/materialize?async=perhaps", times)
    assert (status, said["detail"][0]["loc"]) == (422, ["query", "async"])
    assert ask(server, "/materialize", {**times, "feature_views": []}) == (200, None)


@pytest.mark.skipif("TIFFIN_DUCKDB_LIBRARY" in os.environ, reason="there is a DuckDB for C")
def test_without_duckdb_a_materialization_is_unsupported(store):
    with ServerProcess(store.repo_path, environment={"LD_LIBRARY_PATH": ""}) as server:
        body = {"start_ts": "2023-01-01", "end_ts": "2025-01-01"}
        for query in ("", "?async=true"):
            status, said = ask(server, f"/materialize{query}", body)
            assert status == 501
            assert "DuckDB" in said
