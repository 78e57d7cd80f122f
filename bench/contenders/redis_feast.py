"""Lookups by Feast from the Redis that Tiffin filled: the layout is Feast's."""

import shutil
from pathlib import Path
from typing import Any

from command_materialize import run
from contender import Job, main
from feast_repo import quiet
from lookup_cases import case_of, shared_folder
from redis_server import redis_server
from repo_files import write_repo


def measure(job: Job) -> dict[str, Any]:
    quiet()
    from feast import FeatureStore  # type: ignore[import-not-found,unused-ignore]

    case, folder = case_of(job), Path(job.folder) / "measured"
    shutil.rmtree(folder, ignore_errors=True)
    with redis_server(shared_folder(job, "redis")) as port:
        write_repo(job, folder, "feast", "redis", port, case.file)
        run("feast", folder, "apply")
        store = FeatureStore(str(folder))

        def ask(keys: list[int]) -> Any:
            rows = [{"user_id": key} for key in keys]
            return store.get_online_features(case.references, rows, full_feature_names=True)

        return case.measure(job, ask)


if __name__ == "__main__":
    main(measure)
