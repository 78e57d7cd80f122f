"""``TiffinOnlineStore``: Feast's online store on Tiffin's, in LMDB.

The folder is a repo of Tiffin: `feast apply` writes its definitions there, and `tiffin online
stats`, `tiffin serve` and the rest work in it.
"""

import contextlib
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from feast import FeatureService
from feast import FeatureView as FeastFeatureView
from feast.feature_view import DUMMY_ENTITY_ID
from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.supported_async_methods import SupportedAsyncMethods
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import RepeatedValue, Value
from feast.repo_config import FeastConfigBaseModel
from feast.type_map import feast_value_type_to_pa
from pydantic import StrictStr

import tiffin
from tiffin.errors import NotFoundError, TiffinError, UnsupportedError
from tiffin.feast_plugin import translate, values
from tiffin.feast_plugin.response import TiffinOnlineResponse
from tiffin.feast_plugin.retrieval_job import replace_file

MOST_LOOKUPS = 1_000  # prepared requests that are kept
Row = tuple[EntityKey, dict[str, Value], datetime, datetime | None]
Found = tuple[datetime | None, dict[str, Value] | None]

_YAML = """\
# Written by TiffinOnlineStore. Definitions come from the Feast repo, by `feast apply`.
project: {project}
registry: registry.db
online_store: {{type: lmdb, path: online, sync: {sync}}}
online_ttl: ignore
"""


class TiffinOnlineStoreConfig(FeastConfigBaseModel):
    """Settings: ``online_store: {type: tiffin.feast_plugin.TiffinOnlineStore, path: ...}``."""

    type: StrictStr = "tiffin.feast_plugin.TiffinOnlineStore"
    path: StrictStr = "data/tiffin"
    """Folder, from the repo on."""
    sync: StrictStr = "batch"
    """When writes are on the disk: ``full`` before each returns, ``batch`` some ms later."""


class _Lookup:
    """A request that Feast makes again and again, prepared once."""

    def __init__(self, prepared: Any, dtypes: dict[str, Any]) -> None:
        self.prepared, self.dtypes = prepared, dtypes


