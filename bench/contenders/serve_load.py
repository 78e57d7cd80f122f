"""A server under as much load as one core brings; then, if asked, latencies at half of that."""

from pathlib import Path
from typing import Any

import serve_servers
from contender import Job, main, result
from serve_cases import ServeCase, ask, case_of, check, paced, seconds, write_requests, wrk
from serve_servers import Server, answer_file, build, running, server_core


def prepare(job: Job) -> None:
    serve_servers.prepare(job)
    case = case_of(job)
    write_requests(job, case)
    if job.params.get("paced"):
        build("paced_load")
    if job.params["server"] == "tiffin":
        with running(job, None) as server:
            first = case.lookups.batches(job)[0]
            answer_file(job).write_bytes(ask(server, case, first))


def under_load(job: Job, server: Server, case: ServeCase, requests: Path) -> dict[str, float]:
    warm_s, load_s = seconds(job)
    wrk(server, case, requests, warm_s)
    cpu_s = server.cpu_s()
    found = wrk(server, case, requests, load_s)
    cpu_us = (server.cpu_s() - cpu_s) * 1e6
    us = found["us"] / found["requests"]
    return {
        "rate": 1e6 / us,
        "us": us,
        "row_rate": 1e6 / us * case.n_rows,
        "row_us": us / case.n_rows,
        "answer_bytes": found["bytes"] / found["requests"],
        "cpu_us": cpu_us / found["requests"],
        "busy": 100 * cpu_us / found["us"],
    }


def measure(job: Job) -> dict[str, Any]:
    case = case_of(job)
    requests = Path(job.folder) / f"requests-{case.form}-{case.n_rows}"
    notes: dict[str, Any] = {}
    with running(job, server_core()) as server:
        figures = under_load(job, server, case, requests)
        if job.params.get("paced"):
            half = figures["rate"] / 2
            notes["paced"] = paced(server, case, requests, half, seconds(job)[1])
            figures |= {f"{q}_ms": notes["paced"][q] / 1e3 for q in ("median", "p99", "p999")}
        is_constant = job.params["server"] == "constant"
        return result(figures, None if is_constant else check(job, server, case), notes)


if __name__ == "__main__":
    main(measure, prepare)
