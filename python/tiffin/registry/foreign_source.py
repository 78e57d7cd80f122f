"""Feast's data sources that this release does not read: defined, kept and shown.

A view over one can be applied. Whatever would read the source says what is missing. A stream
(Kafka, Kinesis) stands before a batch source; views on it read that.
"""

from typing import Any, ClassVar

from tiffin.errors import InvalidError, SchemaError
from tiffin.registry import check
from tiffin.registry.data_source import DataSource, FileSource, PushSource
from tiffin.registry.plain import as_plain


class ForeignSource(DataSource):
    """What data sources share that this release does not read.

    Parameters
    ----------
    name : str, optional
        Default: the table, or else the path.
    timestamp_field, created_timestamp_column, date_partition_column : str, optional
    field_mapping : dict of str to str, optional
    description, owner : str, optional
    tags : dict of str to str, optional
    **own
        What the class has of its own, as in Feast; each is an attribute too.

    Attributes
    ----------
    missing : str
        Why it cannot be read: a sentence.
    """

    _system: ClassVar[str] = "such sources"
    _own: ClassVar[tuple[str, ...]] = ()
    _is_stream: ClassVar[bool] = False

    batch_source: DataSource | None
    batch_source_name: str

    def __init__(
        self,
        name: str | None = None,
        *,
        timestamp_field: str | None = "",
        created_timestamp_column: str | None = "",
        date_partition_column: str | None = "",
        field_mapping: dict[str, str] | None = None,
        description: str | None = "",
        tags: dict[str, str] | None = None,
        owner: str | None = "",
        batch_source: Any = None,
        **own: Any,
    ) -> None:
        kind = type(self).__name__
        for key in own:
            if key not in self._own:
                known = ", ".join(self._own)
                raise SchemaError(f"{kind} {name!r}: there is no argument {key!r}; it has {known}")
        named = name or own.get("table") or own.get("table_ref") or own.get("path")
        self.name = check.text(named, kind, "name", required=True)
        where = f"{kind} {self.name!r}"
        self._content = {key: as_plain(own[key]) for key in self._own if own.get(key) is not None}
        self._set_batch_source(batch_source, where)
        self.timestamp_field = check.text(timestamp_field, where, "timestamp_field")
        self.created_timestamp_column = check.text(
            created_timestamp_column, where, "created_timestamp_column"
        )
        self.date_partition_column = check.text(
            date_partition_column, where, "date_partition_column"
        )
        self.field_mapping = check.texts(field_mapping, where, "field_mapping")
        self.description = check.text(description, where, "description")
        self.tags = check.texts(tags, where, "tags")
        self.owner = check.text(owner, where, "owner")
        self.missing = self._find_missing()

    def _set_batch_source(self, given: Any, where: str) -> None:
        self.batch_source = given if isinstance(given, DataSource) else None
        self.batch_source_name = given.name if isinstance(given, DataSource) else given or ""
        if not self._is_stream:
            if given is not None:
                raise SchemaError(f"{where}: only streams have a batch_source")
            return
        if given is None:
            raise InvalidError(f"{where}: batch_source is missing; views read their history there")
        readable = isinstance(given, FileSource | str) or (
            isinstance(given, ForeignSource) and not given._is_stream
        )
        if not readable:
            raise SchemaError(
                f"{where}: batch_source must be a FileSource, not {type(given).__name__}"
            )

    def _find_missing(self) -> str:
        if self._is_stream:
            return (
                f"this release takes no rows from {self._system}; push them to a PushSource in its "
                "place"
            )
        return (
            f"this release reads no {self._system}; a FileSource reads the Parquet files that it "
            "exports"
        )

    def __getattr__(self, name: str) -> Any:
        if name in type(self)._own:
            return self.__dict__.get("_content", {}).get(name)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def to_document(self) -> dict[str, Any]:
        """Return the neutral form of this object."""
        return {
            "kind": self.kind,
            "name": self.name,
            "type": "foreign",
            "class": type(self).__name__,
            "content": dict(self._content),
            "missing": self.missing,
            "batch_source": self.batch_source.name if self.batch_source else self.batch_source_name,
            "timestamp_field": self.timestamp_field,
            "created_timestamp_column": self.created_timestamp_column,
            "date_partition_column": self.date_partition_column,
            "field_mapping": dict(self.field_mapping),
            "description": self.description,
            "tags": dict(self.tags),
            "owner": self.owner,
        }

    @classmethod
    def _read(cls, document: dict[str, Any]) -> "ForeignSource":
        known = SOURCES.get(document["class"]) or _class_of_others(document)
        source = known(
            document["name"],
            timestamp_field=document.get("timestamp_field"),
            created_timestamp_column=document.get("created_timestamp_column"),
            date_partition_column=document.get("date_partition_column"),
            field_mapping=document.get("field_mapping"),
            description=document.get("description"),
            tags=document.get("tags"),
            owner=document.get("owner"),
            batch_source=document.get("batch_source") or None,
        )
        source._content = dict(document.get("content") or {})
        source.missing = document["missing"]
        return source


