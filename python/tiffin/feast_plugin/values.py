"""Values as Feast's protobuf messages, and back: only where its interface demands messages."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import feast_value_type_to_python_type, python_values_to_proto_values
from feast.value_type import ValueType

_SCALARS = frozenset(
    {"bytes_val", "string_val", "int32_val", "int64_val", "double_val", "float_val", "bool_val"}
)


def to_python(message: Value) -> Any:
    """Return the value of a message; None for one that holds none."""
    kind = message.WhichOneof("val")
    if kind in _SCALARS:
        return getattr(message, kind)
    return feast_value_type_to_python_type(message)


def to_messages(values: Sequence[Any], dtype: Any) -> list[Value]:
    """Return a message for each value of a column."""
    kind: ValueType = dtype.to_value_type()
    if all(value is None for value in values):
        return [Value() for _ in values]
    return list(python_values_to_proto_values(list(values), kind))


def keys_as_columns(keys: Iterable[Any]) -> dict[str, list[Any]]:
    """Return entity keys (messages) as columns by join key."""
    columns: dict[str, list[Any]] = {}
    for key in keys:
        for name, value in zip(key.join_keys, key.entity_values, strict=True):
            columns.setdefault(name, []).append(to_python(value))
    return columns


def moment(time: datetime) -> datetime:
    """Return a time of Feast's with its zone: naive is UTC."""
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)
