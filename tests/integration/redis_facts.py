"""Random rows of a view ``facts`` (key ``k``, value ``v``), what must be left of them; a store."""

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tiffin import Entity, FeatureStore, FeatureView, FileSource

UTC_US = pa.timestamp("us", "UTC")
START_US = 1_704_067_200_000_000
COLUMNS = ("k", "event_timestamp", "created", "v")


def random_rows(
    rng: random.Random, n_rows: int, n_keys: int, n_times: int
) -> list[tuple[int, ...]]:
    """Rows (k, event, created, v) with distinct pairs of times and many equal event times."""
    return [
        (rng.randrange(n_keys), START_US + rng.randrange(n_times) * 999_983, START_US + i, i)
        for i in range(n_rows)
    ]


def table_of(rows: list[tuple[int, ...]]) -> pa.Table:
    columns = list(zip(*rows, strict=True))
    types = (pa.int64(), UTC_US, UTC_US, pa.int64())
    return pa.table({n: pa.array(c, t) for n, c, t in zip(COLUMNS, columns, types, strict=True)})


def winners(rows: list[tuple[int, ...]]) -> dict[int, tuple[int, ...]]:
    """Per key the row with the greatest pair."""
    best: dict[int, tuple[int, ...]] = {}
    for row in rows:
        if row[0] not in best or row[1:3] > best[row[0]][1:3]:
            best[row[0]] = row
    return best


def yaml_of(online_store: dict[str, Any]) -> str:
    settings = "\n".join(f"  {k}: {v!r}" for k, v in online_store.items())
    return (
        f"project: facts\noffline_store: {{threads: 2}}\nonline_store:\n  type: redis\n{settings}\n"
    )


def store_of(
    folder: Path, online_store: dict[str, Any], rows: list[tuple[int, ...]]
) -> FeatureStore:
    """A store whose source holds these rows."""
    (folder / "feature_store.yaml").write_text(yaml_of(online_store))
    pq.write_table(table_of(rows), folder / "facts.parquet")
    source = FileSource(
        name="rows",
        path="facts.parquet",
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
    )
    key = Entity(name="key", join_keys=["k"])
    store = FeatureStore(folder)
    store.apply([key, source, FeatureView(name="facts", entities=[key], source=source)])
    return store


def read_values(store: FeatureStore, n_keys: int) -> dict[int, int]:
    """Return v of every key that has a row."""
    answer = store.get_online_features(["facts:v"], {"k": list(range(n_keys))}).to_dict()
    return {k: v for k, v in zip(answer["k"], answer["v"], strict=True) if v is not None}


def start_writer(folder: Path, file: str, n_at_once: int) -> subprocess.Popen[str]:
    child = Path(__file__).with_name("redis_writer_child.py")
    command = [sys.executable, str(child), str(folder), file, str(n_at_once)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish_writer(process: subprocess.Popen[str]) -> list[int]:
    """Wait; return how many rows were written, older, the same."""
    out, err = process.communicate(timeout=900)
    assert process.returncode == 0, err
    return [int(word) for word in out.split()]
