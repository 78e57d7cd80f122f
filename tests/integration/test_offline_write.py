"""Rows added to a source: one file more, whole or not at all, read by everything after it."""

import datetime as dt
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pushes import T0, definitions, make_repo, online, rides, training

from tiffin import FeatureStore
from tiffin.errors import InvalidError, IoError, NotFoundError, SchemaError, UnsupportedError

HOUR = dt.timedelta(hours=1)


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return make_repo(tmp_path)


@pytest.fixture
def folder(store) -> Path:
    return store.repo_path / "data" / "rides"


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def at(hours: int, **changes) -> pa.Table:
    times = pa.array([T0 + hours * HOUR] * 2, pa.timestamp("us", "UTC"))
    return rides(event_timestamp=times, **changes)


# ---- what is read afterwards


def test_training_sets_and_materialize_see_the_rows(store, folder):
    report = store.write_to_offline_store("stats", at(1, trips=pa.array([11, 21])))
    assert report["rows_read"] == 2
    assert report["views"] == ["stats"]
    assert training(store, 1, T0) == {"trips": 10, "km": 0.5, "city": "a"}
    assert training(store, 1, T0 + HOUR)["trips"] == 11
    store.materialize(None, T0 + HOUR)
    assert online(store, 1, 2)["trips"] == [11, 21]
    assert Path(report["file"]).name in names(folder)


def test_existing_files_stay_as_they_are(store, folder):
    before = (folder / "first.parquet").stat()
    store.write_to_offline_store("stats", at(1))
    store.write_to_offline_store("stats", at(2))
    after = (folder / "first.parquet").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert len(names(folder)) == 3


@pytest.mark.parametrize("first", ["first.parquet", "zebra.parquet", "~x.pq", "été.parquet"])
def test_of_equal_rows_the_later_write_wins(store, folder, first):
    (folder / "first.parquet").rename(folder / first)
    for i in range(12):
        store.write_to_offline_store("stats", rides(trips=pa.array([100 + i, 0])))
        assert training(store, 1, T0)["trips"] == 100 + i
    assert len(names(folder)) == 13
    assert max(len(n) for n in names(folder)) < 100


def test_a_name_after_a_folder_and_after_a_clock_that_was_ahead(store, folder):
    ahead = "push-29991231T235959.000000000Z-1-00.parquet"
    (folder / "zz").mkdir()
    pq.write_table(rides(trips=pa.array([1, 1])), folder / "zz" / "old.parquet")
    pq.write_table(rides(trips=pa.array([2, 2])), folder / ahead)
    for trips in (3, 4):
        store.write_to_offline_store("stats", rides(trips=pa.array([trips, 0])))
        assert training(store, 1, T0)["trips"] == trips


def test_the_file_is_compressed_and_has_statistics(store):
    report = store.write_to_offline_store("stats", at(1))
    column = pq.ParquetFile(report["file"]).metadata.row_group(0).column(1)
    assert column.compression == "ZSTD"
    assert column.statistics.has_min_max


# ---- columns and types


def test_columns_are_the_sources_in_its_order(store):
    frame = at(1).select(list(reversed(rides().column_names)))
    report = store.write_to_offline_store("stats", frame)
    assert pq.read_table(report["file"]).equals(at(1))
    with pytest.raises(SchemaError, match=r"another order than data source 'rides': 'driver_id', "):
        store.write_to_offline_store("stats", frame, reorder_columns=False)
    store.write_to_offline_store("stats", at(2), reorder_columns=False)


def test_other_columns_are_refused_by_name(store, folder):
    with pytest.raises(SchemaError, match="it lacks 'city', which its files have"):
        store.write_to_offline_store("stats", at(1).drop(["city"]))
    frame = at(1).append_column("mood", pa.array([1, 2]))
    with pytest.raises(SchemaError, match="it has 'mood', which its files do not have"):
        store.write_to_offline_store("stats", frame)
    with pytest.raises(SchemaError, match=r"lacks 'city'.*and has 'mood'"):
        store.write_to_offline_store("stats", frame.drop(["city"]))
    assert names(folder) == ["first.parquet"]


def test_types_become_the_files_where_nothing_is_lost(store):
    frame = at(1).set_column(0, "driver_id", pa.array([1, 2], pa.int16()))
    frame = frame.set_column(
        1, "event_timestamp", pa.array([T0.replace(tzinfo=None) + HOUR] * 2, pa.timestamp("ms"))
    )
    frame = frame.set_column(5, "km_total", pa.array([0.5, 1.5], pa.float64()))
    frame = frame.set_column(6, "city", pa.array(["a", "b"]).dictionary_encode())
    report = store.write_to_offline_store("stats", frame)
    assert pq.read_table(report["file"]).equals(at(1))


