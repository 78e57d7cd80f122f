"""What of a feature service's answers is kept: ``LoggingConfig`` and its destinations.

Names and arguments are Feast's (``feast.feature_logging``, ``feast.infra``). What a server keeps,
and how it is flushed and read back, is in docs/feature-logs.md.
"""

import os
from collections.abc import Sequence
from typing import Any, NoReturn, Self

from tiffin.errors import InvalidError, SchemaError, UnsupportedError
from tiffin.registry import check

_MILLION = 1_000_000


class LoggingDestination:
    """Where the answers of a feature service are logged to; see `FileLoggingDestination`."""

    def to_document(self) -> dict[str, Any]:
        """Return the neutral form of this destination."""
        raise NotImplementedError


class FileLoggingDestination(LoggingDestination):
    """A folder of Parquet files.

    Parameters
    ----------
    path : str or os.PathLike
        The folder; relative ones start at the folder of ``feature_store.yaml``.
    s3_endpoint_override : str, optional
        Feast's; not run by this release: logs go to local files.
    partition_by : list of str, optional
        Columns of the log that make subfolders, ``<column>=<value>``; default: none.
    """

    kind = "file"

    def __init__(
        self,
        *,
        path: str | os.PathLike[str],
        s3_endpoint_override: str = "",
        partition_by: Sequence[str] | None = None,
    ) -> None:
        where = "FileLoggingDestination"
        if isinstance(path, os.PathLike):
            path = os.fspath(path)
        self.path: str = check.text(path, where, "path", required=True)
        check.not_yet(where, s3_endpoint_override=s3_endpoint_override)
        if "://" in self.path and not self.path.startswith("file://"):
            raise UnsupportedError(
                f"{where}: {self.path!r} is not a local path; this release logs to local files"
            )
        self.partition_by: list[str] = check.items(partition_by, str, where, "partition_by")

    def to_document(self) -> dict[str, Any]:
        """Return the neutral form of this destination."""
        return {"type": self.kind, "path": self.path, "partition_by": list(self.partition_by)}

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, FileLoggingDestination) and self.to_document() == other.to_document()
        )

    def __hash__(self) -> int:
        return hash(self.path)

    def __repr__(self) -> str:
        shown = f", partition_by={self.partition_by!r}" if self.partition_by else ""
        return f"FileLoggingDestination(path={self.path!r}{shown})"


def _refuse(name: str) -> NoReturn:
    raise UnsupportedError(
        f"{name} is Feast's, but this release logs features to files only; use "
        "FileLoggingDestination(path=...)"
    )


class BigQueryLoggingDestination(LoggingDestination):
    """Feast's; making one says that logs go to files here."""

    def __init__(self, *, table_ref: str) -> None:  # noqa: ARG002 - Feast's
        _refuse("BigQueryLoggingDestination")


class RedshiftLoggingDestination(LoggingDestination):
    """Feast's; making one says that logs go to files here."""

    def __init__(self, *, table_name: str) -> None:  # noqa: ARG002 - Feast's
        _refuse("RedshiftLoggingDestination")


class SnowflakeLoggingDestination(LoggingDestination):
    """Feast's; making one says that logs go to files here."""

    def __init__(self, *, table_name: str) -> None:  # noqa: ARG002 - Feast's
        _refuse("SnowflakeLoggingDestination")


class AthenaLoggingDestination(LoggingDestination):
    """Feast's; making one says that logs go to files here."""

    def __init__(self, *, table_name: str) -> None:  # noqa: ARG002 - Feast's
        _refuse("AthenaLoggingDestination")


class CouchbaseColumnarLoggingDestination(LoggingDestination):
    """Feast's; making one says that logs go to files here."""

    def __init__(self, *, database: str, scope: str, table_name: str) -> None:  # noqa: ARG002
        _refuse("CouchbaseColumnarLoggingDestination")


class LoggingConfig:
    """That a server keeps what it answers to a feature service, and where to.

    Parameters
    ----------
    destination : FileLoggingDestination
    sample_rate : float, optional
        Share of the answers that are kept, 0 .. 1; default: all. Kept in millionths.

    Raises
    ------
    SchemaError
        `destination` is no destination, or `sample_rate` no number.
    InvalidError
        `sample_rate` is not from 0 to 1.
    UnsupportedError
        A destination of Feast's that is no file.
    """

    def __init__(self, *, destination: LoggingDestination, sample_rate: float = 1.0) -> None:
        if not isinstance(destination, FileLoggingDestination):
            if any("LoggingDestination" in base.__name__ for base in type(destination).__mro__):
                _refuse(type(destination).__name__)
            raise SchemaError(
                "LoggingConfig: destination must be a FileLoggingDestination, not "
                f"{type(destination).__name__} {destination!r}"
            )
        if isinstance(sample_rate, bool) or not isinstance(sample_rate, int | float):
            raise SchemaError(
                f"LoggingConfig: sample_rate must be a number, not "
                f"{type(sample_rate).__name__} {sample_rate!r}"
            )
        if not 0 <= sample_rate <= 1:
            raise InvalidError(
                f"LoggingConfig: sample_rate must be from 0 to 1, not {sample_rate!r}"
            )
        self.destination = destination
        self.sample_rate = float(sample_rate)

    def to_document(self) -> dict[str, Any]:
        """Return the neutral form of this configuration."""
        return {
            "destination": self.destination.to_document(),
            "sample_rate_millionths": round(self.sample_rate * _MILLION),
        }

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """Return the configuration that a document describes."""
        destination = document["destination"]
        return cls(
            destination=FileLoggingDestination(
                path=destination["path"], partition_by=destination.get("partition_by")
            ),
            sample_rate=document.get("sample_rate_millionths", _MILLION) / _MILLION,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LoggingConfig) and self.to_document() == other.to_document()

    def __hash__(self) -> int:
        return hash(self.destination)

    def __repr__(self) -> str:
        return f"LoggingConfig(destination={self.destination!r}, sample_rate={self.sample_rate})"
