"""Functions of views as Feast stores them: pickled by dill, with their text.

Feast runs a function from its pickle, in processes that do not have the repo. So what the repo
defines goes into the pickle by value: the function itself, and functions of the repo that it calls.
What is installed goes in by name. Pickles hold byte code, so who reads them needs the same minor
version of Python.

Pickles are made here and never read, but for a look at what they name.
"""

import base64
import inspect
import io
import sys
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

from tiffin.errors import InvalidError, TiffinError, UnsupportedError

Call = Callable[..., Any]


class _ByValue:
    """Copies of functions of a repo, in copies of their modules' globals."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._globals: dict[int, dict[str, Any]] = {}
        self._kept: list[dict[str, Any]] = []  # so that no id is used twice

    def is_of_repo(self, module: str | None) -> bool:
        """Whether a module is one of the repo's files, which readers do not have."""
        file = getattr(sys.modules.get(module or ""), "__file__", None)
        return _lies_in(file, self._folder)

    def copy(self, call: FunctionType) -> FunctionType:
        """Return the function as one of the module that every process has."""
        twin = FunctionType(
            call.__code__,
            self._copy_globals(call.__globals__),
            call.__name__,
            call.__defaults__,
            call.__closure__,
        )
        twin.__kwdefaults__ = call.__kwdefaults__
        twin.__annotations__ = dict(call.__annotations__)
        twin.__dict__.update(call.__dict__)
        twin.__doc__ = call.__doc__
        twin.__qualname__ = call.__name__
        twin.__module__ = "__main__"
        return twin

    def _copy_globals(self, names: dict[str, Any]) -> dict[str, Any]:
        made = self._globals.get(id(names))
        if made is None:
            made = self._globals[id(names)] = dict(names)
            self._kept.append(names)
            made["__name__"] = "__main__"
            for name, value in names.items():
                if isinstance(value, FunctionType) and self._is_ours(value):
                    made[name] = self.copy(value)
        return made

    def _is_ours(self, call: FunctionType) -> bool:
        return _lies_in(call.__code__.co_filename, self._folder)


def _lies_in(file: str | None, folder: Path) -> bool:
    if not file:
        return False
    path = Path(file)
    return path.is_relative_to(folder) and "site-packages" not in path.parts


def pickle_function(view: str, call: Call, folder: Path) -> dict[str, str]:
    """Return the pickle of a view's function, as base64, and its text.

    Parameters
    ----------
    view : str
        For sentences.
    call : callable
    folder : pathlib.Path
        The repo's.

    Raises
    ------
    UnsupportedError
        There is no dill; or the function uses something that cannot be pickled by value.
    """
    try:
        import dill
    except ModuleNotFoundError as error:
        raise UnsupportedError(
            f"view {view!r}: dill makes it, which is not installed (pip install dill)"
        ) from error
    if not isinstance(call, FunctionType):
        raise UnsupportedError(
            f"view {view!r}: a {type(call).__name__} is no plain function, which `def` makes"
        )
    copies = _ByValue(folder)
    try:
        body = dill.dumps(copies.copy(call), recurse=True)
    except Exception as error:  # whatever an object of the repo's raises when it is pickled
        raise UnsupportedError(
            f"view {view!r}: it cannot be pickled: {type(error).__name__}: {error}"
        ) from error
    named = _names_of_repo(dill, body, copies)
    if named:
        raise UnsupportedError(
            f"view {view!r}: its function uses {named}, which a process without the repo does not "
            "have; define it inside the function"
        )
    return {"body": base64.b64encode(body).decode(), "source": _text_of(call)}


def _names_of_repo(dill: Any, body: bytes, copies: _ByValue) -> str:
    """Name something of the repo that a pickle refers to by name; "" for nothing."""
    found: list[str] = []

    class Look(dill.Unpickler):  # type: ignore[misc]
        def find_class(self, module: str, name: str) -> Any:
            if copies.is_of_repo(module):
                found.append(f"{module}.{name}")
            return super().find_class(module, name)

    Look(io.BytesIO(body)).load()
    return found[0] if found else ""


def _text_of(call: FunctionType) -> str:
    """Return the text with decorators, as Feast has it; "" where there is none."""
    try:
        return inspect.getsource(call)
    except (OSError, TypeError):  # defined in a prompt, or by exec
        return ""


def pickle_all(wanted: dict[str, Callable[[], Call]], folder: Path) -> dict[str, dict[str, str]]:
    """Return pickles of functions by view, or why there is none: ``{"missing": sentence}``.

    Parameters
    ----------
    wanted : dict
        Name of a view -> what returns its function, or raises.
    folder : pathlib.Path
        The repo's.
    """
    made: dict[str, dict[str, str]] = {}
    for view, find in wanted.items():
        try:
            made[view] = pickle_function(view, find(), folder)
        except TiffinError as error:
            made[view] = {"missing": _without_subject(str(error), view)}
    return made


def _without_subject(sentence: str, view: str) -> str:
    """Leave out the view, which the sentence around it names."""
    for subject in (f"view {view!r}: ", f"on-demand feature {view!r}: "):
        head, found, tail = sentence.partition(subject)
        if found and len(head) <= len("on-demand feature "):
            return tail
    return sentence


def find_function(views: list[Any], name: str) -> Call:
    """Return the function of a stream or batch feature view among those of a repo.

    Raises
    ------
    InvalidError
        No file of the repo defines the view with a function.
    """
    for view in views:
        if view.name == name and getattr(view, "call", None) is not None:
            call: Call = view.call
            return call
    raise InvalidError(f"view {name!r}: no file of the repo defines it with a function")
