"""A feature store whose online store is in Redis: what it promises, also while Redis is not there.

TFN_REDIS_ROWS  how many rows each of the concurrent writers writes (2,000; the long test: 100,000)
"""

import asyncio
import os
import random
import threading
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from redis_facts import (
    START_US,
    finish_writer,
    random_rows,
    read_values,
    start_writer,
    store_of,
    table_of,
    winners,
)
from redis_server import SLOTS, RedisCluster, RedisServer, Relay
from rides import definitions, drivers, utc
from versions import FIRST, VIEWS, make_repo, numbers_of

from tiffin import (
    Entity,
    FeatureStore,
    FeatureView,
    Field,
    FieldStatus,
    FileSource,
    PushMode,
    PushSource,
    RepoConfig,
    errors,
    on_demand_feature_view,
)
from tiffin.types import Int64, String

N_ROWS = int(os.environ.get("TFN_REDIS_ROWS", "2000"))
PATIENT_SECONDS = 60


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def server(running):
    running("FLUSHALL")
    running("SCRIPT", "FLUSH")
    return running


@pytest.fixture
def rides(repo, server):
    """The store of conftest.py, in Redis."""
    (repo / "feature_store.yaml").write_text(
        "project: rides\nonline_ttl: enforce\n"
        f"online_store: {{type: redis, connection_string: '127.0.0.1:{server.port}'}}\n"
    )
    store = FeatureStore(repo)
    store.apply(list(definitions()))
    return store


def settings(server: RedisServer, **more: object) -> dict[str, object]:
    return {"connection_string": f"127.0.0.1:{server.port}", **more}


def patiently(call):
    """Call until Redis is there again."""
    deadline = time.monotonic() + PATIENT_SECONDS
    while True:
        try:
            return call()
        except errors.UnavailableError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


# ---- what every online store does


def test_materialize_and_look_up(rides):
    rides.materialize(utc(2024, 1, 1), utc(2024, 1, 3))
    rows = [{"driver_id": i} for i in (2, 1, 9, 1, None, 3)]
    features = ["stats:trips", "stats:rate", "stats:city"]
    answer = rides.get_online_features(features, rows, at=utc(2024, 1, 4))
    values = answer.to_dict()
    assert values["trips"] == [None, 30, None, 30, None, 1000]
    assert values["city"] == [None, "c", None, "c", None, ""]
    null, present, missing = (
        FieldStatus.NULL_VALUE,
        FieldStatus.PRESENT,
        FieldStatus.NOT_FOUND,
    )
    assert answer.statuses["trips"] == [null, present, missing, present, missing, present]


def test_rows_older_than_their_ttl_are_outside(rides):
    rides.materialize(utc(2024, 1, 1), utc(2024, 1, 3))
    answer = rides.get_online_features(["stats:trips"], [{"driver_id": 1}], at=utc(2024, 1, 20))
    assert answer.to_dict()["trips"] == [None]
    assert answer.statuses["trips"] == [FieldStatus.OUTSIDE_MAX_AGE]


@on_demand_feature_view(
    sources=[definitions()[2]], schema=[Field(name="double", dtype=Int64)], mode="python"
)
def doubled(inputs):
    return {"double": [None if t is None else 2 * t for t in inputs["trips"]]}


def test_on_demand_features(rides):
    rides.apply([doubled])
    rides.materialize(utc(2024, 1, 1), utc(2024, 1, 3))
    answer = rides.get_online_features(
        ["doubled:double"], {"driver_id": [1, 9]}, at=utc(2024, 1, 4)
    )
    assert answer.to_dict()["double"] == [60, None]


def test_keys_of_several_views_are_one_round_trip(repo, server):
    with Relay(server) as relay:
        address = f"connection_string: '127.0.0.1:{relay.port}'"
        config = f"online_store: {{type: redis, {address}, timeout_ms: 60000}}\n"
        store = make_repo(repo, 100, 1, config)
        store.materialize(FIRST, FIRST)
        for _ in range(2):
            n_turns = relay.n_turns
            assert numbers_of(store, 100) == dict.fromkeys(VIEWS, [0] * 100)
            assert relay.n_turns == n_turns + 1


def test_the_write_rule(rides):
    rides.materialize(utc(2024, 1, 1), utc(2024, 1, 3))
    again = rides.write_to_online_store("stats", drivers())
    assert (again["rows_written"], again["rows_older"], again["rows_same"]) == (0, 3, 3)
    row = drivers().slice(2, 1)
    changed = row.set_column(3, "trips", pa.array([31], pa.int64()))
    assert rides.write_to_online_store("stats", changed)["rows_written"] == 1
    older = changed.set_column(2, "created", pa.array([utc(2024, 1, 1)], pa.timestamp("us", "UTC")))
    assert rides.write_to_online_store("stats", older)["rows_older"] == 1
    answer = rides.get_online_features(["stats:trips"], {"driver_id": [1]}, at=utc(2024, 1, 4))
    assert answer.to_dict()["trips"] == [31]


