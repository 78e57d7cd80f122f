"""Pushes: every view of a source or none, checks that name row and column, async forms."""

import asyncio
import datetime as dt
import errno
import json
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pushes import T0, definitions, make_repo, online, rides, training

from tiffin import FeatureStore, PushMode
from tiffin.data_source import PushMode as PushModeOfFeastsPlace
from tiffin.errors import (
    InvalidError,
    IoError,
    LimitError,
    NotFoundError,
    PushSourceNotFoundException,
    SchemaError,
    TiffinWarning,
    UnsupportedError,
)

HOUR = dt.timedelta(hours=1)


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return make_repo(tmp_path)


def files(store: FeatureStore) -> list[str]:
    return sorted(p.name for p in (store.repo_path / "data" / "rides").iterdir())


# ---- where rows go


def test_a_push_writes_every_view_on_the_source(store):
    report = store.push("rides_push", rides())
    assert report.to_dict() == {
        "rows_read": 2,
        "rows_written": 4,
        "rows_older": 0,
        "rows_same": 0,
        "views": ["places", "stats"],
    }
    assert online(store, 2, 1) == {
        "driver_id": [2, 1],
        "trips": [20, 10],
        "grade": [2, 1],
        "km": [1.5, 0.5],
        "city": ["b", "a"],
    }
    assert files(store) == ["first.parquet"]
    assert store.push("rides_push", rides())["rows_same"] == 4


def test_the_mode_is_feasts_and_in_feasts_place():
    assert PushModeOfFeastsPlace is PushMode
    assert [(m.name, m.value) for m in PushMode] == [
        ("ONLINE", 1),
        ("OFFLINE", 2),
        ("ONLINE_AND_OFFLINE", 3),
    ]


def test_an_offline_push_adds_one_file_for_all_views(store):
    later = pa.array([T0 + HOUR] * 2, pa.timestamp("us", "UTC"))
    frame = rides(event_timestamp=later, trips=pa.array([11, 21]), city=pa.array(["x", "y"]))
    report = store.push("rides_push", frame, to=PushMode.OFFLINE)
    assert report["views"] == ["places", "stats"]
    assert "rows_written" not in report
    assert Path(report["file"]).parent == store.repo_path / "data" / "rides"
    assert len(files(store)) == 2
    assert online(store, 1)["trips"] == [None]
    assert training(store, 1, T0 + HOUR) == {"trips": 11, "km": 0.5, "city": "x"}


def test_a_push_to_both_is_seen_in_both(store):
    later = pa.array([T0 + HOUR] * 2, pa.timestamp("us", "UTC"))
    frame = rides(event_timestamp=later, trips=pa.array([11, 21]))
    report = store.push("rides_push", frame, to=PushMode.ONLINE_AND_OFFLINE)
    assert report["rows_written"] == 4
    assert pq.read_table(report["file"]).num_rows == 2
    assert online(store, 1, 2)["trips"] == [11, 21]
    assert training(store, 2, T0 + HOUR)["trips"] == 21


@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_nothing_is_online_when_the_file_cannot_be_written(store, monkeypatch, step):
    """The file is the first of the two."""

    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as m:
        m.setattr(Path, "rename", refuse) if step == "rename" else m.setattr(os, "fsync", refuse)
        sentence = "no file was added to .*rides: the disk is full .*free space and write again"
        with pytest.raises(IoError, match=sentence):
            store.push("rides_push", rides(), to=PushMode.ONLINE_AND_OFFLINE)
    assert online(store, 1)["trips"] == [None]
    assert files(store) == ["first.parquet"]


def test_an_online_store_that_cannot_be_written_is_found_before_the_file(store):
    """The folder of the online store is a file: beginning the write fails."""
    (store.repo_path / "data" / "online").write_text("no store")
    with pytest.raises(InvalidError, match="an online store is a folder"):
        store.push("rides_push", rides(), to=PushMode.ONLINE_AND_OFFLINE)
    assert files(store) == ["first.parquet"]


