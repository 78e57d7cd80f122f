"""A world whose states are numbers: every row carries the version that it belongs to.

Three views lie over one file, in which version v of all keys is dated minute v. All features of a
row tell its version, so a mixture of rows or of features was never written as one, and is seen.
"""

import datetime as dt
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from rides import utc

from tiffin import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource
from tiffin.types import Int64, String

FIRST = utc(2024, 1, 1)
TTL = dt.timedelta(days=1)
VIEWS = ["v0", "v1", "v2"]
FEATURES = [f"{view}:{name}" for view in VIEWS for name in ("number", "text")]


def end_of(version: int) -> dt.datetime:
    return FIRST + dt.timedelta(minutes=version)


def version_at(end: str) -> int:
    return (dt.datetime.fromisoformat(end) - FIRST) // dt.timedelta(minutes=1)


def text_of(version: int) -> str:
    return f"{version}:" + "x" * (version % 100)


def rows_of(version_of_key: dict[int, int] | list[tuple[int, int]]) -> pa.Table:
    """Return rows of a source, one for each (key, version)."""
    pairs = list(version_of_key.items() if isinstance(version_of_key, dict) else version_of_key)
    start = int(FIRST.timestamp()) * 10**6
    times = [start + version * 60 * 10**6 for _, version in pairs]
    return pa.table(
        {
            "k": pa.array([key for key, _ in pairs], pa.int64()),
            "event_timestamp": pa.array(times, pa.timestamp("us", "UTC")),
            "number": pa.array([version for _, version in pairs], pa.int64()),
            "text": pa.array([text_of(version) for _, version in pairs], pa.string()),
        }
    )


def frame_of(version: int, n_keys: int) -> pa.Table:
    return rows_of([(key, version) for key in range(n_keys)])


def make_repo(folder: Path, n_keys: int, n_versions: int, config: str = "") -> FeatureStore:
    """Make a repo with versions 0 .. n_versions - 1 of all keys in its file; nothing is online."""
    (folder / "feature_store.yaml").write_text(f"project: versions\nonline_ttl: ignore\n{config}")
    pairs = [(key, version) for version in range(n_versions) for key in range(n_keys)]
    (folder / "versions").mkdir()
    pq.write_table(
        rows_of(pairs), folder / "versions" / "0.parquet", row_group_size=max(10 * n_keys, 100)
    )
    rows = FileSource(name="rows", path="versions/", timestamp_field="event_timestamp")
    source = PushSource(name="pushed", batch_source=rows)
    fields = [Field(name="number", dtype=Int64), Field(name="text", dtype=String)]
    entity = Entity(name="k", value_type=Int64)
    store = FeatureStore(folder)
    views = [
        FeatureView(name=view, entities=[entity], source=source, schema=fields, ttl=TTL)
        for view in VIEWS
    ]
    store.apply(views)
    return store


def copy_repo(folder: Path, to: Path) -> FeatureStore:
    shutil.copytree(folder, to)
    return FeatureStore(to)


def numbers_of(store: FeatureStore, n_keys: int) -> dict[str, list[int | None]]:
    """Return the version that is online of each key of each view; rows are whole."""
    rows = {"k": list(range(n_keys))}
    answer = store.get_online_features(FEATURES, rows, full_feature_names=True).to_dict()
    numbers = {}
    for view in VIEWS:
        numbers[view] = answer[f"{view}__number"]
        for number, text in zip(numbers[view], answer[f"{view}__text"], strict=True):
            assert (number is None) == (text is None), (view, number, text)
            assert number is None or text == text_of(number), (number, text)
    return numbers


def versions_of(store: FeatureStore, n_keys: int) -> list[int]:
    """Return the version that is online of each view; one version for all keys."""
    versions = []
    for numbers in numbers_of(store, n_keys).values():
        [version] = set(numbers)
        versions.append(version)
    return versions
