"""The online store counted, cleaned, backed up and restored, while other processes use it."""

import datetime as dt
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from one_view import start, times
from online_child import KEYS

from tiffin import Entity, FeatureStore, FeatureView, FileSource, errors

CHILD = Path(__file__).parent / "online_child.py"
N = 20_000
DAYS = 20


def table_of(version: int, n: int = N) -> pa.Table:
    """Row k has an event time of day k % DAYS."""
    return pa.table(
        {
            "k": pa.array(range(n), pa.int64()),
            "event_timestamp": times([i % DAYS for i in range(n)]),
            "version": pa.array([version] * n, pa.int64()),
        }
    )


def definitions(project: str = "one", **options: Any) -> list[Any]:
    source = FileSource(name="rows", path="facts.parquet", timestamp_field="event_timestamp")
    key = Entity(name="key", join_keys=["k"])
    return [key, source, FeatureView(name="facts", entities=[key], source=source, **options)]


def store_in(folder: Path, project: str = "one", config: str = "", **options: Any) -> FeatureStore:
    folder.mkdir(exist_ok=True)
    yaml = f"project: {project}\nonline_ttl: ignore\noffline_store: {{threads: 2}}\n{config}"
    (folder / "feature_store.yaml").write_text(yaml)
    pq.write_table(table_of(1), folder / "facts.parquet")
    store = FeatureStore(folder)
    store.apply(definitions(project, **options))
    return store


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """A store of N rows, all of version 1."""
    store = store_in(tmp_path / "repo", ttl=dt.timedelta(days=10))
    store.materialize(None, start(DAYS))
    return store


