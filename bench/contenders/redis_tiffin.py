"""Prepared lookups by Tiffin from Redis; `prepare` fills the Redis that the others read too."""

import shutil
from pathlib import Path
from typing import Any

from command_materialize import ALL_TIME, run
from contender import Job, main
from lookup_cases import case_of, shared_folder
from redis_server import redis_server, save
from repo_files import write_repo


def prepare(job: Job) -> None:
    """Load anew: the hashes are written by the code that is measured."""
    folder, filled = job.empty_folder(), shared_folder(job, "redis")
    shutil.rmtree(filled, ignore_errors=True)
    with redis_server(filled) as port:
        write_repo(job, folder, "tiffin", "redis", port, case_of(job).file)
        run("tiffin", folder, "apply")
        run("tiffin", folder, "materialize", *ALL_TIME)
        save(port)


def measure(job: Job) -> dict[str, Any]:
    from tiffin import FeatureStore

    case, folder = case_of(job), Path(job.folder) / "measured"
    shutil.rmtree(folder, ignore_errors=True)
    with redis_server(shared_folder(job, "redis")) as port:
        write_repo(job, folder, "tiffin", "redis", port, case.file)
        run("tiffin", folder, "apply")
        prepared = FeatureStore(folder).prepare(case.references, full_feature_names=True)
        return case.measure(job, lambda keys: prepared.get({"user_id": keys}))


if __name__ == "__main__":
    main(measure, prepare)
