"""The verbs of a `FeatureStore` that read rows of one view, without entity rows."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tiffin.errors import InvalidError, NotFoundError, SchemaError
from tiffin.offline.source_rows import SourceRows
from tiffin.progress import watched
from tiffin.registry.feature_view import FeatureView
from tiffin.registry.on_demand_feature_view import OnDemandFeatureView
from tiffin.registry.projection import FeatureViewProjection
from tiffin.store.registry import RegistryVerbs
from tiffin.store.request import to_request
from tiffin.store.sizes import to_bytes
from tiffin.store.times import to_us_or_none

Progress = Callable[[str, int, int], None]


class HistoryVerbs(RegistryVerbs):
    """What a `FeatureStore` reads of a view's source on its own."""

    def latest(
        self,
        view: str | FeatureView | FeatureViewProjection,
        as_of: Any = None,
        keys: Any = None,
        features: Sequence[str] | None = None,
        *,
        known_at: Any = None,
        progress: Progress | bool | None = None,
    ) -> SourceRows:
        """Return the newest row of every key, as it was at an instant.

        What `materialize` would load up to then: rows of any age, whatever the view's ttl.

        Parameters
        ----------
        view : str, FeatureView or FeatureViewProjection
            A name, or a view that may be projected, renamed or mapped (``with_join_key_map``).
        as_of : datetime, date or str, optional
            Only rows with an event time at or before it; default: all rows.
        keys : table in any form of `get_historical_features`, or list of values, optional
            Only these keys; default: all. A list of values where the view has one join key.
        features : list of str, optional
            Names of the view's features, in the order wanted; default: all.
        known_at : datetime, date or str, optional
            Only rows that had been written by this instant.
        progress : callable or bool, optional
            As `get_historical_features`.

        Returns
        -------
        SourceRows
            One row per key, ascending by key.
        """
        with watched(progress) as tell:
            stream, report = self._engine.latest(
                self._request_of_view(view, features),
                keys=self._read_keys(view, keys),
                end_us=to_us_or_none(as_of, "as_of"),
                known_at_us=to_us_or_none(known_at, "known_at"),
                progress=tell,
            )
        return SourceRows(stream, report)

    def history(
        self,
        view: str | FeatureView | FeatureViewProjection,
        start: Any,
        end: Any,
        keys: Any = None,
        features: Sequence[str] | None = None,
        *,
        known_at: Any = None,
        memory_limit: int | str | None = None,
        progress: Progress | bool | None = None,
    ) -> SourceRows:
        """Return all rows of a window of event times.

        Parameters
        ----------
        start, end : datetime, date, str or None
            Both included. None: from the first row, to the last.
        view, keys, features, known_at, progress
            As `latest`.
        memory_limit : int or str, optional
            Memory that the rows and the answer may take; more is a `LimitError`. Default: the
            store's limit ("memory_limit" of "offline_store", else a quarter of what the process may
            use).

        Returns
        -------
        SourceRows
            Every source row with a key and a time, ascending by key, event time, created time and
            place in the source.
        """
        with watched(progress) as tell:
            stream, report = self._engine.history(
                self._request_of_view(view, features),
                keys=self._read_keys(view, keys),
                start_us=to_us_or_none(start, "start"),
                end_us=to_us_or_none(end, "end"),
                known_at_us=to_us_or_none(known_at, "known_at"),
                max_bytes=to_bytes(memory_limit, "memory_limit"),
                progress=tell,
            )
        return SourceRows(stream, report)

    def _request_of_view(self, view: Any, features: Any) -> str:
        name = _projection_of(view).name
        try:
            self._engine.get(OnDemandFeatureView.kind, name)
        except NotFoundError:
            return _request_of(view, features)
        raise InvalidError(
            f"{name!r} is an on-demand feature view: it is computed for given rows and has none of "
            "its own; ask for a view that it reads, or use get_historical_features"
        )

    def _read_keys(self, view: Any, keys: Any) -> Any:
        """Return the keys as a stream with their columns; None for all keys."""
        from tiffin.offline.frames import read_frame

        if keys is None:
            return None
        if _is_values(keys):
            keys = {self._only_key(view): list(keys)}
        return read_frame(keys, "keys", self.config.repo_path).stream

    def _only_key(self, view: Any) -> str:
        """Name of the one join key, as the projection maps it."""
        projection = _projection_of(view)
        document = json.loads(self._engine.get("feature_view", projection.name))
        names: list[str] = document["join_keys"]
        if len(names) != 1:
            raise InvalidError(
                f"keys of {projection.name!r} have {len(names)} columns ({', '.join(names)}); pass "
                "a table or a list of dicts with them"
            )
        return projection.join_key_map.get(names[0], names[0])


def _is_values(keys: Any) -> bool:
    """Whether it is a list of plain values, or an array of them, and no table."""
    if isinstance(keys, list | tuple | set | frozenset):
        return not any(isinstance(key, Mapping) for key in keys)
    is_table = hasattr(keys, "column_names") or hasattr(keys, "columns")
    is_text = isinstance(keys, str | bytes | Mapping) or hasattr(keys, "__fspath__")
    return not is_table and not is_text and hasattr(keys, "__len__") and hasattr(keys, "__iter__")


def _projection_of(view: Any) -> FeatureViewProjection:
    if isinstance(view, str):
        return FeatureViewProjection(view)
    if isinstance(view, FeatureView):
        return view.request_projection()
    if isinstance(view, FeatureViewProjection):
        return view
    if isinstance(view, OnDemandFeatureView):  # refused by name, with the reason
        return FeatureViewProjection(view.name)
    raise SchemaError(f"view must be a name or a FeatureView, not {type(view).__name__}")


def _request_of(view: Any, features: Any) -> str:
    p = _projection_of(view)
    if features is not None:
        if isinstance(features, str) or not all(isinstance(name, str) for name in features):
            raise SchemaError("features must be a list of names of the view's features")
        if not features:
            raise InvalidError("features is empty; leave it out for all of the view's")
        p = FeatureViewProjection(p.name, p.name_alias, list(features), p.join_key_map)
    return to_request([p], full_feature_names=False)
