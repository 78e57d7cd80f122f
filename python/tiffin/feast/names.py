"""Feast's modules and names, and where Tiffin has each.

A name means one thing wherever Feast has it, so there is one table for all modules. Names of
``feast`` itself are listed in full: one that is not there is an ImportError, as in Feast. Every
public name of its other modules can be imported; those that Tiffin does not have raise when used.
"""

import re

FEAST_VERSION = "0.67.0"
"""Release of Feast whose names these are: ``feast.__version__``."""

_DATA_SOURCE = "tiffin.registry.data_source"
_HOMES = {
    "CsvFormat": _DATA_SOURCE,
    "DataSource": _DATA_SOURCE,
    "FileSource": _DATA_SOURCE,
    "JsonFormat": _DATA_SOURCE,
    "ParquetFormat": _DATA_SOURCE,
    "PushMode": _DATA_SOURCE,
    "PushSource": _DATA_SOURCE,
    "RequestSource": "tiffin.registry.request_source",
    "Entity": "tiffin.registry.entity",
    "Feature": "tiffin.registry.field",
    "Field": "tiffin.registry.field",
    "FeatureService": "tiffin.registry.feature_service",
    "FeatureView": "tiffin.registry.feature_view",
    "FeatureViewProjection": "tiffin.registry.projection",
    "OnDemandFeatureView": "tiffin.registry.on_demand_feature_view",
    "on_demand_feature_view": "tiffin.registry.on_demand_feature_view",
    "Project": "tiffin.registry.project",
    "SavedDataset": "tiffin.registry.saved_dataset",
    "SavedDatasetFileStorage": "tiffin.registry.saved_dataset",
    "AthenaLoggingDestination": "tiffin.feature_logging",
    "BigQueryLoggingDestination": "tiffin.feature_logging",
    "CouchbaseColumnarLoggingDestination": "tiffin.feature_logging",
    "FileLoggingDestination": "tiffin.feature_logging",
    "LoggingConfig": "tiffin.feature_logging",
    "LoggingDestination": "tiffin.feature_logging",
    "RedshiftLoggingDestination": "tiffin.feature_logging",
    "SnowflakeLoggingDestination": "tiffin.feature_logging",
    "FeatureStore": "tiffin.store.feature_store",
    "RepoConfig": "tiffin.store.config",
    "RepoContents": "tiffin.store.repo",
    "RetrievalJob": "tiffin.offline.retrieval_job",
    "OnlineResponse": "tiffin.online.response",
    "ValueType": "tiffin.value_type",
}
_SOURCES = (
    "AthenaSource AvroFormat BigQuerySource ClickhouseSource CouchbaseColumnarSource KafkaSource "
    "KinesisSource MsSqlServerSource OracleSource PostgreSQLSource ProtoFormat RedshiftSource "
    "SnowflakeSource SparkSource TrinoSource"
).split()
_VIEWS = (
    "Aggregation BatchFeatureView ConflictPolicy LabelView StreamFeatureView TransformationMode "
    "batch_feature_view stream_feature_view"
).split()
_KEPT = (
    "ALL_ACTIONS ALL_FEATURE_VIEW_TYPES ALL_RESOURCE_TYPES AllowAll AuthzedAction CRUD "
    "CombinedGroupNamespacePolicy GroupBasedPolicy NamespaceBasedPolicy Permission Policy "
    "Profiler READ RoleBasedPolicy ValidationReference WRITE ge_profiler"
).split()
# Names that Tiffin calls otherwise.
_RENAMED = {
    "GEProfiler": "tiffin.registry.kept:Profiler",
    "allow_all": "tiffin.registry.kept:AllowAll",
    "ComplexFeastType": "tiffin.types:FeatureType",
    "FeastType": "tiffin.types:FeatureType",
    "PrimitiveFeastType": "tiffin.types:FeatureType",
    "RegistryConfig": "builtins:dict",  # which is what RepoConfig(registry=...) takes
}
_TYPES = (
    "Array Bool Bytes Date Decimal Float32 Float64 ImageBytes Int32 Int64 Invalid Json Map "
    "PdfBytes ScalarMap Set String Struct TimeUuid UnixTimestamp Uuid ZonedTimestamp "
    "from_value_type"
).split()
HOMES = {
    **{name: f"{module}:{name}" for name, module in _HOMES.items()},
    **{name: f"tiffin.types:{name}" for name in _TYPES},
    **{name: f"tiffin.registry.foreign_source:{name}" for name in _SOURCES},
    **{name: f"tiffin.registry.foreign_view:{name}" for name in _VIEWS},
    **{name: f"tiffin.registry.kept:{name}" for name in _KEPT},
    **_RENAMED,
}
"""Where each of Feast's names lives here: ``module:attribute``."""

