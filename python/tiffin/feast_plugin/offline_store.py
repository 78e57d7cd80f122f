"""``TiffinOfflineStore``: point-in-time joins of Tiffin's engine, for Feast's `FileSource`."""

import atexit
import shutil
import tempfile
import threading
import uuid
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from feast.feature_logging import LoggingConfig
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL
from feast.infra.offline_stores import offline_utils
from feast.infra.offline_stores.file_source import FileLoggingDestination, FileSource
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import FeastConfigBaseModel
from pydantic import StrictStr

import tiffin
from tiffin.errors import InvalidError, UnsupportedError
from tiffin.feast_plugin import translate
from tiffin.feast_plugin.retrieval_job import TiffinRetrievalJob, replace_file
from tiffin.feast_plugin.values import moment
from tiffin.types import from_text

MOST_STORES = 64


class TiffinOfflineStoreConfig(FeastConfigBaseModel):
    """Settings: ``offline_store: {type: tiffin.feast_plugin.TiffinOfflineStore}``."""

    type: StrictStr = "tiffin.feast_plugin.TiffinOfflineStore"
    memory_limit: str | None = None
    """Memory that one answer may take, e.g. ``4GiB``; default: a quarter of the machine's."""


class _Stores:
    """Stores of Tiffin by the definitions in them; in a folder that goes with the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._folder: Path | None = None
        self._stores: dict[bytes, tuple[tiffin.FeatureStore, dict[str, tiffin.FeatureView]]] = {}

    def get(
        self, key: bytes, config: Any, define: Callable[[], list[tiffin.FeatureView]]
    ) -> tuple[tiffin.FeatureStore, dict[str, tiffin.FeatureView]]:
        """Return the store of some definitions, and its views by name; made the first time."""
        with self._lock:
            if key not in self._stores:
                if len(self._stores) >= MOST_STORES:
                    self._stores.pop(next(iter(self._stores)))
                self._stores[key] = self._make(config, define())
            return self._stores[key]

    def _make(
        self, config: Any, views: list[tiffin.FeatureView]
    ) -> tuple[tiffin.FeatureStore, dict[str, tiffin.FeatureView]]:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="tiffin-feast-"))
            atexit.register(shutil.rmtree, self._folder, ignore_errors=True)
        limit = config.offline_store.memory_limit
        store = tiffin.FeatureStore(
            repo_path=config.repo_path,
            config=tiffin.RepoConfig(
                project=config.project,
                registry=str(self._folder / f"{uuid.uuid4().hex}.db"),
                online_store=None,
                offline_store={"memory_limit": limit} if limit else {},
            ),
        )
        store.apply(list(views))
        return store, {view.name: store.get_feature_view(view.name) for view in views}


_stores = _Stores()


class TiffinOfflineStore(OfflineStore):
    """Feast's offline store on Tiffin's engine.

    Answers are those of Feast's DuckDB store, and all entity rows come back, in order
    (docs/semantics/differences-from-feast.md). Sources are `FileSource`s of Parquet: a file, a
    folder or a pattern, local or on S3.
    """

    supports_filter_by_created_timestamp = True

    @staticmethod
    def get_historical_features(
        config: Any,
        feature_views: list[Any],
        feature_refs: list[str],
        entity_df: Any,
        registry: Any,
        project: str,
        full_feature_names: bool = False,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        filter_by_created_timestamp: bool = False,
    ) -> TiffinRetrievalJob:
        """Return a point-in-time correct training set.

        `entity_df` may be a data frame, SQL that DuckDB runs, or None: then the events of the
        views between `start_date` and `end_date` are the entity rows.
        """
        asked = translate.features_by_view(feature_refs, feature_views)
        views = {view.name: view for view, _ in asked}

        def define() -> list[tiffin.FeatureView]:
            return [_twin(view, config) for view in views.values()]

        key = translate.signature(views.values()) + str(config.repo_path).encode()
        store, twins = _stores.get(key, config, define)
        job = store.get_historical_features(
            entity_df,
            [translate.projected(twins[view.name], view, names) for view, names in asked],
            full_feature_names=full_feature_names,
            start_date=start_date,
            end_date=end_date,
            filter_by_created_timestamp=filter_by_created_timestamp,
            progress=False,
        )
        return TiffinRetrievalJob(
            lambda timeout: job.to_arrow(timeout=timeout),
            config.repo_path,
            on_demand_feature_views=OnDemandFeatureView.get_requested_odfvs(
                feature_refs, project, registry
            ),
            full_feature_names=full_feature_names,
            metadata=_metadata(entity_df, feature_refs),
        )

    @staticmethod
    def pull_latest_from_table_or_query(
        config: Any,
        data_source: Any,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> TiffinRetrievalJob:
        """Return the newest row of each key within a window of event times (both included)."""
        columns = (timestamp_field, created_timestamp_column)
        store, view = _rows_of(config, data_source, join_key_columns, feature_name_columns, columns)

        def compute(_: int | None) -> pa.Table:
            rows = store.latest(view, as_of=end_date, progress=False).to_arrow()
            since = pc.greater_equal(
                rows[timestamp_field], pa.scalar(moment(start_date), pa.timestamp("us", "UTC"))
            )
            return _as_feast(rows.filter(since), join_key_columns, feature_name_columns, columns)

        return TiffinRetrievalJob(compute, config.repo_path)

    @staticmethod
    def pull_all_from_table_or_query(
        config: Any,
        data_source: Any,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> TiffinRetrievalJob:
        """Return all rows within a window of event times (both included)."""
        columns = (timestamp_field, created_timestamp_column)
        store, view = _rows_of(config, data_source, join_key_columns, feature_name_columns, columns)

        def compute(_: int | None) -> pa.Table:
            start, end = _moment(start_date), _moment(end_date)
            is_empty = start is not None and end is not None and start > end
            rows = store.history(view, end if is_empty else start, end, progress=False).to_arrow()
            rows = rows.slice(0, 0) if is_empty else rows
            return _as_feast(rows, join_key_columns, feature_name_columns, columns)

        return TiffinRetrievalJob(compute, config.repo_path)

    @staticmethod
    def offline_write_batch(
        config: Any,
        feature_view: Any,
        table: pa.Table,
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Add rows to the view's source: a file to a folder, or the one file written anew.

        Columns are those of the source, in its order. Readers see the rows before or after.
        """
        source = translate.batch_source(feature_view)
        where = f"feature view {feature_view.name!r}"
        twin = translate.file_source(source, config.repo_path, where, {})
        if "://" in twin.path:
            raise UnsupportedError(f"{where}: rows can be added to a path, not to {twin.path!r}")
        path = Path(twin.path)
        schema = ds.dataset(path).schema
        if schema.names != table.column_names:
            raise InvalidError(
                f"{where}: the rows have the columns {', '.join(table.column_names)}; its source "
                f"has {', '.join(schema.names)}, and they must be these, in this order"
            )
        rows = table.cast(schema.remove_metadata())
        if path.is_dir():
            replace_file(path / f"{uuid.uuid4().hex}.parquet", rows)
        else:
            before = pq.read_table(path).cast(rows.schema)
            replace_file(path, pa.concat_tables([before, rows]))
        if progress is not None:
            progress(table.num_rows)

    @staticmethod
    def write_logged_features(
        config: Any,
        data: pa.Table | Path,
        source: Any,
        logging_config: LoggingConfig,
        registry: Any,
    ) -> None:
        """Add a file of logged features to the destination's folder."""
        destination = logging_config.destination
        if not isinstance(destination, FileLoggingDestination):
            raise UnsupportedError(
                f"TiffinOfflineStore writes logs to files, not to {type(destination).__name__}; "
                "use FileLoggingDestination"
            )
        table = ds.dataset(data).to_table() if isinstance(data, Path) else data
        folder = FileSource.get_uri_for_file_path(repo_path=config.repo_path, uri=destination.path)
        pq.write_to_dataset(
            table,
            folder,
            partition_cols=list(destination.partition_by or []) or None,
            basename_template=f"{uuid.uuid4().hex}-{{i}}.parquet",
        )


