"""Feature logs: what is logged, flushed, read back and trained from."""

import datetime as dt
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import log_twin as twin
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rides import definitions, utc
from server_process import ServerProcess, wait_until

from tiffin import FeatureService, FeatureStore, FileLoggingDestination, LoggingConfig, errors
from tiffin.offline.log_segments import SegmentReader

GOLDEN = Path(__file__).parents[1] / "golden" / "feature-log" / "v1.closed"
TIMES = [utc(2024, 1, 3, 12), utc(2024, 1, 4, 0)]


def logged(store: FeatureStore, **arguments: Any) -> str:
    """Apply a service "model" that is logged; return its definition's hash."""
    view = definitions()[2]
    arguments = {"destination": FileLoggingDestination(path="logs"), **arguments}
    config = LoggingConfig(**arguments)
    service = FeatureService(
        name="model", features=[view[["city", "trips"]]], logging_config=config
    )
    store.apply([*definitions()[:3], service])
    return str(store.get_document("feature_service", "model")["hash"])


def segments_of(store: FeatureStore) -> Path:
    return store.repo_path / "data" / "feature_logs"


def head_of(store: FeatureStore) -> int:
    return int(store.registry_log(1)[0]["commit"])


def frames_of(store: FeatureStore, hash_: str, times: list[dt.datetime] = TIMES) -> list[bytes]:
    """The frames of two answers: drivers 1 and 2 at the first time, 9 (unknown) at the second."""
    events = [utc(2024, 1, 3), utc(2024, 1, 3), None]
    statuses = [twin.PRESENT, twin.NULL_VALUE, twin.NOT_FOUND]
    columns = [
        twin.column(twin.INT64, [1, 2, 9], [1, 1, 1], None),
        twin.column(twin.STRING, ["c", None, None], statuses, events),
        twin.column(twin.INT64, [30, None, None], statuses, None),
    ]
    answers = [(times[0], 2), (times[1], 1)]
    schema = twin.definition(
        "model", hash_, head_of(store), ["driver_id"], ["city", "stats__trips"]
    )
    return [twin.frame(1, 0, schema), twin.frame(2, 0, twin.block(answers, columns))]


def log_of(folder: Path) -> pa.Table:
    tables = [pq.ParquetFile(path).read() for path in sorted(folder.rglob("*.parquet"))]
    return pa.concat_tables(tables).sort_by(
        [("__log_timestamp", "ascending"), ("driver_id", "ascending")]
    )


# ---- definitions


def test_a_service_keeps_what_it_was_told_to_log(store: FeatureStore) -> None:
    config = LoggingConfig(
        destination=FileLoggingDestination(path="logs", partition_by=["driver_id"]),
        sample_rate=0.25,
    )
    logged(store, destination=config.destination, sample_rate=0.25)
    service = store.get_feature_service("model")
    assert service.logging_config == config
    assert service.logging_config.sample_rate == 0.25
    assert "FileLoggingDestination(path='logs', partition_by=['driver_id'])" in repr(config)


def test_a_service_without_it_has_the_hash_that_it_had(store: FeatureStore) -> None:
    before = store.get_document("feature_service", "model")
    assert "logging_config" not in before
    logged(store)
    store.apply(list(definitions()))
    assert store.get_document("feature_service", "model")["hash"] == before["hash"]


def test_a_plan_shows_what_of_it_changed(store: FeatureStore) -> None:
    logged(store)
    view = definitions()[2]
    config = LoggingConfig(destination=FileLoggingDestination(path="logs"), sample_rate=0.5)
    changed = FeatureService(
        name="model", features=[view[["city", "trips"]]], logging_config=config
    )
    plan = store.plan([*definitions()[:3], changed])
    assert "logging_config.sample_rate_millionths" in str(plan.to_dict())


