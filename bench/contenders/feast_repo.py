"""Feast's side: a local repo; offline its default store or DuckDB's, online SQLite."""

import io
import logging
import os
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from contender import FEATURES, TTL_DAYS, Job
from joins import Question

os.environ["FEAST_USAGE"] = "False"
REFERENCES = [f"stats:{name}" for name in FEATURES]


def quiet() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)


def open_store(folder: Path | str, offline: str = "dask") -> Any:
    """Return the store of a folder."""
    quiet()
    from feast import FeatureStore, RepoConfig  # type: ignore[import-not-found,unused-ignore]

    config = RepoConfig(
        project="bench",
        provider="local",
        registry=str(Path(folder) / "registry.db"),
        offline_store={"type": offline},
        online_store={"type": "sqlite", "path": str(Path(folder) / "online.db")},
        entity_key_serialization_version=3,
    )
    return FeatureStore(config=config)


def make_store(job: Job, question: Question, offline: str = "dask") -> Any:
    """Return a store in an empty folder with the view `stats` over a file."""
    import datetime

    store = open_store(job.empty_folder(), offline)
    from feast import Entity, FeatureView, Field, FileSource, ValueType  # type: ignore[import-not-found,unused-ignore]
    from feast.types import Float32, Int64  # type: ignore[import-not-found,unused-ignore]

    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)
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
    schema.append(Field(name="user_id", dtype=Int64))
    ttl = datetime.timedelta(days=TTL_DAYS)
    stats = FeatureView(name="stats", entities=[user], ttl=ttl, schema=schema, source=source)
    store.apply([user, source, stats])
    return store


def materialize(store: Any) -> None:
    """Load every row, without its progress bars."""
    import datetime

    start, end = (datetime.datetime(2024, m, 1, tzinfo=datetime.UTC) for m in (1, 3))
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        store.materialize(start, end)
