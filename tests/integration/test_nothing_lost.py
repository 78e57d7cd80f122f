"""Every call that changes a file fails in turn, during everything that changes a store.

After each: the error is one sentence; what is online is the state before or the one after, whole,
for the process that met the failure and for others; and the next run completes.
"""

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest
from failing_disk import KILLED, WHOLE_LIFE, compile_shim, environment_with
from verbs import N_KEYS, N_VERSIONS, VERBS, look
from versions import copy_repo, make_repo

CHILD = Path(__file__).with_name("failing_disk_child.py")
WORDS_FOR_FULL = ("disk is full", "No space left", "disk I/O error", "must be writable")
FAILURES = {
    "the disk is full from then on": (errno.ENOSPC, WHOLE_LIFE),
    "one call fails": (errno.EIO, 1),
    "one write is cut short": (0, 1),
}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the preloaded disk is Linux's")


@pytest.fixture(scope="module")
def shim(tmp_path_factory) -> Path:
    return compile_shim(tmp_path_factory.mktemp("shim"))


@pytest.fixture(scope="module")
def applied(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("applied")
    make_repo(folder, N_KEYS, N_VERSIONS)
    return folder


@pytest.fixture(scope="module")
def prepare(applied, tmp_path_factory):
    """Give the repo that a verb begins with, and the states before and after it."""
    made = {}

    def prepare(name: str) -> tuple[Path, dict, dict]:
        if name not in made:
            folder = tmp_path_factory.mktemp("prepared")
            store = copy_repo(applied, folder / "before")
            VERBS[name].prepare(store)
            done = copy_repo(folder / "before", folder / "after")
            VERBS[name].act(done)
            made[name] = folder / "before", look(store), look(done)
        return made[name]

    return prepare


def check_sentence(error: list[str], failure: int) -> None:
    kind, sentence = error
    if failure == KILLED:
        assert kind == "Killed"
        return
    assert kind in ("IoError", "LimitError"), error
    assert sentence and "\n" not in sentence and not sentence.endswith(":"), error
    if failure == errno.ENOSPC:
        assert any(words in sentence for words in WORDS_FOR_FULL), error


LONG = [pytest.param("the process is killed", marks=pytest.mark.long)]


def check_later(later: dict, after: dict) -> None:
    """What is online is what should be; rows that were written offline may be there once more."""
    assert later | {"rows": 0} == after | {"rows": 0}
    assert (later["rows"] - after["rows"]) in (0, N_KEYS)


@pytest.mark.parametrize("failure", [*FAILURES, *LONG])
@pytest.mark.parametrize("name", VERBS)
@pytest.mark.filterwarnings("ignore::tiffin.errors.TiffinWarning")
def test_whatever_call_fails_nothing_is_lost(name, failure, prepare, shim, tmp_path):
    template, before, after = prepare(name)
    assert before != after
    number, n_failing = FAILURES.get(failure, (KILLED, 1))
    command = [sys.executable, CHILD, template, tmp_path, name, str(number), str(n_failing)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment_with(shim), timeout=300
    )
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr
    assert done.stderr == ""
    rounds = [json.loads(line) for line in done.stdout.splitlines()]
    for answer in rounds:
        if answer["error"] is not None:
            check_sentence(answer["error"], number)
        else:
            assert answer["same"] == after, answer
        assert answer["other"] == answer["same"], answer
        for part, state in answer["same"].items():
            assert state in (before[part], after[part]), answer
        if VERBS[name].is_one:
            assert answer["same"] in (before, after), answer
        assert answer["again"] is None, answer
        check_later(answer["later"], after)
    assert [answer["k"] for answer in rounds] == list(range(1, len(rounds) + 1))
    assert rounds[-1]["error"] is None
    assert sum(answer["error"] is not None for answer in rounds) >= 3, "hardly anything failed"
