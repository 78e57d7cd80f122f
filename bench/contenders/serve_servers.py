"""The feature servers that are compared: what each needs before, how it is started, what it uses.

tiffin    tiffin-server, one worker, over the store `one` of the lookup scenarios (LMDB)
feast     `feast serve`, one worker, over Feast's store of the same rows (SQLite)
constant  libmicrohttpd alone (bench/http_constant.c); answers with bytes that tiffin-server sent

A server listens on loopback and is ended by its process id. It has the first core of this process
to itself, the load the last one.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from contender import Job
from lookup_cases import shared_folder

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build" / "py"  # where tools/install.sh builds
START_S, END_S = 180, 30

TIFFIN_YAML = """\
project: bench
online_ttl: ignore
"""
FEAST_YAML = """\
project: bench
provider: local
registry: registry.db
offline_store: {type: dask}
online_store: {type: sqlite, path: online.db}
entity_key_serialization_version: 3
"""


@dataclass(frozen=True)
class Server:
    pid: int
    port: int

    def pids(self) -> list[int]:
        """Its process and those that it started (a worker of gunicorn)."""
        return descendants(self.pid)

    def cpu_s(self) -> float:
        ticks = 0
        for pid in self.pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> tuple[float, float]:
        """Anonymous memory (its own), and all that is resident (files of the store included)."""
        anonymous = resident = 0
        for pid in self.pids():
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            anonymous += kilobytes(rollup, "Anonymous")
            resident += kilobytes(rollup, "Rss")
        return anonymous * 1024 / 1e6, resident * 1024 / 1e6


def kilobytes(rollup: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", rollup, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"smaps_rollup has no line {name!r}")
    return int(found[1])


def descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(found for child in children for found in descendants(int(child)))]


def server_core() -> int:
    return min(os.sched_getaffinity(0))


def load_core() -> int:
    return max(os.sched_getaffinity(0))


def pinned(core: int, *command: str | Path) -> list[str]:
    return ["taskset", "-c", str(core), *map(str, command)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def build(*programs: str) -> None:
    """Build yardsticks beside the extension, as tools/install.sh set them up."""
    ninja = Path(sys.executable).with_name("ninja")
    targets = [f"bench/{program}" for program in programs]
    subprocess.run([ninja, "-C", BUILD, *targets], check=True, stdout=subprocess.DEVNULL)


# ---- before the rounds


def lookup_job(job: Job) -> Job:
    """The job whose store the lookup scenarios fill: 1 M keys x 10 features."""
    return replace(job, params={"store": "one", "n_rows": 1, "n_calls": 1})


def prepare(job: Job) -> None:
    """Fill the server's store; its settings go beside it."""
    kind = job.params["server"]
    if kind == "tiffin":
        import lookup_tiffin

        lookup_tiffin.prepare(lookup_job(job))
        (folder_of(job) / "feature_store.yaml").write_text(TIFFIN_YAML)
    elif kind == "feast":
        import lookup_feast

        lookup_feast.prepare(lookup_job(job))
        (folder_of(job) / "feature_store.yaml").write_text(FEAST_YAML)
    else:
        build("http_constant")
    Path(job.folder).mkdir(parents=True, exist_ok=True)


def folder_of(job: Job) -> Path:
    return shared_folder(lookup_job(job), job.params["server"])


def answer_file(job: Job) -> Path:
    """What tiffin-server answered to the first request; `constant` repeats it."""
    return Path(job.others["Tiffin"]) / "answer.json"


# ---- starting and ending


def command_of(job: Job, port: int) -> list[str | Path]:
    beside_python = Path(sys.executable).parent
    address: list[str | Path] = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    kind = job.params["server"]
    if kind == "tiffin":
        return [beside_python / "tiffin-server", "--repo", folder_of(job), *address]
    if kind == "feast":
        # Its worker would end itself after 1,000 requests.
        stay = ["--max-requests", "1000000000", "--no-access-log"]
        return [beside_python / "feast", "-c", folder_of(job), "serve", *address, *stay]
    return [BUILD / "bench" / "http_constant", str(port), answer_file(job)]


def wait_until_open(process: "subprocess.Popen[bytes]", port: int) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=START_S).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise RuntimeError("the server did not start: see server.log in the contender's folder")


@contextmanager
def running(job: Job, core: int | None) -> Iterator[Server]:
    """Run the job's server, on one core if one is given."""
    port = free_port()
    command = command_of(job, port)
    with (Path(job.folder) / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command if core is None else pinned(core, *command),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=os.environ | {"FEAST_USAGE": "False"},
        )
    try:
        wait_until_open(process, port)
        yield Server(process.pid, port)
    finally:
        end(process)


def end(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise RuntimeError(f"the server did not stop within {END_S} s of SIGTERM") from None


class MemoryWatch(threading.Thread):
    """Greatest anonymous and resident memory of a server while this runs."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.peak = (0.0, 0.0)
        self.is_over = threading.Event()

    def run(self) -> None:
        while not self.is_over.wait(0.1):
            now = self.server.memory_mb()
            self.peak = (max(self.peak[0], now[0]), max(self.peak[1], now[1]))

    def stop(self) -> tuple[float, float]:
        self.is_over.set()
        self.join()
        return self.peak
