"""Servers for tests: real processes on free loopback ports, ended by their own process id.

TFN_SERVER  the program, e.g. one built with a sanitizer (the one that is installed with tiffin)
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple, Self

_SECONDS = float(os.environ.get("TFN_SERVER_SECONDS", "60"))
_READY = re.compile(
    r"tiffin-server \S+ is listening on (\S+)(?: and unix:\S+)? \(project (\S+)\)\n"
)
# What reads files needs Python's DuckDB.
WITH_PYTHON = ("--python", sys.executable)


def find_program() -> str:
    """Return the path of tiffin-server."""
    if named := os.environ.get("TFN_SERVER"):
        return str(Path(named).resolve())
    beside = Path(sys.executable).with_name("tiffin-server")
    program = str(beside) if beside.exists() else shutil.which("tiffin-server")
    assert program is not None, "tiffin-server is not installed; run tools/install.sh"
    return program


def is_sanitized() -> bool:
    """Whether the program is a build of its own: slower, larger, and it says what it leaked."""
    return "TFN_SERVER" in os.environ


class Size(NamedTuple):
    """What a process holds, and how long it has computed."""

    anonymous_kb: int
    n_handles: int
    n_threads: int
    cpu_s: float


class ServerProcess:
    """One server, started with the repo and options; what it says goes to <repo>/server.log."""

    def __init__(self, repo: Path, *options: str, port: int = 0, environment: Any = None) -> None:
        self.repo = repo
        self.log = repo / "server.log"
        command = [find_program(), "--repo", str(repo), "--port", str(port), *options]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **(environment or {})},
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        found = _READY.fullmatch(line)
        if found is None:
            self.kill()
            raise RuntimeError(f"tiffin-server did not start: {line}{self.said()}")
        self.url, self.project = found[1], found[2]
        self.pid = self._process.pid
        self.port = int(self.url.rpartition(":")[2]) if "://" in self.url else 0

    def said(self) -> str:
        """Return what it has written to standard error so far."""
        return self.log.read_text("utf-8", "replace")

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def look(self) -> Size:
        """Return what it has now."""
        of_process = Path("/proc") / str(self.pid)
        rollup = (of_process / "smaps_rollup").read_text()
        [anonymous] = re.findall(r"^Anonymous: +(\d+) kB$", rollup, re.MULTILINE)
        fields = (of_process / "stat").read_text().rpartition(")")[2].split()
        return Size(
            int(anonymous),
            len(list((of_process / "fd").iterdir())),
            len(list((of_process / "task").iterdir())),
            sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK"),
        )

    def children(self) -> list[int]:
        """Return the processes that it started and that are still there, dead ones included."""
        tasks = Path("/proc") / str(self.pid) / "task"
        return [
            int(pid) for one in tasks.iterdir() for pid in (one / "children").read_text().split()
        ]

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def wait(self, seconds: float = _SECONDS) -> int:
        """Wait until it has ended; return its exit code, negative after a signal."""
        code = self._process.wait(seconds)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code

    def stop(self) -> int:
        """End it as an operator would; return its exit code."""
        if self.is_alive():
            self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        self._process.kill()
        self.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Stop it; after a test that went well it must have ended well and said nothing bad."""
        if self._process.returncode is not None:
            return
        try:
            code = self.stop()
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        if kind is None:
            assert code == 0, f"exit code {code}: {self.said()}"
            self.check_log()

    def check_log(self) -> None:
        """No sanitizer found anything."""
        said = self.said()
        for word in ("Sanitizer", "runtime error:", "Assertion"):
            assert word not in said, said


def wait_until(condition: Any, what: str, seconds: float = _SECONDS) -> None:
    """Look again and again until something holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain: {what}"
        time.sleep(0.01)
