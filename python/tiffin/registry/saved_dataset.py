"""``SavedDataset``: a training set that was written down, and what it was made from."""

import datetime
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tiffin.errors import IoError, SchemaError, UnsupportedError
from tiffin.registry import check
from tiffin.registry.data_source import FileSource, ParquetFormat
from tiffin.registry.definition import Definition, kind_words
from tiffin.report import Report

if TYPE_CHECKING:
    from tiffin._native import Store


class SavedDatasetFileStorage:
    """Where a saved dataset lies: a Parquet file, or a folder of them.

    Parameters
    ----------
    path : str or os.PathLike
        ``*.parquet`` (or ``.pq``, ``.parq``) is one file, anything else a folder. Relative ones
        start at the folder of ``feature_store.yaml``.
    file_format : ParquetFormat, optional
        Parquet is the only one.
    s3_endpoint_override : str, optional
        Feast's; not run by this release.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        file_format: Any = None,
        s3_endpoint_override: str | None = None,
    ) -> None:
        where = "SavedDatasetFileStorage"
        if isinstance(path, os.PathLike):
            path = os.fspath(path)
        self.path: str = check.text(path, where, "path", required=True)
        if file_format is not None and not isinstance(file_format, ParquetFormat):
            raise UnsupportedError(
                f"{where}: datasets are saved as Parquet, not as {file_format!r}; leave "
                "file_format out"
            )
        self.file_format = file_format or ParquetFormat()
        check.not_yet(where, s3_endpoint_override=s3_endpoint_override)
        if "://" in self.path and not self.path.startswith("file://"):
            raise UnsupportedError(
                f"{where}: {self.path!r} is not a local path; datasets are saved to local files"
            )

    def locate(self, folder: Path) -> Path:
        """Return the absolute path; relative ones start at `folder`."""
        return folder / self.path.removeprefix("file://")

    def to_data_source(self) -> FileSource:
        """Return the files as a data source."""
        return FileSource(path=self.path, file_format=self.file_format)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SavedDatasetFileStorage) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    def __repr__(self) -> str:
        return f"SavedDatasetFileStorage(path={self.path!r})"


def as_storage(storage: Any) -> SavedDatasetFileStorage:
    """Return `storage`, which must be one.

    Raises
    ------
    SchemaError
        It is something else.
    """
    if not isinstance(storage, SavedDatasetFileStorage):
        raise SchemaError(
            f"storage must be a SavedDatasetFileStorage, not {type(storage).__name__}"
        )
    return storage


class Verification(Report):
    """What has changed since a saved dataset was made: ``str()`` for people, `to_dict` for data.

    True if nothing has: its files are as they were written, and what it was made from is the same.
    """

    __slots__ = ()

    @property
    def is_intact(self) -> bool:
        """Whether the dataset's own files are as they were written."""
        return bool(self["is_intact"])

    @property
    def inputs_are_same(self) -> bool:
        """Whether definitions and source files (and entity rows, if given) are as they were."""
        return bool(self["inputs_are_same"])

    def __bool__(self) -> bool:
        return self.is_intact and self.inputs_are_same

    def __str__(self) -> str:
        report = self.to_dict()
        checked = report["checked"]
        same = "is as it was" if self else "has changed"
        lines = [f"saved dataset {report['dataset']!r} {same}"]
        lines += [
            f"  data file {entry['path'] or '(the file itself)'}: {entry['status']}"
            for entry in report["data_files"]
        ]
        lines += [
            f"  {kind_words(entry['kind'])} {entry['name']!r}: {entry['status']}"
            for entry in report["definitions"]
        ]
        for entry in report["source_files"]:
            reason = f" ({entry['reason']})" if "reason" in entry else ""
            lines.append(
                f"  file {entry['path']} of data source {entry['source']!r}: "
                f"{entry['status']}{reason}"
            )
        lines.append(f"  entity rows: {report['entity_rows']['status']}")
        lines += [
            f"  {entry['what']}: {entry['then'] or 'none'} then, {entry['now'] or 'none'} now"
            for entry in report["engine"]
        ]
        lines.append(
            f"  compared: {checked['data_files']} data files, {checked['definitions']} "
            f"definitions, {checked['source_files']} source files"
        )
        return "\n".join(lines)


