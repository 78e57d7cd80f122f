"""Programs written for Feast, run by Tiffin: ``import feast`` without Feast.

Importing this package changes nothing. Three ways say that ``feast`` means Tiffin::

    python -m tiffin.feast program.py      # one program
    tiffin.feast.install()                 # this process, from now on
    tiffin feast-shim install              # every program of this environment

and repo files that ``tiffin apply`` and the like load may say ``from feast import ...`` always. An
installed Feast is never replaced unless one asks for it. What of Feast is here, and what is not,
says docs/from-feast.md.
"""

from tiffin.errors import ConflictError
from tiffin.feast import finder

__all__ = ["install", "uninstall"]


def install(replace: bool = False) -> None:
    """Have ``import feast`` mean Tiffin in this process.

    Parameters
    ----------
    replace : bool
        Also when Feast is installed. What was imported from it before stays as it is.

    Raises
    ------
    ConflictError
        Feast is installed, and `replace` is False.
    """
    installed = None if replace or finder.is_in_place() else finder.find_installed()
    if installed is not None:
        raise ConflictError(
            f"Feast is installed in {installed}, and `import feast` goes on to mean it; "
            "tiffin.feast.install(replace=True) makes it mean Tiffin in this process"
        )
    finder.put()


def uninstall() -> None:
    """Undo `install`. What was imported meanwhile stays as it is."""
    finder.take_away()
