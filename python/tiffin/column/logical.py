"""Values whose type has a meaning: as texts and lists in columns, as objects in Python.

Columns (files, Arrow, the online store) hold a decimal, a UUID, JSON, a map or a struct as its
text, a set as a list. Python has `decimal.Decimal`, `uuid.UUID`, what ``json.loads`` gives, and
`set`, as Feast does. The rules: docs/semantics/types.md.
"""

import datetime
import decimal
import json
import math
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tiffin.column.plain import to_plain

METADATA_KEY = b"tiffin:type"  # in the metadata of an Arrow field: its type


def to_objects(values: list[Any], text: str) -> list[Any]:
    """Return the values of a column as Python's objects.

    Parameters
    ----------
    values : list of str or list, None for null
    text : str
        The type, e.g. ``"set<uuid>"``; of one without a meaning the values are returned as they
        are.

    Returns
    -------
    list
        A text that is not what the type says stays a text: files are not ours to correct.
    """
    shape, item = split(text)
    make = _OBJECTS.get(item)
    if shape == "":
        return values if make is None else [None if v is None else make(v) for v in values]
    if make is not None:
        values = [v if v is None else [i if i is None else make(i) for i in v] for v in values]
    return values if shape == "array" else [None if v is None else set(v) for v in values]


def split(text: str) -> tuple[str, str]:
    """``"set<uuid>"`` to ``("set", "uuid")``, ``"struct<a:int64>"`` to ``("", "struct")``."""
    shape, _, rest = text.partition("<")
    if shape == "struct":
        return "", shape
    if rest == "":
        return "", text
    item = rest.removesuffix(">")
    return shape, "struct" if item.startswith("struct<") else item


def is_text(text: str) -> bool:
    """Whether a type is a text with a meaning, such as ``"uuid"``."""
    shape, item = split(text)
    return shape == "" and item in _OBJECTS


def has_meaning(text: str) -> bool:
    """Whether values of a type are something else in Python than in a column."""
    shape, item = split(text)
    return shape == "set" or item in _OBJECTS


def from_objects(values: list[Any], text: str) -> list[Any]:
    """Return Python's objects as what a column of the type holds; the reverse of `to_objects`.

    Texts stay as they are, but in sets and lists of items, NaN is null.

    Raises
    ------
    TypeError
        JSON has no such value.
    """
    shape, item = split(text)
    values = [None if _is_null(value) else value for value in values]
    if shape == "":
        return [v if v is None else _text_of(v, item) for v in values]
    if any(v is not None and isinstance(v, str | bytes | Mapping) for v in values):
        raise TypeError(f"a text or a dict is no {shape}")
    if shape == "set":
        values = [sorted(v, key=_order) if isinstance(v, set | frozenset) else v for v in values]
    if item not in _OBJECTS:
        return [v if v is None else list(v) for v in values]
    return [v if v is None else [i if i is None else _text_of(i, item) for i in v] for v in values]


def _is_null(value: Any) -> bool:
    is_nan = isinstance(value, float) and value != value
    return value is None or is_nan or type(value).__name__ in ("NAType", "NaTType")


def _text_of(value: Any, item: str) -> str:
    """Return a value of a declared type as its text; a TypeError if it is none."""
    if item in ("json", "map", "struct"):
        return _json_text_of(value, is_object=item != "json")
    if item == "decimal":
        is_number = isinstance(value, decimal.Decimal | int | float) and value is not True
        if (is_number and value is not False) or isinstance(value, str):
            text = str(value)
            if isinstance(_to_decimal(text), decimal.Decimal):
                return text
        raise TypeError(f"{value!r:.60} is no decimal number")
    if isinstance(value, uuid.UUID) or (
        isinstance(value, str) and isinstance(_to_uuid(value), uuid.UUID)
    ):
        return str(value)
    raise TypeError(f"{value!r:.60} is no UUID")


def _json_text_of(value: Any, is_object: bool) -> str:
    text = value if isinstance(value, str) else to_json(value)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise TypeError(f"{value!r:.60} is no JSON") from None
    if is_object and not isinstance(found, dict):
        raise TypeError(f"{value!r:.60} is no dict, nor a JSON object")
    return text


