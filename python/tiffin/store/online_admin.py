"""The verbs of a `FeatureStore` that administer its online store."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tiffin.errors import SchemaError
from tiffin.progress import watched
from tiffin.registry.feature_view import FeatureView
from tiffin.report import Report
from tiffin.store.history import HistoryVerbs
from tiffin.store.times import to_us_or_none

Progress = Callable[[str, int, int], None]


class OnlineVerbs(HistoryVerbs):
    """What a `FeatureStore` does with its online store beside reading and writing rows."""

    def online_stats(self, *, progress: Progress | bool | None = None) -> Report:
        """Count every row of the online store.

        All is counted as of one instant: pages that writes free meanwhile are used again only
        afterwards, so the file may grow while it runs.

        Parameters
        ----------
        progress : callable or bool, optional
            As `materialize`.

        Returns
        -------
        Report
            ``views`` (``rows``, ``bytes`` of keys and values, ``generation``, ``oldest`` and
            ``newest`` event time, ``previous`` generation, ...), ``orphans`` (generations that no
            view names), ``other_projects``, ``file`` (size and what of it is free), ``reads`` (open
            now).

        Raises
        ------
        UnsupportedError
            The online store is not of type lmdb.
        """
        with watched(progress) as tell:
            return Report(self._engine.online_stats(progress=tell))

    def vacuum_online(
        self,
        *,
        dry_run: bool = False,
        previous: bool = False,
        keep_expired: bool = False,
        at: Any = None,
        progress: Progress | bool | None = None,
    ) -> "VacuumReport":
        """Remove rows that nobody reads any more.

        These are: rows older than their view's ttl; all rows of views that no definition names, or
        that are defined with ``online=False`` now; generations whose build has died. Other projects
        in the same folder are not touched. Pushes and lookups go on meanwhile, and an interrupted
        vacuum is harmless. The file keeps its size; later writes use what was freed.

        Parameters
        ----------
        dry_run : bool
            Count what would go, and change nothing.
        previous : bool
            Remove each view's previous generation too; then there is no going back to it.
        keep_expired : bool
            Leave rows that are older than their view's ttl.
        at : datetime, date or str, optional
            "Now", for the check of age; default: the clock.
        progress : callable or bool, optional
            As `materialize`.

        Returns
        -------
        VacuumReport
            What went, view by view; `print` it.

        Raises
        ------
        InvalidError
            The registry has no view of this project, so every row would be an orphan.
        UnsupportedError
            The online store is not of type lmdb.
        """
        with watched(progress) as tell:
            report = self._engine.vacuum_online(
                dry_run=dry_run,
                drop_previous=previous,
                keep_expired=keep_expired,
                at_us=to_us_or_none(at, "at"),
                progress=tell,
            )
        return VacuumReport(report)

    def rollback_online(self, feature_view: str | FeatureView, drop_pushes: bool = False) -> Report:
        """Return a view online to what it was before its last large load.

        Materializing a tenth of a view's rows or more, or more than 65,536 rows, keeps what was
        live before as the view's previous generation. This makes it the live one again, at once,
        and takes the view's watermark back with it; a second call returns to what was live now.

        Parameters
        ----------
        feature_view : str or FeatureView
        drop_pushes : bool
            Also take back what was pushed, written and deleted since. By default it is replayed.

        Returns
        -------
        Report
            ``view``, ``rows``, ``keys_replayed``, and ``materialized_until``: the end of what is
            materialized now, or None if these rows came from no materialization.

        Raises
        ------
        NotFoundError
            No such view, or nothing to return to.
        UnsupportedError
            The online store is not of type lmdb.
        """
        return Report(self._engine.rollback(_name_of(feature_view), drop_pushes=drop_pushes))

    def delete_online(self, feature_view: str | FeatureView, keys: Any) -> Report:
        """Delete the rows of some keys of a view online.

        All of them, or after an error none (Redis: perhaps some; deleting again is harmless).
        When it returns they are gone, durably and for every process. A later write of such a key is
        kept, whatever its event time.

        Parameters
        ----------
        feature_view : str or FeatureView
        keys : list of dict, dict of lists, or a table
            A column per join key; other columns are passed over. Keys that have no row are fine.

        Returns
        -------
        Report
            ``keys``, ``deleted``, ``not_there``.

        Raises
        ------
        NotFoundError
            No such view.
        SchemaError
            A join key is missing, or of another type.
        InvalidError
            A null key.
        """
        from tiffin.offline.frames import read_frame

        name = _name_of(feature_view)
        frame = read_frame(keys, "keys", self.config.repo_path)
        return Report(self._engine.delete_online(name, frame.stream))

    def backup_online(
        self, folder: str | os.PathLike[str], *, progress: Progress | bool | None = None
    ) -> Report:
        """Write the online rows of all views, as of one instant, and their watermarks to a folder.

        Reads and writes go on meanwhile. The rows are the live ones of this project's views that
        are online; `restore_online` brings them back.

        Parameters
        ----------
        folder : str or os.PathLike
            Not there yet, or empty.
        progress : callable or bool, optional
            As `materialize`.

        Returns
        -------
        Report
            ``views`` with ``rows`` and ``watermark``, ``created``, ``data`` (size and checksum).

        Raises
        ------
        InvalidError
            The folder holds something.
        UnsupportedError
            The online store is not of type lmdb.
        """
        path = _to_folder(folder)
        with watched(progress) as tell:
            return Report(self._engine.backup_online(path, progress=tell))

    def restore_online(
        self, folder: str | os.PathLike[str], *, progress: Progress | bool | None = None
    ) -> Report:
        """Bring back the rows and watermarks of a backup.

        What the backup's views have online now is replaced, in one step: a lookup sees all old or
        all new rows. Views that the backup does not hold stay as they are; those that no definition
        names any more are passed over.

        Parameters
        ----------
        folder : str or os.PathLike
            What `backup_online` wrote.
        progress : callable or bool, optional
            As `materialize`.

        Returns
        -------
        Report
            ``views`` with ``rows`` and ``replaced``, ``passed_over``.

        Raises
        ------
        NotFoundError
            There is no backup, or none of its views is defined.
        CorruptError
            It is damaged; nothing was changed.
        InvalidError
            It is another project's.
        SchemaError
            A view has other join keys now.
        """
        path = _to_folder(folder)
        with watched(progress) as tell:
            return Report(self._engine.restore_online(path, progress=tell))


class VacuumReport(Report):
    """What a vacuum removed, or would remove: numbers of rows, view by view."""

    def __str__(self) -> str:
        lines = []
        for view in self["views"]:
            parts = [
                f"{view[what]:,} {what}"
                for what in ("expired", "orphaned", "previous")
                if view[what]
            ]
            lines.append(f"{view['view']}: {', '.join(parts) or 'no rows'}")
        if self["unnamed"]:
            lines.append(f"rows of generations that no view names: {self['unnamed']:,}")
        if self["note"]:
            lines.append(self["note"])
        verb = "would be removed" if self["is_dry_run"] else "removed"
        return "\n".join([*lines, f"{self['rows']:,} rows {verb}"])


def _name_of(feature_view: Any) -> str:
    name = feature_view.name if isinstance(feature_view, FeatureView) else feature_view
    if not isinstance(name, str):
        raise SchemaError(
            f"feature_view must be a name or a FeatureView, not {type(name).__name__}"
        )
    return name


def _to_folder(folder: Any) -> str:
    if not isinstance(folder, str | os.PathLike):
        raise SchemaError(f"folder must be a path, not {type(folder).__name__}")
    path = os.fspath(folder)
    if not isinstance(path, str):
        raise SchemaError(f"folder must be a path of text, not {type(path).__name__}")
    return str(Path(path).expanduser())
