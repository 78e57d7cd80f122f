"""Between objects and the JSON that the engine takes and gives."""

import json
from collections.abc import Iterable
from typing import Any

from tiffin.errors import InvalidError, SchemaError
from tiffin.registry.data_source import DataSource
from tiffin.registry.definition import Definition, kind_words
from tiffin.registry.entity import Entity
from tiffin.registry.feature_service import FeatureService
from tiffin.registry.feature_view import FeatureView
from tiffin.registry.foreign_source import STREAMS
from tiffin.registry.kept import Permission, ValidationReference
from tiffin.registry.on_demand_feature_view import OnDemandFeatureView
from tiffin.registry.project import Project
from tiffin.registry.saved_dataset import SavedDataset

CLASSES: dict[str, type[Definition]] = {
    cls.kind: cls
    for cls in (
        Project,
        Entity,
        DataSource,
        FeatureView,
        OnDemandFeatureView,
        FeatureService,
        SavedDataset,
        ValidationReference,
        Permission,
    )
}
"""Class of every kind, in the order in which kinds depend on each other."""


def to_json(value: Any) -> str:
    """JSON text of a request."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def from_document(document: dict[str, Any]) -> Definition:
    """Return the object that a document of any kind describes."""
    kind = document.get("kind", "")
    if kind not in CLASSES:
        raise InvalidError(
            f"a definition of kind {kind!r} does not exist; there are {', '.join(CLASSES)}"
        )
    return CLASSES[kind].from_document(document)


def as_objects(objects: Any, what: str = "objects") -> list[Definition]:
    """One definition or several, as a list.

    Raises
    ------
    SchemaError
        Something in it is no definition.
    """
    if isinstance(objects, Definition):
        return [objects]
    if isinstance(objects, str | bytes | dict) or not isinstance(objects, Iterable):
        raise SchemaError(
            f"{what} must be a definition or a list of them, not {type(objects).__name__}"
        )
    found = list(objects)
    for i, item in enumerate(found):
        if not isinstance(item, Definition):
            raise SchemaError(
                f"{what}[{i}] is no definition (Entity, FileSource, PushSource, FeatureView, "
                f"OnDemandFeatureView, FeatureService, Project) but a {type(item).__name__}"
            )
    return found


def reach(objects: Iterable[Definition]) -> list[Definition]:
    """Return these objects and those that they bring along, each once, dependencies first.

    A view brings its source and the entities it was written with; an on-demand view the views and
    request sources that it reads; a push source its batch source.

    Raises
    ------
    InvalidError
        Two different objects have one name, or there are two projects.
    """
    found: dict[tuple[str, str], Definition] = {}

    def add(item: Definition) -> None:
        if isinstance(item, FeatureView):
            for entity in item.entity_objects:
                add(entity)
            if item.source is not None:
                add(item.source)
        elif isinstance(item, OnDemandFeatureView):
            for each in (
                *item.entity_objects,
                *item.source_request_sources.values(),
                *item.source_views,
            ):
                add(each)
        elif isinstance(item, STREAMS) and item.batch_source is not None:
            add(item.batch_source)
        key = (item.kind, item.name)
        other = found.setdefault(key, item)
        if other is not item and other.to_document() != item.to_document():
            words = kind_words(item.kind)
            raise InvalidError(f"two different definitions are given for {words} {item.name!r}")

    for each in objects:
        add(each)
    projects = [name for kind, name in found if kind == Project.kind]
    if len(projects) > 1:
        raise InvalidError(f"one project can be applied at a time, not {', '.join(projects)}")
    return sorted(found.values(), key=lambda item: list(CLASSES).index(item.kind))


def to_documents(objects: Iterable[Definition]) -> list[dict[str, Any]]:
    """Documents of `reach(objects)`; views learn the join keys of entities given by name."""
    everything = reach(objects)
    keys = {item.name: item.join_key for item in everything if isinstance(item, Entity)}
    for item in everything:
        if isinstance(item, FeatureView):
            item.resolve_entities(keys)
        elif isinstance(item, FeatureService):
            for view in item.feature_views:
                view.resolve_entities(keys)
    return [item.to_document() for item in everything]
