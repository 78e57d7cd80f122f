"""A Redis that is killed, stopped and paused while one pushes and another reads.

What a push acknowledged is there afterwards, also when the server was killed right then (it syncs
each write before it answers here); no row is torn, and none is older than one that was seen.
"""

import random
import statistics
import threading
import time

import pytest
from redis_server import RedisServer
from versions import FIRST, VIEWS, end_of, frame_of, make_repo, numbers_of

from tiffin.errors import UnavailableError

N_KEYS = 50
TIMEOUT_MS = 300
SLOW_S = 10  # a machine may be busy; nothing here waits for it


@pytest.fixture
def server(tmp_path):
    with RedisServer(tmp_path / "redis", "--appendfsync", "always") as server:
        yield server


def store_at(tmp_path, server, n_keys: int, n_versions: int):
    (tmp_path / "repo").mkdir()
    config = (
        f"online_store: {{type: redis, connection_string: '127.0.0.1:{server.port}', "
        f"timeout_ms: {TIMEOUT_MS}, connect_timeout_ms: {TIMEOUT_MS}}}\n"
    )
    store = make_repo(tmp_path / "repo", n_keys, n_versions, config)
    Patient()(lambda: store.materialize(FIRST, FIRST))  # a busy machine may pass the time-out
    return store


@pytest.fixture
def store(tmp_path, server):
    return store_at(tmp_path, server, N_KEYS, 3)


class Patient:
    """Calls until it succeeds, and remembers what it was told meanwhile."""

    def __init__(self) -> None:
        self.refusals: list[tuple[str, float]] = []
        self.failure: BaseException | None = None

    def __call__(self, act):
        while True:
            started_s = time.monotonic()
            try:
                return act()
            except UnavailableError as error:
                self.refusals.append((str(error), time.monotonic() - started_s))
                time.sleep(0.002)  # not to wait for anything: to leave the machine to others


class Pusher(Patient):
    """Pushes version after version to all views."""

    def __init__(self, store) -> None:
        super().__init__()
        self.acknowledged = 0
        self.is_to_end = False
        self.has_advanced = threading.Condition()
        self._store = store
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self.is_to_end:
                frame = frame_of(self.acknowledged + 1, N_KEYS)
                self(lambda frame=frame: self._store.push("pushed", frame))
                with self.has_advanced:
                    self.acknowledged += 1
                    self.has_advanced.notify()
        except BaseException as error:
            self.failure = error

    def wait_for(self, version: int) -> None:
        with self.has_advanced:
            assert self.has_advanced.wait_for(lambda: self.acknowledged >= version, 60)

    def end(self) -> None:
        self.is_to_end = True
        self._thread.join()
        assert self.failure is None, self.failure


class Watcher(Patient):
    """Reads all the time, and sees whether a row goes back in time."""

    def __init__(self, store) -> None:
        super().__init__()
        self.is_to_end = False
        self.n_reads = 0
        self._store = store
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            before = dict.fromkeys(VIEWS, [0] * N_KEYS)
            while not self.is_to_end:
                now = self(lambda: numbers_of(self._store, N_KEYS))
                for view in VIEWS:
                    pairs = zip(before[view], now[view], strict=True)
                    assert all(a <= b for a, b in pairs), (view, before[view], now[view])
                before, self.n_reads = now, self.n_reads + 1
        except BaseException as error:
            self.failure = error

    def end(self) -> None:
        self.is_to_end = True
        self._thread.join()
        assert self.failure is None, self.failure


def disturb(server: RedisServer, how: str, pause_s: float) -> None:
    if how == "pause":
        server.pause()
        threading.Event().wait(pause_s)
        server.resume()
        return
    server.kill() if how == "kill" else server.stop()
    threading.Event().wait(pause_s / 10)
    server.start()


