"""The verbs of a `FeatureStore` that write rows: online, offline, or both."""

import json
from typing import TYPE_CHECKING, Any

from tiffin.errors import (
    InvalidError,
    NotFoundError,
    PushSourceNotFoundException,
    SchemaError,
    TiffinError,
    UnsupportedError,
    warn,
)
from tiffin.registry.data_source import FileSource, PushMode, PushSource
from tiffin.report import Report
from tiffin.store.datasets import DatasetVerbs

if TYPE_CHECKING:
    from tiffin._native import Push
    from tiffin.offline.frames import Frame
    from tiffin.offline.parquet_append import StagedFile


class WritingVerbs(DatasetVerbs):
    """What a `FeatureStore` writes of rows that a caller has in hand."""

    def push(
        self,
        push_source_name: str,
        df: Any,
        allow_registry_cache: bool = True,  # noqa: ARG002 - Feast's; definitions are always fresh
        to: PushMode = PushMode.ONLINE,
        transform_on_write: bool = True,  # noqa: ARG002 - Feast's; nothing is transformed
    ) -> Report:
        """Write rows to every view on a push source: online, to its files, or both.

        All or nothing: columns, types, keys, times and values are checked for all views before
        anything is written. Online, all views change at one instant (Redis: row by row). With
        ``ONLINE_AND_OFFLINE`` the file is written first, so what is online is in the history.

        Parameters
        ----------
        push_source_name : str
        df : pandas.DataFrame, polars.DataFrame, pyarrow.Table, dict of lists, list of dicts, ...
            As `write_to_online_store`, and for the files as `write_to_offline_store`.
        allow_registry_cache, transform_on_write : bool
            Feast's; they change nothing here.
        to : PushMode
            ``ONLINE`` (default), ``OFFLINE`` or ``ONLINE_AND_OFFLINE``.

        Returns
        -------
        Report
            ``rows_read``, ``rows_written``, ``rows_older``, ``rows_same``, ``views`` (what became
            of the rows online, summed over the views), and ``file`` if one was written.

        Raises
        ------
        PushSourceNotFoundException
            No such push source, or no view on it.
        SchemaError, InvalidError
            The frame does not fit; names column and, for a value, row.
        """
        _check_name("push_source_name", push_source_name)
        if not isinstance(to, PushMode):
            raise SchemaError(
                f"to must be a PushMode, e.g. PushMode.ONLINE, not {type(to).__name__} {to!r}"
            )
        frame = self._read("df", df)
        try:
            push = self._engine.begin_push(
                frame.stream,
                source=push_source_name,
                check_only=to is PushMode.OFFLINE,
                rehearse=to is PushMode.ONLINE_AND_OFFLINE,
            )
        except NotFoundError as error:
            raise PushSourceNotFoundException(*error.args) from None
        if to is PushMode.ONLINE:
            return _committed(push)
        source = self.get_data_source(push_source_name)
        batch_source = source.batch_source if isinstance(source, PushSource) else source
        staged = self._stage(frame, batch_source, True)
        return _committed(push, staged, is_online=to is PushMode.ONLINE_AND_OFFLINE)

    async def push_async(
        self,
        push_source_name: str,
        df: Any,
        allow_registry_cache: bool = True,
        to: PushMode = PushMode.ONLINE,
        transform_on_write: bool = True,
    ) -> Report:
        """`push` on a thread of asyncio's pool, so that the event loop goes on meanwhile.

        Do not change `df` until it is done. Cancelling ends the wait, not the write: it is done
        whole or not at all, but the caller does not learn which; pushing again is harmless online,
        and adds the rows once more to the files (which changes no training set).
        """
        import asyncio

        return await asyncio.to_thread(
            self.push, push_source_name, df, allow_registry_cache, to, transform_on_write
        )

    def write_to_online_store(
        self,
        feature_view_name: str,
        df: Any = None,
        inputs: Any = None,
        allow_registry_cache: bool = True,  # noqa: ARG002 - Feast's; definitions are always fresh
        transform_on_write: bool = True,  # noqa: ARG002 - Feast's; nothing is transformed
    ) -> Report:
        """Write rows of one view online: a row replaces what is there unless it is older.

        All or nothing (Redis: row by row, so that after an error some may be there; writing all
        again is harmless). Readable by every process on this machine before it returns.

        Parameters
        ----------
        feature_view_name : str
        df : pandas.DataFrame, polars.DataFrame, pyarrow.Table, dict of lists, list of dicts, ...
            Join keys, features (absent ones become null), the source's time column and, if it has
            one, its created column. Other columns are passed over. Times may be texts.
        inputs : as `df`, optional
            Feast's other name for it; give one of the two.
        allow_registry_cache, transform_on_write : bool
            Feast's; they change nothing here.

        Returns
        -------
        Report
            ``rows_read``, ``rows_written``, ``rows_older``, ``rows_same``, ``views``.

        Raises
        ------
        NotFoundError
            No such view.
        UnsupportedError
            An on-demand view: its values are made when they are asked for.
        SchemaError
            A column is missing, or of another type; a value does not fit (row and column).
        InvalidError
            A null key or time, or a time further ahead of the clock than
            ``online_store.max_ahead_seconds`` (300); names row and column.
        """
        _check_name("feature_view_name", feature_view_name)
        if (df is None) == (inputs is None):
            found = "neither" if df is None else "both"
            raise InvalidError(f"write_to_online_store takes df or inputs; {found} was given")
        frame = self._read("df", df) if inputs is None else self._read("inputs", inputs)
        return _committed(self._engine.begin_push(frame.stream, view=feature_view_name))

    async def write_to_online_store_async(
        self,
        feature_view_name: str,
        df: Any = None,
        inputs: Any = None,
        allow_registry_cache: bool = True,
        transform_on_write: bool = True,
    ) -> Report:
        """`write_to_online_store` on a thread of asyncio's pool; see `push_async`."""
        import asyncio

        return await asyncio.to_thread(
            self.write_to_online_store,
            feature_view_name,
            df,
            inputs,
            allow_registry_cache,
            transform_on_write,
        )

    def write_to_offline_store(
        self,
        feature_view_name: str,
        df: Any,
        allow_registry_cache: bool = True,  # noqa: ARG002 - Feast's; definitions are always fresh
        reorder_columns: bool = True,
    ) -> Report:
        """Add rows to a view's source, as one Parquet file more in its folder.

        The file is there whole or not at all, and nothing that exists is rewritten. Training sets
        and `materialize` see the rows from then on.

        Parameters
        ----------
        feature_view_name : str
        df : pandas.DataFrame, polars.DataFrame, pyarrow.Table, dict of lists, list of dicts, ...
            All columns of the source and no others, under its names or those of `field_mapping`.
            They take the types that the files have, where that loses nothing.
        allow_registry_cache : bool
            Feast's; it changes nothing here.
        reorder_columns : bool
            Whether the columns may stand in another order than in the files.

        Returns
        -------
        Report
            ``rows_read``, ``views``, ``file``.

        Raises
        ------
        NotFoundError
            No such view.
        UnsupportedError
            The source is no folder of Parquet files; says how to make it one.
        SchemaError, InvalidError
            The rows do not fit; names column and, for a value, row.
        IoError
            The file cannot be written; nothing was added.
        """
        _check_name("feature_view_name", feature_view_name)
        frame = self._read("df", df)
        push = self._engine.begin_push(frame.stream, view=feature_view_name, check_only=True)
        source = self.get_feature_view(feature_view_name).batch_source
        return _committed(push, self._stage(frame, source, reorder_columns), is_online=False)

    async def write_to_offline_store_async(
        self,
        feature_view_name: str,
        df: Any,
        allow_registry_cache: bool = True,
        reorder_columns: bool = True,
    ) -> Report:
        """`write_to_offline_store` on a thread of asyncio's pool; see `push_async`."""
        import asyncio

        return await asyncio.to_thread(
            self.write_to_offline_store,
            feature_view_name,
            df,
            allow_registry_cache,
            reorder_columns,
        )

    # ---- steps

    def _read(self, what: str, df: Any) -> "Frame":
        from tiffin.offline.frames import read_frame

        return read_frame(df, what, self.config.repo_path, is_written=True)

    def _stage(self, frame: "Frame", source: Any, reorder_columns: bool) -> "StagedFile | None":
        """Have the rows on disk under a hidden name; None if there are none."""
        from tiffin.offline.parquet_append import find_place, stage_rows

        if not isinstance(source, FileSource):
            raise UnsupportedError(f"data source {getattr(source, 'name', source)!r} has no files")
        if frame.n_rows == 0:
            find_place(source, self.config.repo_path)  # whether there could be rows
            return None
        return stage_rows(frame.stream, source, self.config.repo_path, "df", reorder_columns)


def _committed(push: "Push", staged: "StagedFile | None" = None, is_online: bool = True) -> Report:
    """Write what was checked: the file first. A push that is not online only reports."""
    file = None if staged is None else staged.publish()
    try:
        answer = json.loads(push.commit())
    except TiffinError as error:
        if file is not None:
            error.args = (
                f"the rows are in {file}, but not online; push them again with PushMode.ONLINE: "
                f"{error}",
            )
        raise
    if answer["rows_read"] == 0:
        warn("df has no rows; nothing was written")
    if not is_online:
        answer = {name: answer[name] for name in ("rows_read", "views")}
    if file is not None:
        answer["file"] = str(file)
    return Report(answer)


def _check_name(argument: str, name: Any) -> None:
    if not isinstance(name, str):
        raise SchemaError(f"{argument} must be a str, not {type(name).__name__}")