# What `from feast import ...` knows in Feast and Tiffin does not have yet.
_ROOT_ONLY = frozenset(
    (
        "BaseChunker BaseEmbedder ChrononSource ChunkingConfig DataFrameEngine DocEmbedder "
        "EmbeddingConfig EmbeddingProvider FeastDataFrame FeastVectorStore FeatureViewState "
        "FilterTranslator MultiModalEmbedder SchemaTransformFn "
        "SentenceTransformersEmbeddingProvider TextChunker copy_demo_notebooks "
        "get_embedding_provider"
    ).split()
)
_ROOT_OURS = frozenset(
    (
        "Aggregation AthenaSource BatchFeatureView BigQuerySource ConflictPolicy Entity Feature "
        "FeatureService FeatureStore FeatureView Field FileSource KafkaSource KinesisSource "
        "LabelView OnDemandFeatureView OracleSource Project PushSource RedshiftSource RepoConfig "
        "RequestSource SnowflakeSource StreamFeatureView ValueType"
    ).split()
)
_PACKAGES = frozenset(
    (
        "aggregation api audit cli dbt diff dqm embedded_go infra labeling lineage loaders mcp "
        "mlflow_integration monitoring openlineage permissions protos static templates "
        "transformation ui"
    ).split()
)
_MODULES = frozenset(
    (
        "arrow_error_handler base_feature_view batch_feature_view chunker constants credentials "
        "data_format data_source dataframe dataset_job_manager dataset_utils demos doc_embedder "
        "document_labeling driver_test_data embedder entity errors feast_object feature "
        "feature_logging feature_server feature_server_utils feature_service feature_store "
        "feature_view feature_view_projection feature_view_utils field file_utils filter_models "
        "flags_helper grpc_error_interceptor image_utils importer inference lineage_server "
        "metrics mlflow names nlp_test_data offline_server on_demand_feature_view "
        "online_response project project_metadata proto_json proto_utils rag_retriever "
        "registry_server repo_config repo_contents repo_operations rest_error_handler "
        "saved_dataset ssl_ca_trust_store_setup stream_feature_view table_format torch_wrapper "
        "transformation_server type_map types ui_server utils value_type vector_store "
        "vector_store_utils version version_utils wait"
    ).split()
)
_NOT_YET = "docs/from-feast.md says what there is"
# What exists instead, by the name's form; the first that fits.
_INSTEAD = (
    (r"load_repo_config", "RepoConfig.from_file(path, repo_path) reads a feature_store.yaml"),
    (
        r".*Online_?Store(Config)?",
        "write online_store: {type: lmdb} or {type: redis} into feature_store.yaml",
    ),
    (
        r".*Offline_?Store(Config)?",
        "write offline_store: {type: duckdb} into feature_store.yaml, which reads Parquet, CSV and "
        "JSON files",
    ),
    (r".*Registry(Config|Store)?", "write registry: data/registry.db into feature_store.yaml"),
    (r".*(Provider|ProviderConfig)", "there is one provider, and nothing has to be said"),
    (r".*(ComputeEngine|ComputeEngineConfig)", "the engine computes in this process"),
    (r".*Storage", "SavedDatasetFileStorage keeps training sets as Parquet files"),
    (r".*Source", "FileSource reads the files that it can be exported to"),
    (r".*Format", "files are Parquet, CSV or JSON lines"),
    (r".*(Embedd|Chunk|Vector|Rag).*", "vectors are not searched by this release"),
)


def is_module(name: str) -> bool:
    """Whether Feast has a module of this dotted name, as far as we know."""
    root, *parts = name.split(".")
    if root != "feast" or not all(part.isidentifier() for part in parts):
        return False
    return not parts or parts[0] in _PACKAGES or (len(parts) == 1 and parts[0] in _MODULES)


def find_home(module: str, name: str) -> str | None:
    """Return where Tiffin has a name of one of Feast's modules, ``module:attribute``, or None."""
    if module == "feast" and name not in _ROOT_OURS:
        return None
    if module == "feast.errors":
        from tiffin.feast import errors

        return f"tiffin.feast.errors:{name}" if hasattr(errors, name) else None
    return HOMES.get(name)


def is_feasts(module: str, name: str) -> bool:
    """Whether Feast may have a name in a module where Tiffin has none."""
    return not name.startswith("_") and (module != "feast" or name in _ROOT_ONLY)


def known_names(module: str) -> list[str]:
    """Names to show of a module."""
    if module == "feast":
        return sorted(_ROOT_OURS | _ROOT_ONLY)
    if module == "feast.errors":
        from tiffin.feast import errors

        return sorted(name for name in vars(errors) if not name.startswith("_"))
    return sorted(HOMES)


def instead_of(name: str) -> str:
    """Return what exists instead of a name that Tiffin does not have: the end of a sentence."""
    for form, text in _INSTEAD:
        if re.fullmatch(form, name):
            return text
    return _NOT_YET
