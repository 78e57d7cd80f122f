"""Hostile input: each mistake is one sentence that names the thing, and nothing is harmed."""

import datetime as dt
import os
import sqlite3

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rides import definitions, drivers, utc

from tiffin import Entity, FeatureStore, FeatureView, Field, FileSource, errors
from tiffin.types import Float64, Int64, String

SPINE = {"driver_id": [1], "event_timestamp": [utc(2024, 1, 2)]}


def sentence(caught) -> str:
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 1024
    return text


def apply_file(store, path, **changes):
    driver, _, _, _ = definitions()
    source = FileSource(path=path, timestamp_field="event_timestamp")
    arguments = {"name": "v", "entities": [driver], "source": source}
    return store.apply(FeatureView(**{**arguments, **changes}))


def refuse_file(store, path, error=errors.TiffinError, **changes):
    with pytest.raises(error) as caught:
        apply_file(store, path, **changes)
    assert [v.name for v in store.list_feature_views()] == ["stats"]
    return sentence(caught)


@pytest.fixture
def data(store):
    return store.repo_path / "data"


def test_a_file_of_0_bytes(store, data):
    (data / "x.parquet").touch()
    said = refuse_file(store, "data/x.parquet", errors.IoError)
    assert "x.parquet" in said and "0 bytes" in said
    (data / "x.csv").touch()
    said = refuse_file(store, "data/x.csv", errors.IoError)
    assert "x.csv" in said and "0 bytes" in said


def test_a_truncated_file(store, data):
    whole = (data / "drivers.parquet").read_bytes()
    for n in (4, 7, 100, len(whole) - 1):
        (data / "x.parquet").write_bytes(whole[:n])
        assert "x.parquet" in refuse_file(store, "data/x.parquet", errors.IoError)


