"""The import finder that makes ``feast`` and its modules resolve to Tiffin.

Modules are made when they are imported and look their names up when these are asked for
(`tiffin.feast.names`), so that ``from feast import Entity`` costs what Entity costs. While the
finder is in place, modules of an installed Feast that were loaded before are set aside; they come
back when it goes.
"""

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from tiffin.feast import names
from tiffin.feast.missing import missing

ROOT = "feast"
MARKER = "TIFFIN_FEAST_SHIM"
"""A word in the package that ``tiffin feast-shim install`` writes, by which we know it."""


def _is_feast(name: str) -> bool:
    return name == ROOT or name.startswith(f"{ROOT}.")


class FeastModule(ModuleType):
    """``feast`` or one of its modules: names of Tiffin's under Feast's."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        home = names.find_home(self.__name__, name)
        if home is not None:
            module, _, attribute = home.partition(":")
            value = getattr(importlib.import_module(module), attribute)
        elif names.is_module(f"{self.__name__}.{name}") and self.__name__ == ROOT:
            return importlib.import_module(f"{self.__name__}.{name}")
        elif names.is_feasts(self.__name__, name):
            value = missing(self.__name__, name)
        else:
            raise AttributeError(
                f"module {self.__name__!r} has no attribute {name!r}, in Feast as in Tiffin"
            )
        setattr(self, name, value)
        return value

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *names.known_names(self.__name__)})


class _FeastFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds ``feast`` and its modules, before anything that is installed."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - importlib's
        target: ModuleType | None = None,  # noqa: ARG002 - importlib's
    ) -> importlib.machinery.ModuleSpec | None:
        if not _is_feast(fullname) or not names.is_module(fullname):
            return None
        return importlib.machinery.ModuleSpec(
            fullname, self, origin="tiffin.feast", is_package=True
        )

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return FeastModule(spec.name, "Tiffin under Feast's names; see docs/from-feast.md.")

    def exec_module(self, module: ModuleType) -> None:
        if module.__name__ == ROOT:
            module.__dict__["__version__"] = names.FEAST_VERSION


_finder = _FeastFinder()
_lock = threading.RLock()
_set_aside: dict[str, ModuleType] = {}


def is_in_place() -> bool:
    """Whether ``import feast`` means Tiffin now."""
    return _finder in sys.meta_path


def find_installed() -> Path | None:
    """Folder of a Feast that is installed and is not ours; None = there is none."""
    loaded = sys.modules.get(ROOT)
    if loaded is not None and not isinstance(loaded, FeastModule):
        file = getattr(loaded, "__file__", None)
        return Path(file).parent if file else Path()
    for finder in sys.meta_path:
        find_spec = getattr(finder, "find_spec", None)
        if finder is _finder or find_spec is None:
            continue
        spec = find_spec(ROOT, None)
        if spec is not None:
            return None if _is_ours(spec.origin) else Path(spec.origin or "").parent
    return None


def _is_ours(origin: str | None) -> bool:
    file = Path(origin or "")
    return file.name == "__init__.py" and file.is_file() and is_shim(file)


def is_shim(file: Path) -> bool:
    """Whether a file ``feast/__init__.py`` is the one that we write."""
    return MARKER in file.read_text(encoding="utf-8", errors="replace")


def put() -> None:
    """Put the finder in place, before all others."""
    with _lock:
        if is_in_place():
            return
        for name in [name for name in sys.modules if _is_feast(name)]:
            _set_aside[name] = sys.modules.pop(name)
        sys.meta_path.insert(0, _finder)


def take_away() -> None:
    """Take the finder away; an installed Feast that had been loaded is back."""
    with _lock:
        if not is_in_place():
            return
        sys.meta_path.remove(_finder)
        for name in [name for name in sys.modules if _is_feast(name)]:
            del sys.modules[name]
        sys.modules.update(_set_aside)
        _set_aside.clear()


def take_over() -> None:
    """Be the ``feast`` that is being imported: what the package of the shim calls."""
    with _lock:
        sys.modules.pop(ROOT, None)
        put()
        spec = importlib.machinery.ModuleSpec(ROOT, _finder, origin="tiffin.feast", is_package=True)
        module = importlib.util.module_from_spec(spec)
        _finder.exec_module(module)
        sys.modules[ROOT] = module


@contextlib.contextmanager
def in_place() -> Iterator[None]:
    """Have ``import feast`` mean Tiffin meanwhile."""
    was_there = is_in_place()
    put()
    try:
        yield
    finally:
        if not was_there:
            take_away()
