"""Lets every call of one verb that changes a file fail in turn, for test_nothing_lost.py.

usage: python failing_disk_child.py TEMPLATE FOLDER VERB ERROR N     (disk_shim.so preloaded)

TEMPLATE is a repo that is prepared for the verb; each round works on a copy of it in FOLDER. From
call k on N calls fail with errno ERROR (0: half is written; -1: and the process is killed), for k =
1, 2, ... until the verb needs fewer. Prints one JSON object a round:

  error     the exception's class and sentence; null: the verb ended well nevertheless
  same      state that this process then sees, by the handle that met the failure
  other     state that another process sees, which was reading before
  later     state after the verb was repeated
  again     the exception of the repeated verb, which met no failure; null: none

Where processes are killed they are forked ones, and "same" is what a third one sees.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

import duckdb  # noqa: F401 - loaded once, before processes are forked
import pyarrow.parquet  # noqa: F401
from failing_disk import KILLED, FailingDisk
from verbs import VERBS, Verb, look

from tiffin import FeatureStore


def read_for_ever() -> None:
    """Answer each line, the name of a repo, with its state."""
    stores = {}
    for line in sys.stdin:
        name = line.rstrip("\n")
        if name not in stores:
            stores = {name: FeatureStore(name)}
        print(json.dumps(look(stores[name])), flush=True)


class Reader:
    """A process that reads whatever repo it is asked for."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        command = [sys.executable, __file__, "read"]
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def look(self, repo: Path) -> dict:
        self._process.stdin.write(f"{repo}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def end(self) -> None:
        self._process.stdin.close()
        assert self._process.wait() == 0


def sentence_of(act: Callable[[FeatureStore], object], store: FeatureStore) -> list[str] | None:
    try:
        act(store)
    except Exception as error:
        return [type(error).__name__, str(error)]
    return None


def fail_call(disk: FailingDisk, reader: Reader, verb: Verb, repo: Path, k: int) -> dict:
    """Let a call of this process fail."""
    store = FeatureStore(repo)
    before = (look(store), reader.look(repo)) if verb.is_read_before else None
    disk.arm(repo, k, int(sys.argv[5]), int(sys.argv[4]))
    error = sentence_of(verb.act, store)
    is_last = disk.disarm() < k
    answer = {"error": error, "same": look(store), "other": reader.look(repo)}
    is_done = not verb.is_repeatable and before is not None and answer["same"] != before[0]
    answer["again"] = None if is_done else sentence_of(verb.act, store)
    return answer | {"later": look(store), "is_last": is_last}


def run_forked(act: Callable[[], object]) -> int:
    """Do it in a process of its own, since only that one then has threads; return how it ended."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            act()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def look_forked(repo: Path) -> dict:
    with tempfile.TemporaryFile("w+") as file:
        assert (
            run_forked(lambda: print(json.dumps(look(FeatureStore(repo))), file=file, flush=True))
            == 0
        )
        file.seek(0)
        return json.load(file)


def kill_at_call(disk: FailingDisk, reader: Reader, verb: Verb, repo: Path, k: int) -> dict:
    """Let a forked process be killed at a call."""

    def act() -> None:
        store = FeatureStore(repo)
        if verb.is_read_before:
            look(store)
        disk.arm(repo, k, 1, KILLED)
        verb.act(store)

    before = reader.look(repo) if verb.is_read_before else None
    code = run_forked(act)
    answer = {"same": look_forked(repo), "other": reader.look(repo), "again": None}
    answer["error"] = None if code == 0 else ["Killed" if code == -signal.SIGKILL else "Failed", ""]
    if verb.is_repeatable or answer["same"] == before:
        code = run_forked(lambda: verb.act(FeatureStore(repo)))
        answer["again"] = None if code == 0 else ["Failed", str(code)]
    return answer | {"later": reader.look(repo), "is_last": answer["error"] is None}


def main() -> None:
    template, folder, verb = Path(sys.argv[1]), Path(sys.argv[2]), VERBS[sys.argv[3]]
    disk, reader = FailingDisk(), Reader()
    disturb = kill_at_call if int(sys.argv[4]) == KILLED else fail_call
    k, is_last = 0, False
    while not is_last:
        k += 1
        repo = folder / str(k)
        shutil.copytree(template, repo)
        answer = disturb(disk, reader, verb, repo, k)
        is_last = answer.pop("is_last")
        print(json.dumps({"k": k} | answer), flush=True)
        shutil.rmtree(repo)
    reader.end()


if __name__ == "__main__":
    read_for_ever() if sys.argv[1] == "read" else main()
