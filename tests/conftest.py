"""How tests share a machine when several run at once (``pytest -n 2``).

Each holds the room, shared; one that is marked ``alone`` (it measures time, or needs every core)
holds it for itself. Who wants the room waits with the gate in hand, so one that wants to be alone
is not kept waiting by others that come and go. A file and a folder of the tree serve as locks:
nothing is left behind, and a process that dies frees what it held.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

GATE = Path(__file__)
ROOM = Path(__file__).parent
# Set while a test has the room: the tests of a pytest that it starts are part of it. If they asked,
# too, they would wait for one that waits for the room, which waits for them.
HAS_ROOM = "TFN_TEST_HAS_ROOM"


@contextmanager
def locked(path: Path, how: int) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # also for children that were forked meanwhile
        os.close(descriptor)


@contextmanager
def room(how: int) -> Iterator[None]:
    with ExitStack() as inside:
        with locked(GATE, fcntl.LOCK_EX):
            inside.enter_context(locked(ROOM, how))
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item):
    if "PYTEST_XDIST_WORKER" not in os.environ or HAS_ROOM in os.environ:
        return (yield)
    is_alone = item.get_closest_marker("alone") is not None
    with room(fcntl.LOCK_EX if is_alone else fcntl.LOCK_SH), pytest.MonkeyPatch.context() as patch:
        patch.setenv(HAS_ROOM, "1")
        return (yield)
