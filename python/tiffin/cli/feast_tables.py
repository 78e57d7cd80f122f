"""The tables that Feast's lists print: its columns, in its order, with its words."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tiffin.types import from_text

if TYPE_CHECKING:
    from tiffin.store.feature_store import FeatureStore

Document = dict[str, Any]
_NO_STATE = "STATE_UNSPECIFIED"


def _entity(document: Document) -> list[Any]:
    value_type = from_text(document["value_type"]).to_value_type()
    return [document["name"], document["description"], f"ValueType.{value_type.name}"]


def _data_source(document: Document) -> list[Any]:
    names = {"file": "FileSource", "push": "PushSource", "request": "RequestSource"}
    return [document["name"], names.get(document["type"], document["type"])]


def _feature_service(document: Document) -> list[Any]:
    names = [f"{p['view']}:{name}" for p in document["features"] for name in p["features"]]
    return [document["name"], ", ".join(names)]


def _label_view(document: Document) -> list[Any]:
    policy = document["foreign"]["content"].get("conflict_policy", "")
    return [document["name"], ", ".join(document["entities"]) or "n/a", policy]


def _permission(document: Document) -> list[Any]:
    return [
        document["name"],
        document["types"],
        document["name_patterns"],
        document["actions"],
        sorted(document["policy"].get("roles") or []),
        [f"{key} : {value}" for key, value in document["required_tags"].items()],
    ]


def _project(document: Document) -> list[Any]:
    return [document["name"], document["description"], document["tags"], document["owner"]]


def _name(document: Document) -> list[Any]:
    return [document["name"]]


_TABLES: dict[str, tuple[str, Callable[[Document], list[Any]]]] = {
    "data-sources": ("NAME CLASS", _data_source),
    "entities": ("NAME DESCRIPTION TYPE", _entity),
    "feature-services": ("NAME FEATURES", _feature_service),
    "label-views": ("NAME ENTITIES CONFLICT_POLICY", _label_view),
    "permissions": ("NAME TYPES NAME_PATTERNS ACTIONS ROLES REQUIRED_TAGS", _permission),
    "projects": ("NAME DESCRIPTION TAGS OWNER", _project),
}


def table_of(plural: str, documents: list[Document]) -> tuple[list[str], list[list[Any]]]:
    """Return headings and rows of a list.

    Parameters
    ----------
    plural : str
        Name of the group, e.g. ``"entities"``; not ``"feature-views"``.
    documents : list of dict
        What is listed.
    """
    headings, row_of = _TABLES.get(plural, ("NAME", _name))
    return headings.split(), [row_of(document) for document in documents]


# ---- feature views: on-demand ones too, and not stream and label views, which have their own lists


def _set_text(names: list[str]) -> str:
    return "{" + ", ".join(map(repr, sorted(set(names)))) + "}" if names else "n/a"


def states_of(store: "FeatureStore") -> dict[str, str]:
    """Return Feast's word for the state of each feature view: whether it was materialized."""
    return {
        view["view"]: "AVAILABLE_ONLINE"
        if view["generation"] or view["materialized"]
        else _NO_STATE
        for view in store.status()
    }


def feature_views_table(
    store: "FeatureStore", tags: dict[str, str] | None, as_of: int | None
) -> tuple[list[str], list[list[Any]]]:
    """Return headings and rows of the list of feature views; `tags` and `as_of` as for lists.

    States are those of now, also where a past state is listed.
    """
    states = states_of(store)
    rows = []
    for document in store.list_documents("feature_view", tags, as_of):
        foreign = document.get("foreign") or {"class": "FeatureView", "content": {}}
        if foreign["class"] not in ("StreamFeatureView", "LabelView"):
            enabled = "No" if foreign["content"].get("disabled") else "Yes"
            name, entities = document["name"], _set_text(document["entities"])
            rows.append([name, entities, foreign["class"], enabled, states.get(name, _NO_STATE)])
    views = store.list_documents("feature_view", as_of=as_of)
    entities_of = {document["name"]: document["entities"] for document in views}
    for document in store.list_documents("on_demand_feature_view", tags, as_of):
        names = [name for p in document["sources"] for name in entities_of.get(p["view"], [])]
        rows.append([document["name"], _set_text(names), "OnDemandFeatureView", "Yes", _NO_STATE])
    return ["NAME", "ENTITIES", "TYPE", "ENABLED", "STATE"], rows
