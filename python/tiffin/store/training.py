"""The training verbs of a `FeatureStore`: point-in-time correct training sets."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tiffin.errors import InvalidError, NotFoundError, SchemaError, warn
from tiffin.progress import watched
from tiffin.registry.check import flag
from tiffin.registry.feature_service import FeatureService
from tiffin.registry.feature_view import FeatureView
from tiffin.store.entity_rows import EventWindow, read_entity_rows
from tiffin.store.on_demand import OnDemandVerbs
from tiffin.store.request import to_request
from tiffin.store.sizes import to_bytes
from tiffin.store.times import to_us_or_none

if TYPE_CHECKING:
    from tiffin.offline.leakage import LeakageReport
    from tiffin.offline.question import Question
    from tiffin.offline.retrieval_job import RetrievalJob

    Progress = Callable[[str, int, int], None]
    Features = list[str] | list[FeatureView] | FeatureService | str | tuple[()]


class TrainingVerbs(OnDemandVerbs):
    """What a `FeatureStore` does with rows of the past."""

    _warned: set[str]

    def get_historical_features(
        self,
        entity_df: Any = None,
        features: "Features" = (),
        full_feature_names: bool = False,
        start_date: Any = None,
        end_date: Any = None,
        *,
        filter_by_created_timestamp: bool = False,
        known_at: Any = None,
        time_column: str | None = None,
        frames: Mapping[str, Any] | None = None,
        one_row_per_entity: bool = False,
        memory_limit: int | str | None = None,
        progress: "Progress | bool | None" = None,
    ) -> "RetrievalJob":
        """Return a point-in-time correct training set: per entity row what was known at its time.

        Parameters
        ----------
        entity_df : pandas.DataFrame, polars.DataFrame, pyarrow.Table, ..., path, SQL or None
            Entity rows: the join keys, one time column (naive is UTC, texts are ISO 8601, no
            nulls), and whatever else is wanted in the result. A pandas, Polars (also lazy) or
            pyarrow table, reader or dataset, anything with ``__arrow_c_stream__``, a dict of lists,
            a list of dicts, the path of a Parquet, CSV or newline-delimited JSON file, or SQL that
            reads (``"select ... from 'orders.parquet'"``, run by DuckDB; relative paths start at
            the repo). Read at once and never changed. None: the events of the views (see
            `start_date`).
        features : list of str, list of FeatureView, FeatureService or str
            ``["view:feature", ...]``, views (also projected ones), or a service or its name.
            On-demand views too: their request data are columns of `entity_df`.
        full_feature_names : bool
            Call results ``view__feature`` instead of ``feature``.
        start_date, end_date : datetime, date or str, optional
            Without entity rows: the window of events (both included) that become entity rows, in
            the order of time, then key; `end_date` is now and `start_date` the longest ttl (30
            days, if no view has one) before it unless given. One view: a row per event. Several
            views of the same join keys: a row per distinct key and time of any of them.
        filter_by_created_timestamp : bool
            Only values that had been written by the entity's time.
        known_at : datetime, date or str, optional
            Only values that had been written by this instant (UTC; included).
        time_column : str, optional
            Default: ``event_timestamp``, else the only column that holds times.
        frames : dict of str to table, optional
            Tables in any form that SQL may name.
        one_row_per_entity : bool
            Without entity rows: every key of the window once, at `end_date`.
        memory_limit : int or str, optional
            Memory that making it may take, e.g. ``"512MB"``, ``"4GiB"`` or bytes; default: that of
            the configuration. What does not fit is made in parts, with equal results.
        progress : callable or bool, optional
            Called while it is computed, with (what, rows done, rows in all or -1). Default: a line
            on a terminal or in a notebook, if it takes more than a second; False: nothing.

        Returns
        -------
        RetrievalJob
            Computed when first needed. All entity rows, in order, then the features in the order
            asked; null where nothing was known, or only something older than the view's ttl.

        Raises
        ------
        SchemaError, InvalidError, NotFoundError, IoError
            `entity_df` or `features` is nothing of the above, or names a view or feature that is
            not there. What reading shows (missing columns, files) is raised when the result is
            first needed; without entity rows, at once.
        """
        from tiffin.offline.explanation import say_severe
        from tiffin.offline.frames import without_objects
        from tiffin.offline.retrieval import Retrieval
        from tiffin.offline.retrieval_job import RetrievalJob

        flag(one_row_per_entity, "a training set", "one_row_per_entity")
        folder = self.config.repo_path
        window = EventWindow(start_date, end_date, known_at, one_row_per_entity)
        question = self._question(
            features,
            full_feature_names,
            filter_by_created_timestamp,
            known_at,
            time_column,
            memory_limit,
        )
        objects = question.check()
        if objects and entity_df is not None:
            entity_df = without_objects(entity_df, "entity_df", objects)
        frame = read_entity_rows(entity_df, frames, window, folder)
        if frame is None:
            with watched(progress) as tell:
                frame = question.read_events(window, tell)
            if frame.n_rows == 0 and start_date is None and end_date is None:
                self._warn_once(
                    "the views have no events in the window that is taken by default (the longest "
                    "ttl, or 30 days, before now), so the training set has no rows; pass "
                    "start_date and end_date"
                )
        frame = frame.with_times(time_column or "event_timestamp")

        def tell_of(report: str) -> None:
            if time_column is None:
                self._tell_time_column(report)
            say_severe(report)

        return RetrievalJob(Retrieval(question, frame, progress, folder, tell_of))

    def _tell_time_column(self, report: str) -> None:
        """Say which column was taken for the time, if nobody named it."""
        name = json.loads(report).get("time_column", "event_timestamp")
        if name != "event_timestamp":
            self._warn_once(
                f"the entity rows have no column 'event_timestamp'; {name!r}, the only one that "
                "holds times, is taken (pass time_column to say so)"
            )

    def check_leakage(
        self,
        training_set: Any,
        features: "Features | None" = None,
        label: str | Sequence[str] | None = None,
        full_feature_names: bool = False,
        *,
        filter_by_created_timestamp: bool = False,
        known_at: Any = None,
        time_column: str | None = None,
        memory_limit: int | str | None = None,
        progress: "Progress | bool | None" = None,
    ) -> "LeakageReport":
        """Look for what a training set may not know.

        Parameters
        ----------
        training_set : RetrievalJob, pandas.DataFrame, polars.DataFrame, pyarrow.Table, ...
            What `get_historical_features` returned; or entity rows, in any form; or a training set
            that was finished elsewhere, which is also compared with what the store says.
        features : list of str, list of FeatureView, FeatureService or str, optional
            What the training set is made of; a job knows.
        label : str or list of str, optional
            Columns that are predicted; default: all that are neither features, keys, request data
            nor the time. A feature that is named is not compared itself.
        full_feature_names, filter_by_created_timestamp, known_at, time_column, memory_limit
            As `get_historical_features`; a job knows.
        progress : callable or bool, optional
            As `get_historical_features`.

        Returns
        -------
        LeakageReport
            Rows whose values were created after the entity's time, features that change if the
            rows are asked a microsecond earlier, features that are one to one with a label or
            predict it alone, and values that are not what was known; each with counts and
            examples.

        Raises
        ------
        InvalidError
            `features` is missing, or is given with a job.
        SchemaError
            A label that is no column; a feature of another type.
        """
        from tiffin.offline.frames import read_frame
        from tiffin.offline.leakage import check
        from tiffin.offline.retrieval_job import RetrievalJob

        if isinstance(training_set, RetrievalJob):
            if features is not None:
                raise InvalidError("a RetrievalJob knows its features; leave features out")
            question, table = training_set.retrieval.question, training_set.to_arrow()
            entity_columns = training_set.retrieval.frame.names
        else:
            entity_columns = None
            if features is None:
                raise InvalidError("say which features the training set is made of: features=...")
            question = self._question(
                features,
                full_feature_names,
                filter_by_created_timestamp,
                known_at,
                time_column,
                memory_limit,
            )
            frame = read_frame(training_set, "training_set", self.config.repo_path, is_written=True)
            table = _to_table(frame.stream)
        with watched(progress) as tell:
            return check(question, table, entity_columns, label, tell)

    def _question(
        self,
        features: Any,
        full_feature_names: bool,
        filter_by_created_timestamp: bool,
        known_at: Any,
        time_column: str | None,
        memory_limit: int | str | None = None,
    ) -> "Question":
        from tiffin.offline.question import Question

        flag(filter_by_created_timestamp, "a training set", "filter_by_created_timestamp")
        if time_column is not None and not isinstance(time_column, str):
            raise SchemaError(
                f"time_column must be the name of a column, not {type(time_column).__name__}"
            )
        request = self._request_of(features, full_feature_names)
        arguments = {
            "filter_by_created": filter_by_created_timestamp,
            "known_at_us": to_us_or_none(known_at, "known_at"),
            "time_column": time_column,
        }
        return Question(
            self._engine,
            arguments,
            to_bytes(memory_limit, "memory_limit") or self.config.memory_limit_bytes,
            lambda: self._resolve(request),
            self.get_on_demand_feature_view,
        )

    def _request_of(self, features: Any, full_feature_names: bool) -> str:
        self._remember_functions(features)
        if isinstance(features, FeatureService) and self._is_applied(features):
            return to_request(features.name, full_feature_names)
        return to_request(features, full_feature_names)

    def _is_applied(self, service: FeatureService) -> bool:
        """Whether the registry has the service; what it has there is what counts, as in Feast."""
        try:
            applied = self.get_feature_service(service.name)
        except NotFoundError:
            return False
        if _differs(service, applied):
            self._warn_once(
                f"feature service {service.name!r} was applied with other features than this "
                "object has; those of the registry are used"
            )
        return True

    def _warn_once(self, sentence: str) -> None:
        if sentence not in self._warned:
            self._warned.add(sentence)
            warn(sentence)


def _to_table(stream: Any) -> Any:
    import pyarrow as pa

    return pa.RecordBatchReader.from_stream(stream).read_all()


def _differs(service: FeatureService, applied: FeatureService) -> bool:
    """Whether two services ask for different things; features left to inference do not count."""
    ours = [p.to_document() for p in service.feature_view_projections]
    theirs = [p.to_document() for p in applied.feature_view_projections]
    if len(ours) != len(theirs):
        return True
    for a, b in zip(ours, theirs, strict=True):
        if not a["features"]:
            b["features"] = []
    return ours != theirs