def test_a_file_whose_middle_is_damaged(store, data):
    whole = bytearray((data / "drivers.parquet").read_bytes())
    for i in range(4, len(whole) // 2):
        whole[i] ^= 0xA5
    (data / "x.parquet").write_bytes(whole)
    fields = [Field(name="trips", dtype=Int64)]
    with pytest.raises(errors.TiffinError) as caught:
        apply_file(store, "data/x.parquet", schema=fields)
        store.get_historical_features(SPINE, ["v:trips"]).to_arrow()
    assert "x.parquet" in sentence(caught)


def test_a_text_that_is_called_parquet(store, data):
    (data / "x.parquet").write_text("driver_id,event_timestamp\n1,2024-01-01\n")
    assert "is not a Parquet file" in refuse_file(store, "data/x.parquet", errors.IoError)


def test_a_folder_in_place_of_a_file(store, data):
    (data / "x.parquet").mkdir()
    said = refuse_file(store, "data/x.parquet", errors.IoError)
    assert "x.parquet" in said and "no file" in said


def test_a_path_that_is_not_there(store):
    said = refuse_file(store, "data/none.parquet", errors.IoError)
    assert "data/none.parquet" in said
    assert "data/*.nope" in refuse_file(store, "data/*.nope")
    assert "s3" in refuse_file(store, "s3://bucket/x.parquet", errors.UnsupportedError)


def test_a_file_of_an_unknown_kind(store, data):
    (data / "x.xlsx").write_bytes(b"PK")
    assert "x.xlsx" in refuse_file(store, "data/x.xlsx")


def test_files_without_rows(store, data):
    pq.write_table(drivers().slice(0, 0), data / "x.parquet")
    apply_file(store, "data/x.parquet", schema=[Field(name="trips", dtype=Int64)])
    table = store.get_historical_features(SPINE, ["v:trips"]).to_arrow()
    assert table.column("trips").to_pylist() == [None]
    [report] = store.materialize(None, utc(2024, 1, 4), feature_views=["v"]).views
    assert report["rows_written"] == 0
    assert "no row" in report["note"]


def test_thousands_of_columns(store, data):
    n = 3000
    columns = {f"f{i}": pa.array([float(i), None]) for i in range(n)}
    table = pa.table({"driver_id": [1, 2], "event_timestamp": [utc(2024, 1, 1)] * 2, **columns})
    pq.write_table(table, data / "wide.parquet")
    apply_file(store, "data/wide.parquet")
    names = [f"v:f{i}" for i in range(n)]
    result = store.get_historical_features(SPINE, names).to_arrow()
    assert result.num_columns == n + 2
    assert result.column(f"f{n - 1}").to_pylist() == [n - 1.0]
    assert store.get_historical_features(pd.DataFrame(SPINE), names).to_df().shape == (1, n + 2)
    store.materialize(None, utc(2024, 1, 4), feature_views=["v"])
    answer = store.get_online_features(names, [{"driver_id": 1}], at=utc(2024, 1, 4)).to_dict()
    assert answer["f2999"] == [2999.0]


def test_two_columns_of_one_name_in_a_file(store, data):
    names = ["driver_id", "event_timestamp", "trips", "trips"]
    columns = [pa.array([1]), pa.array([utc(2024, 1, 1)]), pa.array([1]), pa.array([2])]
    pq.write_table(pa.Table.from_arrays(columns, names=names), data / "x.parquet")
    said = refuse_file(store, "data/x.parquet")
    assert "x.parquet" in said and "'trips'" in said


def test_csv_whose_times_cannot_be_read(store, data):
    (data / "x.csv").write_text("driver_id,event_timestamp,trips\n1,2024-01-01,1\n2,yesterday,2\n")
    with pytest.raises(errors.SchemaError) as caught:
        apply_file(store, "data/x.csv", schema=[Field(name="trips", dtype=Int64)])
        store.get_historical_features(SPINE, ["v:trips"]).to_arrow()
    said = sentence(caught)
    assert all(word in said for word in ("x.csv", "'event_timestamp'", "timestamp"))


def test_csv_whose_numbers_end_late(store, data):
    rows = "".join(f"1,2024-01-01,{i}\n" for i in range(50_000))
    (data / "x.csv").write_text("driver_id,event_timestamp,trips\n" + rows + "1,2024-01-01,many\n")
    with pytest.raises(errors.SchemaError) as caught:
        apply_file(store, "data/x.csv", schema=[Field(name="trips", dtype=Int64)])
        store.get_historical_features(SPINE, ["v:trips"]).to_arrow()
    said = sentence(caught)
    assert "x.csv" in said and "'trips'" in said


def test_nat_in_the_time_of_an_entity_row(store):
    frame = pd.DataFrame(SPINE | {"driver_id": [1]})
    frame = pd.concat([frame, frame], ignore_index=True)
    frame.loc[1, "event_timestamp"] = pd.NaT
    with pytest.raises(errors.InvalidError) as caught:
        store.get_historical_features(frame, ["stats:trips"]).to_df()
    said = sentence(caught)
    assert "'event_timestamp'" in said and "row 1" in said


def test_nat_in_the_time_of_a_source_row_is_passed_over(store, data):
    table = drivers().set_column(
        1, "event_timestamp", pa.array([None, *drivers()["event_timestamp"].to_pylist()[1:]])
    )
    pq.write_table(table, data / "x.parquet")
    apply_file(store, "data/x.parquet", schema=[Field(name="trips", dtype=Int64)])
    job = store.get_historical_features(SPINE, ["v:trips"])
    assert job.to_arrow().column("trips").to_pylist() == [20]
    rows = job.explain().to_dict()["views"][0]["source_rows"]
    assert rows["read"] + rows["null_time"] <= table.num_rows  # the reader may keep it to itself


def test_time_zones_mean_instants(store):
    instants = [
        pd.Timestamp("2024-01-02", tz="UTC"),
        pd.Timestamp("2024-01-02"),
        pd.Timestamp("2024-01-01 19:00", tz="America/New_York"),
        pd.Timestamp("2024-01-02 05:30", tz="Asia/Kolkata"),
    ]
    for instant in instants:
        frame = pd.DataFrame({"driver_id": [1], "event_timestamp": [instant]})
        result = store.get_historical_features(frame, ["stats:trips"]).to_df()
        assert result["trips"].to_list() == [20]
        assert result["event_timestamp"].dtype == frame["event_timestamp"].dtype
        early = frame.assign(event_timestamp=frame["event_timestamp"] - pd.Timedelta(1, "us"))
        assert store.get_historical_features(early, ["stats:trips"]).to_df()["trips"].to_list() == [
            10
        ]


def test_times_at_the_ends_of_the_calendar(store):
    times = [dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999_999)]
    rows = {"driver_id": [1, 1], "event_timestamp": times}
    result = store.get_historical_features(rows, ["stats:trips"]).to_arrow()
    assert result.column("event_timestamp").to_pylist() == times
    assert result.column("trips").to_pylist() == [None, None]


