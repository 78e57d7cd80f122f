"""bench/paced_load.c and bench/http_constant.c: what they say of a server is so."""

import json
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "py"  # where tools/install.sh builds
BODY = b'{"a": 1}'
REQUEST = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


@pytest.fixture(scope="module", autouse=True)
def programs() -> None:
    ninja = Path(sys.executable).with_name("ninja")
    targets = ["bench/paced_load", "bench/http_constant"]
    subprocess.run([ninja, "-C", BUILD, *targets], check=True, capture_output=True)


@pytest.fixture
def requests(tmp_path: Path) -> Path:
    path = tmp_path / "requests"
    path.write_bytes((struct.pack("<I", len(REQUEST)) + REQUEST) * 3)
    return path


@pytest.fixture
def constant(tmp_path: Path) -> Iterator[int]:
    """The port of a server that answers everything with the same 30,000 bytes."""
    (tmp_path / "answer").write_bytes(b"x" * 30_000)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    program = BUILD / "bench" / "http_constant"
    process = subprocess.Popen([program, str(port), str(tmp_path / "answer")])
    wait_for(port)
    yield port
    process.terminate()
    assert process.wait(10) == 0


def wait_for(port: int) -> None:
    end = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            assert time.monotonic() < end
            time.sleep(0.01)
        else:
            return


def load(port: int, requests: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [BUILD / "bench" / "paced_load", str(port), requests, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_all_requests_are_answered_at_the_rate_that_was_asked(
    constant: int, requests: Path
) -> None:
    run = load(constant, requests, "1000", "2", "8")
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert 1800 < found["answered"] < 2200
    assert 1600 < found["counted"] < found["answered"]  # the first tenth is not
    assert 0 < found["median"] <= found["p99"] <= found["p999"] <= found["max"]


class Pausing(threading.Thread):
    """A server that answers at once, but for one pause in which nobody is answered."""

    def __init__(self, answer: bytes, begin_s: float = 0.0, pause_s: float = 0.0) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.answer, self.begin_s, self.pause_s = answer, begin_s, pause_s

    def run(self) -> None:
        connection, _ = self.listener.accept()
        begin, has_paused = time.monotonic() + self.begin_s, False
        while data := connection.recv(65536):
            if not has_paused and time.monotonic() > begin and self.pause_s > 0:
                has_paused = True
                time.sleep(self.pause_s)  # it is what is measured
            connection.sendall(self.answer * data.count(b"POST"))
        connection.close()


GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


def test_a_pause_is_felt_by_all_who_would_have_come_meanwhile(requests: Path) -> None:
    server = Pausing(GOOD, 1.0, 0.5)
    server.start()
    run = load(server.port, requests, "200", "3", "1")
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    # A closed loop would have met the pause once in some 500 requests: nowhere near its p99.
    assert found["p99"] > 400_000
    assert found["median"] < 100_000


@pytest.mark.parametrize(
    "answer, sentence",
    [
        (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "answer: HTTP/1.1 503 No"),
        (b"HTTP/1.1 200 OK\r\n\r\n{}", "answer: it has no Content-Length"),
        (GOOD + b"more", "answer: it is longer than its Content-Length"),
    ],
)
def test_another_answer_ends_it_with_a_sentence(
    answer: bytes, sentence: str, requests: Path
) -> None:
    server = Pausing(answer)
    server.start()
    run = load(server.port, requests, "50", "1", "1")
    assert run.returncode == 1
    assert run.stderr == f"paced_load: {sentence}\n"


def test_a_file_that_is_cut_short_is_refused(requests: Path) -> None:
    requests.write_bytes(requests.read_bytes()[:-1])
    run = load(1, requests, "50", "1", "1")
    assert run.returncode == 1
    assert run.stderr == f"paced_load: {requests}: the last request is cut short\n"
