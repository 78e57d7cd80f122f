"""``Entity``: what features are about, and the column that tells one from another."""

from typing import Any, Self

from tiffin.errors import InvalidError
from tiffin.registry import check
from tiffin.registry.definition import Definition
from tiffin.types import FeatureType, Invalid, as_type, from_text
from tiffin.value_type import ValueType


class Entity(Definition):
    """A thing that features describe, e.g. a customer, and its join key.

    Parameters
    ----------
    name : str
    join_keys : list of str, optional
        The one column by which rows of this entity are joined; default ``[name]``. A composite key
        is several entities of one view.
    value_type : ValueType or type, optional
        Type of the join key: a ``ValueType``, a type of ``tiffin.types``, or e.g. ``int``. Left
        out, it is inferred from the sources at apply.
    description, owner : str, optional
    tags : dict of str to str, optional
    join_key : str, optional
        Older spelling of `join_keys`.

    Raises
    ------
    InvalidError
        More than one join key.
    """

    kind = "entity"
    join_key: str
    dtype: FeatureType

    def __init__(
        self,
        *,
        name: str,
        join_keys: list[str] | None = None,
        value_type: Any = None,
        description: str = "",
        tags: dict[str, str] | None = None,
        owner: str = "",
        join_key: str | None = None,
    ) -> None:
        self.name = check.text(name, "Entity", "name", required=True)
        where = f"Entity {name!r}"
        keys = check.items(join_keys, str, where, "join_keys")
        if len(keys) > 1:
            raise InvalidError(
                f"{where}: one join key is possible, not {len(keys)} ({', '.join(keys)}); "
                "for a composite key define one entity per column and give the view all of them"
            )
        key = check.one_of(where, join_keys=keys[0] if keys else None, join_key=join_key)
        self.join_key = check.text(key or name, where, "join_key", required=True)
        self.dtype = Invalid if value_type is None else as_type(value_type, f"{where}: value_type")
        self.description = check.text(description, where, "description")
        self.tags = check.texts(tags, where, "tags")
        self.owner = check.text(owner, where, "owner")

    @property
    def join_keys(self) -> list[str]:
        """The join key, in a list of its own."""
        return [self.join_key]

    @property
    def value_type(self) -> ValueType:
        """Type of the join key as Feast's number; ``UNKNOWN`` = inferred at apply."""
        return self.dtype.to_value_type()

    @value_type.setter
    def value_type(self, value: Any) -> None:
        self.dtype = as_type(value, f"Entity {self.name!r}: value_type")

    def to_document(self) -> dict[str, Any]:
        """Return the neutral form of this object."""
        return {
            "kind": self.kind,
            "name": self.name,
            "join_key": self.join_key,
            "value_type": self.dtype.text,
            "description": self.description,
            "tags": dict(self.tags),
            "owner": self.owner,
        }

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """Return the object that a document describes."""
        return cls(
            name=document["name"],
            join_key=document.get("join_key") or document["name"],
            value_type=from_text(document.get("value_type", "unknown")),
            description=document.get("description", ""),
            tags=document.get("tags"),
            owner=document.get("owner", ""),
        )._read_timestamps(document)