def test_a_row_that_the_online_store_refuses_is_found_before_the_file(store):
    n_rows = 300  # more than are rehearsed at once
    city = ["a"] * (n_rows - 1) + ["x" * (64 << 20)]
    frame = {
        "driver_id": range(n_rows),
        "event_timestamp": [T0] * n_rows,
        "created": [T0] * n_rows,
        "trips": pa.array([1] * n_rows, pa.int64()),
        "grade": pa.array([1] * n_rows, pa.int32()),
        "km_total": pa.array([1] * n_rows, pa.float32()),
        "city": city,
    }
    with pytest.raises(LimitError, match=r"writing to 'places': row 299 \(counted from 0\): "):
        store.push("rides_push", pa.table(frame), to=PushMode.ONLINE_AND_OFFLINE)
    assert files(store) == ["first.parquet"]
    assert online(store, 1)["trips"] == [None]


def test_views_that_were_pushed_to_are_not_called_empty(store):
    store.push("rides_push", rides())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answer = store.get_online_features(["stats:trips"], {"driver_id": [1, 99]})
    assert answer.to_dict()["trips"] == [10, None]


@pytest.mark.parametrize("to", PushMode)
def test_a_frame_without_rows_is_no_error(store, to):
    with pytest.warns(TiffinWarning, match="df has no rows; nothing was written"):
        report = store.push("rides_push", rides().slice(0, 0), to=to)
    assert report["rows_read"] == 0
    assert files(store) == ["first.parquet"]


def test_rows_of_nothing_but_nulls_are_rows(store):
    """They say that nothing is known now, in training and in serving alike."""
    store.push("rides_push", rides())
    later = pa.array([T0 + HOUR] * 2, pa.timestamp("us", "UTC"))
    nothing = {name: pa.nulls(2) for name in ("trips", "grade", "km_total", "city")}
    frame = rides(event_timestamp=later, **nothing)
    store.push("rides_push", frame, to=PushMode.ONLINE_AND_OFFLINE)
    assert online(store, 1)["trips"] == [None]
    assert training(store, 1, T0 + HOUR) == {"trips": None, "km": None, "city": None}


def test_views_that_are_not_online_are_only_in_the_files(store):
    items = definitions()
    items[-1].online = False
    store.apply(items)
    assert store.push("rides_push", rides())["views"] == ["stats"]
    assert store.push("rides_push", rides(), to=PushMode.OFFLINE)["views"] == ["places", "stats"]
    items[-2].online = False
    store.apply(items)
    with pytest.raises(InvalidError, match="every feature view on push source 'rides_push' is def"):
        store.push("rides_push", rides())


# ---- forms of frames


def dicts(table: pa.Table) -> dict[str, list]:
    return table.to_pydict()


def text_times(table: pa.Table) -> list[dict]:
    rows = table.to_pylist()
    for row in rows:
        row["event_timestamp"] = row["event_timestamp"].isoformat()
        row["created"] = "2024-01-01T01:00:00+01:00"
    return rows


@pytest.mark.parametrize(
    "form",
    [
        lambda t: t,
        dicts,
        lambda t: t.to_pylist(),
        text_times,
        lambda t: t.to_pandas(),
        lambda t: pytest.importorskip("polars").from_arrow(t),
        lambda t: t.to_reader(),
    ],
    ids=["arrow", "dict", "list", "texts", "pandas", "polars", "reader"],
)
def test_frames_of_every_form(store, form):
    report = store.push("rides_push", form(rides()), to=PushMode.ONLINE_AND_OFFLINE)
    assert report["rows_written"] == 4
    assert online(store, 1, 2)["km"] == [0.5, 1.5]
    assert pq.read_table(report["file"]).equals(rides())


def test_integers_that_pandas_made_floats_are_integers(store):
    frame = rides(trips=pa.array([10, None], pa.int64())).to_pandas()
    assert str(frame["trips"].dtype) == "float64"
    report = store.push("rides_push", frame, to=PushMode.ONLINE_AND_OFFLINE)
    assert online(store, 1, 2)["trips"] == [10, None]
    assert pq.read_table(report["file"])["trips"].to_pylist() == [10, None]


