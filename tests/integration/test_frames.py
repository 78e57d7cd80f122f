"""Tables on their way in and out, without the engine."""

import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from tiffin import errors
from tiffin.column.convert import table_to_pandas
from tiffin.offline.frames import read_frame
from tiffin.store.times import to_us

TIMES = [dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 2)]


def as_table(frame) -> pa.Table:
    return pa.RecordBatchReader.from_stream(read_frame(frame, "entity_df").stream).read_all()


class OneShot:
    """What only has __arrow_c_stream__, and can be read once."""

    def __init__(self, table: pa.Table) -> None:
        self.reader = table.to_reader()

    def __arrow_c_stream__(self, requested_schema=None):
        return self.reader.__arrow_c_stream__(requested_schema)


TABLE = pa.table({"k": [1, 2], "t": pa.array(TIMES, pa.timestamp("us"))})


@pytest.mark.parametrize(
    "frame",
    [
        {"k": [1, 2], "t": TIMES},
        {"k": np.array([1, 2]), "t": pd.Series(TIMES)},
        {"k": pa.array([1, 2]), "t": pa.chunked_array([TIMES])},
        pd.DataFrame({"k": [1, 2], "t": TIMES}, index=[7, 7]),
        pl.DataFrame({"k": [1, 2], "t": TIMES}),
        TABLE,
        TABLE.to_batches()[0],
        TABLE.to_reader(),
        OneShot(TABLE),
        pl.LazyFrame({"k": [1, 2], "t": TIMES}),
        [{"k": 1, "t": TIMES[0]}, {"k": 2, "t": TIMES[1]}],
        ds.dataset(TABLE),
        ds.dataset(TABLE).scanner(),
        duckdb.from_arrow(TABLE),
    ],
    ids=lambda frame: type(frame).__name__,
)
def test_every_form_becomes_the_same_table(frame):
    table = as_table(frame)
    assert table.column_names == ["k", "t"]
    assert table.column("k").to_pylist() == [1, 2]
    assert table.column("t").to_pylist() == TIMES


def write_json(table: pa.Table, path) -> None:
    path.write_text("".join(json.dumps(row, default=str) + "\n" for row in table.to_pylist()))


@pytest.mark.parametrize(
    ("suffix", "write"),
    [
        (".parquet", pq.write_table),
        (".csv", pc.write_csv),
        (".json", write_json),
        (".ndjson", write_json),
        (".jsonl", write_json),
    ],
)
def test_files_become_the_same_table(tmp_path, suffix, write):
    path = tmp_path / f"rows{suffix}"
    write(TABLE, path)
    for frame in (path, str(path), path.name):
        table = pa.table(read_frame(frame, "entity_df", tmp_path).stream)
        assert table.column("k").to_pylist() == [1, 2]
        assert table.column("t").cast(pa.timestamp("us")).to_pylist() == TIMES


def test_a_file_without_a_telling_suffix_is_a_file_all_the_same(tmp_path):
    pq.write_table(TABLE, tmp_path / "rows")
    with pytest.raises(errors.InvalidError, match=r"rows ends in 'no suffix'; files end in"):
        read_frame("rows", "entity_df", tmp_path)


