"""Views as requests, services and on-demand views see them: some features, under another name."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any, Self

from tiffin.errors import InvalidError, NotFoundError, SchemaError
from tiffin.registry import check
from tiffin.registry.definition import Definition
from tiffin.registry.field import Field


class FeatureViewProjection:
    """A view as a request or a feature service sees it.

    Attributes
    ----------
    name : str
        The view's own name.
    name_alias : str
        Name to use in its place; ``""`` = none.
    desired_features : list of str or None
        Names in the order asked; None = all features of the view.
    join_key_map : dict of str to str
        Join key of the view -> column of the entity rows.
    """

    __slots__ = ("desired_features", "join_key_map", "name", "name_alias")
    name: str
    name_alias: str
    desired_features: list[str] | None
    join_key_map: dict[str, str]

    def __init__(
        self,
        name: str,
        name_alias: str = "",
        desired_features: list[str] | None = None,
        join_key_map: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.name_alias = name_alias
        self.desired_features = desired_features
        self.join_key_map = dict(join_key_map or {})

    def name_to_use(self) -> str:
        """Return the alias, or else the view's name."""
        return self.name_alias or self.name

    def to_document(self) -> dict[str, Any]:
        """Return the neutral form; ``"features": []`` = all of the view's."""
        return {
            "view": self.name,
            "name_alias": self.name_alias,
            "features": list(self.desired_features or []),
            "join_key_map": dict(self.join_key_map),
        }

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """Return the projection that a document describes."""
        return cls(
            document["view"],
            document.get("name_alias", ""),
            list(document.get("features") or []) or None,
            document.get("join_key_map"),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FeatureViewProjection):
            return NotImplemented
        return self.to_document() == other.to_document()

    def __hash__(self) -> int:
        return hash((self.name, self.name_alias))

    def __repr__(self) -> str:
        return (
            f"FeatureViewProjection({self.name!r}, name_alias={self.name_alias!r}, "
            f"desired_features={self.desired_features!r}, join_key_map={self.join_key_map!r})"
        )


class ProjectedView(Definition):
    """A view of either kind, with the projection that a request for it asks for.

    Attributes
    ----------
    features : list of Field
    projection : FeatureViewProjection
    """

    projection: FeatureViewProjection

    @property
    def features(self) -> list[Field]:
        """Fields that requests may ask for, in the order of the schema."""
        raise NotImplementedError

    @property
    def _where(self) -> str:
        return f"{type(self).__name__} {self.name!r}"

    def _projected(self, **changes: Any) -> Self:
        twin = copy.copy(self)
        twin.tags = dict(self.tags)
        projection = copy.copy(self.projection)
        for name, value in changes.items():
            setattr(projection, name, value)
        twin.projection = projection
        return twin

    def __getitem__(self, features: Iterable[str]) -> Self:
        """Only these features, in this order: ``view[["a", "b"]]``. The view itself stays."""
        where = self._where
        if isinstance(features, str):
            raise SchemaError(f"{where}: write view[[{features!r}]], with a list of feature names")
        names = check.items(features, str, where, "the features in brackets")
        known = [f.name for f in self.features]
        for name in names:
            if known and name not in known:
                raise NotFoundError(
                    f"{where} has no feature {name!r}; it has {', '.join(known[:20])}"
                    + (f" and {len(known) - 20} more" if len(known) > 20 else "")
                )
        if not names:
            raise InvalidError(f"{where}: view[[]] asks for no feature")
        return self._projected(desired_features=names)

    __iter__ = None  # a view is no sequence, although it has [[...]]

    def with_name(self, name: str) -> Self:
        """Return a copy that is called `name` in requests and in full feature names."""
        return self._projected(name_alias=check.text(name, self._where, "name", required=True))

    def with_projection(self, projection: FeatureViewProjection) -> Self:
        """Return a copy seen through another projection."""
        if projection.name != self.name:
            raise InvalidError(f"{self._where}: the projection is one of {projection.name!r}")
        twin = copy.copy(self)
        twin.projection = copy.copy(projection)
        return twin

    def request_projection(self) -> FeatureViewProjection:
        """Return the projection with its features written out where they are known."""
        p = self.projection
        names = p.desired_features or [f.name for f in self.features] or None
        return FeatureViewProjection(p.name, p.name_alias, names, p.join_key_map)

    def _identity(self) -> Any:
        return self.to_document(), self.projection.to_document()