@pytest.mark.parametrize("name", ["driver_id", "event_timestamp", "created"])
def test_a_feature_named_like_a_key_or_a_time(store, name):
    driver, source, view, _ = definitions()
    fields = [*view.features, Field(name=name, dtype=Float64)]
    with pytest.raises(errors.TiffinError) as caught:
        store.apply(FeatureView(name="v", entities=[driver], source=source, schema=fields))
    assert f"'{name}'" in sentence(caught)


def test_a_feature_named_like_a_column_of_the_entity_rows(store):
    with pytest.raises(errors.InvalidError) as caught:
        store.get_historical_features({**SPINE, "trips": [1]}, ["stats:trips"]).to_arrow()
    said = sentence(caught)
    assert "'trips'" in said and "full_feature_names=True" in said
    job = store.get_historical_features(
        {**SPINE, "trips": [1]}, ["stats:trips"], full_feature_names=True
    )
    assert job.to_arrow().column_names == ["driver_id", "event_timestamp", "trips", "stats__trips"]


def test_names_in_every_script_and_with_quotes(store, data):
    names = [
        "ünïcode",
        "名前",
        'quo"te',
        "back`tick",
        "semi;colon --",
        "sp ace",
        "emoji😀",
        "'",
        "%s{}",
    ]
    table = pa.table(
        {
            "schlüssel": ["ключ", "🔑"],
            "event_timestamp": [utc(2024, 1, 1)] * 2,
            **{name: [i, None] for i, name in enumerate(names)},
        }
    )
    pq.write_table(table, data / "wörld 'x'.parquet")
    source = FileSource(path="data/wörld 'x'.parquet", timestamp_field="event_timestamp")
    entity = Entity(name="entität", join_keys=["schlüssel"])
    store.apply(FeatureView(name="ansicht 名", entities=[entity], source=source))
    features = [f"ansicht 名:{name}" for name in names]
    rows = {"schlüssel": ["ключ", "🔑", "нет"], "event_timestamp": [utc(2024, 1, 2)] * 3}
    result = store.get_historical_features(rows, features).to_arrow()
    assert result.column_names[2:] == names
    for i, name in enumerate(names):
        assert result.column(name).to_pylist() == [i, None, None]
    store.materialize(None, utc(2024, 1, 2), feature_views=["ansicht 名"])
    answer = store.get_online_features(features, [{"schlüssel": "ключ"}]).to_dict()
    assert [answer[name] for name in names] == [[i] for i in range(len(names))]


def test_very_long_names_are_kept_or_refused_by_length(store, data):
    for n in (200, 255, 10_000):
        name = "n" * n
        table = drivers().rename_columns(
            [name if c == "trips" else c for c in drivers().column_names]
        )
        pq.write_table(table, data / "x.parquet")
        try:
            apply_file(store, "data/x.parquet", schema=[Field(name=name, dtype=Int64)])
        except errors.TiffinError as error:
            assert len(str(error)) < 1024
            assert n > 200
            continue
        result = store.get_historical_features(SPINE, [f"v:{name}"]).to_arrow()
        assert result.column(name).to_pylist() == [20]


def test_very_long_keys(store, data):
    keys = ["a", "k" * 399, "k" * 400, "k" * 401, "k" * 5000, "k" * 4999 + "l", ""]
    table = pa.table(
        {"key": keys, "event_timestamp": [utc(2024, 1, 1)] * len(keys), "x": range(len(keys))}
    )
    pq.write_table(table, data / "x.parquet")
    entity = Entity(name="key", value_type=String)
    source = FileSource(path="data/x.parquet", timestamp_field="event_timestamp")
    store.apply(FeatureView(name="v", entities=[entity], source=source))
    rows = {"key": keys, "event_timestamp": [utc(2024, 1, 1)] * len(keys)}
    result = store.get_historical_features(rows, ["v:x"]).to_arrow()
    assert result.column("x").to_pylist() == list(range(len(keys)))
    store.materialize(None, utc(2024, 1, 2), feature_views=["v"])
    answer = store.get_online_features(["v:x"], {"key": [*keys, "k" * 5001]}).to_dict()
    assert answer["x"] == [*range(len(keys)), None]


