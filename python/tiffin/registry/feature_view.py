"""``FeatureView``: features of some entities, read from one source."""

import copy
import datetime
from collections.abc import Mapping
from typing import Any, Self

from tiffin.errors import InvalidError, NotFoundError, SchemaError
from tiffin.registry import check
from tiffin.registry.data_source import DataSource
from tiffin.registry.entity import Entity
from tiffin.registry.field import Field
from tiffin.registry.foreign_source import STREAMS
from tiffin.registry.projection import FeatureViewProjection, ProjectedView

_DISABLED = "it is disabled (enabled=False)"
_PINNED = (
    "views have no versions here; leave `version` out, and read past states with as_of (every "
    "apply is a commit)"
)
_SINKS = "this release computes no view from another; write its rows to files, and read these"
_MICROSECOND = datetime.timedelta(microseconds=1)


class FeatureView(ProjectedView):
    """Features of some entities, read from one source.

    Parameters
    ----------
    name : str
        Without ``:`` and ``@``.
    source : DataSource
        A `FileSource`, or a `PushSource` that stands before one.
    schema : list of Field, optional
        Features, and join keys if one likes. Left out, it is inferred from the source at apply.
    entities : list of Entity, optional
        Several make a composite key; none makes a view of one row. Names of applied entities too.
    ttl : timedelta, optional
        How old a value may be at the entity's time, inclusive; None or 0 = any age.
    online, offline : bool, optional
        Whether `materialize` loads it.
    description, owner : str, optional
    tags : dict of str to str, optional
    features : list of Field, optional
        Older spelling of `schema`.
    batch_source : DataSource, optional
        Older spelling of `source`.
    enabled : bool, optional
        False: the view is kept and shown, and not run.
    org, mode, enable_validation
        Feast's; kept.
    sink_source, version
        Feast's; a view that has one, or another version than ``"latest"``, is kept and not run.

    Attributes
    ----------
    entities : list of str
        Names, in order.
    join_keys : list of str
        Columns, in the order of the entities.
    features, entity_columns : list of Field
        Two parts of the schema.
    projection : FeatureViewProjection
        What a request for this view asks for.
    foreign : dict or None
        What Feast knows of it and Tiffin only keeps.
    """

    kind = "feature_view"
    source: DataSource | None
    source_name: str
    entities: list[str]
    inferred: list[str]
    projection: FeatureViewProjection
    foreign: dict[str, Any] | None = None

    def __init__(
        self,
        *,
        name: str,
        source: Any = None,
        sink_source: Any = None,
        schema: list[Field] | None = None,
        entities: list[Entity] | list[str] | None = None,
        ttl: datetime.timedelta | None = datetime.timedelta(0),
        online: bool = True,
        offline: bool = False,
        description: str = "",
        tags: dict[str, str] | None = None,
        owner: str = "",
        org: str = "",
        mode: Any = None,
        enable_validation: bool = False,
        version: str = "latest",
        enabled: bool = True,
        features: list[Field] | None = None,
        batch_source: Any = None,
    ) -> None:
        self.name = check.text(name, "FeatureView", "name", required=True)
        where = f"FeatureView {name!r}"
        self._set_source(check.one_of(where, source=source, batch_source=batch_source), where)
        self._set_entities(entities, where)
        fields = check.one_of(where, schema=schema or None, features=features or None)
        self._fields = check.items(fields, Field, where, "schema")
        seen: set[str] = set()
        for field in self._fields:
            if field.name in seen:
                raise InvalidError(f"{where}: the schema has two fields named {field.name!r}")
            seen.add(field.name)
        self.ttl = ttl
        self.online = check.flag(online, where, "online")
        self.offline = check.flag(offline, where, "offline")
        self.description = check.text(description, where, "description")
        self.tags = check.texts(tags, where, "tags")
        self.owner = check.text(owner, where, "owner")
        pinned = check.text(version, where, "version")
        pinned = "" if pinned.lower() == "latest" else pinned
        if sink_source is not None and not isinstance(sink_source, DataSource):
            raise SchemaError(
                f"{where}: sink_source must be a data source, not {type(sink_source).__name__}"
            )
        missing = _PINNED if pinned else _SINKS if sink_source is not None else ""
        self._keep_feasts(
            missing if check.flag(enabled, where, "enabled") else _DISABLED,
            version=pinned,
            sink_source="" if sink_source is None else sink_source.name,
            org=check.text(org, where, "org"),
            mode=str(getattr(mode, "value", mode) or "").lower(),
            enable_validation=check.flag(enable_validation, where, "enable_validation"),
            disabled=not enabled,
        )
        self.inferred = []
        self.projection = FeatureViewProjection(self.name)

    def _keep_feasts(self, missing: str, **content: Any) -> None:
        """Keep what only Feast has, beside what is kept already; nothing is kept of nothing."""
        before = self.foreign or {"content": {}, "missing": ""}
        kept = {**before["content"], **{key: value for key, value in content.items() if value}}
        missing = before["missing"] or missing
        if kept or type(self) is not FeatureView:
            self.foreign = {"class": type(self).__name__, "content": kept, "missing": missing}

    def _kept(self, key: str, default: Any) -> Any:
        return (self.foreign or {}).get("content", {}).get(key, default)

    @property
    def org(self) -> str:
        """Feast's organisational unit; kept."""
        return str(self._kept("org", ""))

    @property
    def mode(self) -> str:
        """Feast's, of a transformation; kept."""
        return str(self._kept("mode", ""))

    @property
    def enable_validation(self) -> bool:
        """Feast's; kept. Types are checked in any case."""
        return bool(self._kept("enable_validation", False))

    @property
    def version(self) -> str:
        """Feast's version that it is pinned to; "latest": none."""
        return str(self._kept("version", "latest"))

    @property
    def enabled(self) -> bool:
        """Whether it may be run; one that may not is kept and shown."""
        return not self._kept("disabled", False)

    @enabled.setter
    def enabled(self, value: bool) -> None:
        if check.flag(value, f"FeatureView {self.name!r}", "enabled"):
            self._forget_disabled()
        else:
            self._keep_feasts(_DISABLED, disabled=True)

    def _forget_disabled(self) -> None:
        if self.foreign is None:
            return
        kept = {k: v for k, v in self.foreign["content"].items() if k != "disabled"}
        missing = "" if self.foreign["missing"] == _DISABLED else self.foreign["missing"]
        is_plain = not kept and self.foreign["class"] == FeatureView.__name__
        self.foreign = None if is_plain else {**self.foreign, "content": kept, "missing": missing}

    def _set_source(self, source: Any, where: str) -> None:
        if isinstance(source, DataSource):
            self.source, self.source_name = source, source.name
        elif isinstance(source, str):
            self.source, self.source_name = None, source
        elif source is None:
            raise InvalidError(f"{where}: source is missing; give a FileSource or a PushSource")
        else:
            raise SchemaError(
                f"{where}: source must be a FileSource or a PushSource, not {type(source).__name__}"
            )

    def _set_entities(self, entities: Any, where: str) -> None:
        given: list[Entity | str] = check.items(entities, (Entity, str), where, "entities")
        self.entity_objects = [e for e in given if isinstance(e, Entity)]
        self.entities = [e if isinstance(e, str) else e.name for e in given]
        self._keys: list[str | None] = [None if isinstance(e, str) else e.join_key for e in given]
        for i, entity in enumerate(self.entities):
            if entity in self.entities[:i]:
                raise InvalidError(f"{where}: entity {entity!r} is given twice")
            key = self._keys[i]
            if key is not None and key in self._keys[:i]:
                other = self.entities[self._keys.index(key)]
                raise InvalidError(
                    f"{where}: entities {other!r} and {entity!r} have the same join key {key!r}"
                )

    def resolve_entities(self, join_keys: Mapping[str, str]) -> None:
        """Learn join keys of entities that were given by name.

        Parameters
        ----------
        join_keys : mapping of str to str
            Name of an entity -> its join key.
        """
        self._keys = [
            key if key is not None else join_keys.get(name)
            for name, key in zip(self.entities, self._keys, strict=True)
        ]

    @property
    def ttl(self) -> datetime.timedelta | None:
        """How old a value may be; None or zero = any age."""
        return self._ttl

    @ttl.setter
    def ttl(self, value: Any) -> None:
        if isinstance(value, int) and not isinstance(value, bool) and value == 0:
            value = datetime.timedelta(0)
        if value is not None and not isinstance(value, datetime.timedelta):
            raise SchemaError(
                f"FeatureView {self.name!r}: ttl must be a timedelta or None, "
                f"not {type(value).__name__} {value!r}; write e.g. timedelta(days=7)"
            )
        self._ttl: datetime.timedelta | None = value

    @property
    def join_keys(self) -> list[str]:
        """Join-key columns; an entity given by name counts as named like its key."""
        return [key or name for name, key in zip(self.entities, self._keys, strict=True)]

    @property
    def schema(self) -> list[Field]:
        """All fields: entity columns first, then features. Empty before it is inferred."""
        return self.entity_columns + self.features

    @property
    def entity_columns(self) -> list[Field]:
        """Fields named like a join key."""
        keys = set(self.join_keys)
        return [f for f in self._fields if f.name in keys]

    @property
    def features(self) -> list[Field]:
        """Fields that are no join key, in the order of the schema."""
        keys = set(self.join_keys)
        return [f for f in self._fields if f.name not in keys]

    @property
    def batch_source(self) -> DataSource | None:
        """The source that history is read from."""
        behind = self.source.batch_source if isinstance(self.source, STREAMS) else None
        return behind or (None if self.stream_source else self.source)

    @property
    def stream_source(self) -> DataSource | None:
        """The push source or stream, if there is one."""
        source = self.source
        return source if isinstance(source, STREAMS) and source.batch_source_name else None

    def with_join_key_map(self, join_key_map: dict[str, str]) -> Self:
        """Return a copy whose join keys come from other columns of the entity rows.

        Parameters
        ----------
        join_key_map : dict of str to str
            Join key of the view -> column of the entity rows.
        """
        where = self._where
        mapping = check.texts(join_key_map, where, "join_key_map")
        for key in mapping:
            if None not in self._keys and key not in self.join_keys:
                has = f"its join keys are {', '.join(self.join_keys)}" if self.entities else "none"
                raise NotFoundError(f"{where}: join_key_map names {key!r}, but {has}")
        return self._projected(join_key_map=mapping)

    def request_projection(self) -> FeatureViewProjection:
        """Return the projection with its features written out where they are known."""
        if None in self._keys:  # which fields are features is not known yet
            return copy.copy(self.projection)
        return super().request_projection()

    def to_document(self) -> dict[str, Any]:
        """Return the neutral form of this object. Projections are no part of it."""
        document: dict[str, Any] = {
            "kind": self.kind,
            "name": self.name,
            "entities": list(self.entities),
            "source": self.source.name if self.source else self.source_name,
            "schema": [f.to_document() for f in self._fields],
            "ttl_us": (self.ttl or datetime.timedelta(0)) // _MICROSECOND,
            "online": self.online,
            "offline": self.offline,
            "description": self.description,
            "tags": dict(self.tags),
            "owner": self.owner,
            "inferred": list(self.inferred),
        }
        if self.foreign is not None:
            document["foreign"] = dict(self.foreign)
        if None not in self._keys:  # else the registry, which knows the entities, fills them in
            document["join_keys"] = list(self._keys)
        return document

    @classmethod
    def from_document(
        cls, document: dict[str, Any], source: DataSource | None = None
    ) -> "FeatureView":
        """Return the object that a document describes.

        Parameters
        ----------
        document : dict
        source : DataSource, optional
            The source that the document names.
        """
        view = FeatureView(
            name=document["name"],
            source=source or document["source"],
            schema=[Field.from_document(f) for f in document.get("schema") or []],
            entities=list(document.get("entities") or []),
            ttl=datetime.timedelta(microseconds=document.get("ttl_us", 0)),
            online=document.get("online", True),
            offline=document.get("offline", False),
            description=document.get("description", ""),
            tags=document.get("tags"),
            owner=document.get("owner", ""),
        )
        keys = document.get("join_keys")
        if keys is not None and len(keys) == len(view.entities):
            view._keys = list(keys)
        view.inferred = list(document.get("inferred") or [])
        if document.get("foreign"):
            from tiffin.registry.foreign_view import VIEWS, ForeignView  # which derive from this

            name = document["foreign"]["class"]
            view.__class__ = cls if name == "FeatureView" else VIEWS.get(name, ForeignView)
            view.foreign = dict(document["foreign"])
        return view._read_timestamps(document)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(name={self.name!r}, entities={self.entities!r}, "
            f"source={self.source.name if self.source else self.source_name!r}, "
            f"schema={self._fields!r}, ttl={self.ttl!r}, online={self.online!r})"
        )
