"""Every type, with nulls, empties, extremes, NaN and infinities, through every form, both ways.

One Parquet file holds every type, one value a row. Each type is read back from training sets and
from the online store, and written online from every form of frame. What is lost is stated here: a
pandas float column cannot tell NaN from null, Python's datetime ends at microseconds.
"""

import datetime as dt
import math
import struct

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rides import utc

from tiffin import Entity, FeatureStore, FeatureView, FileSource, types
from tiffin.column.convert import table_to_pandas

NAN, INF = float("nan"), float("inf")
F32_MAX = struct.unpack("f", b"\xff\xff\x7f\x7f")[0]
F32_TINY = struct.unpack("f", b"\x01\x00\x00\x00")[0]
AT = utc(2024, 1, 1)
NS_MAX = 2**63 - 2

# name -> (declared type, type in Arrow, values; the rest of the rows is null)
SCALARS = {
    "bool": (types.Bool, pa.bool_(), [True, False]),
    "int32": (types.Int32, pa.int32(), [0, -(2**31), 2**31 - 1]),
    "int64": (types.Int64, pa.int64(), [0, -(2**63), 2**63 - 1, 2**53 + 1]),
    "float32": (types.Float32, pa.float32(), [NAN, INF, -INF, F32_MAX, F32_TINY, -0.0]),
    "float64": (
        types.Float64,
        pa.float64(),
        [NAN, INF, -INF, 1.7976931348623157e308, 5e-324, -0.0],
    ),
    "string": (types.String, pa.string(), ["", "ü😀", "a\tb\n", "x" * 70_000]),
    "bytes": (types.Bytes, pa.binary(), [b"", b"\x00\xff", b"x" * 70_000]),
    "date": (
        types.Date,
        pa.date32(),
        [dt.date(1970, 1, 1), dt.date(1, 1, 1), dt.date(9999, 12, 31)],
    ),
    "time_us": (
        types.UnixTimestamp,
        pa.timestamp("us", "UTC"),
        [utc(1970, 1, 1), utc(1, 1, 1), utc(9999, 12, 31, 23, 59, 59, 999_999), utc(1969, 12, 31)],
    ),
    "time_ns": (types.UnixTimestamp, pa.timestamp("ns"), [0, -1, 1, NS_MAX, -NS_MAX]),
    "time_ms_naive": (
        types.UnixTimestamp,
        pa.timestamp("ms"),
        [dt.datetime(2024, 1, 1, 1, 2, 3, 4000)],
    ),
}
COLUMNS = dict(SCALARS)
for _name, (_dtype, _arrow, _values) in SCALARS.items():
    COLUMNS[f"{_name}_list"] = (
        types.Array(_dtype),
        pa.list_(_arrow),
        [_values, [], [None], [_values[-1], None, _values[0]]],
    )
N_ROWS = 8


def make_table() -> pa.Table:
    columns = {
        "k": pa.array(range(N_ROWS), pa.int64()),
        "event_timestamp": pa.array([AT] * N_ROWS, pa.timestamp("us", "UTC")),
    }
    for name, (_, arrow, values) in COLUMNS.items():
        columns[name] = pa.array(values + [None] * (N_ROWS - len(values)), arrow)
    return pa.table(columns)


TABLE = make_table()


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """A store over all types, its view materialized; and a view to be written to."""
    root = tmp_path_factory.mktemp("types")
    (root / "feature_store.yaml").write_text("project: types\nonline_ttl: ignore\n")
    pq.write_table(TABLE, root / "all.parquet")
    source = FileSource(path="all.parquet", timestamp_field="event_timestamp")
    entity = Entity(name="k")
    fields = [types_field(name) for name in COLUMNS]
    store = FeatureStore(root)
    store.apply(
        [
            FeatureView(name="v", entities=[entity], source=source, schema=fields),
            FeatureView(name="w", entities=[entity], source=source, schema=fields),
            FeatureView(name="inferred", entities=[entity], source=source),
        ]
    )
    store.materialize(None, AT, feature_views=["v"])
    return store


def types_field(name):
    from tiffin import Field

    return Field(name=name, dtype=COLUMNS[name][0])


def norm(value, nan_is_null=False):
    """A value as a comparable one: nulls are None, times are UTC to the microsecond."""
    if isinstance(value, list | tuple) or type(value).__name__ in ("ndarray", "Series"):
        return [norm(v, nan_is_null) for v in value]
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if type(value).__module__ == "numpy":
        value = value.item()
    if isinstance(value, float):
        if math.isnan(value):
            return None if nan_is_null else "nan"
        return repr(value)
    if isinstance(value, pd.Timestamp):
        value = value.to_pydatetime(warn=False)
    if isinstance(value, dt.datetime):
        value = value.replace(tzinfo=value.tzinfo or dt.UTC).astimezone(dt.UTC)
    return value


def expected(name, nan_is_null=False):
    return [norm(v, nan_is_null) for v in TABLE.column(name).to_pylist()]


