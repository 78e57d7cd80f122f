"""`RetrievalJob`: every form in which a training set leaves, and what it says of itself."""

import datetime as dt
import decimal
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rides import utc

from tiffin import Entity, FeatureStore, FeatureView, Field, FileSource, SavedDatasetFileStorage
from tiffin.column.arrays import table_to_arrays, table_to_matrix, table_to_tensors
from tiffin.errors import (
    InvalidError,
    IoError,
    NotFoundError,
    SavedDatasetLocationAlreadyExists,
    SchemaError,
    TimedOutError,
    UnsupportedError,
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

BIG = 2**53 + 1
NS = 1_704_067_200_123_456_789

DAYS = [dt.date(2024, 2, 29), None, dt.date(1, 1, 1), dt.date(9999, 12, 31)]
TIMES = [utc(2024, 1, 1), None, utc(1900, 1, 1), utc(2200, 1, 1)]
PAIRS = [[0.5, 1.5], [2.5, 3.5], [4.5, 5.5], [6.5, 7.5]]

# name, declared type, Arrow type, values of four source rows
COLUMNS: list[tuple[str, object, pa.DataType, list[object]]] = [
    ("big", Int64, pa.int64(), [BIG, None, -BIG, 2**63 - 1]),
    ("whole", Int64, pa.int64(), [1, 2, 3, 4]),
    ("small", Int32, pa.int32(), [1, None, -3, 4]),
    ("flag", Bool, pa.bool_(), [True, None, False, True]),
    ("sure", Bool, pa.bool_(), [True, False, True, True]),
    ("real", Float64, pa.float64(), [0.1, None, float("nan"), -0.0]),
    ("rate", Float32, pa.float32(), [0.5, None, 1.5, 2.5]),
    ("text", String, pa.string(), ["a", None, "", "ü"]),
    ("raw", Bytes, pa.binary(), [b"\x00\xff", None, b"", b"x"]),
    ("day", Date, pa.date32(), DAYS),
    ("nanos", UnixTimestamp, pa.timestamp("ns"), [NS, None, 0, -1]),
    ("micros", UnixTimestamp, pa.timestamp("us", "UTC"), TIMES),
    ("ints", Array(Int64), pa.list_(pa.int64()), [[BIG, 2], None, [], [3]]),
    ("pair", Array(Float32), pa.list_(pa.float32()), PAIRS),
    ("texts", Array(String), pa.list_(pa.string()), [["a", None], None, [], ["b"]]),
]


@pytest.fixture
def typed(tmp_path: Path) -> FeatureStore:
    """A store whose one view has a feature of every type, four keys, and a row for each."""
    (tmp_path / "feature_store.yaml").write_text("project: typed\n")
    table = pa.table(
        {
            "key": pa.array([1, 2, 3, 4], pa.int64()),
            "event_timestamp": pa.array([utc(2024, 1, 1)] * 4, pa.timestamp("us", "UTC")),
            **{name: pa.array(values, kind) for name, _, kind, values in COLUMNS},
        }
    )
    pq.write_table(table, tmp_path / "all.parquet")
    source = FileSource(name="all", path="all.parquet", timestamp_field="event_timestamp")
    view = FeatureView(
        name="all",
        entities=[Entity(name="key", value_type=Int64)],
        source=source,
        schema=[Field(name=name, dtype=dtype) for name, dtype, _, _ in COLUMNS],
    )
    store = FeatureStore(repo_path=tmp_path)
    store.apply([view])
    return store


def job_of(store: FeatureStore, **more):
    rows = {"key": [1, 2, 3, 4], "event_timestamp": [utc(2024, 1, 2)] * 4, "label": [1, 0, 1, 0]}
    return store.get_historical_features(rows, [f"all:{c[0]}" for c in COLUMNS], **more)


# ---- pandas, without loss


def test_the_pyarrow_backend_loses_nothing(typed: FeatureStore) -> None:
    job = job_of(typed)
    frame = job.to_df(dtype_backend="pyarrow")
    back = pa.Table.from_pandas(frame, preserve_index=False)
    assert repr(back.to_pylist()) == repr(job.to_arrow().to_pylist())


@pytest.mark.parametrize("backend", [None, "numpy_nullable"])
def test_pandas_keeps_every_value(typed: FeatureStore, backend: str | None) -> None:
    frame = job_of(typed).to_df(dtype_backend=backend)
    assert str(frame["big"].dtype) == "Int64"
    assert frame["big"].tolist()[0] == BIG
    assert frame["big"].tolist()[2:] == [-BIG, 2**63 - 1]
    assert frame["big"][1] is pd.NA
    assert str(frame["whole"].dtype) == ("int64" if backend is None else "Int64")
    assert str(frame["small"].dtype) == "Int32"
    assert str(frame["flag"].dtype) == "boolean"
    assert frame["flag"].tolist() == [True, pd.NA, False, True]
    assert str(frame["sure"].dtype) == ("bool" if backend is None else "boolean")
    assert str(frame["rate"].dtype) == ("float32" if backend is None else "Float32")
    assert np.signbit(frame["real"].to_numpy(dtype=float, na_value=np.nan)[3])
    assert frame["text"].tolist()[::2] == ["a", ""]
    assert frame["text"].isna().tolist() == [False, True, False, False]
    assert frame["raw"].tolist() == [b"\x00\xff", None, b"", b"x"]
    assert frame["day"].tolist() == DAYS
    assert str(frame["nanos"].dtype) == "datetime64[ns, UTC]"
    assert frame["nanos"][0].value == NS
    assert frame["nanos"][1] is pd.NaT
    assert str(frame["micros"].dtype) == "datetime64[us, UTC]"
    assert frame["micros"].tolist()[2:] == [utc(1900, 1, 1), utc(2200, 1, 1)]
    assert frame["ints"].tolist() == COLUMNS[12][3]
    assert frame["texts"].tolist() == COLUMNS[14][3]


def test_types_that_only_pass_through_stay_as_they_were(typed: FeatureStore) -> None:
    rows = pa.table(
        {
            "key": [1],
            "event_timestamp": [utc(2024, 1, 2)],
            "price": pa.array([decimal.Decimal("1.10")]),
            "kind": pa.array(["x"]).dictionary_encode(),
            "part": pa.array([{"a": 1, "b": "z"}]),
        }
    )
    job = typed.get_historical_features(rows, ["all:whole"])
    assert job.to_arrow().select(rows.column_names).equals(rows)
    frame = job.to_df()
    assert frame["price"][0] == decimal.Decimal("1.10")
    assert str(frame["kind"].dtype) == "category"
    assert frame["part"][0] == {"a": 1, "b": "z"}
    assert job.metadata.keys == ["key"]


# ---- NumPy


def test_numpy_arrays_by_column(typed: FeatureStore) -> None:
    arrays = job_of(typed).to_numpy()
    assert list(arrays)[:3] == ["key", "event_timestamp", "label"]
    assert all(array.shape == (4,) for array in arrays.values())
    dtypes = {name: str(array.dtype) for name, array in arrays.items()}
    assert dtypes == {
        "key": "int64",
        "event_timestamp": "datetime64[us]",
        "label": "int64",
        "big": "object",
        "whole": "int64",
        "small": "float64",
        "flag": "object",
        "sure": "bool",
        "real": "float64",
        "rate": "float32",
        "text": "object",
        "raw": "object",
        "day": "datetime64[D]",
        "nanos": "datetime64[ns]",
        "micros": "datetime64[us]",
        "ints": "object",
        "pair": "object",
        "texts": "object",
    }
    assert arrays["big"].tolist() == [BIG, None, -BIG, 2**63 - 1]
    np.testing.assert_array_equal(arrays["small"], [1.0, np.nan, -3.0, 4.0])
    assert arrays["flag"].tolist() == [True, None, False, True]
    np.testing.assert_array_equal(arrays["rate"], np.float32([0.5, np.nan, 1.5, 2.5]))
    assert arrays["raw"].tolist() == [b"\x00\xff", None, b"", b"x"]
    assert np.isnat(arrays["day"]).tolist() == [False, True, False, False]
    assert arrays["nanos"].astype("int64")[0] == NS
    assert arrays["ints"][0].tolist() == [BIG, 2]
    assert arrays["ints"][1] is None
    assert arrays["ints"][2].shape == (0,)
    assert arrays["pair"][3].dtype == np.float32
    assert arrays["texts"][0].tolist() == ["a", None]


def test_numbers_as_a_matrix(typed: FeatureStore) -> None:
    job = job_of(typed)
    matrix = job.to_numpy(["rate", "whole", "sure", "small"], dtype="float32")
    assert matrix.dtype == np.float32
    assert matrix.flags.c_contiguous
    np.testing.assert_array_equal(
        matrix,
        np.float32([[0.5, 1, 1, 1], [np.nan, 2, 0, np.nan], [1.5, 3, 1, -3], [2.5, 4, 1, 4]]),
    )
    assert job.to_numpy(["label", "whole"], dtype=np.int32).tolist() == [
        [1, 1],
        [0, 2],
        [1, 3],
        [0, 4],
    ]
    assert list(job.to_numpy(["whole"])) == ["whole"]
    only = typed.get_historical_features(
        {"key": [1], "event_timestamp": [utc(2024, 1, 2)]}, ["all:whole", "all:rate"]
    )
    assert only.to_numpy(dtype=float).tolist() == [[1.0, 0.5]]  # the features, not the key


def test_a_matrix_refuses_what_it_cannot_hold(typed: FeatureStore) -> None:
    job = job_of(typed)
    with pytest.raises(SchemaError, match="column 'text' holds string, which is no number"):
        job.to_numpy(dtype=float)
    with pytest.raises(SchemaError, match="column 'small' may hold nulls, which int64 cannot"):
        job.to_numpy(["small"], dtype="int64")
    with pytest.raises(SchemaError, match=r"column 'rate' may hold .*, which int64 cannot"):
        job.to_numpy(["rate"], dtype="int64")
    with pytest.raises(SchemaError, match="'n' holds numbers that int8 cannot"):
        table_to_matrix(pa.table({"n": [1, 200]}), "int8")
    with pytest.raises(SchemaError, match="'n' holds numbers that uint64 cannot"):
        table_to_matrix(pa.table({"n": [1, -1]}), "uint64")
    with pytest.raises(SchemaError, match="floats or integers, not <U1"):
        job.to_numpy(["whole"], dtype="U1")
    with pytest.raises(SchemaError, match="'nonsense' is none of NumPy's"):
        job.to_numpy(["whole"], dtype="nonsense")
    with pytest.raises(NotFoundError, match="there is no column 'nothing'; there are key, "):
        job.to_numpy(["nothing"])
    with pytest.raises(SchemaError, match="columns must be a list of names, not str"):
        job.to_numpy("whole")


def test_arrays_of_chunks_dictionaries_and_nothing() -> None:
    chunked = pa.chunked_array([[[1], None], [[2, 3]]])
    arrays = table_to_arrays(
        pa.table(
            {
                "list": chunked,
                "dict": pa.chunked_array([pa.array(["x", None, "x"]).dictionary_encode()]),
                "none": pa.nulls(3),
                "fixed": pa.array([[1, 2], None, [5, 6]], pa.list_(pa.int64(), 2)),
                "span": pa.array([1, None, 3], pa.duration("ms")),
                "nulls": pa.array([None, None, None], pa.int64()),
            }
        )
    )
    assert [None if v is None else v.tolist() for v in arrays["list"]] == [[1], None, [2, 3]]
    assert arrays["dict"].tolist() == ["x", None, "x"]
    assert arrays["none"].tolist() == [None, None, None]
    assert [None if v is None else v.tolist() for v in arrays["fixed"]] == [[1, 2], None, [5, 6]]
    assert str(arrays["span"].dtype) == "timedelta64[ms]"
    assert np.isnan(arrays["nulls"]).all()
    empty = table_to_arrays(pa.table({"a": pa.array([], pa.list_(pa.int64()))}))
    assert empty["a"].shape == (0,)


# ---- tensors


def test_tensors_are_of_torch_alone(typed: FeatureStore) -> None:
    with pytest.raises(InvalidError, match="tensors of kind 'torch', not 'jax'"):
        job_of(typed).to_tensor(kind="jax")


@pytest.mark.long
def test_tensors(typed: FeatureStore) -> None:
    import torch  # tools/long.sh installs it

    tensors = job_of(typed).to_tensor()
    assert tensors["whole"].dtype == torch.int64
    assert tensors["whole"].tolist() == [1, 2, 3, 4]
    assert tensors["rate"].dtype == torch.float32
    assert tensors["rate"].isnan().tolist() == [False, True, False, False]
    assert tensors["small"].dtype == torch.float64
    assert tensors["sure"].dtype == torch.bool
    assert tensors["text"] == ["a", pytest.approx(float("nan"), nan_ok=True), "", "ü"]
    filled = job_of(typed).to_tensor(default_value=-1)
    assert filled["big"].tolist() == [BIG, -1, -BIG, 2**63 - 1]
    assert filled["real"].tolist() == [0.1, -1.0, -1.0, -0.0]
    filled["whole"][0] = 7  # a tensor of its own memory
    assert job_of(typed).to_tensor(default_value=False)["flag"].tolist() == [
        True,
        False,
        False,
        True,
    ]


def test_without_torch_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UnsupportedError, match="pip install torch"):
        table_to_tensors(pa.table({"a": [1]}), "torch", 0)


