"""Run-time checks of what people pass to constructors: one clear sentence each."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from tiffin.errors import InvalidError, SchemaError, UnsupportedError

T = TypeVar("T")


def _found(value: object) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"


def text(value: Any, where: str, argument: str, *, required: bool = False) -> str:
    """`value` as a str; None is the empty one unless required."""
    if value is None and not required:
        return ""
    if not isinstance(value, str):
        raise SchemaError(f"{where}: {argument} must be a str, not {_found(value)}")
    if required and not value:
        raise InvalidError(f"{where}: {argument} must not be empty")
    return value


def flag(value: Any, where: str, argument: str) -> bool:
    """`value`, a bool."""
    if not isinstance(value, bool):
        raise SchemaError(f"{where}: {argument} must be True or False, not {_found(value)}")
    return value


def texts(value: Any, where: str, argument: str) -> dict[str, str]:
    """`value` as a new dict of str to str; None is the empty one."""
    if value is None or value == {}:
        return {}
    if not isinstance(value, Mapping):
        raise SchemaError(f"{where}: {argument} must be a dict of str to str, not {_found(value)}")
    for key, item in value.items():
        if not isinstance(key, str) or not isinstance(item, str):
            raise SchemaError(
                f"{where}: {argument} must be a dict of str to str, but it holds {key!r}: {item!r}"
            )
    return dict(value)


def items(value: Any, of: type[T] | tuple[type[T], ...], where: str, argument: str) -> list[T]:
    """`value` as a new list of instances of `of`; None is the empty one."""
    *others, last = (c.__name__ for c in (of if isinstance(of, tuple) else (of,)))
    names = f"{', '.join(others)} or {last}" if others else last
    if value is None:
        return []
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise SchemaError(f"{where}: {argument} must be a list of {names}, not {_found(value)}")
    found = list(value)
    for i, item in enumerate(found):
        if not isinstance(item, of):
            raise SchemaError(f"{where}: {argument}[{i}] must be {names}, not {_found(item)}")
    return found


def one_of(where: str, **spellings: Any) -> Any:
    """Return the value given under any spelling of one argument; None when none was given.

    Empty texts and None are "not given". Two different values are refused.
    """
    given = {
        k: v for k, v in spellings.items() if v is not None and not (isinstance(v, str) and v == "")
    }
    if len(given) == 2:
        (first, a), (second, b) = given.items()
        if a is not b and a != b:
            raise InvalidError(f"{where}: {first} and {second} mean the same; give one of them")
    return next(iter(given.values()), None)


def not_yet(where: str, **arguments: Any) -> None:
    """Refuse arguments of Feast's that were given and that this release does not run."""
    for name, value in arguments.items():
        if value:
            raise UnsupportedError(
                f"{where}: {name}={value!r} is Feast's, but this release does not run it; "
                f"leave {name} out"
            )
