"""Registry files of Feast: taken over into the registry of a `FeatureStore`."""

import json
import os
import stat
import time
from pathlib import Path

from tiffin.errors import InvalidError, IoError, NotFoundError
from tiffin.store.changes import ApplyResult, Plan
from tiffin.store.registry import RegistryVerbs


class FeastRegistryVerbs(RegistryVerbs):
    """What a `FeatureStore` does with registry files of Feast."""

    def import_feast_registry(
        self, file: str | os.PathLike[str], project: str | None = None
    ) -> ApplyResult:
        """Make a project what a registry file of Feast says of it, as one commit.

        Objects that the file does not have are removed, but for saved datasets. The file itself is
        kept in the registry; it is neither written nor needed afterwards.

        Parameters
        ----------
        file : str or os.PathLike
        project : str, optional
            One of the file's, if it is not that of ``feature_store.yaml``; it has this name in the
            registry, too.

        Returns
        -------
        ApplyResult
            What changed, by object and field; `print` it.

        Raises
        ------
        NotFoundError
            There is no such file, or no such project in it.
        InvalidError
            The file has one project, and ``feature_store.yaml`` names another.
        CorruptError
            It is no registry file of Feast.
        """
        content = read_still(file)
        chosen = self._choose_feast_project(content, project)
        return ApplyResult(self._engine.import_feast(content, chosen))

    def plan_feast_registry(self, file: str | os.PathLike[str], project: str | None = None) -> Plan:
        """Return what `import_feast_registry` would change and refuse. Changes nothing.

        Parameters
        ----------
        file, project
            As `import_feast_registry`.

        Returns
        -------
        Plan
        """
        content = read_still(file)
        return Plan(self._engine.plan_feast(content, self._choose_feast_project(content, project)))

    def _choose_feast_project(self, content: bytes, project: str | None) -> str:
        if project == "":
            raise InvalidError("the name of the project is empty; leave it out, or name one")
        names: list[str] = json.loads(self._engine.feast_projects(content))
        ours = self.config.project
        if project is None and ours not in names and len(names) == 1:
            raise InvalidError(
                f"Feast's registry has the project {names[0]!r}, and feature_store.yaml names "
                f"{ours!r}; write `project: {names[0]}` there, or name the project that is meant"
            )
        return project or ours


_STILL_SECONDS = 0.05
_MOST_TRIES = 40


def read_still(file: str | os.PathLike[str]) -> bytes:
    """Read a file that Feast may be writing: it truncates its own and writes it anew.

    A part of a registry can be one, so the file must have been the same for some time before it is
    read, and be the same afterwards.

    Raises
    ------
    NotFoundError, InvalidError, IoError
        There is no such file; it is a folder or a device; it cannot be read or does not come to
        rest.
    """
    if not os.fspath(file):
        raise InvalidError("the name of the file is empty; give Feast's registry file")
    path = Path(file)
    try:
        for _ in range(_MOST_TRIES):
            before = path.stat()
            if not stat.S_ISREG(before.st_mode):
                raise InvalidError(f"{path} is no file; give Feast's registry file")
            wait_s = _STILL_SECONDS - abs(time.time() - before.st_mtime)
            if wait_s > 0:
                time.sleep(wait_s)
            content = path.read_bytes()
            after = path.stat()
            if (before.st_ino, before.st_mtime_ns, before.st_size) == (
                after.st_ino,
                after.st_mtime_ns,
                len(content),
            ):
                return content
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {path}") from error
    except OSError as error:
        raise IoError(f"{path} cannot be read: {error.strerror}") from error
    raise IoError(f"{path} is written again and again; try again when it is done")
