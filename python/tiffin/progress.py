"""How far a long call is, shown to a person: on a terminal, or under the cell of a notebook.

A call that ends within a second shows nothing, and where nobody looks (a pipe, a log) nothing is
shown either. Callables of a user's own are called with the same three figures.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tiffin.errors import SchemaError

_AFTER_S = 1.0
_ETA_AFTER_S = 0.5

Tell = Callable[[str, int, int], Any]


class Progress:
    """One line that is rewritten: what is done, rows, share, and how long the rest will take.

    Parameters
    ----------
    surface : Terminal or Notebook, optional
        Where it is shown; default: wherever somebody looks, else nowhere.
    clock : callable, optional
        Seconds, never going back.
    """

    def __init__(
        self, surface: "Surface | None" = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._surface = find_surface() if surface is None else surface
        self._started_s = clock()
        self._stage = ("", 0)
        self._stage_started_s = self._started_s

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show how far it is; the engine calls this about every 100 ms."""
        now_s = self._clock()
        if what != self._stage[0] or done < self._stage[1]:  # a view's second scan starts anew
            self._stage_started_s = now_s
        self._stage = (what, done)
        if self._surface is not None and now_s - self._started_s >= _AFTER_S:
            self._surface.show(describe(what, done, total, now_s - self._stage_started_s))

    def end(self) -> None:
        """Take the line away."""
        if self._surface is not None:
            self._surface.clear()


def describe(what: str, done: int, total: int, seconds: float) -> str:
    """Say how far a stage is that has run for some seconds.

    Parameters
    ----------
    what : str
    done, total : int
        Rows; a total of -1 is not known, and then neither are share and rest.
    seconds : float

    Returns
    -------
    str
        ``"reading weather: 1,200 of 4,800 rows (25 %), 3 s left"``
    """
    if total <= 0:
        return f"{what}: {done:,} rows" if done > 0 else what
    done = min(done, total)
    line = f"{what}: {done:,} of {total:,} rows ({100 * done // total} %)"
    if 0 < done < total and seconds >= _ETA_AFTER_S:
        line += f", {duration(seconds * (total - done) / done)} left"
    return line


def duration(seconds: float) -> str:
    """Return whole seconds as a person says them: ``"3 s"``, ``"2 min 5 s"``, ``"1 h 2 min"``."""
    n = max(1, round(seconds))
    if n < 60:
        return f"{n} s"
    if n < 3600:
        return f"{n // 60} min {n % 60} s"
    return f"{n // 3600} h {n % 3600 // 60} min"


class Terminal:
    """The last line of a terminal, on standard error."""

    def __init__(self) -> None:
        self._width = 0

    def show(self, line: str) -> None:
        """Write the line over what is there."""
        sys.stderr.write("\r" + line.ljust(self._width))
        sys.stderr.flush()
        self._width = len(line)

    def clear(self) -> None:
        """Leave an empty line."""
        if self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()
            self._width = 0


class Notebook:
    """An output of the running cell that is updated in place.

    Parameters
    ----------
    display : callable
        `IPython.display.display`.
    """

    def __init__(self, display: Callable[..., Any]) -> None:
        self._display = display
        self._handle: Any = None

    def show(self, line: str) -> None:
        """Put the line into the output, which is made at the first call."""
        content = {"text/plain": line}
        if self._handle is None:
            self._handle = self._display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)

    def clear(self) -> None:
        """Empty the output."""
        if self._handle is not None:
            self._handle.update({"text/plain": ""}, raw=True)
            self._handle = None


Surface = Terminal | Notebook


def find_surface() -> Surface | None:
    """Return where somebody looks: a notebook's cell, else a terminal; None: nowhere."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is not None and hasattr(shell, "kernel"):
        from IPython.display import display  # type: ignore[import-not-found,unused-ignore]

        return Notebook(display)
    if sys.stderr is not None and sys.stderr.isatty():
        return Terminal()
    return None


@contextmanager
def watched(progress: Tell | bool | None) -> Iterator[Tell | None]:
    """Give what an engine call is to tell its progress to, and take the line away afterwards.

    Parameters
    ----------
    progress : callable, bool or None
        A callable is told itself; False: nobody is; None or True: whoever looks.

    Raises
    ------
    SchemaError
        Anything else.
    """
    if progress is not None and not isinstance(progress, bool):
        if not callable(progress):
            raise SchemaError(
                f"progress must be callable, True, False or None, not {type(progress).__name__}"
            )
        yield progress
        return
    shown = Progress() if progress is not False and find_surface() is not None else None
    try:
        yield shown
    finally:
        if shown is not None:
            shown.end()
