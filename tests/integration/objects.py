"""An S3 server on loopback (moto), and before it a proxy that does to requests what networks do."""

import http.client
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOP_HEADERS = ("connection", "transfer-encoding", "keep-alive", "server", "date", "content-length")


@dataclass
class Fault:
    """What happens to requests that match, `times` times (-1 = always)."""

    method: str = ""  # "" = any
    part: str = ""  # of the path and query
    status: int = 0  # answer this instead
    delay_s: float = 0.0
    cut_bytes: int = 0  # close the connection after so many bytes of the body
    call: Callable[[], None] | None = None  # before the request goes on
    times: int = -1
    skip: int = 0  # requests that pass first


@dataclass
class Objects:
    """The server as the tests see it."""

    port: int
    server_port: int
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    last_modified: str = ""  # "" = as the server says
    hides_etags: bool = False
    signed: list[bool] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def put(self, bucket: str, key: str, body: bytes, acl: str = "public-read") -> None:
        """Write an object past the proxy."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server_port, timeout=30)
        connection.request("PUT", f"/{bucket}")
        connection.getresponse().read()
        connection.request("PUT", f"/{bucket}/{key}", body=body, headers={"x-amz-acl": acl})
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        answer.read()
        connection.close()

    def delete(self, bucket: str, key: str) -> None:
        """Delete an object past the proxy."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server_port, timeout=30)
        connection.request("DELETE", f"/{bucket}/{key}")
        connection.getresponse().read()
        connection.close()

    def take_fault(self, method: str, path: str) -> Fault | None:
        """Return the first fault for a request, counting it; and remember the request."""
        with self.lock:
            self.requests.append((method, path))
            for fault in self.faults:
                if fault.times == 0 or fault.method not in ("", method) or fault.part not in path:
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                fault.times -= 1 if fault.times > 0 else 0
                return fault
        return None


class Proxy(BaseHTTPRequestHandler):
    """Forward to the server, unless a fault says otherwise."""

    protocol_version = "HTTP/1.1"
    objects: Objects

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def forward(self) -> None:
        fault = self.objects.take_fault(self.command, self.path)
        self.objects.signed.append("Authorization" in self.headers)
        self.close_connection = True
        if fault is not None:
            time.sleep(fault.delay_s)
            if fault.call is not None:
                fault.call()
            if fault.status:
                self.answer(fault.status, [], b"<Error><Code>Fault</Code></Error>")
                return
        connection = http.client.HTTPConnection("127.0.0.1", self.objects.server_port, timeout=30)
        headers = {k: v for k, v in self.headers.items() if k.lower() != "connection"}
        connection.request(self.command, self.path, headers=headers)
        reply = connection.getresponse()
        body = reply.read()
        length = reply.getheader("Content-Length", str(len(body)))
        kept = [(k, v) for k, v in reply.getheaders() if k.lower() not in HOP_HEADERS]
        connection.close()
        if self.objects.last_modified:
            kept = [(k, self.objects.last_modified if k == "last-modified" else v) for k, v in kept]
        if self.objects.hides_etags:
            kept = [(k, v) for k, v in kept if k.lower() != "etag"]
        cut = fault.cut_bytes if fault is not None else 0
        self.answer(reply.status, kept, body[:cut] if cut else body, length)

    def answer(
        self, status: int, headers: list[tuple[str, str]], body: bytes, length: str | None = None
    ) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", length or str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self) -> None:
        """Forward."""
        self.forward()

    def do_HEAD(self) -> None:
        """Forward."""
        self.forward()


class QuietServer(ThreadingHTTPServer):
    """A reader that hangs up is what the tests want, not news."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing."""


def start_proxy(server_port: int) -> tuple[Objects, QuietServer]:
    """Start a proxy before the server at a port; shut it down when done."""
    handler = type("ProxyOfTest", (Proxy,), {})
    server = QuietServer(("127.0.0.1", 0), handler)
    handler.objects = Objects(port=server.server_port, server_port=server_port)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
    return handler.objects, server
