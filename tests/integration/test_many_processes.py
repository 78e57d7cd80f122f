"""Ten processes read while two write, for a while.

Both writers bring all views from version to version, by different verbs and at their own pace, so
each one is late for the other again and again. What a reader may see: each view as a whole at one
version that was written, and never an older one than before.
"""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from failing_disk import environment_with
from versions import FIRST, make_repo, versions_of

from tiffin import FeatureStore

CHILD = Path(__file__).with_name("crash_child.py")
N_KEYS = 200
N_READERS = 10
N_VERSIONS = 4000


def start(*arguments: object) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    command = [sys.executable, CHILD, *map(str, arguments)]
    return subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment_with(None)
    )


def wait_for(writer: subprocess.Popen[str], n_versions: int) -> None:
    for _ in range(1 + n_versions):  # "ready" comes first
        assert writer.stdout.readline(), writer.stderr.read()


def end_writer(writer: subprocess.Popen[str]) -> int:
    """Kill a writer, and return the last version that it acknowledged."""
    writer.kill()
    lines, complaints = writer.communicate(timeout=60)
    assert complaints == ""
    return int(lines.splitlines()[-1])


def end_reader(reader: subprocess.Popen[str]) -> tuple[int, int]:
    """Return how often it read, and how many states it saw."""
    lines, complaints = reader.communicate("end\n", timeout=60)
    assert (reader.returncode, complaints) == (0, "")
    n_reads, n_states = map(int, lines.split())
    return n_reads, n_states


def read_while_two_write(root: Path, seconds: float) -> None:
    make_repo(root, N_KEYS, 1).materialize(FIRST, FIRST)
    readers = [start("read", root, N_KEYS, N_VERSIONS, 0) for _ in range(N_READERS)]
    writers = []
    try:
        for reader in readers:
            assert reader.stdout.readline() == "ready\n", reader.stderr.read()
        writers = [
            start("write", root, verb, N_KEYS, 1, N_VERSIONS, 0) for verb in ("push", "write")
        ]
        for writer in writers:
            wait_for(writer, 1)
        threading.Event().wait(seconds)
        counts = [end_reader(reader) for reader in readers]
        acknowledged = [end_writer(writer) for writer in writers]
    finally:
        for child in readers + writers:
            child.kill()
    print(json.dumps({"reads and states of each": counts, "versions": acknowledged}))
    assert all(n_states >= 2 for _, n_states in counts)
    found = versions_of(FeatureStore(root), N_KEYS)
    assert max(acknowledged) <= min(found) <= max(found) <= max(acknowledged) + 1


def test_ten_processes_read_whole_states_while_two_write(tmp_path):
    read_while_two_write(tmp_path, 10)


@pytest.mark.long
def test_ten_processes_read_whole_states_while_two_write_for_a_minute(tmp_path):
    read_while_two_write(tmp_path, 60)
