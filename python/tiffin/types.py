"""Types of features and join keys, under Feast's names.

Run by this release: ``Bool Int32 Int64 Float32 Float64 String Bytes UnixTimestamp Date``,
``Decimal Uuid TimeUuid Json Map`` and ``Struct``, ``Array`` of each, and ``Set`` of all but the
last three (docs/semantics/types.md). The other names exist so that definitions can be written with
them; `apply` refuses them by name. Timestamps are UTC and keep the unit of their source.
"""

import datetime
import functools
import json
from collections.abc import Mapping
from typing import Any

from tiffin.errors import InvalidError, SchemaError
from tiffin.value_type import ValueType

__all__ = [
    "Array",
    "Bool",
    "Bytes",
    "Date",
    "Decimal",
    "FeatureType",
    "Float32",
    "Float64",
    "ImageBytes",
    "Int32",
    "Int64",
    "Invalid",
    "Json",
    "Map",
    "PdfBytes",
    "ScalarMap",
    "Set",
    "String",
    "Struct",
    "TimeUuid",
    "UnixTimestamp",
    "Uuid",
    "ValueType",
    "ZonedTimestamp",
    "as_type",
    "from_text",
    "from_value_type",
]


class FeatureType:
    """A type, known by its text in definition documents.

    Parameters
    ----------
    text : str
        E.g. ``"int64"`` or ``"array<string>"``.
    """

    __slots__ = ("text",)
    text: str

    def __init__(self, text: str) -> None:
        object.__setattr__(self, "text", text)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a type cannot be changed (attribute {name!r})")

    def __reduce__(self) -> tuple[Any, ...]:
        return from_text, (self.text,)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, FeatureType):
            return self.text == other.text
        if isinstance(other, ValueType):
            return self.text == _TEXT_BY_VALUE_TYPE.get(other, "")
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return _NAMES.get(self.text, self.text)

    def to_value_type(self) -> ValueType:
        """Feast's number of this type; ``UNKNOWN`` where Feast has none."""
        return _VALUE_TYPE_BY_TEXT.get(self.text, ValueType.UNKNOWN)


class Array(FeatureType):
    """A list of values of one type: ``Array(Int64)``.

    Parameters
    ----------
    base_type : FeatureType
        Type of the items.
    """

    __slots__ = ("base_type",)
    base_type: FeatureType

    def __init__(self, base_type: Any) -> None:
        object.__setattr__(self, "base_type", as_type(base_type, "Array"))
        super().__init__(f"array<{self.base_type.text}>")

    def __repr__(self) -> str:
        return f"Array({self.base_type!r})"


class Set(FeatureType):
    """A set of values of one type: ``Set(String)``.

    Parameters
    ----------
    base_type : FeatureType
        Type of the items.
    """

    __slots__ = ("base_type",)
    base_type: FeatureType

    def __init__(self, base_type: Any) -> None:
        object.__setattr__(self, "base_type", as_type(base_type, "Set"))
        super().__init__(f"set<{self.base_type.text}>")

    def __repr__(self) -> str:
        return f"Set({self.base_type!r})"


class Struct(FeatureType):
    """Named fields of given types: ``Struct({"a": Int64})``.

    Parameters
    ----------
    fields : dict of str to FeatureType
        The fields, in order.
    """

    __slots__ = ("fields",)
    fields: dict[str, FeatureType]

    def __init__(self, fields: Mapping[str, Any]) -> None:
        if not isinstance(fields, Mapping):
            raise SchemaError(f"Struct needs a dict of types, not {type(fields).__name__}")
        types = {
            str(name): as_type(base, f"Struct field {name!r}") for name, base in fields.items()
        }
        object.__setattr__(self, "fields", types)
        inner = ",".join(f"{name}:{base.text}" for name, base in types.items())
        super().__init__(f"struct<{inner}>")

    def __repr__(self) -> str:
        return f"Struct({self.fields!r})"


Invalid = FeatureType("unknown")
Bytes = FeatureType("bytes")
String = FeatureType("string")
Bool = FeatureType("bool")
Int32 = FeatureType("int32")
Int64 = FeatureType("int64")
Float32 = FeatureType("float32")
Float64 = FeatureType("float64")
UnixTimestamp = FeatureType("timestamp")
Date = FeatureType("date")
Decimal = FeatureType("decimal")
Uuid = FeatureType("uuid")
TimeUuid = FeatureType("time_uuid")
Json = FeatureType("json")
Map = FeatureType("map")
ScalarMap = FeatureType("scalar_map")
PdfBytes = FeatureType("pdf_bytes")
ImageBytes = FeatureType("image_bytes")
ZonedTimestamp = FeatureType("zoned_timestamp")

_NAMES = {
    value.text: name
    for name, value in list(globals().items())
    if isinstance(value, FeatureType) and not name.startswith("_")
}