def test_columns_may_have_the_names_of_features_or_of_the_source(store):
    frame = rides().rename_columns([n.replace("km_total", "km") for n in rides().column_names])
    report = store.push("rides_push", frame, to=PushMode.ONLINE_AND_OFFLINE)
    assert online(store, 1)["km"] == [0.5]
    assert pq.read_table(report["file"]).equals(rides())


# ---- what is wrong with a frame

FAR = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
WRONG = {
    "no key": (
        lambda t: t.drop(["driver_id"]),
        SchemaError,
        "has no column 'driver_id', the join key of feature view",
    ),
    "null key": (
        lambda t: t.set_column(0, "driver_id", pa.array([1, None])),
        InvalidError,
        "column 'driver_id', row 1 .counted from 0.: null; a join key needs a value",
    ),
    "fraction in a key": (
        lambda t: t.set_column(0, "driver_id", pa.array([1.0, 2.5])),
        SchemaError,
        "column 'driver_id', row 1 .counted from 0.: value 2.5 is no whole number",
    ),
    "key out of range": (
        lambda t: t.set_column(0, "driver_id", pa.array([1, 2**63], pa.uint64())),
        SchemaError,
        "column 'driver_id', row 1 .counted from 0.: value 9223372036854775808 does not fit int64",
    ),
    "key of another type": (
        lambda t: t.set_column(0, "driver_id", pa.array(["a", "b"])),
        SchemaError,
        "column 'driver_id' of the frame holds string; expected int64",
    ),
    "no time": (
        lambda t: t.drop(["event_timestamp"]),
        SchemaError,
        "has no column 'event_timestamp', the timestamp_field of feature view",
    ),
    "null time": (
        lambda t: t.set_column(1, "event_timestamp", pa.array([T0, None])),
        InvalidError,
        "column 'event_timestamp', row 1 .counted from 0.: null; a row needs its event time",
    ),
    "text that is no time": (
        lambda t: t.set_column(1, "event_timestamp", pa.array(["2024-01-01", "soon"])),
        InvalidError,
        "'event_timestamp'.*soon",
    ),
    "time of numbers": (
        lambda t: t.set_column(1, "event_timestamp", pa.array([1, 2])),
        SchemaError,
        "column 'event_timestamp' of the frame holds int64; expected timestamp",
    ),
    "feature of another type": (
        lambda t: t.set_column(3, "trips", pa.array(["x", "y"])),
        SchemaError,
        "writing to 'stats': column 'trips' of the frame holds string; expected int64",
    ),
    "feature out of range": (
        lambda t: t.set_column(4, "grade", pa.array([1, 2**40])),
        SchemaError,
        "column 'grade', row 1 .counted from 0.: value 1099511627776 does not fit int32",
    ),
    "fraction in an integer": (
        lambda t: t.set_column(4, "grade", pa.array([1.5, None])),
        SchemaError,
        "column 'grade', row 0 .counted from 0.: value 1.5 is no whole number, as int32 must be",
    ),
    "no feature of a view": (
        lambda t: t.drop(["city"]),
        SchemaError,
        "writing to 'places': the frame has none of the features of feature view 'places'",
    ),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("to", PushMode)
def test_a_frame_with_a_mistake_changes_nothing(store, case, to):
    change, error, sentence = WRONG[case]
    with pytest.raises(error, match=sentence):
        store.push("rides_push", change(rides()), to=to)
    assert files(store) == ["first.parquet"]
    assert online(store, 1)["trips"] == [None]
    assert online(store, 1)["city"] == [None]


def test_the_mistake_of_a_late_batch_has_its_row_in_the_frame(store):
    parts = [rides().to_batches()[0]] * 3
    parts.append(rides(trips=pa.array([1, 2]), driver_id=pa.array([1, None])).to_batches()[0])
    with pytest.raises(InvalidError, match=r"column 'driver_id', row 7 .counted from 0."):
        store.push("rides_push", pa.Table.from_batches(parts))


def test_a_time_far_ahead_is_refused_online_only(store, tmp_path):
    frame = rides(event_timestamp=pa.array([T0, FAR], pa.timestamp("us", "UTC")))
    sentence = (
        "column 'event_timestamp', row 1 .counted from 0.: 2100-01-01T00:00:00Z is more than 300 "
        r"seconds ahead of the clock \(online_store.max_ahead_seconds\)"
    )
    for to in (PushMode.ONLINE, PushMode.ONLINE_AND_OFFLINE):
        with pytest.raises(InvalidError, match=sentence):
            store.push("rides_push", frame, to=to)
    assert files(store) == ["first.parquet"]
    store.push("rides_push", frame, to=PushMode.OFFLINE)
    (tmp_path / "wide").mkdir()
    wide = make_repo(tmp_path / "wide", "online_store: {max_ahead_seconds: 9999999999}\n")
    assert wide.push("rides_push", frame)["rows_written"] == 4


@pytest.mark.parametrize("value", ["0", "-1", "soon", "true", "1.5"])
def test_the_setting_is_a_number_of_seconds(tmp_path, value):
    with pytest.raises(InvalidError, match="max_ahead_seconds must be a number of seconds from 1"):
        make_repo(tmp_path, f"online_store: {{max_ahead_seconds: {value}}}\n")


# ---- names


def test_an_unknown_source_has_feasts_class(store):
    assert issubclass(PushSourceNotFoundException, NotFoundError)
    for name, sentence in (
        ("rides_pusch", "no data source.*rides_push"),
        ("rides", "data source 'rides' is no push source"),
    ):
        with pytest.raises(PushSourceNotFoundException, match=sentence):
            store.push(name, rides())


def test_a_source_without_views_is_not_found(store):
    store.apply([*definitions()[:3]], objects_to_delete=definitions()[3:], partial=False)
    with pytest.raises(PushSourceNotFoundException, match="no feature view has the push source"):
        store.push("rides_push", rides())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"push_source_name": 3}, "push_source_name must be a str, not int"),
        ({"to": "online"}, "to must be a PushMode, e.g. PushMode.ONLINE, not str 'online'"),
        ({"df": 3}, "df must be a pandas, Polars or Arrow table"),
    ],
)
def test_wrong_arguments(store, arguments, sentence):
    with pytest.raises(SchemaError, match=sentence):
        store.push(**{"push_source_name": "rides_push", "df": rides(), **arguments})


