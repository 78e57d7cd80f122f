"""What a request to the Python process asks of the store, and errors as its protocol has them."""

import json
import math
import urllib.parse
from typing import TYPE_CHECKING, Any

from tiffin.errors import (
    InvalidError,
    LimitError,
    NoMemoryError,
    NotFoundError,
    PushSourceNotFoundException,
    RequestDataNotFoundInEntityRowsException,
    TiffinError,
    UnavailableError,
    UnsupportedError,
)
from tiffin.registry.data_source import PushMode
from tiffin.server.answers import write_feast, write_lean

if TYPE_CHECKING:
    from tiffin import FeatureStore

    Answer = tuple[int, str, int]

_LEAN = "/v1/features"
_PUSH_MODES = {
    "online": PushMode.ONLINE,
    "offline": PushMode.OFFLINE,
    "online_and_offline": PushMode.ONLINE_AND_OFFLINE,
}
_HTTP: dict[type[TiffinError], int] = {
    LimitError: 413,
    UnsupportedError: 501,
    NoMemoryError: 503,
    UnavailableError: 503,
}
_LEAN_HTTP = {
    "INVALID": 400,
    "NOT_FOUND": 404,
    "SCHEMA": 400,
    "LIMIT": 413,
    "NO_MEMORY": 503,
    "CONFLICT": 409,
    "CANCELLED": 499,
    "UNSUPPORTED": 501,
    "UNAVAILABLE": 503,
}


def run(store: "FeatureStore", head: dict[str, Any], body: bytes) -> "Answer":
    """Answer a request whose form the server has checked.

    Parameters
    ----------
    store : FeatureStore
    head : dict
        ``route``, ``method``, ``rest`` (what follows the path of the route), ``query``.
    body : bytes

    Returns
    -------
    status, body, number of rows

    Raises
    ------
    TiffinError
    """
    route = str(head["route"])
    if route == "/get-online-features":
        return _look_up(store, _parse(body))
    if route == "/push":
        return _push(store, _parse(body))
    if route.startswith(_LEAN):
        is_get = head.get("method") == "GET"
        return _look_up_lean(store, _read_query(head) if is_get else _parse(body))
    raise UnsupportedError(f"the Python process has no route {route!r}")


def refuse(route: str, error: BaseException) -> "Answer":
    """Return the reply to an error, in the form of the route's protocol; one sentence."""
    text = str(error) if isinstance(error, TiffinError) else f"{type(error).__name__}: {error}"
    sentence = " ".join(text.split()).rstrip(":")
    code = error.code if isinstance(error, TiffinError) else "INVALID"
    lacks_data = isinstance(error, RequestDataNotFoundInEntityRowsException)
    if route.startswith(_LEAN) and lacks_data:
        code = "INVALID"  # of this request: what it asks for is there
    if route.startswith(_LEAN):
        status = _LEAN_HTTP.get(code, 500) if isinstance(error, TiffinError) else 500
        return status, _dump({"error": {"code": code, "message": sentence}}), 0
    if isinstance(error, PushSourceNotFoundException):
        return 422, _feast_error("PushSourceNotFoundException", sentence), 0
    if isinstance(error, NotFoundError):
        name = type(error).__name__ if lacks_data else "FeatureViewNotFoundException"
        return 404, _feast_error(name, sentence), 0
    status = next((n for kind, n in _HTTP.items() if isinstance(error, kind)), 500)
    return status, _dump(sentence), 0


def _feast_error(name: str, message: str) -> str:
    detail = {"module": "feast.errors", "class": name, "message": message}
    return _dump(json.dumps(detail, ensure_ascii=False))


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _parse(body: bytes) -> dict[str, Any]:
    """Parse an object; of members with one name the first counts, as in the server."""
    parsed: dict[str, Any] = json.loads(body, object_pairs_hook=_first_of_each)
    return parsed


def _first_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    first: dict[str, Any] = {}
    for name, value in pairs:
        first.setdefault(name, value)
    return first


def _is_true(value: Any) -> bool:
    """Whether a bool is true that may be written as a number or a word."""
    if isinstance(value, str):
        return value.lower() in ("1", "on", "t", "true", "y", "yes")
    return bool(value)


# ---- lookups


def _look_up(store: "FeatureStore", request: dict[str, Any]) -> "Answer":
    features: Any = request.get("feature_service") or request.get("features") or []
    entities = request["entities"]
    response = store.get_online_features(
        features, entities, _is_true(request.get("full_feature_names"))
    )
    views = None
    if _is_true(request.get("include_feature_view_version_metadata")):
        views = _views_of(store, features)
    body, n_rows = write_feast(response, list(entities), views)
    return 200, body, n_rows


def _views_of(store: "FeatureStore", features: Any) -> list[str]:
    if isinstance(features, str):
        service = store.get_feature_service(features)
        return [projection.name for projection in service.feature_view_projections]
    return [feature.partition(":")[0] for feature in features]


def _look_up_lean(store: "FeatureStore", request: dict[str, Any]) -> "Answer":
    features: Any = request.get("service") or request.get("features") or []
    parts = request.get("with", ["statuses"])
    seconds = request.get("max_age_seconds")
    response = store.get_online_features(
        features,
        request.get("entities") or [{}],
        bool(request.get("full_feature_names")),
        max_age=None if seconds is None else math.ceil(seconds * 1e6) / 1e6,
    )
    body, n_rows = write_lean(response, "statuses" in parts, "event_times" in parts)
    return 200, body, n_rows


def _read_query(head: dict[str, Any]) -> dict[str, Any]:
    """Return a lean GET as the POST that asks for the same."""
    request: dict[str, Any] = {"service": head["rest"], "entities": {}}
    for name, value in urllib.parse.parse_qsl(head["query"], keep_blank_values=True):
        if name == "full_feature_names":
            request[name] = value == "true"
        elif name == "max_age_seconds":
            request[name] = float(value)
        elif name == "with":
            request[name] = value.split(",")
        else:
            request["entities"].setdefault(name, []).append(value)
    return request


# ---- pushes


def _push(store: "FeatureStore", request: dict[str, Any]) -> "Answer":
    from tiffin.server.json_frame import read_columns

    name, to = request["push_source_name"], request.get("to", "online")
    if to not in _PUSH_MODES:
        raise InvalidError(f"{to} is no way to push; there are {', '.join(_PUSH_MODES)}")
    frame = read_columns(request["df"], _declared(store, name))
    report = store.push(name, frame, to=_PUSH_MODES[to])
    return 200, "", report["rows_read"]


def _declared(store: "FeatureStore", push_source: str) -> dict[str, str]:
    """Return the declared type of each column that the views on a push source read."""
    views = (view.to_document() for view in store.list_feature_views())
    declared = {
        field["name"]: field["dtype"]
        for view in views
        if view["source"] == push_source
        for field in view["schema"]
    }
    try:
        source = store.get_data_source(push_source)
    except NotFoundError as error:
        raise PushSourceNotFoundException(*error.args) from None
    files = getattr(source, "batch_source", source)
    for column, feature in files.to_document().get("field_mapping", {}).items():
        if feature in declared:
            declared.setdefault(column, declared[feature])
    return declared
