"""Where rows come from: files, and pushes that stand before files."""

import enum
import os
from typing import Any, Self

from tiffin.errors import InvalidError, SchemaError
from tiffin.registry import check
from tiffin.registry.definition import Definition


class ParquetFormat:
    """Files are Parquet: the ``file_format`` of a `FileSource`."""

    def __repr__(self) -> str:
        return "ParquetFormat()"


class CsvFormat:
    """Files are CSV with a header: the ``file_format`` of a `FileSource`."""

    def __repr__(self) -> str:
        return "CsvFormat()"


class JsonFormat:
    """Files are JSON, one object a line: the ``file_format`` of a `FileSource`.

    Parameters
    ----------
    schema_json : str, optional
        Feast's, for streams; a file source has no use for it.
    """

    def __init__(self, schema_json: str = "") -> None:
        self.schema_json = schema_json

    def __repr__(self) -> str:
        return "JsonFormat()"


class DataSource(Definition):
    """What all data sources share. Use `FileSource`, `PushSource` or `RequestSource`."""

    kind = "data_source"

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """Return the data source, of the class that the document's ``"type"`` names."""
        from tiffin.registry.foreign_source import ForeignSource  # which derive from this class
        from tiffin.registry.request_source import RequestSource

        others: dict[Any, type[DataSource]] = {
            "foreign": ForeignSource,
            "push": PushSource,
            "request": RequestSource,
        }
        actual = others.get(document.get("type"), FileSource)
        source = actual._read(document)._read_timestamps(document)
        if not isinstance(source, cls):
            raise SchemaError(
                f"data source {source.name!r} is a {type(source).__name__}, not a {cls.__name__}"
            )
        return source

    @classmethod
    def _read(cls, document: dict[str, Any]) -> "DataSource":
        raise NotImplementedError


class FileSource(DataSource):
    """Parquet, CSV or newline JSON files: one file, a folder, a glob, Hive partitions.

    Parameters
    ----------
    path : str or os.PathLike
        Relative ones start at the folder of ``feature_store.yaml``; ``s3://bucket/...`` means
        objects.
    name : str, optional
        Default: the path.
    timestamp_field : str, optional
        Column of the event time; naive times are UTC. Left out, it is the only time column.
    event_timestamp_column : str, optional
        Older spelling of `timestamp_field`.
    created_timestamp_column : str, optional
        Column of the time at which a row was written; decides among equal event times.
    field_mapping : dict of str to str, optional
        Column of the file -> name of the feature or join key.
    file_format : ParquetFormat, CsvFormat, JsonFormat or str, optional
        ``"parquet"``, ``"csv"`` or ``"json"``; default: by extension.
    date_partition_column : str, optional
        Hive partition column that holds the event date.
    s3_endpoint_override : str, optional
        Address of the server that has the objects of an ``s3://`` path; default: as the store's
        configuration and the environment say.
    description, owner : str, optional
    tags : dict of str to str, optional

    Raises
    ------
    InvalidError
        `timestamp_field` and `created_timestamp_column` are the same.
    """

    path: str
    file_format: str
    timestamp_field: str
    created_timestamp_column: str
    date_partition_column: str
    s3_endpoint_override: str
    field_mapping: dict[str, str]

    def __init__(
        self,
        *,
        path: str | os.PathLike[str],
        name: str | None = "",
        event_timestamp_column: str | None = "",
        file_format: Any = None,
        created_timestamp_column: str | None = "",
        field_mapping: dict[str, str] | None = None,
        s3_endpoint_override: str | None = None,
        description: str | None = "",
        tags: dict[str, str] | None = None,
        owner: str | None = "",
        timestamp_field: str | None = "",
        date_partition_column: str | None = "",
    ) -> None:
        if isinstance(path, os.PathLike):
            path = os.fspath(path)
        self.path = check.text(path, f"FileSource {name or ''!r}", "path", required=True)
        self.name = check.text(name, "FileSource", "name") or self.path
        where = f"FileSource {self.name!r}"
        time = check.one_of(
            where, timestamp_field=timestamp_field, event_timestamp_column=event_timestamp_column
        )
        self.timestamp_field = check.text(time, where, "timestamp_field")
        self.created_timestamp_column = check.text(
            created_timestamp_column, where, "created_timestamp_column"
        )
        if self.timestamp_field and self.timestamp_field == self.created_timestamp_column:
            raise InvalidError(
                f"{where}: timestamp_field and created_timestamp_column are both "
                f"{self.timestamp_field!r}; leave created_timestamp_column out when there is none"
            )
        self.file_format = _read_format(file_format, where)
        self.field_mapping = check.texts(field_mapping, where, "field_mapping")
        self.date_partition_column = check.text(
            date_partition_column, where, "date_partition_column"
        )
        self.description = check.text(description, where, "description")
        self.tags = check.texts(tags, where, "tags")
        self.owner = check.text(owner, where, "owner")
        self.s3_endpoint_override = check.text(s3_endpoint_override, where, "s3_endpoint_override")

    def to_document(self) -> dict[str, Any]:
        """Return the neutral form of this object."""
        return {
            "kind": self.kind,
            "name": self.name,
            "type": "file",
            "path": self.path,
            "format": self.file_format,
            "s3_endpoint_override": self.s3_endpoint_override,
            "timestamp_field": self.timestamp_field,
            "created_timestamp_column": self.created_timestamp_column,
            "field_mapping": dict(self.field_mapping),
            "date_partition_column": self.date_partition_column,
            "description": self.description,
            "tags": dict(self.tags),
            "owner": self.owner,
        }

    @classmethod
    def _read(cls, document: dict[str, Any]) -> "FileSource":
        return cls(
            path=document["path"],
            name=document["name"],
            timestamp_field=document.get("timestamp_field", ""),
            file_format=document.get("format") or None,
            created_timestamp_column=document.get("created_timestamp_column", ""),
            field_mapping=document.get("field_mapping"),
            date_partition_column=document.get("date_partition_column", ""),
            s3_endpoint_override=document.get("s3_endpoint_override", ""),
            description=document.get("description", ""),
            tags=document.get("tags"),
            owner=document.get("owner", ""),
        )