def test_deleted_keys_leave_nothing_in_redis(rides, server):
    rides.materialize(utc(2024, 1, 1), utc(2024, 1, 3))
    n_keys = server("DBSIZE")
    report = rides.delete_online("stats", [{"driver_id": 1}, {"driver_id": 999}])
    assert (report["deleted"], report["not_there"]) == (1, 1)
    answer = rides.get_online_features(["stats:trips"], {"driver_id": [1]}, at=utc(2024, 1, 4))
    assert answer.statuses["trips"] == [FieldStatus.NOT_FOUND]
    assert server("DBSIZE") == n_keys - 1


def test_a_push_with_a_wrong_row_sends_nothing(rides, server):
    with pytest.raises(
        errors.InvalidError, match=r"column 'event_timestamp', row 2 \(counted from 0\): null"
    ):
        rides.write_to_online_store(
            "stats",
            {
                "driver_id": [1, 2, 3],
                "event_timestamp": [utc(2024, 1, 1), utc(2024, 1, 1), None],
                "created": [None] * 3,
                "trips": [1, 2, 3],
            },
        )
    assert server("DBSIZE") == 0


def pushed_store(repo, server, key: pa.DataType, values: pa.DataType) -> FeatureStore:
    """A store with a folder of one row and a push source before it."""
    (repo / "feature_store.yaml").write_text(
        "project: rides\n"
        f"online_store: {{type: redis, connection_string: '127.0.0.1:{server.port}'}}\n"
    )
    (repo / "rows").mkdir()
    pq.write_table(pushed_rows(key, values, [0], [None]), repo / "rows" / "first.parquet")
    files = FileSource(name="rows", path="rows", timestamp_field="event_timestamp")
    pushed = PushSource(name="pushed", batch_source=files)
    entity = Entity(name="key", join_keys=["k"])
    store = FeatureStore(repo)
    store.apply([entity, pushed, FeatureView(name="facts", entities=[entity], source=pushed)])
    return store


def pushed_rows(key: pa.DataType, values: pa.DataType, keys: list, v: list, **more) -> pa.Table:
    times = more.get("times", [utc(2024, 1, 1)] * len(keys))
    columns = {
        "k": pa.array(keys, key),
        "event_timestamp": pa.array(times, pa.timestamp("us", "UTC")),
        "v": pa.array(v, values),
    }
    return pa.table(columns)


