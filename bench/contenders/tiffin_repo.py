"""Tiffin's side of every scenario: a repo over one of the files, applied."""

from pathlib import Path
from typing import Any

from contender import FEATURES, TTL_DAYS, Job
from joins import Question, view_names

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


def make_store(job: Job, question: Question) -> Any:
    """Return a store in an empty folder with the view `stats` over a file, or several."""
    import datetime

    from tiffin import Entity, FeatureView, Field, FileSource
    from tiffin.types import Float32, Int64, String

    store = open_store(job, job.empty_folder())
    key_type = String if question.text_keys else Int64
    entities = [Entity(name=key, join_keys=[key], value_type=key_type) for key in question.keys]
    source = FileSource(
        name="file",
        path=job.path(question.file),
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
    )
    n_int = question.n_int_features
    schema = [
        Field(name=name, dtype=Int64 if i < n_int else Float32)
        for i, name in enumerate(question.features)
    ]
    ttl = datetime.timedelta(days=TTL_DAYS)
    views = [
        FeatureView(name=name, entities=entities, ttl=ttl, schema=schema, source=source)
        for name in view_names(question)
    ]
    store.apply([*entities, source, *views])
    return store


def all_time() -> tuple[Any, Any]:
    """Start and end of a materialization that takes every row."""
    import datetime

    return tuple(datetime.datetime(2024, m, 1, tzinfo=datetime.UTC) for m in (1, 3))  # type: ignore[return-value]
