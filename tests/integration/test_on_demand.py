"""On-demand feature views: the sentences of docs/semantics/on-demand.md, in training and online."""

import datetime as dt
import math
import sys
import threading
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from rides import definitions, utc

import tiffin
from tiffin import (
    FeatureService,
    FeatureStore,
    FeatureView,
    FeatureViewProjection,
    Field,
    FieldStatus,
    FileSource,
    OnDemandFeatureView,
    RequestSource,
    errors,
    on_demand_feature_view,
)
from tiffin.types import (
    Array,
    Bool,
    Bytes,
    Date,
    Float32,
    Float64,
    Int32,
    Int64,
    String,
    UnixTimestamp,
)

DRIVER, SOURCE, STATS, MODEL = definitions()
TRIP = RequestSource(name="trip", schema=[Field(name="km", dtype=Float64)])
NOW = utc(2024, 1, 4)


@on_demand_feature_view(
    sources=[STATS, TRIP],
    schema=[Field(name="fare", dtype=Float64), Field(name="many", dtype=Int64)],
)
def fares(inputs: pd.DataFrame) -> pd.DataFrame:
    """Fares, by frames."""
    out = pd.DataFrame()
    out["fare"] = inputs["rate"] * inputs["km"]
    out["many"] = inputs["stats__trips"] * 2
    out["unused"] = 1
    return out


@on_demand_feature_view(
    sources=[fares, STATS[["city"]]],
    schema=[Field(name="label", dtype=String)],
    mode="python",
)
def labels(inputs: dict[str, list]) -> dict[str, list]:
    return {
        "label": [
            f"{city}:{fare:g}" if fare is not None else None
            for city, fare in zip(inputs["city"], inputs["fares__fare"], strict=True)
        ]
    }


@on_demand_feature_view(
    sources=[labels, TRIP], schema=[Field(name="size", dtype=Int32)], mode="python", singleton=True
)
def sizes(row: dict) -> dict:
    return {"size": None if row["label"] is None else len(row["label"]) + int(row["km"])}


EVERYTHING = [DRIVER, STATS, fares, labels, sizes]
ENTITIES = {
    "driver_id": [1, 2, 3, 9],
    "event_timestamp": [utc(2024, 1, 3)] * 4,
    "km": [2.0, 4.0, 10.0, 1.0],
}
ASKED = ["sizes:size", "stats:trips", "fares:many", "labels:label", "fares:fare"]


@pytest.fixture
def rides(store):
    store.apply(EVERYTHING)
    store.materialize(utc(2024, 1, 1), utc(2024, 1, 3))
    return store


def train(store, features, entities=ENTITIES, **arguments):
    return store.get_historical_features(entities, features, **arguments).to_arrow()


def serve(store, features, rows=None, **arguments):
    rows = rows or {name: ENTITIES[name] for name in ("driver_id", "km")}
    return store.get_online_features(features, rows, at=NOW, **arguments)


def same(a, b):
    """Equal to the last bit, NaN included."""
    both = isinstance(a, float) and isinstance(b, float)
    return (both and math.isnan(a) and math.isnan(b)) or (a == b and type(a) is type(b))


def error_of(kind, call):
    with pytest.raises(kind) as caught:
        call()
    assert "Traceback" not in str(caught.value)
    return str(caught.value)


# ---- values


def test_values_come_in_the_order_asked_after_the_entity_rows(rides):
    table = train(rides, ASKED)
    names = ["size", "trips", "many", "label", "fare"]
    assert table.column_names == [*ENTITIES, *names]
    # driver 1: rate NaN; driver 2: rate and trips null; driver 3: 9.5 * 10; driver 9 is unknown
    assert table["many"].to_pylist() == [60, None, 2000, None]
    assert table["fare"].to_pylist() == [None, None, 95.0, None]
    assert table["label"].to_pylist() == [None, None, ":95", None]
    assert table["size"].to_pylist() == [None, None, 13, None]
    assert table["trips"].to_pylist() == [30, None, 1000, None]
    assert [table.schema.field(n).type for n in names] == [
        pa.int32(),
        pa.int64(),
        pa.int64(),
        pa.string(),
        pa.float64(),
    ]


