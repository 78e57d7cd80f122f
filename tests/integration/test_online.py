"""The online store: materialize, write, look up, statuses, ages."""

import datetime as dt
import subprocess
import sys
import warnings

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rides import definitions, drivers, utc

from tiffin import Entity, FeatureStore, FeatureView, Field, FieldStatus, FileSource, errors
from tiffin.types import Int64, String

NOW = utc(2024, 1, 4)
ALL = ["stats:trips", "stats:rate", "stats:city"]
PRESENT, NULL, NOT_FOUND, OLD = (
    FieldStatus.PRESENT,
    FieldStatus.NULL_VALUE,
    FieldStatus.NOT_FOUND,
    FieldStatus.OUTSIDE_MAX_AGE,
)


@pytest.fixture
def loaded(store):
    store.materialize(utc(2024, 1, 1), utc(2024, 1, 3))
    return store


def reopened(store, online_ttl):
    yaml = store.repo_path / "feature_store.yaml"
    yaml.write_text(f"project: rides\nonline_ttl: {online_ttl}\n")
    return FeatureStore(store.repo_path)


def test_values_and_statuses(loaded):
    rows = [{"driver_id": i} for i in (2, 1, 9, 1, None, 3)]
    answer = loaded.get_online_features(ALL, rows, at=NOW)
    values = answer.to_dict()
    assert list(values) == ["driver_id", "trips", "rate", "city"]
    assert values["driver_id"] == [2, 1, 9, 1, None, 3]
    assert values["trips"] == [None, 30, None, 30, None, 1000]
    assert values["city"] == [None, "c", None, "c", None, ""]
    assert values["rate"][1] != values["rate"][1]
    assert answer.statuses["trips"] == [NULL, PRESENT, NOT_FOUND, PRESENT, NOT_FOUND, PRESENT]
    assert answer.statuses["driver_id"] == [PRESENT] * 4 + [NULL, PRESENT]
    assert len(answer) == 6


def test_entity_rows_as_lists_of_columns(loaded):
    values = loaded.get_online_features(["stats:trips"], {"driver_id": [1, 3]}, at=NOW).to_dict()
    assert values == {"driver_id": [1, 3], "trips": [30, 1000]}
    rows = {"driver_id": (1, 3), "ignored": list("xy")}
    assert loaded.get_online_features(["stats:trips"], rows, at=NOW).to_dict()["trips"] == [
        30,
        1000,
    ]


def test_keys_may_come_as_text_or_numpy(loaded):
    import numpy as np

    for key in ("1", np.int32(1), np.int64(1)):
        values = loaded.get_online_features(["stats:trips"], [{"driver_id": key}], at=NOW).to_dict()
        assert values["trips"] == [30]


def test_other_forms_of_an_answer(loaded):
    answer = loaded.get_online_features(ALL, [{"driver_id": 1}, {"driver_id": 9}], at=NOW)
    table = answer.to_arrow()
    assert table.schema.field("trips").type == pa.int64()
    assert table.column("trips").to_pylist() == [30, None]
    assert pa.table(answer).drop_columns(["rate"]).equals(table.drop_columns(["rate"]))
    frame = answer.to_df()
    assert str(frame["trips"].dtype) == "Int64"
    assert str(frame["rate"].dtype) == "float32"
    assert frame["city"][0] == "c"
    assert answer.to_polars()["trips"].to_list() == [30, None]
    assert pl.DataFrame(answer).columns == ["driver_id", "trips", "rate", "city"]
    with_statuses = pa.RecordBatchReader.from_stream(answer.to_stream(True)).read_all()
    assert with_statuses.column("trips__status").to_pylist() == [1, 3]
    assert "2 rows" in repr(answer)


def test_event_timestamps(loaded):
    answer = loaded.get_online_features(
        ["stats:trips"], [{"driver_id": 1}, {"driver_id": 9}], at=NOW
    )
    values = answer.to_dict(include_event_timestamps=True)
    assert values["trips__ts"] == [int(utc(2024, 1, 3).timestamp()), 0]
    assert answer.to_df(include_event_timestamps=True)["trips__ts"].to_list() == values["trips__ts"]
    assert answer.event_timestamps["trips"][0] == utc(2024, 1, 3).timestamp()


