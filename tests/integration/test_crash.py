"""Processes that are killed, that read while one writes, and that write at once."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from failing_disk import compile_shim, environment_with
from versions import FIRST, VIEWS, end_of, frame_of, make_repo, version_at, versions_of

from tiffin import FeatureStore

N_KEYS = 100
CHILD = Path(__file__).with_name("crash_child.py")


@pytest.fixture(scope="session")
def shim(tmp_path_factory) -> Path:
    return compile_shim(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def root(tmp_path) -> Path:
    """Three views over one file; version 0 of all keys is online."""
    make_repo(tmp_path, N_KEYS, 400).materialize(FIRST, FIRST)
    return tmp_path


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", COMMON + script, *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


COMMON = """
import sys
import tiffin

store = tiffin.FeatureStore(sys.argv[1])

def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\\n")  # one write: whole or not at all
    sys.stdout.flush()
"""


def first_line(child: subprocess.Popen[str]) -> str:
    line = child.stdout.readline()
    assert line, child.stderr.read()
    return line.rstrip("\n")


def other_lines(child: subprocess.Popen[str]) -> list[str]:
    """Wait for the end of a process that has nothing to complain of."""
    watchdog = threading.Timer(60, child.kill)
    watchdog.start()
    text, complaints = child.stdout.read(), child.stderr.read()
    child.wait()
    watchdog.cancel()
    assert complaints == ""
    return text.splitlines()


def kill_in(child: subprocess.Popen[str], seconds: float) -> list[str]:
    """Kill a process that long after its first line, and return its other lines."""
    assert first_line(child) == "ready"
    timer = threading.Timer(seconds, child.kill)
    timer.start()
    lines = other_lines(child)
    timer.join()
    assert child.returncode == -signal.SIGKILL
    return lines


# ---- kill -9 ----


def start_child(shim: Path, *arguments: object) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    command = [sys.executable, CHILD, *map(str, arguments)]
    env = environment_with(shim)
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=env)


class Writers:
    """Writers that are forked from one process, one after the other, and killed."""

    def __init__(self, shim: Path) -> None:
        self._server = start_child(shim, "serve")

    def run(self, seconds: float, *arguments: object) -> list[str]:
        """Kill a writer that long after it is ready; return the lines that it had written."""
        self._server.stdin.write(
            json.dumps(list(map(str, arguments[:2])) + list(arguments[2:])) + "\n"
        )
        self._server.stdin.flush()
        pid = int(first_line(self._server))
        assert first_line(self._server) == "ready"
        timer = threading.Timer(seconds, os.kill, [pid, signal.SIGKILL])
        timer.start()
        lines = []
        while not lines or not lines[-1].startswith("ended"):
            lines.append(first_line(self._server))
        timer.cancel()
        assert lines.pop() == f"ended {-signal.SIGKILL}"
        return lines

    def end(self) -> None:
        self._server.stdin.close()
        assert other_lines(self._server) == []


def check_watermarks(store: FeatureStore, found: list[int]) -> None:
    """No watermark claims more than what is online."""
    for view, status in zip(VIEWS, json.loads(store._engine.status()), strict=True):
        assert status["view"] == view
        assert version_at(status["end"]) <= found[VIEWS.index(view)]


def find_last_commit(store: FeatureStore) -> None:
    """Write nothing.

    A writer that dies between its commit and telling readers of it leaves that to the next one.
    """
    assert store.delete_online(VIEWS[0], {"k": [-1]})["deleted"] == 0


def complete(store: FeatureStore, verb: str, version: int) -> None:
    """Bring all views to a version, as the writers that were killed would have."""
    if verb == "push":
        store.push("pushed", frame_of(version, N_KEYS))
        return
    report = store.materialize_incremental(end_of(version))
    assert [view["rows_written"] for view in report.views] == [N_KEYS] * len(VIEWS)


def kill_writers(root: Path, shim: Path, verb: str, n_kills: int) -> None:
    """Kill writers at random moments and at random calls; a reader looks on all the time.

    Pushes change all views at one instant. Other verbs change view after view: one version apart,
    and the run that completes them, two.
    """
    most_apart = 0 if verb == "push" else 1
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    store = FeatureStore(root)
    writers = Writers(shim)
    reader = start_child(shim, "read", root, N_KEYS, 2 * most_apart, 0)
    assert first_line(reader) == "ready"
    version = 0
    for _ in range(n_kills):
        at_call = rng.randrange(1, 40) if rng.random() < 0.5 else 0
        last = version + 8
        wait_s = 30.0 if at_call else rng.uniform(0.0, 0.2)
        lines = writers.run(wait_s, root, verb, N_KEYS, version + 1, last, at_call)
        acknowledged = int(lines[-1]) if lines else version
        fresh = FeatureStore(root)
        find_last_commit(fresh)
        found = versions_of(fresh, N_KEYS)
        assert found == versions_of(store, N_KEYS)
        assert found == sorted(found, reverse=True)
        assert found[0] - found[-1] <= most_apart
        assert acknowledged <= found[-1] <= found[0] <= min(acknowledged + 1, last - 1)
        check_watermarks(fresh, found)
        version = found[0] + 1
        complete(fresh, verb, version)
        assert versions_of(store, N_KEYS) == [version] * len(VIEWS)
        assert reader.poll() is None, reader.stderr.read()
    again = store.materialize_incremental(end_of(version))
    assert [view["rows_written"] for view in again.views] == [0] * len(VIEWS)
    assert versions_of(store, N_KEYS) == [version] * len(VIEWS)
    writers.end()
    reader.stdin.write("end\n")
    reader.stdin.flush()
    [line] = other_lines(reader)
    n_reads, n_seen = map(int, line.split())
    assert n_reads >= n_seen >= n_kills / 4


@pytest.mark.parametrize("verb", ["materialize", "push", "mixed"])
def test_after_a_kill_what_was_acknowledged_is_there_and_nothing_is_torn(root, shim, verb):
    kill_writers(root, shim, verb, 17)


@pytest.mark.long
def test_after_200_kills_what_was_acknowledged_is_there_and_nothing_is_torn(tmp_path, shim):
    make_repo(tmp_path, N_KEYS, 2400).materialize(FIRST, FIRST)
    kill_writers(tmp_path, shim, "mixed", 200)


# ---- writers at once ----


def test_two_processes_that_materialize_at_once_take_turns(root, shim):
    last = 20
    writers = [start_child(shim, "write", root, "materialize", N_KEYS, 1, last, 0) for _ in "ab"]
    try:
        for writer in writers:
            lines = [first_line(writer) for _ in range(last)]
            assert lines == ["ready", *map(str, range(1, last))]
    finally:
        for writer in writers:
            writer.kill()
    assert versions_of(FeatureStore(root), N_KEYS) == [last - 1] * 3


# ---- applies ----

APPLY = """
import json
from tiffin import Entity
from tiffin.errors import ConflictError
me, n = sys.argv[2], int(sys.argv[3])
say("ready")
sys.stdin.readline()
for i in range(n):
    commit = json.loads(store._engine.log(limit=1))[0]["commit"]
    objects = [Entity(name=f"e{k}", tags={"by": f"{me}{i}"}) for k in range(20)]
    try:
        say("applied", store.apply(objects, expected_commit=commit).commit, f"{me}{i}")
    except ConflictError as error:
        say("conflict", error)