# ---- DuckDB, Parquet, persist


def test_a_relation_of_duckdb(typed: FeatureStore) -> None:
    import duckdb

    job = job_of(typed)
    with duckdb.connect() as connection:
        relation = job.to_duckdb(connection)
        assert relation.filter("whole > 2").project("big").fetchall() == [(-BIG,), (2**63 - 1,)]
    assert job.to_duckdb().aggregate("sum(whole)").fetchall() == [(10,)]


def test_parquet_comes_back_equal_and_always_as_the_same_bytes(
    typed: FeatureStore, tmp_path: Path
) -> None:
    job = job_of(typed)
    job.to_parquet(tmp_path / "a.parquet")
    job_of(typed).to_parquet(str(tmp_path / "b.parquet"))
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    back = pq.read_table(tmp_path / "a.parquet")
    assert repr(back.to_pylist()) == repr(job.to_arrow().to_pylist())
    assert back.schema.equals(job.to_arrow().schema)


def test_how_rows_come_in_batches_leaves_no_trace(tmp_path: Path, monkeypatch) -> None:
    from tiffin.offline import parquet
    from tiffin.offline.deadline import Deadline

    monkeypatch.setattr(parquet, "ROWS_PER_GROUP", 7)
    table = pa.table(
        {
            "n": range(40),
            "word": pa.array([f"w{i % 5}" for i in range(40)]),
            "list": pa.array([[i] * (i % 3) for i in range(40)], pa.large_list(pa.int8())),
        }
    )
    twin = pa.table(
        {
            "n": table["n"],
            "word": table["word"].dictionary_encode(),
            "list": table["list"].cast(pa.list_(pa.int8())),
        }
    )
    written = []
    for i, form in enumerate((table, twin)):
        for size in (1, 6, 7, 8, 40):
            batches = form.to_batches(max_chunksize=size)
            reader = pa.RecordBatchReader.from_batches(form.schema, batches)
            target = tmp_path / f"{i}-{size}.parquet"
            parquet.write_parquet(reader, target, False, Deadline(None))
            written.append(target.read_bytes())
    assert len(set(written)) == 1
    assert pq.ParquetFile(tmp_path / "0-1.parquet").num_row_groups == 6


