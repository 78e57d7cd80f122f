"""SIGTERM: what was accepted is answered, nothing new is accepted, exit 0."""

import contextlib
import signal
import socket
import subprocess
import threading
import time

import pytest
from raw_http import ClosedError, RawConnection, ask, request
from server_load import (
    N_KEYS,
    PUSHED,
    VIEWS,
    Board,
    FeastForm,
    LeanForm,
    WrongError,
    check_columns,
    frame_of,
    make_world,
)
from server_process import WITH_PYTHON, ServerProcess, wait_until

from tiffin import FeatureStore

N_CLIENTS = 6
READ = request("GET", "/v1/features/flipped?k=1")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    make_world(folder)
    return folder


@pytest.fixture
def server(world):
    with ServerProcess(world) as running:
        yield running


def is_refused(server: ServerProcess) -> bool:
    """Whether a new connection is refused."""
    try:
        with socket.create_connection(("127.0.0.1", server.port), 5):
            return False
    except ConnectionRefusedError:
        return True


class Client(threading.Thread):
    """Asks until it is told that the connection closes, or until new ones are refused.

    A request on a connection that was accepted, and not announced to be closed, must be answered.
    """

    def __init__(self, port: int, board: Board, i: int) -> None:
        super().__init__()
        self._port, self._board = port, board
        self._kind = (FeastForm, LeanForm)[i % 2]
        self._is_reused = i % 3 != 0
        self.n_answers = 0
        self.is_refused = False
        self.wrong: list[str] = []

    def run(self) -> None:
        while not self.wrong:
            try:
                connection = RawConnection(self._port)
            except ConnectionRefusedError:
                self.is_refused = True
                return
            with connection:
                self._talk(connection)

    def _talk(self, connection: RawConnection) -> None:
        while True:
            before = self._board.acknowledged()
            try:
                reply = connection.send(self._kind.bytes).reply()
                check_columns(self._kind.columns(reply), before, self._board.sent())
            except (ClosedError, WrongError, OSError) as error:
                self.wrong.append(f"after {self.n_answers} answers: {error!r}")
                return
            self.n_answers += 1
            if not self._is_reused or reply.headers.get("connection", "").lower() == "close":
                return


class Pusher(threading.Thread):
    """Pushes until new connections are refused; `version` is the last acknowledged one."""

    def __init__(self, server: ServerProcess, board: Board) -> None:
        super().__init__()
        self._port, self._board = server.port, board
        self.version = 0
        self.wrong: list[str] = []

    def run(self) -> None:
        while not self.wrong:
            try:
                connection = RawConnection(self._port)
            except ConnectionRefusedError:
                return
            with connection:
                self._talk(connection)

    def _talk(self, connection: RawConnection) -> None:
        while True:
            frame = frame_of(self.version + 1, PUSHED)
            self._board.send(0, self.version + 1)
            try:
                reply = connection.ask("POST", "/push", {"push_source_name": "pushed", "df": frame})
            except (ClosedError, OSError) as error:
                self.wrong.append(f"after version {self.version}: {error!r}")
                return
            if reply.status != 200:
                self.wrong.append(f"status {reply.status}: {reply.body!r}")
                return
            self.version += 1
            self._board.acknowledge(0, self.version)
            if reply.headers.get("connection", "").lower() == "close":
                return


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
def test_no_accepted_request_fails(tmp_path, number):
    make_world(tmp_path)
    board = Board(tmp_path / "board")
    with ServerProcess(tmp_path, "--workers", "2") as server:
        pusher = Pusher(server, board)
        clients = [Client(server.port, board, i) for i in range(N_CLIENTS)]
        for thread in (pusher, *clients):
            thread.start()
        wait_until(lambda: all(c.n_answers > 50 for c in clients), "50 answers for each client")
        wait_until(lambda: pusher.version > 5 or pusher.wrong, "some pushes")
        server.signal(number)
        assert server.wait() == 0, server.said()
        for thread in (pusher, *clients):
            thread.join(60)
        assert [thread.wrong for thread in (pusher, *clients)] == [[]] * (N_CLIENTS + 1)
        server.check_log()
    values = FeatureStore(tmp_path).get_online_features([f"{VIEWS[0]}:number"], {"k": list(PUSHED)})
    assert values.to_dict()["number"] == [pusher.version] * len(PUSHED)


def test_a_request_that_has_begun_is_finished_and_new_ones_are_refused(server):
    body = request(
        "POST",
        "/get-online-features",
        {"features": ["v0:number"], "entities": {"k": list(range(N_KEYS))}},
    )
    with (
        RawConnection(server.port) as begun,
        RawConnection(server.port) as kept,
        RawConnection(server.port) as unready,
    ):
        assert kept.send(READ).reply().status == 200
        assert unready.ask("GET", "/ready").status == 200
        begun.send(body[:-5])
        time.sleep(0.1)  # so that the server has read it
        server.signal(signal.SIGTERM)
        wait_until(lambda: is_refused(server), "new connections refused")
        reply = begun.send(body[-5:]).reply()
        assert reply.status == 200
        assert len(reply.json()["results"][0]["values"]) == N_KEYS
        assert reply.headers["connection"].lower() == "close"
        assert begun.is_at_end()
    assert server.wait() == 0, server.said()


