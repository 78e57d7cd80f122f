"""How long a whole process takes beyond a Python that does nothing; both in turn, files cached."""

import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from contender import Job, main, result


def wall_ms(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return (time.perf_counter() - start) * 1e3


def measure(job: Job) -> dict[str, Any]:
    program, *arguments = job.params["command"]
    beside_python = Path(sys.executable).parent / program
    command = [str(beside_python), *arguments]
    wall_ms(command)  # files into the cache
    pairs = [
        (wall_ms([sys.executable, "-c", "pass"]), wall_ms(command))
        for _ in range(job.params["n_runs"])
    ]
    python = statistics.median(pair[0] for pair in pairs)
    whole = statistics.median(pair[1] for pair in pairs)
    return result({"wall": whole, "python": python, "beyond": whole - python})


if __name__ == "__main__":
    main(measure)
