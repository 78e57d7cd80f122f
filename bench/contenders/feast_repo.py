"""Feast's side: a local repo with its default store or DuckDB's and SQLite, or with Tiffin's."""

import io
import logging
import os
import sys
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


TIFFIN = "tiffin"  # in place of an offline store: all three classes of tiffin.feast_plugin


def find_tiffin(folder: Path | str) -> None:
    """Let this interpreter, which has Feast, import the other one's Tiffin and nothing else."""
    [package] = (Path(__file__).parents[2] / ".venv" / "lib").glob("python*/site-packages/tiffin")
    library = Path(folder) / "library"
    library.mkdir(parents=True, exist_ok=True)
    if not (library / "tiffin").exists():
        (library / "tiffin").symlink_to(package)
    sys.path.insert(0, str(library))


def settings(folder: Path | str, offline: str) -> dict[str, Any]:
    if offline == TIFFIN:
        find_tiffin(folder)
        plugin = "tiffin.feast_plugin.Tiffin"
        return {
            "offline_store": {"type": f"{plugin}OfflineStore"},
            "online_store": {"type": f"{plugin}OnlineStore", "path": str(Path(folder) / "online")},
            "batch_engine": {"type": f"{plugin}ComputeEngine"},
        }
    return {
        "offline_store": {"type": offline},
        "online_store": {"type": "sqlite", "path": str(Path(folder) / "online.db")},
    }


def open_store(folder: Path | str, offline: str = "dask") -> Any:
    """Return the store of a folder."""
    quiet()
    from feast import FeatureStore, RepoConfig  # type: ignore[import-not-found,unused-ignore]

    config = RepoConfig(
        project="bench",
        provider="local",
        registry=str(Path(folder) / "registry.db"),
        entity_key_serialization_version=3,
        **settings(folder, offline),
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
