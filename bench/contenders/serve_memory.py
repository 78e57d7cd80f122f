"""How much memory a server has while it serves: requests of one entity, then of a hundred."""

from typing import Any

import serve_servers
from contender import Job, main, result
from serve_cases import ServeCase, seconds, write_requests, wrk
from serve_servers import MemoryWatch, running, server_core

CASES = (ServeCase(1), ServeCase(100))


def prepare(job: Job) -> None:
    serve_servers.prepare(job)


def measure(job: Job) -> dict[str, Any]:
    files = [write_requests(job, case) for case in CASES]
    with running(job, server_core()) as server:
        idle, _ = server.memory_mb()
        watch = MemoryWatch(server)
        watch.start()
        for case, requests in zip(CASES, files, strict=True):
            wrk(server, case, requests, seconds(job)[1])
        anonymous, resident = watch.stop()
    return result({"anonymous_mb": anonymous, "idle_mb": idle, "resident_mb": resident})


if __name__ == "__main__":
    main(measure, prepare)
