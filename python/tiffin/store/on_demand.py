"""What a `FeatureStore` does for on-demand views: resolving requests, keeping functions."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tiffin.compute.functions import Functions
from tiffin.compute.resolution import Resolution
from tiffin.registry.feature_service import FeatureService
from tiffin.registry.on_demand_feature_view import OnDemandFeatureView
from tiffin.store.registry import RegistryVerbs

if TYPE_CHECKING:
    from tiffin._native import Lookup
    from tiffin.compute.lookup import ComputedLookup


class OnDemandVerbs(RegistryVerbs):
    """Requests with on-demand views, for training sets and lookups."""

    _functions: Functions

    def _resolve(self, request: str) -> Resolution:
        """Resolution of a request by the newest definitions; false when it needs none."""
        with self._naming_views(_views_of(request)):
            resolved = self._engine.resolve(request)
        return Resolution(request, resolved, self._functions)

    def _prepare_resolved(self, request: str, keep_keys: bool = False) -> "Lookup | ComputedLookup":
        """Return the engine's lookup of a request, or one that computes as well.

        `keep_keys`: an apply that changes the join keys makes runs fail; the engine's own lookups
        do so in any case.
        """
        if not self._resolve(request):
            return self._engine.prepare(request)
        from tiffin.compute.lookup import ComputedLookup

        return ComputedLookup(
            lambda: self._resolve(request),
            lambda resolved: self._engine.prepare(request if resolved is None else resolved),
            keep_keys,
        )

    def _remember_functions(self, features: Any) -> None:
        """Keep the functions of on-demand views that a caller passes: this process has them."""
        if isinstance(features, FeatureService):
            features = features.on_demand_feature_views
        for view in features if isinstance(features, list | tuple) else [features]:
            if isinstance(view, OnDemandFeatureView):
                self._functions.add(view.function)
                self._remember_functions(view.source_views)


def _views_of(request: str) -> Iterator[str]:
    """Yield the views that a request refers to by name; nothing is read until it is asked for."""
    features: list[Any] = json.loads(request).get("features") or []
    yield from (f.partition(":")[0] for f in features if isinstance(f, str))
