"""Training sets and rows of sources, as Feast's `RetrievalJob`."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.file_source import FileSource, SavedDatasetFileStorage
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata

from tiffin.errors import UnsupportedError


class TiffinRetrievalJob(RetrievalJob):
    """An answer of Tiffin's engine, computed when it is asked for.

    Parameters
    ----------
    compute : callable
        (timeout in seconds or None) -> pyarrow.Table
    on_demand_feature_views : list
        Feast's; it computes them on the table.
    """

    def __init__(
        self,
        compute: Callable[[int | None], pa.Table],
        repo_path: Any,
        *,
        on_demand_feature_views: list[Any] | None = None,
        full_feature_names: bool = False,
        metadata: RetrievalMetadata | None = None,
    ) -> None:
        self._compute = compute
        self._repo_path = repo_path
        self._on_demand_feature_views = on_demand_feature_views or []
        self._full_feature_names = full_feature_names
        self._metadata = metadata

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        return self._compute(timeout)

    def _to_df_internal(self, timeout: int | None = None) -> Any:
        return self._compute(timeout).to_pandas()

    @property
    def full_feature_names(self) -> bool:
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[Any]:
        return self._on_demand_feature_views

    @property
    def metadata(self) -> RetrievalMetadata | None:
        return self._metadata

    def persist(
        self, storage: Any, allow_overwrite: bool = False, timeout: int | None = None
    ) -> None:
        """Write one Parquet file, whole or not at all."""
        if not isinstance(storage, SavedDatasetFileStorage):
            raise UnsupportedError(
                f"TiffinOfflineStore writes datasets to files, not to {type(storage).__name__}; "
                "use SavedDatasetFileStorage"
            )
        uri = FileSource.get_uri_for_file_path(
            repo_path=self._repo_path, uri=storage.file_options.uri
        )
        if "://" in uri:
            raise UnsupportedError(f"a dataset can be written to a path, not to {uri!r}")
        path = Path(uri)
        if path.exists() and not allow_overwrite:
            raise SavedDatasetLocationAlreadyExists(location=uri)
        replace_file(path, self.to_arrow(timeout=timeout))


def replace_file(path: Path, table: pa.Table) -> None:
    """Put a Parquet file in the place of `path`: readers see the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        pq.write_table(table, beside)
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