@pytest.mark.parametrize("full", [False, True])
def test_training_and_online_give_equal_values(rides, full):
    table = train(rides, ASKED, full_feature_names=full)
    answer = serve(rides, ASKED, full_feature_names=full)
    names = table.column_names[len(ENTITIES) :]
    assert answer.names == ["driver_id", *names]
    online = answer.to_arrow()
    for name in names:
        assert online.schema.field(name).type == table.schema.field(name).type
        pairs = zip(table[name].to_pylist(), online[name].to_pylist(), strict=True)
        assert all(same(a, b) for a, b in pairs), name
    values = answer.to_dict()
    for name in names:
        pairs = zip(table[name].to_pylist(), values[name], strict=True)
        assert all(same(a, b) for a, b in pairs), name


def test_full_names_are_those_of_the_on_demand_view_in_every_mode(rides):
    names = train(rides, ASKED, full_feature_names=True).column_names[3:]
    assert names == ["sizes__size", "stats__trips", "fares__many", "labels__label", "fares__fare"]


def test_statuses_and_times_of_what_was_computed(rides):
    answer = serve(rides, ["stats:trips", "fares:fare"])
    present = [FieldStatus.PRESENT] * 4
    assert answer.statuses["fare"] == present
    assert answer.statuses["trips"] == [1, 2, 1, 3]
    assert answer.event_timestamps["fare"] == [None] * 4
    assert answer.event_timestamps["trips"][0] == utc(2024, 1, 3).timestamp()
    assert answer.to_dict(True)["fare__ts"] == [0] * 4
    assert answer.to_dict(True)["trips__ts"][3] == 0
    table = pa.RecordBatchReader.from_stream(answer.to_stream(with_statuses=True)).read_all()
    assert table.column_names == [
        "driver_id",
        *(f"{n}{s}" for n in ("trips", "fare") for s in ("", "__status", "__event_timestamp")),
    ]
    assert table["fare__status"].to_pylist() == [1] * 4
    assert table["fare__event_timestamp"].null_count == 4


def test_forms_of_answers(rides):
    frame = serve(rides, ["fares:many"]).to_df()
    assert list(frame) == ["driver_id", "many"]
    assert str(frame["many"].dtype) == "Int64"
    entities = pd.DataFrame(ENTITIES, index=[5, 6, 7, 8])
    trained = rides.get_historical_features(entities, ["fares:many", "labels:label"]).to_df()
    assert list(trained.index) == [5, 6, 7, 8]
    assert trained["many"].tolist()[0] == 60
    pd.testing.assert_frame_equal(trained[list(ENTITIES)], entities)


def test_entity_rows_may_be_dicts_or_columns(rides):
    columns = serve(rides, ["fares:fare"]).to_dict()
    rows = [
        {"driver_id": d, "km": k, "other": 1}
        for d, k in zip(ENTITIES["driver_id"], ENTITIES["km"], strict=True)
    ]
    assert serve(rides, ["fares:fare"], rows).to_dict() == columns
    assert serve(rides, ["fares:fare"], [rows[2]]).to_dict()["fare"] == [95.0]


def test_no_rows_call_no_function(rides):
    empty = pa.table(
        {
            "driver_id": pa.array([], pa.int64()),
            "event_timestamp": pa.array([], pa.timestamp("us", "UTC")),
            "km": pa.array([], pa.float64()),
        }
    )
    table = train(rides, ASKED, empty)
    assert table.num_rows == 0
    assert table.schema.field("size").type == pa.int32()
    assert serve(rides, ["fares:fare"], {"driver_id": [], "km": []}).to_dict()["fare"] == []


# ---- what may be asked for


def test_services_and_projections_and_names(rides):
    service = FeatureService(
        name="all", features=[labels.with_name("l"), STATS[["city"]], fares[["many"]]]
    )
    rides.apply(service)
    for asked in (service, "all", rides.get_feature_service("all")):
        names = train(rides, asked, full_feature_names=True).column_names[3:]
        assert names == ["l__label", "stats__city", "fares__many"]
        assert serve(rides, asked).names == ["driver_id", "label", "city", "many"]
    both = [fares.with_name("a")[["fare"]], fares.with_name("b")[["fare"]]]
    table = train(rides, both, full_feature_names=True)
    assert table.column_names[3:] == ["a__fare", "b__fare"]
    assert table["a__fare"].equals(table["b__fare"])
    text = error_of(errors.InvalidError, lambda: train(rides, both))
    assert "two features would be called 'fare': one of 'a' and one of 'b'" in text


