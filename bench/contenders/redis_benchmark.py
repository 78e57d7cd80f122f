"""A yardstick: redis-benchmark's pipelined HMGETs of fields as long as those of a lookup.

Its command line cannot carry zero bytes, so it reads hashes of its own beside Tiffin's: as many,
with keys and values of the same lengths. The figure is the time of a pipeline.
"""

import csv
import io
import socket
import subprocess
from typing import Any

from contender import Job, main, result
from lookup_cases import case_of, shared_folder
from redis_server import redis_server

KEY_BYTES = 40  # of an int64 join key `user_id` of the project `bench`
VALUES = [b"\x20" + b"\x01" * 3] * 5 + [b"\x35" + b"\x01" * 4] * 5  # int64_val, float_val
TIMES = [(b"_ts:stats", b"\x08" + b"\x01" * 5), (b"_tc:stats", b"\x01" * 25)]


def fields() -> list[tuple[bytes, bytes]]:
    return [(b"f%03d" % i, value) for i, value in enumerate(VALUES)] + TIMES


def key_of(number: int) -> bytes:
    """As redis-benchmark writes it: twelve digits."""
    return b"k" * (KEY_BYTES - 12) + b"%012d" % number


def command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


def fill(port: int, n_keys: int) -> None:
    content = [word for pair in fields() for word in pair]
    with socket.create_connection(("127.0.0.1", port)) as connection:
        answers = connection.makefile("rb")
        for first in range(0, n_keys, 1_000):
            numbers = range(first, min(first + 1_000, n_keys))
            connection.sendall(b"".join(command(b"HSET", key_of(i), *content) for i in numbers))
            for _ in numbers:
                answers.readline()


def measure(job: Job) -> dict[str, Any]:
    case = case_of(job)
    n_keys = case.n_keys(job)
    with redis_server(shared_folder(job, "redis")) as port:
        fill(port, n_keys)
        key = "k" * (KEY_BYTES - 12) + "__rand_int__"
        names = [name.decode() for name, _ in fields()]
        words = ["redis-benchmark", "-p", str(port), "-c", "1", "-P", str(case.n_rows), "--csv"]
        words += ["-n", str(case.n_calls * case.n_rows), "-r", str(n_keys), "HMGET", key, *names]
        run = subprocess.run(words, capture_output=True, text=True, check=True)
        (row,) = csv.DictReader(io.StringIO(run.stdout))
    median = case.n_rows / float(row["rps"]) * 1e6
    return result({"median": median, "p99": float(row["p99_latency_ms"]) * 1e3})


if __name__ == "__main__":
    main(measure)
