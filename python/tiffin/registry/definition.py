"""What all definitions share: a kind, a name, a document, equality by content."""

import datetime
from typing import Any, ClassVar, Self


def kind_words(kind: str) -> str:
    """Return a kind as sentences say it: ``"on-demand feature view"``."""
    return kind.replace("_", " ").replace("on demand", "on-demand")


class Definition:
    """An object of the registry: entity, data source, feature view, feature service or project.

    Attributes
    ----------
    kind : str
        Word of the document's ``"kind"``, e.g. ``"feature_view"``.
    name : str
        Unique within its project and kind.
    description, owner : str
    tags : dict of str to str
    created_timestamp, last_updated_timestamp : datetime or None
        UTC, set by the registry; None before the object comes from there. Not compared.
    """

    kind: ClassVar[str]
    name: str
    description: str
    tags: dict[str, str]
    owner: str
    created_timestamp: datetime.datetime | None = None
    last_updated_timestamp: datetime.datetime | None = None

    def to_document(self) -> dict[str, Any]:
        """Return the neutral form of this object: JSON types only, all defaults written out."""
        raise NotImplementedError

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """Return the object that a document describes."""
        raise NotImplementedError

    def _identity(self) -> Any:
        return self.to_document()

    def _read_timestamps(self, document: dict[str, Any]) -> Self:
        for name in ("created_timestamp", "last_updated_timestamp"):
            if document.get(name):
                setattr(self, name, datetime.datetime.fromisoformat(document[name]))
        return self

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Definition):
            return NotImplemented
        return type(self) is type(other) and bool(self._identity() == other._identity())

    def __hash__(self) -> int:
        return hash((self.kind, self.name))

    def __repr__(self) -> str:
        shown = {k: v for k, v in self.to_document().items() if k not in ("kind", "type") and v}
        inner = ", ".join(f"{k}={v!r}" for k, v in shown.items())
        return f"{type(self).__name__}({inner})"