def test_one_view_under_two_keys_is_read_twice(rides):
    @on_demand_feature_view(
        sources=[
            STATS[["trips"]],
            STATS[["trips"]].with_name("other").with_join_key_map({"driver_id": "other_id"}),
        ],
        schema=[Field(name="more", dtype=Int64)],
        mode="python",
    )
    def compared(inputs):
        assert set(inputs) == {"stats__trips", "other__trips"}
        pairs = zip(inputs["stats__trips"], inputs["other__trips"], strict=True)
        return {"more": [(a or 0) - (b or 0) for a, b in pairs]}

    rides.apply(compared)
    entities = {**ENTITIES, "other_id": [3, 1, 1, 1]}
    assert train(rides, ["compared:more"], entities)["more"].to_pylist() == [-970, -30, 970, -30]
    rows = {"driver_id": [1, 2], "other_id": [3, 1]}
    answer = serve(rides, ["compared:more"], rows)
    assert answer.to_dict() == {"driver_id": [1, 2], "other_id": [3, 1], "more": [-970, -30]}


def test_request_data_alone(rides):
    @on_demand_feature_view(
        input_schema=[Field(name="km", dtype=Float64)],
        schema=[Field(name="miles", dtype=Float64)],
    )
    def lengths(inputs):
        return pd.DataFrame({"miles": inputs["km"] / 1.609344})

    rides.apply(lengths)
    assert rides.get_data_source("__input_schema__lengths").schema[0].name == "km"
    job = rides.get_historical_features(ENTITIES, ["lengths:miles"])
    assert str(job.explain()).startswith("4 rows")
    assert job.to_arrow()["miles"].to_pylist()[0] == 2.0 / 1.609344
    answer = serve(rides, ["lengths:miles"], [{"km": 2.0}])
    assert answer.to_dict() == {"miles": [2.0 / 1.609344]}
    assert answer.statuses == {"miles": [FieldStatus.PRESENT]}
    assert len(answer) == 1


def test_a_job_of_request_data_alone_does_what_every_job_does(rides):
    @on_demand_feature_view(sources=[TRIP], schema=[Field(name="miles", dtype=Float64)])
    def miles(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"miles": inputs["km"] * 0.6})

    rides.apply([miles])
    rows = {"km": [float(i) for i in range(40)], "y": [-float(i) for i in range(40)]}
    job = rides.get_historical_features(rows, ["miles:miles"], full_feature_names=True)
    assert job.explain().to_dict()["rows"] == 40
    assert (job.metadata.features, job.metadata.keys) == (["miles:miles"], [])
    assert job.full_feature_names is True
    assert [b.num_rows for b in job.to_batches(16)] == [16, 16, 8]
    assert "miles:miles" in job._repr_html_()
    report = rides.check_leakage(job)
    [finding] = report.findings
    assert (finding["code"], finding["feature"], finding["label"]) == (
        "one_to_one",
        "miles__miles",
        "y",
    )
    assert finding["examples"][1] == {"row": 1, "feature": 0.6, "label": -1.0}


def test_request_data_are_no_labels(rides):
    rows = {**ENTITIES, "y": [1.0, 2.0, 3.0, 4.0]}
    job = rides.get_historical_features(rows, ["fares:fare"])
    assert rides.check_leakage(job)["labels"] == ["y"]


def test_request_data_in_any_layout_of_polars(rides):
    import polars as pl

    @on_demand_feature_view(
        sources=[RequestSource(name="w", schema=[Field(name="word", dtype=String)])],
        schema=[Field(name="n", dtype=Int64)],
    )
    def lengths(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"n": inputs["word"].str.len()})

    rides.apply([lengths])
    words = ["a", "bcd", "a"]
    for dtype in (pl.String, pl.Categorical, pl.Enum(["a", "bcd"])):
        rows = pl.DataFrame({"word": pl.Series(words, dtype=dtype)})
        job = rides.get_historical_features(rows, ["lengths:n"])
        assert job.to_arrow()["n"].to_pylist() == [1, 3, 1]


def test_an_on_demand_view_has_no_rows_of_its_own(rides):
    for view in ("fares", fares):
        for call in (lambda v=view: rides.latest(v), lambda v=view: rides.history(v, None, None)):
            sentence = error_of(errors.InvalidError, call)
            assert sentence.startswith("'fares' is an on-demand feature view")


