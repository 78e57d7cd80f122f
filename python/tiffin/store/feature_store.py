"""``FeatureStore``: one project's definitions, training sets and online values."""

import copy
import functools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiffin.compute.functions import Functions
from tiffin.errors import InvalidError, SchemaError
from tiffin.progress import watched
from tiffin.registry.data_source import DataSource
from tiffin.registry.document import to_json
from tiffin.registry.feature_view import FeatureView
from tiffin.report import Report
from tiffin.store.config import FILE_NAME, FILE_VARIABLE, RepoConfig
from tiffin.store.engine import open_engine
from tiffin.store.feast_export import FeastExportVerbs
from tiffin.store.feature_logs import FeatureLogVerbs
from tiffin.store.kept import KeptVerbs
from tiffin.store.online_admin import OnlineVerbs
from tiffin.store.repo import load_module, load_repo
from tiffin.store.serving import ServingVerbs
from tiffin.store.times import to_us, to_us_or_none
from tiffin.store.writing import WritingVerbs

if TYPE_CHECKING:
    Progress = Callable[[str, int, int], None]


class MaterializeReport(Report):
    """What a materialization did, view by view: rows read, written, older, same; seconds."""

    @property
    def views(self) -> list[dict[str, Any]]:
        """One dict per view."""
        views: list[dict[str, Any]] = self.to_dict().get("views", [])
        return views

    @property
    def passed_over(self) -> list[dict[str, Any]]:
        """When all views were asked for: those that are kept and cannot be run, and why."""
        passed_over: list[dict[str, Any]] = self.to_dict().get("passed_over", [])
        return passed_over

    def __str__(self) -> str:
        lines = []
        for view in self.views:
            begin = f"from {view['start']} " if view.get("start") else ""
            lines.append(
                f"{view['view']}: {begin}to {view['end']}: {view['rows_read']:,} rows read, "
                f"{view['rows_written']:,} written, {view['rows_older']:,} older, "
                f"{view['rows_same']:,} unchanged, {view['seconds']:.2f} s"
            )
            if view.get("note"):
                lines.append(f"  {view['note']}")
        lines += [f"{view['view']}: not loaded: {view['missing']}" for view in self.passed_over]
        return "\n".join(lines) or "no view to materialize"