REFUSED = {
    "a null in a list": (pa.int64(), pa.list_(pa.int64()), [1, 2], [[1], [1, None]], {}),
    "a fraction of a second": (
        pa.timestamp("us", "UTC"),
        pa.int64(),
        [1_000_000, 1_000_001],
        [1, 2],
        {},
    ),
    "a year before 1": (pa.int64(), pa.int64(), [1, 2], [1, 2], {"times": [0, -(10**17)]}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_row_that_redis_refuses_goes_to_no_file(repo, server, case):
    key, values, keys, v, more = REFUSED[case]
    store = pushed_store(repo, server, key, values)
    frame = pushed_rows(key, values, keys, v, **more)
    for to in (PushMode.ONLINE_AND_OFFLINE, PushMode.ONLINE):
        with pytest.raises(
            errors.UnsupportedError, match=r"writing to 'facts': row 1 \(counted from 0\): "
        ):
            store.push("pushed", frame, to=to)
    assert [p.name for p in (repo / "rows").iterdir()] == ["first.parquet"]
    assert server("DBSIZE") == 0


def test_a_push_to_both_says_that_its_rows_are_in_the_file_only(repo, tmp_path):
    with RedisServer(tmp_path / "redis") as server:
        store = pushed_store(repo, server, pa.int64(), pa.int64())
        server.stop()
        frame = pushed_rows(pa.int64(), pa.int64(), [1], [1])
        with pytest.raises(
            errors.UnavailableError, match=r"the rows are in .*/push-.*parquet, but not online"
        ):
            store.push("pushed", frame, to=PushMode.ONLINE_AND_OFFLINE)
        server.start()
    assert len(list((repo / "rows").iterdir())) == 2


def test_keys_expire(repo, server):
    store = store_of(repo, settings(server, key_ttl_seconds=100), [(1, START_US, START_US, 5)])
    store.write_to_online_store("facts", table_of([(1, START_US, START_US, 5)]))
    (key,) = server.dump()
    assert 0 < server("TTL", key) <= 100


def test_features_that_were_never_stored_are_not_found(repo, server):
    store = store_of(repo, settings(server), [(1, START_US, START_US, 5)])
    store.write_to_online_store("facts", table_of([(1, START_US, START_US, 5)]))
    table = table_of([(1, START_US, START_US, 5)])
    pq.write_table(table.append_column("w", table["v"]), repo / "facts.parquet")
    source = FileSource(
        name="rows",
        path="facts.parquet",
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
    )
    key = Entity(name="key", join_keys=["k"])
    store.apply([key, source, FeatureView(name="facts", entities=[key], source=source)])
    answer = store.get_online_features(["facts:v", "facts:w"], {"k": [1]})
    assert answer.to_dict() == {"k": [1], "v": [5], "w": [None]}
    assert answer.statuses["w"] == [FieldStatus.NOT_FOUND]


def test_a_feature_that_comes_back_to_redis_shows_what_it_was(repo, server):
    """Until its key is written again."""
    store = store_of(repo, settings(server), [(1, START_US, START_US, 5)])
    key, view = store.get_entity("key"), store.get_feature_view("facts")
    fields = [Field(name="v", dtype=Int64), Field(name="w", dtype=Int64)]
    later = table_of([(1, START_US + 1_000_000, START_US, 6), (2, START_US + 1, START_US, 6)])
    both = table_of([(k, START_US, START_US, 5) for k in (1, 3)])
    pq.write_table(later.append_column("w", later["v"]), repo / "facts.parquet")

    def define(*schema):
        store.apply(
            [
                key,
                FeatureView(
                    name="facts", entities=[key], source=view.batch_source, schema=list(schema)
                ),
            ]
        )

    define(*fields)
    store.write_to_online_store("facts", both.append_column("w", pa.array([7, 7])))
    define(fields[0])
    store.write_to_online_store("facts", later)
    define(*fields)
    answer = store.get_online_features(["facts:v", "facts:w"], {"k": [1, 2, 3]})
    assert answer.to_dict() == {"k": [1, 2, 3], "v": [6, 6, 5], "w": [7, None, 7]}
    store.write_to_online_store("facts", later)
    answer = store.get_online_features(["facts:w"], {"k": [1]})
    assert answer.to_dict()["w"] == [None]


def test_teardown_removes_this_projects_rows_only(rides, server):
    rides.materialize(utc(2024, 1, 1), utc(2024, 1, 3))
    key = next(iter(server.dump()))
    other = key.removesuffix(b"rides") + b"other_rides"
    server("HSET", other, "_ts:stats", "")
    server("SET", "session:rides", "x")
    rides.teardown()
    left = server("KEYS", "*")
    assert sorted(left) == sorted([other, b"session:rides"])


# ---- what Feast's layout does not keep


def apply_with(repo, server, columns, **entity):
    pq.write_table(pa.table(columns), repo / "x.parquet")
    config = RepoConfig(
        project="x", online_store={"type": "redis", **settings(server)}, repo_path=repo
    )
    key = Entity(name="key", join_keys=["k"], **entity)
    source = FileSource(name="rows", path="x.parquet", timestamp_field="at")
    store = FeatureStore(config=config)
    store.apply([key, source, FeatureView(name="facts", entities=[key], source=source)])
    return store


AT = pa.array([utc(2024, 1, 1)], pa.timestamp("us", "UTC"))


def test_dates_are_refused_by_apply(repo, server):
    columns = {"k": pa.array([1]), "at": AT, "born": pa.array([0], pa.date32())}
    with pytest.raises(errors.UnsupportedError) as caught:
        apply_with(repo, server, columns)
    assert str(caught.value) == (
        "feature view 'facts': its feature 'born' is of type date, which Feast's layout in Redis "
        "does not keep; declare it as another type (a date as a timestamp), or set online=False"
    )


def test_join_keys_of_other_types_are_refused_by_apply(repo, server):
    columns = {"k": pa.array([True]), "at": AT, "v": pa.array([1])}
    with pytest.raises(errors.UnsupportedError, match="its join key 'k' is of type bool"):
        apply_with(repo, server, columns)


def test_a_list_with_a_null_is_refused_and_nothing_is_sent(repo, server):
    columns = {"k": pa.array(["a", "b"]), "v": pa.array([[1], [2, None]])}
    columns["at"] = pa.array([utc(2024, 1, 1)] * 2, pa.timestamp("us", "UTC"))
    store = apply_with(repo, server, columns, value_type=String)
    with pytest.raises(errors.UnsupportedError, match="feature 'v': item 1 of a list is null"):
        store.write_to_online_store("facts", pa.table(columns))
    assert server("DBSIZE") == 0


def test_settings_that_make_no_sense_are_refused_at_once(repo):
    config = RepoConfig(
        project="x",
        online_store={"type": "redis", "connection_string": "a:1,passwort=s3cret"},
        repo_path=repo,
    )
    with pytest.raises(errors.InvalidError) as caught:
        FeatureStore(config=config)
    assert "the parameter 'passwort' means nothing here" in str(caught.value)
    assert "s3cret" not in str(caught.value)


# ---- while Redis is away


def test_a_server_that_is_away_is_one_sentence_and_comes_back(repo, tmp_path):
    rows = random_rows(random.Random(5), 500, 50, 20)
    expected = {k: row[3] for k, row in winners(rows).items()}
    with RedisServer(tmp_path / "redis") as server:
        store = store_of(repo, settings(server, timeout_ms=300), rows)
        store.write_to_online_store("facts", table_of(rows[:100]))
        server.stop()
        with pytest.raises(errors.UnavailableError, match=f"127.0.0.1:{server.port}"):
            store.write_to_online_store("facts", table_of(rows))
        with pytest.raises(errors.UnavailableError):
            store.get_online_features(["facts:v"], {"k": [1]})
        with pytest.raises(errors.UnavailableError):
            store.materialize(utc(2023, 1, 1), utc(2025, 1, 1))
        server.start()
        patiently(lambda: store.materialize(utc(2023, 1, 1), utc(2025, 1, 1)))
        assert read_values(store, 50) == expected

        server.pause()
        with pytest.raises(errors.UnavailableError):
            store.write_to_online_store("facts", table_of(rows))
        server.resume()
        patiently(lambda: store.write_to_online_store("facts", table_of(rows)))
        assert read_values(store, 50) == expected


def test_the_loop_turns_while_a_server_is_silent(repo, tmp_path):
    """Calls of a few rows too: whoever waits for a server leaves the interpreter to others."""
    timeout_s = 0.6

    async def turns_during(call, *args) -> int:
        n_turns = 0
        task = asyncio.create_task(call(*args))
        while not task.done():
            await asyncio.sleep(0.001)
            n_turns += 1
        with pytest.raises(errors.UnavailableError):
            task.result()
        return n_turns

    with RedisServer(tmp_path / "redis") as server:
        rows = random_rows(random.Random(7), 10, 5, 20)
        store = store_of(repo, settings(server, timeout_ms=int(1000 * timeout_s)), rows)
        store.write_to_online_store("facts", table_of(rows))
        prepared = store.prepare(["facts:v"])
        keys = pa.table({"k": pa.array([1], pa.int64())})
        calls = [
            (prepared.get_async, {"k": [1]}),
            (store.get_online_features_async, ["facts:v"], {"k": [1]}),
            (asyncio.to_thread, store.write_to_online_store, "facts", table_of(rows)),
            (asyncio.to_thread, store.delete_online, "facts", keys),
        ]
        for call in calls:
            patiently(lambda: prepared.get({"k": [1]}))
            server.pause()
            try:
                n_turns = asyncio.run(turns_during(*call))
            finally:
                server.resume()
            assert n_turns > 20, (call, n_turns)  # one or two while the lock is kept


def test_restarts_during_pushes_lose_nothing(repo, tmp_path):
    rows = random_rows(random.Random(6), 6000, 300, 20)
    with RedisServer(tmp_path / "redis") as server:
        store = store_of(repo, settings(server), rows)
        ended = threading.Event()

        def push() -> None:
            try:
                for first in range(0, len(rows), 200):
                    part = table_of(rows[first : first + 200])
                    patiently(lambda part=part: store.write_to_online_store("facts", part))
            finally:
                ended.set()

        pusher = threading.Thread(target=push)
        pusher.start()
        for i in range(3):
            server.kill()
            server.start()
            server.pause()
            ended.wait(0.05 * i)
            server.resume()
        pusher.join()
        assert read_values(store, 300) == {k: row[3] for k, row in winners(rows).items()}


# ---- many writers


def check_writers(repo, server, n_rows):
    rng = random.Random(n_rows)
    n_keys = max(10, n_rows // 20)
    rows = random_rows(rng, 2 * n_rows, n_keys, 7)
    store = store_of(repo, settings(server), rows)
    for i in range(4):
        part = rng.sample(rows, n_rows) if i else rows[:n_rows]
        taken = set(part)
        rest = [row for row in rows[n_rows:] if i == 1 and row not in taken]
        shuffled = part + rest
        rng.shuffle(shuffled)
        pq.write_table(table_of(shuffled), repo / f"part{i}.parquet")
    writers = [start_writer(repo, f"part{i}.parquet", 1000) for i in range(4)]
    counts = [finish_writer(writer) for writer in writers]
    assert sum(sum(c) for c in counts) >= 4 * n_rows
    assert read_values(store, n_keys) == {k: row[3] for k, row in winners(rows).items()}


def test_concurrent_writers_end_in_the_right_state(repo, server):
    check_writers(repo, server, N_ROWS)


@pytest.mark.long
def test_concurrent_writers_of_100_000_rows_each(repo, server):
    check_writers(repo, server, 100_000)


# ---- a cluster


def test_a_cluster_with_a_slot_that_moves_during_the_load(repo, tmp_path):
    rows = random_rows(random.Random(7), 8000, 3000, 20)
    expected = {k: row[3] for k, row in winners(rows).items()}
    with RedisCluster(tmp_path / "cluster") as cluster:
        connection = {"connection_string": cluster.connection_string}
        store = store_of(repo, {**connection, "redis_type": "redis_cluster"}, rows)
        store.write_to_online_store("facts", table_of(rows[:2000]))
        (key, *_) = cluster.nodes[0].dump()
        slot = int(cluster.nodes[0]("CLUSTER", "KEYSLOT", key))
        assert slot < SLOTS // 3
        failures: list[BaseException] = []

        def load() -> None:
            try:
                for first in range(0, len(rows), 500):
                    store.write_to_online_store("facts", table_of(rows[first : first + 500]))
                    read_values(store, 200)
                store.materialize(utc(2023, 1, 1), utc(2025, 1, 1))
            except BaseException as failure:
                failures.append(failure)

        loader = threading.Thread(target=load)
        loader.start()
        source, target = cluster.begin_move(slot)
        n_moved = cluster.move_keys(slot, source, target)
        n_moved += cluster.move_keys(slot, source, target)
        cluster.end_move(slot, target)
        loader.join()
        assert failures == []
        assert n_moved > 0
        assert read_values(store, 3000) == expected
        assert key in target.dump()


def test_a_node_that_gets_its_first_slot_during_writes(repo, tmp_path):
    """It knows no script and is in nobody's map of slots."""
    rows = random_rows(random.Random(8), 400, 200, 20)
    expected = {k: row[3] for k, row in winners(rows).items()}
    with RedisCluster(tmp_path / "cluster") as cluster:
        connection = {"connection_string": cluster.connection_string}
        store = store_of(repo, {**connection, "redis_type": "redis_cluster"}, rows)
        store.write_to_online_store("facts", table_of(rows[:100]))
        fourth = cluster.add(tmp_path / "fourth")
        (key, *_) = cluster.nodes[0].dump()
        slot = int(cluster.nodes[0]("CLUSTER", "KEYSLOT", key))
        source, _ = cluster.begin_move(slot, fourth)
        assert cluster.move_keys(slot, source, fourth) > 0
        later = [(k, event + 1_000_000_000, created, v) for k, event, created, v in rows]
        for part in (rows, later):  # all keys, so those of the slot too
            store.write_to_online_store("facts", table_of(part))
            assert read_values(store, 200) == expected
        cluster.end_move(slot, fourth)
        store.write_to_online_store("facts", table_of(later))
        assert read_values(store, 200) == expected
        assert key in fourth.dump()


def test_a_node_that_is_away_does_not_stop_writes_to_one_without_the_script(repo, tmp_path):
    rows = random_rows(random.Random(9), 200, 100, 20)
    with RedisCluster(tmp_path / "cluster") as cluster:
        connection = {"connection_string": cluster.connection_string}
        store = store_of(repo, {**connection, "redis_type": "redis_cluster"}, rows)
        for node in cluster.nodes:
            node("CONFIG", "SET", "cluster-require-full-coverage", "no")
        first_of = {}
        for row in rows:
            n_keys = cluster.nodes[0]("DBSIZE")
            store.write_to_online_store("facts", table_of([row]))
            if cluster.nodes[0]("DBSIZE") > n_keys:
                first_of[row[0]] = row
        assert first_of  # rows that live on the first node
        cluster.nodes[2].stop()
        cluster.nodes[0]("SCRIPT", "FLUSH")
        k, (_, event, created, _) = next(iter(first_of.items()))
        store.write_to_online_store("facts", table_of([(k, event + 1_000_000_000, created, -1)]))
        answer = store.get_online_features(["facts:v"], {"k": [k]}).to_dict()
        assert answer["v"] == [-1]