def test_a_request_without_on_demand_views_goes_its_usual_way(rides):
    assert not rides._resolve('{"features":["stats:trips"]}')
    serve(rides, ["stats:trips"])
    assert type(rides._lookups[(False, "stats:trips")]).__name__ == "Lookup"


# ---- what a function sees


def test_every_type_in_both_directions(repo):
    import pyarrow.parquet as pq

    types = {
        "b": (Bool, pa.bool_(), [True, None]),
        "i": (Int32, pa.int32(), [-5, None]),
        "l": (Int64, pa.int64(), [2**60 + 1, None]),
        "f": (Float32, pa.float32(), [0.1, None]),
        "d": (Float64, pa.float64(), [0.1, None]),
        "s": (String, pa.string(), ["ü", None]),
        "y": (Bytes, pa.binary(), [b"\x00\xff", None]),
        "t": (UnixTimestamp, pa.timestamp("us", "UTC"), [utc(2024, 1, 1, 1), None]),
        "a": (Date, pa.date32(), [dt.date(1900, 2, 3), None]),
        "xs": (Array(Float32), pa.list_(pa.float32()), [[0.5, None], None]),
        "ss": (Array(String), pa.list_(pa.string()), [[], None]),
    }
    columns = {name: pa.array(values, kind) for name, (_, kind, values) in types.items()}
    keys = {"driver_id": [1, 2], "event_timestamp": [utc(2024, 1, 1)] * 2}
    pq.write_table(pa.table({**keys, **columns}), repo / "data" / "types.parquet")
    view = FeatureView(
        name="typed",
        entities=[DRIVER],
        source=FileSource(path="data/types.parquet", timestamp_field="event_timestamp"),
        schema=[Field(name=name, dtype=dtype) for name, (dtype, _, _) in types.items()],
    )
    outputs = [Field(name=f"{name}_out", dtype=dtype) for name, (dtype, _, _) in types.items()]
    seen = {}

    @on_demand_feature_view(sources=[view], schema=outputs)
    def frames(inputs):
        seen["frame"] = {name: str(inputs[name].dtype) for name in types}
        return inputs[list(types)].rename(columns=lambda name: f"{name}_out")

    @on_demand_feature_view(sources=[view], schema=outputs, mode="python")
    def lists(inputs):
        seen["lists"] = {name: inputs[name] for name in types}
        return {f"{name}_out": inputs[f"typed__{name}"] for name in types}

    store = FeatureStore(repo)
    store.apply([view, frames, lists])
    store.materialize(utc(2024, 1, 1), utc(2024, 1, 2))
    entities = {"driver_id": [1, 2, 3], "event_timestamp": [utc(2024, 1, 2)] * 3}
    for kind in ("frames", "lists"):
        asked = [f"{kind}:{name}_out" for name in types]
        table = train(store, asked, entities)
        online = serve(store, asked, {"driver_id": [1, 2, 3]}).to_arrow()
        for name, (_, arrow, _) in types.items():
            found = table[f"{name}_out"].combine_chunks()
            wanted = pa.concat_arrays([columns[name], pa.nulls(1, arrow)])
            assert found.equals(wanted), (kind, name)
            assert online[f"{name}_out"].combine_chunks().equals(wanted), (kind, name)
    # Dtypes go by the declared type, whether there is a null or not.
    assert seen["frame"]["l"] == "Int64"
    assert seen["frame"]["b"] == "boolean"
    assert seen["frame"]["f"] == "float32"
    assert seen["frame"]["t"].startswith("datetime64[us, UTC")
    alone = {"driver_id": [1], "event_timestamp": [utc(2024, 1, 2)]}
    dtypes = seen["frame"]
    train(store, ["frames:l_out"], alone)
    assert seen["frame"] == dtypes
    assert seen["lists"]["t"] == [utc(2024, 1, 1, 1), None, None]
    assert seen["lists"]["t"][0].tzinfo is dt.UTC
    assert seen["lists"]["xs"] == [[0.5, None], None, None]


def test_batches_do_not_change_values(rides, monkeypatch):
    calls = []

    @on_demand_feature_view(sources=[STATS], schema=[Field(name="x", dtype=Int64)])
    def counted(inputs):
        calls.append(len(inputs))
        return pd.DataFrame({"x": inputs["trips"] + 1})

    rides.apply(counted)
    whole = train(rides, ["counted:x"])
    calls.clear()
    monkeypatch.setattr("tiffin.compute.resolution.MAX_BATCH_ROWS", 3)
    assert train(rides, ["counted:x"]).equals(whole)
    assert calls == [3, 1]