@pytest.mark.parametrize(
    ("make", "error", "part"),
    [
        (lambda: LoggingConfig(destination="logs"), errors.SchemaError, "must be a FileLogg"),
        (
            lambda: LoggingConfig(destination=FileLoggingDestination(path="l"), sample_rate=1.5),
            errors.InvalidError,
            "sample_rate must be from 0 to 1, not 1.5",
        ),
        (
            lambda: LoggingConfig(destination=FileLoggingDestination(path="l"), sample_rate="1"),
            errors.SchemaError,
            "sample_rate must be a number",
        ),
        (lambda: FileLoggingDestination(path=""), errors.InvalidError, "path must not be empty"),
        (
            lambda: FileLoggingDestination(path="s3://b/logs"),
            errors.UnsupportedError,
            "logs to local files",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(make: Any, error: type[Exception], part: str) -> None:
    with pytest.raises(error, match=part):
        make()


def test_a_service_with_an_on_demand_view_is_applied_and_not_logged(repo):
    from tiffin import Field, on_demand_feature_view
    from tiffin.types import Int64

    driver, source, view, _ = definitions()

    @on_demand_feature_view(
        sources=[view], schema=[Field(name="twice", dtype=Int64)], mode="python"
    )
    def doubled(inputs):
        return {"twice": [None if n is None else 2 * n for n in inputs["trips"]]}

    config = LoggingConfig(destination=FileLoggingDestination(path="logs"))
    service = FeatureService(name="both", features=[view, doubled], logging_config=config)
    store = FeatureStore(repo)
    with pytest.warns(errors.TiffinWarning, match="'both' is served, and not logged"):
        store.apply([driver, source, view, doubled, service])
    assert store.get_feature_service("both").logging_config == config


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("BigQueryLoggingDestination", {"table_ref": "t"}),
        ("RedshiftLoggingDestination", {"table_name": "t"}),
        ("SnowflakeLoggingDestination", {"table_name": "t"}),
        ("AthenaLoggingDestination", {"table_name": "t"}),
        (
            "CouchbaseColumnarLoggingDestination",
            {"database": "d", "scope": "s", "table_name": "t"},
        ),
    ],
)
def test_destinations_that_are_no_files_are_refused(name: str, arguments: Any) -> None:
    from tiffin import feature_logging

    with pytest.raises(errors.UnsupportedError, match=f"{name} is Feast's.*to files only"):
        getattr(feature_logging, name)(**arguments)


# ---- segments


def test_the_golden_segment_is_read_as_the_server_wrote_it() -> None:
    reader = SegmentReader(GOLDEN)
    (block,) = list(reader)
    assert reader.n_bytes_left_out == 0
    assert block.schema == (
        "model",
        "000102030405060708090a0b0c0d0e0f",
        1,
        ("tailnum", "seat_id"),
        ("maker", "age", "delays", "width"),
    )
    columns = block.columns
    assert columns[0].values.to_pylist() == ["N14228", "N24211", "N619AA", "nobody", "N14228"]
    assert columns[1].values.to_pylist() == [0, 1, 2, 3, 0]
    assert columns[2].values.to_pylist() == ["BOEING", "AIRBUS INDUSTRIE", None, None, "BOEING"]
    assert columns[2].statuses.to_pylist() == [1, 1, 2, 3, 1]
    assert columns[3].values.to_pylist() == [14, 15, None, None, 14]
    assert columns[4].values.to_pylist()[:2] == [[1.5, -2.5], []]
    assert columns[5].values.null_count == 5
    start = utc(2013, 1, 1)
    minute = dt.timedelta(minutes=1)
    events = [start, start + minute, start + 2 * minute, None, start]
    assert columns[3].event_times.to_pylist() == events
    assert columns[5].event_times.to_pylist() == [None] * 5
    assert block.times.to_pylist() == [utc(2013, 1, 1, 0, 5)] * 4 + [utc(2013, 1, 1, 0, 5, 1)]
    ids = block.request_ids.to_pylist()
    assert ids[0] == ids[3] != ids[4]
    assert all(len(i) == 32 for i in ids)


def test_a_torn_end_is_left_out_and_counted(tmp_path: Path) -> None:
    whole = GOLDEN.read_bytes()
    torn = tmp_path / "torn.closed"
    for n in range(len(whole)):
        torn.write_bytes(whole[:n])
        try:
            reader = SegmentReader(torn)
            assert list(reader) == []
        except errors.CorruptError:
            pytest.fail(f"{n} bytes")
        assert reader.n_bytes_left_out <= n
    for at in range(64, len(whole), 7):
        torn.write_bytes(whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :])
        reader = SegmentReader(torn)
        assert list(reader) == []
        assert reader.n_bytes_left_out > 0


