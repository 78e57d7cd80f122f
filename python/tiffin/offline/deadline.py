"""Until when something may take: the ``timeout`` of a `RetrievalJob`'s methods."""

import threading
import time
from collections.abc import Callable
from typing import Any

from tiffin.errors import InvalidError, SchemaError, TimedOutError

Progress = Callable[[str, int, int], None]


class Deadline:
    """A point in time after which `check` raises.

    Parameters
    ----------
    timeout : float or None
        Seconds from now; None = never.

    Raises
    ------
    SchemaError, InvalidError
        Not a number of seconds, or a negative one.
    """

    __slots__ = ("_at_s", "_timeout_s")

    def __init__(self, timeout: Any) -> None:
        if timeout is not None:
            if isinstance(timeout, bool) or not isinstance(timeout, int | float):
                raise SchemaError(
                    f"timeout must be a number of seconds or None, not {type(timeout).__name__}"
                )
            if not timeout >= 0:
                raise InvalidError(f"timeout must be 0 seconds or more, not {timeout}")
        self._timeout_s: float | None = timeout
        self._at_s = 0.0 if timeout is None else time.monotonic() + timeout

    def check(self) -> None:
        """Raise `TimedOutError` once the time is over."""
        if self._timeout_s is not None and time.monotonic() >= self._at_s:
            raise TimedOutError(
                f"the training set was not done after {self._timeout_s:g} s, its timeout; it was "
                "stopped and nothing was kept"
            )

    def remaining_s(self) -> float:
        """Seconds that are left, -1 for no end: what `threading.Lock.acquire` takes."""
        if self._timeout_s is None:
            return -1
        return min(max(0.0, self._at_s - time.monotonic()), threading.TIMEOUT_MAX)

    def watch(self, progress: Progress | None) -> Progress | None:
        """Return a progress callback that also ends the call when the time is over."""
        if self._timeout_s is None:
            return progress

        def watched(what: str, done: int, total: int) -> None:
            if progress is not None:
                progress(what, done, total)
            self.check()

        return watched
