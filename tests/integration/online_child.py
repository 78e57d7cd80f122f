"""Processes that read and write one view while the tests administer its store.

``python online_child.py ROLE FOLDER``: ``read`` looks keys up, ``push`` writes rows, until standard
input ends; both then print one line of JSON with what they saw and did.
"""

import datetime as dt
import json
import select
import sys

from tiffin import FeatureStore

FIRST = dt.datetime(2024, 6, 1, tzinfo=dt.UTC)
KEYS = [5_000_000 + i for i in range(10)]


def is_over() -> bool:
    """Whether the parent has closed our standard input."""
    return bool(select.select([sys.stdin], [], [], 0)[0])


def read(store: FeatureStore) -> dict[str, object]:
    """Look up a thousand keys again and again; each answer must be of one state."""
    keys = list(range(1000))
    n_reads = 0
    states = set()
    while not is_over():
        values = store.get_online_features(["facts:version"], {"k": keys}).to_dict()["version"]
        states.add(tuple(sorted({str(v) for v in values})))
        n_reads += 1
    return {"reads": n_reads, "states": sorted(states)}


def push(store: FeatureStore) -> dict[str, object]:
    """Write ten keys of its own, one acknowledged version after the other."""
    version = 0
    while not is_over():
        version += 1
        times = [FIRST + dt.timedelta(seconds=version)] * len(KEYS)
        versions = [version] * len(KEYS)
        rows = {"k": KEYS, "event_timestamp": times, "version": versions}
        store.write_to_online_store("facts", rows)
    return {"acknowledged": version}


if __name__ == "__main__":
    work = {"read": read, "push": push}[sys.argv[1]]
    store = FeatureStore(sys.argv[2])
    print("ready", flush=True)
    print(json.dumps(work(store)), flush=True)