@pytest.mark.parametrize(
    ("payload", "part"),
    [
        (b"\1\0\0\0\1\0\0\0" + b"\xff" * 8, "a piece of"),
        (twin.block([(TIMES[0], 1)], []), "unpack"),
        (twin.block([(TIMES[0], 1)], [twin.column(3, [1, 2], [1, 1], None)]), "instead of 1"),
        (
            twin.block([(TIMES[0], 1)], [twin.column(3, [1], [1], None)] * 2),
            "without event times",
        ),
        (
            twin.block(
                [(TIMES[0], 1)],
                [
                    twin.column(3, [1], [1], None),
                    twin.piece(b"\1")
                    + twin.numbers("q", [0])
                    + b"\7\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"
                    + twin.piece(b"\1")
                    + twin.numbers("I", [0, 900])
                    + twin.piece(b"abc"),
                ],
            ),
            "block that cannot be read",
        ),
    ],
)
def test_frames_that_make_no_sense_are_corrupt(tmp_path: Path, payload: bytes, part: str) -> None:
    schema = twin.frame(1, 0, twin.definition("s", "0" * 32, 1, ["k"], ["f"]))
    path = twin.write_segment(tmp_path, "x.closed", [schema, twin.frame(2, 0, payload)])
    with pytest.raises(errors.CorruptError, match=part):
        list(SegmentReader(path))


def test_files_that_are_no_segments_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.closed"
    path.write_bytes(b"PAR1" + bytes(100))
    with pytest.raises(errors.CorruptError, match="does not begin like one; move it away"):
        SegmentReader(path)
    path.write_bytes(twin.head()[:8] + b"\2" + twin.head()[9:])
    with pytest.raises(errors.CorruptError, match="has version 2"):
        SegmentReader(path)
    path.write_bytes(twin.head()[:20] + b"\2" + twin.head()[21:])
    with pytest.raises(errors.CorruptError, match="fails its checksum"):
        SegmentReader(path)


# ---- flush


def test_a_flush_writes_feasts_log_schema_by_day(store: FeatureStore) -> None:
    hash_ = logged(store)
    twin.write_segment(segments_of(store), "a.closed", frames_of(store, hash_))
    report = store.flush_feature_logs()
    assert (report["segments"], report["rows"]) == (1, 3)
    assert report["services"] == {"model": 3}
    assert [Path(f).name[:17] for f in sorted(report["files"])] == [
        "model@2024-01-03-",
        "model@2024-01-04-",
    ]
    log = log_of(store.repo_path / "logs")
    assert log.schema.names == [
        "driver_id",
        *("stats__city", "stats__city__timestamp", "stats__city__status"),
        *("stats__trips", "stats__trips__timestamp", "stats__trips__status"),
        *("__log_timestamp", "__log_date", "__request_id", "__definition_hash"),
    ]
    assert log.schema.field("stats__trips__status").type == pa.int32()
    assert log.schema.field("__log_timestamp").type == pa.timestamp("us", "UTC")
    assert log.schema.field("__log_date").type == pa.date32()
    assert log["driver_id"].to_pylist() == [1, 2, 9]
    assert log["stats__city"].to_pylist() == ["c", None, None]
    assert log["stats__trips"].to_pylist() == [30, None, None]
    assert log["stats__trips__status"].to_pylist() == [1, 2, 3]
    assert log["stats__trips__timestamp"].to_pylist() == [utc(2024, 1, 3)] * 2 + [None]
    assert log["__log_timestamp"].to_pylist() == [TIMES[0], TIMES[0], TIMES[1]]
    assert log["__request_id"].to_pylist()[0] == f"{twin.SEGMENT_ID:016x}{0:016x}"
    assert set(log["__definition_hash"].to_pylist()) == {hash_}
    assert sorted(p.name for p in segments_of(store).iterdir()) == ["flush.lock"]
    assert store.flush_feature_logs()["rows"] == 0


def test_a_store_without_logs_flushes_nothing(store: FeatureStore) -> None:
    assert store.flush_feature_logs()["segments"] == 0