class TiffinOnlineStore(OnlineStore):
    """Feast's online store on LMDB.

    Lookups of plain features (references or a service) go through Tiffin as a whole: columns of
    Python objects, no message per value. Requests with on-demand views, versions or precomputed
    vectors run Feast's code over `online_read`; so does every request that Tiffin refuses, so that
    errors are Feast's.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stores: dict[Path, tiffin.FeatureStore] = {}
        self._lookups: dict[Any, _Lookup | None] = {}

    @property
    def async_supported(self) -> SupportedAsyncMethods:
        return SupportedAsyncMethods(read=True, write=True)

    # ---- the store behind it

    def store_of(self, config: Any) -> tiffin.FeatureStore:
        """Return Tiffin's store of a Feast repo; it is made when it is not there."""
        folder = _folder_of(config)
        with self._lock:
            if folder not in self._stores:
                self._stores[folder] = _open(folder, config)
            return self._stores[folder]

    def update(
        self,
        config: Any,
        tables_to_delete: Sequence[Any],
        tables_to_keep: Sequence[Any],
        entities_to_delete: Sequence[Any],
        entities_to_keep: Sequence[Any],
        partial: bool,
    ) -> None:
        """Apply the definitions of the views that are served; rows of deleted views go."""
        store = self.store_of(config)
        kept = [view for view in tables_to_keep if _is_stored(view)]
        if kept:
            store.apply([_twin(view, config) for view in kept])
        for view in tables_to_delete:
            with contextlib.suppress(NotFoundError):  # it was never served
                store.delete_feature_view(view.name)
        self._lookups.clear()

    def plan(self, config: Any, desired_registry_proto: Any) -> list[Any]:
        """Return nothing: `update` changes what it must, without objects of infrastructure."""
        return []

    def teardown(self, config: Any, tables: Sequence[Any], entities: Sequence[Any]) -> None:
        """Remove all definitions and rows of the project."""
        with contextlib.suppress(NotFoundError):  # nothing was ever applied
            self.store_of(config).teardown()
        self._lookups.clear()

    # ---- writes

    def online_write_batch(
        self,
        config: Any,
        table: Any,
        data: list[Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write rows: one replaces what is there unless it is older. All or nothing."""
        if not data:
            return
        source: Any = _twin(table, config).source
        columns = values.keys_as_columns(row[0] for row in data)
        columns.pop(DUMMY_ENTITY_ID, None)
        for feature in table.features:
            empty, name = Value(), feature.name
            columns[name] = [values.to_python(row[1].get(name, empty)) for row in data]
        columns[source.timestamp_field] = [values.moment(row[2]) for row in data]
        if source.created_timestamp_column:
            columns[source.created_timestamp_column] = [
                None if row[3] is None else values.moment(row[3]) for row in data
            ]
        self.store_of(config).write_to_online_store(table.name, columns)
        if progress is not None:
            progress(len(data))

    async def online_write_batch_async(
        self,
        config: Any,
        table: Any,
        data: list[Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """`online_write_batch` on a thread."""
        import asyncio

        await asyncio.to_thread(self.online_write_batch, config, table, data, progress)

    # ---- reads

    def online_read(
        self,
        config: Any,
        table: Any,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[Found]:
        """Return time and values (messages) of each key; (None, None) where there is no row."""
        if not entity_keys:
            return []
        names = list(requested_features or [feature.name for feature in table.features])
        answer = self.store_of(config).get_online_features(
            [f"{table.name}:{name}" for name in names], values.keys_as_columns(entity_keys)
        )
        found, statuses, times = answer.to_dict(), answer.statuses, answer.event_timestamps
        dtypes = {feature.name: feature.dtype for feature in table.features}
        messages = {name: values.to_messages(found[name], dtypes[name]) for name in names}
        rows: list[Found] = []
        for i in range(len(entity_keys)):
            there = [n for n in names if statuses[n][i] != tiffin.FieldStatus.NOT_FOUND]
            if there:
                seconds = times[there[0]][i] or 0
                at = datetime.fromtimestamp(seconds, tz=UTC)
                rows.append((at, {name: messages[name][i] for name in there}))
            else:
                rows.append((None, None))
        return rows

    async def online_read_async(
        self,
        config: Any,
        table: Any,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[Found]:
        """`online_read` on a thread."""
        import asyncio

        return await asyncio.to_thread(
            self.online_read, config, table, entity_keys, requested_features
        )

    def get_online_features(
        self,
        config: Any,
        features: Any,
        entity_rows: Any,
        registry: Any,
        project: str,
        full_feature_names: bool = False,
        include_feature_view_version_metadata: bool = False,
    ) -> Any:
        """Answer a whole request of plain features at once; others as Feast does."""
        if not include_feature_view_version_metadata and not _has_messages(entity_rows):
            lookup = self._prepare(config, features, registry, project, full_feature_names)
            if lookup is not None:
                try:
                    return TiffinOnlineResponse(lookup.prepared.get(entity_rows), lookup.dtypes)
                except TiffinError:
                    pass  # Feast says what is wrong with it, below
        return super().get_online_features(
            config,
            features,
            entity_rows,
            registry,
            project,
            full_feature_names,
            include_feature_view_version_metadata,
        )

    async def get_online_features_async(
        self,
        config: Any,
        features: Any,
        entity_rows: Any,
        registry: Any,
        project: str,
        full_feature_names: bool = False,
        include_feature_view_version_metadata: bool = False,
    ) -> Any:
        """`get_online_features` on a thread."""
        import asyncio

        return await asyncio.to_thread(
            self.get_online_features,
            config,
            features,
            entity_rows,
            registry,
            project,
            full_feature_names,
            include_feature_view_version_metadata,
        )

    def _prepare(
        self, config: Any, features: Any, registry: Any, project: str, full_names: bool
    ) -> _Lookup | None:
        """Return the prepared request; None where Feast has to answer."""
        key = (_key_of(features), full_names, str(config.repo_path), project)
        try:
            return self._lookups[key]
        except KeyError:
            pass
        try:
            made = self._make(config, features, registry, project, full_names)
        except TiffinError:
            made = None  # Feast says what is wrong with it
        if len(self._lookups) >= MOST_LOOKUPS:
            self._lookups.clear()
        self._lookups[key] = made
        return made

    def _make(
        self, config: Any, features: Any, registry: Any, project: str, full_names: bool
    ) -> _Lookup | None:
        projections = _projections(features, registry, project)
        if projections is None:
            return None
        store = self.store_of(config)
        asked = []
        dtypes: dict[str, Any] = {}
        for view, names in projections:
            twin = store.get_feature_view(view.name)
            asked.append(translate.projected(twin, view, names))
            prefix = f"{view.projection.name_to_use()}__" if full_names else ""
            dtypes |= {f"{prefix}{f.name}": f.dtype for f in view.features if f.name in names}
            mapped = view.projection.join_key_map
            dtypes |= {mapped.get(c.name, c.name): c.dtype for c in view.entity_columns}
        prepared = store.prepare(asked, full_feature_names=full_names)
        return _Lookup(prepared, dtypes)


def _open(folder: Path, config: Any) -> tiffin.FeatureStore:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "feature_store.yaml"
    text = _YAML.format(project=config.project, sync=config.online_store.sync)
    if not file.exists() or file.read_text("utf-8") != text:
        file.write_text(text, "utf-8")
    return tiffin.FeatureStore(repo_path=folder)


def _is_stored(view: Any) -> bool:
    return isinstance(view, FeastFeatureView) and not isinstance(view, OnDemandFeatureView)


def _folder_of(config: Any) -> Path:
    return Path(config.repo_path or ".", config.online_store.path).absolute()


def _twin(view: Any, config: Any) -> tiffin.FeatureView:
    """Return the twin of a view; of a source that the engine does not read, an empty file."""
    source = translate.batch_source(view)
    mapping = dict(getattr(source, "field_mapping", None) or {})
    where = f"feature view {view.name!r}"
    try:
        twin = translate.file_source(source, config.repo_path, where, mapping)
    except UnsupportedError:
        twin = tiffin.FileSource(
            name=f"{view.name}_elsewhere",
            path=str(_folder_of(config) / "elsewhere" / f"{view.name}.parquet"),
            timestamp_field=getattr(source, "timestamp_field", "") or "event_timestamp",
            created_timestamp_column=getattr(source, "created_timestamp_column", "") or "",
        )
        _write_empty(view, twin)
    return translate.feature_view(view, twin)


def _write_empty(view: Any, twin: tiffin.FileSource) -> None:
    """Write the columns of a view: what is pushed to it is checked against them."""
    types = {c.name: feast_value_type_to_pa(c.dtype.to_value_type()) for c in view.schema}
    times = [name for name in (twin.timestamp_field, twin.created_timestamp_column) if name]
    schema = pa.schema({**types, **dict.fromkeys(times, pa.timestamp("us", "UTC"))})
    replace_file(Path(twin.path), schema.empty_table())


def _has_messages(entity_rows: Any) -> bool:
    if isinstance(entity_rows, list):
        rows = entity_rows[:1]
        return any(isinstance(value, Value) for row in rows for value in row.values())
    return any(
        isinstance(column, RepeatedValue) or (len(column) > 0 and isinstance(column[0], Value))
        for column in entity_rows.values()
    )


def _key_of(features: Any) -> Any:
    if isinstance(features, FeatureService):
        return features.to_proto().spec.SerializeToString(deterministic=True)
    return tuple(features)


def _projections(features: Any, registry: Any, project: str) -> list[tuple[Any, list[str]]] | None:
    """Return views and the features asked of each; None: not all of them are plain."""
    if isinstance(features, FeatureService):
        if getattr(features, "precompute_online", False):
            return None
        found = []
        for projection in features.feature_view_projections:
            if getattr(projection, "version_tag", None) is not None:
                return None
            view = _view_of(projection.name, registry, project)
            if view is None:
                return None
            names = [feature.name for feature in projection.features]
            found.append((view.with_projection(projection), names))
        return found
    views: dict[str, Any] = {}
    for reference in features:
        name = reference.partition(":")[0]
        view = views.get(name) or _view_of(name, registry, project)
        if view is None:
            return None
        views[name] = view
    return translate.features_by_view(features, views.values())


def _view_of(name: str, registry: Any, project: str) -> Any:
    """Return a view that is stored online, None for any other name."""
    for view in registry.list_all_feature_views(project, allow_cache=True):
        if view.name == name:
            return view if _is_stored(view) else None
    return None
