"""Training sets within a memory limit: equal results, peaks, batches, interrupts, faults."""

import datetime as dt
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tiffin import (
    Entity,
    FeatureStore,
    FeatureView,
    Field,
    FileSource,
    SavedDatasetFileStorage,
    errors,
)
from tiffin.types import Int64, String

HOUR_US = 3_600_000_000
N_ROWS = 20_000
N_FEATURES = 150
ALL = [f"wide:x{i}" for i in range(N_FEATURES)] + ["wide:word"]
LIMIT = "28MB"


def times(hours: np.ndarray) -> pa.Array:
    return pa.array(hours * HOUR_US + 1_700_000_000_000_000, pa.timestamp("us", "UTC"))


def write_source(path: Path, n_rows: int, n_features: int, word: bool = True) -> None:
    """Rows of an hour each, in time order; few distinct values, so the file is small."""
    rng = np.random.default_rng(7)
    columns = {
        "k": rng.integers(0, 500, n_rows),
        "event_timestamp": times(np.arange(n_rows)),
        **{f"x{i}": rng.integers(0, 200, n_rows) for i in range(n_features)},
    }
    if word:
        columns["word"] = pa.array([None if i % 7 == 0 else "w" * (i % 50) for i in range(n_rows)])
    pq.write_table(pa.table(columns), path, row_group_size=n_rows // 10)


def make_store(folder: Path, n_features: int, ttl: dt.timedelta | None, word: bool = True):
    (folder / "feature_store.yaml").write_text("project: wide\n")
    store = FeatureStore(folder)
    schema = [Field(name=f"x{i}", dtype=Int64) for i in range(n_features)]
    store.apply(
        FeatureView(
            name="wide",
            entities=[Entity(name="k")],
            source=FileSource(path="wide.parquet", timestamp_field="event_timestamp"),
            schema=[*schema, Field(name="word", dtype=String)] if word else schema,
            ttl=ttl,
        )
    )
    return store


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """One source, with a ttl of 60 days and without."""
    found = {}
    for name, ttl in (("ttl", dt.timedelta(days=60)), ("no ttl", None)):
        folder = tmp_path_factory.mktemp("wide")
        if not found:
            write_source(folder / "wide.parquet", N_ROWS, N_FEATURES)
        else:
            (folder / "wide.parquet").hardlink_to(found["ttl"] / "wide.parquet")
        make_store(folder, N_FEATURES, ttl)
        found[name] = folder
    return found


def rows_of(order: str, n: int = N_ROWS) -> pa.Table:
    rng = np.random.default_rng(3)
    hours = rng.integers(0, N_ROWS, n)
    hours = np.sort(hours) if order == "ascending" else hours
    table = pa.table(
        {"label": np.arange(n), "k": rng.integers(0, 510, n), "event_timestamp": times(hours)}
    )
    return pa.Table.from_batches(table.to_batches(max_chunksize=7_001))


def memory_of(job) -> dict:
    return job.explain().to_dict()["memory"]


# ---- equal results ----


@pytest.mark.parametrize(
    ("folder", "order", "strategy"),
    [
        ("ttl", "random", "by time"),
        ("ttl", "ascending", "by rows"),
        ("no ttl", "random", "by rows"),
    ],
)
def test_parts_give_the_same_as_the_whole(folders, folder, order, strategy):
    store = FeatureStore(folders[folder])
    whole = store.get_historical_features(rows_of(order), ALL)
    parts = store.get_historical_features(rows_of(order), ALL, memory_limit=LIMIT)
    planned = memory_of(parts)
    assert parts.to_arrow().combine_chunks().equals(whole.to_arrow().combine_chunks())
    done = memory_of(parts)
    assert memory_of(whole)["strategy"] == "whole"
    assert (planned["strategy"], done["strategy"]) == (strategy, strategy)
    assert planned["parts"] >= 5 and planned["parts_done"] == []
    assert sum(part["rows"] for part in done["parts_done"]) == N_ROWS
    room = done["limit_bytes"] - done["reader_bytes"]
    assert all(0 < part["bytes"] < room for part in done["parts_done"])
    assert (done["spool_bytes"] > 0) == (strategy == "by time")
    view = parts.explain().to_dict()["views"][0]
    assert view["entity_rows"]["rows"] == N_ROWS
    assert "bytes_at_most" not in view["scans_done"][0]  # the plan is that of one part
    assert f"parts {strategy}: " in str(parts.explain())


def test_two_views_are_joined_part_by_part(folders):
    store = FeatureStore(folders["ttl"])
    view = store.get_feature_view("wide")
    asked = [view, view.with_name("again").with_join_key_map({"k": "label"})]
    whole = store.get_historical_features(rows_of("random"), asked, full_feature_names=True)
    parts = store.get_historical_features(
        rows_of("random"), asked, full_feature_names=True, memory_limit="35MB"
    )
    assert parts.to_arrow().combine_chunks().equals(whole.to_arrow().combine_chunks())
    assert memory_of(parts)["strategy"] == "by time"


def test_the_limit_may_stand_in_the_configuration(folders, tmp_path):
    (tmp_path / "wide.parquet").hardlink_to(folders["ttl"] / "wide.parquet")
    make_store(tmp_path, N_FEATURES, None)
    yaml = f"project: wide\noffline_store: {{type: file, memory_limit: {LIMIT}}}\n"
    (tmp_path / "feature_store.yaml").write_text(yaml)
    store = FeatureStore(tmp_path)
    job = store.get_historical_features(rows_of("random"), ALL)
    assert memory_of(job)["limit_bytes"] == 28_000_000
    job = store.get_historical_features(rows_of("random"), ALL, memory_limit="1GB")
    assert memory_of(job)["strategy"] == "whole"


# ---- limits ----


def test_a_limit_that_is_too_small_names_one_that_does(folders):
    store = FeatureStore(folders["ttl"])
    job = store.get_historical_features(rows_of("random"), ALL, memory_limit="9MB")
    with pytest.raises(errors.LimitError, match=r"a memory_limit of 9\.0 MB is too small") as told:
        job.to_arrow()
    least = re.search(r"would do is (\d+MB)$", str(told.value))[1]
    rows = rows_of("ascending", 3000)
    assert store.get_historical_features(rows, ALL, memory_limit=least).to_arrow().num_rows == 3000


def test_the_limit_that_is_named_for_many_features_does(folders):
    store = FeatureStore(folders["ttl"])
    view = store.get_feature_view("wide")
    views = [view.with_name(f"wide{i}") for i in range(8)]
    rows = rows_of("ascending", 2_000)
    small = store.get_historical_features(rows, views, full_feature_names=True, memory_limit="9MB")
    with pytest.raises(errors.LimitError) as told:
        small.to_arrow()
    least = re.search(r"would do is (\d+MB)$", str(told.value))[1]
    assert int(least[:-2]) > 32 * 1.05  # in MiB: where the reader takes half
    job = store.get_historical_features(rows, views, full_feature_names=True, memory_limit=least)
    assert job.to_arrow().num_rows == 2_000


def test_texts_larger_than_the_readers_share_name_the_limit(tmp_path):
    rng = np.random.default_rng(1)
    words = [rng.bytes(500_000).hex() for _ in range(64)]
    hours = np.arange(64)
    pq.write_table(
        pa.table({"k": hours, "event_timestamp": times(hours), "word": words}),
        tmp_path / "wide.parquet",
    )
    store = make_store(tmp_path, 0, None)
    rows = pa.table({"k": hours, "event_timestamp": times(hours)})
    with pytest.raises(errors.LimitError, match=r"DuckDB may use here .*; raise memory_limit"):
        store.get_historical_features(rows, ["wide:word"], memory_limit="24MB").to_arrow()
    words_again = store.get_historical_features(rows, ["wide:word"]).to_arrow()["word"]
    assert words_again.to_pylist() == words


def add_text_views(folder: Path) -> FeatureStore:
    """Beside the view of a Parquet file, one of a small JSON and one of a CSV of some 29 MB."""
    rng = np.random.default_rng(5)
    lines = [json.dumps({"k": i, "ts": "2024-01-01 00:00:00", "y": i}) for i in range(50)]
    (folder / "rows.json").write_text("\n".join(lines))
    digits = rng.integers(10**17, 10**18, (100_000, 15))
    text = "\n".join(
        f"{i},2024-01-01 00:00:00,{','.join(map(str, row))}"
        for i, row in enumerate(digits.tolist())
    )
    header = ",".join(["k", "ts", *(f"z{i}" for i in range(15))])
    (folder / "rows.csv").write_text(f"{header}\n{text}\n")
    store = FeatureStore(folder)
    for name in ("json", "csv"):
        source = FileSource(path=f"rows.{name}", file_format=name, timestamp_field="ts")
        fields = ["y"] if name == "json" else ["z0", "z14"]
        schema = [Field(name=field, dtype=Int64) for field in fields]
        store.apply(
            FeatureView(name=name, entities=[Entity(name="k")], source=source, schema=schema)
        )
    return store


def test_the_limit_of_a_call_ends_with_it(tmp_path):
    """What a call may use must not be what the next one opens its files with."""
    write_source(tmp_path / "wide.parquet", 2_000, 5)
    store = make_store(tmp_path, 5, None)
    rows = rows_of("ascending", 1_000)
    small = {"memory_limit": "25MB"}
    assert store.get_historical_features(rows, ["wide:x0"], **small).to_arrow().num_rows == 1_000
    store = add_text_views(tmp_path)  # reads the files' columns
    now = pa.table({"k": [1, 2], "event_timestamp": times(np.array([9_000, 9_000]))})
    for feature in ("json:y", "csv:z14"):
        store.get_historical_features(rows, ["wide:x0"], **small).to_arrow()
        assert store.get_historical_features(now, [feature]).explain().to_dict()["views"]
        answer = store.get_historical_features(now, [feature]).to_arrow()
        assert answer.column(answer.num_columns - 1).null_count == 0


def test_calls_at_once_do_not_starve_each_other(folders, tmp_path):
    """A call without a limit keeps its memory beside calls that have one."""
    rng = np.random.default_rng(1)
    hours = np.arange(64)
    words = [rng.bytes(500_000).hex() for _ in hours]
    table = pa.table({"k": hours, "event_timestamp": times(hours), "word": words})
    pq.write_table(table, tmp_path / "wide.parquet")
    texts = make_store(tmp_path, 0, None)
    rows = table.select(["k", "event_timestamp"])
    limited = FeatureStore(folders["no ttl"]).get_historical_features(
        rows_of("random"), ALL, memory_limit=LIMIT
    )
    ended = threading.Event()

    def read_within_a_limit() -> int:
        n_batches = 0
        while not ended.is_set():
            n_batches += sum(1 for _ in limited.to_batches())
        return n_batches

    with ThreadPoolExecutor(1) as pool:
        beside = pool.submit(read_within_a_limit)
        try:
            for _ in range(5):
                answer = texts.get_historical_features(rows, ["wide:word"]).to_arrow()
                assert answer["word"].to_pylist() == words
        finally:
            ended.set()
    assert beside.result() > 0


@pytest.mark.parametrize("limit", ["lots", "-1GB", 0, "4 parsecs", True, float("nan")])
def test_what_is_no_size_is_refused(folders, limit):
    store = FeatureStore(folders["ttl"])
    with pytest.raises(errors.InvalidError, match=r"memory_limit must be e\.g\. 512MB, not "):
        store.get_historical_features(rows_of("random"), ALL, memory_limit=limit)


def test_a_null_time_is_named_by_its_row_of_all(folders):
    rows = rows_of("ascending")
    stamps = rows["event_timestamp"].to_pylist()
    stamps[15_000] = None
    rows = rows.set_column(2, "event_timestamp", pa.array(stamps, pa.timestamp("us", "UTC")))
    job = FeatureStore(folders["ttl"]).get_historical_features(rows, ALL, memory_limit=LIMIT)
    with pytest.raises(errors.InvalidError, match="null in row 15000 "):
        job.to_arrow()


def test_a_history_keeps_to_the_limit_and_names_it(folders, tmp_path):
    store = FeatureStore(folders["ttl"])
    sentence = r"need more than the limit of 1000000 bytes; .* or raise memory_limit"
    with pytest.raises(errors.LimitError, match=sentence):
        store.history("wide", None, None, memory_limit="1MB")
    assert len(store.history("wide", None, None).to_arrow()) == N_ROWS
    (tmp_path / "wide.parquet").hardlink_to(folders["ttl"] / "wide.parquet")
    make_store(tmp_path, N_FEATURES, dt.timedelta(days=60))
    yaml = "project: wide\noffline_store: {type: file, memory_limit: 1MB}\n"
    (tmp_path / "feature_store.yaml").write_text(yaml)
    small = FeatureStore(tmp_path)
    with pytest.raises(errors.LimitError, match=sentence):
        small.history("wide", None, None)
    with pytest.raises(errors.LimitError, match=sentence):  # events as entity rows
        small.get_historical_features(features=["wide:x0"], start_date="2000-01-01")
    whole = small.history("wide", None, None, memory_limit="1GB")
    assert len(whole.to_arrow()) == N_ROWS


@pytest.mark.parametrize(
    "command",
    [
        ["get-historical-features", "-f", "wide:x0", "-d", "rows.parquet"],
        ["explain", "-f", "wide:x0", "-d", "rows.parquet", "--analyze"],
        ["check-leakage", "-f", "wide:x0", "-d", "rows.parquet"],
        ["history", "wide"],
    ],
)
def test_commands_take_a_limit(folders, command):
    folder = folders["ttl"]
    pq.write_table(rows_of("random", 5000), folder / "rows.parquet")

    def run_with(limit: str) -> subprocess.CompletedProcess:
        line = [sys.executable, "-m", "tiffin.cli.main", *command, "--memory-limit", limit]
        return subprocess.run(line, cwd=folder, capture_output=True, text=True)

    refused = run_with("1MB")
    assert refused.returncode == 1
    assert "limit" in refused.stderr and "Traceback" not in refused.stderr
    assert run_with("lots").stderr.strip().endswith("memory_limit must be e.g. 512MB, not 'lots'")
    done = run_with("1GB")
    assert done.returncode == 0, done.stderr


# ---- batches ----


@pytest.mark.parametrize("limit", [None, LIMIT])
@pytest.mark.parametrize("order", ["random", "ascending"])
@pytest.mark.parametrize("max_rows", [None, 1000])
def test_batches_are_the_table_in_pieces(folders, limit, order, max_rows):
    store = FeatureStore(folders["ttl"])
    job = store.get_historical_features(rows_of(order), ALL, memory_limit=limit)
    batches = list(job.to_batches(max_rows))
    assert all(0 < batch.num_rows <= (max_rows or 65_536) for batch in batches)
    table = pa.Table.from_batches(batches).combine_chunks()
    assert "not computed yet" in repr(job)
    assert table.equals(job.to_arrow().combine_chunks())
    again = list(job.to_batches(max_rows))  # of what is kept now
    assert pa.Table.from_batches(again).combine_chunks().equals(table)
    assert all(batch.num_rows <= (max_rows or 65_536) for batch in again)


def test_batches_of_no_rows_and_of_wrong_sizes(folders):
    store = FeatureStore(folders["ttl"])
    job = store.get_historical_features(rows_of("random").slice(0, 0), ALL)
    assert list(job.to_batches()) == []
    with pytest.raises(errors.InvalidError, match="max_rows must be at least 1, not 0"):
        job.to_batches(0)
    with pytest.raises(TypeError):
        job.to_batches(1.5)


def test_the_first_batch_comes_before_the_last_part_and_errors_where_they_happen(folders, tmp_path):
    path = tmp_path / "wide.parquet"
    write_source(path, N_ROWS, N_FEATURES)
    store = make_store(tmp_path, N_FEATURES, dt.timedelta(days=60))
    rows = rows_of("ascending")
    expected = store.get_historical_features(rows, ALL).to_arrow()
    job = store.get_historical_features(rows, ALL, memory_limit=LIMIT)
    batches = job.to_batches()
    read, n_parts = [], 0
    while n_parts < 2:  # a part is one batch, but where a batch of the rows ends
        read.append(next(batches))
        n_parts = len({batch.column("x0").buffers()[1].address for batch in read})
    path.unlink()
    with pytest.raises(errors.IoError, match=re.escape(str(path))):
        for batch in batches:
            read.append(batch)
    table = pa.Table.from_batches(read)
    assert 0 < table.num_rows < N_ROWS
    assert table.combine_chunks().equals(expected.slice(0, table.num_rows).combine_chunks())
    assert next(batches, None) is None


def test_files_are_written_part_by_part_with_equal_bytes(folders, tmp_path, monkeypatch):
    from tiffin.offline import parquet

    monkeypatch.setattr(parquet, "ROWS_PER_GROUP", 1_999)
    store = FeatureStore(folders["ttl"])
    for order in ("random", "ascending"):
        whole = store.get_historical_features(rows_of(order), ALL)
        whole.to_arrow()
        parts = store.get_historical_features(rows_of(order), ALL, memory_limit=LIMIT)
        assert memory_of(parts)["parts"] >= 5
        written = []
        for job in (whole, parts):
            job.to_parquet(tmp_path / "set.parquet")
            storage = SavedDatasetFileStorage(tmp_path / "set")
            job.persist(storage, allow_overwrite=True)
            written.append(
                {
                    p.name: p.read_bytes()
                    for p in [*tmp_path.glob("set/*"), tmp_path / "set.parquet"]
                }
            )
        assert written[0] == written[1]
        assert len(written[0]) == 3
        assert repr(parts) == "<RetrievalJob: not computed yet>"  # written as it came, not kept


def test_an_error_of_a_later_part_leaves_no_file(tmp_path):
    path = tmp_path / "wide.parquet"
    write_source(path, N_ROWS, N_FEATURES)
    store = make_store(tmp_path, N_FEATURES, dt.timedelta(days=60))
    parts = set()

    def lose(what: str, *_: int) -> None:
        if match := re.match(r"part (\d+)", what):
            parts.add(int(match[1]))
        if max(parts, default=0) >= 3:
            path.unlink(missing_ok=True)

    job = store.get_historical_features(
        rows_of("ascending"), ALL, memory_limit=LIMIT, progress=lose
    )
    before = sorted(p.name for p in tmp_path.iterdir() if p != path)
    with pytest.raises(errors.IoError, match=re.escape(str(path))):
        job.to_parquet(tmp_path / "set.parquet")
    assert parts >= {1, 2, 3}
    write_source(path, N_ROWS, N_FEATURES)
    parts.clear()
    with pytest.raises(errors.IoError, match=re.escape(str(path))):
        store.create_saved_dataset(job, "set", SavedDatasetFileStorage("set"))
    assert parts >= {1, 2, 3}
    assert sorted(p.name for p in tmp_path.iterdir()) == before
    assert store.list_saved_datasets() == []


def test_progress_tells_the_part(folders):
    told = []
    store = FeatureStore(folders["ttl"])
    job = store.get_historical_features(
        rows_of("random"), ALL, memory_limit=LIMIT, progress=lambda *a: told.append(a)
    )
    job.to_arrow()
    assert re.fullmatch(r"part 1 of \d+: entity rows", told[0][0])
    assert told[0][1:] == (0, N_ROWS)
    assert all(re.match(r"part \d+ of \d+: |reading the answers", what) for what, _, _ in told)
    assert all(done >= 0 and total >= -1 for _, done, total in told)


def test_batches_are_for_one_thread(folders):
    store = FeatureStore(folders["ttl"])
    held = []

    def progress(*_):
        with pytest.raises(errors.InvalidError, match="another thread is reading these batches"):
            batches.next()
        held.append(True)

    request = json.dumps({"features": ALL})
    batches = store._engine.batches(
        request, rows_of("ascending"), memory_limit_bytes=28_000_000, progress=progress
    )
    assert batches.next() is not None
    assert held
    assert json.loads(batches.report())["ran"]
    assert batches.next() is None
    batches.close()
    with pytest.raises(errors.InvalidError, match="these batches have ended"):
        batches.report()


# ---- processes ----

BIG_FEATURES = 40
BIG_ROWS = 1_200_000


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    folder = tmp_path_factory.mktemp("big")
    write_source(folder / "wide.parquet", BIG_ROWS, BIG_FEATURES, word=False)
    make_store(folder, BIG_FEATURES, dt.timedelta(days=200), word=False)
    return folder


CHILD = """
import hashlib, json, os, resource, signal, sys, time
import numpy as np, pyarrow as pa
from tiffin import FeatureStore
def peak():
    lines = open('/proc/self/status').read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith('VmHWM'))
def rows(n, hours):
    rng = np.random.default_rng(3)
    at = rng.integers(0, hours, n) * 3_600_000_000 + 1_700_000_000_000_000
    return pa.table({"k": rng.integers(0, 500, n),
                     "event_timestamp": pa.array(at, pa.timestamp("us", "UTC"))})
store = FeatureStore(sys.argv[1])
features = [f"wide:x{i}" for i in range(int(sys.argv[2]))]
"""


def start(code: str, folder: Path, n_features: int, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-u", "-c", CHILD + textwrap.dedent(code), str(folder), str(n_features)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def run(code: str, folder: Path, n_features: int, **options) -> dict:
    child = start(code, folder, n_features, **options)
    out, err = child.communicate(timeout=600)
    assert child.returncode == 0, err
    return json.loads(out)


def measure(n: int, limit: int | None, big: Path) -> dict:
    code = f"""
    table = rows({n}, {BIG_ROWS})
    job = store.get_historical_features(table, features, memory_limit={limit})
    digests = [hashlib.sha256() for _ in features]
    for batch in job.to_batches():
        for digest, column in zip(digests, batch.columns[-len(features):]):
            digest.update(column.fill_null(-1).to_numpy().tobytes())
    print(json.dumps([peak(), table.nbytes, [digest.hexdigest() for digest in digests]]))
    """
    peak, nbytes, digest = run(code, big, BIG_FEATURES)
    return {"peak": peak, "rows": nbytes, "digest": digest}


@pytest.mark.alone
def test_a_tenth_of_the_memory_is_enough(big):
    """Peak <= limit + base: the same request for a hundred rows, and the caller's rows."""
    n = 1_000_000
    code = f"""
    job = store.get_historical_features(rows({n}, {BIG_ROWS}), features)
    job.to_arrow()
    print(json.dumps(job.explain().to_dict()["views"][0]["bytes_used"]))
    """
    used = run(code, big, BIG_FEATURES)
    limit = (used["index"] + used["slots"] + used["values"]) // 10
    base = measure(100, limit, big)
    whole = measure(n, None, big)
    parts = measure(n, limit, big)
    assert parts["digest"] == whole["digest"]
    print(f"limit {limit:,}, base {base['peak']:,}, whole {whole['peak']:,}, {parts['peak']:,}")
    assert whole["peak"] > base["peak"] + 5 * limit
    assert parts["peak"] <= base["peak"] + parts["rows"] + limit


@pytest.mark.alone
def test_a_file_takes_no_more_memory_than_its_parts(big, tmp_path):
    n, limit = 800_000, 50_000_000
    peaks = []
    for prepare in ("", "job.to_arrow()"):
        code = f"""
        job = store.get_historical_features(rows({n}, {BIG_ROWS}), features, memory_limit={limit})
        {prepare}
        job.to_parquet({str(tmp_path / "set.parquet")!r})
        print(json.dumps(peak()))
        """
        peaks.append(run(code, big, BIG_FEATURES))
    rows_bytes = n * BIG_FEATURES * 8
    print(f"as it is computed {peaks[0]:,}, whole {peaks[1]:,}, rows {rows_bytes:,}")
    assert peaks[0] < peaks[1] - rows_bytes // 2


@pytest.mark.alone
@pytest.mark.parametrize("how", ["job.to_arrow()", "list(job.to_batches())"])
def test_ctrl_c_ends_a_part_and_leaves_nothing(big, tmp_path, how):
    code = f"""
    job = store.get_historical_features(rows(1_000_000, {BIG_ROWS}), features, memory_limit="60MB",
                                        progress=lambda what, *_: print(what.split(":")[0]))
    try:
        {how}
    except KeyboardInterrupt:
        print("stopped", time.monotonic())
        print(os.listdir(os.environ["TMPDIR"]), [os.readlink(f"/proc/self/fd/{{fd}}")
              for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{{fd}}")])
        small = store.get_historical_features(rows(10, 100), features)
        print(small.to_arrow().num_rows)
    """
    child = start(code, big, BIG_FEATURES, env={**os.environ, "TMPDIR": str(tmp_path)})
    assert child.stdout is not None
    part = 0
    while part < 3:  # not each is told
        told = re.match(r"part (\d+) of \d+$", child.stdout.readline())
        part = int(told[1]) if told else part
        assert child.poll() is None
    sent = time.monotonic()
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    lines = out.splitlines()
    i = next(i for i, line in enumerate(lines) if line.startswith("stopped"))
    late_s = float(lines[i].split()[1]) - sent
    assert late_s < 1, late_s  # 0.2 s on a machine that does nothing else
    assert lines[i + 1].startswith("[] ") and "tiffin-spool" not in lines[i + 1]
    assert lines[i + 2] == "10"


def test_a_full_disk_is_one_sentence_and_leaves_nothing(folders, tmp_path):
    code = f"""
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
    job = store.get_historical_features(rows(20_000, {N_ROWS}), features, memory_limit="{LIMIT}")
    try:
        job.to_arrow()
    except Exception as error:
        print(json.dumps([type(error).__name__, str(error)]))
    """
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    kind, sentence = run(code, folders["ttl"], N_FEATURES, env=env)
    assert kind == "IoError"
    assert sentence.startswith(f"the temporary file of a training set in '{tmp_path}' could not be")
    assert "File too large" in sentence and "temp_directory" in sentence
    assert list(tmp_path.iterdir()) == []


def test_a_folder_for_temporary_files_that_is_not_there_is_told(folders, tmp_path):
    (tmp_path / "wide.parquet").hardlink_to(folders["ttl"] / "wide.parquet")
    make_store(tmp_path, N_FEATURES, dt.timedelta(days=60))
    yaml = "project: wide\noffline_store: {type: file, temp_directory: nowhere}\n"
    (tmp_path / "feature_store.yaml").write_text(yaml)
    store = FeatureStore(tmp_path)
    job = store.get_historical_features(rows_of("random"), ALL, memory_limit=LIMIT)
    with pytest.raises(errors.IoError, match=r"nowhere', which cannot be made; set temp_directory"):
        job.to_arrow()
