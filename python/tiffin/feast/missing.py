"""What stands for a name of Feast's that Tiffin does not have: it imports, and raises when used."""

from typing import Any, NoReturn

from tiffin.errors import UnsupportedError
from tiffin.feast.names import instead_of


class _Missing(type):
    """Class of such names, which are classes: ``isinstance(x, SparkSource)`` is just False."""

    def _refuse(cls, use: str) -> NoReturn:
        raise UnsupportedError(
            f"{use}: {cls.__name__} is Feast's ({cls.__module__}), and Tiffin does not have it; "
            f"{instead_of(cls.__name__)}"
        )

    def __call__(cls, *_: Any, **__: Any) -> NoReturn:
        cls._refuse(f"{cls.__name__}(...)")

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"{cls.__name__} has no attribute {name!r}")
        cls._refuse(f"{cls.__name__}.{name}")

    def __getitem__(cls, item: Any) -> NoReturn:
        cls._refuse(f"{cls.__name__}[{item!r}]")

    def __iter__(cls) -> NoReturn:
        cls._refuse(f"iterating over {cls.__name__}")

    def __repr__(cls) -> str:
        return f"<{cls.__module__}.{cls.__name__}, which Tiffin does not have>"


def _refuse_subclass(cls: Any, /, **_: Any) -> None:
    base = next(b for b in cls.__mro__[1:] if isinstance(b, _Missing))
    base._refuse(f"class {cls.__name__}({base.__name__})")


def missing(module: str, name: str) -> type:
    """Return what stands for one name.

    Parameters
    ----------
    module : str
        Feast's module that was asked for it.
    name : str

    Returns
    -------
    type
        Calling it, deriving from it and asking it for attributes raise `UnsupportedError` with what
        exists instead.
    """
    body = {"__module__": module, "__init_subclass__": classmethod(_refuse_subclass)}
    return _Missing(name, (), body)
