"""A Redis server of a contender's own: loopback, a free port, ended by its process id."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_S = 60  # a dump of a million hashes is read at the start


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def ask(port: int, command: bytes) -> bytes:
    """Send one inline command; return the first bytes of the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=START_S) as connection:
        connection.sendall(command + b"\r\n")
        return connection.recv(64)


def wait_until_ready(server: "subprocess.Popen[bytes]", port: int) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end and server.poll() is None:
        try:
            if ask(port, b"PING").startswith(b"+PONG"):
                return
        except OSError:
            pass
        time.sleep(0.02)
    raise RuntimeError("redis-server did not start")


@contextmanager
def redis_server(folder: Path) -> Iterator[int]:
    """Run a server that begins with the dump of `folder`, if there is one; yields its port."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    options = f"--port {port} --bind 127.0.0.1 --dir {folder} --appendonly no --logfile redis.log"
    server = subprocess.Popen(["redis-server", *options.split(), "--save", ""])
    try:
        wait_until_ready(server, port)
        yield port
    finally:
        server.terminate()
        server.wait(START_S)


def save(port: int) -> None:
    """Write the dump with which the next server of this folder begins."""
    if not ask(port, b"SAVE").startswith(b"+OK"):
        raise RuntimeError("redis-server could not save its dump")