def test_write_to_online_store_has_feasts_signature(store):
    store.write_to_online_store("stats", inputs=rides().to_pydict(), allow_registry_cache=False)
    assert online(store, 1)["trips"] == [10]
    rows = rides(trips=pa.array([11, 21])).to_pylist()
    assert store.write_to_online_store("stats", rows, None, True, False)["rows_written"] == 2
    assert online(store, 1)["trips"] == [11]
    for both in ({}, {"df": rides(), "inputs": rides()}):
        with pytest.raises(InvalidError, match=r"takes df or inputs; (neither|both) was given"):
            store.write_to_online_store("stats", **both)
    with pytest.raises(NotFoundError, match="stats"):
        store.write_to_online_store("stat", rides())


def test_a_view_that_is_made_on_demand_is_written_by_nobody(store, tmp_path):
    (tmp_path / "features.py").write_text(
        "from tiffin import Field, on_demand_feature_view\n"
        "from tiffin.types import Int64\n"
        "from pushes import definitions\n"
        "stats = definitions()[3]\n"
        "@on_demand_feature_view(sources=[stats], schema=[Field(name='double', dtype=Int64)],"
        " mode='python')\n"
        "def doubled(inputs):\n"
        "    return {'double': [2 * v for v in inputs['trips']]}\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        import features

        store.apply([*definitions(), features.doubled])
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("features", None)
    with pytest.raises(UnsupportedError, match="'doubled' is an on-demand feature view: its val"):
        store.write_to_online_store("doubled", rides())


# ---- async


def test_async_forms_do_the_same(store):
    async def write():
        reports = await asyncio.gather(
            store.push_async("rides_push", rides()),
            store.push_async("rides_push", rides(driver_id=pa.array([3, 4]))),
            store.write_to_online_store_async("stats", rides(driver_id=pa.array([5, 6]))),
            store.write_to_offline_store_async("stats", rides()),
            store.push_async("rides_push", rides(), to=PushMode.OFFLINE),
        )
        with pytest.raises(PushSourceNotFoundException):
            await store.push_async("nothing", rides())
        return reports

    reports = asyncio.run(write())
    assert [r["rows_read"] for r in reports] == [2] * 5
    assert online(store, 1, 3, 5)["trips"] == [10, 10, 10]
    assert len(files(store)) == 3


def test_a_push_that_nobody_waits_for_any_more_is_done_whole(store):
    def all_threads_done() -> None:
        for thread in threading.enumerate():
            if thread.name.startswith("asyncio_"):
                thread.join()

    async def give_up():
        push = asyncio.ensure_future(store.push_async("rides_push", rides()))
        await asyncio.sleep(0)
        push.cancel()
        with pytest.raises(asyncio.CancelledError):
            await push

    asyncio.run(give_up())  # waits for its threads
    all_threads_done()
    assert online(store, 1)["trips"] in ([10], [None])
    assert (online(store, 1)["trips"] == [10]) == (online(store, 1)["city"] == ["a"])


def test_the_event_loop_goes_on_while_a_push_runs(store):
    n = 200_000
    frame = rides().take(pa.array([0] * n)).set_column(0, "driver_id", pa.array(range(n)))

    async def count():
        push = asyncio.ensure_future(store.push_async("rides_push", frame))
        n_turns = 0
        while not push.done():
            n_turns += 1
            await asyncio.sleep(0.001)
        await push
        return n_turns

    assert asyncio.run(count()) > 5


# ---- the command


def tiffin(store: FeatureStore, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "tiffin"
    return subprocess.run(
        [program, "-c", store.repo_path, *arguments], capture_output=True, text=True, timeout=120
    )


def test_the_command_pushes_files_and_json(store, tmp_path):
    pq.write_table(rides(), tmp_path / "rows.parquet")
    done = tiffin(store, "push", "rides_push", str(tmp_path / "rows.parquet"), "--json")
    assert json.loads(done.stdout)["rows_written"] == 4, done.stderr
    rows = json.dumps(text_times(rides(driver_id=pa.array([7, 8]))))
    done = tiffin(store, "push", "rides_push", rows, "--to", "online_and_offline")
    assert (done.returncode, done.stderr) == (0, "")
    assert "rows written  4" in done.stdout
    assert online(store, 1, 7)["trips"] == [10, 10]
    assert len(files(store)) == 2


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ("nowhere.parquet", "Error: there is no file "),
        ("[1", "Error: ROWS is not JSON: "),
        ("[1]", "Error: df[0] must be a dict, not int"),
        ('[{"driver_id": null}]', "Error: writing to 'places': the frame has no column 'event_"),
    ],
)
def test_the_command_fails_with_one_sentence(store, rows, sentence):
    done = tiffin(store, "push", "rides_push", rows)
    assert done.returncode == 1
    assert done.stderr.startswith(sentence)
    assert done.stderr.count("\n") == 1


# ---- processes


def test_another_process_reads_a_push_at_once(store):
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; sys.path.insert(0, sys.argv[2])\n"
            "from tiffin import FeatureStore\n"
            "store = FeatureStore(repo_path=sys.argv[1])\n"
            "for line in sys.stdin:\n"
            "    keys = [{'driver_id': int(line)}]\n"
            "    features = ['stats:trips', 'places:city']\n"
            "    found = store.get_online_features(features, keys).to_dict()\n"
            "    print(found['trips'][0], found['city'][0], flush=True)\n",
            str(store.repo_path),
            str(Path(__file__).parent),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for i in range(30):
                store.push("rides_push", rides(driver_id=pa.array([i, 10_000 + i])))
                child.stdin.write(f"{10_000 + i}\n")
                child.stdin.flush()
                assert child.stdout.readline() == "20 b\n"
    finally:
        child.stdin.close()
        child.stdout.close()
        child.wait(timeout=30)