def test_names_services_and_projections(loaded):
    _, _, view, service = definitions()
    rows = [{"driver_id": 1}]
    full = loaded.get_online_features(["stats:trips"], rows, full_feature_names=True, at=NOW)
    assert full.to_dict() == {"driver_id": [1], "stats__trips": [30]}
    for features in (service, "model", loaded.get_feature_service("model")):
        values = loaded.get_online_features(features, rows, at=NOW).to_dict()
        assert list(values) == ["driver_id", "city", "trips"]
    other = view[["trips"]].with_name("other").with_join_key_map({"driver_id": "other_id"})
    values = loaded.get_online_features(
        [view[["trips"]], other], [{"driver_id": 1, "other_id": 3}], full_feature_names=True, at=NOW
    ).to_dict()
    assert values["stats__trips"] == [30]
    assert values["other__trips"] == [1000]


def test_no_rows(loaded):
    assert loaded.get_online_features(["stats:trips"], []).to_dict() == {
        "driver_id": [],
        "trips": [],
    }


@pytest.mark.parametrize(
    ("features", "rows", "error", "words"),
    [
        (["stats:nope"], [{"driver_id": 1}], errors.NotFoundError, ["'nope'"]),
        (["nope:x"], [{"driver_id": 1}], errors.NotFoundError, ["nope"]),
        ("nothing", [{"driver_id": 1}], errors.NotFoundError, ["nothing"]),
        ([], [{"driver_id": 1}], errors.InvalidError, ["features is empty"]),
        ([["stats:trips"]], [{"driver_id": 1}], errors.SchemaError, ["features[0]", "list"]),
        (3, [{"driver_id": 1}], errors.SchemaError, ["not int"]),
        (["stats:trips"], [{"driver": 1}], errors.InvalidError, ["'driver_id'", "'driver'"]),
        (["stats:trips"], [{"driver_id": 1}, {"x": 1}], errors.InvalidError, ["driver_id"]),
        (["stats:trips"], {"driver_id": [1], "x": [1, 2]}, errors.InvalidError, ["x"]),
        (["stats:trips"], [{"driver_id": "one"}], errors.InvalidError, ["'driver_id'", "int64"]),
        (["stats:trips"], [{"driver_id": 1.5}], errors.InvalidError, ["'driver_id'"]),
        (["stats:trips"], [{"driver_id": 2**70}], errors.InvalidError, ["'driver_id'"]),
        (["stats:trips"], 3, (TypeError, ValueError), ["int"]),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_wrong_is_said_in_one_sentence(loaded, features, rows, error, words):
    with pytest.raises(error) as caught:
        loaded.get_online_features(features, rows, at=NOW)
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_view_that_was_never_written_is_told_once(store):
    with pytest.warns(
        errors.TiffinWarning, match="stats.*nothing was ever written to it"
    ) as caught:
        answer = store.get_online_features(["stats:trips"], [{"driver_id": 1}], at=NOW)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert answer.statuses["trips"] == [NOT_FOUND]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store.get_online_features(["stats:trips"], [{"driver_id": 1}], at=NOW)


def test_enforced_ages_are_inclusive(loaded):
    store = reopened(loaded, "enforce")
    edge = utc(2024, 1, 10)
    answer = store.get_online_features(["stats:trips"], [{"driver_id": 1}], at=edge)
    assert answer.to_dict()["trips"] == [30]
    answer = store.get_online_features(
        ["stats:trips"], [{"driver_id": 1}], at=edge + dt.timedelta(microseconds=1)
    )
    assert answer.to_dict()["trips"] == [None]
    assert answer.statuses["trips"] == [OLD]
    answer = store.get_online_features(["stats:trips"], [{"driver_id": 1}])
    assert answer.statuses["trips"] == [OLD]


def test_ignored_ages_say_nothing_and_absent_ones_say_it_once(loaded):
    rows = [{"driver_id": 1}]
    with pytest.warns(errors.TiffinWarning, match="online_ttl"):
        assert loaded.get_online_features(["stats:trips"], rows).to_dict()["trips"] == [30]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded.get_online_features(["stats:trips"], rows)
        ignoring = reopened(loaded, "ignore")
        assert ignoring.get_online_features(["stats:trips"], rows).to_dict()["trips"] == [30]


def test_a_second_identical_run_changes_nothing(store):
    first = store.materialize(utc(2024, 1, 1), utc(2024, 1, 3))
    [view] = first.views
    assert (view["view"], view["rows_written"]) == ("stats", 3)
    [again] = store.materialize(utc(2024, 1, 1), utc(2024, 1, 3)).views
    assert (again["rows_written"], again["rows_older"], again["rows_same"]) == (0, 0, 3)
    assert "stats" in str(first)


def test_both_ends_of_a_run_are_included(store):
    store.materialize(utc(2024, 1, 2), utc(2024, 1, 2))
    answer = store.get_online_features(["stats:trips"], {"driver_id": [1, 2, 3]}, at=NOW)
    assert answer.to_dict()["trips"] == [20, 200, None]


def test_an_older_run_does_not_replace_newer_rows(loaded):
    [view] = loaded.materialize(utc(2024, 1, 1), utc(2024, 1, 1)).views
    assert view["rows_older"] == 1
    answer = loaded.get_online_features(["stats:trips"], {"driver_id": [1]}, at=NOW)
    assert answer.to_dict()["trips"] == [30]


def test_known_at_loads_what_had_been_written(store):
    store.materialize(None, utc(2024, 1, 3), known_at="2024-01-02T06:00:00")
    answer = store.get_online_features(["stats:trips"], {"driver_id": [1, 2]}, at=NOW)
    assert answer.to_dict()["trips"] == [20, 200]


def test_incremental_runs_continue_and_take_late_rows(store):
    path = store.repo_path / "data" / "drivers.parquet"
    [first] = store.materialize_incremental(utc(2024, 1, 2), known_at=utc(2024, 1, 2, 12)).views
    assert first["rows_written"] == 3
    late = pa.table(
        {
            "driver_id": pa.array([3], pa.int64()),
            "event_timestamp": pa.array([utc(2024, 1, 1, 12)], pa.timestamp("us", "UTC")),
            "created": pa.array([utc(2024, 1, 3)], pa.timestamp("us", "UTC")),
            "trips": pa.array([1001], pa.int64()),
            "rate": pa.array([1.0], pa.float32()),
            "city": pa.array(["late"]),
        }
    )
    pq.write_table(pa.concat_tables([drivers(), late]), path)
    store.materialize_incremental(utc(2024, 1, 3), known_at=utc(2024, 1, 3, 12))
    answer = store.get_online_features(["stats:trips"], {"driver_id": [1, 2, 3]}, at=NOW)
    assert answer.to_dict()["trips"] == [30, None, 1001]


def test_a_run_that_reads_nothing_says_which_dates_there_are(store):
    [view] = store.materialize(utc(2030, 1, 1), utc(2030, 1, 2)).views
    assert "2024-01-01" in view["note"] and "2024-01-03" in view["note"]


def test_materialize_refuses_what_makes_no_sense(store):
    with pytest.raises(errors.InvalidError, match="ends before it starts"):
        store.materialize(utc(2024, 1, 2), utc(2024, 1, 1))
    with pytest.raises(errors.NotFoundError, match="nope"):
        store.materialize(utc(2024, 1, 1), utc(2024, 1, 2), feature_views=["nope"])
    with pytest.raises(errors.SchemaError, match="feature_views must be a list of names, not str"):
        store.materialize(utc(2024, 1, 1), utc(2024, 1, 2), feature_views="stats")
    with pytest.raises(errors.InvalidError, match="end_date: 'soon' is no time"):
        store.materialize(None, "soon")
    driver, source, view, _ = definitions()
    store.apply(
        FeatureView(
            name="off", entities=[driver], source=source, schema=view.features, online=False
        )
    )
    with pytest.raises(errors.InvalidError, match="online=False"):
        store.materialize(None, NOW, feature_views=["off"])
    assert [v["view"] for v in store.materialize(None, NOW).views] == ["stats"]


def test_progress_is_told(store):
    told = []
    store.materialize(None, NOW, progress=lambda *args: told.append(args))
    for what, done, total in told:
        assert isinstance(what, str)
        assert done >= 0
        assert total >= -1

    with pytest.raises(TypeError, match="progress"):
        store.materialize(None, NOW, progress=3)


def test_status_tells_what_is_online(loaded):
    [state] = [s for s in loaded.status() if "stats" in s.values()]
    assert state


def write(store, **changes):
    frame = {
        "driver_id": [1],
        "event_timestamp": [utc(2024, 1, 3)],
        "created": [utc(2024, 1, 3, 6)],
        "trips": [31],
        "rate": [0.5],
        "city": ["w"],
    }
    merged = {k: v for k, v in {**frame, **changes}.items() if v is not None}
    return store.write_to_online_store("stats", merged)


def trips(store, *keys):
    return store.get_online_features(["stats:trips"], {"driver_id": list(keys)}, at=NOW).to_dict()[
        "trips"
    ]


def test_writes_follow_the_one_rule(loaded):
    assert write(loaded)["rows_written"] == 1  # equal pair: the later one
    assert trips(loaded, 1) == [31]
    assert write(loaded, created=[utc(2024, 1, 3, 5)], trips=[32])["rows_older"] == 1
    assert write(loaded, event_timestamp=[utc(2024, 1, 2)], trips=[33])["rows_older"] == 1
    assert trips(loaded, 1) == [31]
    assert write(loaded, created=[utc(2024, 1, 3, 7)], trips=[34])["rows_written"] == 1
    assert trips(loaded, 1) == [34]


def test_written_frames_in_every_form(loaded):
    table = pa.table(
        {
            "driver_id": [50],
            "event_timestamp": [utc(2024, 1, 3)],
            "created": [utc(2024, 1, 3)],
            "trips": [5],
        }
    )
    for frame in (table, table.to_pandas(), pl.from_arrow(table), table.to_pydict()):
        assert loaded.write_to_online_store("stats", frame)["rows_read"] == 1
    answer = loaded.get_online_features(ALL, [{"driver_id": 50}], at=NOW)
    assert answer.to_dict()["trips"] == [5]
    assert answer.statuses["city"] == [NULL]  # a feature that the frame does not have


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"driver_id": [None]}, errors.InvalidError, ["key"]),
        (
            {"event_timestamp": [None]},
            (errors.InvalidError, errors.SchemaError),
            ["event_timestamp"],
        ),
        (
            {"event_timestamp": [utc(2999, 1, 1)]},
            errors.InvalidError,
            ["2999", "ahead of the clock"],
        ),
        ({"driver_id": None}, errors.SchemaError, ["'driver_id'", "stats"]),
        ({"created": None}, errors.SchemaError, ["'created'", "stats"]),
        ({"trips": ["x"]}, errors.SchemaError, ["'trips'", "string", "int64"]),
        ({"trips": None, "rate": None, "city": None}, errors.SchemaError, ["none of the features"]),
    ],
    ids=str,
)
def test_what_cannot_be_written_is_said_in_one_sentence(loaded, changes, error, words):
    with pytest.raises(error) as caught:
        write(loaded, **changes)
    for word in words:
        assert word in str(caught.value)
    assert trips(loaded, 1) == [30]


