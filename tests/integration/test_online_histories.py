"""Random histories of everything that writes online, with real kills, against the slow twin.

Each history: some operations by a process that is killed at a random call that changes a file (or
not), a look at what is online, some more operations, and another look. A history that fails is
printed with its seed, and kept as text; TFN_SEED=<its seed> TFN_HISTORIES=1 runs it alone.
TFN_HISTORIES says how many hundredths: 100,000 are 1,000 histories.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from failing_disk import compile_shim, environment_with
from online_twin import OnlineTwin
from versions import VIEWS, make_repo, numbers_of, version_at

from tiffin import FeatureStore

CHILD = Path(__file__).with_name("history_child.py")
N_KEYS = 25
N_MINUTES = 6
KEPT = Path(__file__).parents[2] / "build" / "online_history_failed.txt"


class Child:
    """The process that forks one for each run."""

    def __init__(self, shim: Path) -> None:
        pipe = subprocess.PIPE
        command = [sys.executable, CHILD]
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, text=True, env=environment_with(shim)
        )

    def run(self, repo: Path, operations: list, at_call: int) -> tuple[int, int]:
        """Return how many operations were done, and how the process ended."""
        self._process.stdin.write(json.dumps([str(repo), operations, at_call]) + "\n")
        self._process.stdin.flush()
        n_done, line = 0, self._process.stdout.readline()
        while not line.startswith("ended"):
            assert line == f"{n_done}\n"
            n_done, line = n_done + 1, self._process.stdout.readline()
        return n_done, int(line.split()[1])

    def end(self) -> None:
        self._process.stdin.close()
        assert self._process.wait() == 0


class Maker:
    """Makes operations."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._number = 0

    def rows(self) -> list[list[int]]:
        """Return rows with few times, so that ties are the rule; sometimes of most keys."""
        n_rows = self._rng.choice([1, 1, 2, 5, N_KEYS])
        rows = []
        for key in self._rng.sample(range(N_KEYS), n_rows):
            self._number += 1
            rows.append([key, self._rng.randrange(N_MINUTES), self._number])
        return rows

    def operation(self, has_increments: bool) -> list:
        view = self._rng.choice(VIEWS)
        keys = self._rng.sample(range(N_KEYS), self._rng.randrange(1, 5))
        end = self._rng.randrange(N_MINUTES)
        operations = [
            ["push", self.rows()],
            ["push", self.rows()],
            ["write", view, self.rows()],
            ["write_offline", self.rows()],
            ["write_offline", self.rows()],
            ["delete", view, keys],
            ["rollback", view],
            ["materialize", end],
            ["materialize", N_MINUTES],
            ["materialize_incremental", end],
        ]
        return self._rng.choice(operations if has_increments else operations[:-1])


def check(store: FeatureStore, twin: OnlineTwin, what: str) -> None:
    found = numbers_of(store, N_KEYS)
    for view, numbers in found.items():
        wanted = [state.numbers(N_KEYS) for state in twin.views[view]]
        assert twin.observe(view, numbers), f"{what}: {view} shows {numbers}, not one of {wanted}"


def check_watermarks(store: FeatureStore, twin: OnlineTwin) -> None:
    for status in json.loads(store._engine.status()):
        ends = [state.end for state in twin.views[status["view"]]]
        end = None if status["end"] is None else version_at(status["end"])
        assert end in ends, f"watermark of {status['view']} is {end}, not one of {ends}"


def run_history(child: Child, template: Path, repo: Path, seed: int, trace: list) -> bool:
    """Return whether a process was killed."""
    rng = random.Random(seed)
    maker = Maker(rng)
    twin = OnlineTwin(VIEWS)
    shutil.copytree(template, repo)
    first = [["write_offline", maker.rows()], ["materialize", rng.randrange(N_MINUTES)]]
    first += [maker.operation(True) for _ in range(rng.randrange(1, 8))]
    at_call = rng.randrange(1, 60) if rng.random() < 0.7 else 0
    trace += [["killed at call", at_call], *first]
    n_done, code = child.run(repo, first, at_call)
    assert code == 0 or (at_call > 0 and code == -signal.SIGKILL), f"it ended with {code}"
    for operation in first[:n_done]:
        twin.do(operation)
    is_killed = n_done < len(first)
    if is_killed:
        settle_source(twin, first[n_done], repo)
    store = FeatureStore(repo)
    check(store, twin, f"after {n_done} operations")
    if not is_killed:
        check_watermarks(store, twin)
    second = [maker.operation(False) for _ in range(rng.randrange(1, 6))]
    trace += [["then", n_done], *second]
    for operation in second:
        twin.do(operation)
    assert child.run(repo, second, 0) == (len(second), 0)
    check(store, twin, "in the end")
    return is_killed


def settle_source(twin: OnlineTwin, operation: list, repo: Path) -> None:
    """Take over what an operation may have done whose process was killed."""
    if operation[0] != "write_offline":
        twin.maybe_do(operation)
        return
    import pyarrow.parquet as pq

    files = (repo / "versions").glob("[!.]*.parquet")
    n_rows = sum(pq.read_metadata(file).num_rows for file in files)
    if n_rows != len(twin.source):
        twin.do(operation)
    assert n_rows == len(twin.source), "rows of a file are there in part"


def run_histories(tmp_path: Path, n_histories: int) -> None:
    seed = int(os.environ.get("TFN_SEED", random.randrange(2**32)))
    if "TFN_HISTORIES" in os.environ:
        n_histories = -(-int(os.environ["TFN_HISTORIES"]) // 100)
    print(f"{n_histories} histories from TFN_SEED={seed}")
    (tmp_path / "template").mkdir()
    make_repo(tmp_path / "template", N_KEYS, 0)
    child = Child(compile_shim(tmp_path))
    n_killed = 0
    for i in range(n_histories):
        trace = []
        try:
            repo = tmp_path / str(i)
            n_killed += run_history(child, tmp_path / "template", repo, seed + i, trace)
            shutil.rmtree(repo)
        except AssertionError as error:
            text = "\n".join(map(json.dumps, trace))
            KEPT.write_text(f"seed {seed + i}: {error}\n{text}\n")
            pytest.fail(f"seed {seed + i}: {error} (kept in {KEPT})\n{text}")
    child.end()
    assert n_killed >= n_histories // 4 or n_histories < 20


@pytest.mark.filterwarnings("ignore::tiffin.errors.TiffinWarning")
def test_histories_with_kills_agree_with_the_slow_twin(tmp_path):
    run_histories(tmp_path, 15)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::tiffin.errors.TiffinWarning")
def test_many_histories_with_kills_agree_with_the_slow_twin(tmp_path):
    run_histories(tmp_path, 1000)
