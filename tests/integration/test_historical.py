"""Training sets, end to end: forms of entity rows, sources, names, jobs."""

import datetime as dt
import shutil
import warnings

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
from rides import definitions, drivers, utc

from tiffin import Entity, FeatureService, FeatureView, Field, FileSource, errors
from tiffin.types import Float32, Int64, String

ALL = ["stats:trips", "stats:rate", "stats:city"]


def spine() -> dict:
    return {
        "driver_id": [1, 1, 1, 2, 2, 9, 1, None],
        "event_timestamp": [
            utc(2024, 1, 2),  # exactly at a row
            utc(2024, 1, 1, 23),  # before the second
            utc(2023, 12, 31),  # before the first
            utc(2024, 1, 3, 1),  # null values
            utc(2024, 1, 2, 1),
            utc(2024, 1, 2),  # unknown key
            utc(2024, 1, 10, 0, 0, 1),  # older than the ttl
            utc(2024, 1, 2),  # no key
        ],
        "label": list("abcdefgh"),
    }


TRIPS = [20, 10, None, None, 200, None, None, None]
CITY = ["b", "a", None, None, "ü", None, None, None]


class OneShot:
    def __init__(self, table):
        self.reader = table.to_reader()

    def __arrow_c_stream__(self, requested_schema=None):
        return self.reader.__arrow_c_stream__(requested_schema)


def pandas_spine() -> pd.DataFrame:
    frame = pd.DataFrame(spine())
    frame["driver_id"] = frame["driver_id"].astype("Int64")
    return frame


@pytest.mark.parametrize(
    "make",
    [
        spine,
        pandas_spine,
        lambda: pl.DataFrame(spine()),
        lambda: pa.table(spine()),
        lambda: pa.table(spine()).to_reader(),
        lambda: OneShot(pa.table(spine())),
        lambda: pa.Table.from_batches(pa.table(spine()).to_batches(max_chunksize=3)),
    ],
    ids=["dict", "pandas", "polars", "table", "reader", "stream", "chunks"],
)
def test_every_form_of_entity_rows_gives_the_same_answer(store, make):
    table = store.get_historical_features(make(), ["stats:trips", "stats:city"]).to_arrow()
    assert table.column_names == ["driver_id", "event_timestamp", "label", "trips", "city"]
    assert table.column("label").to_pylist() == list("abcdefgh")
    assert table.column("trips").to_pylist() == TRIPS
    assert table.column("city").to_pylist() == CITY
    assert table.schema.field("trips").type == pa.int64()


def test_the_ttl_is_inclusive(store):
    rows = {
        "driver_id": [1, 1],
        "event_timestamp": [utc(2024, 1, 10), utc(2024, 1, 10) + dt.timedelta(microseconds=1)],
    }
    table = store.get_historical_features(rows, ["stats:trips"]).to_arrow()
    assert table.column("trips").to_pylist() == [30, None]


def test_nan_is_no_null(store):
    rows = {"driver_id": [1, 2], "event_timestamp": [utc(2024, 1, 3), utc(2024, 1, 3)]}
    rate = store.get_historical_features(rows, ["stats:rate"]).to_arrow().column("rate")
    assert rate.null_count == 1
    assert np.isnan(rate[0].as_py())
    assert rate[1].as_py() is None


def test_created_filters(store):
    rows = {
        "driver_id": [1, 1, 1],
        "event_timestamp": [utc(2024, 1, 2), utc(2024, 1, 2, 5, 59), utc(2024, 1, 2, 6)],
    }
    features = ["stats:trips"]
    job = store.get_historical_features(rows, features, filter_by_created_timestamp=True)
    assert job.to_arrow().column("trips").to_pylist() == [10, 10, 20]
    job = store.get_historical_features(rows, features, known_at=utc(2024, 1, 2))
    assert job.to_arrow().column("trips").to_pylist() == [10, 10, 10]
    job = store.get_historical_features(rows, features, known_at="2024-01-02T06:00:00Z")
    assert job.to_arrow().column("trips").to_pylist() == [20, 20, 20]


def test_pandas_columns_come_back_as_they_were(store):
    frame = pandas_spine()
    frame["kind"] = pd.Categorical(list("xyxyxyxy"))
    frame["small"] = np.arange(8, dtype="int8")
    frame["event_timestamp"] = frame["event_timestamp"].dt.tz_convert("America/New_York")
    frame.index = pd.Index([5, 5, 4, 3, 2, 1, 0, -1], name="idx")
    before = frame.copy(deep=True)
    result = store.get_historical_features(frame, ALL).to_df()
    pd.testing.assert_frame_equal(frame, before)
    pd.testing.assert_frame_equal(result[list(frame.columns)], before)
    assert list(result.columns) == [*frame.columns, "trips", "rate", "city"]
    assert str(result["trips"].dtype) == "Int64"
    assert str(result["rate"].dtype) == "float32"
    assert result["trips"].isna().to_list() == [v is None for v in TRIPS]