class BigQuerySource(ForeignSource):
    """A table or query of BigQuery."""

    _system = "BigQuery"
    _own = ("table", "query", "timestamp_field_type", "connection_ref")


class RedshiftSource(ForeignSource):
    """A table or query of Redshift."""

    _system = "Redshift"
    _own = ("table", "query", "schema", "database", "connection_ref")


class SnowflakeSource(ForeignSource):
    """A table or query of Snowflake."""

    _system = "Snowflake"
    _own = ("table", "query", "schema", "database", "warehouse", "connection_ref")


class SparkSource(ForeignSource):
    """A table, query or path of Spark."""

    _system = "Spark"
    _own = (
        "table",
        "query",
        "path",
        "file_format",
        "table_format",
        "date_partition_column_format",
        "connection_ref",
    )


class TrinoSource(ForeignSource):
    """A table or query of Trino."""

    _system = "Trino"
    _own = ("table", "query", "connection_ref")


class AthenaSource(ForeignSource):
    """A table or query of Athena."""

    _system = "Athena"
    _own = ("table", "query", "database", "data_source", "connection_ref")


class PostgreSQLSource(ForeignSource):
    """A table or query of PostgreSQL."""

    _system = "PostgreSQL"
    _own = ("table", "query", "connection_ref")


class ClickhouseSource(ForeignSource):
    """A table or query of ClickHouse."""

    _system = "ClickHouse"
    _own = ("table", "query", "connection_ref")


class MsSqlServerSource(ForeignSource):
    """A table of SQL Server."""

    _system = "SQL Server"
    _own = ("table_ref", "connection_str", "connection_ref")


class OracleSource(ForeignSource):
    """A table of Oracle."""

    _system = "Oracle"
    _own = ("table_ref", "connection_str", "connection_ref")


class CouchbaseColumnarSource(ForeignSource):
    """A collection or query of Couchbase Columnar."""

    _system = "Couchbase"
    _own = ("database", "scope", "collection", "query", "connection_ref")


class KafkaSource(ForeignSource):
    """A topic of Kafka, before a batch source."""

    _system = "Kafka"
    _is_stream = True
    _own = (
        "kafka_bootstrap_servers",
        "bootstrap_servers",
        "topic",
        "message_format",
        "watermark_delay_threshold",
    )


class KinesisSource(ForeignSource):
    """A stream of Kinesis, before a batch source."""

    _system = "Kinesis"
    _is_stream = True
    _own = ("region", "stream_name", "record_format")


SOURCES: dict[str, type[ForeignSource]] = {
    cls.__name__: cls for cls in ForeignSource.__subclasses__()
}
"""Every class here, by its name."""


def _class_of_others(document: dict[str, Any]) -> type[ForeignSource]:
    """Return a class for a source of one that is not here: of somebody's own, or a newer one's.

    Such sources come from a registry file of Feast, not from Python.
    """
    members = {
        "__doc__": "A data source that this release knows by the name of its class only.",
        "_own": tuple(document.get("content") or {}),
        "_is_stream": bool(document.get("batch_source")),
    }
    return type(document["class"], (ForeignSource,), members)


STREAMS = (PushSource, ForeignSource)
"""Classes that may stand before a batch source."""


class AvroFormat:
    """Messages are Avro: of a stream that this release does not read.

    Parameters
    ----------
    schema_json : str
    """

    def __init__(self, schema_json: str) -> None:
        self.schema_json = schema_json


class ProtoFormat:
    """Messages are protobuf: of a stream that this release does not read.

    Parameters
    ----------
    class_path : str
    """

    def __init__(self, class_path: str) -> None:
        self.class_path = class_path
