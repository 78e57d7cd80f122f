"""Prepared lookups by Tiffin, in process, from LMDB."""

import datetime
import shutil
from pathlib import Path
from typing import Any

from contender import FEATURES, N_INT, TTL_DAYS, Job, main
from lookup_cases import case_of, shared_folder
from tiffin_repo import all_time, open_store


def prepare(job: Job) -> None:
    """Load anew: the store is made by the code that is measured."""
    from tiffin import Entity, FeatureView, Field, FileSource
    from tiffin.types import Float32, Int64

    case, folder = case_of(job), shared_folder(job, "tiffin")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    store = open_store(job, folder)
    user = Entity(name="user_id", join_keys=["user_id"], value_type=Int64)
    source = FileSource(
        name="file",
        path=job.path(case.file),
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
    )
    schema = [
        Field(name=name, dtype=Int64 if FEATURES.index(name) < N_INT else Float32)
        for name in case.features
    ]
    ttl = datetime.timedelta(days=TTL_DAYS)
    views = [
        FeatureView(name=name, entities=[user], ttl=ttl, schema=schema, source=source)
        for name in case.views
    ]
    store.apply([user, source, *views])
    store.materialize(*all_time())


def measure(job: Job) -> dict[str, Any]:
    case, folder = case_of(job), shared_folder(job, "tiffin")
    prepared = open_store(job, folder).prepare(case.references, full_feature_names=True)
    found = case.measure(job, lambda keys: prepared.get({"user_id": keys}))
    found["figures"]["store_mb"] = stored_mb(folder / "data" / "online")
    return found


def stored_mb(folder: Path) -> float:
    """Bytes that a store's files take on the disk."""
    return sum(512 * file.stat().st_blocks for file in folder.iterdir()) / 1e6


if __name__ == "__main__":
    main(measure, prepare)