def cli(store: FeatureStore, *args: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tiffin.cli.main", "-c", str(store.repo_path), "online", *args],
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if code == 0 else done.stderr


def rows_of(store: FeatureStore, view: str = "facts") -> int:
    return {v["view"]: v["rows"] for v in store.online_stats()["views"]}[view]


def versions(store: FeatureStore, keys: list[int]) -> list[int | None]:
    answer = store.get_online_features(["facts:version"], {"k": keys}).to_dict()
    return answer["version"]


@contextmanager
def running(role: str, store: FeatureStore) -> Iterator[dict[str, Any]]:
    """A child that works until the block ends; then its answer is in the dict."""
    child = subprocess.Popen(
        [sys.executable, str(CHILD), role, str(store.repo_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    answer: dict[str, Any] = {}
    try:
        assert child.stdout.readline() == "ready\n"
        yield answer
        out, _ = child.communicate(timeout=60)
        assert child.returncode == 0
        answer.update(json.loads(out))
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()


# ---- stats


def test_stats_count_rows_bytes_generations_and_times(store: FeatureStore) -> None:
    report = store.online_stats()
    (view,) = report["views"]
    assert view["rows"] == N
    assert view["bytes"] == view["key_bytes"] + view["value_bytes"]
    assert view["key_bytes"] == N * 13  # a generation and an int64
    assert (view["oldest"], view["newest"]) == ("2024-01-01T00:00:00Z", "2024-01-20T00:00:00Z")
    assert view["is_defined"] and view["is_online"] and view["generation"] > 0
    file = store.repo_path / "data" / "online" / "data.mdb"
    assert report["file"]["bytes"] == file.stat().st_size >= view["bytes"]
    assert report["reads"] == {"open": 0, "commits_behind": 0}
    assert "facts" in cli(store, "stats")
    assert json.loads(cli(store, "stats", "--json"))["views"] == report["views"]


def test_stats_of_nothing_are_empty(tmp_path: Path) -> None:
    report = store_in(tmp_path / "repo").online_stats()
    assert report["file"] is None
    assert [(v["view"], v["rows"], v["oldest"]) for v in report["views"]] == [("facts", 0, None)]
    assert not (tmp_path / "repo" / "data" / "online").exists()


def test_stats_tell_projects_apart_and_name_what_is_not_defined(tmp_path: Path) -> None:
    shared = f"online_store: {{path: {tmp_path / 'online'}}}\n"
    one = store_in(tmp_path / "a", config=shared)
    two = store_in(tmp_path / "b", project="two", config=shared)
    for each in (one, two):
        each.materialize(None, start(DAYS))
    assert one.online_stats()["other_projects"]["rows"] == N
    one.delete_feature_view("facts")
    (view,) = one.online_stats()["views"]
    assert (view["is_defined"], view["rows"]) == (False, N)


def test_stats_show_progress_and_can_be_stopped(store: FeatureStore) -> None:
    told = []
    store.online_stats(progress=lambda what, done, total: told.append((what, total)))
    assert ("counting online rows", N) in told

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.online_stats(progress=stop)


# ---- delete


def test_deleted_keys_are_gone_for_every_process(store: FeatureStore) -> None:
    report = store.delete_online("facts", [{"k": 1}, {"k": 2}, {"k": 10**9}])
    assert (report["keys"], report["deleted"], report["not_there"]) == (3, 2, 1)
    assert "2 of 3 keys deleted, 1 not there" in cli(
        store, "delete", "facts", "-e", "k=3", "-e", "k=4", "-e", "k=1"
    )
    assert versions(FeatureStore(store.repo_path), [0, 1, 2, 3, 4, 5]) == [1, *[None] * 4, 1]
    assert rows_of(store) == N - 4


@pytest.mark.parametrize(
    "keys",
    [
        {"k": [7, 8]},
        pd.DataFrame({"k": [7.0, 8.0], "more": ["a", "b"]}),
        pa.table({"k": pa.array([7, 8], pa.int16())}),
        {"k": ["7", "8"]},
    ],
)
def test_keys_come_in_any_form(store: FeatureStore, keys: Any) -> None:
    assert store.delete_online("facts", keys)["deleted"] == 2
    assert versions(store, [7, 8, 9]) == [None, None, 1]


@pytest.mark.parametrize(
    ("keys", "kind", "sentence"),
    [
        ({"k": [1, None]}, errors.InvalidError, "row 1 of the keys has no value of 'k'"),
        ({"k": ["1", "x"]}, errors.InvalidError, "the text 'x' does not read as one"),
        ({"k": [1.5]}, errors.SchemaError, "'k'"),
        ({"q": [1]}, errors.SchemaError, "the keys have no column 'k'"),
    ],
)
def test_wrong_keys_are_one_sentence_and_delete_nothing(
    store: FeatureStore, keys: Any, kind: type[Exception], sentence: str
) -> None:
    with pytest.raises(kind, match=sentence):
        store.delete_online("facts", keys)
    assert rows_of(store) == N
    with pytest.raises(errors.NotFoundError, match="nope"):
        store.delete_online("nope", {"k": [1]})


def test_deleting_from_a_view_that_was_never_written_makes_nothing(tmp_path: Path) -> None:
    store = store_in(tmp_path / "repo")
    assert store.delete_online("facts", {"k": [1]})["not_there"] == 1
    assert store.online_stats()["views"][0]["generation"] == 0
    assert store.delete_online("facts", {"k": pa.array([], pa.int64())})["keys"] == 0
    with pytest.raises(errors.InvalidError, match="row 0 of the keys has no value of 'k'"):
        store.delete_online("facts", {"k": pa.array([None], pa.int64())})
    online_path = store.config.online_path
    assert online_path is not None
    assert not online_path.exists()


# ---- vacuum


def test_vacuum_removes_what_a_lookup_calls_expired(store: FeatureStore) -> None:
    at = start(DAYS)  # 10 days of ttl: days 10 to 19 stay
    before = store.online_stats()["file"]["free_bytes"]
    assert store.vacuum_online(dry_run=True, at=at)["rows"] == N // 2
    assert rows_of(store) == N
    assert store.vacuum_online(keep_expired=True, at=at)["rows"] == 0
    report = store.vacuum_online(at=at)
    assert report["views"] == [
        {"view": "facts", "is_orphan": False, "expired": N // 2, "orphaned": 0, "previous": 0}
    ]
    assert "online_ttl" in report["note"]
    assert "10,000 rows removed" in str(report)
    assert versions(store, list(range(DAYS))) == [None] * 10 + [1] * 10
    assert rows_of(store) == N // 2
    assert store.online_stats()["file"]["free_bytes"] > before
    assert store.vacuum_online(at=at)["rows"] == 0
    assert "0 rows would be removed" in cli(store, "vacuum", "--dry-run", "--at", at.isoformat())


@pytest.mark.parametrize("how", ["gone", "off"])
def test_vacuum_removes_views_that_nobody_can_read(tmp_path: Path, how: str) -> None:
    shared = f"online_store: {{path: {tmp_path / 'online'}}}\n"
    one = store_in(tmp_path / "a", config=shared)
    two = store_in(tmp_path / "b", project="two", config=shared)
    for each in (one, two):
        each.materialize(None, start(DAYS))
    other = FeatureView(name="other", entities=[definitions()[0]], source=definitions()[1])
    one.apply([*definitions()[:2], other])
    if how == "gone":
        one.delete_feature_view("facts")
    else:
        one.apply(definitions(online=False))
    assert "facts: 20,000 orphaned" in cli(one, "vacuum", "--dry-run")
    (view,) = one.vacuum_online()["views"]
    assert (view["view"], view["is_orphan"], view["orphaned"]) == ("facts", True, N)
    assert versions(two, [0, 1]) == [1, 1]
    assert one.online_stats()["other_projects"]["rows"] == N
    one.apply(definitions())
    assert rows_of(one) == 0
    one.materialize_incremental(start(DAYS))
    assert rows_of(one) == N


def test_vacuum_without_definitions_is_refused(store: FeatureStore) -> None:
    empty = store.repo_path / "empty.db"
    yaml = store.repo_path / "feature_store.yaml"
    yaml.write_text(f"project: one\nregistry: {empty}\n")
    with pytest.raises(errors.TiffinError) as caught:
        FeatureStore(store.repo_path).vacuum_online()
    assert "apply" in str(caught.value)
    assert versions(store, [1]) == [1]


def test_pushes_and_lookups_go_on_during_vacuums(store: FeatureStore) -> None:
    with running("push", store) as pushed, running("read", store) as seen:
        for days in range(1, DAYS + 1):
            store.vacuum_online(at=start(DAYS / 2 + days))
    assert versions(store, KEYS) == [pushed["acknowledged"]] * len(KEYS)
    assert pushed["acknowledged"] > 0 and seen["reads"] > 0
    assert rows_of(store) == len(KEYS)


def test_a_killed_vacuum_is_harmless(store: FeatureStore) -> None:
    code = "import sys, tiffin; tiffin.FeatureStore(sys.argv[1]).vacuum_online(at=sys.argv[2])"
    for i in range(10):
        child = subprocess.Popen(
            [sys.executable, "-c", code, str(store.repo_path), start(20.5).isoformat()]
        )
        time.sleep(0.1 + 0.02 * i)
        child.send_signal(signal.SIGKILL)
        child.wait()
        left = rows_of(store)
        assert N * 9 // 20 <= left <= N
        assert versions(store, [DAYS - 1, 2 * DAYS - 1]) == [1, 1]
    store.vacuum_online(at=start(20.5))
    assert rows_of(store) == N * 9 // 20


# ---- backup and restore


def test_a_backup_brings_back_rows_and_watermarks(store: FeatureStore, tmp_path: Path) -> None:
    backup = tmp_path / "deep" / "backup"
    before = store.status()
    assert "20,000" in cli(store, "backup", str(backup))
    assert sorted(p.name for p in backup.iterdir()) == ["backup.json", "data.mdb"]
    description = json.loads((backup / "backup.json").read_text())
    assert description["views"][0]["watermark"]["end"] == "2024-01-21T00:00:00Z"
    assert description["project"] == "one" and description["format"] == 1

    pq.write_table(table_of(2, N + 5), store.repo_path / "facts.parquet")
    store.materialize(None, start(2 * DAYS))
    assert versions(store, [0, N + 1]) == [2, 2]
    assert "20,005" in cli(store, "restore", str(backup))
    assert versions(FeatureStore(store.repo_path), [0, N + 1]) == [1, None]
    after = store.status()
    assert {**after[0], "generation": 0} == {**before[0], "generation": 0}
    assert rows_of(store) == N


def test_a_backup_is_restored_into_an_empty_place(store: FeatureStore, tmp_path: Path) -> None:
    store.backup_online(tmp_path / "backup")
    elsewhere = store_in(tmp_path / "elsewhere", ttl=dt.timedelta(days=10))
    report = elsewhere.restore_online(tmp_path / "backup")
    assert report["views"] == [{"view": "facts", "rows": N, "replaced": 0}]
    assert versions(elsewhere, [0, N - 1]) == [1, 1]
    assert elsewhere.status()[0]["end"] == "2024-01-21T00:00:00Z"


def test_views_that_the_backup_lacks_stay_and_undefined_ones_are_passed_over(
    store: FeatureStore, tmp_path: Path
) -> None:
    store.backup_online(tmp_path / "backup")
    entity, source, _ = definitions()
    store.apply([entity, source, FeatureView(name="late", entities=[entity], source=source)])
    store.materialize(None, start(DAYS), ["late"])
    store.restore_online(tmp_path / "backup")
    assert (rows_of(store, "late"), rows_of(store)) == (N, N)
    store.delete_feature_view("facts")
    with pytest.raises(errors.NotFoundError, match="none of the backup's 1 views is defined"):
        store.restore_online(tmp_path / "backup")


def test_a_restore_changes_over_at_once_and_keeps_pushes(
    store: FeatureStore, tmp_path: Path
) -> None:
    store.backup_online(tmp_path / "one")
    pq.write_table(table_of(2), store.repo_path / "facts.parquet")
    store.materialize(None, start(DAYS))
    store.backup_online(tmp_path / "two")
    with running("push", store) as pushed, running("read", store) as seen:
        for name in ["one", "two", "one", "two", "one"]:
            store.restore_online(tmp_path / name)
        while versions(store, KEYS)[0] is None:  # something was pushed after the last one
            pass
    assert seen["reads"] > 5
    assert {tuple(state) for state in seen["states"]} <= {("1",), ("2",)}
    assert versions(store, KEYS) == [pushed["acknowledged"]] * len(KEYS)
    assert versions(store, [0, N - 1]) == [1, 1]


def test_a_backup_under_load_is_one_state(store: FeatureStore, tmp_path: Path) -> None:
    with running("push", store) as pushed, running("read", store):
        for i in range(5):
            store.backup_online(tmp_path / f"b{i}")
    elsewhere = store_in(tmp_path / "elsewhere")
    last = 0
    for i in range(5):
        elsewhere.restore_online(tmp_path / f"b{i}")
        found = set(versions(elsewhere, KEYS))
        assert len(found) == 1, found
        assert last <= (last := found.pop() or 0) <= pushed["acknowledged"]
        assert versions(elsewhere, [0, N - 1]) == [1, 1]


def damage_data(backup: Path) -> None:
    data = bytearray((backup / "data.mdb").read_bytes())
    data[len(data) // 2] ^= 0xFF
    (backup / "data.mdb").write_bytes(data)


def change_description(backup: Path, **members: Any) -> None:
    description = json.loads((backup / "backup.json").read_text())
    (backup / "backup.json").write_text(json.dumps({**description, **members}))


@pytest.mark.parametrize(
    ("harm", "kind", "sentence"),
    [
        (damage_data, errors.CorruptError, "has been changed or damaged"),
        (
            lambda b: os.truncate(b / "data.mdb", 5000),
            errors.CorruptError,
            "has 5000 bytes; the backup was written with",
        ),
        (lambda b: (b / "data.mdb").unlink(), errors.NotFoundError, "data.mdb' is not there"),
        (lambda b: (b / "backup.json").unlink(), errors.NotFoundError, "has no backup.json"),
        (
            lambda b: (b / "backup.json").write_text("{"),
            errors.CorruptError,
            "backup.json' is damaged",
        ),
        (
            lambda b: (b / "backup.json").write_text("[1]"),
            errors.InvalidError,
            "was not written by tiffin online backup",
        ),
        (lambda b: change_description(b, format=2), errors.UnsupportedError, "upgrade tiffin"),
        (
            lambda b: change_description(b, project="two"),
            errors.InvalidError,
            "of project 'two', this is project 'one'",
        ),
        (lambda b: change_description(b, views=3), errors.CorruptError, "views are missing"),
    ],
)
def test_a_damaged_or_foreign_backup_changes_nothing(
    store: FeatureStore, tmp_path: Path, harm: Any, kind: type[Exception], sentence: str
) -> None:
    store.backup_online(tmp_path / "backup")
    before = store.status()
    harm(tmp_path / "backup")
    with pytest.raises(kind, match=sentence):
        store.restore_online(tmp_path / "backup")
    assert store.status() == before
    assert versions(store, [0]) == [1]
    assert "restoring from" in cli(store, "restore", str(tmp_path / "backup"), code=1)


def test_other_join_keys_are_refused(store: FeatureStore, tmp_path: Path) -> None:
    store.backup_online(tmp_path / "backup")
    change_description(
        tmp_path / "backup",
        views=[{"view": "facts", "keys": [{"name": "k", "type": "string"}], "watermark": None}],
    )
    with pytest.raises(errors.SchemaError, match="other join keys now than in the backup"):
        store.restore_online(tmp_path / "backup")


def test_a_folder_that_holds_something_is_no_place_for_a_backup(
    store: FeatureStore, tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes").write_text("mine")
    with pytest.raises(errors.InvalidError, match="holds 'notes'; name a folder that is empty"):
        store.backup_online(tmp_path / "full")
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["notes"]
    with pytest.raises(errors.InvalidError, match="is a file"):
        store.backup_online(tmp_path / "full" / "notes")
    with pytest.raises(errors.SchemaError, match="folder must be a path, not int"):
        store.backup_online(3)
    with pytest.raises(errors.NotFoundError, match="there is no backup at"):
        store.restore_online(tmp_path / "nowhere")


def test_a_killed_backup_leaves_a_folder_that_the_next_one_uses(
    store: FeatureStore, tmp_path: Path
) -> None:
    code = "import sys, tiffin; tiffin.FeatureStore(sys.argv[1]).backup_online(sys.argv[2])"
    for i in range(8):
        folder = tmp_path / f"b{i}"
        child = subprocess.Popen([sys.executable, "-c", code, str(store.repo_path), str(folder)])
        time.sleep(0.1 + 0.02 * i)
        child.send_signal(signal.SIGKILL)
        child.wait()
        if (folder / "backup.json").exists():
            assert store.restore_online(folder)["views"][0]["rows"] == N
        else:
            assert store.backup_online(folder)["views"][0]["rows"] == N


def test_a_killed_restore_is_old_or_new(store: FeatureStore, tmp_path: Path) -> None:
    store.backup_online(tmp_path / "backup")
    pq.write_table(table_of(2), store.repo_path / "facts.parquet")
    store.materialize(None, start(DAYS))
    code = "import sys, tiffin; tiffin.FeatureStore(sys.argv[1]).restore_online(sys.argv[2])"
    for i in range(8):
        args = [sys.executable, "-c", code, str(store.repo_path), str(tmp_path / "backup")]
        child = subprocess.Popen(args)
        time.sleep(0.1 + 0.02 * i)
        child.send_signal(signal.SIGKILL)
        child.wait()
        found = set(versions(store, list(range(N))))
        assert found in ({1}, {2})
    store.vacuum_online(previous=True, keep_expired=True)
    stats = store.online_stats()
    assert stats["orphans"]["rows"] == 0 and stats["views"][0]["building"] is None
    store.restore_online(tmp_path / "backup")
    assert set(versions(store, list(range(N)))) == {1}
    assert rows_of(store) == N


def test_a_restore_can_be_rolled_back_with_its_watermark(
    store: FeatureStore, tmp_path: Path
) -> None:
    store.backup_online(tmp_path / "backup")
    pq.write_table(table_of(2), store.repo_path / "facts.parquet")
    store.materialize(None, start(2 * DAYS))
    store.restore_online(tmp_path / "backup")
    assert (versions(store, [0]), store.status()[0]["end"]) == ([1], "2024-01-21T00:00:00Z")
    assert "materialized to 2024-02-10T00:00:00Z" in cli(store, "rollback", "facts")
    assert (versions(store, [0]), store.status()[0]["end"]) == ([2], "2024-02-10T00:00:00Z")
    assert json.loads(cli(store, "rollback", "facts", "--json"))["rows"] == N
    assert versions(store, [0]) == [1]
    assert "no previous generation" in cli(
        store_in(tmp_path / "empty"), "rollback", "facts", code=1
    )


# ---- a full disk


def _with_file_limit(n_bytes: int, work: str, store: FeatureStore, *args: str) -> str:
    """Run a method of a store in a process whose files may not grow beyond a size; its error."""
    code = (
        "import sys, tiffin\n"
        "s = tiffin.FeatureStore(sys.argv[1])\n"
        f"try:\n    {work}\n"
        "except tiffin.errors.TiffinError as e:\n    print(type(e).__name__, e)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(store.repo_path), *args],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes)),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_file_that_may_not_grow_loses_nothing(store: FeatureStore, tmp_path: Path) -> None:
    store.backup_online(tmp_path / "backup")
    size = store.online_stats()["file"]["bytes"]
    limit = size + 65536
    pq.write_table(table_of(2, 3 * N), store.repo_path / "facts.parquet")
    found = _with_file_limit(limit, "s.materialize(None, sys.argv[2])", store, "2024-03-01")
    assert found.startswith("IoError materializing 'facts'"), found
    assert "the store is as before this write, of which nothing was kept" in found
    assert set(versions(store, list(range(N)))) == {1}
    found = _with_file_limit(
        limit,
        "import pandas as pd; s.write_to_online_store('facts', pd.DataFrame({'k': range(10**6,"
        " 10**6 + 40000), 'event_timestamp': pd.Timestamp('2024-02-01', tz='UTC'),"
        " 'version': 3}))",
        store,
    )
    assert found.startswith("IoError writing to 'facts'"), found
    assert rows_of(store) == N
    found = _with_file_limit(100_000, "s.backup_online(sys.argv[2])", store, str(tmp_path / "b2"))
    assert found.startswith("IoError backing up to"), found
    assert not (tmp_path / "b2").exists()
    found = _with_file_limit(
        limit, "s.restore_online(sys.argv[2])", store, str(tmp_path / "backup")
    )
    assert found == "" or found.startswith("IoError restoring from"), found
    assert set(versions(store, list(range(N)))) == {1}
    store.materialize(None, start(60))
    assert set(versions(store, list(range(3 * N)))) == {2}


@contextmanager
def small_disk(folder: Path, n_bytes: int) -> Iterator[Path]:
    """A file system of its own of that size; skips where none can be mounted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={n_bytes}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("no file system can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_loses_nothing_and_writing_goes_on_once_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 8 << 20) as disk:
        config = f"online_store: {{path: {disk / 'online'}}}\n"
        store = store_in(tmp_path / "repo", config=config, ttl=dt.timedelta(days=10))
        store.materialize(None, start(DAYS))
        (disk / "ballast").write_bytes(b"x" * (3 << 20))
        acknowledged = 0
        with pytest.raises(errors.IoError, match="of which nothing was kept") as caught:
            while True:
                first = 10**6 + acknowledged
                rows = pd.DataFrame({"k": range(first, first + 2000), "version": 3})
                rows["event_timestamp"] = pd.Timestamp(start(DAYS))
                store.write_to_online_store("facts", rows)
                acknowledged += 2000
        assert "writing to 'facts'" in str(caught.value)
        assert "free space on the disk" in str(caught.value)
        pushed = list(range(10**6, 10**6 + acknowledged + 1))
        assert versions(store, pushed) == [3] * acknowledged + [None]
        pq.write_table(table_of(2, 3 * N), store.repo_path / "facts.parquet")
        with pytest.raises(errors.IoError, match="materializing 'facts'"):
            store.materialize(None, start(60))
        with pytest.raises(errors.IoError, match="backing up to"):
            store.backup_online(disk / "backup")
        assert sorted(p.name for p in disk.iterdir()) == ["ballast", "online"]
        assert set(versions(FeatureStore(store.repo_path), list(range(N)))) == {1}
        assert versions(store, pushed) == [3] * acknowledged + [None]

        (disk / "ballast").unlink()
        removed = store.vacuum_online(at=start(DAYS))
        assert removed["views"][0]["expired"] == N // 2
        store.write_to_online_store("facts", rows)
        assert versions(store, [first]) == [3]
        assert rows_of(store) == N // 2 + acknowledged + 2000
