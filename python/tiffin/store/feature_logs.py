"""The verbs of a `FeatureStore` for feature logs: flush, read back, write those of others."""

import datetime
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tiffin.errors import CorruptError, InvalidError, NotFoundError, SchemaError
from tiffin.feature_logging import LoggingConfig
from tiffin.offline.log_flush import LogFolder, read_days, write_days
from tiffin.offline.log_segments import LogBlock, SegmentReader
from tiffin.registry.feature_service import FeatureService
from tiffin.report import Report
from tiffin.store.datasets import DatasetVerbs
from tiffin.store.times import to_us_or_none
from tiffin.types import from_text

if TYPE_CHECKING:
    from tiffin.offline.log_flush import Batch

_TIME, _DATE, _ID, _HASH = "__log_timestamp", "__log_date", "__request_id", "__definition_hash"
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


class _Definition(NamedTuple):
    """What the log of a service is, by one state of the registry."""

    service: str
    hash: str
    keys: dict[str, Any]  # column -> pyarrow.DataType
    features: dict[str, Any]  # "<view>__<feature>" -> pyarrow.DataType
    names: list[str]  # of the features alone, in the same order
    logging: LoggingConfig | None

    def schema(self) -> Any:
        """Return the log's Arrow schema: Feast's, and the definition's hash."""
        import pyarrow as pa

        time = pa.timestamp("us", "UTC")
        fields = list(self.keys.items())
        for name, kind in self.features.items():
            fields += [(name, kind), (f"{name}__timestamp", time), (f"{name}__status", pa.int32())]
        fields += [(_TIME, time), (_DATE, pa.date32()), (_ID, pa.string()), (_HASH, pa.string())]
        return pa.schema(fields)


