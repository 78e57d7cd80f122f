"""Feast's definitions as Tiffin's."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from feast.data_source import DataSource as FeastSource
from feast.data_source import PushSource as FeastPushSource
from feast.feature_view import DUMMY_ENTITY_NAME
from feast.infra.offline_stores.file_source import FileSource as FeastFileSource

from tiffin import Entity, FeatureView, Field, FileSource, ValueType
from tiffin.errors import UnsupportedError


def value_type(dtype: Any) -> ValueType:
    """Return Tiffin's number of a Feast type; both number them alike."""
    return ValueType(dtype.to_value_type().value)


def batch_source(view: Any) -> FeastSource | None:
    """Return what a view is read from; behind a push or stream source, what that names."""
    source = getattr(view, "batch_source", None)
    return source.batch_source if isinstance(source, FeastPushSource) else source


def file_source(source: Any, repo_path: Any, where: str, mapping: dict[str, str]) -> FileSource:
    """Return Tiffin's twin of a file source, with its path made absolute.

    Raises
    ------
    UnsupportedError
        The rows are not in files that the engine reads.
    """
    if not isinstance(source, FeastFileSource):
        raise UnsupportedError(
            f"{where} reads a {type(source).__name__}, and Tiffin's engine reads files; export its "
            "rows to Parquet and use a FileSource, or use Feast's own store for it"
        )
    kind = type(source.file_format).__name__
    if source.file_format is not None and kind != "ParquetFormat":
        raise UnsupportedError(f"{where}: its files are {kind}, and Tiffin's engine reads Parquet")
    path = FeastFileSource.get_uri_for_file_path(repo_path=repo_path, uri=source.path)
    return FileSource(
        name=source.name or where,
        path=path if "://" in path else str(Path(path).absolute()),
        timestamp_field=source.timestamp_field,
        created_timestamp_column=source.created_timestamp_column or "",
        field_mapping=mapping,
        s3_endpoint_override=source.s3_endpoint_override or None,
    )


def fields(columns: Iterable[Any]) -> list[Field]:
    """Return a schema."""
    return [Field(name=c.name, dtype=value_type(c.dtype)) for c in columns]


def entities(view: Any) -> list[Entity]:
    """Return an entity for each join key of a view; none for Feast's dummy."""
    if list(view.entities) == [DUMMY_ENTITY_NAME]:
        return []
    return [
        Entity(name=c.name, join_keys=[c.name], value_type=value_type(c.dtype))
        for c in view.entity_columns
    ]


def feature_view(view: Any, source: FileSource) -> FeatureView:
    """Return the twin of a view, as it is without its projection, over a source."""
    keys = entities(view)
    columns = view.entity_columns if keys else []
    return FeatureView(
        name=view.name,
        entities=keys,
        ttl=view.ttl or timedelta(0),
        schema=fields([*columns, *view.features]),
        source=source,
        online=view.online,
    )


def projected(twin: FeatureView, view: Any, features: Sequence[str]) -> FeatureView:
    """Return the twin as the projection of Feast's view asks for it."""
    asked = twin[list(features)]
    if view.projection.name_alias:
        asked = asked.with_name(view.projection.name_alias)
    if view.projection.join_key_map:
        asked = asked.with_join_key_map(dict(view.projection.join_key_map))
    return asked


def features_by_view(
    references: Iterable[str], views: Iterable[Any]
) -> list[tuple[Any, list[str]]]:
    """Return views and the features asked of each, in the order of the first reference.

    References to on-demand views are left out: Feast computes these.
    """
    by_name = {view.projection.name_to_use(): view for view in views}
    found: dict[str, list[str]] = {}
    for reference in references:
        name, _, feature = reference.partition(":")
        if name in by_name and feature not in found.setdefault(name, []):
            found[name].append(feature)
    return [(by_name[name], names) for name, names in found.items()]


def signature(views: Iterable[Any]) -> bytes:
    """Return bytes that are equal for equal definitions (but not for their projections)."""
    parts = []
    for view in views:
        spec = view.to_proto().spec
        parts.append(spec.SerializeToString(deterministic=True))
    return b"\0".join(parts)