def spine():
    return {"k": list(range(N_ROWS)), "event_timestamp": [AT] * N_ROWS}


def plain_type(name):
    """The Arrow type that comes out: us or ns as DuckDB has it, always UTC."""
    arrow = COLUMNS[name][1]
    item = arrow.value_type if pa.types.is_list(arrow) else arrow
    if pa.types.is_timestamp(item):
        item = pa.timestamp("ns" if item.unit == "ns" else "us", "UTC")
    return pa.list_(item) if pa.types.is_list(arrow) else item


@pytest.mark.parametrize("name", COLUMNS)
def test_a_training_set_keeps_it_in_arrow(everything, name):
    column = everything.get_historical_features(spine(), [f"v:{name}"]).to_arrow().column(name)
    assert column.type == plain_type(name)
    assert [norm(v) for v in column.to_pylist()] == expected(name)


@pytest.mark.parametrize("name", COLUMNS)
def test_a_training_set_keeps_it_in_polars(everything, name):
    frame = everything.get_historical_features(pl.DataFrame(spine()), [f"v:{name}"]).to_polars()
    assert [norm(v) for v in frame[name].to_list()] == expected(name)


@pytest.mark.parametrize("backend", [None, "pyarrow", "numpy_nullable"])
@pytest.mark.parametrize("name", COLUMNS)
def test_a_training_set_keeps_it_in_pandas(everything, name, backend):
    job = everything.get_historical_features(pd.DataFrame(spine()), [f"v:{name}"])
    series = job.to_df(dtype_backend=backend)[name]
    lossy = name in ("float32", "float64", "string") and backend != "pyarrow"
    assert [norm(v, lossy) for v in series.to_list()] == expected(name, lossy)
    if name in ("int32", "int64") and backend is None:
        assert str(series.dtype) == name.capitalize()


@pytest.mark.parametrize("name", COLUMNS)
def test_a_lookup_keeps_it_in_dicts_and_arrow(everything, name):
    answer = everything.get_online_features([f"v:{name}"], {"k": list(range(N_ROWS))})
    assert [norm(v) for v in answer.to_dict()[name]] == expected(name)
    column = answer.to_arrow().column(name)
    assert column.type == plain_type(name)
    offline = everything.get_historical_features(spine(), [f"v:{name}"]).to_arrow().column(name)
    assert repr(column.to_pylist()) == repr(offline.to_pylist())  # also below microseconds
    assert [norm(v) for v in answer.to_polars()[name].to_list()] == expected(name)


FORMS = {
    "arrow": lambda table: table,
    "polars": pl.from_arrow,
    "pandas": lambda table: table_to_pandas(table, None),
    "pandas-arrow": lambda table: table_to_pandas(table, "pyarrow"),
    "dict": lambda table: table.to_pydict(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", COLUMNS)
def test_a_written_frame_keeps_it(everything, name, form):
    table = TABLE.select(["k", "event_timestamp", name])
    frame = FORMS[form](table)
    everything.write_to_online_store("w", frame)
    answer = everything.get_online_features([f"w:{name}"], {"k": list(range(N_ROWS))})
    lossy = form == "pandas" and name.startswith("float")
    assert [norm(v, lossy) for v in answer.to_dict()[name]] == expected(name, lossy)


def test_inference_finds_the_declared_types(everything):
    found = {f.name: f.dtype for f in everything.get_feature_view("inferred").features}
    assert found == {name: dtype for name, (dtype, _, _) in COLUMNS.items()}


KEYS = ["bool", "int32", "int64", "string", "bytes", "date", "time_us", "time_ns"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", KEYS)
def test_every_type_of_key_joins_and_is_looked_up(everything, name, form):
    values = [v for v in TABLE.column(name).to_pylist() if v is not None]
    values = values[:-1] if name in ("string", "bytes") else values  # longer than a key may be
    n = len(values)
    table = pa.table(
        {
            "key": TABLE.column(name).slice(0, n),
            "event_timestamp": pa.array([AT] * n, pa.timestamp("us", "UTC")),
            "x": list(range(n)),
        }
    )
    root = everything.repo_path
    pq.write_table(table, root / f"key_{name}.parquet")
    source = FileSource(path=f"key_{name}.parquet", timestamp_field="event_timestamp")
    entity = Entity(name=f"key_{name}", join_keys=["key"], value_type=COLUMNS[name][0])
    everything.apply(FeatureView(name=f"key_{name}", entities=[entity], source=source))
    rows = FORMS[form](table.drop_columns(["x"]))
    job = everything.get_historical_features(rows, [f"key_{name}:x"])
    assert job.to_arrow().column("x").to_pylist() == list(range(n))
    everything.materialize(None, AT, feature_views=[f"key_{name}"])
    answer = everything.get_online_features([f"key_{name}:x"], {"key": values})
    assert answer.to_dict()["x"] == list(range(n))
    assert [norm(v) for v in answer.to_dict()["key"]] == [norm(v) for v in values]