def test_a_mistyped_name_is_answered_with_the_nearest(store):
    with pytest.raises(errors.NotFoundError) as caught:
        store.get_historical_features(SPINE, ["statz:trips"]).to_arrow()
    said = sentence(caught)
    assert "'statz'" in said and "stats" in said


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_may_only_be_read(repo):
    (repo / "data").chmod(0o500)
    try:
        with pytest.raises(errors.IoError) as caught:
            FeatureStore(repo).apply(list(definitions()))
        assert "data/registry.db" in sentence(caught)
    finally:
        (repo / "data").chmod(0o700)


def test_a_registry_in_a_place_where_no_file_can_be(repo):
    (repo / "feature_store.yaml").write_text("project: rides\nregistry: /proc/nope/registry.db\n")
    with pytest.raises(errors.IoError) as caught:
        FeatureStore(repo).apply(list(definitions()))
    assert "/proc/nope" in sentence(caught)


@pytest.mark.parametrize("content", [b"\n\x05rides\x12\x03abc" * 40, b"PAR1", b"x" * 5000])
def test_a_registry_that_is_not_ours_is_left_alone(repo, content):
    (repo / "data" / "registry.db").write_bytes(content)
    with pytest.raises(errors.InvalidError) as caught:
        FeatureStore(repo).apply(list(definitions()))
    said = sentence(caught)
    assert "registry.db" in said and "not a Tiffin registry" in said
    assert (repo / "data" / "registry.db").read_bytes() == content


def test_a_sqlite_file_of_somebody_else_is_left_alone(repo):
    path = repo / "data" / "registry.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table t(x)")
    before = path.read_bytes()
    with pytest.raises(errors.InvalidError, match="not a Tiffin registry"):
        FeatureStore(repo).apply(list(definitions()))
    assert path.read_bytes() == before


def test_a_registry_of_a_newer_version_is_refused(store):
    path = store.repo_path / "data" / "registry.db"
    connection = sqlite3.connect(path)
    [version] = connection.execute("pragma user_version").fetchone()
    connection.execute(f"pragma user_version = {version + 1}")
    connection.commit()
    connection.close()
    with pytest.raises(errors.UnsupportedError) as caught:
        FeatureStore(store.repo_path).list_entities()
    said = sentence(caught)
    assert str(version) in said and str(version + 1) in said and "registry.db" in said


def test_a_registry_that_is_a_folder(repo):
    (repo / "data" / "registry.db").mkdir()
    with pytest.raises(errors.InvalidError, match="folder"):
        FeatureStore(repo).apply(list(definitions()))


def test_an_online_store_where_a_file_is(store):
    (store.repo_path / "data" / "online").write_text("x")
    with pytest.raises(errors.TiffinError) as caught:
        FeatureStore(store.repo_path).materialize(None, utc(2024, 1, 4))
    assert "data/online" in sentence(caught)


def test_frames_of_other_libraries_with_odd_columns_pass_through(store):
    frame = pd.DataFrame(
        {
            **SPINE,
            "span": [pd.Timedelta(1, "s")],
            "category": pd.Categorical(["x"]),
            "nested": [{"a": [1]}],
            "half": np.array([1.5], dtype="float16"),
        }
    )
    before = frame.copy(deep=True)
    result = store.get_historical_features(frame, ["stats:trips"]).to_df()
    pd.testing.assert_frame_equal(result[list(frame.columns)], before)
    arrow = store.get_historical_features(frame, ["stats:trips"]).to_arrow()
    assert arrow.column("nested").to_pylist() == [{"a": [1]}]


def test_keys_of_another_width_or_of_nulls_only(store):
    rows = {"driver_id": np.array([1], dtype="int8"), "event_timestamp": [utc(2024, 1, 2)]}
    assert store.get_historical_features(rows, ["stats:trips"]).to_arrow()["trips"].to_pylist() == [
        20
    ]
    rows = {"driver_id": pa.nulls(1), "event_timestamp": [utc(2024, 1, 2)]}
    assert store.get_historical_features(rows, ["stats:trips"]).to_arrow()["trips"].to_pylist() == [
        None
    ]
    rows = {"driver_id": [1.5], "event_timestamp": [utc(2024, 1, 2)]}
    with pytest.raises(errors.SchemaError) as caught:
        store.get_historical_features(rows, ["stats:trips"]).to_arrow()
    assert "'driver_id'" in sentence(caught)
