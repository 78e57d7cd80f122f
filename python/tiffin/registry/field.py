"""``Field``: a named, typed column of a feature view."""

from typing import Any, Self

from tiffin.registry import check
from tiffin.types import FeatureType, as_type, from_document, to_document


class Field:
    """A column of a feature view: a feature, or a join key.

    Parameters
    ----------
    name : str
    dtype : FeatureType
        A type of ``tiffin.types``, e.g. ``Float32``; a ``ValueType`` or e.g. ``"float32"`` too.
    description : str, optional
    tags : dict of str to str, optional
    vector_index, vector_length, vector_search_metric
        Feast's vector search; this release refuses a vector index.
    """

    __slots__ = ("description", "dtype", "name", "tags")
    name: str
    dtype: FeatureType
    description: str
    tags: dict[str, str]

    def __init__(
        self,
        *,
        name: str,
        dtype: Any,
        description: str = "",
        tags: dict[str, str] | None = None,
        vector_index: bool = False,
        vector_length: int = 0,
        vector_search_metric: str | None = None,
    ) -> None:
        self.name = check.text(name, "Field", "name", required=True)
        where = f"Field {name!r}"
        self.dtype = as_type(dtype, f"{where}: dtype")
        self.description = check.text(description, where, "description")
        self.tags = check.texts(tags, where, "tags")
        check.not_yet(
            where,
            vector_index=vector_index,
            vector_length=vector_length,
            vector_search_metric=vector_search_metric,
        )

    def to_document(self) -> dict[str, Any]:
        """Return the neutral form of this field."""
        text, tags = to_document(self.dtype)
        return {
            "name": self.name,
            "dtype": text,
            "description": self.description,
            "tags": {**self.tags, **tags},
        }

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """Return the field that a document describes."""
        field = cls.__new__(cls)  # the registry has checked it: lists of thousands come this way
        field.name = document["name"]
        field.description = document.get("description", "")
        field.tags = dict(document.get("tags") or {})
        field.dtype = from_document(document["dtype"], field.tags)
        return field

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Field):
            return NotImplemented
        return self.to_document() == other.to_document()

    def __hash__(self) -> int:
        return hash((self.name, self.dtype))

    def __repr__(self) -> str:
        more = f", description={self.description!r}" if self.description else ""
        more += f", tags={self.tags!r}" if self.tags else ""
        return f"Field(name={self.name!r}, dtype={self.dtype!r}{more})"


class Feature(Field):
    """Older spelling of `Field`: ``Feature("conv_rate", ValueType.FLOAT)``.

    Parameters
    ----------
    name : str
    dtype : ValueType or FeatureType
    description : str, optional
    labels : dict of str to str, optional
        Its tags.
    """

    __slots__ = ()

    def __init__(
        self,
        name: str,
        dtype: Any,
        description: str = "",
        labels: dict[str, str] | None = None,
        *,
        tags: dict[str, str] | None = None,
    ) -> None:
        both = check.one_of(f"Feature {name!r}", labels=labels, tags=tags)
        super().__init__(name=name, dtype=dtype, description=description, tags=both)

    __hash__ = Field.__hash__
