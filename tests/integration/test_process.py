"""Threads, forks, interrupts, and what an import costs."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rides import utc

from tiffin import Entity, FeatureStore, FeatureView, FileSource

NOW = utc(2024, 1, 4)
HEAVY = ["pandas", "polars", "pyarrow", "numpy", "torch", "duckdb", "yaml", "rich", "click"]


def run(code: str, **options) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_tiffin_imports_nothing_heavy():
    code = f"import tiffin, sys; print([m for m in {HEAVY} if m in sys.modules])"
    assert run(code) == "[]"
    code = (
        "import tiffin, sys; tiffin.FeatureView; tiffin.FeatureStore; tiffin.types.Int64;"
        "tiffin.__version__;"
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    assert run(code) == "[]"


def test_a_lookup_imports_nothing_heavy_but_yaml(store):
    store.materialize(None, NOW)
    code = (
        "import tiffin, sys; s = tiffin.FeatureStore('.');"
        "s.get_online_features(['stats:trips'], [{'driver_id': 1}], at='2024-01-04').to_dict();"
        f"print([m for m in {HEAVY} if m in sys.modules]);"
        "print('duckdb' in open('/proc/self/maps').read())"
    )
    assert run(code, cwd=store.repo_path) == "['yaml']\nFalse"


def test_every_public_name_is_there():
    import tiffin

    for name in tiffin.__all__:
        assert getattr(tiffin, name) is not None
    assert dir(tiffin) == sorted(tiffin.__all__)
    with pytest.raises(AttributeError, match="module 'tiffin' has no attribute 'nope'"):
        _ = tiffin.nope


def test_many_threads_share_one_store(store):
    store.materialize(None, NOW)
    rows = {"driver_id": [1, 2], "event_timestamp": [utc(2024, 1, 2)] * 2}
    failures = []

    def work(i):
        try:
            for k in range(20):
                features = ["stats:trips"] if (i + k) % 2 else ["stats:trips", "stats:city"]
                answer = store.get_online_features(features, [{"driver_id": 3}], at=NOW)
                assert answer.to_dict()["trips"] == [1000]
                if k % 10 == 0:
                    table = store.get_historical_features(rows, ["stats:trips"]).to_arrow()
                    assert table.column("trips").to_pylist() == [20, 200]
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_one_job_in_many_threads_is_computed_once(store):
    rows = {"driver_id": [1], "event_timestamp": [utc(2024, 1, 2)]}
    job = store.get_historical_features(pa.table(rows).to_reader(), ["stats:trips"])
    results = []
    threads = [threading.Thread(target=lambda: results.append(job.to_arrow())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [t.column("trips").to_pylist() for t in results] == [[20]] * 4


def _in_child(store, queue):
    rows = {"driver_id": [1], "event_timestamp": [utc(2024, 1, 2)]}
    online = store.get_online_features(["stats:trips"], [{"driver_id": 1}], at=NOW).to_dict()[
        "trips"
    ]
    offline = store.get_historical_features(rows, ["stats:trips"]).to_arrow()["trips"].to_pylist()
    queue.put((online, offline, [e.name for e in store.list_entities()]))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_process_uses_the_store_of_its_parent(store, method):
    store.materialize(None, NOW)
    store.get_online_features(["stats:trips"], [{"driver_id": 1}], at=NOW)
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    child = context.Process(target=_in_child, args=(store, queue))
    child.start()
    assert queue.get(timeout=60) == ([30], [20], ["driver"])
    child.join(60)
    assert child.exitcode == 0
    assert store.get_online_features(["stats:trips"], [{"driver_id": 1}], at=NOW).to_dict()[
        "trips"
    ] == [30]


def test_a_store_can_be_pickled(store):
    again = pickle.loads(pickle.dumps(store))
    assert again.repo_path == store.repo_path
    assert [e.name for e in again.list_entities()] == ["driver"]


@pytest.mark.alone
def test_ctrl_c_stops_a_long_run(tmp_path):
    n = 3_000_000
    rng = np.random.default_rng(1)
    pq.write_table(
        pa.table(
            {
                "k": rng.integers(0, 100_000, n),
                "event_timestamp": pa.array(rng.integers(0, 10**15, n), pa.timestamp("us", "UTC")),
                **{f"x{i}": rng.random(n) for i in range(6)},
            }
        ),
        tmp_path / "big.parquet",
    )
    (tmp_path / "feature_store.yaml").write_text("project: big\n")
    store = FeatureStore(tmp_path)
    source = FileSource(path="big.parquet", timestamp_field="event_timestamp")
    store.apply(FeatureView(name="big", entities=[Entity(name="k")], source=source))
    rows = pa.table(
        {
            "k": rng.integers(0, 100_000, n),
            "event_timestamp": pa.array(rng.integers(0, 10**15, n), pa.timestamp("us", "UTC")),
        }
    )
    job = store.get_historical_features(rows, [f"big:x{i}" for i in range(6)])
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        job.to_arrow()
        time.sleep(1)  # a machine on which the run took less than the timer
    assert time.monotonic() - begin < 5
    timer.join()
    assert job.to_arrow().num_rows == n  # the job can be run again
