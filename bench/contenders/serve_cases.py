"""What is asked of a feature server: requests in a file, the load, the check of an answer.

All sides are asked for the same random keys (`Case.batches` of lookup_cases.py) over connections
that are kept. Requests are made before the clock runs.
"""

import http.client
import json
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contender import FEATURES, Job
from lookup_cases import Case
from serve_servers import BUILD, ROOT, Server, load_core, pinned

N_KEYS = 500_000  # that the requests of a file name, at most; then it begins anew
PATHS = {"feast": "/get-online-features", "lean": "/v1/features"}


@dataclass(frozen=True)
class ServeCase:
    """One kind of request."""

    n_rows: int
    form: str = "feast"  # or "lean"
    n_connections: int = 64

    @property
    def path(self) -> str:
        return PATHS[self.form]

    @property
    def lookups(self) -> Case:
        return Case("one", self.n_rows, min(20_000, N_KEYS // self.n_rows))

    def body(self, keys: list[int]) -> bytes:
        references = [f"stats:{name}" for name in FEATURES]
        return json.dumps({"features": references, "entities": {"user_id": keys}}).encode()

    def request(self, keys: list[int]) -> bytes:
        body = self.body(keys)
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def columns(self, answer: Any) -> dict[str, list[Any]]:
        """Values by feature, from a decoded answer."""
        if self.form == "lean":
            return dict(zip(answer["names"], answer["columns"], strict=True))
        values = [result["values"] for result in answer["results"]]
        return dict(zip(answer["metadata"]["feature_names"], values, strict=True))


@dataclass(frozen=True)
class Answer:
    """As `Case.check` wants it."""

    columns: dict[str, list[Any]]

    def to_dict(self) -> dict[str, list[Any]]:
        return self.columns


def case_of(job: Job) -> ServeCase:
    known = {"n_rows", "form", "n_connections"}
    return ServeCase(**{k: v for k, v in job.params.items() if k in known})


def seconds(job: Job) -> tuple[int, int]:
    """Of the warm-up, and of what counts; short where the data is tiny."""
    return (2, 5) if job.sizes["n_many_keys"] >= 1_000_000 else (1, 1)


def write_requests(job: Job, case: ServeCase) -> Path:
    """Whole requests, each behind its length, as wrk_requests.lua and paced_load.c read them."""
    path = Path(job.folder) / f"requests-{case.form}-{case.n_rows}"
    with path.open("wb") as file:
        for keys in case.lookups.batches(job):
            request = case.request(keys)
            file.write(struct.pack("<I", len(request)) + request)
    return path


def ask(server: Server, case: ServeCase, keys: list[int]) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request("POST", case.path, case.body(keys), {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise RuntimeError(f"{case.path} answered {response.status}: {answer[:200]!r}")
    return answer


def check(job: Job, server: Server, case: ServeCase) -> dict[str, Any]:
    """The check of the lookup scenarios: 200 keys, and one that nobody has."""

    def get(keys: list[int]) -> Answer:
        found = case.columns(json.loads(ask(server, case, keys)))
        columns = {f"stats__{name}": found[name] for name in FEATURES}
        return Answer({"user_id": keys, **columns})

    return case.lookups.check(job, get)


def wrk(server: Server, case: ServeCase, requests: Path, seconds: int) -> dict[str, Any]:
    """As many requests as come back, a closed loop; every answer must be a good one."""
    if shutil.which("wrk") is None:
        raise RuntimeError("wrk is not installed: tools/setup.sh peers")
    options = f"-t 1 -c {case.n_connections} -d {seconds}s --timeout 60s".split()
    script, url = ROOT / "bench" / "wrk_requests.lua", f"http://127.0.0.1:{server.port}"
    command = pinned(load_core(), "wrk", *options, "-s", script, url, "--", requests)
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(run.stdout.strip().splitlines()[-1])
    if found["bad"] > 0 or found["requests"] == 0:
        raise RuntimeError(f"{found['bad']} of {found['requests']} requests ended badly")
    return found


def paced(
    server: Server, case: ServeCase, requests: Path, rate: float, seconds: int
) -> dict[str, Any]:
    """Requests at a rate, an open loop: latencies that leave nothing out."""
    pace = [f"{rate:.1f}", str(seconds), str(case.n_connections)]
    program = BUILD / "bench" / "paced_load"
    command = pinned(load_core(), program, str(server.port), requests, *pace)
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise RuntimeError(run.stderr.strip())
    found: dict[str, Any] = json.loads(run.stdout)
    return found
