"""Tiffin's side of every scenario: a repo over one of the files, applied."""

from pathlib import Path
from typing import Any

from contender import FEATURES, N_INT, TTL_DAYS, Job

REFERENCES = [f"stats:{name}" for name in FEATURES]


def open_store(job: Job, folder: Path | str) -> Any:
    """Return the store of a folder, with as many threads as everybody has."""
    from tiffin import FeatureStore, RepoConfig

    config = RepoConfig(
        project="bench",
        online_ttl="ignore",
        offline_store={"type": "duckdb", "threads": job.threads},
        repo_path=folder,
    )
    return FeatureStore(config=config)


def make_store(job: Job, file: str) -> Any:
    """Return a store in an empty folder with the view `stats` over a file."""
    import datetime

    from tiffin import Entity, FeatureView, Field, FileSource
    from tiffin.types import Float32, Int64

    store = open_store(job, job.empty_folder())
    user = Entity(name="user", join_keys=["user_id"], value_type=Int64)
    source = FileSource(
        name="file",
        path=job.path(file),
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
    )
    schema = [
        Field(name=name, dtype=Int64 if i < N_INT else Float32) for i, name in enumerate(FEATURES)
    ]
    ttl = datetime.timedelta(days=TTL_DAYS)
    stats = FeatureView(name="stats", entities=[user], ttl=ttl, schema=schema, source=source)
    store.apply([user, source, stats])
    return store


def all_time() -> tuple[Any, Any]:
    """Start and end of a materialization that takes every row."""
    import datetime

    return tuple(datetime.datetime(2024, m, 1, tzinfo=datetime.UTC) for m in (1, 3))  # type: ignore[return-value]
