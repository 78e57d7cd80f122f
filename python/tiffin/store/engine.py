"""Opening the engine for a configuration."""

import importlib.util
import json
import os
from typing import TYPE_CHECKING

from tiffin.store.config import RepoConfig

if TYPE_CHECKING:
    from tiffin._native import Store


def find_duckdb() -> str | None:
    """Find the file of the installed ``duckdb`` package that exports DuckDB's C API.

    None = there is none and the engine searches. The package itself is not
    imported: that would cost more than opening a store.
    """
    if os.environ.get("TIFFIN_DUCKDB_LIBRARY"):
        return None  # the engine reads the variable
    try:
        spec = importlib.util.find_spec("_duckdb")
    except (ImportError, ValueError):
        return None
    return spec.origin if spec is not None else None


def open_engine(config: RepoConfig) -> "Store":
    """Return the engine's store at the paths of a configuration. Reads no file yet."""
    from tiffin._native import Store

    online = config.online_path
    temp = config.temp_path
    return Store(
        project=config.project,
        registry_path=str(config.registry_path),
        online_path=None if online is None else str(online),
        base_path=str(config.repo_path),
        duckdb_library=find_duckdb(),
        memory_limit_bytes=config.memory_limit_bytes,
        temp_path=None if temp is None else str(temp),
        n_threads=config.threads,
        online_ttl=config.online_ttl,
        online_max_ahead_seconds=config.max_ahead_seconds,
        online_sync=config.online_sync,
        s3=json.dumps(config.s3) if config.s3 else None,
        redis=None if config.redis is None else json.dumps(config.redis, default=str),
    )
