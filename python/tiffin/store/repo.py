"""A repo's Python files, run; and the definitions that stand in them."""

import contextlib
import importlib.util
import os
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from tiffin.errors import InvalidError, NotFoundError, TiffinError
from tiffin.feast import finder
from tiffin.registry.data_source import DataSource
from tiffin.registry.definition import Definition, kind_words
from tiffin.registry.entity import Entity
from tiffin.registry.feature_service import FeatureService
from tiffin.registry.feature_view import FeatureView
from tiffin.registry.function import REPO_PREFIX
from tiffin.registry.on_demand_feature_view import OnDemandFeatureView
from tiffin.registry.project import Project

IGNORE_FILES = (".tiffinignore", ".feastignore")
_SKIPPED_FOLDERS = {"__pycache__", "node_modules"}
_loading = threading.RLock()


class RepoContents:
    """Definitions found in a repo, in the order of files and lines.

    Attributes
    ----------
    files : list of Path
        The files that were run.
    objects : list of Definition
    """

    def __init__(self, files: list[Path], objects: list[Definition]) -> None:
        self.files = files
        self.objects = objects

    def _of(self, kind: type[Any]) -> list[Any]:
        return [item for item in self.objects if isinstance(item, kind)]

    @property
    def projects(self) -> list[Project]:
        """Projects; one at most."""
        return self._of(Project)

    @property
    def entities(self) -> list[Entity]:
        """Entities."""
        return self._of(Entity)

    @property
    def data_sources(self) -> list[DataSource]:
        """Data sources."""
        return self._of(DataSource)

    @property
    def feature_views(self) -> list[FeatureView]:
        """Feature views."""
        return self._of(FeatureView)

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        """On-demand feature views."""
        return self._of(OnDemandFeatureView)

    @property
    def feature_services(self) -> list[FeatureService]:
        """Feature services."""
        return self._of(FeatureService)


def find_files(repo_path: str | os.PathLike[str]) -> list[Path]:
    """Python files of a repo, sorted.

    Left out are ``__init__.py``, hidden folders, virtual environments, ``__pycache__``, and
    what lines of ``.tiffinignore`` or ``.feastignore`` (globs from the repo's folder) match.

    Parameters
    ----------
    repo_path : str or os.PathLike

    Raises
    ------
    NotFoundError
        There is no such folder.
    """
    root = Path(repo_path).absolute()
    if not root.is_dir():
        raise NotFoundError(f"there is no folder {root}")
    ignored = _read_ignored(root)
    return sorted(p for p in _walk(root) if not any(p == i or i in p.parents for i in ignored))