def test_it_is_not_ready_while_it_drains(server):
    with RawConnection(server.port) as begun, RawConnection(server.port) as other:
        begun.send(request("POST", "/v1/features", b"{}")[:-1])
        other.send(b"GET /ready HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        time.sleep(0.1)
        server.signal(signal.SIGTERM)
        wait_until(lambda: is_refused(server), "new connections refused")
        assert other.send(b"\r\n").reply().status == 503
        assert begun.send(b"}").reply().status == 400
    assert server.wait() == 0, server.said()


def test_idle_connections_do_not_delay_it(server):
    with RawConnection(server.port) as idle, RawConnection(server.port) as silent:
        assert idle.send(READ).reply().status == 200
        begin = time.monotonic()
        server.signal(signal.SIGTERM)
        assert server.wait() == 0, server.said()
        assert time.monotonic() - begin < 5
        assert idle.is_at_end()
        assert silent.is_at_end()


def test_who_never_finishes_delays_it_until_the_limit(world):
    options = ("--limit", "drain_seconds=1")
    with ServerProcess(world, *options) as server, RawConnection(server.port) as begun:
        begun.send(request("POST", "/v1/features", b"{}")[:-1])
        time.sleep(0.1)
        begin = time.monotonic()
        server.signal(signal.SIGTERM)
        code = server.wait()
        took_s = time.monotonic() - begin
        assert code == 0, server.said()
        assert 0.9 < took_s < 5
        assert begun.is_at_end()


def test_a_second_signal_ends_it_at_once(server):
    with RawConnection(server.port) as begun:
        begun.send(request("POST", "/v1/features", b"{}")[:-1])
        time.sleep(0.1)
        server.signal(signal.SIGTERM)
        wait_until(lambda: is_refused(server), "new connections refused")
        begin = time.monotonic()
        server.signal(signal.SIGTERM)
        assert server.wait() == 1
        assert time.monotonic() - begin < 5


def test_another_takes_over_its_port_at_once(world):
    with ServerProcess(world) as first:
        port = first.port
        assert ask(port, "GET", "/health").status == 200
        assert first.stop() == 0
    with ServerProcess(world, port=port):
        assert ask(port, "GET", "/health").status == 200


def test_another_programs_port_is_said(world):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(RuntimeError, match=rf"port {port}\b.*choose another port"):
            ServerProcess(world, port=port)


def all_got_more(clients: list[Client], n: int) -> bool:
    """Wait until each client has got n answers more; false: one was refused or wronged instead."""
    goals = [client.n_answers + n for client in clients]
    wait_until(
        lambda: all(
            client.n_answers >= goal or not client.is_alive()
            for client, goal in zip(clients, goals, strict=True)
        ),
        f"{n} more answers for each client",
    )
    return all(client.is_alive() for client in clients)


def test_an_upgrade_loses_no_request(tmp_path):
    """The next server listens beside the first before that one is stopped: nothing is refused."""
    make_world(tmp_path)
    board = Board(tmp_path / "board")
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(ServerProcess(tmp_path))
        clients = [Client(running.port, board, i) for i in range(N_CLIENTS)]
        for client in clients:
            client.start()
        is_served = all_got_more(clients, 20)
        for _ in range(5):
            next_one = stack.enter_context(ServerProcess(tmp_path, port=running.port))
            assert "another server of yours listens on port" in next_one.said()
            assert running.stop() == 0, running.said()
            is_served = is_served and all_got_more(clients, 20)
            running = next_one
        assert running.stop() == 0
        for client in clients:
            client.join()
        assert [client.wrong for client in clients] == [[]] * N_CLIENTS
        assert is_served, "the port was refused meanwhile"


@pytest.mark.parametrize("i", range(5))
def test_what_the_kernel_has_accepted_is_answered(world, i):
    """Connections that the server did not see before it was told to stop."""
    with ServerProcess(world) as server:
        server.signal(signal.SIGSTOP)
        waiting = [RawConnection(server.port).send(READ) for _ in range(1 + 7 * i)]
        server.signal(signal.SIGTERM)
        server.signal(signal.SIGCONT)
        assert [connection.reply().status for connection in waiting] == [200] * len(waiting)
        for connection in waiting:
            connection.close()
        assert server.wait() == 0, server.said()


def test_its_unix_socket_goes_with_it(world, tmp_path):
    path = tmp_path / "socket"
    with ServerProcess(world, "--unix-socket", str(path)) as server:
        assert path.is_socket()
        assert server.stop() == 0
    assert not path.exists()


def test_a_dead_servers_unix_socket_is_taken_over(world, tmp_path):
    path = tmp_path / "socket"
    with ServerProcess(world, "--unix-socket", str(path)) as server:
        server.kill()
    assert path.is_socket()
    with (
        ServerProcess(world, "--unix-socket", str(path)),
        socket.socket(socket.AF_UNIX) as client,
    ):
        client.settimeout(30)
        client.connect(str(path))
        client.sendall(READ)
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 200 ")


def test_materializations_end_with_it(tmp_path):
    make_world(tmp_path)
    with ServerProcess(tmp_path, *WITH_PYTHON) as server:
        with RawConnection(server.port) as client:
            client.send(
                request(
                    "POST", "/materialize-incremental?async=true", {"end_ts": "2024-01-02T00:00:00"}
                )
            )
            assert client.reply().status == 202
        children = server.children()
        server.signal(signal.SIGTERM)
        assert server.wait() == 0, server.said()
        for pid in children:
            shown = subprocess.run(
                ["ps", "-o", "pid=", "-p", str(pid)], capture_output=True, text=True
            )
            assert not shown.stdout.strip(), f"process {pid} is still there"
