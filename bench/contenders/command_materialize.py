"""`tiffin materialize` or `feast materialize` as a whole process, into an empty online store."""

import os
import resource
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from contender import Job, check_keys, check_values, main, result
from redis_server import redis_server
from repo_files import write_repo

REFERENCES = [f"stats:f{i}" for i in range(10)]
ALL_TIME = ("2024-01-01T00:00:00", "2024-03-01T00:00:00")


def run(package: str, folder: Path, *words: str) -> None:
    program = Path(sys.executable).parent / package
    subprocess.run(
        [str(program), *words],
        cwd=folder,
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ | {"FEAST_USAGE": "False"},
    )


def read(package: str, folder: Path, keys: list[int]) -> dict[str, list[Any]]:
    if package == "tiffin":
        from tiffin import FeatureStore
    else:
        from feast import FeatureStore  # type: ignore[import-not-found,no-redef,unused-ignore]
    rows = [{"user_id": key} for key in keys]
    answer = FeatureStore(str(folder)).get_online_features(features=REFERENCES, entity_rows=rows)
    values: dict[str, list[Any]] = answer.to_dict()
    return values


def measure(job: Job) -> dict[str, Any]:
    package, online = job.params["package"], job.params.get("online", "lmdb")
    folder = job.empty_folder()
    server = redis_server(folder / "redis") if online == "redis" else nullcontext(0)
    with server as port:
        write_repo(job, folder, package, online, port, "materialize.parquet")
        run(package, folder, "apply")
        start = time.perf_counter()
        run(package, folder, "materialize", *ALL_TIME)
        seconds = time.perf_counter() - start
        peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6
        figures = {"seconds": seconds, "peak_mb": peak_mb}
        return result(figures, check_values(read(package, folder, check_keys(job))))


if __name__ == "__main__":
    main(measure)
