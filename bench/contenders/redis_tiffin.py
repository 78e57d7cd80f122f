"""Lookups by Tiffin from Redis; `prepare` fills the Redis that the others read too."""

import shutil
from pathlib import Path
from typing import Any

from command_materialize import ALL_TIME, run
from contender import Job, check_keys, check_values, main, result
from redis_lookups import REFERENCES, filled, time_lookups, wide
from redis_server import redis_server, save
from repo_files import write_repo


def prepare(job: Job) -> None:
    folder = job.empty_folder()
    with redis_server(filled(job)) as port:
        write_repo(job, folder, "tiffin", "redis", port, "online.parquet")
        run("tiffin", folder, "apply")
        run("tiffin", folder, "materialize", *ALL_TIME)
        save(port)


def measure(job: Job) -> dict[str, Any]:
    from tiffin import FeatureStore

    folder = Path(job.folder) / "measured"
    shutil.rmtree(folder, ignore_errors=True)
    with redis_server(filled(job)) as port:
        write_repo(job, folder, "tiffin", "redis", port, "online.parquet")
        run("tiffin", folder, "apply")
        lookup = FeatureStore(folder).prepare(REFERENCES)

        def call(keys: list[int]) -> dict[str, list[Any]]:
            values: dict[str, list[Any]] = lookup.get({"user_id": keys}).to_dict()
            return values

        return result(time_lookups(job, call), check_values(call(check_keys(wide(job)))))


if __name__ == "__main__":
    main(measure, prepare)
