"""Training sets through the C API as an Arrow stream that is computed as it is read (ctypes)."""

import ctypes as c
import datetime as dt
import json
from pathlib import Path

import pyarrow as pa
import pytest
from test_memory_limit import ALL, N_FEATURES, N_ROWS, make_store, rows_of, write_source

from tiffin import FeatureStore
from tiffin.store.engine import find_duckdb

LIBRARY = Path(__file__).parents[2] / "build" / "py" / "src" / "libtiffin.so"

pytestmark = pytest.mark.skipif(
    not LIBRARY.exists(), reason="needs build/py, which tools/install.sh makes"
)


class Time(c.Structure):
    _fields_ = (("seconds", c.c_int64), ("nanos", c.c_int32), ("is_set", c.c_int32))


class Opts(c.Structure):
    _fields_ = (
        ("struct_size", c.c_size_t),
        ("project", c.c_char_p),
        ("registry_path", c.c_char_p),
        ("online_path", c.c_char_p),
        ("base_path", c.c_char_p),
        ("duckdb_library", c.c_char_p),
        ("duckdb_memory_bytes", c.c_size_t),
        ("memory_limit_bytes", c.c_int64),
        ("temp_path", c.c_char_p),
        ("n_threads", c.c_int32),
        ("online_ttl", c.c_int32),
        ("s3", c.c_char_p),
        ("redis", c.c_char_p),
        ("online_sync", c.c_int32),
        ("reserved", c.c_int32),
        ("online_max_ahead_seconds", c.c_int64),
    )


class Request(c.Structure):
    _fields_ = (
        ("struct_size", c.c_size_t),
        ("features", c.c_char_p),
        ("time_column", c.c_char_p),
        ("filter_by_created", c.c_int32),
        ("force_one_step", c.c_int32),
        ("known_at", Time),
        ("memory_limit_bytes", c.c_int64),
        ("max_batch_rows", c.c_int64),
        ("tick", c.c_void_p),
        ("tick_context", c.c_void_p),
    )


class Stream(c.Structure):
    """An ArrowArrayStream, as memory that pyarrow fills and reads."""

    _fields_ = (("words", c.c_void_p * 5),)


def begin(folder: Path, rows: pa.Table, limit_bytes: int) -> tuple[int, Stream, dict | None]:
    """Open a store, ask for a training set, and close the store before the stream is read."""
    lib = c.CDLL(str(LIBRARY))
    opts = Opts(
        struct_size=c.sizeof(Opts),
        project=b"wide",
        registry_path=str(folder / "data" / "registry.db").encode(),
        base_path=str(folder).encode(),
        duckdb_library=find_duckdb().encode(),
    )
    request = Request(
        struct_size=c.sizeof(Request),
        features=json.dumps({"features": ALL}).encode(),
        memory_limit_bytes=limit_bytes,
        max_batch_rows=1500,
    )
    store, report, error = c.c_void_p(), c.c_void_p(), c.create_string_buffer(4096)
    spine, out = Stream(), Stream()
    assert lib.tfn_store_open(c.byref(opts), c.byref(store), error) == 0, error.raw
    rows.to_reader()._export_to_c(c.addressof(spine))
    code = lib.tfn_store_historical(
        store, c.byref(request), c.byref(spine), c.byref(out), c.byref(report), error
    )
    text = c.string_at(report.value).decode() if report.value else "null"
    lib.tfn_text_destroy(report)
    lib.tfn_store_close(store)
    if spine.words[3]:  # not taken: pyarrow releases it
        pa.RecordBatchReader._import_from_c(c.addressof(spine)).close()
    return code, out, json.loads(text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wide")
    write_source(folder / "wide.parquet", N_ROWS, N_FEATURES)
    make_store(folder, N_FEATURES, dt.timedelta(days=60))
    return folder


@pytest.mark.parametrize(
    ("order", "strategy", "at_once"), [("ascending", "by rows", False), ("random", "by time", True)]
)
def test_a_stream_outlives_its_store_and_is_computed_as_it_is_read(
    folder, order, strategy, at_once
):
    code, out, report = begin(folder, rows_of(order), 28_000_000)
    assert code == 0
    memory = report["memory"]
    assert memory["strategy"] == strategy
    assert (len(memory["parts_done"]) == 1) == (not at_once)
    reader = pa.RecordBatchReader._import_from_c(c.addressof(out))
    batches = list(reader)
    assert all(batch.num_rows <= 1500 for batch in batches)
    expected = FeatureStore(folder).get_historical_features(rows_of(order), ALL).to_arrow()
    assert pa.Table.from_batches(batches).combine_chunks().equals(expected.combine_chunks())


def test_a_later_part_says_what_went_wrong(tmp_path):
    path = tmp_path / "wide.parquet"
    write_source(path, N_ROWS, N_FEATURES)
    make_store(tmp_path, N_FEATURES, dt.timedelta(days=60))
    code, out, _ = begin(tmp_path, rows_of("ascending"), 28_000_000)
    assert code == 0
    path.unlink()
    reader = pa.RecordBatchReader._import_from_c(c.addressof(out))
    read = [reader.read_next_batch()]  # of the part that is there
    with pytest.raises(OSError, match=r"wide\.parquet"):
        for batch in reader:
            read.append(batch)
    assert 0 < sum(batch.num_rows for batch in read) < N_ROWS


def test_a_stream_may_be_dropped_unread(folder):
    code, out, _ = begin(folder, rows_of("random"), 28_000_000)
    assert code == 0
    pa.RecordBatchReader._import_from_c(c.addressof(out)).close()


def test_a_limit_that_is_too_small_is_an_error_of_the_call(folder):
    code, out, report = begin(folder, rows_of("random"), 1_000_000)
    assert code != 0
    assert report is None
    assert not out.words[3]