class FeatureLogVerbs(DatasetVerbs):
    """What a `FeatureStore` does with what servers have logged."""

    def flush_feature_logs(self) -> Report:
        """Write what servers have logged to the services' destinations, as Parquet.

        Closed segments are taken; a running server closes its own after a minute, those of a server
        that is gone are closed here. One file per service, day and definition for each batch.
        Killed at any moment, nothing is lost and nothing is there twice: the next call goes on.

        Returns
        -------
        Report
            ``segments``, ``rows``, ``services`` (rows by name), ``files``, ``bytes_left_out`` (of
            torn ends), ``still_open`` (segments that servers write at this moment).

        Raises
        ------
        ConflictError
            Another process flushes.
        CorruptError
            A segment makes no sense; names it. Nothing of its batch is removed.
        IoError
            A destination cannot be written. Likewise.
        """
        total: dict[str, Any] = {
            "segments": 0,
            "rows": 0,
            "services": {},
            "files": [],
            "bytes_left_out": 0,
            "still_open": 0,
        }
        folder = LogFolder(self._segments_path())
        if not folder.path.is_dir():
            return Report(total)
        with folder.locked():
            total["still_open"] = folder.adopt()
            batch = folder.begin_batch()
            while batch is not None:
                if not batch.is_published:
                    self._publish(batch, total)
                total["segments"] += len(batch.segments)
                batch.finish()
                batch = folder.begin_batch()
        return Report(total)

    def get_feature_logs(
        self,
        service: str | FeatureService,
        start: Any = None,
        end: Any = None,
        *,
        served: bool = True,
        statuses: bool = False,
    ) -> Any:
        """Return what was served, as entity rows: flushed logs of one service.

        Parameters
        ----------
        service : str or FeatureService
        start, end : datetime, date or str, optional
            Only answers given from `start` to `end`, both included; default: all.
        served : bool, optional
            Also the values that were served, as ``<view>__<feature>``; default: yes.
        statuses : bool, optional
            Also their statuses, event times, the request's id and the definition's hash.

        Returns
        -------
        pyarrow.Table
            Join keys, ``event_timestamp`` (when it was served, UTC, microseconds) and what was
            asked for, ascending by time, request and keys. Made for `get_historical_features`.

        Raises
        ------
        NotFoundError
            No such service.
        InvalidError
            It has no ``logging_config``.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        definition = self._logged_definition(service)
        start_us, end_us = to_us_or_none(start, "start"), to_us_or_none(end, "end")
        schema = definition.schema()
        tables = read_days(
            self._destination(definition),
            definition.service,
            {field.name: field.type for field in schema},
            _day(start_us, datetime.date.min),
            _day(end_us, datetime.date.max),
        )
        log = pa.concat_tables([schema.empty_table(), *tables], promote_options="permissive")
        for bound, compare in ((start_us, pc.greater_equal), (end_us, pc.less_equal)):
            if bound is not None:
                limit = pa.scalar(bound, pa.timestamp("us", "UTC"))
                log = log.filter(compare(log[_TIME], limit))
        by = [_TIME, _ID, *definition.keys]
        log = log.sort_by([(name, "ascending") for name in by])
        columns = {name: log[name] for name in definition.keys}
        columns["event_timestamp"] = log[_TIME]
        for name in log.column_names:
            is_value = name in definition.features
            if name not in definition.keys and (
                (is_value and served) or (statuses and not is_value and name not in (_TIME, _DATE))
            ):
                columns[name] = log[name]
        return pa.table(columns)

    def write_logged_features(self, logs: Any, source: str | FeatureService) -> Report:
        """Add rows to the log of a service that another server of Feast's kind has written.

        Parameters
        ----------
        logs : pyarrow.Table, pandas.DataFrame, ... or path
            Columns as Feast's log schema has them (docs/feature-logs.md), or a Parquet file, or a
            folder of them. ``__definition_hash`` may be left out.
        source : FeatureService or str
            Whose log it is.

        Returns
        -------
        Report
            ``rows`` and ``files``. The same rows a second time replace the files of the first.

        Raises
        ------
        SchemaError
            A column is missing, is not known, or is of another type.
        InvalidError
            The service has no ``logging_config``.
        """
        from tiffin._native import hash_table
        from tiffin.column.cast import cast_column
        from tiffin.column.plain import table_to_plain

        definition = self._logged_definition(source)
        what = f"the logs of feature service {definition.service!r}"
        table = table_to_plain(_read_logs(logs))
        table = _complete(table, definition)
        schema = definition.schema()
        _check_columns(table.column_names, schema.names, what)
        for field in schema:
            column = cast_column(table[field.name], field.type, field.name, what)
            table = table.set_column(table.schema.get_field_index(field.name), field, column)
        table = table.select(schema.names)
        if table.num_rows and table[_TIME].null_count + table[_DATE].null_count:
            raise SchemaError(f"{what}: {_TIME} and {_DATE} must not be null")
        partition_by = _partitions(definition)
        files = write_days(
            table,
            self._destination(definition),
            definition.service,
            f"w{hash_table(table)[:16]}",
            partition_by,
        )
        return Report({"rows": table.num_rows, "files": [str(path) for path in files]})

    # ---- places and definitions

    def _segments_path(self) -> Path:
        logs = self.config.feature_server.get("feature_logs") or {}
        path = logs.get("path") or Path(self.config.registry).parent / "feature_logs"
        return self.config.repo_path / path

    def _destination(self, definition: _Definition) -> Path:
        if definition.logging is None:
            raise InvalidError(
                f"feature service {definition.service!r} has no logging_config; give it one, e.g. "
                "LoggingConfig(destination=FileLoggingDestination(path='data/logs'))"
            )
        path = definition.logging.destination.path.removeprefix("file://")
        return self.config.repo_path / path

    def _logged_definition(self, service: str | FeatureService) -> _Definition:
        name = service.name if isinstance(service, FeatureService) else service
        if not isinstance(name, str):
            raise SchemaError(
                f"service must be a FeatureService or its name, not {type(name).__name__}"
            )
        definition = self._definition_of(name, None)
        self._destination(definition)
        return definition

    def _definition_of(self, service: str, commit: int | None) -> _Definition:
        document = self.get_document("feature_service", service, commit)
        keys: dict[str, Any] = {}
        features: dict[str, Any] = {}
        names: list[str] = []
        for projection in document["features"]:
            view = self.get_document("feature_view", projection["view"], commit)
            types = {field["name"]: _arrow_type(field["dtype"]) for field in view["schema"]}
            for key in view["join_keys"]:
                keys.setdefault(projection["join_key_map"].get(key, key), types[key])
            for feature in projection["features"]:
                label = f"{projection['name_alias'] or projection['view']}__{feature}"
                features[label] = types[feature]
                names.append(feature)
        logging = document.get("logging_config")
        config = LoggingConfig.from_document(logging) if logging else None
        return _Definition(service, document["hash"], keys, features, names, config)

    # ---- flush

    def _publish(self, batch: "Batch", total: dict[str, Any]) -> None:
        import pyarrow as pa

        definitions: dict[tuple[str, int], _Definition] = {}
        tables: dict[str, tuple[_Definition, list[Any]]] = {}
        for path in batch.segments:
            reader = SegmentReader(path)
            for block in reader:
                key = (block.schema.service, block.schema.commit)
                if key not in definitions:
                    definitions[key] = self._definition_in_force(block, path)
                definition = definitions[key]
                found = tables.setdefault(_fingerprint(definition), (definition, []))
                found[1].append(_table_of(block, definition, path))
            total["bytes_left_out"] += reader.n_bytes_left_out
        for fingerprint, (definition, parts) in tables.items():
            table = pa.concat_tables(parts, promote_options="permissive")
            files = write_days(
                table,
                self._destination(definition),
                definition.service,
                f"{batch.name}-{fingerprint}",
                _partitions(definition),
            )
            total["rows"] += table.num_rows
            rows = total["services"]
            rows[definition.service] = rows.get(definition.service, 0) + table.num_rows
            total["files"] += [str(path) for path in files]

    def _definition_in_force(self, block: LogBlock, path: Path) -> _Definition:
        found = block.schema
        try:
            definition = self._definition_of(found.service, found.commit)
        except NotFoundError as error:
            raise CorruptError(
                f"the segment {path} has answers of feature service {found.service!r} as of commit "
                f"{found.commit}, and the registry does not know it: {error}"
            ) from error
        names = [
            name
            for pair in zip(definition.features, definition.names, strict=True)
            for name in pair
        ]
        is_same = definition.hash == found.hash and len(found.features) == len(definition.names)
        is_same = (
            is_same
            and set(found.features) <= set(names)
            and set(found.keys) == set(definition.keys)
        )
        if not is_same:
            raise CorruptError(
                f"the segment {path} has answers of feature service {found.service!r} as of commit "
                f"{found.commit}, and the registry has another definition there; was it replaced?"
            )
        return definition


def _arrow_type(dtype: str) -> Any:
    from tiffin.compute.values import arrow_type

    return arrow_type(from_text(dtype))


def _partitions(definition: _Definition) -> list[str]:
    return list(definition.logging.destination.partition_by) if definition.logging else []


def _fingerprint(definition: _Definition) -> str:
    """Return what tells the files of two definitions apart; equal wherever it is computed."""
    from tiffin._native import checksum

    place = definition.logging.to_document() if definition.logging else None
    text = f"{definition.service}\n{definition.hash}\n{definition.schema()}\n{place}"
    return f"{checksum(text.encode()):016x}"


def _table_of(block: LogBlock, definition: _Definition, path: Path) -> Any:
    import pyarrow as pa

    n_keys = len(block.schema.keys)
    columns: dict[str, Any] = {}
    try:
        by_key = dict(zip(block.schema.keys, block.columns, strict=False))
        for name, kind in definition.keys.items():
            columns[name] = _cast(by_key[name].values, kind)
        for (name, kind), column in zip(
            definition.features.items(), block.columns[n_keys:], strict=True
        ):
            columns[name] = _cast(column.values, kind)
            columns[f"{name}__timestamp"] = column.event_times
            columns[f"{name}__status"] = column.statuses
    except pa.ArrowInvalid as error:
        raise CorruptError(
            f"the segment {path} has values of feature service {definition.service!r} that are not "
            f"of its types: {error}"
        ) from error
    columns[_TIME] = block.times
    columns[_DATE] = block.times.cast(pa.date32())
    columns[_ID] = block.request_ids
    columns[_HASH] = pa.array([block.schema.hash] * len(block.times), pa.string())
    return pa.table(columns)


def _cast(values: Any, kind: Any) -> Any:
    """Return values as the declared type; times keep the unit of the data."""
    import pyarrow as pa

    if pa.types.is_timestamp(values.type) and pa.types.is_timestamp(kind):
        return values
    return values.cast(kind)


def _day(time_us: int | None, otherwise: datetime.date) -> str:
    if time_us is None:
        return otherwise.isoformat()
    try:
        return (_EPOCH + datetime.timedelta(microseconds=time_us)).date().isoformat()
    except OverflowError:
        return (datetime.date.min if time_us < 0 else datetime.date.max).isoformat()


# ---- logs of others


def _read_logs(logs: Any) -> Any:
    import pyarrow as pa

    if isinstance(logs, str | os.PathLike):
        return _read_files(Path(logs))
    if isinstance(logs, pa.Table):
        return logs
    if hasattr(logs, "__arrow_c_stream__"):
        return pa.table(logs)
    if type(logs).__module__.partition(".")[0] == "pandas":
        return pa.Table.from_pandas(logs, preserve_index=False)
    raise SchemaError(
        f"logs must be a table or the path of Parquet files, not {type(logs).__name__} {logs!r}"
    )


def _read_files(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise NotFoundError(f"there are no Parquet files at {path}")
    tables = []
    for file in files:
        with file.open("rb") as opened:
            tables.append(pq.read_table(opened))
    return pa.concat_tables(tables, promote_options="permissive")


def _complete(table: Any, definition: _Definition) -> Any:
    import pyarrow as pa

    if _HASH in table.column_names:
        return table
    return table.append_column(_HASH, pa.array([definition.hash] * table.num_rows, pa.string()))


def _check_columns(found: list[str], expected: list[str], what: str) -> None:
    missing = [name for name in expected if name not in found]
    if missing:
        raise SchemaError(f"{what} lack the columns {', '.join(missing)}")
    odd = [name for name in found if name not in expected]
    if odd:
        raise SchemaError(
            f"{what} have columns that the service does not log: {', '.join(odd)}; leave them out"
        )