def test_persist(typed: FeatureStore, tmp_path: Path) -> None:
    job = job_of(typed)
    storage = SavedDatasetFileStorage("out/set.parquet")
    assert job.persist(storage) is None
    target = tmp_path / "out" / "set.parquet"
    assert pq.read_table(target).num_rows == 4
    with pytest.raises(SavedDatasetLocationAlreadyExists, match="pass allow_overwrite=True"):
        job.persist(storage)
    job.persist(storage, allow_overwrite=True)
    job.persist(SavedDatasetFileStorage(str(tmp_path / "folder")))
    assert pq.read_table(tmp_path / "folder").num_rows == 4
    job.persist(SavedDatasetFileStorage(tmp_path / "folder"), allow_overwrite=True)
    assert [p.name for p in (tmp_path / "folder").iterdir()] == ["part-00000.parquet"]
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["set.parquet"]
    (tmp_path / "odd.parquet").mkdir()
    with pytest.raises(SavedDatasetLocationAlreadyExists, match="exists and is not a file"):
        job.persist(SavedDatasetFileStorage("odd.parquet"), allow_overwrite=True)
    with pytest.raises(SchemaError, match="must be a SavedDatasetFileStorage"):
        job.persist("set.parquet")


def test_a_file_system_without_links_will_do(
    typed: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    job = job_of(typed)
    job.persist(SavedDatasetFileStorage("set.parquet"))
    assert pq.read_table(tmp_path / "set.parquet").num_rows == 4
    with pytest.raises(SavedDatasetLocationAlreadyExists):
        job.persist(SavedDatasetFileStorage("set.parquet"))


def test_a_failed_write_leaves_nothing(typed: FeatureStore, tmp_path: Path, monkeypatch) -> None:
    import os

    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    job = job_of(typed)
    job.persist(SavedDatasetFileStorage("set.parquet"))
    before = (tmp_path / "set.parquet").read_bytes()
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(IoError, match=r"cannot write .*set\.parquet: No space left on device"):
        job.persist(SavedDatasetFileStorage("set.parquet"), allow_overwrite=True)
    with pytest.raises(IoError, match="No space left on device"):
        job.persist(SavedDatasetFileStorage("folder"))
    assert (tmp_path / "set.parquet").read_bytes() == before
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["all.parquet", "data", "feature_store.yaml", "set.parquet"]


def test_a_column_that_parquet_lacks_is_named(typed: FeatureStore, tmp_path: Path) -> None:
    rows = pa.table(
        {
            "key": [1],
            "event_timestamp": [utc(2024, 1, 2)],
            "span": pa.array([(1, 2, 3)], pa.month_day_nano_interval()),
        }
    )
    job = typed.get_historical_features(rows, ["all:whole"])
    with pytest.raises(SchemaError, match=r"cannot write .*a\.parquet as Parquet"):
        job.to_parquet(tmp_path / "a.parquet")
    assert not (tmp_path / "a.parquet").exists()


# ---- about the job


def test_metadata_is_there_before_anything_is_computed(typed: FeatureStore) -> None:
    job = typed.get_historical_features(
        {"key": [1, 2], "event_timestamp": [utc(2024, 1, 3), utc(2024, 1, 2)]},
        ["all:big", "all:text"],
        full_feature_names=True,
    )
    metadata = job.metadata
    assert metadata.features == ["all:big", "all:text"]
    assert metadata.keys == ["key"]
    assert metadata.min_event_timestamp == utc(2024, 1, 2)
    assert metadata.max_event_timestamp == utc(2024, 1, 3)
    assert "features=['all:big', 'all:text']" in repr(metadata)
    assert job.full_feature_names is True
    assert job.on_demand_feature_views == []
    assert repr(job) == "<RetrievalJob: not computed yet>"
    with pytest.raises(NotFoundError, match="no feature view 'x'"):
        _ = typed.get_historical_features({"key": [1]}, ["x:y"]).metadata


def test_what_feast_has_and_we_do_not_says_so(typed: FeatureStore) -> None:
    job = job_of(typed)
    assert job.supports_remote_storage_export() is False
    for call, words in (
        (job.to_sql, "not made by SQL"),
        (job.to_remote_storage, "write files with persist"),
        (lambda: job.to_df(object()), "validation references do not exist"),
        (lambda: job.to_arrow(validation_reference=object()), "validation references"),
    ):
        with pytest.raises(UnsupportedError, match=words):
            call()
    with pytest.raises(SchemaError, match="pass timeout= or dtype_backend= by name"):
        job.to_df("pyarrow")


def test_notebooks_see_schema_and_plan(typed: FeatureStore, tmp_path: Path) -> None:
    job = typed.get_historical_features(
        {"key": [1], "event_timestamp": [utc(2024, 1, 2)], "<b>&": ["x"]}, ["all:big"]
    )
    html = job._repr_html_()
    assert repr(job) == "<RetrievalJob: not computed yet>"
    assert "not computed yet" in html
    assert "&lt;b&gt;&amp;" in html
    assert "<b>" not in html
    assert "all:big" in html
    assert "reads" in html
    job.to_arrow()
    html = job._repr_html_()
    assert "<strong>RetrievalJob</strong>: computed" in html
    assert "<td style='text-align:left'>int64</td>" in html
    assert "made in" in html
    (tmp_path / "all.parquet").unlink()
    broken = job_of(typed)._repr_html_()
    assert "cannot be planned" in broken
    assert "all.parquet" in broken


# ---- timeouts


def test_a_timeout_stops_the_run_and_a_later_call_begins_anew(typed: FeatureStore) -> None:
    calls: list[str] = []

    def slow(what: str, _done: int, _total: int) -> None:
        calls.append(what)
        if len(calls) == 1:
            threading.Event().wait(0.2)

    job = job_of(typed, progress=slow)
    with pytest.raises(TimeoutError, match=r"not done after 0\.1 s, its timeout") as caught:
        job.to_df(timeout=0.1)
    assert isinstance(caught.value, TimedOutError)
    assert caught.value.code == "CANCELLED"
    assert len(calls) == 1
    assert repr(job) == "<RetrievalJob: not computed yet>"
    assert len(job.to_df(timeout=float("inf"))) == 4


def test_a_timeout_counts_for_persist_and_for_waiting(typed: FeatureStore, tmp_path: Path) -> None:
    with pytest.raises(TimedOutError):
        job_of(typed).persist(SavedDatasetFileStorage("set.parquet"), timeout=0)
    assert not (tmp_path / "set.parquet").exists()
    begun, released = threading.Event(), threading.Event()

    def hold(*_: object) -> None:
        begun.set()
        released.wait(30)

    job = job_of(typed, progress=hold)
    thread = threading.Thread(target=job.to_arrow)
    thread.start()
    assert begun.wait(30)
    with pytest.raises(TimedOutError):
        job.to_arrow(timeout=0.01)
    released.set()
    thread.join()
    assert job.to_arrow(timeout=0.01).num_rows == 4  # it is there


def test_a_timeout_while_rows_are_written_leaves_nothing(tmp_path: Path) -> None:
    from tiffin.offline.deadline import Deadline
    from tiffin.offline.parquet import write_parquet

    schema = pa.schema([("n", pa.int64())])

    def batches():
        yield pa.record_batch([[1]], schema)
        threading.Event().wait(0.1)
        yield pa.record_batch([[2]], schema)

    for name in ("a.parquet", "folder"):
        reader = pa.RecordBatchReader.from_batches(schema, batches())
        with pytest.raises(TimedOutError, match=r"not done after 0\.05 s"):
            write_parquet(reader, tmp_path / name, False, Deadline(0.05))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("timeout", "error", "words"),
    [
        (-1, InvalidError, "0 seconds or more, not -1"),
        (float("nan"), InvalidError, "0 seconds or more"),
        ("5", SchemaError, "a number of seconds or None, not str"),
        (True, SchemaError, "not bool"),
    ],
)
def test_a_timeout_is_a_number_of_seconds(typed: FeatureStore, timeout, error, words) -> None:
    with pytest.raises(error, match=words):
        job_of(typed).to_arrow(timeout=timeout)


def test_arguments_of_another_type_are_one_sentence(typed: FeatureStore) -> None:
    for arguments, sentence in (
        ({"time_column": 3}, "time_column must be the name of a column, not int"),
        ({"filter_by_created_timestamp": "no"}, "filter_by_created_timestamp must be True or"),
        ({"one_row_per_entity": "no"}, "one_row_per_entity must be True or False"),
    ):
        with pytest.raises(SchemaError, match=sentence):
            job_of(typed, **arguments)
    with pytest.raises(SchemaError, match="max_rows must be a whole number, not str"):
        job_of(typed).to_batches("3")  # type: ignore[arg-type]