def _twin(view: Any, config: Any) -> tiffin.FeatureView:
    source = translate.batch_source(view)
    mapping = dict(getattr(source, "field_mapping", None) or {})
    where = f"feature view {view.name!r}"
    twin = translate.file_source(source, config.repo_path, where, mapping)
    return translate.feature_view(view, twin)


def _metadata(entity_df: Any, references: list[str]) -> RetrievalMetadata | None:
    if not hasattr(entity_df, "dtypes"):
        return None
    schema = dict(zip(entity_df.columns, entity_df.dtypes, strict=True))
    time = offline_utils.infer_event_timestamp_from_entity_df(schema)
    return RetrievalMetadata(
        features=references,
        keys=[name for name in entity_df.columns if name != time],
        min_event_timestamp=entity_df[time].min(),
        max_event_timestamp=entity_df[time].max(),
    )


# ---- rows of one source: columns have the names that they have in the file


def _rows_of(
    config: Any, source: Any, keys: list[str], features: list[str], times: tuple[str, str | None]
) -> tuple[tiffin.FeatureStore, tiffin.FeatureView]:
    where = f"data source {source.name!r}"
    keys = [key for key in keys if key != DUMMY_ENTITY_ID]

    def define() -> list[tiffin.FeatureView]:
        twin = translate.file_source(source, config.repo_path, where, {})
        twin.timestamp_field, twin.created_timestamp_column = times[0], times[1] or ""
        described = tiffin.FeatureStore(
            config=tiffin.RepoConfig(project=config.project, online_store=None),
            repo_path=config.repo_path,
        ).describe_data_source(twin)
        types = {column["name"]: column for column in described}
        schema = []
        for name in [*keys, *features]:
            if name not in types:
                raise InvalidError(f"{where} has no column {name!r}; it has {', '.join(types)}")
            if not types[name]["dtype"]:
                raise UnsupportedError(
                    f"{where}: its column {name!r} is of type {types[name]['native_type']}, which "
                    "Tiffin's engine does not read"
                )
            schema.append(tiffin.Field(name=name, dtype=from_text(types[name]["dtype"])))
        return [
            tiffin.FeatureView(
                name="rows",
                entities=[tiffin.Entity(name=key, join_keys=[key]) for key in keys],
                schema=schema,
                source=twin,
            )
        ]

    spec = source.to_proto().SerializeToString(deterministic=True)
    key = b"\0".join([spec, repr((keys, features, times, str(config.repo_path))).encode()])
    store, views = _stores.get(key, config, define)
    return store, views["rows"]


def _moment(value: datetime | None) -> datetime | None:
    return None if value is None else moment(value)


def _as_feast(
    rows: pa.Table, keys: list[str], features: list[str], times: tuple[str, str | None]
) -> pa.Table:
    """Columns in Feast's order; Feast wants a key for views that have none."""
    names = [*(k for k in keys if k != DUMMY_ENTITY_ID), *features, *(t for t in times if t)]
    table = rows.select(names)
    if len(keys) == 0 or DUMMY_ENTITY_ID in keys:
        dummy = pa.array([DUMMY_ENTITY_VAL] * table.num_rows, pa.string())
        table = table.append_column(DUMMY_ENTITY_ID, dummy)
    return table