def test_integers_without_nulls_are_numpys(store):
    rows = pd.DataFrame({"driver_id": [1, 2], "event_timestamp": [utc(2024, 1, 2, 3)] * 2})
    result = store.get_historical_features(rows, ["stats:trips"]).to_df()
    assert str(result["trips"].dtype) == "int64"
    arrow = store.get_historical_features(rows, ["stats:trips"]).to_df(dtype_backend="pyarrow")
    assert arrow["trips"].dtype == pd.ArrowDtype(pa.int64())
    assert arrow["driver_id"].dtype == np.dtype("int64")


def test_polars_columns_come_back_as_they_were(store):
    frame = pl.DataFrame(spine()).with_columns(kind=pl.lit("x").cast(pl.Categorical))
    result = store.get_historical_features(frame, ["stats:trips"]).to_polars()
    assert result.drop("trips").equals(frame)
    assert result.schema["kind"] == pl.Categorical
    assert result["trips"].to_list() == TRIPS


def test_a_job_is_computed_once_and_read_by_all(store, tmp_path):
    job = store.get_historical_features(pa.table(spine()).to_reader(), ["stats:trips"])
    assert "not computed yet" in repr(job)
    first = job.to_arrow()
    assert "computed" in repr(job)
    shutil.rmtree(store.repo_path / "data")  # nothing is read again
    assert job.to_arrow().equals(first)
    assert pl.DataFrame(job)["trips"].to_list() == TRIPS
    assert pa.table(job).equals(first)
    assert duckdb.sql("select count(trips) from job").fetchall() == [(3,)]
    job.to_parquet(tmp_path / "out.parquet")
    assert pq.read_table(tmp_path / "out.parquet").column("trips").to_pylist() == TRIPS
    assert list(tmp_path.glob("*.part")) == []


def test_a_folder_that_cannot_be_written_is_one_sentence(store, tmp_path):
    job = store.get_historical_features(spine(), ["stats:trips"])
    with pytest.raises(errors.IoError, match=r"cannot write .*none/out\.parquet"):
        job.to_parquet(tmp_path / "none" / "out.parquet")


def test_explain_tells_the_plan_and_then_what_happened(store):
    job = store.get_historical_features(spine(), ALL)
    plan = job.explain()
    assert "drivers.parquet" in str(plan)
    assert isinstance(plan.to_dict(), dict)
    job.to_arrow()
    ran = job.explain()
    assert ran.to_dict() != plan.to_dict()
    assert "seconds" in str(ran)


def test_features_come_in_the_order_asked(store):
    names = (
        store.get_historical_features(spine(), ["stats:city", "stats:trips"])
        .to_arrow()
        .column_names
    )
    assert names[3:] == ["city", "trips"]


def test_full_feature_names(store):
    job = store.get_historical_features(spine(), ["stats:trips"], full_feature_names=True)
    assert job.to_arrow().column_names[3:] == ["stats__trips"]


def test_services_projections_aliases_and_key_maps(store):
    _, _, view, service = definitions()
    for features in (service, "model"):
        table = store.get_historical_features(spine(), features).to_arrow()
        assert table.column_names[3:] == ["city", "trips"]
    rows = {
        "driver_id": [1, 2],
        "other_id": [2, 1],
        "event_timestamp": [utc(2024, 1, 2)] * 2,
    }
    other = view[["trips"]].with_name("other").with_join_key_map({"driver_id": "other_id"})
    job = store.get_historical_features(rows, [view[["trips"]], other], full_feature_names=True)
    table = job.to_arrow()
    assert table.column("stats__trips").to_pylist() == [20, 200]
    assert table.column("other__trips").to_pylist() == [200, 20]
    unapplied = FeatureService(name="new", features=[view[["rate"]], other])
    assert store.get_historical_features(rows, unapplied).to_arrow().column_names[3:] == [
        "rate",
        "trips",
    ]
    whole = store.get_historical_features(rows, [FeatureView(name="stats", source="drivers")])
    assert whole.to_arrow().column_names[3:] == ["trips", "rate", "city"]


def test_a_service_that_differs_from_the_applied_one_is_told_once(store):
    _, _, view, _ = definitions()
    stale = FeatureService(name="model", features=[view[["rate"]]])
    with pytest.warns(errors.TiffinWarning, match="those of the registry are used"):
        table = store.get_historical_features(spine(), stale).to_arrow()
    assert table.column_names[3:] == ["city", "trips"]