def test_request_data_are_read_as_their_declared_type(rides):
    entities = {**ENTITIES, "km": pa.array([2, 4, 10, 1], pa.int8())}
    assert train(rides, ["fares:fare"], pa.table(entities))["fare"].to_pylist()[2] == 95.0
    assert serve(rides, ["fares:fare"], [{"driver_id": 3, "km": "10"}]).to_dict()["fare"] == [95.0]


# ---- mistakes: each names the view


def test_missing_request_data(rides):
    entities = {name: ENTITIES[name] for name in ("driver_id", "event_timestamp")}
    text = error_of(errors.NotFoundError, lambda: train(rides, ["fares:fare"], entities))
    assert text == (
        "on-demand feature view 'fares' needs 'km' of its request, which the entity rows do not "
        "have; they have driver_id, event_timestamp"
    )
    rows = [{"driver_id": 1, "kms": 2.0}]
    text = error_of(errors.NotFoundError, lambda: serve(rides, ["fares:fare"], rows))
    assert "'fares' needs 'km'" in text
    assert "they have driver_id, kms" in text
    text = error_of(
        errors.SchemaError, lambda: serve(rides, ["fares:fare"], [{"driver_id": 1, "km": [1]}])
    )
    assert "needs 'km' of its request as float64" in text
    uneven = {"driver_id": [1, 2], "km": [1.0]}
    text = error_of(errors.InvalidError, lambda: serve(rides, ["fares:fare"], uneven))
    assert "column 'km' has 1" in text


def test_a_feature_named_like_a_column_of_the_entity_rows(rides):
    entities = {**ENTITIES, "fare": [0] * 4}
    text = error_of(errors.InvalidError, lambda: train(rides, ["fares:fare"], entities))
    assert "already have a column 'fare'" in text
    assert (
        "fares__fare"
        in train(rides, ["fares:fare"], entities, full_feature_names=True).schema.names
    )


def bad(mode="pandas", singleton=False, dtype=Float64):
    def decorate(function):
        return OnDemandFeatureView(
            name="bad",
            sources=[STATS],
            schema=[Field(name="x", dtype=dtype)],
            udf=function,
            mode=mode,
            singleton=singleton,
        )

    return decorate


def raising(inputs):
    ratio = 1 / 0
    return inputs * ratio


MISTAKES = [
    (bad()(lambda df: df[["no_such"]]), errors.InvalidError, "no_such"),
    (
        bad()(lambda df: {"x": [1.0, 2.0]}),
        errors.SchemaError,
        "must return a pandas DataFrame, not",
    ),
    (
        bad()(lambda df: df[["trips"]]),
        errors.SchemaError,
        "returned no 'x', which its schema names",
    ),
    (
        bad()(lambda df: pd.DataFrame({"x": [1.0]})),
        errors.InvalidError,
        "returned 1 values for 'x'",
    ),
    (
        bad()(lambda df: pd.DataFrame({"x": df["city"]})),
        errors.SchemaError,
        "'x' that is not float64",
    ),
    (
        bad(dtype=Int64)(lambda df: pd.DataFrame({"x": df["rate"].fillna(0.5)})),
        errors.SchemaError,
        "not int64",
    ),
    (bad("python")(lambda d: d["gone"]), errors.InvalidError, "its inputs are trips, stats__trips"),
    (bad("python")(lambda d: [1.0]), errors.SchemaError, "must return a dict of lists, not list"),
    (bad("python")(lambda d: {"y": [1.0]}), errors.SchemaError, "it returned 'y'"),
    (bad("python")(lambda d: {"x": 1.0}), errors.SchemaError, "it must be a list of values"),
    (bad("python")(lambda d: {"x": [1.0] * 5}), errors.InvalidError, "got 2 rows"),
    (bad("python")(lambda d: {"x": ["a", "b"]}), errors.SchemaError, "'x' that is not float64"),
    (bad("python")(lambda d: {"x": ["a", 1]}), errors.SchemaError, "'x' that is not float64"),
    (bad("python", True)(lambda r: r["no"]), errors.InvalidError, "KeyError: 'no'; its inputs are"),
    (bad("python", True)(lambda r: {}), errors.SchemaError, "it returned nothing"),
    (bad("python", True, Bool)(lambda r: {"x": 1}), errors.SchemaError, "'x' that is not bool"),
    (bad("python", True, String)(lambda r: {"x": 1}), errors.SchemaError, "'x' that is not string"),
    (
        bad("python", True, Int32)(lambda r: {"x": 2**40}),
        errors.SchemaError,
        "'x' that is not int32",
    ),
    (bad()(raising), errors.InvalidError, "ZeroDivisionError: division by zero"),
]


