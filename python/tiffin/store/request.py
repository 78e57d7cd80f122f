"""What a caller asks for - references, views, a service - as the engine's JSON."""

from typing import Any

from tiffin.errors import InvalidError, SchemaError
from tiffin.registry.document import to_json
from tiffin.registry.feature_service import FeatureService
from tiffin.registry.projection import FeatureViewProjection, ProjectedView


def to_request(features: Any, full_feature_names: bool) -> str:
    """JSON of a request for features.

    Parameters
    ----------
    features : list of str or FeatureView, FeatureService, or str
        References ``"view:feature"``; views, also projected, renamed or mapped ones; a service; or
        the name of an applied service.
    full_feature_names : bool
        Call results ``view__feature`` instead of ``feature``.

    Raises
    ------
    SchemaError
        Nothing of these.
    InvalidError
        An empty list; one text that is a reference instead of a list with it.
    """
    if not isinstance(full_feature_names, bool):
        raise SchemaError(f"full_feature_names must be True or False, not {full_feature_names!r}")
    return to_json({**_what(features), "full_feature_names": full_feature_names})


def _what(features: Any) -> dict[str, Any]:
    if isinstance(features, FeatureService):
        return {"projections": [_projection(p) for p in features.feature_view_projections]}
    if isinstance(features, str):
        if ":" in features:
            raise InvalidError(f"features must be a list; write [{features!r}]")
        return {"service": features}
    if isinstance(features, ProjectedView | FeatureViewProjection):
        features = [features]
    if not isinstance(features, list | tuple):
        raise SchemaError(
            "features must be a list of 'view:feature', a FeatureService or the name of one, "
            f"not {type(features).__name__}"
        )
    if not features:
        raise InvalidError("features is empty; give e.g. ['view:feature'] or a FeatureService")
    for i, item in enumerate(features):
        if not isinstance(item, str | ProjectedView | FeatureViewProjection):
            raise SchemaError(
                f"features[{i}] must be 'view:feature' or a FeatureView, not {type(item).__name__}"
            )
    if all(isinstance(item, str) for item in features):
        return {"features": list(features)}
    return {"projections": [_projection(item) for item in features]}


def _projection(item: Any) -> dict[str, Any]:
    if isinstance(item, ProjectedView):
        item = item.request_projection()
    if isinstance(item, FeatureViewProjection):
        document = item.to_document()
        if not document["features"]:
            del document["features"]  # all of the view's
        return document
    view, _, feature = item.partition(":")
    if not view or not feature:
        raise InvalidError(f"{item!r} is no feature reference; write 'view:feature'")
    return FeatureViewProjection(view, "", [feature]).to_document()
