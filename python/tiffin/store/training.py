"""The training verbs of a `FeatureStore`: point-in-time correct training sets."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tiffin.errors import NotFoundError, warn
from tiffin.registry.feature_service import FeatureService
from tiffin.registry.feature_view import FeatureView
from tiffin.store.registry import RegistryVerbs
from tiffin.store.request import to_request
from tiffin.store.times import to_us_or_none

if TYPE_CHECKING:
    from tiffin.offline.retrieval_job import RetrievalJob

    Progress = Callable[[str, int, int], None]
    Features = list[str] | list[FeatureView] | FeatureService | str


class TrainingVerbs(RegistryVerbs):
    """What a `FeatureStore` does with rows of the past."""

    _warned: set[str]

    def get_historical_features(
        self,
        entity_df: Any,
        features: "Features",
        full_feature_names: bool = False,
        *,
        filter_by_created_timestamp: bool = False,
        known_at: Any = None,
        progress: "Progress | None" = None,
    ) -> "RetrievalJob":
        """Return a point-in-time correct training set: per entity row what was known at its time.

        Parameters
        ----------
        entity_df : pandas.DataFrame, polars.DataFrame, pyarrow.Table, dict of lists, ...
            Entity rows: the join keys, one time column (``event_timestamp``, else the only one;
            naive is UTC, no nulls), and whatever else is wanted in the result. Anything with
            ``__arrow_c_stream__`` too. Never changed.
        features : list of str, list of FeatureView, FeatureService or str
            ``["view:feature", ...]``, views (also projected ones), or a service or its name.
        full_feature_names : bool
            Call results ``view__feature`` instead of ``feature``.
        filter_by_created_timestamp : bool
            Only values that had been written by the entity's time.
        known_at : datetime, date or str, optional
            Only values that had been written by this instant (UTC; included).
        progress : callable, optional
            Called while it is computed, with (what, rows done, rows in all or -1).

        Returns
        -------
        RetrievalJob
            Computed when first needed. All entity rows, in order, then the features in the order
            asked; null where nothing was known, or only something older than the view's ttl.

        Raises
        ------
        SchemaError, InvalidError, UnsupportedError
            `entity_df` or `features` is nothing of the above. What only the engine sees (missing
            views, columns, files) is raised when the result is first needed.
        """
        from tiffin.offline.frames import read_frame
        from tiffin.offline.retrieval_job import RetrievalJob

        frame = read_frame(entity_df, "entity_df")
        request = self._request_of(features, full_feature_names)
        arguments: dict[str, Any] = {
            "filter_by_created": bool(filter_by_created_timestamp),
            "known_at_us": to_us_or_none(known_at, "known_at"),
        }
        engine = self._engine
        return RetrievalJob(
            lambda: engine.historical(request, frame.stream, progress=progress, **arguments),
            lambda: engine.explain(request, frame.stream, **arguments),
            frame,
        )

    def _request_of(self, features: Any, full_feature_names: bool) -> str:
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
