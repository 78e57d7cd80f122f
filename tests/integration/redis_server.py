"""Real Redis servers for tests: on free loopback ports, ended by their own process id.

``RedisServer`` is one server; ``RedisCluster`` three. Both speak just enough of the protocol
to look at what is stored, so that tests see it with no client of ours in between.
"""

import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from free_port import free_port

SLOTS = 16384
_START_SECONDS = 30


class RedisError(Exception):
    """An error reply."""


class Connection:
    """A connection that sends commands and returns replies: bytes, int, list, None."""

    def __init__(self, port: int, timeout_s: float = 10) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout_s)
        self._file = self._socket.makefile("rb")

    def __call__(self, *args: bytes | str | int) -> Any:
        words = [a if isinstance(a, bytes) else str(a).encode() for a in args]
        text = b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)
        self._socket.sendall(b"*%d\r\n" % len(words) + text)
        reply = self._read()
        if isinstance(reply, RedisError):
            raise reply
        return reply

    def _read(self) -> Any:
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b"-":
            return RedisError(rest.decode())
        if kind == b":":
            return int(rest)
        if rest == b"-1":
            return None
        if kind == b"$":
            return self._file.read(int(rest) + 2)[:-2]
        return [self._read() for _ in range(int(rest))]

    def close(self) -> None:
        self._file.close()
        self._socket.close()


class RedisServer:
    """One server. Everything it was told is on the disk before it answers, so that a restart loses
    nothing."""

    def __init__(self, folder: Path, *options: str) -> None:
        if shutil.which("redis-server") is None:
            raise RuntimeError("tests need redis-server; run tools/setup.sh test")
        self.folder = folder
        self.options = options
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.start()

    def start(self) -> None:
        """Start, or start again with the data of before."""
        assert self._process is None
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--dir", str(self.folder), "--save", "", "--appendonly", "yes"]
        command += ["--appendfsync", "everysec", "--loglevel", "warning", *self.options]
        log = (self.folder / "log").open("ab")
        with log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                self("PING")
            except (OSError, RedisError) as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    said = (self.folder / "log").read_text("utf-8", "replace")
                    raise RuntimeError(f"redis-server did not start: {said}") from error
                time.sleep(0.01)
            else:
                return

    def stop(self) -> None:
        """End it, as a machine does that is switched off in order."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            self._process.wait(timeout=_START_SECONDS)
            self._process = None

    def kill(self) -> None:
        """End it without a word. What it acknowledged was written, if not synced."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def pause(self) -> None:
        """It accepts connections (the kernel does) and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def __call__(self, *args: bytes | str | int) -> Any:
        """Run one command over a connection of its own."""
        connection = Connection(self.port)
        try:
            return connection(*args)
        finally:
            connection.close()

    def dump(self, db: int = 0) -> dict[bytes, dict[bytes, bytes]]:
        """Return all hashes."""
        connection = Connection(self.port)
        try:
            if db:
                connection("SELECT", db)
            content = {}
            for key in connection("KEYS", "*"):
                parts = connection("HGETALL", key)
                content[key] = dict(zip(parts[::2], parts[1::2], strict=True))
            return content
        finally:
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class RedisCluster:
    """Three masters that share the slots."""

    def __init__(self, folder: Path) -> None:
        self.nodes: list[RedisServer] = []
        try:
            for i in range(3):
                home = folder / f"node{i}"
                options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "5000"]
                self.nodes.append(RedisServer(home, *options))
            self._join()
        except BaseException:
            self.stop()
            raise

    def add(self, folder: Path) -> RedisServer:
        """Add a master that has no slot yet, and wait until all know it."""
        node = RedisServer(folder, "--cluster-enabled", "yes", "--cluster-node-timeout", "5000")
        self.nodes.append(node)
        self.nodes[0]("CLUSTER", "MEET", "127.0.0.1", node.port)
        self._wait()
        return node

    def _join(self) -> None:
        bounds = [SLOTS * i // 3 for i in range(4)]
        for i, node in enumerate(self.nodes):
            node("CLUSTER", "ADDSLOTSRANGE", bounds[i], bounds[i + 1] - 1)
            node("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
        for node in self.nodes[1:]:
            self.nodes[0]("CLUSTER", "MEET", "127.0.0.1", node.port)
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not all(self._is_ready(node) for node in self.nodes):
            assert time.monotonic() < deadline, "the cluster did not form"
            time.sleep(0.05)

    def _is_ready(self, node: RedisServer) -> bool:
        info = node("CLUSTER", "INFO")
        n_known = b"cluster_known_nodes:%d" % len(self.nodes)
        return b"cluster_state:ok" in info and n_known in info

    def begin_move(
        self, slot: int, target: RedisServer | None = None
    ) -> tuple[RedisServer, RedisServer]:
        """Begin to move a slot (to the next node); return where it was and where it goes."""
        bounds = [SLOTS * i // 3 for i in range(4)]
        i = next(i for i in range(3) if bounds[i] <= slot < bounds[i + 1])
        source, target = self.nodes[i], target or self.nodes[(i + 1) % 3]
        target("CLUSTER", "SETSLOT", slot, "IMPORTING", source("CLUSTER", "MYID"))
        source("CLUSTER", "SETSLOT", slot, "MIGRATING", target("CLUSTER", "MYID"))
        return source, target

    @staticmethod
    def move_keys(slot: int, source: RedisServer, target: RedisServer) -> int:
        """Move the keys that are in the slot now; return how many."""
        n = 0
        while keys := source("CLUSTER", "GETKEYSINSLOT", slot, 10):
            source("MIGRATE", "127.0.0.1", target.port, "", 0, 10_000, "KEYS", *keys)
            n += len(keys)
        return n

    def end_move(self, slot: int, target: RedisServer) -> None:
        owner = target("CLUSTER", "MYID")
        for node in (target, *(n for n in self.nodes if n is not target)):
            node("CLUSTER", "SETSLOT", slot, "NODE", owner)

    @property
    def connection_string(self) -> str:
        return ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def dump(self) -> dict[bytes, dict[bytes, bytes]]:
        """Return all hashes of all nodes."""
        content = {}
        for node in self.nodes:
            content.update(node.dump())
        return content

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Relay:
    """Stands before a server and counts round trips: how often a client spoke after an answer.

    It hands on what either side says once that side is silent for a moment, so that a request that
    comes in pieces is one.
    """

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.n_turns = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @staticmethod
    def _take(side: socket.socket) -> bytes:
        """Return what comes until silence; nothing at its end."""
        side.settimeout(None)
        said = part = side.recv(1 << 16)
        side.settimeout(0.2)
        try:
            while part:
                part = side.recv(1 << 16)
                said += part
        except TimeoutError:
            pass
        return said

    def _serve(self) -> None:
        client, _ = self._listener.accept()
        with client, socket.create_connection(("127.0.0.1", self._server.port)) as server:
            while said := self._take(client):
                self.n_turns += 1
                server.sendall(said)
                client.sendall(self._take(server))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()


@contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[RedisServer]:
    """A server for a test."""
    with RedisServer(folder, *options) as server:
        yield server
