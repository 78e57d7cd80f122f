"""A server under everything at once for a while: it stays right, and stays as it was.

Reads in both forms, pushes, materializations, commits to the registry, requests that must be
refused, and clients that go away, at 70% of what it could do. Nothing fails that was not provoked;
every answer is of a state that was valid (see server_load.py); times, memory and handles do not
grow.
"""

import os
import statistics
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from server_load import Board, make_world, roles
from server_process import WITH_PYTHON, ServerProcess, Size, is_sanitized, wait_until

CALIBRATION_SECONDS = 6.0
SHARE = 0.7
N_WINDOWS = 6


class Watch:
    """Looks at a server's size again and again."""

    def __init__(self, server: ServerProcess, every_s: float) -> None:
        self._server = server
        self._every_s = every_s
        self._is_over = threading.Event()
        self.sizes: list[Size] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._is_over.wait(self._every_s):
            self.sizes.append(self._server.look())

    def end(self) -> list[Size]:
        self._is_over.set()
        self._thread.join()
        return self.sizes


def run_load(
    server: ServerProcess, board: Path, seconds: float, rates: dict[str, float | None]
) -> list[Any]:
    """Load the server for so long; return the reports of the readers, the pusher, the operator."""
    every_s = {"materialize": 4.0, "commit": 2.0, "refuse": 1.0, "go_away": 0.1}
    orders: list[tuple[str, dict[str, Any]]] = [
        ("read", {"form": form, "rate": rate}) for form, rate in rates.items()
    ]
    orders.append(("push", {"rate": 10.0}))
    orders.append(("operate", {"repo": str(server.repo), "every_s": every_s}))
    with roles(server.port, board, *orders) as running:
        time.sleep(seconds)
        reports = [role.end() for role in running]
    wrong = [line for report in reports for line in report["wrong"]]
    assert not wrong, "\n".join([*wrong, server.said()])
    return reports


def p99s_ms(reader: Any) -> list[float]:
    """Return the 99th percentile of each window of a reader's times."""
    windows: list[list[float]] = [[] for _ in range(N_WINDOWS)]
    for at_s, took_s in zip(reader["times_s"], reader["took_s"], strict=True):
        windows[min(int(at_s / reader["seconds"] * N_WINDOWS), N_WINDOWS - 1)].append(took_s)
    return [1000 * statistics.quantiles(window, n=100)[98] for window in windows]


def check_times(reader: Any) -> None:
    """Not all later windows are worse than the first: others on the machine disturb some."""
    p99s = p99s_ms(reader)
    early, late = statistics.median(p99s[:3]), min(p99s[3:])
    assert late < 1.5 * early + 2, f"p99 in ms, window by window: {[round(p, 1) for p in p99s]}"


def check_sizes(sizes: list[Size]) -> None:
    """Of three parts the last is like the one before; in the first, caches fill."""
    n = len(sizes) // 3
    early, late = sizes[n : 2 * n], sizes[2 * n :]
    before, after = (statistics.median(s.anonymous_kb for s in part) for part in (early, late))
    assert after <= 1.02 * before + 512, f"anonymous memory grew from {before} to {after} kB"
    before, after = (max(s.n_handles for s in part) for part in (sizes[: 2 * n], late))
    assert after <= before + 4, f"handles grew from {before} to {after}"
    # The load is the same all the time, so what it costs is, too.
    before, after = ((part[-1].cpu_s - part[0].cpu_s) / len(part) for part in (early, late))
    assert after <= 1.25 * before, f"CPU seconds of one look grew from {before:.3f} to {after:.3f}"


def soak(folder: Path, seconds: float) -> None:
    make_world(folder)
    board = folder / "board"
    Board(board)
    with ServerProcess(folder, *WITH_PYTHON) as server:
        calm: dict[str, float | None] = {"feast": None, "lean": None}
        readers = run_load(server, board, CALIBRATION_SECONDS, calm)[:2]
        rates = {
            form: SHARE * reader["counts"]["reads"] / reader["seconds"]
            for form, reader in zip(calm, readers, strict=True)
        }
        before = server.look()
        watch = Watch(server, min(1.0, seconds / 60))
        try:
            reports = run_load(server, board, seconds, dict(rates))
        finally:
            sizes = watch.end()
        n_least = {"materialize": seconds / 20, "commit": seconds / 8, "go_away": seconds}
        for what, least in n_least.items():
            assert reports[3]["counts"][what] >= least, reports[3]["counts"]
        assert reports[2]["counts"]["/push"] >= seconds, reports[2]["counts"]
        for reader, rate in zip(reports[:2], rates.values(), strict=True):
            assert reader["counts"]["reads"] >= 0.9 * rate * seconds, "the load was not sustained"
            check_times(reader)
        check_sizes(sizes)
        wait_until(
            lambda: server.look().n_handles <= before.n_handles, "handles of clients that left"
        )
        assert server.look().n_threads == before.n_threads
        assert not server.children()


@pytest.mark.skipif(is_sanitized(), reason="a sanitizer's own memory and times are measured")
def test_it_stays_right_and_stays_as_it_was(tmp_path):
    soak(tmp_path, float(os.environ.get("TFN_SOAK_SECONDS", "60")))


@pytest.mark.long
def test_it_stays_right_and_stays_as_it_was_for_half_an_hour(tmp_path):
    soak(tmp_path, float(os.environ.get("TFN_SOAK_SECONDS", "1800")))
