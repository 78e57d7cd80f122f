"""Everything that changes a store, each as one entry, for tests that disturb it.

Each verb begins with a repo that `prepare` has made from one whose rows are not online yet, and has
one state before and one after it.
"""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
from versions import FIRST, TTL, VIEWS, end_of, frame_of, numbers_of, rows_of

from tiffin import FeatureStore, PushMode

N_KEYS = 60
N_VERSIONS = 4


class Verb(NamedTuple):
    """What is done before anything is disturbed, and what is disturbed."""

    prepare: Callable[[FeatureStore], object]
    act: Callable[[FeatureStore], object]
    is_read_before: bool = True  # something is online before
    is_repeatable: bool = True  # doing it twice is as doing it once
    is_one: bool = False  # all views change at one instant


def backup_of(store: FeatureStore) -> Path:
    return store.repo_path / "backup"


def look(store: FeatureStore) -> dict:
    """Return a repo's state: versions online, rows in its files, whether there is a backup."""
    files = (store.repo_path / "versions").glob("[!.]*.parquet")
    return numbers_of(store, N_KEYS) | {
        "rows": sum(pq.read_table(file).num_rows for file in files),
        "has_backup": backup_of(store).exists(),
    }


def nothing(store: FeatureStore) -> None:
    pass


def load(store: FeatureStore) -> None:
    store.materialize(FIRST, end_of(1))


def share_commits_and_load(store: FeatureStore) -> None:
    load(store)
    with (store.repo_path / "feature_store.yaml").open("a") as file:
        file.write("online_store: {type: lmdb, sync: batch}\n")


def load_all_but_one_row(store: FeatureStore) -> None:
    few = rows_of([(N_KEYS - 1, N_VERSIONS)])
    pq.write_table(few, store.repo_path / "versions" / "1.parquet")
    store.materialize(FIRST, end_of(N_VERSIONS - 1))


def load_twice(store: FeatureStore) -> None:
    load(store)
    store.materialize_incremental(end_of(2))
    store.push("pushed", rows_of([(0, 3)]))


def load_and_renew_half(store: FeatureStore) -> None:
    load(store)
    store.push("pushed", frame_of(3, N_KEYS // 2))


def back_up_and_load(store: FeatureStore) -> None:
    load(store)
    store.backup_online(backup_of(store))
    store.materialize_incremental(end_of(2))


def push(store: FeatureStore) -> None:
    store.push("pushed", frame_of(3, N_KEYS))


def push_both(store: FeatureStore) -> None:
    store.push("pushed", frame_of(3, N_KEYS), to=PushMode.ONLINE_AND_OFFLINE)


def write(store: FeatureStore) -> None:
    store.write_to_online_store(VIEWS[0], frame_of(3, N_KEYS))


def write_offline(store: FeatureStore) -> None:
    store.write_to_offline_store(VIEWS[0], frame_of(3, N_KEYS))


def delete(store: FeatureStore) -> None:
    store.delete_online(VIEWS[1], {"k": list(range(0, N_KEYS, 2))})


def vacuum(store: FeatureStore) -> None:
    store.vacuum_online(at=end_of(1) + TTL + dt.timedelta(seconds=1))


VERBS = {
    "push": Verb(load, push, is_one=True),
    "push, sync: batch": Verb(share_commits_and_load, push, is_one=True),
    "push, online and offline": Verb(load, push_both),
    "write_to_online_store": Verb(load, write),
    "write_to_online_store, the first": Verb(nothing, write, is_read_before=False),
    "write_to_offline_store": Verb(load, write_offline),
    "materialize, the first": Verb(nothing, load, is_read_before=False),
    "materialize, all keys": Verb(load, lambda store: store.materialize_incremental(end_of(2))),
    "materialize, one key": Verb(
        load_all_but_one_row, lambda store: store.materialize_incremental(end_of(N_VERSIONS))
    ),
    "rollback_online": Verb(
        load_twice, lambda store: store.rollback_online(VIEWS[0]), is_repeatable=False
    ),
    "delete_online": Verb(load, delete),
    "vacuum_online": Verb(load_and_renew_half, vacuum),
    "backup_online": Verb(
        load, lambda store: store.backup_online(backup_of(store)), is_repeatable=False
    ),
    "restore_online": Verb(
        back_up_and_load, lambda store: store.restore_online(backup_of(store)), is_one=True
    ),
}
