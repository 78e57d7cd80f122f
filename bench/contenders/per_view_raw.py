"""The yardstick of per_view_tiffin.py: the same rows through mdb_get, in C."""

from pathlib import Path
from typing import Any

from contender import Job, main, result
from lookup_cases import as_one_view, case_of, per_view
from lookup_raw import build, get_all, write_keys


def prepare(job: Job) -> None:
    case, folder = case_of(job), job.empty_folder()
    build()
    write_keys(job, case, folder / "many")
    write_keys(job, as_one_view(case), folder / "one")


def measure(job: Job) -> dict[str, Any]:
    case, folder = case_of(job), Path(job.folder)
    many = get_all(job, case, folder / "many")["median"]
    return result(per_view(case, many, get_all(job, as_one_view(case), folder / "one")["median"]))


if __name__ == "__main__":
    main(measure, prepare)
