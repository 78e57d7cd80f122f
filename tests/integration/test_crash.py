"""Processes that are killed, that read while one writes, and that write at once.

Each row of the source carries the version that it belongs to, in every feature: a state that mixes
versions was never written as one.
"""

import datetime as dt
import json
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rides import utc

from tiffin import Entity, FeatureStore, FeatureView, Field, FileSource
from tiffin.types import Int64, String

N_KEYS = 1000
N_VERSIONS = 400
N_KILLS = 10
FIRST = utc(2024, 1, 1)
VIEWS = ["v0", "v1", "v2"]
FEATURES = [f"{view}:{name}" for view in VIEWS for name in ("number", "text")]


def end_of(version: int) -> dt.datetime:
    return FIRST + dt.timedelta(minutes=version)


def version_at(end: str) -> int:
    return (dt.datetime.fromisoformat(end) - FIRST) // dt.timedelta(minutes=1)


@pytest.fixture
def root(tmp_path) -> Path:
    """Three views over one file; version i of all keys is dated minute i."""
    (tmp_path / "feature_store.yaml").write_text("project: crash\nonline_ttl: ignore\n")
    versions = [v for v in range(N_VERSIONS) for _ in range(N_KEYS)]
    minute = 60 * 10**6
    start = int(FIRST.timestamp()) * 10**6
    times = pa.array([start + v * minute for v in versions], pa.timestamp("us", "UTC"))
    table = pa.table(
        {
            "k": list(range(N_KEYS)) * N_VERSIONS,
            "event_timestamp": times,
            "number": versions,
            "text": [f"{v}:" + "x" * (v % 100) for v in versions],
        }
    )
    pq.write_table(table, tmp_path / "versions.parquet", row_group_size=10 * N_KEYS)
    source = FileSource(path="versions.parquet", timestamp_field="event_timestamp")
    fields = [Field(name="number", dtype=Int64), Field(name="text", dtype=String)]
    entity = Entity(name="k", value_type=Int64)
    store = FeatureStore(tmp_path)
    views = [
        FeatureView(name=view, entities=[entity], source=source, schema=fields) for view in VIEWS
    ]
    store.apply(views)
    store.materialize(FIRST, FIRST)
    return tmp_path


def versions_of(store: FeatureStore) -> list[int]:
    """Return the version that is online of each view; one version for all keys and features."""
    rows = {"k": list(range(N_KEYS))}
    answer = store.get_online_features(FEATURES, rows, full_feature_names=True).to_dict()
    versions = []
    for view in VIEWS:
        [number] = set(answer[f"{view}__number"])
        [text] = set(answer[f"{view}__text"])
        assert text.split(":")[0] == str(number)
        versions.append(number)
    return versions


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", COMMON + script, *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


COMMON = """
import sys
from datetime import timedelta, datetime, timezone
import tiffin

store = tiffin.FeatureStore(sys.argv[1])
first = datetime(2024, 1, 1, tzinfo=timezone.utc)

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

MATERIALIZE = """
say("ready")
for version in range(int(sys.argv[2]), int(sys.argv[3])):
    store.materialize_incremental(first + timedelta(minutes=version))
    say(version)
"""
AND_WAIT = """
import signal
signal.pause()
"""


def test_after_a_kill_each_view_is_old_or_new_and_the_next_run_completes(root):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    version = 0
    for _ in range(N_KILLS):
        child = start(MATERIALIZE + AND_WAIT, root, version + 1, version + N_VERSIONS // N_KILLS)
        lines = kill_in(child, rng.uniform(0.0, 0.3))
        acknowledged = int(lines[-1]) if lines else version
        store = FeatureStore(root)
        found = versions_of(store)
        # the views are loaded one after the other
        assert found == sorted(found, reverse=True)
        assert found[0] - found[-1] <= 1
        assert found[-1] >= acknowledged
        for view, status in zip(VIEWS, json.loads(store._engine.status()), strict=True):
            assert status["view"] == view
            assert version_at(status["end"]) <= found[VIEWS.index(view)]
            assert version_at(status["end"]) >= acknowledged
        version = found[0] + 1
        report = store.materialize_incremental(end_of(version))
        assert [view["rows_written"] for view in report.views] == [N_KEYS] * 3
        assert versions_of(store) == [version] * 3
    again = store.materialize_incremental(end_of(version))
    assert [view["rows_written"] for view in again.views] == [0] * 3


WRITE = """
import pyarrow
say("ready")
for version in range(int(sys.argv[2]), int(sys.argv[3])):
    n = int(sys.argv[4])
    columns = {
        "k": pyarrow.array(range(n)),
        "event_timestamp": pyarrow.array([first + timedelta(minutes=version)] * n),
        "number": pyarrow.array([version] * n),
        "text": pyarrow.array([f"{version}:"] * n),
    }
    for view in ("v0", "v1", "v2"):
        store.write_to_online_store(view, pyarrow.table(columns))
    say(version)
"""


def test_after_a_kill_a_written_frame_is_there_as_a_whole_or_not_at_all(root):
    rng = random.Random(1)
    version = 0
    for _ in range(4):
        child = start(WRITE + AND_WAIT, root, version + 1, version + 100, N_KEYS)
        lines = kill_in(child, rng.uniform(0.0, 0.1))
        found = versions_of(FeatureStore(root))
        assert found == sorted(found, reverse=True)
        assert found[-1] >= (int(lines[-1]) if lines else version)
        version = found[0]


# ---- readers beside a writer ----

READ = """
import json
features, n, last = json.loads(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
rows = {"k": list(range(n))}
names = [feature.replace(":", "__") for feature in features]
before, seen = [0, 0, 0], set()
while before[-1] < last:
    answer = store.get_online_features(features, rows, full_feature_names=True).to_dict()
    states = [set(map(str, answer[name])) for name in names]
    assert all(len(state) == 1 for state in states), states
    values = [state.pop().split(":")[0] for state in states]
    assert values[::2] == values[1::2], values
    now = [int(value) for value in values[::2]]
    assert now == sorted(now, reverse=True) and now[0] - now[-1] <= 1, now
    assert all(a <= b for a, b in zip(before, now)), (before, now)
    if not seen:
        say("reading")
    seen.add(tuple(now))
    before = now
say(len(seen))
"""


def test_three_processes_read_whole_states_while_one_writes(root):
    last = 25
    readers = [start(READ, root, json.dumps(FEATURES), N_KEYS, last) for _ in range(3)]
    try:
        for reader in readers:
            assert first_line(reader) == "reading"
        store = FeatureStore(root)
        for version in range(1, last + 1):
            store.materialize_incremental(end_of(version))
        for reader in readers:
            [n_seen] = other_lines(reader)
            assert int(n_seen) >= 2  # the first state, the last, and what came between
    finally:
        for reader in readers:
            reader.kill()


def test_two_processes_that_materialize_at_once_take_turns(root):
    last = 20
    writers = [start(MATERIALIZE, root, 1, last + 1) for _ in range(2)]
    for writer in writers:
        assert other_lines(writer) == ["ready", *map(str, range(1, last + 1))]
    assert versions_of(FeatureStore(root)) == [last] * 3


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