@pytest.mark.parametrize(
    ("column", "values", "sentence"),
    [
        (
            "event_timestamp",
            pa.array([1704067200000000000, 1704067200000000001], pa.timestamp("ns", "UTC")),
            "column 'event_timestamp', row 1 .counted from 0.: value .* does not fit timestamp",
        ),
        ("city", pa.array([1, 2]), "column 'city' of df holds int64; the files hold string"),
        (
            "created",
            pa.array(["2024-01-01", "x"]),
            "column 'created', row 1 .counted from 0.: 'x' is not a time",
        ),
    ],
)
def test_what_would_lose_something_is_refused(store, folder, column, values, sentence):
    i = rides().column_names.index(column)
    with pytest.raises((SchemaError, InvalidError), match=sentence):
        store.write_to_offline_store("stats", at(1).set_column(i, column, values))
    assert names(folder) == ["first.parquet"]


def test_the_first_row_that_does_not_fit_is_found(store):
    n = 1000
    grades = pa.array([1] * 700 + [2**40] + [1] * 299)
    frame = at(1).take(pa.array([0] * n)).set_column(4, "grade", grades)
    # `places` has no grade: only the files know its type.
    with pytest.raises(
        SchemaError, match=r"column 'grade', row 700 .counted from 0.: value 1099511627776 doe"
    ):
        store.write_to_offline_store("places", frame)


def test_null_keys_and_times_name_row_and_column(store, folder):
    for column in ("driver_id", "event_timestamp"):
        i = rides().column_names.index(column)
        values = [*at(1)[column].to_pylist()[:1], None]
        frame = at(1).set_column(i, column, pa.array(values, at(1)[column].type))
        with pytest.raises(InvalidError, match=f"column '{column}', row 1 .counted from 0.: null"):
            store.write_to_offline_store("stats", frame)
    assert names(folder) == ["first.parquet"]


def test_a_view_that_does_not_exist(store):
    with pytest.raises(NotFoundError, match="stats"):
        store.write_to_offline_store("stat", at(1))


# ---- sources that take no file


def reapply(store, path, **source):
    store.apply(definitions(path, **source))


def test_a_single_file_is_refused_with_the_fix(store, folder):
    pq.write_table(rides(), store.repo_path / "data" / "all.parquet")
    reapply(store, "data/all.parquet")
    sentence = (
        "data source 'rides' is the single file 'data/all.parquet', .*move the file into data/all/,"
        " write path: data/all/ and apply"
    )
    with pytest.raises(UnsupportedError, match=sentence):
        store.write_to_offline_store("stats", at(1))
    (store.repo_path / "data" / "all").mkdir()
    (store.repo_path / "data" / "all.parquet").rename(
        store.repo_path / "data" / "all" / "1.parquet"
    )
    reapply(store, "data/all/")  # what it says works
    store.write_to_offline_store("stats", at(1, trips=pa.array([5, 5])))
    assert training(store, 1, T0 + HOUR)["trips"] == 5


def test_a_later_file_sorts_last_though_the_clock_was_set_back(store, folder, monkeypatch):
    """Of equal rows the one of the later file wins."""
    (folder / "first.parquet").rename(folder / "zebra.parquet")
    now_ns = time.time_ns()
    for n_trips, hours in ((11, 0), (12, -1), (13, -2), (14, 0)):
        monkeypatch.setattr(time, "time_ns", lambda: now_ns + hours * 3600 * 10**9)  # noqa: B023
        report = store.write_to_offline_store("stats", at(0, trips=pa.array([n_trips] * 2)))
        assert names(folder)[-1] == Path(report["file"]).name
        assert training(store, 1, T0)["trips"] == n_trips


def test_patterns(store, folder):
    reapply(store, "data/rides/*.parquet")
    store.write_to_offline_store("stats", at(1, trips=pa.array([5, 5])))
    assert training(store, 1, T0 + HOUR)["trips"] == 5
    reapply(store, "data/rides/f*.parquet")
    with pytest.raises(InvalidError, match=r"match 'f\*.parquet', and the new one would be 'push-"):
        store.write_to_offline_store("stats", at(1))
    reapply(store, "data/r*/*.parquet")
    with pytest.raises(UnsupportedError, match="names no one folder to add a file to"):
        store.write_to_offline_store("stats", at(1))
    assert len(names(folder)) == 2
    assert not [n for n in names(folder) if n.startswith(".")]


def test_folders_of_csv_and_by_value_are_refused(store, folder):
    by_value = store.repo_path / "data" / "by" / "day=1"
    by_value.mkdir(parents=True)
    pq.write_table(rides(), by_value / "1.parquet")
    reapply(store, "data/by/")
    with pytest.raises(UnsupportedError, match=r"lies in folders by value \(day=1\)"):
        store.write_to_offline_store("stats", at(1))
    csv = store.repo_path / "data" / "csv"
    csv.mkdir()
    (csv / "1.csv").write_text(
        "driver_id,event_timestamp,created,trips,grade,km_total,city\n"
        "1,2024-01-01T00:00:00Z,2024-01-01T00:00:00Z,1,1,0.5,a\n"
    )
    reapply(store, "data/csv/")
    with pytest.raises(UnsupportedError, match="holds CSV files, and rows are added as Parquet"):
        store.write_to_offline_store("stats", at(1))
    reapply(store, "data/csv/", file_format="csv")
    with pytest.raises(UnsupportedError, match="is of format csv, and rows are added as Parquet"):
        store.write_to_offline_store("stats", at(1))