def test_partitions_are_folders_as_hive_has_them(store: FeatureStore) -> None:
    hash_ = logged(
        store, destination=FileLoggingDestination(path="logs", partition_by=["stats__city"])
    )
    twin.write_segment(segments_of(store), "a.closed", frames_of(store, hash_))
    report = store.flush_feature_logs()
    folders = {Path(f).parent.name for f in report["files"]}
    assert folders == {"stats__city=c", "stats__city=__HIVE_DEFAULT_PARTITION__"}
    log = store.get_feature_logs("model")
    assert log["stats__city"].to_pylist() == ["c", None, None]


def test_a_partition_that_is_no_column_is_refused_and_nothing_is_lost(store: FeatureStore) -> None:
    hash_ = logged(store, destination=FileLoggingDestination(path="logs", partition_by=["town"]))
    twin.write_segment(segments_of(store), "a.closed", frames_of(store, hash_))
    with pytest.raises(errors.InvalidError, match="partitioned by 'town', which it does not have"):
        store.flush_feature_logs()
    assert (segments_of(store) / "a.closed").exists()


def test_definitions_that_differ_make_files_of_their_own(store: FeatureStore) -> None:
    first = logged(store)
    twin.write_segment(segments_of(store), "a.closed", frames_of(store, first))
    second = logged(store, sample_rate=0.5)
    twin.write_segment(segments_of(store), "b.closed", frames_of(store, second))
    report = store.flush_feature_logs()
    assert len(report["files"]) == 4
    assert report["rows"] == 6
    log = store.get_feature_logs("model", statuses=True)
    assert set(log["__definition_hash"].to_pylist()) == {first, second}


def test_answers_that_the_registry_does_not_know_stay(store: FeatureStore) -> None:
    hash_ = logged(store)
    twin.write_segment(segments_of(store), "a.closed", frames_of(store, "f" * 32))
    with pytest.raises(errors.CorruptError, match="another definition there; was it replaced"):
        store.flush_feature_logs()
    frames = frames_of(store, hash_)
    wrong = twin.definition("nobody", hash_, head_of(store), ["driver_id"], ["city", "trips"])
    twin.write_segment(segments_of(store), "a.closed", [twin.frame(1, 0, wrong), frames[1]])
    with pytest.raises(errors.CorruptError, match="does not know it"):
        store.flush_feature_logs()
    twin.write_segment(segments_of(store), "a.closed", frames)
    assert store.flush_feature_logs()["rows"] == 3


