"""A yardstick: what a commit of one row asks of the disk (pages and head, each with its sync)."""

import os
from pathlib import Path
from typing import Any

from contender import Job, latencies, main, result

PAGE = b"\0" * 4096
N_PAGES = 10  # two trees of about four levels, and the list of free pages


def measure(job: Job) -> dict[str, Any]:
    file = os.open(Path(job.empty_folder()) / "pages", os.O_RDWR | os.O_CREAT)
    head = os.open(Path(job.folder) / "pages", os.O_WRONLY | os.O_DSYNC)
    os.pwrite(file, PAGE * 1024, 0)
    os.fsync(file)

    def commit(i: int) -> None:
        for k in range(N_PAGES):
            os.pwrite(file, PAGE, ((i * N_PAGES + k) % 1000 + 2) * len(PAGE))
        os.fdatasync(file)
        os.pwrite(head, PAGE[:128], i % 2 * len(PAGE))

    spent = latencies(commit, job.params["n_one"] // 5, 20)
    return result({"one_median": spent["median"], "one_p99": spent["p99"]})


if __name__ == "__main__":
    main(measure)