@pytest.mark.parametrize(("view", "kind", "part"), MISTAKES, ids=lambda v: str(v)[:40])
def test_apply_tries_the_function_and_says_what_is_wrong(store, view, kind, part):
    text = error_of(kind, lambda: store.apply([DRIVER, STATS, view]))
    assert text.startswith("on-demand feature view 'bad' (")
    assert f"{Path(__file__).name}:" in text
    assert part in text
    assert error_of(kind, lambda: store.plan([DRIVER, STATS, view])) == text
    assert store.list_on_demand_feature_views() == []
    # Feast's way to do without: the mistake shows when the view is read.
    store.apply([DRIVER, STATS, view], skip_feature_view_validation=True)
    two = {name: values[:2] for name, values in ENTITIES.items()}
    assert part in error_of(kind, lambda: train(store, ["bad:x"], two))


def test_an_exception_is_kept_and_its_line_named(store):
    store.apply([DRIVER, STATS, bad()(raising)], skip_feature_view_validation=True)
    with pytest.raises(errors.InvalidError) as caught:
        train(store, ["bad:x"])
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    line = raising.__code__.co_firstlineno + 1
    assert f"{Path(__file__).name}:{line})" in str(caught.value)


def test_what_definitions_may_not_say():
    schema = [Field(name="x", dtype=Int64)]
    for arguments, part in (
        ({"schema": [], "sources": [STATS]}, "schema is empty"),
        ({"schema": schema, "sources": []}, "sources is empty"),
        (
            {"schema": schema, "sources": [SOURCE]},
            "sources[0] must be FeatureView, OnDemandFeatureView, ",
        ),
        ({"schema": schema, "sources": [STATS], "udf": 5}, "udf must be a function, not int"),
        ({"schema": schema, "sources": [STATS], "version": "v2"}, "version='v2' is Feast's"),
    ):
        with pytest.raises(errors.TiffinError, match="'v'") as caught:
            OnDemandFeatureView(**{"name": "v", "udf": raising, **arguments})
        assert part in str(caught.value)
    with pytest.raises(errors.InvalidError, match="schema is empty"):
        RequestSource(name="r", schema=[])


@pytest.mark.parametrize(
    ("arguments", "kind", "part"),
    [
        ({"write_to_online_store": True}, errors.UnsupportedError, "computed when they are read"),
        ({"aggregations": ["sum"]}, errors.UnsupportedError, "has aggregations"),
        ({"mode": "substrait"}, errors.UnsupportedError, "there are 'pandas' and 'python'"),
        ({"mode": "pandas", "singleton": True}, errors.InvalidError, "needs the mode 'python'"),
        ({"name": "STATS"}, errors.InvalidError, "only in upper and lower case"),
    ],
)
def test_what_apply_refuses(store, arguments, kind, part):
    schema = [Field(name="x", dtype=Float32)]

    def same_rate(inputs):
        return pd.DataFrame({"x": inputs["rate"]})

    given = {"name": "v", "sources": [STATS], "schema": schema, "udf": same_rate, **arguments}
    view = OnDemandFeatureView(**given)
    assert part in error_of(kind, lambda: store.apply(view, skip_feature_view_validation=True))


def test_a_circle_is_refused_with_its_path(rides):
    again = OnDemandFeatureView(
        name="fares",
        sources=[FeatureViewProjection("sizes")],
        schema=fares.features,
        udf=fares.function.call,
    )
    text = error_of(errors.InvalidError, lambda: rides.apply(again))
    assert "reads itself: fares -> sizes -> labels -> fares" in text


# ---- the registry