def test_segments_of_the_dead_are_adopted_and_those_of_the_living_left(store: FeatureStore) -> None:
    hash_ = logged(store)
    frames = frames_of(store, hash_)
    dead = twin.write_segment(segments_of(store), "dead.open", frames)
    dead.write_bytes(dead.read_bytes() + frames[1][:-9])  # it was writing
    alive = twin.write_segment(segments_of(store), "alive.open", frames)
    with alive.open("rb+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        report = store.flush_feature_logs()
    assert (report["rows"], report["still_open"]) == (3, 1)
    assert report["bytes_left_out"] == len(frames[1]) - 9
    assert alive.exists()
    assert not dead.exists()
    assert store.flush_feature_logs()["rows"] == 3


def test_two_flushes_at_once_are_one_too_many(store: FeatureStore) -> None:
    logged(store)
    folder = segments_of(store)
    folder.mkdir(parents=True)
    with (folder / "flush.lock").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(errors.ConflictError, match="another process flushes"):
            store.flush_feature_logs()


def test_a_manifest_that_makes_no_sense_is_corrupt(store: FeatureStore) -> None:
    logged(store)
    folder = segments_of(store)
    folder.mkdir(parents=True)
    for content in ("", "[]", '{"state": "done", "batch": "b", "segments": []}'):
        (folder / "flush.json").write_text(content)
        with pytest.raises(errors.CorruptError, match="no manifest of a flush"):
            store.flush_feature_logs()
    content = {"state": "published", "batch": "b", "segments": ["../registry.db"]}
    (folder / "flush.json").write_text(json.dumps(content))
    with pytest.raises(errors.CorruptError, match="no manifest of a flush"):
        store.flush_feature_logs()


# What the child is killed at: the n-th call of something that changes the disk.
_CHILD = """
import os, signal, sys
from pathlib import Path
from tiffin import FeatureStore
left = int(sys.argv[2])
def dying(call):
    def run(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)
    return run
os.fsync = dying(os.fsync)
for name in ("replace", "rename", "unlink"):
    setattr(Path, name, dying(getattr(Path, name)))
FeatureStore(sys.argv[1]).flush_feature_logs()
"""


def test_killed_at_any_moment_nothing_is_lost_or_doubled(store: FeatureStore) -> None:
    hash_ = logged(store)
    dead = segments_of(store)
    n_killed = 0
    for n in range(1, 100):
        shutil.rmtree(store.repo_path / "logs", ignore_errors=True)
        twin.write_segment(dead, "a.closed", frames_of(store, hash_))
        twin.write_segment(dead, "b.open", frames_of(store, hash_))
        child = subprocess.run(
            [sys.executable, "-c", _CHILD, str(store.repo_path), str(n)],
            capture_output=True,
            text=True,
            timeout=60,
        )
        if child.returncode == 0:
            break
        assert child.returncode == -signal.SIGKILL, child.stderr
        n_killed += 1
        twin.write_segment(dead, "c.closed", frames_of(store, hash_))  # the server went on
        store.flush_feature_logs()
        log = log_of(store.repo_path / "logs")
        assert log.num_rows == 9, f"killed at {n}"
        assert not list((store.repo_path / "logs").rglob("*.tmp")), f"killed at {n}"
    assert n_killed > 15


# ---- reading back


def test_training_from_the_log_gives_what_was_served(store: FeatureStore) -> None:
    """What the online store answers at an instant is what the join gives for that instant."""
    hash_ = logged(store)
    store.materialize(utc(2020, 1, 1), TIMES[0])
    served = store.get_online_features(
        features=store.get_feature_service("model"),
        entity_rows=[{"driver_id": i} for i in (1, 2, 3, 9)],
        full_feature_names=True,
    ).to_dict(include_event_timestamps=True)
    events = [
        utc(1970, 1, 1) + dt.timedelta(seconds=t) if t else None for t in served["stats__trips__ts"]
    ]
    statuses = [
        twin.NOT_FOUND if e is None else twin.PRESENT if v is not None else twin.NULL_VALUE
        for e, v in zip(events, served["stats__trips"], strict=True)
    ]
    columns = [
        twin.column(twin.INT64, served["driver_id"], [1] * 4, None),
        twin.column(twin.STRING, served["stats__city"], statuses, events),
        twin.column(twin.INT64, served["stats__trips"], statuses, None),
    ]
    schema = twin.definition("model", hash_, head_of(store), ["driver_id"], ["city", "trips"])
    frames = [twin.frame(1, 0, schema), twin.frame(2, 0, twin.block([(TIMES[0], 4)], columns))]
    twin.write_segment(segments_of(store), "a.closed", frames)
    store.flush_feature_logs()
    log = store.get_feature_logs("model")
    assert log.column_names == ["driver_id", "event_timestamp", "stats__city", "stats__trips"]
    training = store.get_historical_features(
        entity_df=log, features=store.get_feature_service("model")
    ).to_arrow()
    assert training.num_rows == 4
    assert training["city"].to_pylist() == log["stats__city"].to_pylist()
    assert training["trips"].to_pylist() == log["stats__trips"].to_pylist()
    assert training["trips"].to_pylist() == [30, None, 1000, None]


def test_a_window_of_the_log_is_read(store: FeatureStore) -> None:
    hash_ = logged(store)
    twin.write_segment(segments_of(store), "a.closed", frames_of(store, hash_))
    store.flush_feature_logs()
    assert store.get_feature_logs("model", end=TIMES[0])["driver_id"].to_pylist() == [1, 2]
    assert store.get_feature_logs("model", start=TIMES[1])["driver_id"].to_pylist() == [9]
    assert store.get_feature_logs("model", "2025-01-01").num_rows == 0
    keys = store.get_feature_logs("model", served=False)
    assert keys.column_names == ["driver_id", "event_timestamp"]
    whole = store.get_feature_logs("model", statuses=True)
    assert "stats__trips__status" in whole.column_names
    assert "__request_id" in whole.column_names


def test_a_service_that_is_not_logged_has_no_logs(store: FeatureStore) -> None:
    with pytest.raises(errors.InvalidError, match="has no logging_config; give it one"):
        store.get_feature_logs("model")
    with pytest.raises(errors.NotFoundError):
        store.get_feature_logs("nobody")


# ---- logs of others


def test_logs_of_others_are_written_as_ours(store: FeatureStore, tmp_path: Path) -> None:
    hash_ = logged(store)
    twin.write_segment(segments_of(store), "a.closed", frames_of(store, hash_))
    store.flush_feature_logs()
    logs = log_of(store.repo_path / "logs").drop_columns(["__definition_hash"])
    shutil.rmtree(store.repo_path / "logs")
    folder = tmp_path / "others"
    folder.mkdir()
    pq.write_table(logs, folder / "part-0.parquet")
    service = store.get_feature_service("model")
    for given in (logs, folder, logs.to_pandas()):
        report = store.write_logged_features(given, service)
        assert report["rows"] == 3
    assert log_of(store.repo_path / "logs").num_rows == 3  # the same rows are the same files
    assert store.get_feature_logs(service)["stats__trips"].to_pylist() == [30, None, None]
    with pytest.raises(errors.SchemaError, match="lack the columns __log_date"):
        store.write_logged_features(logs.drop_columns(["__log_date"]), service)
    with pytest.raises(errors.SchemaError, match="does not log: odd"):
        store.write_logged_features(logs.append_column("odd", logs["driver_id"]), service)
    with pytest.raises(errors.SchemaError, match="table or the path"):
        store.write_logged_features(5, service)
    with pytest.raises(errors.NotFoundError, match="no Parquet files"):
        store.write_logged_features(tmp_path / "nothing", service)


# ---- the command


def test_the_command_flushes(store: FeatureStore) -> None:
    hash_ = logged(store)
    twin.write_segment(segments_of(store), "a.closed", frames_of(store, hash_))
    program = [sys.executable, "-m", "tiffin.cli.main", "-c", str(store.repo_path), "logs", "flush"]
    tiffin = Path(sys.executable).with_name("tiffin")
    program[:3] = [str(tiffin)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert "model: 3 rows" in done.stdout
    assert "1 segment flushed into 2 files" in done.stdout + done.stderr


# ---- a server that runs


def ask(url: str, ids: list[int]) -> Any:
    body = json.dumps({"feature_service": "model", "entities": {"driver_id": ids}}).encode()
    request = urllib.request.Request(
        url + "/get-online-features", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


def test_what_a_server_answers_is_logged_flushed_and_trained_from(store: FeatureStore) -> None:
    hash_ = logged(store)
    store.materialize(utc(2020, 1, 1), TIMES[0])
    n_requests, ids = 40, [1, 2, 3, 9]
    with ServerProcess(store.repo_path) as server:
        for _ in range(n_requests):
            served = ask(server.url, ids)
        assert store.flush_feature_logs()["rows"] == 0  # its segment is its own until it closes it
    report = store.flush_feature_logs()
    assert report["rows"] == n_requests * len(ids)
    names = served["metadata"]["feature_names"]
    by_name = {name: served["results"][i]["values"] for i, name in enumerate(names)}
    log = store.get_feature_logs("model", statuses=True)
    assert log.num_rows == n_requests * len(ids)
    assert len(set(log["__request_id"].to_pylist())) == n_requests
    assert set(log["__definition_hash"].to_pylist()) == {hash_}
    for begin in range(0, log.num_rows, len(ids)):
        rows = log.slice(begin, len(ids))
        assert rows["driver_id"].to_pylist() == ids
        assert rows["stats__trips"].to_pylist() == by_name["trips"]
        assert rows["stats__city"].to_pylist() == by_name["city"]


def test_a_server_that_is_killed_leaves_what_it_has_written(store: FeatureStore) -> None:
    logged(store)
    store.materialize(utc(2020, 1, 1), TIMES[0])
    with ServerProcess(store.repo_path) as server:
        for _ in range(20):
            ask(server.url, [1])

        def n_written() -> int:
            with urllib.request.urlopen(server.url + "/metrics", timeout=30) as answer:
                text = answer.read().decode()
            (line,) = re.findall(r"^tiffin_feature_log_records_total (\d+)$", text, re.MULTILINE)
            return int(line)

        wait_until(lambda: n_written() == 20, "all answers are in the segment")
        server.kill()
    assert store.flush_feature_logs()["rows"] == 20
    assert store.get_feature_logs("model").num_rows == 20
