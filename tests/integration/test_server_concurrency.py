"""Many requests leave nothing behind, and many threads do not step on each other.

Runs against the installed server in CI; `make tsan` gives it one built with ThreadSanitizer, and
`make long` one built with AddressSanitizer, which says at the end what was leaked.

TFN_REQUESTS  how many requests (50,000)
"""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from raw_http import RawConnection, ask, request
from server_load import (
    FLIPPED,
    N_KEYS,
    PUSHED,
    SERVICE,
    VIEWS,
    Board,
    FeastForm,
    frame_of,
    make_world,
    roles,
)
from server_process import ServerProcess, is_sanitized

N_REQUESTS = int(os.environ.get("TFN_REQUESTS", "50000"))
N_CLIENTS = 4
BATCH = 50


def lookup(**more: Any) -> dict[str, Any]:
    return {"features": ["v0:number", "v1:text"], "entities": {"k": [1, 2, 3]}, **more}


def of_every_kind(i: int) -> list[tuple[bytes, int]]:
    """Requests of every kind and the status that each must have; `i` makes some of them new."""
    feast, lean = "/get-online-features", "/v1/features"
    many = {"k": list(range(N_KEYS))}
    subset = [
        f"{view}:{name}"
        for j, view in enumerate(VIEWS)
        for name in ("number", "text")[: 1 + (i >> j) % 2]
    ]
    push = {"push_source_name": "pushed", "df": frame_of(1 + i % 1000, PUSHED)}
    no_push = {"push_source_name": "pushed", "df": {"k": [1], "number": ["x", "y"]}}
    return [
        (request("POST", feast, lookup()), 200),
        (request("POST", feast, lookup(entities=many, full_feature_names=True)), 200),
        (
            request(
                "POST",
                feast,
                {"feature_service": SERVICE, "entities": many, "full_feature_names": True},
            ),
            200,
        ),
        (
            request(
                "POST", feast, {"features": subset, "entities": many, "full_feature_names": True}
            ),
            200,
        ),
        (request("POST", feast, lookup(entities={"k": ["1", "2"]})), 200),
        (request("POST", lean, lookup()), 200),
        (
            request(
                "POST", lean, {"service": SERVICE, "entities": many, "full_feature_names": True}
            ),
            200,
        ),
        (request("GET", f"{lean}/{SERVICE}?k=1&k=2&full_feature_names=true"), 200),
        (request("GET", f"{lean}/{FLIPPED}?k=%31"), 200),
        (request("POST", "/push", push), 200),
        (request("POST", "/push", no_push), 500),
        (request("POST", feast, b"{"), 422),
        (request("POST", feast, lookup(features=["nothing:x"])), 404),
        (request("POST", lean, {"service": f"none-{i}", "entities": {"k": [1]}}), 404),
        (request("GET", "/nowhere"), 404),
        (request("GET", "/push"), 405),
        (request("GET", "/health"), 200),
        (request("GET", "/metrics"), 200),
    ]


class Client(threading.Thread):
    """Sends requests of every kind, many at a time, until enough were answered."""

    def __init__(self, port: int, n: int) -> None:
        super().__init__()
        self._port, self._n = port, n
        self.n_answers = 0
        self.wrong: list[str] = []

    def run(self) -> None:
        i = 0
        while self.n_answers < self._n and not self.wrong:
            with RawConnection(self._port) as connection:
                for _ in range(20):
                    kinds = of_every_kind(i)
                    batch = (kinds * (BATCH // len(kinds) + 1))[:BATCH]
                    self._ask(connection, batch)
                    i += 1
                connection.send(FeastForm.bytes * 2).reset()

    def _ask(self, connection: RawConnection, batch: list[tuple[bytes, int]]) -> None:
        connection.send(b"".join(bytes_ for bytes_, _ in batch))
        for bytes_, status in batch:
            reply = connection.reply()
            self.n_answers += 1
            if reply.status != status:
                self.wrong.append(f"{bytes_[:300]!r}: {reply.status} {reply.body[:300]!r}")


def run_clients(port: int, n: int) -> None:
    clients = [Client(port, n // N_CLIENTS) for _ in range(N_CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert not [line for client in clients for line in client.wrong]


def test_many_requests_leave_nothing_behind(tmp_path):
    make_world(tmp_path)
    with ServerProcess(tmp_path, "--workers", "2") as server:
        run_clients(server.port, max(5000, N_REQUESTS // 3))  # buffers grow to what is asked
        before = server.look()
        run_clients(server.port, N_REQUESTS)
        after = server.look()
        assert after.n_threads == before.n_threads
        assert after.n_handles <= before.n_handles + 2
        if not is_sanitized():
            assert after.anonymous_kb <= before.anonymous_kb + 512, (before, after)


def test_threads_do_not_step_on_each_other(tmp_path):
    """Readers, a pusher, commits, scrapes, log rotation and who goes away, at three workers."""
    make_world(tmp_path)
    board = tmp_path / "board"
    Board(board)
    every_s = {"commit": 0.3, "refuse": 0.2, "go_away": 0.02}
    options = ("--workers", "3", "--access-log", str(tmp_path / "access.log"))
    with ServerProcess(tmp_path, *options) as server:
        orders: list[tuple[str, dict[str, Any]]] = [
            ("read", {"form": form, "rate": None}) for form in ("feast", "lean")
        ]
        orders.append(("push", {"rate": 50.0}))
        orders.append(("operate", {"repo": str(tmp_path), "every_s": every_s}))
        with roles(server.port, board, *orders) as running:
            deadline = time.monotonic() + 5
            while time.monotonic() < deadline:
                assert ask(server.port, "GET", "/metrics").status == 200
                assert ask(server.port, "POST", "/refresh", b"").status == 200
                server.signal(signal.SIGHUP)
            reports = [role.end() for role in running]
        assert not [line for report in reports for line in report["wrong"]], server.said()
        assert all(report["counts"] for report in reports)


@pytest.mark.skipif(not is_sanitized(), reason="a server built with a sanitizer is asked for")
def test_the_server_is_a_sanitized_one(tmp_path):
    make_world(tmp_path)
    with ServerProcess(tmp_path) as server:
        loaded = (Path("/proc") / str(server.pid) / "maps").read_text()
        assert any(name in loaded for name in ("libasan", "libtsan"))