def check_refusals(refusals: list[tuple[str, float]], server: RedisServer) -> None:
    for sentence, seconds in refusals:
        assert f"127.0.0.1:{server.port}" in sentence and "\n" not in sentence, sentence
        assert seconds < TIMEOUT_MS / 1000 * 4 + SLOW_S, (sentence, seconds)


def disturb_all_the_time(store, server, n_rounds: int) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    pusher, watcher = Pusher(store), Watcher(store)
    try:
        for _ in range(n_rounds):
            pusher.wait_for(pusher.acknowledged + 2)
            threading.Event().wait(rng.uniform(0.0, 0.02))  # to choose the moment
            disturb(server, rng.choice(["kill", "kill", "stop", "pause"]), rng.uniform(0.1, 0.8))
            least = pusher.acknowledged
            found = watcher(lambda: numbers_of(store, N_KEYS))
            assert min(min(numbers) for numbers in found.values()) >= least
        pusher.wait_for(pusher.acknowledged + 2)
    finally:
        pusher.end()
        watcher.end()
    check_refusals(pusher.refusals + watcher.refusals, server)
    assert pusher.refusals and watcher.n_reads > n_rounds
    found = numbers_of(store, N_KEYS)
    assert found == dict.fromkeys(VIEWS, [pusher.acknowledged] * N_KEYS)


def test_what_was_pushed_is_there_whatever_happens_to_the_server(store, server):
    disturb_all_the_time(store, server, 10)


@pytest.mark.long
def test_what_was_pushed_is_there_after_200_disturbances(store, server):
    disturb_all_the_time(store, server, 200)


class Disturber:
    """Takes the server away when a materialization says that it writes rows, and only then."""

    def __init__(self, server: RedisServer, how: str) -> None:
        self._server = server
        self._how = how
        self._thread = threading.Thread(target=self._disturb)
        self._is_begun = False

    def __call__(self, stage: str, n_done: int, n_total: int) -> None:
        if stage == "writing online" and not self._is_begun:
            self._is_begun = True
            if self._how == "pause":  # at once: nothing of this try is written
                self._server.pause()
            self._thread.start()

    def _disturb(self) -> None:
        if self._how != "pause":
            threading.Event().wait(0.03)  # amid the rows, or between two views
            self._server.kill() if self._how == "kill" else self._server.stop()
        threading.Event().wait(2 * TIMEOUT_MS / 1000)
        self._server.resume() if self._how == "pause" else self._server.start()

    def end(self) -> None:
        assert self._is_begun
        self._thread.join()


def test_a_materialization_that_was_interrupted_is_completed_by_the_next(tmp_path, server):
    n_keys = 3_000
    n_refusals = 0
    store = store_at(tmp_path, server, n_keys, 4)
    for version, how in enumerate(["kill", "stop", "pause"], 1):
        patient = Patient()
        disturber = Disturber(server, how)
        end = end_of(version)
        patient(lambda end=end, d=disturber: store.materialize_incremental(end, progress=d))
        disturber.end()
        found = patient(lambda: numbers_of(store, n_keys))
        assert found == dict.fromkeys(VIEWS, [version] * n_keys)
        check_refusals(patient.refusals, server)
        n_refusals += len(patient.refusals)
    assert n_refusals > 0  # else nothing was interrupted


@pytest.mark.alone
@pytest.mark.parametrize("how", ["stopped", "paused"])
def test_while_the_server_is_away_calls_are_answered_at_once(store, server, how):
    server.stop() if how == "stopped" else server.pause()
    seconds = []
    for _ in range(21):
        started_s = time.monotonic()
        with pytest.raises(UnavailableError):
            numbers_of(store, N_KEYS)
        seconds.append(time.monotonic() - started_s)
    assert statistics.median(seconds) < TIMEOUT_MS / 1000 / 3, seconds
    server.start() if how == "stopped" else server.resume()
    found = Patient()(lambda: numbers_of(store, N_KEYS))
    assert found == dict.fromkeys(VIEWS, [0] * N_KEYS)
