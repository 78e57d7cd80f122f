"""Lookups by Feast from the Redis that Tiffin filled: the layout is Feast's."""

import shutil
from pathlib import Path
from typing import Any

from command_materialize import run
from contender import Job, check_keys, check_values, main, result
from feast_repo import quiet
from redis_lookups import REFERENCES, filled, time_lookups, wide
from redis_server import redis_server
from repo_files import write_repo


def measure(job: Job) -> dict[str, Any]:
    quiet()
    from feast import FeatureStore  # type: ignore[import-not-found,unused-ignore]

    folder = Path(job.folder) / "measured"
    shutil.rmtree(folder, ignore_errors=True)
    with redis_server(filled(job)) as port:
        write_repo(job, folder, "feast", "redis", port, "online.parquet")
        run("feast", folder, "apply")
        store = FeatureStore(str(folder))

        def call(keys: list[int]) -> dict[str, list[Any]]:
            rows = [{"user_id": key} for key in keys]
            answer = store.get_online_features(features=REFERENCES, entity_rows=rows)
            values: dict[str, list[Any]] = answer.to_dict()
            return values

        return result(time_lookups(job, call), check_values(call(check_keys(wide(job)))))


if __name__ == "__main__":
    main(measure)
