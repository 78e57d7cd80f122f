"""A client that sends exactly the bytes it is given: what well-behaved libraries would not send."""

import errno
import json
import socket
import ssl
import struct
import time
from typing import Any, NamedTuple, Self


class Reply(NamedTuple):
    """An answer as it came; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def sentence(self) -> str:
        """Return the words of a refusal, whichever of the server's forms it has."""
        found = self.json()
        if isinstance(found, str):  # an exception of Feast's, or of Python
            try:
                found = json.loads(found)
            except ValueError:
                return found
            return str(found["message"])
        if "error" in found:
            return str(found["error"]["message"])
        detail = found["detail"]
        return detail if isinstance(detail, str) else str(detail[0]["msg"])


class ClosedError(Exception):
    """The server closed the connection where an answer, or the rest of one, should have come.

    `is_clean` says that nothing of an answer had come.
    """

    def __init__(self, said: bytes) -> None:
        super().__init__(f"closed after {said[:200]!r}")
        self.is_clean = not said


def request(method: str, path: str, body: Any = None, /, **headers: str) -> bytes:
    """Return a request. A body that is not bytes is sent as JSON; `_` in a header's name is `-`."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    content = b""
    if body is not None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines.append(f"Content-Length: {len(content)}")
    return "\r\n".join([*lines, "", ""]).encode() + content


class RawConnection:
    """One connection."""

    def __init__(
        self, port: int, *, timeout_s: float = 60, tls: ssl.SSLContext | None = None
    ) -> None:
        self.socket: socket.socket = socket.create_connection(("127.0.0.1", port), timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self._read = bytearray()

    def send(self, what: bytes) -> Self:
        self.socket.sendall(what)
        return self

    def send_slowly(self, what: bytes, n_bytes: int, pause_s: float, most_s: float) -> bool:
        """Send piece by piece; return whether all went out before the server ended it."""
        deadline = time.monotonic() + most_s
        for first in range(0, len(what), n_bytes):
            try:
                self.socket.sendall(what[first : first + n_bytes])
            except OSError:
                return False
            if self._has_ended(pause_s):
                return False
            assert time.monotonic() < deadline, "a slow sender was borne too long"
        return True

    def _has_ended(self, seconds: float) -> bool:
        """Wait; whether something came meanwhile: an answer too early, or the end."""
        before = self.socket.gettimeout()
        self.socket.settimeout(seconds)
        try:
            part = self.socket.recv(1 << 16)
        except TimeoutError:
            return False
        except OSError:
            return True
        finally:
            self.socket.settimeout(before)
        self._read += part
        return True

    def half_close(self) -> Self:
        """Say that nothing more will be sent; still listen. A peer that hung up needs no word."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                raise
        return self

    def reset(self) -> None:
        """Go away without a farewell: the peer sees an error."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _more(self) -> None:
        try:
            part = self.socket.recv(1 << 18)
        except ConnectionError as error:
            raise ClosedError(bytes(self._read)) from error
        if not part:
            raise ClosedError(bytes(self._read))
        self._read += part

    def reply(self, *, is_head: bool = False) -> Reply:
        """Read the next answer; those of "100 Continue" are passed over."""
        while True:
            while (end := self._read.find(b"\r\n\r\n")) < 0:
                self._more()
            first, *lines = self._read[:end].decode("latin-1").split("\r\n")
            status = int(first.split(" ")[1])
            pairs = (line.partition(":") for line in lines)
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            n_body = 0 if is_head or status in (100, 204) else int(headers["content-length"])
            while len(self._read) < end + 4 + n_body:
                self._more()
            body = bytes(self._read[end + 4 : end + 4 + n_body])
            del self._read[: end + 4 + n_body]
            if status != 100:
                return Reply(status, headers, body)

    def ask(self, method: str, path: str, body: Any = None, /, **headers: str) -> Reply:
        """Send one request and read its answer."""
        self.send(request(method, path, body, **headers))
        return self.reply(is_head=method == "HEAD")

    def rest(self) -> bytes:
        """Return what still comes until the server closes."""
        while True:
            try:
                part = self.socket.recv(1 << 16)
            except ConnectionError:
                part = b""
            if not part:
                return bytes(self._read)
            self._read += part

    def is_at_end(self) -> bool:
        """Wait until the server closes; whether it had nothing more to say."""
        return not self.rest()

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def ask(port: int, method: str, path: str, body: Any = None, /, **headers: str) -> Reply:
    """Ask once, over a connection of its own."""
    with RawConnection(port) as connection:
        return connection.ask(method, path, body, **headers)
