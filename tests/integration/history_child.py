"""Runs histories of operations on stores, and may be killed, for test_online_histories.py.

usage: python history_child.py     (disk_shim.so preloaded)

For each line of its input, a JSON list [REPO, OPERATIONS, AT_CALL], a process is forked that does
the operations one by one and says the number of each once it is done. With AT_CALL > 0 it is killed
at that call that changes a file. Then "ended" and how follows.
"""

import contextlib
import json
import os
import sys
import traceback
from pathlib import Path

import duckdb  # noqa: F401 - loaded once, before processes are forked
import pyarrow as pa
import pyarrow.parquet
from failing_disk import KILLED, FailingDisk
from versions import FIRST, VIEWS, end_of, text_of

from tiffin import FeatureStore
from tiffin.errors import NotFoundError


def table_of(rows: list[list[int]]) -> pa.Table:
    """Return rows of (key, minute, number) as numbers_of of versions.py expects them."""
    start = int(FIRST.timestamp()) * 10**6
    times = [start + minute * 60 * 10**6 for _, minute, _ in rows]
    numbers = [number for _, _, number in rows]
    return pa.table(
        {
            "k": pa.array([key for key, _, _ in rows], pa.int64()),
            "event_timestamp": pa.array(times, pa.timestamp("us", "UTC")),
            "number": pa.array(numbers, pa.int64()),
            "text": pa.array([text_of(number) for number in numbers], pa.string()),
        }
    )


def do(store: FeatureStore, operation: list) -> None:
    verb, *arguments = operation
    if verb == "push":
        store.push("pushed", table_of(arguments[0]))
    elif verb == "write":
        store.write_to_online_store(arguments[0], table_of(arguments[1]))
    elif verb == "write_offline":
        store.write_to_offline_store(VIEWS[0], table_of(arguments[0]))
    elif verb == "delete":
        store.delete_online(arguments[0], {"k": arguments[1]})
    elif verb == "rollback":
        with contextlib.suppress(NotFoundError):  # nothing to return to
            store.rollback_online(arguments[0])
    elif verb == "materialize":
        store.materialize(None, end_of(arguments[0]))
    else:
        store.materialize_incremental(end_of(arguments[0]))


def run(repo: str, operations: list, at_call: int) -> None:
    store = FeatureStore(repo)
    if at_call > 0:
        FailingDisk().arm(Path(repo), at_call, 1, KILLED)
    for i, operation in enumerate(operations):
        do(store, operation)
        sys.stdout.write(f"{i}\n")
        sys.stdout.flush()


def main() -> None:
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                run(*json.loads(line))
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        print("ended", os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