@pytest.mark.parametrize(
    ("frame", "error", "words"),
    [
        ("none.parquet", errors.NotFoundError, "entity_df: there is no file {}/none.parquet"),
        ("none", errors.NotFoundError, "there is no file {}/none, and 'none' is no SQL either"),
        ("bad.parquet", errors.IoError, "entity_df: {}/bad.parquet cannot be read: "),
        ("bad.json", errors.IoError, "entity_df: {}/bad.json cannot be read: "),
        ("from 'none.parquet'", errors.IoError, "IO Error: No files found that match the pattern"),
        ("from nowhere", errors.InvalidError, "Table with name nowhere does not exist!"),
    ],
)
def test_files_that_cannot_be_read_are_said_in_one_sentence(tmp_path, frame, error, words):
    for name in ("bad.parquet", "bad.json"):
        (tmp_path / name).write_text("nonsense")
    with pytest.raises(error) as caught:
        read_frame(frame, "entity_df", tmp_path)
    assert words.format(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(errors.InvalidError, match="is a folder; name one file, or pass SQL"):
        read_frame(tmp_path, "entity_df")


def test_a_folder_is_no_file_as_a_text_either(tmp_path):
    (tmp_path / "rows").mkdir()
    for text in ("rows", str(tmp_path / "rows")):
        with pytest.raises(errors.InvalidError, match="is a folder; name one file, or pass SQL"):
            read_frame(text, "entity_df", tmp_path)


def test_entity_rows_are_not_read_from_s3(tmp_path):
    with pytest.raises(errors.UnsupportedError, match="only sources are read from S3"):
        read_frame("s3://bucket/rows.parquet", "entity_df", tmp_path)


def test_python_objects_of_polars_have_no_type():
    frame = pl.DataFrame({"a": pl.Series([object()], dtype=pl.Object)})
    with pytest.raises(errors.SchemaError, match="column 'a' holds Python objects"):
        read_frame(frame, "entity_df")


def test_sql_reads_files_of_the_repo_and_attached_frames(tmp_path):
    pq.write_table(TABLE, tmp_path / "rows.parquet")
    sql = "select r.k, o.n from 'rows.parquet' r join orders o using (k) order by k"
    orders = [{"k": 2, "n": "two"}, {"k": 1}]
    frame = read_frame(sql, "entity_df", tmp_path, {"orders": orders})
    assert pa.table(frame.stream).to_pylist() == [{"k": 1, "n": None}, {"k": 2, "n": "two"}]


@pytest.mark.parametrize(
    "sql",
    [
        "from 'rows.parquet'",
        'select k from "rows.parquet" as r',
        "from read_parquet(['rows.parquet'])",
        "from 'row*.parquet'",
        "select 'ü' as letter, k from 'rows.parquet'",
        "with t as (from 'rows.parquet') from t where 'rows.parquet' <> 'of another name'",
    ],
)
def test_sql_reads_the_file_of_the_repo_whatever_lies_in_the_working_directory(
    tmp_path, monkeypatch, sql
):
    repo, elsewhere = tmp_path / "the repo's", tmp_path / "elsewhere"
    for folder, k in ((repo, 1), (elsewhere, 2)):
        folder.mkdir()
        pq.write_table(pa.table({"k": [k]}), folder / "rows.parquet")
    monkeypatch.chdir(elsewhere)
    assert pa.table(read_frame(sql, "entity_df", repo).stream)["k"].to_pylist() == [1]
    (repo / "rows.parquet").unlink()
    with pytest.raises(errors.IoError, match=r"the repo.s.row"):
        read_frame(sql, "entity_df", repo)


def test_sql_of_texts_and_frames_that_are_called_like_files_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.parquet").write_text("not read")
    (tmp_path / ";").write_text("not read")
    repo = tmp_path / "repo"
    repo.mkdir()
    (repo / "a.csv").write_text("k;v\n1;2\n")
    sql = "select *, 'rows.parquet' as name from \"rows.parquet\", read_csv('a.csv', delim = ';')"
    frame = read_frame(sql, "entity_df", repo, {"rows.parquet": {"n": [5]}})
    assert pa.table(frame.stream).to_pylist() == [{"n": 5, "k": 1, "v": 2, "name": "rows.parquet"}]


def test_sql_does_not_see_variables_of_python_nor_leave_anything(tmp_path):
    variable = pa.table({"a": [1]})
    assert variable.num_rows == 1
    with pytest.raises(errors.InvalidError, match="Table with name variable does not exist"):
        read_frame("select * from variable", "entity_df", tmp_path)
    times = pa.table(read_frame("select now() as t", "entity_df", tmp_path).stream)
    assert times.schema.field("t").type == pa.timestamp("us", "UTC")
    assert list(tmp_path.iterdir()) == []


def test_sql_of_the_oldest_duckdb(tmp_path):
    folder = Path(sys.prefix) / "share" / "duckdb-older"
    if not folder.is_dir():
        pytest.skip("the older DuckDB is not there: tools/setup.sh test installs it")
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            __file__,
            "-k",
            "not oldest",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(folder), "TZ": "America/New_York"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_frames_belong_to_sql(tmp_path):
    with pytest.raises(errors.InvalidError, match="frames are what SQL may name"):
        read_frame(TABLE, "entity_df", tmp_path, {"x": TABLE})
    with pytest.raises(errors.InvalidError, match=r"entity_df is the file .*x\.csv"):
        read_frame("x.csv", "entity_df", tmp_path, {"x": TABLE})
    with pytest.raises(errors.SchemaError, match=r"frames\['x'\] must be a pandas"):
        read_frame("select 1 as a", "entity_df", tmp_path, {"x": 1})


def test_rows_that_lack_a_key_have_a_null():
    table = as_table([{"a": 1}, {"b": "x", "a": None}, {}])
    assert table.to_pylist() == [{"a": 1, "b": None}, {"a": None, "b": "x"}, {"a": None, "b": None}]


def test_a_frame_may_be_exported_twice_whatever_it_was():
    frame = read_frame(OneShot(TABLE), "entity_df")
    for _ in range(2):
        assert pa.RecordBatchReader.from_stream(frame.stream).read_all().num_rows == 2


def test_integers_with_nulls_stay_integers():
    assert (
        as_table(pd.DataFrame({"a": pd.array([1, None], "Int64")})).schema.field("a").type
        == pa.int64()
    )
    assert as_table({"a": [1, None]}).schema.field("a").type == pa.int64()
    assert (
        as_table(pd.DataFrame({"a": pd.Series([2**60, None], dtype=object)})).column("a")[0].as_py()
        == 2**60
    )


def test_nan_is_null_in_pandas_only():
    nan = float("nan")
    assert as_table(pd.DataFrame({"a": [1.0, nan]})).column("a").null_count == 1
    assert as_table({"a": [1.0, nan]}).column("a").null_count == 0
    assert as_table({"a": np.array([1.0, nan])}).column("a").null_count == 0


@pytest.mark.parametrize("zone", [None, "UTC"])
def test_nanoseconds_of_python_objects_are_kept(zone):
    times = [pd.Timestamp("2024-01-01 00:00:00.000000001", tz=zone), None]
    for frame in ({"a": times}, pd.DataFrame({"a": pd.Series(times, dtype=object)})):
        column = as_table(frame).column("a")
        assert column.type == pa.timestamp("ns", zone)
        assert column.cast(pa.int64()).to_pylist() == [1704067200000000001, None]
    lists = as_table({"a": [times, None]}).column("a")
    assert lists.type == pa.list_(pa.timestamp("ns", zone))
    assert lists[0][0].as_py().nanosecond == 1


def test_the_callers_frame_is_a_snapshot_and_stays_as_it_is():
    frame = pd.DataFrame({"a": [1, 2]})
    taken = read_frame(frame, "entity_df")
    frame.loc[0, "a"] = 100
    frame["b"] = 1
    assert taken.pandas["a"].to_list() == [1, 2]
    assert pa.table(taken.stream).column("a").to_pylist() == [1, 2]
    assert taken.names == ["a"]


@pytest.mark.parametrize(
    ("frame", "error", "sentence"),
    [
        (
            pd.DataFrame({"a": [1, "x", None]}),
            errors.SchemaError,
            "entity_df: column 'a' mixes int and str; give its values one type",
        ),
        (
            pd.DataFrame(
                {"a": pd.Series([dt.date(2024, 1, 1), dt.datetime(2024, 1, 1, 5)], dtype=object)}
            ),
            errors.SchemaError,
            "entity_df: column 'a' mixes date and datetime; give its values one type",
        ),
        (
            {"a": [1, True]},
            errors.SchemaError,
            "entity_df: column 'a' mixes int and bool; give its values one type",
        ),
        (
            {"a": ["x", b"x"]},
            errors.SchemaError,
            "entity_df: column 'a' mixes str and bytes; give its values one type",
        ),
        (
            pd.DataFrame({"a": [1j]}),
            errors.SchemaError,
            "entity_df: column 'a' cannot be read: Unsupported numpy type 15",
        ),
        (
            {"a": [2**70]},
            errors.SchemaError,
            "entity_df: column 'a' cannot be read: Python int too large to convert to C long",
        ),
        (
            pd.DataFrame([[1, 2]], columns=["a", "a"]),
            errors.InvalidError,
            "entity_df has two columns named 'a'; every name must be unique",
        ),
        (
            pa.Table.from_arrays([pa.array([1]), pa.array([1])], names=["a", "a"]),
            errors.InvalidError,
            "entity_df has two columns named 'a'; every name must be unique",
        ),
        (
            {"a": [1, 2], "b": [1]},
            errors.InvalidError,
            "entity_df: all columns must have the same number of rows, but 'a' has 2, 'b' has 1",
        ),
        ({"a": "xy"}, errors.SchemaError, "entity_df: column 'a' must be a list, not str"),
        ({1: [1]}, errors.SchemaError, "entity_df has a column named 1; names must be str"),
        (
            pd.Series([1]),
            errors.SchemaError,
            "entity_df must be a DataFrame, not a pandas Series",
        ),
        ([1], errors.SchemaError, "entity_df[0] must be a dict, not int"),
        (
            {"a"},
            errors.SchemaError,
            "entity_df must be a pandas, Polars or Arrow table, a dict of lists, a list of dicts, "
            "a path, SQL, or have __arrow_c_stream__; it is a builtins.set",
        ),
        (
            "copy (select 1) to 'never.csv'",
            errors.InvalidError,
            "entity_df must be one query that only reads (select ...), not a statement of kind "
            "COPY",
        ),
        (
            "create table t as select 1",
            errors.InvalidError,
            "entity_df must be one query that only reads (select ...), not a statement of kind "
            "CREATE",
        ),
        (
            "select 1; select 2",
            errors.InvalidError,
            "entity_df must be one query that only reads (select ...), not several statements",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_table_is_said_in_one_sentence(frame, error, sentence):
    with pytest.raises(error) as caught:
        read_frame(frame, "entity_df")
    assert str(caught.value) == sentence


MIXED = pa.table(
    {
        "i32": pa.array([1, None], pa.int32()),
        "i64": pa.array([2**60, None], pa.int64()),
        "full": pa.array([1, 2], pa.int32()),
        "b": pa.array([True, None]),
        "f": pa.array([1.5, None], pa.float32()),
        "s": pa.array(["x", None]),
        "y": pa.array([b"x", None]),
        "t": pa.array([1, None], pa.timestamp("ms", "UTC")),
        "d": pa.array([1, None], pa.date32()),
        "l": pa.array([[1, None], None], pa.list_(pa.int64())),
        "v": pa.array(["x", None], pa.string_view()),
    }
)


def test_pandas_without_loss():
    frame = table_to_pandas(MIXED, None)
    assert [str(t) for t in frame.dtypes][:5] == ["Int32", "Int64", "int32", "boolean", "float32"]
    assert str(frame["t"].dtype) == "datetime64[ms, UTC]"
    assert frame["i64"][0] == 2**60
    assert frame["y"][0] == b"x"
    assert frame["d"][0] == dt.date(1970, 1, 2)
    assert frame["l"][0] == [1, None]
    assert frame["l"][1] is None
    assert frame["s"][0] == frame["v"][0] == "x"
    assert frame.iloc[1].drop(["full"]).isna().all()


def test_other_dtype_backends():
    arrow = table_to_pandas(MIXED, "pyarrow")
    assert all(isinstance(t, pd.ArrowDtype) for t in arrow.dtypes)
    nullable = table_to_pandas(MIXED, "numpy_nullable")
    assert [str(t) for t in nullable.dtypes][:5] == [
        "Int32",
        "Int64",
        "Int32",
        "boolean",
        "Float32",
    ]
    with pytest.raises(
        ValueError, match="dtype_backend must be None, 'pyarrow' or 'numpy_nullable'"
    ):
        table_to_pandas(MIXED, "polars")


def test_tables_without_rows_or_columns():
    assert table_to_pandas(MIXED.slice(0, 0), None).shape == (0, 11)
    assert table_to_pandas(pa.table({}), None).shape == (0, 0)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (dt.datetime(1970, 1, 1, 0, 0, 1), 1_000_000),
        (dt.datetime(1970, 1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1))), 0),
        (dt.date(1970, 1, 2), 86_400_000_000),
        ("1970-01-01", 0),
        ("1970-01-01T00:00:01Z", 1_000_000),
        ("1970-01-01 02:00:00+02:00", 0),
        (pd.Timestamp("1970-01-01 00:00:00.000001999"), 1),
        (np.datetime64("1970-01-01T00:00:01"), 1_000_000),
        (dt.datetime(1969, 12, 31, 23, 59, 59, 999_999), -1),
        (dt.datetime(9999, 12, 31), 253_402_214_400_000_000),
    ],
)
def test_instants_in_every_spelling(value, expected):
    assert to_us(value, "end_date") == expected


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("soon", "end_date: 'soon' is no time; write e.g. 2024-01-31 or 2024-01-31T12:00:00Z"),
        (pd.NaT, "end_date is NaT; a time is needed"),
        (np.datetime64("NaT"), "end_date is NaT; a time is needed"),
        (3, "end_date must be a datetime, a date or a str in ISO 8601, not int"),
        (None, "end_date must be a datetime, a date or a str in ISO 8601, not NoneType"),
    ],
)
def test_what_is_no_instant_is_said_in_one_sentence(value, sentence):
    with pytest.raises((errors.InvalidError, errors.SchemaError)) as caught:
        to_us(value, "end_date")
    assert str(caught.value) == sentence
