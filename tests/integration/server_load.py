"""Load on a server whose answers can be judged: every row carries the version that it belongs to.

usage: python server_load.py ROLE JSON

The world is that of versions.py. Keys are three groups: those of PUSHED change together in all
views, by POST /push; those of WRITTEN in the first view, by POST /write-to-online-store; those of
LOADED view by view, by POST /materialize-incremental. Which version was sent and which one was
acknowledged stands on a board that all processes see. So an answer is right if each view shows one
version for a whole group, if that is not older than what had been acknowledged before the question
and not newer than what was sent before the answer came, and if each row is whole.

Roles run until standard input ends and then print one line of JSON: what they did, what was wrong.

  read     asks for all keys, in Feast's form or the lean one, as fast as it can or at a rate
  push     pushes and writes
  operate  materializes, commits to the registry, asks what must be refused, and goes away midway
"""

import array
import contextlib
import json
import mmap
import random
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from raw_http import ClosedError, RawConnection, Reply, request

VIEWS = ("v0", "v1", "v2")
PUSHED, WRITTEN, LOADED = range(40), range(40, 60), range(60, 100)
N_KEYS = 100
SERVICE = "everything"
FLIPPED = "flipped"
LEAN_NAMES = [f"{view}__{name}" for view in VIEWS for name in ("number", "text")]
_MINUTE_0 = 1_704_067_200  # 2024-01-01, the minute of version 0
_N_SLOTS = 5


def text_of(version: int) -> str:
    return f"{version}:" + "x" * (version % 100)


def time_of(version: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(_MINUTE_0 + 60 * version))


