"""What a view more costs a prepared lookup by Tiffin: as many rows, of many views and of one.

Only the read is timed, not what the answer is made into: objects grow with features.
"""

from typing import Any

from contender import Job, latencies, main, result
from lookup_cases import Case, as_one_view, case_of, per_view, shared_folder
from lookup_tiffin import prepare
from tiffin_repo import open_store


def read_us(job: Job, store: Any, case: Case) -> float:
    """Median of a call."""
    prepared = store.prepare(case.references, full_feature_names=True)
    batches = [{"user_id": keys} for keys in case.batches(job)]
    return latencies(lambda i: prepared.get(batches[i % len(batches)]), case.n_calls)["median"]


def measure(job: Job) -> dict[str, Any]:
    case = case_of(job)
    store = open_store(job, shared_folder(job, "tiffin"))
    many = read_us(job, store, case)
    return result(per_view(case, many, read_us(job, store, as_one_view(case))))


if __name__ == "__main__":
    main(measure, prepare)
