"""The Python process beside the server: ``python -m tiffin.server.host``.

It answers what only Python can, one request at a time: lookups with on-demand views, in Feast's
form and in the lean one, and pushes to offline stores. Requests and answers go through file 3, a
socket whose other end the server holds (src/server/host.h). When the server is gone, so is this
process.
"""

import argparse
import contextlib
import json
import os
import select
import signal
import socket
import struct
import sys
import threading
import traceback
from collections.abc import Sequence
from typing import Any, NamedTuple

from tiffin.errors import TiffinError

_CHANNEL = 3
_PREFIX = struct.Struct("<II")
_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


class Reply(NamedTuple):
    """What the server sends on."""

    status: int
    body: str
    n_rows: int = 0


class Host:
    """Answers requests with a store that is opened when the first one comes.

    Parameters
    ----------
    repo : str
    yaml : str, optional
        The configuration; default: feature_store.yaml in the repo.
    """

    def __init__(self, repo: str, yaml: str | None = None) -> None:
        self._repo = repo
        self._yaml = yaml
        self._store: Any = None

    def answer(self, head: dict[str, Any], body: bytes) -> Reply:
        """Answer one request; whatever goes wrong is a reply, too."""
        from tiffin.server import requests

        route = str(head["route"])
        try:
            if self._store is None:
                from tiffin import FeatureStore

                self._store = FeatureStore(repo_path=self._repo, fs_yaml_file=self._yaml)
            return Reply(*requests.run(self._store, head, body))
        except TiffinError as error:
            return Reply(*requests.refuse(route, error))
        except BaseException as error:  # a user's function may raise anything, SystemExit included
            traceback.print_exc()
            return Reply(*requests.refuse(route, error))


def serve(channel: socket.socket, host: Host) -> None:
    """Answer requests until the other end is closed."""
    while (prefix := _receive(channel, _PREFIX.size)) is not None:
        n_head, n_body = _PREFIX.unpack(prefix)
        head, body = _receive(channel, n_head), _receive(channel, n_body)
        if head is None or body is None:
            return
        reply = host.answer(json.loads(head), body)
        told = json.dumps({"status": reply.status, "n_rows": reply.n_rows}).encode()
        text = reply.body.encode("utf-8", "replace")
        channel.sendall(_PREFIX.pack(len(told), len(text)) + told + text)


def _receive(channel: socket.socket, n_bytes: int) -> bytes | None:
    """Return so many bytes; None: the other end was closed before."""
    parts = bytearray()
    while len(parts) < n_bytes:
        part = channel.recv(min(n_bytes - len(parts), 1 << 20))
        if not part:
            return None
        parts += part
    return bytes(parts)


def _leave_with(channel: socket.socket) -> None:
    """End this process once the other end is closed, whatever it does."""
    poll = select.poll()
    poll.register(channel, 0)  # POLLHUP is told without being asked for
    while not any(events & (select.POLLHUP | select.POLLERR) for _, events in poll.poll()):
        pass
    os._exit(0)


def read_arguments(arguments: Sequence[str] | None, program: str) -> argparse.Namespace:
    """Return the options that processes beside the server have."""
    parser = argparse.ArgumentParser(prog=program, allow_abbrev=False)
    parser.add_argument("--repo", required=True)
    parser.add_argument("--feature-store-yaml")
    parser.add_argument("--materialize", metavar="REQUEST")
    return parser.parse_args(arguments)


def ignore_signals() -> None:
    """Have the server decide when this process ends: it closes what ties them."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve file 3."""
    options = read_arguments(arguments, "tiffin.server.host")
    ignore_signals()
    channel = socket.socket(fileno=_CHANNEL)
    channel.set_inheritable(False)  # not to what a function starts
    threading.Thread(target=_leave_with, args=(channel,), daemon=True).start()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the server is gone
        serve(channel, Host(options.repo, options.feature_store_yaml))
    return 0


if __name__ == "__main__":
    sys.exit(main())
