"""Finding the functions of on-demand views: by module, name and hash of their source.

A function is known when this process has applied or been given its view; otherwise it is loaded
from its module, which is the repo's file of that name, or else an installed module. Its source must
be what was applied. Nothing is stored but text, so nothing is ever unpickled.

Feast's registry does not say which module a function is from: then it is that of the view of this
name in the repo's files.
"""

import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

from tiffin.errors import ConflictError, InvalidError, NotFoundError
from tiffin.registry.function import FunctionReference, place_of
from tiffin.registry.on_demand_feature_view import OnDemandFeatureView

_MAIN = "__main__"
_Key = tuple[str, str, str]


class Functions:
    """The functions of one store. May be shared between threads.

    Parameters
    ----------
    load_module : callable
        Name of a module -> the module; raises what importing it raises.
    load_views : callable
        The on-demand views of the repo's files; raises what running these raises.
    """

    def __init__(
        self,
        load_module: Callable[[str], ModuleType],
        load_views: Callable[[], list[OnDemandFeatureView]],
    ) -> None:
        self._load_module = load_module
        self._load_views = load_views
        self._lock = threading.Lock()
        self._known: dict[_Key, Callable[..., Any]] = {}

    def add(self, reference: FunctionReference) -> None:
        """Remember a function that this process has, if it has it."""
        if reference.call is not None:
            with self._lock:
                self._known[reference.module, reference.name, reference.hash] = reference.call

    def get(self, view: str, module: str, name: str, digest: str) -> Callable[..., Any]:
        """Return the function of a view.

        Parameters
        ----------
        view : str
            Name of the view, for sentences.
        module, name, digest : str
            As the registry has them.

        Raises
        ------
        NotFoundError
            There is no such module or function any more.
        ConflictError
            Its source is not what was applied.
        InvalidError
            The module cannot be run.
        """
        with self._lock:
            known = self._known.get((module, name, digest))
        if known is not None:
            return known
        found = self._find(view, module, name) if module else self._find_by_view(view, name)
        if found.hash != digest or found.call is None:
            if module == _MAIN:
                raise NotFoundError(_explain_main(view, name))
            raise ConflictError(
                f"on-demand feature view {view!r}: its function {name} ({place_of(found.call)}) is "
                "not what was applied; apply the repo again to use it as it is now, or restore it"
            )
        self.add(found)
        return found.call

    def _find_by_view(self, view: str, name: str) -> FunctionReference:
        where = f"on-demand feature view {view!r}"
        try:
            views = self._load_views()
        except InvalidError as error:
            raise InvalidError(f"{where}: its function {name} cannot be loaded: {error}") from error
        for found in views:
            if found.name == view:
                return found.function
        raise NotFoundError(
            f"{where}: it came from Feast's registry, and no file of the repo defines it; bring "
            f"the file with its function {name} back, or import without it"
        )

    def _find(self, view: str, module: str, name: str) -> FunctionReference:
        where = f"on-demand feature view {view!r}"
        try:
            place: Any = self._load_module(module)
        except ModuleNotFoundError as error:
            raise NotFoundError(
                f"{where}: its function {name} stands in the module {module}, which is neither a "
                f"file of the repo nor installed ({error}); bring it back, or apply without it"
            ) from error
        except InvalidError as error:
            raise InvalidError(f"{where}: its function {name} cannot be loaded: {error}") from error
        found: Any = place
        for part in name.split("."):
            found = getattr(found, part, None)
        if isinstance(found, OnDemandFeatureView):
            return found.function
        if not callable(found):
            if module == _MAIN:
                raise NotFoundError(_explain_main(view, name))
            file = getattr(place, "__file__", None) or module
            raise NotFoundError(
                f"{where}: {file} has no function {name} at its top level; apply the repo again if "
                "it was renamed or moved"
            )
        return FunctionReference.of(found)


def _explain_main(view: str, name: str) -> str:
    return (
        f"on-demand feature view {view!r}: its function {name} was defined in a script or a "
        "notebook (module __main__), so only the process that applied it has it; move it into a "
        "file of the repo, e.g. features.py, and apply again"
    )