def test_a_write_is_all_or_nothing(loaded):
    with pytest.raises(errors.InvalidError):
        loaded.write_to_online_store(
            "stats",
            {
                "driver_id": [60, None],
                "event_timestamp": [NOW] * 2,
                "created": [NOW] * 2,
                "trips": [1, 2],
            },
        )
    assert trips(loaded, 60) == [None]


def test_another_process_reads_what_was_written(loaded):
    code = (
        "import datetime, tiffin; s = tiffin.FeatureStore('.');"
        "a = s.get_online_features(['stats:trips'], [{'driver_id': 1}], at='2024-01-04');"
        "print(a.to_dict())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=loaded.repo_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "{'driver_id': [1], 'trips': [30]}"
    assert "duckdb" not in done.stderr


def test_a_lookup_follows_a_later_apply(loaded):
    driver, source, view, _ = definitions()
    assert trips(loaded, 1) == [30]
    fewer = FeatureView(
        name="stats",
        entities=[driver],
        source=source,
        ttl=view.ttl,
        schema=[Field(name="city", dtype=String), Field(name="trips", dtype=Int64)],
    )
    loaded.apply(fewer)
    assert trips(loaded, 1) == [30]
    with pytest.raises(errors.NotFoundError, match="rate"):
        loaded.get_online_features(["stats:rate"], [{"driver_id": 1}])


def test_a_lookup_whose_join_keys_changed_is_made_again(loaded):
    _, source, _, _ = definitions()
    assert trips(loaded, 1) == [30]
    rekeyed = FeatureView(
        name="stats",
        entities=[Entity(name="town", join_keys=["city"], value_type=String)],
        source=source,
        schema=[Field(name="trips", dtype=Int64)],
    )
    loaded.delete_feature_service("model")
    loaded.apply(rekeyed)
    loaded.materialize(None, NOW)
    values = loaded.get_online_features(["stats:trips"], [{"city": "b"}], at=NOW).to_dict()
    assert values == {"city": ["b"], "trips": [20]}


def test_a_removed_view_is_told(loaded):
    assert trips(loaded, 1) == [30]
    loaded.delete_feature_service("model")
    loaded.delete_feature_view("stats")
    with pytest.raises(errors.NotFoundError, match="stats"):
        trips(loaded, 1)


def test_a_view_without_entities_is_one_row(store):
    source = FileSource(
        name="newest", path="data/drivers.parquet", timestamp_field="event_timestamp"
    )
    store.apply(
        FeatureView(name="newest", source=source, schema=[Field(name="city", dtype=String)])
    )
    store.materialize(None, utc(2024, 1, 1), feature_views=["newest"])
    answer = store.get_online_features(["newest:city"], [{"ignored": 1}], at=NOW)
    assert answer.to_dict()["city"] == [""]
    store.materialize(None, NOW, feature_views=["stats"])
    answer = store.get_online_features(
        ["newest:city", "stats:trips"], {"driver_id": [1, 3]}, at=NOW
    )
    assert answer.to_dict() == {"driver_id": [1, 3], "city": ["", ""], "trips": [30, 1000]}


def test_without_an_online_store_lookups_say_so(store):
    (store.repo_path / "feature_store.yaml").write_text("project: rides\nonline_store: none\n")
    with pytest.raises(errors.UnsupportedError, match="online store"):
        FeatureStore(store.repo_path).get_online_features(["stats:trips"], [{"driver_id": 1}])


def test_pandas_rows_are_told_how(loaded):
    rows = pd.DataFrame({"driver_id": [1]})
    values = loaded.get_online_features(["stats:trips"], rows.to_dict("records"), at=NOW).to_dict()
    assert values["trips"] == [30]


def test_online_equals_a_training_set_at_that_time(loaded):
    keys = [1, 2, 3]
    rows = {"driver_id": keys, "event_timestamp": [utc(2024, 1, 3)] * 3}
    offline = loaded.get_historical_features(rows, ALL).to_arrow()
    online = loaded.get_online_features(ALL, {"driver_id": keys}, at=utc(2024, 1, 3)).to_arrow()
    for name in ("trips", "rate", "city"):
        a, b = (t.column(name).combine_chunks() for t in (offline, online))
        assert a.type == b.type
        assert a.is_null().equals(b.is_null())
        assert [repr(v) for v in a.to_pylist()] == [repr(v) for v in b.to_pylist()]
