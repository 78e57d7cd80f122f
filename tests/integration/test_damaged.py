"""Damaged Parquet files: no crash of ours, a sentence that names the file, or an answer that holds.

Readers run in child processes (damaged_child.py), as a process may die in DuckDB, which decodes
the files. A seed at which one dies is read again by DuckDB alone; if that dies too the death is
DuckDB's and is counted and printed, if not it is ours and fails the test.

TFN_DAMAGES  how many files (100; in the long test 2,000); TFN_SEED  the first one
"""

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from damaged_child import BASES, damage
from engines import find_library, find_older_duckdb

HERE = Path(__file__).parent
FIRST = int(os.environ.get("TFN_SEED", "1"))
N_DAMAGES = int(os.environ.get("TFN_DAMAGES", "100"))
SECONDS_PER_SEED = 20.0

DUCKDB_ALONE = """
import sys, duckdb
for columns in ("k, at, file_row_number", "*"):
    try:
        duckdb.sql(
            f"select {columns} from read_parquet('{sys.argv[1]}', file_row_number = true)"
        ).fetchall()
    except duckdb.Error:
        pass
"""


def duckdb_dies_of(path: Path, which: str) -> bool:
    """Whether DuckDB, without Tiffin, dies or hangs reading the file."""
    env = dict(os.environ)
    if which == "older":
        env["PYTHONPATH"] = str(Path(find_older_duckdb() or "").parent)
    command = [sys.executable, "-c", DUCKDB_ALONE, str(path)]
    try:
        done = subprocess.run(command, env=env, capture_output=True, timeout=SECONDS_PER_SEED)
    except subprocess.TimeoutExpired:
        return True
    return done.returncode < 0


def run_child(folder: Path, library: str, first: int, last: int) -> tuple[list[str], str]:
    """Return the child's lines, and how it died or nothing."""
    command = [sys.executable, HERE / "damaged_child.py", folder, library, str(first), str(last)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=60 + SECONDS_PER_SEED + (last - first) * 0.5,
        )
    except subprocess.TimeoutExpired as expired:
        return (expired.stdout or b"").decode().splitlines(), "it hangs"
    if done.returncode > 0:
        raise AssertionError(f"the child itself failed: {done.stderr}")
    how = signal.Signals(-done.returncode).name if done.returncode < 0 else ""
    return done.stdout.splitlines(), how


def read_damaged_files(folder: Path, which: str, first: int, last: int) -> Counter[str]:
    """Read files damaged by these seeds; count outcomes. What is ours fails."""
    library = find_library(which)
    outcomes: Counter[str] = Counter()
    while first <= last:
        lines, how = run_child(folder, library, first, last)
        told = [line.split(" ", 2) for line in lines if not line.startswith("start ")]
        outcomes.update(outcome for outcome, _, _ in told)
        wrong = [line for line in lines if line.startswith("wrong ")]
        assert not wrong, wrong
        if not how:
            break
        seed = int(lines[-1].split()[1]) if lines else first
        path = folder / "died.parquet"
        base = folder / f"base{seed % len(BASES)}.parquet"
        path.write_bytes(damage(base.read_bytes(), seed))
        assert duckdb_dies_of(path, which), (
            f"seed {seed} ({which}): {how}, and DuckDB alone does not"
        )
        outcomes[f"died in DuckDB ({how})"] += 1
        first = seed + 1
    print(f"damaged files, {which} DuckDB: {dict(outcomes)}")
    return outcomes


@pytest.mark.parametrize("which", ["installed", "older"])
def test_a_damaged_file_is_refused_by_name_or_read_consistently(tmp_path, which):
    outcomes = read_damaged_files(tmp_path, which, FIRST, FIRST + N_DAMAGES - 1)
    assert sum(outcomes.values()) == N_DAMAGES
    if N_DAMAGES >= 100:  # else there may be none of a kind
        assert outcomes["refused"] > 10
        assert outcomes["same"] + outcomes["changed"] > 10


@pytest.mark.long
@pytest.mark.parametrize("which", ["installed", "older"])
def test_thousands_of_damaged_files_are_refused_or_read_consistently(tmp_path, which):
    n = int(os.environ.get("TFN_DAMAGES", "2000"))
    outcomes = read_damaged_files(tmp_path, which, FIRST, FIRST + n - 1)
    assert sum(outcomes.values()) == n