def _read_format(file_format: Any, where: str) -> str:
    if file_format is None:
        return ""
    if isinstance(file_format, ParquetFormat):
        return "parquet"
    if isinstance(file_format, CsvFormat):
        return "csv"
    if isinstance(file_format, JsonFormat):
        return "json"
    if isinstance(file_format, str):
        if file_format.lower() in ("parquet", "csv", "json"):
            return file_format.lower()
        raise InvalidError(
            f"{where}: file_format {file_format!r} does not exist in this release; "
            "it may be parquet, csv or json"
        )
    raise SchemaError(
        f"{where}: file_format must be ParquetFormat(), CsvFormat(), JsonFormat() or a name "
        f"such as 'parquet', not {type(file_format).__name__}"
    )


def _is_foreign(source: Any) -> bool:
    """Whether it is a source of Feast's that is kept and not read, and no stream."""
    return isinstance(source, DataSource) and getattr(source, "_is_stream", None) is False


class PushMode(enum.Enum):
    """Where `FeatureStore.push` writes."""

    ONLINE = 1
    OFFLINE = 2
    ONLINE_AND_OFFLINE = 3


class PushSource(DataSource):
    """Rows that are pushed; files behind it hold their history.

    Parameters
    ----------
    name : str
    batch_source : FileSource
        Where history is read for training sets and materialization.
    description, owner : str, optional
    tags : dict of str to str, optional
    """

    batch_source: DataSource | None
    batch_source_name: str

    def __init__(
        self,
        *,
        name: str,
        batch_source: DataSource,
        description: str | None = "",
        tags: dict[str, str] | None = None,
        owner: str | None = "",
    ) -> None:
        self.name = check.text(name, "PushSource", "name", required=True)
        where = f"PushSource {name!r}"
        if isinstance(batch_source, str):
            self.batch_source, self.batch_source_name = None, batch_source
        elif isinstance(batch_source, FileSource) or _is_foreign(batch_source):
            self.batch_source, self.batch_source_name = batch_source, batch_source.name
        else:
            raise SchemaError(
                f"{where}: batch_source must be a FileSource, not {type(batch_source).__name__}"
            )
        self.description = check.text(description, where, "description")
        self.tags = check.texts(tags, where, "tags")
        self.owner = check.text(owner, where, "owner")

    def to_document(self) -> dict[str, Any]:
        """Return the neutral form of this object."""
        return {
            "kind": self.kind,
            "name": self.name,
            "type": "push",
            "batch_source": self.batch_source.name if self.batch_source else self.batch_source_name,
            "description": self.description,
            "tags": dict(self.tags),
            "owner": self.owner,
        }

    @classmethod
    def _read(cls, document: dict[str, Any]) -> "PushSource":
        return cls(
            name=document["name"],
            batch_source=document["batch_source"],
            description=document.get("description", ""),
            tags=document.get("tags"),
            owner=document.get("owner", ""),
        )
