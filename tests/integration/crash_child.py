"""Processes that are killed and that look on, for test_crash.py and test_many_processes.py.

usage: python crash_child.py serve
       python crash_child.py write REPO VERB N_KEYS FIRST LAST AT_CALL
       python crash_child.py read REPO N_KEYS MOST_APART SECONDS

`write` brings all views from one version to the next by VERB, and acknowledges each once the call
has returned; "mixed" takes another verb each time. Before each it repeats a version of long ago,
which must change nothing. With AT_CALL > 0 it is killed at that call that changes a file (needs
disk_shim.so), and in any case after LAST.

`serve` forks a writer for each line of its input, which is what stands after "write" above: first
it says the process number, then come the writer's lines, then "ended" and how.

`read` looks on for that long (0: until its input ends). Views may be MOST_APART versions apart, the
first one ahead; nothing else may be seen: no mixture of versions within a view, and no way back.
"""

import itertools
import json
import os
import select
import signal
import sys
import time
import traceback
from pathlib import Path

import duckdb  # noqa: F401 - loaded once, before processes are forked
import pyarrow.parquet  # noqa: F401
from failing_disk import KILLED, FailingDisk
from versions import FIRST, VIEWS, end_of, frame_of, versions_of

from tiffin import FeatureStore, PushMode

LATE = 5


def say(*words: object) -> None:
    """Write a line at once: whole or not at all."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def materialize(store: FeatureStore, version: int, n_keys: int) -> None:
    store.materialize_incremental(end_of(version))


def write(store: FeatureStore, version: int, n_keys: int) -> None:
    for view in VIEWS:
        store.write_to_online_store(view, frame_of(version, n_keys))


def again(store: FeatureStore, version: int, n_keys: int) -> None:
    store.materialize(FIRST, end_of(version))


def push(store: FeatureStore, version: int, n_keys: int) -> None:
    store.push("pushed", frame_of(version, n_keys))


def push_both(store: FeatureStore, version: int, n_keys: int) -> None:
    store.push("pushed", frame_of(version, n_keys), to=PushMode.ONLINE_AND_OFFLINE)


VERBS = {
    "materialize": materialize,
    "push": push,
    "write": write,
    "again": again,
    "push both": push_both,
}
LATE_VERBS = {"write": write, "again": again}


def run_writer(repo: str, verb: str, n_keys: int, first: int, last: int, at_call: int) -> None:
    store = FeatureStore(repo)
    verbs = itertools.cycle(VERBS.values() if verb == "mixed" else [VERBS[verb]])
    late_verbs = itertools.cycle(LATE_VERBS.values())
    say("ready")
    if at_call > 0:
        FailingDisk().arm(Path(repo), at_call, 1, KILLED)
    for version in range(first, last):
        if version > LATE:
            next(late_verbs)(store, version - LATE, n_keys)
        next(verbs)(store, version, n_keys)
        say(version)
    os.kill(os.getpid(), signal.SIGKILL)


def serve() -> None:
    for line in sys.stdin:
        repo, verb, *numbers = json.loads(line)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                say(os.getpid())
                run_writer(repo, verb, *numbers)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        say("ended", os.waitstatus_to_exitcode(status))


def is_to_end(started_s: float, seconds: float) -> bool:
    if seconds > 0:
        return time.monotonic() > started_s + seconds
    return bool(select.select([sys.stdin], [], [], 0)[0])


def run_reader(repo: str, n_keys: int, most_apart: int, seconds: float) -> None:
    store = FeatureStore(repo)
    before, seen, n_reads = [0] * len(VIEWS), set(), 0
    started_s = time.monotonic()
    while not is_to_end(started_s, seconds):
        now = versions_of(store, n_keys)
        assert now == sorted(now, reverse=True) and now[0] - now[-1] <= most_apart, now
        assert all(a <= b for a, b in zip(before, now, strict=True)), (before, now)
        if not seen:
            say("ready")
        before, n_reads = now, n_reads + 1
        seen.add(tuple(now))
    say(n_reads, len(seen))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    elif sys.argv[1] == "write":
        run_writer(*sys.argv[2:4], *map(int, sys.argv[4:]))
    else:
        run_reader(sys.argv[2], *map(int, sys.argv[3:]))