def _walk(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if entry.is_dir():
            hidden = entry.name.startswith(".") or entry.name in _SKIPPED_FOLDERS
            if not hidden and not entry.is_symlink() and not (entry / "pyvenv.cfg").exists():
                yield from _walk(entry)
        elif entry.suffix == ".py" and entry.name != "__init__.py":
            yield entry


def _read_ignored(root: Path) -> set[Path]:
    ignored: set[Path] = set()
    for name in IGNORE_FILES:
        file = root / name
        if file.is_file():
            for line in file.read_text(encoding="utf-8").splitlines():
                pattern = line.split("#")[0].strip().strip("/")
                if pattern:
                    ignored.update(root.glob(pattern))
    return ignored


def load_repo(repo_path: str | os.PathLike[str]) -> RepoContents:
    """Run a repo's Python files and collect the definitions at their top level.

    Files may import each other by name, as if the repo's folder were the working directory of a
    script. Their modules are forgotten afterwards, so that another repo may use the same names.
    ``from feast import ...`` in them means Tiffin, also where Feast is installed.

    Parameters
    ----------
    repo_path : str or os.PathLike

    Returns
    -------
    RepoContents

    Raises
    ------
    InvalidError
        A file fails (its name, line and error), or two different definitions have one name (both
        files).
    NotFoundError
        There is no such folder.
    """
    root = Path(repo_path).absolute()
    files = find_files(root)
    with _loading, _on_path(root):
        modules = [(file, _run_file(file, root)) for file in files]
    return RepoContents(files, _collect(modules, root))


def load_module(repo_path: str | os.PathLike[str], name: str) -> ModuleType:
    """Run one file of a repo, as `load_repo` does; or import an installed module of that name.

    Parameters
    ----------
    repo_path : str or os.PathLike
    name : str
        Dotted, as from the repo's folder: ``"features"``.

    Raises
    ------
    ModuleNotFoundError
        It is neither.
    InvalidError
        The file fails: its name, line and error.
    """
    root = Path(repo_path).absolute()
    file = root.joinpath(*name.split(".")).with_suffix(".py")
    if not file.is_file():
        return importlib.import_module(name)
    with _loading, _on_path(root):
        return _run_file(file, root)


@contextlib.contextmanager
def _on_path(root: Path) -> Iterator[None]:
    """Import from the repo meanwhile, and forget its modules afterwards. `_loading` is held."""
    before = dict(sys.modules)
    sys.path.insert(0, str(root))
    importlib.invalidate_caches()
    with finder.in_place():
        try:
            yield
        finally:
            if str(root) in sys.path:
                sys.path.remove(str(root))
            _forget(root, before)


def _module_name(file: Path, root: Path) -> str:
    return ".".join(file.relative_to(root).with_suffix("").parts)


def _run_file(file: Path, root: Path) -> ModuleType:
    name = _module_name(file, root)
    loaded = sys.modules.get(name)
    if loaded is not None:
        if _is_of(loaded, file):
            return loaded  # another file of the repo has imported it
        name = f"{REPO_PREFIX}{name}"  # e.g. random.py beside the standard library's
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise InvalidError(f"{file.relative_to(root)} cannot be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise InvalidError(_explain(error, root, file)) from error
    return module


def _is_of(module: ModuleType, file: Path) -> bool:
    path = getattr(module, "__file__", None)
    return path is not None and Path(path) == file


def _forget(root: Path, before: dict[str, ModuleType]) -> None:
    for name, module in list(sys.modules.items()):
        if before.get(name) is module:
            continue
        path = getattr(module, "__file__", None)
        folders = list(getattr(module, "__path__", []))
        if any(Path(p).is_relative_to(root) for p in ([path] if path else folders)):
            if name in before:
                sys.modules[name] = before[name]
            else:
                del sys.modules[name]


def _explain(error: BaseException, root: Path, file: Path) -> str:
    """One sentence: file and line in the repo, and what went wrong there."""
    where, line = file, None
    for frame in traceback.extract_tb(error.__traceback__):
        if Path(frame.filename).is_relative_to(root):
            where, line = Path(frame.filename), frame.lineno
    if isinstance(error, SyntaxError) and error.filename:
        where, line = Path(error.filename), error.lineno
    name = where.relative_to(root) if where.is_relative_to(root) else where
    place = f"{name}, line {line}" if line else f"{name}"
    if isinstance(error, TiffinError):
        return f"{place}: {error}"
    if isinstance(error, SyntaxError):
        return f"{place}: {type(error).__name__}: {error.msg}"
    return f"{place}: {type(error).__name__}: {error}".rstrip(": ")


def _collect(modules: list[tuple[Path, ModuleType]], root: Path) -> list[Definition]:
    found: dict[tuple[str, str], tuple[Definition, Path]] = {}
    for file, module in modules:
        for value in list(vars(module).values()):
            if not isinstance(value, Definition):
                continue
            key = (value.kind, value.name)
            first, where = found.setdefault(key, (value, file))
            if first is not value and first.to_document() != value.to_document():
                words = kind_words(value.kind)
                both = " and ".join(dict.fromkeys(str(f.relative_to(root)) for f in (where, file)))
                raise InvalidError(
                    f"two different definitions of {words} {value.name!r} stand in {both}; "
                    "names must be unique"
                )
    projects = [name for kind, name in found if kind == Project.kind]
    if len(projects) > 1:
        raise InvalidError(
            f"the repo defines {len(projects)} projects: {', '.join(projects)}; one is possible"
        )
    return [item for item, _ in found.values()]