def test_views_come_back_from_the_registry(rides):
    found = rides.get_on_demand_feature_view("fares")
    assert found == fares
    assert found.features == fares.features
    assert list(found.source_feature_view_projections) == ["stats"]
    assert found.source_request_sources == {"trip": TRIP}
    assert found.function.call is None
    assert found.function.source.startswith("def fares(inputs")
    assert "on_demand_feature_view" not in found.function.source
    assert [v.name for v in rides.list_on_demand_feature_views()] == ["fares", "labels", "sizes"]
    assert [v.name for v in rides.list_all_feature_views()] == ["stats", "fares", "labels", "sizes"]
    assert rides.get_any_feature_view("fares").name == "fares"
    assert rides.apply(EVERYTHING).changes == []
    with pytest.raises(errors.NotFoundError, match=r"no on-demand feature view 'fare'.*fares"):
        rides.get_on_demand_feature_view("fare")
    assert tiffin.OnDemandFeatureView is OnDemandFeatureView


def test_what_is_in_use_is_not_deleted(rides):
    for name, part in (("stats", "'fares'"), ("fares", "'labels' uses it")):
        text = error_of(errors.InvalidError, lambda name=name: rides.delete_feature_view(name))
        assert part in text
    rides.delete_feature_view("sizes")
    assert [v.name for v in rides.list_on_demand_feature_views()] == ["fares", "labels"]


def test_a_plan_shows_what_changed_in_the_function(rides):
    def changed(inputs):
        return pd.DataFrame({"fare": inputs["rate"] * inputs["km"] * 2, "many": inputs["trips"]})

    view = OnDemandFeatureView(
        name="fares", sources=[STATS, TRIP], schema=fares.features, udf=changed
    )
    shown = str(rides.plan(view))
    assert "~ on-demand feature view fares" in shown
    assert "-    out = pd.DataFrame()" in shown
    assert "+    " in shown
    assert "function.hash" not in shown


def test_lookups_follow_new_definitions(rides):
    before = serve(rides, ["fares:fare"]).to_dict()["fare"]

    def doubled(inputs):
        return pd.DataFrame({"fare": inputs["rate"] * inputs["km"] * 2, "many": inputs["trips"]})

    service = FeatureService(name="s", features=[STATS[["trips"]]])
    rides.apply(service)
    assert serve(rides, "s").names == ["driver_id", "trips"]
    rides.apply(
        OnDemandFeatureView(name="fares", sources=[STATS, TRIP], schema=fares.features, udf=doubled)
    )
    after = serve(rides, ["fares:fare"]).to_dict()["fare"]
    assert after[2] == 2 * before[2]
    applied = rides.get_on_demand_feature_view("fares")
    rides.apply(FeatureService(name="s", features=[STATS[["trips"]], applied[["fare"]]]))
    assert serve(rides, "s").names == ["driver_id", "trips", "fare"]
    rides.apply(FeatureService(name="s", features=[STATS[["city"]]]))
    assert serve(rides, "s").names == ["driver_id", "city"]


def test_threads_share_a_store(rides):
    wanted = serve(rides, ASKED).to_dict()
    fresh = FeatureStore(rides.repo_path)
    for view in (fares, labels, sizes):
        fresh._functions.add(view.function)
    found, failed = [], []

    def run():
        try:
            for _ in range(20):
                found.append(serve(fresh, ASKED).to_dict())
            found.append(None if train(fresh, ASKED).num_rows == 4 else "rows")
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(found) == 8 * 21
    assert all(each == wanted for each in found if each is not None)


def test_types_of_a_view_without_schema_are_those_of_its_file(repo):
    view = FeatureView(
        name="inferred",
        entities=[DRIVER],
        source=FileSource(
            path="data/drivers.parquet",
            timestamp_field="event_timestamp",
            created_timestamp_column="created",
            field_mapping={"trips": "rides"},
        ),
    )

    @on_demand_feature_view(sources=[view], schema=[Field(name="x", dtype=Int64)])
    def doubled(inputs):
        assert sorted(inputs) == sorted(
            f"{prefix}{name}" for name in ("rides", "rate", "city") for prefix in ("", "inferred__")
        )
        return pd.DataFrame({"x": inputs["rides"] * 2})

    store = FeatureStore(repo)
    store.apply([view, doubled])
    assert train(store, ["doubled:x"])["x"].to_pylist() == [60, None, 2000, None]


def test_pandas_mode_without_pandas_says_what_to_install(rides, monkeypatch):
    job = rides.get_historical_features(pa.table(ENTITIES), ["fares:fare"])
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert "pandas is not installed" in error_of(errors.UnsupportedError, job.to_arrow)
