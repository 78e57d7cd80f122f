"""A port for a server that a test starts, and may start again on the same port."""

import random
import socket

# Below the ports that the kernel gives to outgoing connections (32768 and up), which could take
# one between its probe and the server's start, or while the server is down.
_FIRST, _END = 12_000, 22_000
BUS_OFFSET = 10_000
"""A Redis cluster node also listens on its port plus this."""


def free_port() -> int:
    """Return a loopback port that nobody listens on, nor on its cluster bus port."""
    while True:
        port = random.randrange(_FIRST, _END)
        try:
            for each in (port, port + BUS_OFFSET):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", each))
        except OSError:
            continue
        return port
