"""``Project``: the namespace that definitions live in."""

from typing import Any, Self

from tiffin.registry import check
from tiffin.registry.definition import Definition


class Project(Definition):
    """A namespace of definitions. One registry holds many.

    Parameters
    ----------
    name : str
        Must be the ``project`` of the ``feature_store.yaml`` that it is applied with.
    description, owner : str, optional
    tags : dict of str to str, optional
    """

    kind = "project"

    def __init__(
        self,
        *,
        name: str,
        description: str = "",
        tags: dict[str, str] | None = None,
        owner: str = "",
    ) -> None:
        self.name = check.text(name, "Project", "name", required=True)
        where = f"Project {name!r}"
        self.description = check.text(description, where, "description")
        self.tags = check.texts(tags, where, "tags")
        self.owner = check.text(owner, where, "owner")

    def to_document(self) -> dict[str, Any]:
        """Return the neutral form of this object."""
        return {
            "kind": self.kind,
            "name": self.name,
            "description": self.description,
            "tags": dict(self.tags),
            "owner": self.owner,
        }

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """Return the object that a document describes."""
        return cls(
            name=document["name"],
            description=document.get("description", ""),
            tags=document.get("tags"),
            owner=document.get("owner", ""),
        )._read_timestamps(document)
