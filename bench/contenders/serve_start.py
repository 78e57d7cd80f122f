"""From the start of a server's process to the last byte of its first answer, files cached."""

import socket
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

import serve_servers
from contender import Job, main, result
from serve_cases import ServeCase
from serve_servers import START_S, command_of, end, free_port

CASE = ServeCase(1)


def first_answer(port: int, request: bytes, until: float) -> None:
    """Knock until the server opens, ask, and read to the end."""
    while True:
        try:
            connection = socket.create_connection(("127.0.0.1", port), timeout=START_S)
            break
        except ConnectionRefusedError:
            if time.perf_counter() > until:
                raise
            time.sleep(0.0002)
    with connection, connection.makefile("rb") as answer:
        connection.sendall(request)
        status = answer.readline()
        if b" 200 " not in status:
            raise RuntimeError(f"the first answer was {status!r}")
        n_bytes = 0
        while (line := answer.readline().strip()) != b"":
            name, _, value = line.partition(b":")
            n_bytes = int(value) if name.lower() == b"content-length" else n_bytes
        if len(answer.read(n_bytes)) < n_bytes or n_bytes == 0:
            raise RuntimeError("the first answer was cut short")


def start_ms(job: Job, request: bytes) -> float:
    port = free_port()
    command = [str(word) for word in command_of(job, port)]
    with (Path(job.folder) / "server.log").open("wb") as log:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            first_answer(port, request, start + START_S)
            return (time.perf_counter() - start) * 1e3
        finally:
            end(process)


def prepare(job: Job) -> None:
    serve_servers.prepare(job)


def measure(job: Job) -> dict[str, Any]:
    request = CASE.request([job.sizes["n_many_keys"] // 2])
    start_ms(job, request)  # files into the cache
    found = [start_ms(job, request) for _ in range(job.params["n_runs"])]
    return result({"median": statistics.median(found), "greatest": max(found)})


if __name__ == "__main__":
    main(measure, prepare)
