"""``RequestSource``: fields that the caller of a request brings along."""

from typing import Any

from tiffin.errors import InvalidError
from tiffin.registry import check
from tiffin.registry.data_source import DataSource
from tiffin.registry.field import Field


class RequestSource(DataSource):
    """Fields that the caller of a request brings along, for on-demand feature views.

    In a training set they are columns of the entity rows; online, keys of the entity rows.

    Parameters
    ----------
    name : str
    schema : list of Field
    timestamp_field
        Feast's; not run by this release.
    description, owner : str, optional
    tags : dict of str to str, optional
    """

    schema: list[Field]

    def __init__(
        self,
        *,
        name: str,
        schema: list[Field],
        timestamp_field: str | None = None,
        description: str | None = "",
        tags: dict[str, str] | None = None,
        owner: str | None = "",
    ) -> None:
        self.name = check.text(name, "RequestSource", "name", required=True)
        where = f"RequestSource {name!r}"
        self.schema = check.items(schema, Field, where, "schema")
        if not self.schema:
            raise InvalidError(f"{where}: schema is empty; give at least one Field")
        self.description = check.text(description, where, "description")
        self.tags = check.texts(tags, where, "tags")
        self.owner = check.text(owner, where, "owner")
        check.not_yet(where, timestamp_field=timestamp_field)

    def to_document(self) -> dict[str, Any]:
        """Return the neutral form of this object."""
        return {
            "kind": self.kind,
            "name": self.name,
            "type": "request",
            "schema": [field.to_document() for field in self.schema],
            "description": self.description,
            "tags": dict(self.tags),
            "owner": self.owner,
        }

    @classmethod
    def _read(cls, document: dict[str, Any]) -> "RequestSource":
        return cls(
            name=document["name"],
            schema=[Field.from_document(field) for field in document["schema"]],
            description=document.get("description", ""),
            tags=document.get("tags"),
            owner=document.get("owner", ""),
        )