class SavedDataset(Definition):
    """A training set that was written down, and what it was made from.

    Made by `FeatureStore.create_saved_dataset`, found by `FeatureStore.get_saved_dataset`.

    Attributes
    ----------
    features : list of str
        References ``"view:feature"``.
    join_keys : list of str
        Columns of the entity rows.
    full_feature_names : bool
        Whether columns are called ``view__feature``.
    feature_service_name : str
        The service that was asked for; "" = none.
    storage : SavedDatasetFileStorage
    min_event_timestamp, max_event_timestamp : datetime or None
        First and last time of the entity rows, UTC.
    manifest : dict
        What it was made from: docs/formats/saved-dataset.md. ``manifest["hash"]`` is equal for
        equal bytes.
    """

    kind = "saved_dataset"

    def __init__(
        self,
        name: str,
        features: list[str],
        join_keys: list[str],
        storage: SavedDatasetFileStorage,
        full_feature_names: bool = False,
        tags: dict[str, str] | None = None,
        feature_service_name: str | None = None,
        *,
        description: str = "",
        owner: str = "",
        min_event_timestamp: datetime.datetime | None = None,
        max_event_timestamp: datetime.datetime | None = None,
        manifest: dict[str, Any] | None = None,
    ) -> None:
        self.name = check.text(name, "SavedDataset", "name", required=True)
        where = f"SavedDataset {name!r}"
        self.features: list[str] = check.items(features, (str,), where, "features")
        self.join_keys: list[str] = check.items(join_keys, (str,), where, "join_keys")
        self.storage = as_storage(storage)
        self.full_feature_names = full_feature_names
        self.tags = check.texts(tags, where, "tags")
        self.feature_service_name = feature_service_name or ""
        self.description = check.text(description, where, "description")
        self.owner = check.text(owner, where, "owner")
        self.min_event_timestamp = min_event_timestamp
        self.max_event_timestamp = max_event_timestamp
        self.manifest = manifest or {}
        self._engine: Store | None = None
        self._folder = Path()

    def to_document(self) -> dict[str, Any]:
        """Return the neutral form of this object."""
        return {
            "kind": self.kind,
            "name": self.name,
            "path": self.storage.path,
            "features": list(self.features),
            "join_keys": list(self.join_keys),
            "full_feature_names": self.full_feature_names,
            "feature_service": self.feature_service_name,
            "min_event_timestamp": _to_text(self.min_event_timestamp),
            "max_event_timestamp": _to_text(self.max_event_timestamp),
            "manifest": self.manifest,
            "description": self.description,
            "tags": dict(self.tags),
            "owner": self.owner,
        }

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """Return the object that a document describes."""
        return cls(
            name=document["name"],
            features=document["features"],
            join_keys=document["join_keys"],
            storage=SavedDatasetFileStorage(document["path"]),
            full_feature_names=document.get("full_feature_names", False),
            tags=document.get("tags"),
            feature_service_name=document.get("feature_service", ""),
            description=document.get("description", ""),
            owner=document.get("owner", ""),
            min_event_timestamp=_of_text(document.get("min_event_timestamp", "")),
            max_event_timestamp=_of_text(document.get("max_event_timestamp", "")),
            manifest=document.get("manifest"),
        )._read_timestamps(document)

    def bind(self, engine: "Store", folder: Path) -> Self:
        """Tie the object to the store that it comes from."""
        self._engine = engine
        self._folder = folder
        return self

    # ---- the rows

    def to_arrow(self) -> Any:
        """Return the rows as a `pyarrow.Table`, as they are in the files now.

        Raises
        ------
        IoError
            The files are missing or cannot be read. Whether they are the files that were written
            is what `verify` says.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.storage.locate(self._folder)
        try:
            if not path.is_dir():
                return pq.ParquetFile(path).read()
            parts = sorted(path.glob("*.parquet"))
            if not parts:
                raise IoError(f"saved dataset {self.name!r}: the folder {path} holds no *.parquet")
            return pa.concat_tables([pq.ParquetFile(part).read() for part in parts])
        except FileNotFoundError as error:
            raise IoError(
                f"saved dataset {self.name!r}: there is no {path}; make the dataset again, or "
                "delete it with delete_saved_dataset"
            ) from error
        except (OSError, pa.ArrowException) as error:
            if isinstance(error, IoError):
                raise
            raise IoError(
                f"saved dataset {self.name!r}: {path} cannot be read: {str(error).splitlines()[0]}"
            ) from error

    def to_df(self, dtype_backend: str | None = None) -> Any:
        """Return the rows as a pandas DataFrame; dtypes are those of `RetrievalJob.to_df`."""
        from tiffin.column.convert import check_backend, table_to_pandas

        check_backend(dtype_backend)
        return table_to_pandas(self.to_arrow(), dtype_backend)

    def to_polars(self) -> Any:
        """Return the rows as a `polars.DataFrame`."""
        import polars as pl

        return pl.from_arrow(self.to_arrow())

    def verify(self, entity_df: Any = None) -> Verification:
        """Compare the dataset with what is there now.

        Parameters
        ----------
        entity_df : any table, optional
            The entity rows, which are not kept: given, they are compared as well. A relative path
            starts at the folder of ``feature_store.yaml``.

        Returns
        -------
        Verification
            What changed since: own files, definitions, source files (changed, missing, new),
            versions. `print` it.

        Raises
        ------
        NotFoundError
            The dataset was deleted.
        """
        from tiffin.offline.frames import read_frame
        from tiffin.offline.parquet import writer_version

        if self._engine is None:
            raise SchemaError(
                f"saved dataset {self.name!r} is of no store; get it with get_saved_dataset"
            )
        spine = None
        if entity_df is not None:
            spine = read_frame(entity_df, "entity_df", self._folder).stream
        return Verification(self._engine.verify_dataset(self.name, spine, writer=writer_version()))


def _to_text(time: datetime.datetime | None) -> str:
    return "" if time is None else time.isoformat()


def _of_text(text: str) -> datetime.datetime | None:
    return datetime.datetime.fromisoformat(text) if text else None
