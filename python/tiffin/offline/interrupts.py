"""Queries of the package ``duckdb`` that Ctrl-C ends."""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Event, Thread
from threading import enumerate as enumerate_threads
from typing import Any, TypeVar

T = TypeVar("T")
_AGAIN_AFTER_S = 0.02


def interruptible(connection: Any, work: Callable[[], T]) -> T:
    """Do what takes long on a connection, so that Ctrl-C ends it.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        Nobody else uses it meanwhile.
    work : callable
        Runs on a thread of its own.

    Returns
    -------
    object
        What `work` returned.

    Raises
    ------
    KeyboardInterrupt
        After the query and its thread have ended. What `work` raises is raised too.

    Notes
    -----
    Signals come on the main thread. There DuckDB looks for them only between the steps of a query,
    and not at all while Arrow reads a result; so this thread waits, and interrupts the query. It
    wakes up by itself: once Polars is imported, a signal no longer ends a wait.
    """
    answer: Future[T] = Future()
    is_done = Event()

    def run() -> None:
        try:
            answer.set_result(work())
        except BaseException as error:  # raised again by the thread that waits
            answer.set_exception(error)
        is_done.set()

    thread = Thread(target=run, name="tiffin-query", daemon=True)
    try:
        thread.start()
        while not is_done.wait(_AGAIN_AFTER_S):  # a join that Ctrl-C ends loses the thread
            pass
        return answer.result()
    finally:
        while thread in enumerate_threads() and not is_done.is_set():
            connection.interrupt()
            is_done.wait(_AGAIN_AFTER_S)  # a query that has not begun yet saw no interrupt
        if thread.is_alive():
            thread.join()