class Board:
    """Versions that were sent and acknowledged: of PUSHED, of WRITTEN, of LOADED for each view."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(16 * _N_SLOTS))
        with path.open("r+b") as file:
            mapped = mmap.mmap(file.fileno(), 16 * _N_SLOTS)
        # Numbers that are written whole: struct.pack_into would put zeros there first.
        self._versions = memoryview(mapped).cast("q")

    def sent(self) -> Sequence[int]:
        return self._versions[:_N_SLOTS].tolist()

    def acknowledged(self) -> Sequence[int]:
        return self._versions[_N_SLOTS:].tolist()

    def send(self, slot: int, version: int) -> None:
        self._versions[slot] = version

    def acknowledge(self, slot: int, version: int) -> None:
        self._versions[_N_SLOTS + slot] = version


class WrongError(Exception):
    """An answer that was never true, or a request that failed."""


class Report:
    """What a role did: how often what, and the first things that were wrong."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.wrong: list[str] = []
        self.n_wrong = 0

    def count(self, what: str, n: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + n

    def fail(self, what: str) -> None:
        self.n_wrong += 1
        if len(self.wrong) < 20:
            self.wrong.append(f"{time.strftime('%H:%M:%S')} {what}")

    def say(self, **more: Any) -> None:
        found = {"counts": self.counts, "n_wrong": self.n_wrong, "wrong": self.wrong, **more}
        print(json.dumps(found), flush=True)


def is_over(seconds: float = 0) -> bool:
    """Wait so long; whether the parent has closed our standard input."""
    return bool(select.select([sys.stdin], [], [], seconds)[0])


# ---- read


def check_group(
    numbers: list[Any], texts: list[Any], group: range, least: int, most: int, what: str
) -> int:
    """Check that a view shows one version for a group, whole and of its time; return it."""
    numbers = numbers[group.start : group.stop]
    texts = texts[group.start : group.stop]
    version: int = numbers[0]
    if numbers.count(version) != len(group) or texts.count(text_of(version)) != len(group):
        raise WrongError(f"{what}: rows of several versions: {numbers} {texts}")
    if not least <= version <= most:
        raise WrongError(f"{what}: version {version}, expected {least} .. {most}")
    return version


def check_columns(columns: list[list[Any]], before: Sequence[int], after: Sequence[int]) -> None:
    """Check an answer: per view its column of numbers and its column of texts.

    `before` was acknowledged when it was asked, `after` sent when the answer had come.
    """
    pushed = set()
    for i, view in enumerate(VIEWS):
        numbers, texts = columns[2 * i], columns[2 * i + 1]
        least, most = (before[1], after[1]) if i == 0 else (0, 0)
        check_group(numbers, texts, WRITTEN, least, most, f"{view}, written keys")
        least, most = before[2 + i], after[2 + i]
        check_group(numbers, texts, LOADED, least, most, f"{view}, loaded keys")
        least, most = before[0], after[0]
        pushed.add(check_group(numbers, texts, PUSHED, least, most, f"{view}, pushed keys"))
    if len(pushed) != 1:
        raise WrongError(f"views show a push in part: versions {sorted(pushed)}")


def must_be(reply: Reply, *statuses: int) -> Any:
    if reply.status not in statuses:
        raise WrongError(f"status {reply.status}: {reply.body[:300]!r}")
    return reply.json() if reply.body else None


class FeastForm:
    """POST /get-online-features."""

    bytes = request(
        "POST",
        "/get-online-features",
        {
            "features": [f"{view}:{name}" for view in VIEWS for name in ("number", "text")],
            "entities": {"k": list(range(N_KEYS))},
            "full_feature_names": True,
        },
    )

    @staticmethod
    def columns(reply: Reply) -> list[list[Any]]:
        found = must_be(reply, 200)
        names = found["metadata"]["feature_names"]
        if names != ["k", *LEAN_NAMES]:
            raise WrongError(f"names {names}")
        return [result["values"] for result in found["results"][1:]]


class LeanForm:
    """POST /v1/features."""

    bytes = request(
        "POST",
        "/v1/features",
        {
            "service": SERVICE,
            "entities": {"k": list(range(N_KEYS))},
            "full_feature_names": True,
        },
    )

    @staticmethod
    def columns(reply: Reply) -> list[list[Any]]:
        found = must_be(reply, 200)
        if found["names"] != LEAN_NAMES:
            raise WrongError(f"names {found['names']}")
        columns: list[list[Any]] = found["columns"]
        return columns


FORMS = {"feast": FeastForm, "lean": LeanForm}


def read(port: int, board: Board, form: str, rate: float | None) -> None:
    """Ask again and again. With a rate, time counts from when a question was due."""
    kind = FORMS[form]
    report = Report()
    times_s, took_s = array.array("d"), array.array("d")
    connection = RawConnection(port)
    begin = due = time.perf_counter()
    while not is_over(max(0.0, due - time.perf_counter()) if rate else 0):
        start = due if rate else time.perf_counter()
        before = board.acknowledged()
        try:
            columns = kind.columns(connection.send(kind.bytes).reply())
            took_s.append(time.perf_counter() - start)
            times_s.append(start - begin)
            check_columns(columns, before, board.sent())
            report.count("reads")
        except WrongError as wrong:
            report.fail(str(wrong))
        except (OSError, ClosedError) as error:
            report.fail(f"{form}: {error!r}")
            connection.close()
            connection = RawConnection(port)
        if rate:
            due += 1 / rate
    seconds = time.perf_counter() - begin
    connection.close()
    report.say(seconds=seconds, times_s=times_s.tolist(), took_s=took_s.tolist())


# ---- push


def frame_of(version: int, keys: range) -> dict[str, list[Any]]:
    return {
        "k": list(keys),
        "event_timestamp": [time_of(version)] * len(keys),
        "number": [version] * len(keys),
        "text": [text_of(version)] * len(keys),
    }


def push(port: int, board: Board, rate: float) -> None:
    """Push and write by turns; each is visible to all before it is acknowledged."""
    report = Report()
    version = max(board.sent())
    connection = RawConnection(port)
    begin = due = time.perf_counter()
    while not is_over(max(0.0, due - time.perf_counter())):
        version += 1
        pushed = {"push_source_name": "pushed", "df": frame_of(version, PUSHED), "to": "online"}
        written = {"feature_view_name": VIEWS[0], "df": frame_of(version, WRITTEN)}
        turns = (("/push", 0, pushed), ("/write-to-online-store", 1, written))
        try:
            for path, slot, body in turns:
                board.send(slot, version)
                must_be(connection.ask("POST", path, body), 200)
                board.acknowledge(slot, version)
                report.count(path)
        except WrongError as wrong:
            report.fail(f"{path}: {wrong}")
        except (OSError, ClosedError) as error:
            report.fail(f"{path}: {error!r}")
            connection.close()
            connection = RawConnection(port)
        due = max(due + 1 / rate, time.perf_counter())
    connection.close()
    report.say(seconds=time.perf_counter() - begin)


# ---- operate


class Operator:
    """What happens beside reads and pushes, each once in a while."""

    def __init__(self, port: int, board: Board, repo: Path) -> None:
        from tiffin import FeatureStore

        self.port, self.board, self.repo = port, board, repo
        self.store = FeatureStore(repo)
        self.version = max(board.sent()[2:])
        self.rng = random.Random(1)
        self.report = Report()
        self.n_commits = 0

    def materialize(self) -> None:
        """Replace the file of loaded keys by one of the next version, and load it."""
        import pyarrow.parquet as pq
        from versions import end_of, rows_of

        self.version += 1
        hidden = self.repo / "versions" / ".next"
        pq.write_table(rows_of([(key, self.version) for key in LOADED]), hidden)
        hidden.replace(self.repo / "versions" / "loaded.parquet")
        for slot in (2, 3, 4):
            self.board.send(slot, self.version)
        body = {"end_ts": end_of(self.version).isoformat()}
        self._ask("POST", "/materialize-incremental", body, 200)
        for slot in (2, 3, 4):
            self.board.acknowledge(slot, self.version)

    def commit(self) -> None:
        """Change a service; it is served in its new form a second later."""
        from tiffin import FeatureService

        self.n_commits += 1
        views = [self.store.get_feature_view(view) for view in VIEWS[: 1 + self.n_commits % 2]]
        self.store.apply([FeatureService(name=FLIPPED, features=views)])
        deadline = time.monotonic() + 1.5
        while True:
            path = f"/v1/features/{FLIPPED}?k=0&k=99&full_feature_names=true"
            names = self._ask("GET", path, None, 200)["names"]
            if names not in (LEAN_NAMES[:2], LEAN_NAMES[:4]):
                raise WrongError(f"{FLIPPED}: names {names}")
            if names == LEAN_NAMES[: 2 * len(views)]:
                return
            if time.monotonic() > deadline:
                raise WrongError("a commit was not picked up within a second")
            time.sleep(0.05)

    def refuse(self) -> None:
        """Ask what must be refused."""
        entities = {"k": [1]}
        path = "/get-online-features"
        self._ask("POST", path, {"features": ["nothing:x"], "entities": entities}, 404)
        self._ask("POST", path, b'{"features": [', 422)
        self._ask("POST", path, {"features": ["v0:number"], "entities": {"k": ["one"]}}, 400, 500)
        self._ask("GET", "/nowhere", None, 404)
        self._ask("POST", "/push", {"push_source_name": "none", "df": frame_of(1, PUSHED)}, 422)

    def go_away(self) -> None:
        """Leave within a request, or without waiting for its answer."""
        whole = self.rng.choice([FeastForm.bytes, LeanForm.bytes])
        part = whole[: self.rng.randrange(len(whole))]
        connection = RawConnection(self.port)
        way = self.rng.randrange(4)
        with connection:
            if way == 0:
                connection.send(part).reset()
            elif way == 1:
                connection.send(whole * 3).reset()
            elif way == 2:
                connection.send(part)
            else:
                must_be(connection.send(whole).half_close().reply(), 200)

    def _ask(self, method: str, path: str, body: Any, *statuses: int) -> Any:
        with RawConnection(self.port) as connection:
            try:
                return must_be(connection.ask(method, path, body), *statuses)
            except WrongError as wrong:
                raise WrongError(f"{method} {path}: {wrong}") from wrong

    def run(self, every_s: dict[str, float]) -> None:
        due = dict.fromkeys(every_s, time.monotonic())
        while not is_over(0.01):
            for what, seconds in every_s.items():
                if time.monotonic() < due[what]:
                    continue
                try:
                    getattr(self, what)()
                    self.report.count(what)
                except WrongError as wrong:
                    self.report.fail(f"{what}: {wrong}")
                except (OSError, ClosedError) as error:
                    self.report.fail(f"{what}: {error!r}")
                due[what] = max(due[what] + seconds, time.monotonic())
        self.report.say()


# ---- from a test


class Role:
    """A process that loads the server."""

    def __init__(self, role: str, port: int, board: Path, **more: Any) -> None:
        order = {"port": port, "board": str(board), **more}
        self._process = subprocess.Popen(
            [sys.executable, __file__, role, json.dumps(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            self._process.kill()
            self._process.wait()
            raise RuntimeError(f"server_load.py {role} did not start")

    def end(self) -> Any:
        """Let it come to an end; return its report."""
        said, _ = self._process.communicate(timeout=120)
        assert self._process.returncode == 0
        return json.loads(said)

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


@contextlib.contextmanager
def roles(port: int, board: Path, *orders: tuple[str, dict[str, Any]]) -> Iterator[list[Role]]:
    """Roles that are ended, whatever happens."""
    running: list[Role] = []
    try:
        for role, more in orders:
            running.append(Role(role, port, board, **more))
        yield running
    finally:
        for one in running:
            one.kill()


def make_world(folder: Path, settings: str = "") -> None:
    """Make the repo, with version 0 of everything online."""
    from versions import FIRST, end_of, make_repo

    from tiffin import FeatureService

    store = make_repo(folder, N_KEYS, 1, settings)
    views = [store.get_feature_view(view) for view in VIEWS]
    store.apply(
        [
            FeatureService(name=SERVICE, features=views),
            FeatureService(name=FLIPPED, features=views[:1]),
        ]
    )
    store.materialize(FIRST, end_of(0))


def main() -> None:
    role, order = sys.argv[1], json.loads(sys.argv[2])
    board = Board(Path(order.pop("board")))
    port = order.pop("port")
    operator = Operator(port, board, Path(order["repo"])) if role == "operate" else None
    print("ready", flush=True)
    if operator is not None:
        operator.run(order["every_s"])
    else:
        {"read": read, "push": push}[role](port, board, **order)


if __name__ == "__main__":
    main()
