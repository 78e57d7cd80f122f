"""The registry's verbs of a `FeatureStore`: apply, plan, list, get, delete, history."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from tiffin.compute.functions import Functions
from tiffin.errors import (
    DataSourceObjectNotFoundException,
    EntityNotFoundException,
    FeatureServiceNotFoundException,
    FeatureViewNotFoundException,
    InvalidError,
    NotFoundError,
    OnDemandFeatureViewNotFoundException,
    PermissionObjectNotFoundException,
    ProjectObjectNotFoundException,
    SavedDatasetNotFound,
    SchemaError,
    TiffinError,
    ValidationReferenceNotFound,
    warn,
)
from tiffin.registry.data_source import DataSource, FileSource
from tiffin.registry.definition import Definition, kind_words
from tiffin.registry.document import as_objects, reach, to_documents, to_json
from tiffin.registry.entity import Entity
from tiffin.registry.feature_service import FeatureService
from tiffin.registry.feature_view import FeatureView
from tiffin.registry.foreign_source import STREAMS, ForeignSource
from tiffin.registry.on_demand_feature_view import OnDemandFeatureView
from tiffin.registry.project import Project
from tiffin.registry.projection import ProjectedView
from tiffin.registry.request_source import RequestSource
from tiffin.store.changes import ApplyResult, Plan
from tiffin.store.config import RepoConfig
from tiffin.types import FeatureType, from_text

if TYPE_CHECKING:
    from tiffin._native import Store

D = TypeVar("D", bound=Definition)

# What `get_...` raises for a name that is not there: under Feast's names.
_NOT_FOUND: dict[str, type[NotFoundError]] = {
    "data_source": DataSourceObjectNotFoundException,
    "entity": EntityNotFoundException,
    "feature_service": FeatureServiceNotFoundException,
    "feature_view": FeatureViewNotFoundException,
    "on_demand_feature_view": OnDemandFeatureViewNotFoundException,
    "project": ProjectObjectNotFoundException,
    "saved_dataset": SavedDatasetNotFound,
    "validation_reference": ValidationReferenceNotFound,
    "permission": PermissionObjectNotFoundException,
}

_PROTECTED_TAG = "feast.dev/protected-project"


def _commit(as_of: Any) -> int:
    if as_of is None:
        return -1
    if isinstance(as_of, bool) or not isinstance(as_of, int):
        raise SchemaError(f"as_of must be the number of a commit, not {as_of!r}")
    return as_of


def _on_demand_views(objects: Any) -> list[OnDemandFeatureView]:
    """Return the on-demand views among definitions and what these bring along."""
    return [v for v in reach(as_objects(objects)) if isinstance(v, OnDemandFeatureView)]


def kept_and_not_run(objects: Any) -> Iterator[tuple[Definition, str]]:
    """Yield what of some definitions and what they bring along cannot be run, and why."""
    for item in reach(as_objects(objects)):
        missing = getattr(item, "missing", "") if not isinstance(item, ForeignSource) else ""
        if isinstance(item, FeatureView):
            source = item.batch_source
            missing = (item.foreign or {}).get("missing") or getattr(source, "missing", "")
        if missing:
            yield item, missing


def run_otherwise(objects: Any) -> Iterator[tuple[Definition, str]]:
    """Yield what of some definitions runs otherwise than they say, and how."""
    for item in reach(as_objects(objects)):
        if isinstance(item, FeatureService) and item.logging_config is not None:
            names = ", ".join(repr(view.name) for view in item.on_demand_feature_views)
            if names:
                yield (
                    item,
                    f"is served, and not logged: what the on-demand view {names} computes is not "
                    "in the answers that are kept; log a service without it",
                )


class RegistryVerbs:
    """What a `FeatureStore` does with definitions."""

    config: RepoConfig
    _engine: "Store"
    _functions: Functions

    def apply(
        self,
        objects: Definition | list[Definition],
        objects_to_delete: Definition | list[Definition] | None = None,
        partial: bool = True,
        skip_feature_view_validation: bool = False,
        *,
        delete_missing: bool = False,
        expected_commit: int | None = None,
        message: str = "",
    ) -> ApplyResult:
        """Make definitions so: all of them as one commit, or nothing.

        Parameters
        ----------
        objects : definition or list of definitions
            Views bring their sources and the entities they were written with.
        objects_to_delete : definition or list of definitions, optional
            Deleted in the same commit, if `partial` is False (as in Feast).
        partial : bool
            Whether `objects_to_delete` is left alone.
        skip_feature_view_validation : bool
            Do not try the functions of on-demand views on two made-up rows.
        delete_missing : bool
            Delete whatever of the project is not among `objects`: what ``tiffin apply`` of a repo
            does after asking.
        expected_commit : int, optional
            Refuse when the registry has moved on from this commit.
        message : str
            For the history.

        Returns
        -------
        ApplyResult
            What changed, by object and field; `print` it.

        Raises
        ------
        InvalidError, SchemaError, NotFoundError, UnsupportedError
            A definition is refused; nothing was changed.
        ConflictError
            Somebody else applied at the same time.
        """
        request = self._request(objects, objects_to_delete, partial, delete_missing)
        request["expected_commit"] = -1 if expected_commit is None else expected_commit
        request["message"] = message
        views = _on_demand_views(objects)
        if views and not skip_feature_view_validation and not self._plan(request).refused:
            self._try_functions(views, objects)
        result = ApplyResult(self._engine.apply(to_json(request)))
        for view in views:
            self._functions.add(view.function)
        for item, missing in kept_and_not_run(objects):
            warn(f"{kind_words(item.kind)} {item.name!r} is kept, and not run: {missing}")
        for item, how in run_otherwise(objects):
            warn(f"{kind_words(item.kind)} {item.name!r} {how}")
        return result

    def plan(
        self,
        objects: Definition | list[Definition],
        objects_to_delete: Definition | list[Definition] | None = None,
        partial: bool = True,
        skip_feature_view_validation: bool = False,
        *,
        delete_missing: bool = False,
    ) -> Plan:
        """Return what `apply` with the same arguments would change and refuse. Changes nothing.

        Returns
        -------
        Plan
            Also names the fields that are inferred for views without a schema.
        """
        request = self._request(objects, objects_to_delete, partial, delete_missing)
        plan = self._plan(request)
        if not skip_feature_view_validation and not plan.refused:
            self._try_functions(_on_demand_views(objects), objects)
        return plan

    def _plan(self, request: dict[str, Any]) -> Plan:
        return Plan(self._engine.plan(to_json(request)))

    def _try_functions(self, views: list[OnDemandFeatureView], objects: Any) -> None:
        """Run the functions of on-demand views on made-up rows of their inputs' types."""
        if not views:
            return
        from tiffin.compute.sample import try_view

        given = {v.name: v for v in reach(as_objects(objects)) if isinstance(v, ProjectedView)}
        for view in views:
            try_view(view, lambda name: self._types_of(given.get(name), name))

    def _types_of(self, view: ProjectedView | None, name: str) -> dict[str, FeatureType] | None:
        """Types of a view's features; None where they are not known, and the engine says why."""
        try:
            view = view or self.get_any_feature_view(name)
            if isinstance(view, FeatureView) and not view.features:  # to be inferred
                source = view.batch_source or self.get_data_source(view.source_name)
                if not isinstance(source, FileSource):
                    return None
                columns = json.loads(self._engine.describe_source(to_json(source.to_document())))
                mapping = source.field_mapping
                types = {mapping.get(c["name"], c["name"]): c["dtype"] for c in columns}
                for other in (
                    *view.join_keys,
                    source.timestamp_field,
                    source.created_timestamp_column,
                ):
                    types.pop(other, None)
                return {name: from_text(text) for name, text in types.items() if text}
        except TiffinError:
            return None
        return {field.name: field.dtype for field in view.features}

    def _request(
        self, objects: Any, objects_to_delete: Any, partial: bool, delete_missing: bool
    ) -> dict[str, Any]:
        documents = to_documents(as_objects(objects))
        if self.config.project_description and not any(d["kind"] == "project" for d in documents):
            documents[:0] = self._own_project()
        doomed = as_objects(objects_to_delete or [], "objects_to_delete")
        if doomed and partial:
            warn(
                "objects_to_delete is left alone while partial=True, as in Feast; "
                "pass partial=False to delete"
            )
            doomed = []
        return {
            "objects": documents,
            "delete": [{"kind": item.kind, "name": item.name} for item in doomed],
            "delete_missing": delete_missing,
        }

    def _own_project(self) -> list[dict[str, Any]]:
        """Return the project of the configuration, if the registry does not have it yet."""
        if any(d["name"] == self.config.project for d in json.loads(self._engine.projects())):
            return []
        project = Project(name=self.config.project, description=self.config.project_description)
        return [project.to_document()]

    def teardown(self) -> dict[str, Any]:
        """Remove this project: its definitions, run states and online rows. Others stay.

        The history of its definitions stays readable with `as_of`.

        Returns
        -------
        dict
            What was removed.

        Raises
        ------
        InvalidError
            The project has Feast's tag ``feast.dev/protected-project: true``.
        """
        own = [p for p in self.list_projects() if p.name == self.config.project]
        if own and own[0].tags.get(_PROTECTED_TAG) == "true":
            raise InvalidError(
                f"project {own[0].name!r} is protected by its tag {_PROTECTED_TAG}, and is not "
                "removed; apply it without the tag first"
            )
        removed: dict[str, Any] = json.loads(self._engine.teardown())
        return removed

    @contextmanager
    def _naming_views(self, names: Iterable[str]) -> Iterator[None]:
        """Say by the class of an error that one of the views that were named does not exist."""
        try:
            yield
        except NotFoundError as error:
            kinds = (FeatureView.kind, OnDemandFeatureView.kind)
            known = {d["name"] for kind in kinds for d in self.list_documents(kind)}
            if type(error) is NotFoundError and not known.issuperset(names):
                raise FeatureViewNotFoundException(str(error)) from None
            raise

    # ---- list and get. `allow_cache` is Feast's: reads here are always fresh.

    def _list(self, cls: type[D], tags: dict[str, str] | None, as_of: int | None) -> list[D]:
        return [cls.from_document(d) for d in self.list_documents(cls.kind, tags, as_of)]

    def _get(self, cls: type[D], name: str, as_of: int | None) -> D:
        if not isinstance(name, str):
            raise SchemaError(f"name must be a str, not {type(name).__name__}")
        try:
            document = self.get_document(cls.kind, name, as_of)
        except NotFoundError as error:
            raise _NOT_FOUND.get(cls.kind, NotFoundError)(str(error)) from None
        return cls.from_document(document)

    def list_documents(
        self, kind: str, tags: dict[str, str] | None = None, as_of: int | None = None
    ) -> list[dict[str, Any]]:
        """Return the definition documents of one kind, by name, as JSON types.

        Parameters
        ----------
        kind : str
            ``"entity"``, ``"data_source"``, ``"feature_view"``, ``"on_demand_feature_view"``,
            ``"feature_service"``, ``"saved_dataset"`` or ``"project"``: those of the registry, of a
            past state this one alone.
        tags : dict of str, optional
            Only objects that have all these pairs.
        as_of : int, optional
            A past state: the number of a commit.
        """
        if kind == Project.kind and as_of is None:
            found: list[dict[str, Any]] = json.loads(self._engine.projects())
            return [d for d in found if (tags or {}).items() <= d["tags"].items()]
        text = self._engine.list(kind, to_json(tags) if tags else None, _commit(as_of))
        documents: list[dict[str, Any]] = json.loads(text)
        return documents

    def get_document(self, kind: str, name: str, as_of: int | None = None) -> dict[str, Any]:
        """Return one definition document; `kind` and `as_of` as `list_documents`."""
        if kind == Project.kind and as_of is None:
            projects = {document["name"]: document for document in self.list_documents(kind)}
            if name not in projects:
                others = ", ".join(map(repr, sorted(projects))) or "none"
                raise NotFoundError(
                    f"the registry {self.config.registry_path} has no project {name!r}; "
                    f"there are: {others}"
                )
            return projects[name]
        document: dict[str, Any] = json.loads(self._engine.get(kind, name, _commit(as_of)))
        return document

    def list_entities(
        self,
        allow_cache: bool = False,  # noqa: ARG002 - Feast has it
        tags: dict[str, str] | None = None,
        *,
        as_of: int | None = None,
    ) -> list[Entity]:
        """All entities of the project.

        Parameters
        ----------
        allow_cache : bool
            Feast's; has no effect, reads are always fresh.
        tags : dict of str to str, optional
            Only those that have all these pairs.
        as_of : int, optional
            State after this commit (see `registry_log`); default: now.
        """
        return self._list(Entity, tags, as_of)

    def list_data_sources(
        self,
        allow_cache: bool = False,  # noqa: ARG002 - Feast has it
        tags: dict[str, str] | None = None,
        *,
        as_of: int | None = None,
    ) -> list[DataSource]:
        """All data sources of the project. Parameters as `list_entities`."""
        sources = self._list(DataSource, tags, as_of)
        fronts = [s for s in sources if isinstance(s, STREAMS) and s.batch_source_name]
        if fronts:
            everything = self._list(DataSource, None, as_of) if tags else sources
            by_name = {s.name: s for s in everything}
            for source in fronts:
                source.batch_source = by_name.get(source.batch_source_name)
        return sources

    def list_feature_views(
        self,
        allow_cache: bool = False,  # noqa: ARG002 - Feast has it
        tags: dict[str, str] | None = None,
        *,
        as_of: int | None = None,
    ) -> list[FeatureView]:
        """All feature views of the project. Parameters as `list_entities`."""
        views = self._list(FeatureView, tags, as_of)
        sources = {s.name: s for s in self.list_data_sources(as_of=as_of)} if views else {}
        for view in views:
            view.source = sources.get(view.source_name)
        return views

    def list_on_demand_feature_views(
        self,
        allow_cache: bool = False,  # noqa: ARG002 - Feast has it
        tags: dict[str, str] | None = None,
        *,
        as_of: int | None = None,
    ) -> list[OnDemandFeatureView]:
        """All on-demand feature views of the project. Parameters as `list_entities`."""
        views = self._list(OnDemandFeatureView, tags, as_of)
        if any(view.request_source_names for view in views):
            sources = self._request_sources(as_of)
            for view in views:
                view.set_request_sources(sources)
        return views

    def list_all_feature_views(
        self,
        allow_cache: bool = False,  # noqa: ARG002 - Feast has it
        tags: dict[str, str] | None = None,
        *,
        as_of: int | None = None,
    ) -> list[FeatureView | OnDemandFeatureView]:
        """Feature views, then on-demand ones. Parameters as `list_entities`."""
        return [
            *self.list_feature_views(tags=tags, as_of=as_of),
            *self.list_on_demand_feature_views(tags=tags, as_of=as_of),
        ]

    def _request_sources(self, as_of: int | None) -> dict[str, RequestSource]:
        sources = self.list_data_sources(as_of=as_of)
        return {s.name: s for s in sources if isinstance(s, RequestSource)}

    def list_feature_services(
        self, tags: dict[str, str] | None = None, *, as_of: int | None = None
    ) -> list[FeatureService]:
        """All feature services of the project. Parameters as `list_entities`."""
        return self._list(FeatureService, tags, as_of)

    def list_projects(
        self,
        allow_cache: bool = False,  # noqa: ARG002 - Feast has it
        tags: dict[str, str] | None = None,
    ) -> list[Project]:
        """All projects of the registry. Parameters as `list_entities`."""
        return self._list(Project, tags, None)

    def get_entity(
        self,
        name: str,
        allow_registry_cache: bool = False,  # noqa: ARG002 - Feast has it
        *,
        as_of: int | None = None,
    ) -> Entity:
        """One entity.

        Parameters
        ----------
        name : str
        allow_registry_cache : bool
            Feast's; has no effect, reads are always fresh.
        as_of : int, optional
            State after this commit (see `registry_log`); default: now.

        Raises
        ------
        NotFoundError
            There is none of this name; the sentence names those that exist.
        """
        return self._get(Entity, name, as_of)

    def get_data_source(
        self,
        name: str,
        allow_registry_cache: bool = False,  # noqa: ARG002 - Feast has it
        *,
        as_of: int | None = None,
    ) -> DataSource:
        """One data source. Parameters and errors as `get_entity`."""
        source = self._get(DataSource, name, as_of)
        if isinstance(source, STREAMS) and source.batch_source_name:
            source.batch_source = self._get(DataSource, source.batch_source_name, as_of)
        return source

    def get_feature_view(
        self,
        name: str,
        allow_registry_cache: bool = False,  # noqa: ARG002 - Feast has it
        *,
        as_of: int | None = None,
    ) -> FeatureView:
        """One feature view with its source. Parameters and errors as `get_entity`."""
        view = self._get(FeatureView, name, as_of)
        view.source = self.get_data_source(view.source_name, as_of=as_of)
        return view

    def get_on_demand_feature_view(
        self,
        name: str,
        allow_registry_cache: bool = False,  # noqa: ARG002 - Feast has it
        *,
        as_of: int | None = None,
    ) -> OnDemandFeatureView:
        """One on-demand feature view; its function is not loaded. As `get_entity`."""
        view = self._get(OnDemandFeatureView, name, as_of)
        if view.request_source_names:
            view.set_request_sources(self._request_sources(as_of))
        return view

    def get_any_feature_view(
        self, name: str, *, as_of: int | None = None
    ) -> FeatureView | OnDemandFeatureView:
        """One view of either kind; they share their names. As `get_entity`."""
        try:
            return self.get_feature_view(name, as_of=as_of)
        except NotFoundError as error:
            try:
                return self.get_on_demand_feature_view(name, as_of=as_of)
            except NotFoundError:
                raise error from None

    def get_feature_service(
        self,
        name: str,
        allow_cache: bool = False,  # noqa: ARG002 - Feast has it
        *,
        as_of: int | None = None,
    ) -> FeatureService:
        """One feature service. Parameters and errors as `get_entity`."""
        return self._get(FeatureService, name, as_of)

    def get_project(self, name: str | None = None) -> Project:
        """One project of the registry; default: that of the configuration."""
        return self._get(Project, name or self.config.project, None)

    # ---- delete

    def _delete(self, kind: str, name: str) -> ApplyResult:
        request = {"objects": [], "delete": [{"kind": kind, "name": name}]}
        return ApplyResult(self._engine.apply(to_json(request)))

    def delete_feature_view(self, name: str) -> ApplyResult:
        """Delete one view's definition, be it stored or on-demand, as one commit.

        Raises
        ------
        NotFoundError
            There is none of this name.
        InvalidError
            Others use it; the sentence names them.
        """
        return self._delete(self.get_any_feature_view(name).kind, name)

    def delete_feature_service(self, name: str) -> ApplyResult:
        """Delete one feature service. Errors as `delete_feature_view`."""
        return self._delete(FeatureService.kind, name)

    def delete_entity(self, name: str) -> ApplyResult:
        """Delete one entity. Errors as `delete_feature_view`."""
        return self._delete(Entity.kind, name)

    def delete_data_source(self, name: str) -> ApplyResult:
        """Delete one data source. Errors as `delete_feature_view`."""
        return self._delete(DataSource.kind, name)

    # ---- history

    def registry_log(self, limit: int = 0) -> list[dict[str, Any]]:
        """Return commits of the project, newest first.

        Parameters
        ----------
        limit : int
            At most so many; 0 = all.

        Returns
        -------
        list of dict
            ``{"commit", "time", "message", "n_added", "n_changed", "n_removed"}``
        """
        log: list[dict[str, Any]] = json.loads(self._engine.log(limit))
        return log

    def registry_show(self, commit: int) -> dict[str, Any]:
        """One commit: its entry in the log, and ``"changes"`` by object and field.

        Raises
        ------
        NotFoundError
            No such commit.
        """
        shown: dict[str, Any] = json.loads(self._engine.show(commit))
        return shown
