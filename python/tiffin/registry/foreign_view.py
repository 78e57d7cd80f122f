"""Feast's kinds of feature views that this release runs in part: stream, batch and label views.

Each is a feature view with something of its own, which is kept and compared. One that has nothing
which would change its values (no function, no aggregation) runs as the feature view that it is.
"""

import datetime
import enum
from collections.abc import Callable
from typing import Any

from tiffin.errors import SchemaError
from tiffin.registry import check
from tiffin.registry.feature_view import FeatureView
from tiffin.registry.function import FunctionReference
from tiffin.registry.plain import as_plain


class Aggregation:
    """A column aggregated over time, of a stream or batch feature view.

    Parameters
    ----------
    column, function : str
        ``"amount"``, ``"sum"``.
    time_window, slide_interval : timedelta, optional
        The second is the first unless given.
    name : str, optional
        Of the feature.
    """

    def __init__(
        self,
        column: str | None = "",
        function: str | None = "",
        time_window: datetime.timedelta | None = None,
        slide_interval: datetime.timedelta | None = None,
        name: str | None = None,
    ) -> None:
        self.column = column or ""
        self.function = function or ""
        self.time_window = time_window
        self.slide_interval = slide_interval or time_window
        self.name = name or ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Aggregation) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((self.column, self.function, self.time_window))

    def __repr__(self) -> str:
        return f"Aggregation({', '.join(f'{k}={v!r}' for k, v in vars(self).items() if v)})"


class TransformationMode(enum.Enum):
    """What a transformation gets and returns."""

    PYTHON = "python"
    PANDAS = "pandas"
    SPARK_SQL = "spark_sql"
    SPARK = "spark"
    FLINK = "flink"
    RAY = "ray"
    SQL = "sql"
    TRINO_SQL = "trino_sql"
    SUBSTRAIT = "substrait"


class ConflictPolicy(enum.Enum):
    """Which of several labels of one entity wins."""

    LAST_WRITE_WINS = "last_write_wins"
    LABELER_PRIORITY = "labeler_priority"
    MAJORITY_VOTE = "majority_vote"


