"""Tiffin: a feature store whose engine is one small C library.

Define features over the files you have, build point-in-time correct training sets from them, load
the newest values into the online store and look them up in microseconds. Names and keywords are
Feast's, so that changing the import is the whole migration::

    from tiffin import Entity, FeatureStore, FeatureView, Field, FileSource
    from tiffin.types import Float32, Int64

Everything here is imported when it is first used: ``import tiffin`` alone loads next to nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tiffin import errors, types
    from tiffin._native import __version__
    from tiffin.errors import TiffinError, TiffinWarning
    from tiffin.feature_logging import FileLoggingDestination, LoggingConfig
    from tiffin.offline.retrieval_job import RetrievalJob
    from tiffin.offline.source_rows import SourceRows
    from tiffin.online.prepared import PreparedLookup
    from tiffin.online.response import FieldStatus, OnlineResponse
    from tiffin.registry.data_source import (
        CsvFormat,
        DataSource,
        FileSource,
        JsonFormat,
        ParquetFormat,
        PushMode,
        PushSource,
    )
    from tiffin.registry.entity import Entity
    from tiffin.registry.feature_service import FeatureService
    from tiffin.registry.feature_view import FeatureView
    from tiffin.registry.field import Feature, Field
    from tiffin.registry.foreign_source import (
        AthenaSource,
        BigQuerySource,
        KafkaSource,
        KinesisSource,
        OracleSource,
        RedshiftSource,
        SnowflakeSource,
    )
    from tiffin.registry.foreign_view import (
        Aggregation,
        BatchFeatureView,
        ConflictPolicy,
        LabelView,
        StreamFeatureView,
    )
    from tiffin.registry.on_demand_feature_view import (
        OnDemandFeatureView,
        on_demand_feature_view,
    )
    from tiffin.registry.project import Project
    from tiffin.registry.projection import FeatureViewProjection
    from tiffin.registry.request_source import RequestSource
    from tiffin.registry.saved_dataset import SavedDataset, SavedDatasetFileStorage
    from tiffin.store.config import RepoConfig
    from tiffin.store.feature_store import FeatureStore
    from tiffin.value_type import ValueType

__all__ = [
    "Aggregation",
    "AthenaSource",
    "BatchFeatureView",
    "BigQuerySource",
    "ConflictPolicy",
    "CsvFormat",
    "DataSource",
    "Entity",
    "Feature",
    "FeatureService",
    "FeatureStore",
    "FeatureView",
    "FeatureViewProjection",
    "Field",
    "FieldStatus",
    "FileLoggingDestination",
    "FileSource",
    "JsonFormat",
    "KafkaSource",
    "KinesisSource",
    "LabelView",
    "LoggingConfig",
    "OnDemandFeatureView",
    "OnlineResponse",
    "OracleSource",
    "ParquetFormat",
    "PreparedLookup",
    "Project",
    "PushMode",
    "PushSource",
    "RedshiftSource",
    "RepoConfig",
    "RequestSource",
    "RetrievalJob",
    "SavedDataset",
    "SavedDatasetFileStorage",
    "SnowflakeSource",
    "SourceRows",
    "StreamFeatureView",
    "TiffinError",
    "TiffinWarning",
    "ValueType",
    "__version__",
    "errors",
    "on_demand_feature_view",
    "types",
]

# Where each name lives; "" = the name is a module of its own.
_HOMES = {
    "AthenaSource": "registry.foreign_source",
    "BigQuerySource": "registry.foreign_source",
    "KafkaSource": "registry.foreign_source",
    "KinesisSource": "registry.foreign_source",
    "OracleSource": "registry.foreign_source",
    "RedshiftSource": "registry.foreign_source",
    "SnowflakeSource": "registry.foreign_source",
    "Aggregation": "registry.foreign_view",
    "BatchFeatureView": "registry.foreign_view",
    "ConflictPolicy": "registry.foreign_view",
    "LabelView": "registry.foreign_view",
    "StreamFeatureView": "registry.foreign_view",
    "CsvFormat": "registry.data_source",
    "DataSource": "registry.data_source",
    "Entity": "registry.entity",
    "Feature": "registry.field",
    "FeatureService": "registry.feature_service",
    "FeatureStore": "store.feature_store",
    "FeatureView": "registry.feature_view",
    "FeatureViewProjection": "registry.projection",
    "Field": "registry.field",
    "FieldStatus": "online.response",
    "FileLoggingDestination": "feature_logging",
    "FileSource": "registry.data_source",
    "JsonFormat": "registry.data_source",
    "LoggingConfig": "feature_logging",
    "OnDemandFeatureView": "registry.on_demand_feature_view",
    "OnlineResponse": "online.response",
    "ParquetFormat": "registry.data_source",
    "PreparedLookup": "online.prepared",
    "Project": "registry.project",
    "PushMode": "registry.data_source",
    "PushSource": "registry.data_source",
    "RepoConfig": "store.config",
    "RequestSource": "registry.request_source",
    "RetrievalJob": "offline.retrieval_job",
    "SourceRows": "offline.source_rows",
    "SavedDataset": "registry.saved_dataset",
    "SavedDatasetFileStorage": "registry.saved_dataset",
    "TiffinError": "errors",
    "TiffinWarning": "errors",
    "ValueType": "value_type",
    "__version__": "_native",
    "errors": "",
    "on_demand_feature_view": "registry.on_demand_feature_view",
    "types": "",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'tiffin' has no attribute {name!r}")
    if not home:
        return importlib.import_module(f"tiffin.{name}")
    value = getattr(importlib.import_module(f"tiffin.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
