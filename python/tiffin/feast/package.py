"""The package ``feast`` that stands for Tiffin in an environment that has no Feast.

One file, ``feast/__init__.py``, without metadata: for pip there is no Feast, so that ``pip install
feast`` brings the real one and simply takes its place.
"""

import sysconfig
from pathlib import Path

from tiffin.errors import ConflictError, IoError, NotFoundError
from tiffin.feast import finder

_TEXT = f'''"""``feast`` is Tiffin here; `tiffin feast-shim uninstall` removes this file."""

{finder.MARKER} = True

from tiffin.feast import finder  # noqa: E402

finder.take_over()
'''


def default_folder() -> Path:
    """Folder of this interpreter's packages."""
    return Path(sysconfig.get_paths()["purelib"])


def _file(folder: Path | None) -> Path:
    return (folder or default_folder()).absolute() / finder.ROOT / "__init__.py"


def install(folder: Path | None = None) -> Path:
    """Write the package.

    Parameters
    ----------
    folder : Path, optional
        Default: where this interpreter's packages are.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ConflictError
        There is a Feast already.
    IoError
        The folder is not there, or cannot be written.
    """
    file = _file(folder)
    real = file.parent if file.parent.exists() and not _is_shim(file) else None
    if real is None and folder is None:
        real = finder.find_installed()
    if real is not None:
        raise ConflictError(
            f"Feast is installed in {real}, and is left in place; run one program with "
            "`python -m tiffin.feast program.py`, or `pip uninstall feast` first"
        )
    if not file.parent.parent.is_dir():
        raise IoError(f"there is no folder {file.parent.parent}; a folder of packages is needed")
    try:
        file.parent.mkdir(exist_ok=True)
        file.write_text(_TEXT, encoding="utf-8")
    except OSError as error:
        raise IoError(f"cannot write {file}: {error.strerror}") from error
    return file


def uninstall(folder: Path | None = None) -> Path:
    """Remove the package; parameters as `install`.

    Raises
    ------
    NotFoundError
        There is none.
    ConflictError
        It is a real Feast.
    """
    file = _file(folder)
    if not file.parent.exists():
        raise NotFoundError(f"there is no package feast in {file.parent.parent}")
    if not _is_shim(file):
        raise ConflictError(
            f"{file.parent} is not what `tiffin feast-shim install` wrote, and stays; if it is a "
            "real Feast, `pip uninstall feast` removes it"
        )
    try:
        file.unlink()
        for compiled in (file.parent / "__pycache__").glob("__init__.*.pyc"):
            compiled.unlink()
        for empty in (file.parent / "__pycache__", file.parent):
            if empty.is_dir():
                empty.rmdir()
    except OSError as error:
        raise IoError(f"cannot remove {error.filename or file}: {error.strerror}") from error
    return file


def _is_shim(file: Path) -> bool:
    return file.is_file() and finder.is_shim(file)
