"""``OnDemandFeatureView``: features that a Python function makes when they are read."""

from collections.abc import Callable
from typing import Any

from tiffin.errors import InvalidError, SchemaError, UnsupportedError
from tiffin.registry import check
from tiffin.registry.entity import Entity
from tiffin.registry.feature_view import FeatureView
from tiffin.registry.field import Field
from tiffin.registry.function import FunctionReference
from tiffin.registry.projection import FeatureViewProjection, ProjectedView
from tiffin.registry.request_source import RequestSource

_METRICS_TAG = "feast:track_metrics"


class OnDemandFeatureView(ProjectedView):
    """Features that a Python function makes of other features, and of what a request brings along.

    They are computed when they are read: in training sets and in lookups, by the same code.
    Usually written with the decorator `on_demand_feature_view`.

    Parameters
    ----------
    name : str
        Without ``:`` and ``@``.
    schema : list of Field
        What the function returns.
    sources : list
        What it reads: `FeatureView` and `OnDemandFeatureView`, also parts and renamed or mapped
        copies of them, and `RequestSource`.
    input_schema : list of Field, optional
        Fields that a request brings along: a `RequestSource` without a name.
    udf : callable
        Gets and returns a pandas DataFrame, or in mode ``"python"`` a dict of lists, or as a
        singleton one row as a dict. A feature is there as ``feature`` and as ``view__feature``.
    udf_string : str, optional
        Source of `udf`, where it cannot be read.
    feature_transformation : optional
        Something that has the function as its ``udf``.
    mode : {"pandas", "python"}
    singleton : bool
        In mode ``"python"``: the function is called row by row.
    entities : list of Entity, optional
        For the reader; the sources have their own.
    description, owner : str, optional
    tags : dict of str to str, optional
    write_to_online_store, aggregations
        Feast's; `apply` refuses them.
    track_metrics : bool
        Feast's: kept as a tag.
    org, version, enabled
        Feast's; this release refuses other values than the defaults.

    Attributes
    ----------
    features : list of Field
    function : FunctionReference
        Where the function lives, and its source.
    source_feature_view_projections : dict of str to FeatureViewProjection
    source_request_sources : dict of str to RequestSource
        Of a view that comes from the registry: as far as the store has filled them in.
    """

    kind = "on_demand_feature_view"
    mode: str
    singleton: bool
    entities: list[str]
    function: FunctionReference

    def __init__(
        self,
        *,
        name: str,
        entities: list[Entity] | list[str] | None = None,
        schema: list[Field] | None = None,
        sources: list[Any] | None = None,
        input_schema: list[Field] | None = None,
        udf: Callable[..., Any] | None = None,
        udf_string: str | None = "",
        feature_transformation: Any = None,
        mode: Any = "pandas",
        description: str = "",
        tags: dict[str, str] | None = None,
        owner: str = "",
        org: str = "",
        write_to_online_store: bool = False,
        singleton: bool = False,
        track_metrics: bool = False,
        aggregations: list[Any] | None = None,
        version: str = "latest",
        enabled: bool = True,
    ) -> None:
        self.name = check.text(name, "OnDemandFeatureView", "name", required=True)
        where = self._where
        self._set_sources(sources, input_schema, where)
        given: list[Entity | str] = check.items(entities, (Entity, str), where, "entities")
        self.entity_objects = [e for e in given if isinstance(e, Entity)]
        self.entities = [e if isinstance(e, str) else e.name for e in given]
        self._fields = check.items(schema, Field, where, "schema")
        if not self._fields:
            raise InvalidError(f"{where}: schema is empty; say which fields the function returns")
        self.mode = check.text(getattr(mode, "value", mode), where, "mode", required=True).lower()
        self.singleton = check.flag(singleton, where, "singleton")
        self.write_to_online_store = check.flag(
            write_to_online_store, where, "write_to_online_store"
        )
        self.aggregations = list(aggregations or [])
        self._set_function(udf, udf_string, feature_transformation, where)
        self.description = check.text(description, where, "description")
        self.tags = check.texts(tags, where, "tags")
        if check.flag(track_metrics, where, "track_metrics"):
            self.tags[_METRICS_TAG] = "true"
        self.owner = check.text(owner, where, "owner")
        check.not_yet(where, org=org, version="" if str(version).lower() == "latest" else version)
        if not check.flag(enabled, where, "enabled"):
            raise UnsupportedError(f"{where}: this release does not run enabled=False")
        self.projection = FeatureViewProjection(self.name)

    def _set_sources(self, sources: Any, input_schema: Any, where: str) -> None:
        self._sources: list[ProjectedView | FeatureViewProjection | RequestSource | str] = (
            check.items(
                sources,
                (FeatureView, OnDemandFeatureView, FeatureViewProjection, RequestSource),
                where,
                "sources",
            )
        )
        if input_schema:
            fields = check.items(input_schema, Field, where, "input_schema")
            name = f"__input_schema__{self.name}"
            self._sources.append(RequestSource(name=name, schema=fields))
        if not self._sources:
            raise InvalidError(f"{where}: sources is empty; give feature views, or a RequestSource")

    def _set_function(self, udf: Any, text: Any, transformation: Any, where: str) -> None:
        call = udf if udf is not None else getattr(transformation, "udf", None)
        if call is None and self.aggregations:
            self.function = FunctionReference("__main__", "aggregations", "", "0" * 64)
            return  # which apply refuses, with a better sentence than ours would be
        if not callable(call):
            raise SchemaError(
                f"{where}: udf must be a function, not {type(call).__name__}; or write the view "
                "with the decorator on_demand_feature_view"
            )
        self.function = FunctionReference.of(call, check.text(text, where, "udf_string"))

    @property
    def features(self) -> list[Field]:
        """What the function returns, in the order of the schema."""
        return list(self._fields)

    @property
    def schema(self) -> list[Field]:
        """The same as `features`."""
        return self.features

    @property
    def source_views(self) -> list[ProjectedView]:
        """The views that it was written with; none for a view that comes from the registry."""
        return [s for s in self._sources if isinstance(s, ProjectedView)]

    @property
    def source_feature_view_projections(self) -> dict[str, FeatureViewProjection]:
        """What it reads of views, by the name that it has for each."""
        found = [s.projection if isinstance(s, ProjectedView) else s for s in self._sources]
        return {p.name_to_use(): p for p in found if isinstance(p, FeatureViewProjection)}

    @property
    def source_request_sources(self) -> dict[str, RequestSource]:
        """What it takes from a request."""
        return {s.name: s for s in self._sources if isinstance(s, RequestSource)}

    @property
    def request_source_names(self) -> list[str]:
        """Names of all its request sources."""
        found = [s.name if isinstance(s, RequestSource) else s for s in self._sources]
        return [name for name in found if isinstance(name, str)]

    def set_request_sources(self, sources: dict[str, RequestSource]) -> None:
        """Fill in the request sources that it knows by name only."""
        self._sources = [sources.get(s, s) if isinstance(s, str) else s for s in self._sources]

    def to_document(self) -> dict[str, Any]:
        """Return the neutral form of this object. Projections of it are no part of it."""
        return {
            "kind": self.kind,
            "name": self.name,
            "sources": [p.to_document() for p in self.source_feature_view_projections.values()],
            "request_sources": self.request_source_names,
            "entities": list(self.entities),
            "schema": [field.to_document() for field in self._fields],
            "mode": self.mode,
            "singleton": self.singleton,
            "function": self.function.to_document(),
            "write_to_online_store": self.write_to_online_store,
            "aggregations": [repr(each) for each in self.aggregations],
            "description": self.description,
            "tags": dict(self.tags),
            "owner": self.owner,
        }

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "OnDemandFeatureView":
        """Return the object that a document describes; its function is not loaded."""
        view = cls.__new__(cls)  # the registry has checked it, and there is no function to give
        view.name = document["name"]
        view._sources = [
            *(FeatureViewProjection.from_document(p) for p in document.get("sources") or []),
            *(document.get("request_sources") or []),
        ]
        view.entity_objects = []
        view.entities = list(document.get("entities") or [])
        view._fields = [Field.from_document(f) for f in document["schema"]]
        view.mode = document.get("mode", "pandas")
        view.singleton = document.get("singleton", False)
        view.write_to_online_store = document.get("write_to_online_store", False)
        view.aggregations = []
        view.function = FunctionReference.from_document(document["function"])
        view.description = document.get("description", "")
        view.tags = dict(document.get("tags") or {})
        view.owner = document.get("owner", "")
        view.projection = FeatureViewProjection(view.name)
        return view._read_timestamps(document)

    def __repr__(self) -> str:
        return (
            f"OnDemandFeatureView(name={self.name!r}, schema={self._fields!r}, "
            f"sources={[*self.source_feature_view_projections, *self.request_source_names]!r}, "
            f"mode={self.mode!r}, function={self.function.module}.{self.function.name})"
        )


