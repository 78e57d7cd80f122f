"""Definitions that are kept and shown and not acted on: permissions, validation references."""

import enum
from typing import Any, NoReturn, Self

from tiffin.errors import SchemaError, UnsupportedError
from tiffin.registry import check
from tiffin.registry.data_source import DataSource
from tiffin.registry.definition import Definition
from tiffin.registry.entity import Entity
from tiffin.registry.feature_service import FeatureService
from tiffin.registry.feature_view import FeatureView
from tiffin.registry.foreign_view import BatchFeatureView, LabelView, StreamFeatureView
from tiffin.registry.function import FunctionReference
from tiffin.registry.on_demand_feature_view import OnDemandFeatureView
from tiffin.registry.plain import as_plain
from tiffin.registry.project import Project
from tiffin.registry.saved_dataset import SavedDataset


class KeptDefinition(Definition):
    """What both share.

    Attributes
    ----------
    content : dict
        What the class has of its own, as JSON types; its members are attributes too.
    """

    missing = ""

    def _keep(
        self, name: Any, description: Any, tags: dict[str, str] | None, **content: Any
    ) -> None:
        self.name = check.text(name, type(self).__name__, "name", required=True)
        where = f"{type(self).__name__} {self.name!r}"
        self.description = check.text(description, where, "description")
        self.tags = check.texts(tags, where, "tags")
        self.owner = ""
        self.content = {key: as_plain(value) for key, value in content.items() if value is not None}

    def __getattr__(self, name: str) -> Any:
        content = self.__dict__.get("content", {})
        if name in content:
            return content[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def to_document(self) -> dict[str, Any]:
        """Return the neutral form of this object."""
        return {
            "kind": self.kind,
            "name": self.name,
            "content": dict(self.content),
            "description": self.description,
            "tags": dict(self.tags),
            "owner": self.owner,
        }

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """Return the object that a document describes."""
        found = cls.__new__(cls)
        found._keep(document["name"], document.get("description"), document.get("tags"))
        found.owner = document.get("owner", "")
        found.content = dict(document.get("content") or {})
        return found._read_timestamps(document)


# ---- validation references ----


class Profiler:
    """A function that makes a profile of a training set: kept by its name and source.

    Parameters
    ----------
    user_defined_profiler : callable
    """

    def __init__(self, user_defined_profiler: Any) -> None:
        if not callable(user_defined_profiler):
            kind = type(user_defined_profiler).__name__
            raise SchemaError(f"a profiler needs a function, not {kind}")
        self.udf = user_defined_profiler

    def _refuse(self) -> NoReturn:
        raise UnsupportedError(
            f"profiler {getattr(self.udf, '__name__', self.udf)!r}: this release makes no profiles "
            "of training sets and validates none; check the frame that to_df() returns"
        )

    def analyze_dataset(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: this release makes no profiles."""
        self._refuse()

    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: this release makes no profiles."""
        self._refuse()


def ge_profiler(*args: Any, **_: Any) -> Any:
    """Make a `Profiler` of the decorated function; its options are Great Expectations'."""
    return Profiler(args[0]) if args and callable(args[0]) else Profiler


class ValidationReference(KeptDefinition):
    """A training set and a profiler that others were to be compared with.

    Parameters
    ----------
    name, dataset_name : str
    profiler : Profiler, optional
    description : str, optional
    tags : dict of str to str, optional
    """

    kind = "validation_reference"
    missing = "this release validates no training sets; check the frame that to_df() returns"

    def __init__(
        self,
        name: str,
        dataset_name: str,
        profiler: Profiler | None = None,
        description: str = "",
        tags: dict[str, str] | None = None,
    ) -> None:
        function = None if profiler is None else FunctionReference.of(profiler.udf).to_document()
        self._keep(name, description, tags, dataset_name=dataset_name, profiler=function)


# ---- permissions ----

ALL_RESOURCE_TYPES: list[type[Definition]] = [
    Project,
    FeatureView,
    OnDemandFeatureView,
    BatchFeatureView,
    StreamFeatureView,
    LabelView,
    Entity,
    FeatureService,
    DataSource,
    ValidationReference,
    SavedDataset,
]
ALL_FEATURE_VIEW_TYPES: list[type[Definition]] = [
    FeatureView,
    OnDemandFeatureView,
    BatchFeatureView,
    StreamFeatureView,
]


class AuthzedAction(enum.Enum):
    """What a permission allows."""

    CREATE = "create"
    DESCRIBE = "describe"
    UPDATE = "update"
    DELETE = "delete"
    READ_ONLINE = "read_online"
    READ_OFFLINE = "read_offline"
    WRITE_ONLINE = "write_online"
    WRITE_OFFLINE = "write_offline"


ALL_ACTIONS = list(AuthzedAction)
READ = [AuthzedAction.READ_OFFLINE, AuthzedAction.READ_ONLINE]
WRITE = [AuthzedAction.WRITE_OFFLINE, AuthzedAction.WRITE_ONLINE]
CRUD = [
    AuthzedAction.CREATE,
    AuthzedAction.DESCRIBE,
    AuthzedAction.UPDATE,
    AuthzedAction.DELETE,
]


class Policy:
    """Whom a permission is for."""


class _NamedPolicy(Policy):
    def __init__(self, **names: list[str]) -> None:
        where = type(self).__name__
        for key, value in names.items():
            setattr(self, key, check.items(value, str, where, key))

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(type(self))


class RoleBasedPolicy(_NamedPolicy):
    """Who has one of these roles."""

    def __init__(self, roles: list[str]) -> None:
        super().__init__(roles=roles)


class GroupBasedPolicy(_NamedPolicy):
    """Who is in one of these groups."""

    def __init__(self, groups: list[str]) -> None:
        super().__init__(groups=groups)


class NamespaceBasedPolicy(_NamedPolicy):
    """Who is in one of these namespaces."""

    def __init__(self, namespaces: list[str]) -> None:
        super().__init__(namespaces=namespaces)


class CombinedGroupNamespacePolicy(_NamedPolicy):
    """Who is in one of these groups or namespaces."""

    def __init__(self, groups: list[str], namespaces: list[str]) -> None:
        super().__init__(groups=groups, namespaces=namespaces)


AllowAll = _NamedPolicy()


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


class Permission(KeptDefinition):
    """Who may do what with which objects.

    Parameters
    ----------
    name : str
    types : class of definitions, or list of them, optional
        Default: all.
    name_patterns : str or list of str, optional
    actions : AuthzedAction, or list of them, optional
        Default: all.
    policy : Policy, optional
        Default: anybody.
    tags, required_tags : dict of str to str, optional
    """

    kind = "permission"
    missing = "this release checks no permissions; `tiffin keys` gives clients of a server theirs"

    def __init__(
        self,
        name: str,
        types: Any = None,
        name_patterns: Any = None,
        actions: Any = None,
        policy: Policy = AllowAll,
        tags: dict[str, str] | None = None,
        required_tags: dict[str, str] | None = None,
    ) -> None:
        where = f"Permission {name!r}"
        if not isinstance(policy, Policy):
            raise SchemaError(f"{where}: policy must be a Policy, not {type(policy).__name__}")
        given = _as_list(actions) or ALL_ACTIONS
        wanted = check.items(given, AuthzedAction, where, "actions")
        kind = "AllowAll" if policy is AllowAll else type(policy).__name__
        self._keep(
            name,
            "",
            tags,
            types=[t.__name__ for t in check.items(_as_list(types), type, where, "types")]
            or [t.__name__ for t in ALL_RESOURCE_TYPES],
            name_patterns=check.items(_as_list(name_patterns), str, where, "name_patterns"),
            actions=[action.name for action in wanted],
            policy={"class": kind, **vars(policy)},
            required_tags=check.texts(required_tags, where, "required_tags"),
        )