class ForeignView(FeatureView):
    """What stream, batch and label views share.

    Attributes
    ----------
    foreign : dict
        ``"class"``; ``"content"``, whose members are attributes too; and ``"missing"``: why it
        cannot be run, a sentence, or ``""``.
    call : callable or None
        Its function, in the process that defined it.
    """

    call: Callable[..., Any] | None = None

    def _keep(self, missing: str, **content: Any) -> None:
        self._keep_feasts(missing, **{key: as_plain(value) for key, value in content.items()})

    def __getattr__(self, name: str) -> Any:
        content = (self.__dict__.get("foreign") or {}).get("content", {})
        if name in content:
            return content[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")


def _describe_function(udf: Any, text: str | None, transformation: Any) -> dict[str, Any] | None:
    call = udf if udf is not None else getattr(transformation, "udf", transformation)
    if call is None:
        return None
    if isinstance(call, str):
        return {"source": call}
    if not callable(call):
        return {"source": repr(call)}
    return FunctionReference.of(call, text or "").to_document()


def _find_missing(kind: str, function: Any, aggregations: Any, instead: str) -> str:
    parts = ["the function"] if function else []
    parts += ["the aggregations"] if aggregations else []
    if not parts:
        return ""
    return f"this release does not run {' and '.join(parts)} of a {kind} feature view; {instead}"


class StreamFeatureView(ForeignView):
    """Features of a stream and of the history behind it.

    Parameters
    ----------
    aggregations : list of Aggregation, optional
    mode : str or TransformationMode, optional
    udf, udf_string, feature_transformation : optional
        What is done to the stream; with one of them, or with aggregations, the view is kept and
        not run.
    timestamp_field : str, optional
    stream_engine, enable_tiling, tiling_hop_size : optional
        Kept.
    **view
        As those of `FeatureView`.
    """

    def __init__(
        self,
        *,
        name: str,
        source: Any,
        aggregations: list[Aggregation] | None = None,
        mode: Any = TransformationMode.PYTHON,
        timestamp_field: str | None = "",
        udf: Callable[..., Any] | None = None,
        udf_string: str | None = "",
        feature_transformation: Any = None,
        stream_engine: dict[str, Any] | None = None,
        enable_tiling: bool = False,
        tiling_hop_size: datetime.timedelta | None = None,
        **view: Any,
    ) -> None:
        super().__init__(name=name, source=source, **view)
        aggregations = check.items(aggregations, Aggregation, self._where, "aggregations")
        function = _describe_function(udf, udf_string, feature_transformation)
        self.call = udf if callable(udf) else getattr(feature_transformation, "udf", None)
        instead = "push what it would make to a PushSource with a FeatureView on it"
        self._keep(
            _find_missing("stream", function, aggregations, instead),
            aggregations=aggregations or None,
            mode=_mode_text(mode, self._where),
            timestamp_field=timestamp_field,
            function=function,
            stream_engine=stream_engine,
            enable_tiling=enable_tiling or None,
            tiling_hop_size=tiling_hop_size,
        )


class BatchFeatureView(ForeignView):
    """Features that a batch job makes of a source.

    Parameters
    ----------
    mode : str or TransformationMode, optional
    udf, udf_string, feature_transformation, aggregations : optional
        What the job does; with one of them the view is kept and not run.
    batch_engine : dict, optional
        Kept.
    **view
        As those of `FeatureView`; `online` is False unless given.
    """

    def __init__(
        self,
        *,
        name: str,
        source: Any = None,
        mode: Any = TransformationMode.PYTHON,
        ttl: datetime.timedelta | None = None,
        online: bool = False,
        udf: Callable[..., Any] | None = None,
        udf_string: str | None = "",
        feature_transformation: Any = None,
        batch_engine: dict[str, Any] | None = None,
        aggregations: list[Aggregation] | None = None,
        **view: Any,
    ) -> None:
        super().__init__(name=name, source=source, ttl=ttl, online=online, **view)
        aggregations = check.items(aggregations, Aggregation, self._where, "aggregations")
        function = _describe_function(udf, udf_string, feature_transformation)
        self.call = udf if callable(udf) else getattr(feature_transformation, "udf", None)
        instead = "write what it makes to files with a FeatureView on them"
        self._keep(
            _find_missing("batch", function, aggregations, instead),
            aggregations=aggregations or None,
            mode=_mode_text(mode, self._where),
            function=function,
            batch_engine=batch_engine,
        )


class LabelView(ForeignView):
    """Labels that people or programs give, pushed one by one.

    Parameters
    ----------
    labeler_field : str, optional
        Column that says who gave the label.
    conflict_policy : ConflictPolicy, optional
        With another than ``LAST_WRITE_WINS`` the view is kept and not run.
    reference_feature_view : str, optional
        Kept.
    **view
        As those of `FeatureView`.
    """

    def __init__(
        self,
        *,
        name: str,
        source: Any,
        labeler_field: str = "labeler",
        conflict_policy: ConflictPolicy = ConflictPolicy.LAST_WRITE_WINS,
        reference_feature_view: str | None = None,
        **view: Any,
    ) -> None:
        super().__init__(name=name, source=source, **view)
        if not isinstance(conflict_policy, ConflictPolicy):
            raise SchemaError(
                f"{self._where}: conflict_policy must be a ConflictPolicy, "
                f"not {type(conflict_policy).__name__}"
            )
        last = conflict_policy is ConflictPolicy.LAST_WRITE_WINS
        missing = (
            "" if last else "among labels of one entity this release knows the last one only; use "
            "ConflictPolicy.LAST_WRITE_WINS"
        )  # fmt: skip
        self._keep(
            missing,
            labeler_field=labeler_field,
            conflict_policy=conflict_policy,
            reference_feature_view=reference_feature_view,
        )


def _mode_text(mode: Any, where: str) -> str:
    return check.text(getattr(mode, "value", mode), where, "mode").lower()


def stream_feature_view(*, source: Any, mode: Any = "spark", **view: Any) -> Any:
    """Make a `StreamFeatureView` of the decorated function, called as it is."""

    def decorate(function: Callable[..., Any]) -> StreamFeatureView:
        return StreamFeatureView(
            name=function.__name__, source=source, mode=mode, udf=function, **view
        )

    return decorate


def batch_feature_view(
    *,
    name: str | None = None,
    mode: Any = TransformationMode.PYTHON,
    online: bool = True,
    offline: bool = True,
    **view: Any,
) -> Any:
    """Make a `BatchFeatureView` of the decorated function, called as it is unless named."""

    def decorate(function: Callable[..., Any]) -> BatchFeatureView:
        return BatchFeatureView(
            name=name or function.__name__,
            mode=mode,
            online=online,
            offline=offline,
            udf=function,
            **view,
        )

    return decorate


VIEWS: dict[str, type[ForeignView]] = {cls.__name__: cls for cls in ForeignView.__subclasses__()}
"""Every class here, by its name."""
