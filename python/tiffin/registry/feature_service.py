"""``FeatureService``: the features that one model needs, under one name."""

from collections.abc import Sequence
from typing import Any, Self

from tiffin.errors import InvalidError, SchemaError
from tiffin.feature_logging import LoggingConfig
from tiffin.registry import check
from tiffin.registry.definition import Definition
from tiffin.registry.feature_view import FeatureView
from tiffin.registry.on_demand_feature_view import OnDemandFeatureView
from tiffin.registry.projection import FeatureViewProjection, ProjectedView


class FeatureService(Definition):
    """The features that one model needs, under one name.

    Parameters
    ----------
    name : str
    features : list of FeatureView or OnDemandFeatureView
        Whole views, or parts of them: ``[view, other[["a", "b"]], third.with_name("x")]``.
    description, owner : str, optional
    tags : dict of str to str, optional
    logging_config : LoggingConfig, optional
        Keep what servers answer to this service; default: nothing is kept.
    precompute_online : bool, optional
        Feast's; not run by this release.

    Attributes
    ----------
    feature_view_projections : list of FeatureViewProjection
        What it asks for, in order.
    """

    kind = "feature_service"

    def __init__(
        self,
        *,
        name: str,
        features: Sequence[FeatureView | OnDemandFeatureView],
        tags: dict[str, str] | None = None,
        description: str = "",
        owner: str = "",
        logging_config: LoggingConfig | None = None,
        precompute_online: bool = False,
    ) -> None:
        self.name = check.text(name, "FeatureService", "name", required=True)
        where = f"FeatureService {name!r}"
        self._parts: list[ProjectedView | FeatureViewProjection] = check.items(
            features, (FeatureView, OnDemandFeatureView, FeatureViewProjection), where, "features"
        )
        if not self._parts:
            raise InvalidError(f"{where}: features is empty; give at least one view")
        self.tags = check.texts(tags, where, "tags")
        self.description = check.text(description, where, "description")
        self.owner = check.text(owner, where, "owner")
        if logging_config is not None and not isinstance(logging_config, LoggingConfig):
            raise SchemaError(
                f"{where}: logging_config must be a LoggingConfig, not "
                f"{type(logging_config).__name__} {logging_config!r}"
            )
        self.logging_config = logging_config
        check.not_yet(where, precompute_online=precompute_online)

    @property
    def feature_view_projections(self) -> list[FeatureViewProjection]:
        """What it asks for, in order."""
        return [
            part.request_projection() if isinstance(part, ProjectedView) else part
            for part in self._parts
        ]

    @property
    def feature_views(self) -> list[FeatureView]:
        """The stored views it was written with; none for a service that comes from the registry."""
        return [part for part in self._parts if isinstance(part, FeatureView)]

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        """The on-demand views it was written with."""
        return [part for part in self._parts if isinstance(part, OnDemandFeatureView)]

    def to_document(self) -> dict[str, Any]:
        """Return the neutral form of this object."""
        document = {
            "kind": self.kind,
            "name": self.name,
            "features": [p.to_document() for p in self.feature_view_projections],
            "description": self.description,
            "tags": dict(self.tags),
            "owner": self.owner,
        }
        if self.logging_config is not None:
            document["logging_config"] = self.logging_config.to_document()
        return document

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """Return the object that a document describes."""
        logging = document.get("logging_config")
        parts: list[Any] = [FeatureViewProjection.from_document(p) for p in document["features"]]
        return cls(
            name=document["name"],
            features=parts,
            tags=document.get("tags"),
            description=document.get("description", ""),
            owner=document.get("owner", ""),
            logging_config=LoggingConfig.from_document(logging) if logging else None,
        )._read_timestamps(document)
