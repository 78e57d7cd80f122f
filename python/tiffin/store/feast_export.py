"""A project of a `FeatureStore` as a registry file of Feast."""

import functools
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tiffin.compute.functions import Functions
from tiffin.compute.pickles import Call, find_function, pickle_all
from tiffin.errors import InvalidError, IoError, TiffinError
from tiffin.registry.document import to_json
from tiffin.store.feast_registry import FeastRegistryVerbs, read_still
from tiffin.store.repo import load_repo


class FeastExportVerbs(FeastRegistryVerbs):
    """What a `FeatureStore` writes for Feast."""

    _functions: Functions

    def export_feast_registry(
        self, file: str | os.PathLike[str], *, force: bool = False
    ) -> dict[str, int]:
        """Write the project as a registry file of Feast.

        A file of Feast that is there keeps what no definition of Tiffin's says: other projects,
        versions, intervals, pickled functions, fields of newer Feasts. A new file begins with the
        one that the project was imported from, if it was. Nobody sees a half-written file.

        Parameters
        ----------
        file : str or os.PathLike
        force : bool, optional
            Replace a file that is there and no registry of Feast.

        Returns
        -------
        dict of str to int
            How many objects of each kind were written.

        Raises
        ------
        InvalidError
            The file is there and no registry of Feast, or it is the store's own registry.
        UnsupportedError
            Feast cannot express an object, or the function of a view is neither at hand nor in the
            file: the sentence names it.
        """
        path = self._choose_place(file)
        functions = to_json(self._pickle_functions(self._documents_with_functions()))
        for _ in range(_MOST_TRIES):
            base = _state_of(path)
            content = self._engine.export_feast(
                os.urandom(32), functions, self._read_base(path, force)
            )
            if _state_of(path) == base:  # else Feast wrote it meanwhile: nothing of that is lost
                _replace(path, content)
                return self._count_objects()
        raise IoError(f"{path} is written again and again; try again when it is done")

    def _choose_place(self, file: str | os.PathLike[str]) -> Path:
        """Return what is written: behind links, and never this store's own files."""
        if not os.fspath(file):
            raise InvalidError("the name of the file is empty; name the one to be written")
        try:
            path = Path(file).resolve(strict=False)
            is_there = path.exists()
        except (OSError, RuntimeError) as error:  # a link to itself
            raise IoError(
                f"{os.fspath(file)} cannot be followed: it is a link to itself"
            ) from error
        if is_there and not path.is_file():
            raise InvalidError(f"{path} is no file; name one to be written")
        registry = str(Path(self.config.registry_path).resolve())
        own = {f"{registry}{kind}{log}" for kind in ("", ".tiffin") for log in ("", "-wal", "-shm")}
        if str(path) in own - {registry} or (str(path) == registry and self._has_own(path)):
            raise InvalidError(
                f"{path} is the registry of this store; name another file for Feast's"
            )
        return path

    def _has_own(self, registry: Path) -> bool:
        """Whether the file that `registry` names is Tiffin's, or will be."""
        return not Path(f"{registry}.tiffin").exists()

    def _read_base(self, path: Path, force: bool) -> bytes | None:
        if not path.exists() or path.stat().st_size == 0:
            return None
        content = read_still(path)
        try:
            self._engine.feast_projects(content)
        except TiffinError as error:
            if force:
                return None
            raise InvalidError(
                f"{path} is there and no registry of Feast; name another file, or replace it with "
                "--force (force=True)"
            ) from error
        return content

    def _documents_of(self, kind: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self._engine.list(kind))
        return found

    def _documents_with_functions(self) -> list[dict[str, Any]]:
        views = [
            view
            for view in self._documents_of("feature_view")
            if "function" in (view.get("foreign") or {}).get("content", {})
        ]
        return [*self._documents_of("on_demand_feature_view"), *views]

    def _pickle_functions(self, documents: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
        wanted: dict[str, Callable[[], Call]] = {}
        for document in documents:
            name = document["name"]
            if document["kind"] == "on_demand_feature_view":
                wanted[name] = functools.partial(self._get_function, document)
            else:
                wanted[name] = functools.partial(self._find_function, name)
        return pickle_all(wanted, self.config.repo_path)

    def _get_function(self, document: dict[str, Any]) -> Call:
        known = document["function"]
        return self._functions.get(document["name"], known["module"], known["name"], known["hash"])

    def _find_function(self, view: str) -> Call:
        return find_function(load_repo(self.config.repo_path).objects, view)

    def _count_objects(self) -> dict[str, int]:
        kinds = (
            "project", "entity", "data_source", "feature_view", "on_demand_feature_view",
            "feature_service", "saved_dataset", "validation_reference", "permission",
        )  # fmt: skip
        counts = {kind: len(self._documents_of(kind)) for kind in kinds}
        return {kind: count for kind, count in counts.items() if count}


_MOST_TRIES = 10


def _state_of(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _replace(path: Path, content: bytes) -> None:
    """Write the file: whoever reads meanwhile, or after a crash, sees the old one or the new."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    is_made = False
    try:
        mode = path.stat().st_mode & 0o777 if path.exists() else None
        first = 0o666 if mode is None else 0o600  # nobody is to read more than of the old one
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, first)
        is_made = True
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
            file.write(content)
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        if is_made:
            temporary.unlink(missing_ok=True)
        raise IoError(f"cannot write {path}: {error.strerror}") from error
