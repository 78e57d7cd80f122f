"""The serving verbs of a `FeatureStore`: the newest values of some entities."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tiffin.errors import ConflictError, InvalidError, UnsupportedError
from tiffin.online.prepared import PreparedLookup, is_quick
from tiffin.online.response import OnlineResponse
from tiffin.registry.feature_service import FeatureService
from tiffin.store.request import to_request
from tiffin.store.times import to_age_us, to_us
from tiffin.store.training import TrainingVerbs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tiffin._native import Answer, Lookup
    from tiffin.compute.lookup import ComputedAnswer, ComputedLookup
    from tiffin.registry.feature_view import FeatureView

    Features = list[str] | list[FeatureView] | FeatureService | str
    EntityRows = Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Any]]

_MAX_LOOKUPS = 1024
_SERVICE = object()


class ServingVerbs(TrainingVerbs):
    """What a `FeatureStore` reads from the online store."""

    _lookups: "dict[Any, Lookup | ComputedLookup]"

    def get_online_features(
        self,
        features: "Features",
        entity_rows: "EntityRows",
        full_feature_names: bool = False,
        *,
        at: Any = None,
        max_age: Any = None,
    ) -> OnlineResponse:
        """Return the newest values of some entities.

        Parameters
        ----------
        features : list of str, list of FeatureView, FeatureService or str
            As `get_historical_features`.
        entity_rows : list of dict, or dict of lists
            Join keys: ``[{"driver_id": 1}, ...]`` or ``{"driver_id": [1, ...]}``. Order and
            duplicates are kept; a null or unknown key is NOT_FOUND. Request data of on-demand views
            stand beside the keys.
        full_feature_names : bool
            Call results ``view__feature`` instead of ``feature``.
        at : datetime, date or str, optional
            "Now" for the checks of age; default: the clock.
        max_age : timedelta, or int or float of seconds, optional
            Rows with an older event time are null and OUTSIDE_MAX_AGE, whatever ``online_ttl``
            says; with ``online_ttl: enforce`` a row must satisfy both.

        Returns
        -------
        OnlineResponse

        Raises
        ------
        InvalidError
            A join key that is missing or of another type; a `max_age` that is not positive.
        NotFoundError
            No such view, feature or service.
        """
        lookup = self._find_lookup(features, full_feature_names)
        at_us = None if at is None else to_us(at, "at")
        max_age_us = None if max_age is None else to_age_us(max_age, "max_age")
        if lookup is None:
            lookup = self._prepare(features, full_feature_names)
        try:
            answer = lookup.run(entity_rows, at_us, max_age_us)
        except (ConflictError, InvalidError, UnsupportedError) as error:  # maybe an apply did it
            if isinstance(error, InvalidError) and _has_keys(entity_rows, lookup.key_names):
                raise
            fresh = self._prepare(features, full_feature_names, again=True)
            if isinstance(error, InvalidError) and fresh.key_names == lookup.key_names:
                raise
            answer = fresh.run(entity_rows, at_us, max_age_us)
        return self._respond(answer)

    async def get_online_features_async(
        self,
        features: "Features",
        entity_rows: "EntityRows",
        full_feature_names: bool = False,
        *,
        at: Any = None,
        max_age: Any = None,
    ) -> OnlineResponse:
        """`get_online_features` for asyncio: does not hold up the loop.

        Up to 1,000 rows (entity rows times views) from LMDB are read at once, in the loop: that
        takes microseconds and waits for no lock, server or writer, where a thread would cost more
        than the read. What may
        take longer runs in a thread: Redis, more rows, on-demand views, and the first call of a
        request, which reads the registry. Parameters and errors as `get_online_features`.
        """
        lookup = self._find_lookup(features, full_feature_names)
        if lookup is not None and is_quick(lookup, entity_rows, self.config):
            return self.get_online_features(
                features, entity_rows, full_feature_names, at=at, max_age=max_age
            )
        return await asyncio.to_thread(
            self.get_online_features,
            features,
            entity_rows,
            full_feature_names,
            at=at,
            max_age=max_age,
        )

    def prepare(self, features: "Features", full_feature_names: bool = False) -> PreparedLookup:
        """Resolve a request once, to look it up many times.

        Names, types, order and join keys are resolved here; `PreparedLookup.get` only reads. A
        later apply is picked up by itself.

        Parameters
        ----------
        features, full_feature_names
            As `get_online_features`.

        Returns
        -------
        PreparedLookup
            May be shared between threads, and used after a fork.

        Raises
        ------
        NotFoundError
            No such view, feature or service.
        """
        request = self._request_of_lookup(features, full_feature_names)[0]
        lookup = self._prepare_resolved(request, keep_keys=True)
        return PreparedLookup(lookup, self._respond, self.config)

    def _respond(self, answer: "Answer | ComputedAnswer") -> OnlineResponse:
        if answer.warnings:
            for sentence in answer.warnings:
                self._warn_once(sentence)
        return OnlineResponse(answer)

    def _find_lookup(
        self, features: Any, full_feature_names: bool
    ) -> "Lookup | ComputedLookup | None":
        """Return the lookup of a request that was made before, if it is of a usual form."""
        try:
            if type(features) is list:
                return self._lookups[(full_feature_names, *features)]
            return self._lookups[(full_feature_names, _SERVICE, features.name)]
        except (KeyError, AttributeError, TypeError):
            return None

    def _request_of_lookup(self, features: Any, full_feature_names: bool) -> tuple[str, Any]:
        """Return a request as JSON, and what it is kept under."""
        self._remember_functions(features)
        if isinstance(features, FeatureService) and self._is_applied(features):
            key: Any = (full_feature_names, _SERVICE, features.name)
            return to_request(features.name, full_feature_names), key
        request = to_request(features, full_feature_names)
        if isinstance(features, list) and all(type(f) is str for f in features):
            return request, (full_feature_names, *features)
        return request, request

    def _prepare(
        self, features: Any, full_feature_names: bool, again: bool = False
    ) -> "Lookup | ComputedLookup":
        """Return a lookup that is not at hand yet; it follows later applies by itself."""
        request, key = self._request_of_lookup(features, full_feature_names)
        lookup = None if again else self._lookups.get(key)
        if lookup is None:
            lookup = self._prepare_resolved(request)
            if len(self._lookups) >= _MAX_LOOKUPS:
                self._lookups.clear()
            self._lookups[key] = lookup
        return lookup


def _has_keys(entity_rows: Any, names: tuple[str, ...]) -> bool:
    """Whether all join keys were given, so that it is their values that are wrong."""
    rows = entity_rows if isinstance(entity_rows, Mapping) else next(iter(entity_rows), {})
    return all(name in rows for name in names)