def test_several_views_with_other_keys_and_ttls(store):
    pq.write_table(
        pa.table(
            {
                "town": ["a", "b"],
                "day": pa.array([dt.date(2024, 1, 1)] * 2),
                "t": pa.array([utc(2020, 1, 1)] * 2, pa.timestamp("ms", "UTC")),
                "people": pa.array([7, 8], pa.int32()),
            }
        ),
        store.repo_path / "data" / "towns.parquet",
    )
    towns = FeatureView(
        name="towns",
        entities=[Entity(name="town"), Entity(name="day")],
        source=FileSource(path="data/towns.parquet", timestamp_field="t"),
    )
    constant = FeatureView(
        name="constant",
        source=FileSource(path="data/towns.parquet", timestamp_field="t"),
        schema=[Field(name="people", dtype=Int64)],
    )
    store.apply([towns, constant])
    rows = {
        "driver_id": [1, 2],
        "town": ["a", "z"],
        "day": [dt.date(2024, 1, 1)] * 2,
        "event_timestamp": [utc(2024, 1, 2)] * 2,
    }
    job = store.get_historical_features(
        rows, ["towns:people", "stats:trips", "constant:people"], full_feature_names=True
    )
    table = job.to_arrow()
    assert table.column("towns__people").to_pylist() == [7, None]
    assert table.column("towns__people").type == pa.int32()
    assert table.column("stats__trips").to_pylist() == [20, 200]
    assert table.column("constant__people").to_pylist() == [8, 8]  # the later row of equal times


def source_of(kind, folder):
    """The drivers' rows in another form, and the path to give."""
    table = drivers().drop_columns(["rate"])
    if kind == "csv":
        pc.write_csv(table, folder / "drivers.csv")
        return "data/drivers.csv"
    if kind == "folder":
        for i in range(3):
            (folder / "many").mkdir(exist_ok=True)
            pq.write_table(table.slice(2 * i, 2), folder / "many" / f"{i}.parquet")
        return "data/many"
    if kind == "glob":
        source_of("folder", folder)
        return "data/many/*.parquet"
    for i in range(3):
        part = folder / "hive" / f"part={i}"
        part.mkdir(parents=True)
        pq.write_table(table.slice(2 * i, 2), part / "x.parquet")
    return "data/hive"


@pytest.mark.parametrize("kind", ["csv", "folder", "glob", "hive"])
def test_every_form_of_files_gives_the_same_answer(store, kind):
    driver, _, _, _ = definitions()
    path = source_of(kind, store.repo_path / "data")
    source = FileSource(
        name="files",
        path=path,
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
    )
    view = FeatureView(
        name="files",
        entities=[driver],
        source=source,
        ttl=dt.timedelta(days=7),
        schema=[Field(name="trips", dtype=Int64), Field(name="city", dtype=String)],
    )
    store.apply(view)
    table = store.get_historical_features(spine(), ["files:trips", "files:city"]).to_arrow()
    assert table.column("trips").to_pylist() == TRIPS
    assert table.column("city").to_pylist() == CITY


def test_field_mapping_renames_columns_of_the_file(store):
    source = FileSource(
        name="mapped",
        path="data/drivers.parquet",
        timestamp_field="event_timestamp",
        field_mapping={"driver_id": "id", "trips": "n_trips"},
    )
    view = FeatureView(
        name="mapped",
        entities=[Entity(name="id")],
        source=source,
        schema=[Field(name="n_trips", dtype=Int64), Field(name="rate", dtype=Float32)],
    )
    store.apply(view)
    rows = {"id": [1], "event_timestamp": [utc(2024, 1, 2)]}
    assert store.get_historical_features(rows, ["mapped:n_trips"]).to_arrow()[
        "n_trips"
    ].to_pylist() == [20]


def test_entity_rows_without_rows(store):
    empty = pa.table(spine()).slice(0, 0)
    table = store.get_historical_features(empty, ALL).to_arrow()
    assert table.num_rows == 0
    assert table.column_names[3:] == ["trips", "rate", "city"]
    assert store.get_historical_features(empty.to_pandas(), ALL).to_df().shape == (0, 6)


def test_another_time_column_is_found_when_it_is_the_only_one(store):
    rows = {"driver_id": [1], "when": [dt.datetime(2024, 1, 2)]}
    with pytest.warns(errors.TiffinWarning, match="'when', the only one that holds times"):
        table = store.get_historical_features(rows, ["stats:trips"]).to_arrow()
    assert table["trips"].to_pylist() == [20]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # said once
        store.get_historical_features(rows, ["stats:trips"]).to_arrow()


def test_a_time_column_may_be_named(store):
    rows = {"driver_id": [1], "a": ["2024-01-02"], "b": [dt.datetime(2024, 1, 1)]}
    for name, trips in (("a", 20), ("b", 10)):
        job = store.get_historical_features(rows, ["stats:trips"], time_column=name)
        assert job.to_arrow()["trips"].to_pylist() == [trips]
    with pytest.raises(errors.SchemaError, match="'c', which was named as the time column"):
        store.get_historical_features(rows, ["stats:trips"], time_column="c").to_arrow()