"""


def check_commits(store: FeatureStore) -> dict[int, str]:
    """Return who made each commit; every commit holds all of one apply."""
    made = {}
    for entry in json.loads(store._engine.log()):
        documents = json.loads(store._engine.list("entity", commit=entry["commit"]))
        tags = [d["tags"]["by"] for d in documents if d["name"].startswith("e")]
        assert len(tags) in (0, 20)
        assert len(set(tags)) <= 1
        if tags:
            made[entry["commit"]] = tags[0]
    return made


def test_of_two_processes_that_apply_at_once_both_succeed_or_one_gets_a_conflict(root):
    children = [start(APPLY, root, name, 15) for name in "ab"]
    for child in children:
        assert first_line(child) == "ready"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    applied = {}
    n_conflicts = 0
    for child in children:
        lines = other_lines(child)
        assert len(lines) == 15
        for line in lines:
            word, rest = line.split(" ", 1)
            if word == "applied":
                commit, who = rest.split()
                assert int(commit) not in applied
                applied[int(commit)] = who
            else:
                n_conflicts += 1
                assert "commit" in rest
    assert len(applied) + n_conflicts == 30
    assert applied
    assert check_commits(FeatureStore(root)) == applied


def test_after_a_kill_an_apply_is_there_as_a_whole_or_not_at_all(root):
    rng = random.Random(2)
    for i in range(4):
        child = start(APPLY, root, f"p{i}_", 1000)
        child.stdin.write("go\n")
        child.stdin.flush()
        lines = kill_in(child, rng.uniform(0.0, 0.1))
        made = check_commits(FeatureStore(root))
        for line in lines:  # what was acknowledged is there
            word, commit, who = line.split()
            assert (word, made[int(commit)]) == ("applied", who)