class FeatureStore(
    KeptVerbs, WritingVerbs, FeatureLogVerbs, OnlineVerbs, ServingVerbs, FeastExportVerbs
):
    """One project's definitions, training sets and online values.

    May be shared between threads, and used after a fork. Opening one reads ``feature_store.yaml``
    and nothing else.

    Parameters
    ----------
    repo_path : str or os.PathLike, optional
        Folder of ``feature_store.yaml``, and where relative paths start; default: the working
        directory.
    config : RepoConfig, optional
        Configuration to use in place of a file.
    fs_yaml_file : str or os.PathLike, optional
        Another file than ``<repo_path>/feature_store.yaml``; default: the variable
        ``FEAST_FS_YAML_FILE_PATH``, if there is one.

    Raises
    ------
    NotFoundError
        There is no such file.
    InvalidError
        Both `config` and `fs_yaml_file`; a file that makes no sense (with its line).

    Attributes
    ----------
    config : RepoConfig
    repo_path : pathlib.Path
    project : str
    """

    def __init__(
        self,
        repo_path: str | os.PathLike[str] | None = None,
        config: RepoConfig | None = None,
        fs_yaml_file: str | os.PathLike[str] | None = None,
    ) -> None:
        if config is not None and fs_yaml_file is not None:
            raise InvalidError("FeatureStore takes config or fs_yaml_file, not both")
        if config is None:
            named = fs_yaml_file or os.environ.get(FILE_VARIABLE)
            file = named or Path(repo_path or ".") / FILE_NAME
            config = RepoConfig.from_file(file, repo_path)
        elif not isinstance(config, RepoConfig):
            raise SchemaError(f"config must be a RepoConfig, not {type(config).__name__}")
        else:
            config = copy.copy(config)
        config.repo_path = Path(repo_path or config.repo_path).absolute()
        self.config = config
        self._engine = open_engine(config)
        self._lookups = {}
        self._warned = set()
        self._functions = Functions(
            functools.partial(load_module, config.repo_path),
            lambda: load_repo(config.repo_path).on_demand_feature_views,
        )

    @property
    def project(self) -> str:
        """Name of the project."""
        return self.config.project

    @property
    def repo_path(self) -> Path:
        """Folder that relative paths start at, absolute."""
        return self.config.repo_path

    def __reduce__(self) -> tuple[Any, ...]:
        return FeatureStore, (None, self.config)

    def __repr__(self) -> str:
        return f"FeatureStore(project={self.project!r}, repo_path={str(self.repo_path)!r})"

    # ---- the online store

    def materialize(
        self,
        start_date: Any,
        end_date: Any,
        feature_views: list[str] | None = None,
        *,
        known_at: Any = None,
        progress: "Progress | bool | None" = None,
    ) -> MaterializeReport:
        """Load the newest value of every key within a time range into the online store.

        Parameters
        ----------
        start_date, end_date : datetime, date or str
            Event times, both included; naive is UTC. A `start_date` of None is the first row.
        feature_views : list of str, optional
            Default: all views with ``online=True``.
        known_at : datetime, date or str, optional
            Only rows that had been written by this instant.
        progress : callable or bool, optional
            Called about every 100 ms with (what, rows done, rows in all or -1). Default: a line on
            a terminal or in a notebook, if it takes more than a second; False: nothing.

        Returns
        -------
        MaterializeReport
            Rows read, written and passed over, and seconds, for each view; `print` it.

        Raises
        ------
        InvalidError
            The start lies after the end.
        NotFoundError
            No such view.
        """
        names = _view_names(feature_views)
        with self._naming_views(names or ()), watched(progress) as tell:
            report = self._engine.materialize(
                start_us=to_us_or_none(start_date, "start_date"),
                end_us=to_us(end_date, "end_date"),
                views=names,
                known_at_us=to_us_or_none(known_at, "known_at"),
                progress=tell,
            )
        return MaterializeReport(report)

    def materialize_incremental(
        self,
        end_date: Any,
        feature_views: list[str] | None = None,
        *,
        known_at: Any = None,
        progress: "Progress | bool | None" = None,
    ) -> MaterializeReport:
        """Load what is new since each view's last materialization, up to `end_date`.

        A view that was never materialized starts at `end_date` - ttl, or without a ttl at its first
        row. Rows that were written since the last run are taken however old their event time is, if
        the source has a created column. Parameters and errors as `materialize`.
        """
        names = _view_names(feature_views)
        with self._naming_views(names or ()), watched(progress) as tell:
            report = self._engine.materialize(
                end_us=to_us(end_date, "end_date"),
                views=names,
                known_at_us=to_us_or_none(known_at, "known_at"),
                incremental=True,
                progress=tell,
            )
        return MaterializeReport(report)

    # ---- about

    def status(self) -> list[dict[str, Any]]:
        """State of every view online: live generation, rows, and what of the source is online."""
        states: list[dict[str, Any]] = json.loads(self._engine.status())
        return states

    def describe_data_source(self, source: DataSource) -> list[dict[str, Any]]:
        """Columns of a source, applied or not: ``{"name", "dtype", "native_type"}`` each."""
        text = self._engine.describe_source(to_json(source.to_document()))
        columns: list[dict[str, Any]] = json.loads(text)
        return columns

    def duckdb_version(self) -> str:
        """Version of DuckDB that files are read with."""
        return self._engine.duckdb_version()


def _view_names(views: Any) -> list[str] | None:
    if views is None:
        return None
    if isinstance(views, str | FeatureView) or not isinstance(views, list | tuple):
        raise SchemaError(
            f"feature_views must be a list of names, not {type(views).__name__} "
            f"{getattr(views, 'name', views)!r}"
        )
    names = [v.name if isinstance(v, FeatureView) else v for v in views]
    for i, name in enumerate(names):
        if not isinstance(name, str):
            raise SchemaError(f"feature_views[{i}] must be a name, not {type(name).__name__}")
    return names