def test_a_folder_without_files_has_no_columns(store, folder):
    (folder / "first.parquet").rename(folder / ".hidden.parquet")
    with pytest.raises(
        IoError, match=r"no Parquet file in .*rides says its columns; put a first one"
    ):
        store.write_to_offline_store("stats", at(1))
    (folder / ".hidden.parquet").unlink()
    folder.rmdir()
    with pytest.raises(IoError, match=r"there is no folder .*data/rides"):
        store.write_to_offline_store("stats", at(1))


def test_objects_are_refused(store):
    from tiffin.offline.parquet_append import find_place

    source = definitions("s3://bucket/rides/")[1]
    with pytest.raises(UnsupportedError, match="rows are added to local folders only"):
        find_place(source, store.repo_path)


# ---- what may happen meanwhile


def test_a_disk_that_is_full_leaves_nothing(store, folder):
    """A limit on the size of files stands for the disk; the child ignores its signal."""
    script = (
        "import resource, signal, sys\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "import pyarrow as pa, numpy as np\n"
        "from pushes import rides\n"
        "from tiffin import FeatureStore\n"
        "from tiffin.errors import IoError\n"
        "n = 200_000\n"
        "frame = rides().take(pa.array([0] * n)).set_column(0, 'driver_id', pa.array(range(n)))\n"
        "frame = frame.set_column(5, 'km_total', pa.array(np.random.rand(n), pa.float32()))\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "store = FeatureStore(repo_path=sys.argv[1])\n"
        "store.list_feature_views()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))\n"
        "try:\n"
        "    store.write_to_offline_store('stats', frame)\n"
        "except IoError as error:\n"
        "    print(error)\n"
    )
    arguments = [sys.executable, "-c", script, str(store.repo_path), str(Path(__file__).parent)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
    assert "no file was added to" in done.stdout, done.stderr
    assert names(folder) == ["first.parquet"]


def test_a_killed_writer_leaves_no_visible_half(store, folder):
    """`kill -9` at random moments of large writes: what is visible can be read whole."""
    n_rows = 100_000
    script = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "import pyarrow as pa\n"
        "from pushes import rides\n"
        "from tiffin import FeatureStore\n"
        f"n = {n_rows}\n"
        "frame = rides().take(pa.array([0] * n)).set_column(0, 'driver_id', pa.array(range(n)))\n"
        "store = FeatureStore(repo_path=sys.argv[1])\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    print(store.write_to_offline_store('stats', frame)['file'], flush=True)\n"
    )
    acknowledged: list[str] = []
    for i in range(6):
        arguments = [sys.executable, "-c", script, str(store.repo_path), str(Path(__file__).parent)]
        child = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        assert child.stdout.readline() == "ready\n"
        time.sleep(0.02 + 0.05 * i)  # where in a write it dies is what varies
        child.send_signal(signal.SIGKILL)
        acknowledged += [line.strip() for line in child.stdout if line.endswith(".parquet\n")]
        child.stdout.close()
        child.wait()
    visible = [n for n in names(folder) if not n.startswith(".")]
    assert all(Path(path).name in visible for path in acknowledged)
    for name in visible:
        assert pq.read_table(folder / name).num_rows in (2, n_rows)
    assert training(store, 1, T0)["trips"] == 10
    store.write_to_offline_store("stats", at(1))


def test_scans_go_on_while_files_are_added(store):
    """A file that comes during a scan is none of the scan's; what it listed has not changed."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from pushes import rides\n"
        "from tiffin import FeatureStore\n"
        "store = FeatureStore(repo_path=sys.argv[1])\n"
        "for i in range(60):\n"
        "    store.write_to_offline_store('stats', rides())\n"
        "print('done')\n"
    )
    arguments = [sys.executable, "-c", script, str(store.repo_path), str(Path(__file__).parent)]
    child = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    n_scans = 0
    while child.poll() is None:
        assert training(store, 1, T0)["trips"] == 10
        n_scans += 1
    assert child.stdout.read() == "done\n"
    child.stdout.close()
    assert n_scans > 0
    assert training(store, 1, T0)["trips"] == 10


def test_writers_of_several_processes_all_count(store, folder):
    script = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "import pyarrow as pa\n"
        "from pushes import rides\n"
        "from tiffin import FeatureStore\n"
        "store = FeatureStore(repo_path=sys.argv[1])\n"
        "for i in range(10):\n"
        "    key = int(sys.argv[3]) * 100 + 2 * i\n"
        "    store.write_to_offline_store('stats', rides(driver_id=pa.array([key, key + 1])))\n"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(store.repo_path), str(Path(__file__).parent), str(k)]
        )
        for k in (1, 2, 3)
    ]
    assert [child.wait(timeout=300) for child in children] == [0, 0, 0]
    assert len(names(folder)) == 31
    rows = store.latest("stats").to_arrow()
    assert rows.num_rows == 2 + 3 * 20


def test_a_folder_that_cannot_be_read(store, folder):
    (folder / "first.parquet").write_bytes(b"PAR1 this is none")
    with pytest.raises(IoError, match=r"the columns of .*first.parquet cannot be read"):
        store.write_to_offline_store("stats", at(1))
