"""Generations of a view online, seen from Python: rollbacks and what they do to watermarks."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from one_view import start, store_of, times

from tiffin import FeatureStore
from tiffin.errors import NotFoundError, SchemaError, TiffinError

N_KEYS = 200


def rows(value: int, day: float, keys: range = range(N_KEYS)) -> pa.Table:
    return pa.table(
        {
            "k": pa.array(keys, pa.int64()),
            "event_timestamp": times([day] * len(keys)),
            "value": pa.array([value] * len(keys), pa.int64()),
        }
    )


def values(store: FeatureStore, *keys: int) -> list[Any]:
    return store.get_online_features(["facts:value"], {"k": list(keys)}).to_dict()["value"]


def loaded_twice(folder: Path) -> FeatureStore:
    store = store_of(folder, pa.concat_tables([rows(1, 1), rows(2, 11)]))
    store.materialize(None, start(5))
    store.materialize_incremental(start(12))
    assert values(store, 0, N_KEYS - 1) == [2, 2]
    return store


def test_rollback_takes_the_watermark_back(tmp_path: Path) -> None:
    store = loaded_twice(tmp_path)
    report = store.rollback_online("facts")
    assert report["rows"] == N_KEYS
    assert report["materialized_until"].startswith("2024-01-06")
    assert values(store, 0, N_KEYS - 1) == [1, 1]
    again = store.materialize_incremental(start(12)).views[0]
    assert again["start"].startswith("2024-01-06")
    assert again["rows_written"] == N_KEYS
    assert values(store, 0, N_KEYS - 1) == [2, 2]


def test_a_second_rollback_goes_back_again_with_its_watermark(tmp_path: Path) -> None:
    store = loaded_twice(tmp_path)
    store.rollback_online("facts")
    view = store.get_feature_view("facts")
    assert store.rollback_online(view)["materialized_until"].startswith("2024-01-13")
    assert values(store, 0) == [2]
    assert store.materialize_incremental(start(12)).views[0]["rows_written"] == 0


def test_a_rollback_whose_watermark_cannot_be_set_says_what_was_done(tmp_path: Path) -> None:
    store = loaded_twice(tmp_path)
    with sqlite3.connect(store.config.registry_path) as registry:
        registry.execute("CREATE TABLE seen(n)")
        registry.execute(  # the first change lowers the watermark, the second one is refused
            "CREATE TRIGGER refuse BEFORE INSERT ON watermark BEGIN"
            " SELECT RAISE(ABORT, 'refused') WHERE (SELECT count(*) FROM seen) > 0;"
            " INSERT INTO seen VALUES(1); END"
        )
    registry.close()
    sentence = "rolling back 'facts': the rows are rolled back, the watermark is not: "
    with pytest.raises(TiffinError, match=sentence):
        store.rollback_online("facts")
    assert values(store, 0, N_KEYS - 1) == [1, 1]
    with sqlite3.connect(store.config.registry_path) as registry:
        registry.execute("DROP TRIGGER refuse")
    registry.close()
    store.materialize_incremental(start(12))
    assert values(store, 0, N_KEYS - 1) == [2, 2]


def test_pushes_are_replayed_or_dropped(tmp_path: Path) -> None:
    store = loaded_twice(tmp_path)
    store.write_to_online_store("facts", rows(3, 7, range(2)))  # older than what is live
    store.write_to_online_store("facts", rows(4, 20, range(2, 4)))
    assert values(store, 0, 2) == [2, 4]
    assert store.rollback_online("facts")["keys_replayed"] == 4
    assert values(store, 0, 2, 4) == [3, 4, 1]
    store.rollback_online("facts")
    store.write_to_online_store("facts", rows(5, 21, range(2)))
    store.rollback_online("facts", drop_pushes=True)
    assert values(store, 0, 2, 4) == [3, 4, 1]


def test_without_a_previous_generation_it_is_one_sentence(tmp_path: Path) -> None:
    store = store_of(tmp_path, rows(1, 1))
    sentence = "rolling back 'facts': view 'facts' has no previous generation online"
    with pytest.raises(NotFoundError, match=sentence):
        store.rollback_online("facts")
    with pytest.raises(SchemaError, match="feature_view must be a name or a FeatureView, not int"):
        store.rollback_online(5)
    online_path = store.config.online_path
    assert online_path is not None
    assert not online_path.exists()
    store.materialize(None, start(5))
    with pytest.raises(NotFoundError, match=sentence):
        store.rollback_online("facts")
    with pytest.raises(NotFoundError, match="fact_"):
        store.rollback_online("fact_")
    assert store.materialize_incremental(start(5)).views[0]["rows_written"] == 0


_ROLL_BACK_FOR_EVER = """
import sys
import tiffin
store = tiffin.FeatureStore(sys.argv[1])
while True:
    store.rollback_online("facts")
    print(flush=True)
"""


def test_a_killed_rollback_never_claims_more_than_is_online(tmp_path: Path) -> None:
    store = loaded_twice(tmp_path)
    for i in range(6):
        child = subprocess.Popen(
            [sys.executable, "-c", _ROLL_BACK_FOR_EVER, str(tmp_path)], stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        for _ in range(1 + 7 * i % 11):
            child.stdout.readline()
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        before = values(store, 0, N_KEYS - 1)
        assert before in ([1, 1], [2, 2])
        store.materialize_incremental(start(12))
        assert values(store, 0, N_KEYS - 1) == [2, 2]