def test_time_zones_of_entity_rows(store):
    zone = dt.timezone(dt.timedelta(hours=-5))
    rows = {"driver_id": [1], "event_timestamp": [dt.datetime(2024, 1, 1, 19, tzinfo=zone)]}
    assert store.get_historical_features(rows, ["stats:trips"]).to_arrow()["trips"].to_pylist() == [
        20
    ]


@pytest.mark.parametrize(
    ("rows", "features", "error", "words"),
    [
        ({}, ["nope:x"], errors.NotFoundError, ["nope"]),
        ({}, ["stats:nope"], errors.NotFoundError, ["'nope'", "trips, rate, city"]),
        ({}, ["stats"], errors.InvalidError, ["'stats'", "view:feature"]),
        ({}, "nothing", errors.NotFoundError, ["nothing"]),
        (
            {},
            "stats:trips",
            errors.InvalidError,
            ["features must be a list; write ['stats:trips']"],
        ),
        ({}, [], errors.InvalidError, ["features is empty"]),
        ({}, 3, errors.SchemaError, ["not int"]),
        ({}, ["stats:trips", 3], errors.SchemaError, ["features[1]", "not int"]),
        ({}, ["stats:trips", "stats:trips"], errors.InvalidError, ["trips"]),
        (
            {"driver_id": None},
            ["stats:trips"],
            errors.SchemaError,
            ["'driver_id'", "event_timestamp"],
        ),
        (
            {"driver_id": ["x"] * 8},
            ["stats:trips"],
            errors.SchemaError,
            ["driver_id", "int64", "string"],
        ),
        (
            {"event_timestamp": None},
            ["stats:trips"],
            errors.SchemaError,
            ["event_timestamp", "label"],
        ),
        (
            {"event_timestamp": None, "a": [utc(2024, 1, 1)] * 8, "b": [utc(2024, 1, 1)] * 8},
            ["stats:trips"],
            errors.InvalidError,
            ["a, b", "event_timestamp"],
        ),
        (
            {"event_timestamp": ["2024-01-01"] * 7 + ["soon"]},
            ["stats:trips"],
            errors.InvalidError,
            ["'event_timestamp'", "row 7", "'soon'", "2013-01-31T10:00:00Z"],
        ),
        (
            {"event_timestamp": [utc(2024, 1, 1)] * 7 + [None]},
            ["stats:trips"],
            errors.InvalidError,
            ["event_timestamp", "row 7"],
        ),
        (
            {"trips": [1] * 8},
            ["stats:trips"],
            errors.InvalidError,
            ["'trips'", "full_feature_names"],
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_wrong_is_said_in_one_sentence(store, rows, features, error, words):
    merged = {k: v for k, v in {**spine(), **rows}.items() if v is not None}
    with pytest.raises(error) as caught:
        store.get_historical_features(merged, features).to_arrow()
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_created_filters_need_a_created_column(store):
    driver, _, view, _ = definitions()
    source = FileSource(
        name="plain", path="data/drivers.parquet", timestamp_field="event_timestamp"
    )
    store.apply(FeatureView(name="plain", entities=[driver], source=source, schema=view.features))
    with pytest.raises(errors.InvalidError, match="created"):
        store.get_historical_features(spine(), ["plain:trips"], known_at="2024-01-01").to_arrow()


def test_a_file_that_changed_its_columns_is_told_at_the_read(store):
    path = store.repo_path / "data" / "drivers.parquet"
    pq.write_table(drivers().drop_columns(["trips"]), path)
    with pytest.raises(errors.SchemaError) as caught:
        store.get_historical_features(spine(), ["stats:trips"]).to_arrow()
    assert "trips" in str(caught.value) and "drivers.parquet" in str(caught.value)
    path.unlink()
    with pytest.raises(errors.IoError, match=r"drivers\.parquet"):
        store.get_historical_features(spine(), ["stats:trips"]).to_arrow()


def test_no_entity_rows_in_any_form_give_no_rows(store) -> None:
    names = ["driver_id", "event_timestamp"]
    for rows in ({n: [] for n in names}, pd.DataFrame(columns=names), pl.DataFrame(schema=names)):
        table = store.get_historical_features(rows, ["stats:trips"]).to_arrow()
        assert (table.num_rows, table.column_names) == (0, [*names, "trips"])
        assert table.schema.field("event_timestamp").type == pa.timestamp("us", "UTC")


def test_a_default_window_without_events_is_told_once(store) -> None:
    with pytest.warns(UserWarning, match="no events in the window that is taken by default"):
        assert store.get_historical_features(None, ["stats:trips"]).to_arrow().num_rows == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert store.get_historical_features(None, ["stats:trips"]).to_arrow().num_rows == 0