def to_json(value: Any) -> str:
    """Return a value as JSON text, as scans write the objects of files.

    Times are UTC, decimals are numbers, NaN and pandas' missing values are null, keys are texts.

    Raises
    ------
    TypeError
        JSON has no such value.
    """
    return json.dumps(_in_json(value), separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _in_json(value: Any) -> Any:
    if _is_null(value):
        return None
    if value is True or value is False or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return {str(key): _in_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_in_json(item) for item in value]
    if isinstance(value, set | frozenset):
        return [_in_json(item) for item in sorted(value, key=_order)]
    if isinstance(value, decimal.Decimal | float):
        number = float(value)
        return number if math.isfinite(number) else None
    if isinstance(value, uuid.UUID | datetime.date | datetime.time):
        return _time_text(value) if isinstance(value, datetime.datetime) else str(value)
    if hasattr(value, "tolist"):  # NumPy's scalars and arrays
        return _in_json(value.tolist())
    raise TypeError(f"JSON has no {type(value).__name__}")


def _time_text(time: datetime.datetime) -> str:
    """As DuckDB writes a time into JSON; without a zone it has none."""
    zone = "" if time.tzinfo is None else "+00"
    at = time if time.tzinfo is None else time.astimezone(datetime.UTC)
    text = str(at.replace(tzinfo=None))
    return (text.rstrip("0") if "." in text else text) + zone


def with_meaning(name: str, kind: Any, text: str) -> Any:
    """Return a `pyarrow.Field` whose metadata say what its type means, if that is more."""
    import pyarrow as pa

    return pa.field(name, kind, metadata={METADATA_KEY: text} if has_meaning(text) else None)


def table_types(schema: Any) -> dict[str, str]:
    """Columns of an Arrow schema whose types have a meaning, with their texts."""
    found = {}
    for field in schema:
        text = (field.metadata or {}).get(METADATA_KEY)
        if text is not None:
            found[field.name] = text.decode()
    return found


def _to_uuid(text: str) -> Any:
    try:
        return uuid.UUID(text)
    except ValueError:
        return text


def _to_decimal(text: str) -> Any:
    try:
        number = decimal.Decimal(text)
    except decimal.InvalidOperation:
        return text
    return text if number.is_snan() else number  # which has no hash, so no set has it


def _to_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


_OBJECTS: dict[str, Callable[[str], Any]] = {
    "uuid": _to_uuid,
    "time_uuid": _to_uuid,
    "decimal": _to_decimal,
    "json": _to_json,
    "map": _to_json,
    "struct": _to_json,
}


def to_plain_values(values: Iterable[Any]) -> list[Any] | None:
    """Return objects of a column as what columns hold.

    Parameters
    ----------
    values : iterable of object
        Of a column of Python objects.

    Returns
    -------
    list or None
        With texts for `decimal.Decimal`, `uuid.UUID` and dicts, and lists for sets, also within
        lists; None where nothing is such an object, and the values can stay as they are.

    Raises
    ------
    TypeError
        A dict with something that JSON does not have.
    """
    values = list(values)
    kinds = set(map(type, values))
    if not any(issubclass(kind, _LOGICAL) or kind.__name__ in _LISTS for kind in kinds):
        return None
    # Beside a dict everything is JSON, which may be a number or a list as well.
    is_json = any(issubclass(kind, Mapping) for kind in kinds)
    items = {type(item) for value in values if _holds_objects(value) for item in value}
    has_json = any(issubclass(kind, Mapping) for kind in items)
    if not any(issubclass(kind, _LOGICAL) for kind in kinds | items):
        return None
    return [_to_plain(value, is_json, has_json) for value in values]


_LOGICAL = (decimal.Decimal, uuid.UUID, Mapping, set, frozenset)
_LISTS = ("list", "tuple", "ndarray")


def _holds_objects(value: Any) -> bool:
    """Whether it is a list that may hold Python's objects; arrays of numbers are not looked at."""
    return type(value).__name__ in _LISTS and str(getattr(value, "dtype", "object")) == "object"


def _to_plain(value: Any, is_json: bool = False, has_json: bool = False) -> Any:
    if _is_null(value):
        return None
    if isinstance(value, str):
        return value
    if is_json or isinstance(value, Mapping):
        return to_json(value)
    if isinstance(value, decimal.Decimal | uuid.UUID):
        return str(value)
    if isinstance(value, set | frozenset):
        return [_to_plain(item) for item in sorted(value, key=_order)]
    return [_to_plain(item, has_json) for item in value] if _holds_objects(value) else value


def _order(item: Any) -> tuple[str, Any]:
    """Give the items of a set an order: equal sets are to be equal columns."""
    is_decimal = isinstance(item, decimal.Decimal)  # of which NaN has none
    return type(item).__name__, str(item) if is_decimal else item


def column_to_plain(column: Any) -> Any:
    """Return an Arrow column of decimals, maps, structs or UUIDs as texts, others as they are.

    Parameters
    ----------
    column : pyarrow.Array or pyarrow.ChunkedArray

    Returns
    -------
    pyarrow.Array or pyarrow.ChunkedArray
        Lists of such values as lists of texts.

    Raises
    ------
    TypeError
        JSON has no such value as a struct or map holds.
    """
    import pyarrow as pa

    column = to_plain(column)
    kind = column.type
    if not is_logical(kind):
        return column
    target = pa.list_(pa.string()) if _is_list(kind) else pa.string()
    values = [_to_plain(_with_dicts(value, kind)) for value in column.to_pylist()]
    texts = pa.array(values, target)
    return pa.chunked_array([texts]) if isinstance(column, pa.ChunkedArray) else texts


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    is_ = pa.types
    return bool(is_.is_list(kind) or is_.is_large_list(kind) or is_.is_fixed_size_list(kind))


def _with_dicts(value: Any, kind: Any) -> Any:
    """Make dicts of Arrow's maps, which Python gets as lists of pairs."""
    import pyarrow as pa

    if value is None or not pa.types.is_nested(kind):
        return value
    if pa.types.is_map(kind):
        return {str(key): _with_dicts(item, kind.item_type) for key, item in value}
    if pa.types.is_struct(kind):
        return {field.name: _with_dicts(value[field.name], field.type) for field in kind}
    return [_with_dicts(item, kind.value_type) for item in value]


def is_logical(kind: Any) -> bool:
    """Whether an Arrow type, or that of a list's items, is one that our columns hold as text."""
    import pyarrow as pa

    is_ = pa.types
    if _is_list(kind):
        return is_logical(kind.value_type)
    if is_.is_dictionary(kind):
        return is_logical(kind.value_type)
    return bool(is_.is_decimal(kind) or is_.is_map(kind) or is_.is_struct(kind) or _is_uuid(kind))


def _is_uuid(kind: Any) -> bool:
    return getattr(kind, "extension_name", "") == "arrow.uuid"


def column_from_plain(column: Any, target: Any) -> Any:
    """Return texts (or lists of them) as the Arrow type that a file has for them.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        As `column_to_plain` makes it.
    target : pyarrow.DataType
        One that `is_logical` knows.

    Returns
    -------
    pyarrow.ChunkedArray

    Raises
    ------
    pyarrow.ArrowInvalid, ValueError
        A value does not fit.
    """
    import pyarrow as pa

    values = [_to_native(value, target) for value in column.to_pylist()]
    if _is_list(target) and _is_uuid(target.value_type):
        lists = pa.array(values, pa.list_(target.value_type.storage_type))
        items = pa.ExtensionArray.from_storage(target.value_type, lists.values)
        return pa.chunked_array(
            [pa.ListArray.from_arrays(lists.offsets, items, mask=lists.is_null())]
        )
    return pa.chunked_array([pa.array(values, target)])


def _to_native(value: Any, kind: Any) -> Any:
    """Return a text as what a file's type takes."""
    import pyarrow as pa

    is_ = pa.types
    if value is None:
        return None
    if _is_list(kind):
        return [_to_native(item, kind.value_type) for item in value]
    if is_.is_map(kind) or is_.is_struct(kind):
        return _from_json(json.loads(value, parse_float=decimal.Decimal), kind)
    return _from_json(value, kind)


def _from_json(value: Any, kind: Any) -> Any:
    """Return what JSON has as what an Arrow type takes; a ValueError where that loses something."""
    import pyarrow as pa

    is_ = pa.types
    if value is None:
        return None
    if is_.is_map(kind):
        return [
            (_from_json(_key_of(key, kind.key_type), kind.key_type), _from_json(v, kind.item_type))
            for key, v in value.items()
        ]
    if is_.is_struct(kind):
        fields = {field.name: field.type for field in kind}
        if unknown := [key for key in value if key not in fields]:
            raise ValueError(f"the files have no member {unknown[0]!r}")
        return {key: _from_json(item, fields[key]) for key, item in value.items()}
    if _is_list(kind):
        return [_from_json(item, kind.value_type) for item in value]
    if _is_uuid(kind):
        return uuid.UUID(value).bytes
    if is_.is_decimal(kind):
        return decimal.Decimal(value)
    if is_.is_timestamp(kind):
        time = datetime.datetime.fromisoformat(value)
        aware = time if time.tzinfo is not None else time.replace(tzinfo=datetime.UTC)
        return aware if kind.tz is not None else aware.astimezone(datetime.UTC).replace(tzinfo=None)
    if is_.is_date(kind):
        return datetime.date.fromisoformat(value)
    if isinstance(value, decimal.Decimal):
        if is_.is_integer(kind) and value != value.to_integral_value():
            raise ValueError(f"{value} is no whole number")
        return int(value) if is_.is_integer(kind) else float(value)
    return value


def _key_of(key: str, kind: Any) -> Any:
    """Return a key of an object, which is a text, as a key of a map."""
    import pyarrow as pa

    return int(key) if pa.types.is_integer(kind) else key