_VALUE_TYPE_BY_TEXT = {
    "unknown": ValueType.UNKNOWN,
    "bytes": ValueType.BYTES,
    "string": ValueType.STRING,
    "int32": ValueType.INT32,
    "int64": ValueType.INT64,
    "float64": ValueType.DOUBLE,
    "float32": ValueType.FLOAT,
    "bool": ValueType.BOOL,
    "timestamp": ValueType.UNIX_TIMESTAMP,
    "date": ValueType.DATE,
    "map": ValueType.MAP,
    "json": ValueType.JSON,
    "struct": ValueType.STRUCT,
    "uuid": ValueType.UUID,
    "time_uuid": ValueType.TIME_UUID,
    "decimal": ValueType.DECIMAL,
    "scalar_map": ValueType.SCALAR_MAP,
    "pdf_bytes": ValueType.PDF_BYTES,
    "image_bytes": ValueType.IMAGE_BYTES,
    "zoned_timestamp": ValueType.ZONED_TIMESTAMP,
    "null": ValueType.NULL,
    "value_list": ValueType.VALUE_LIST,
    "value_set": ValueType.VALUE_SET,
}
for _text, _member in list(_VALUE_TYPE_BY_TEXT.items()):
    for _shape, _suffix in (("array", "LIST"), ("set", "SET")):
        _other = ValueType.__members__.get(f"{_member.name}_{_suffix}")
        if _other is not None:
            _VALUE_TYPE_BY_TEXT[f"{_shape}<{_text}>"] = _other
_TEXT_BY_VALUE_TYPE = {member: text for text, member in _VALUE_TYPE_BY_TEXT.items()}

_TEXT_BY_PYTHON: dict[type, str] = {
    bool: "bool",
    int: "int64",
    float: "float64",
    str: "string",
    bytes: "bytes",
    datetime.datetime: "timestamp",
    datetime.date: "date",
}


@functools.cache
def from_text(text: str) -> FeatureType:
    """Read a type as definition documents write it.

    Parameters
    ----------
    text : str
        E.g. ``"array<int64>"``.

    Returns
    -------
    FeatureType
        For a text that is no type's, a type that `apply` refuses by this text.
    """
    for shape, prefix in ((Array, "array<"), (Set, "set<")):
        if text.startswith(prefix) and text.endswith(">"):
            return shape(from_text(text[len(prefix) : -1]))
    return FeatureType(text)


_SCHEMA_TAG = "feast:struct_schema"


def to_document(dtype: FeatureType) -> tuple[str, dict[str, str]]:
    """Return a type as documents have it: its text, and a tag with the fields of a struct.

    The tag is Feast's: JSON of names and types.
    """
    base = dtype.base_type if isinstance(dtype, Array) else dtype
    if not isinstance(base, Struct):
        return dtype.text, {}
    fields = json.dumps({name: _name_of(field) for name, field in base.fields.items()})
    return ("array<struct>" if isinstance(dtype, Array) else "struct"), {_SCHEMA_TAG: fields}


def from_document(text: str, tags: dict[str, str]) -> FeatureType:
    """Return the type that `to_document` wrote; its tag is taken out of `tags`."""
    found = from_text(text)
    schema = tags.get(_SCHEMA_TAG) if text in ("struct", "array<struct>") else None
    if schema is None:
        return found
    try:
        struct = Struct({name: _from_name(field) for name, field in json.loads(schema).items()})
    except (
        ValueError,
        AttributeError,
        TypeError,
        KeyError,
    ):  # not Feast's
        return found
    del tags[_SCHEMA_TAG]
    return Array(struct) if text.startswith("array") else struct


def _name_of(dtype: FeatureType) -> str:
    """Return a field's type as Feast writes it into the tag: ``INT64``, ``Array(STRING)``."""
    if isinstance(dtype, Array | Set):
        return f"{type(dtype).__name__}({_name_of(dtype.base_type)})"
    if isinstance(dtype, Struct):
        fields = {name: _name_of(field) for name, field in dtype.fields.items()}
        return json.dumps({"__struct__": fields})
    return dtype.to_value_type().name


def _from_name(name: str) -> FeatureType:
    for shape in (Array, Set):
        if name.startswith(f"{shape.__name__}(") and name.endswith(")"):
            return shape(_from_name(name[len(shape.__name__) + 1 : -1]))
    if name.startswith("{"):
        fields = json.loads(name)["__struct__"]
        return Struct({field: _from_name(inner) for field, inner in fields.items()})
    return from_value_type(ValueType.__members__.get(name, ValueType.UNKNOWN))


def from_value_type(value_type: ValueType) -> FeatureType:
    """Return the type that one of Feast's numbers stands for."""
    return from_text(_TEXT_BY_VALUE_TYPE.get(value_type, "unknown"))


def as_type(value: Any, where: str) -> FeatureType:
    """Read a type in any spelling.

    Parameters
    ----------
    value : FeatureType, ValueType, type or str
        E.g. ``Int64``, ``ValueType.INT64``, ``int`` or ``"int64"``.
    where : str
        What the type is for; it begins the sentence of an error.

    Returns
    -------
    FeatureType

    Raises
    ------
    SchemaError
        `value` is nothing that names a type.
    InvalidError
        A text that is no type's.
    """
    if isinstance(value, FeatureType):
        return value
    if isinstance(value, ValueType):
        return from_value_type(value)
    if isinstance(value, str):
        text = value.strip().lower()
        found = from_text(text)
        if found.text in _NAMES or isinstance(found, Array | Set):
            return found
        known = ", ".join(sorted(name.lower() for name in _TEXT_BY_PYTHON.values()))
        raise InvalidError(f"{where}: {value!r} is not a type; write e.g. {known} or array<int64>")
    if isinstance(value, type):
        if value in _TEXT_BY_PYTHON:
            return FeatureType(_TEXT_BY_PYTHON[value])
        if issubclass(value, FeatureType):
            name = value.__name__
            raise SchemaError(f"{where}: {name} needs the type of its items, e.g. {name}(Int64)")
    name = value.__name__ if isinstance(value, type) else f"{type(value).__name__} {value!r}"
    raise SchemaError(
        f"{where}: a type of tiffin.types or a ValueType is needed, e.g. Int64, not {name}"
    )