def on_demand_feature_view(
    *,
    name: str | None = None,
    entities: list[Entity] | list[str] | None = None,
    schema: list[Field],
    sources: list[Any] | None = None,
    input_schema: list[Field] | None = None,
    aggregations: list[Any] | None = None,
    mode: Any = "pandas",
    description: str = "",
    tags: dict[str, str] | None = None,
    owner: str = "",
    org: str = "",
    write_to_online_store: bool = False,
    singleton: bool = False,
    track_metrics: bool = False,
    explode: bool = False,
    version: str = "latest",
) -> Callable[[Callable[..., Any]], OnDemandFeatureView]:
    """Make an `OnDemandFeatureView` of the decorated function.

    ::

        @on_demand_feature_view(sources=[stats, trip], schema=[Field(name="fare", dtype=Float64)])
        def fares(inputs: pd.DataFrame) -> pd.DataFrame:
            return pd.DataFrame({"fare": inputs["rate"] * inputs["km"]})

    Parameters
    ----------
    name : str, optional
        Default: the function's.
    explode
        Feast's; not run by this release.
    entities, schema, sources, input_schema, aggregations, mode, description, tags, owner, org, \
write_to_online_store, singleton, track_metrics, version
        As `OnDemandFeatureView`.
    """

    def decorate(function: Callable[..., Any]) -> OnDemandFeatureView:
        view = OnDemandFeatureView(
            name=name if name is not None else function.__name__,
            entities=entities,
            schema=schema,
            sources=sources,
            input_schema=input_schema,
            udf=function,
            mode=mode,
            description=description,
            tags=tags,
            owner=owner,
            org=org,
            write_to_online_store=write_to_online_store,
            singleton=singleton,
            track_metrics=track_metrics,
            aggregations=aggregations,
            version=version,
        )
        check.not_yet(f"OnDemandFeatureView {view.name!r}", explode=explode)
        view.__doc__ = function.__doc__
        return view

    return decorate
