"""What the contenders of prepared lookups share: stores, batches of keys, the check of an answer.

Two stores, in folders that the lookup scenarios share, since filling Feast's takes minutes:

one     a view `stats` of 10 features; 1 M keys (online.parquet)
views   20 views of 5 features; 100 k keys each (materialize.parquet)
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from contender import FEATURES, N_INT, Job, latencies, result

SOME = FEATURES[3:8]  # of either type
N_VIEWS = 20


@dataclass(frozen=True)
class Case:
    """A lookup scenario, as `params` of a contender describe it."""

    store: str  # "one" or "views"
    n_rows: int  # entities of a call
    n_calls: int
    form: str = "dict"  # or "arrow"
    n_views: int = N_VIEWS  # of the store `views`; asked for

    @property
    def views(self) -> list[str]:
        return ["stats"] if self.store == "one" else [f"stats_{i}" for i in range(self.n_views)]

    @property
    def features(self) -> list[str]:
        return FEATURES if self.store == "one" else SOME

    @property
    def references(self) -> list[str]:
        return [f"{view}:{name}" for view in self.views for name in self.features]

    @property
    def file(self) -> str:
        return "online.parquet" if self.store == "one" else "materialize.parquet"

    def n_keys(self, job: Job) -> int:
        return job.sizes["n_many_keys" if self.store == "one" else "n_keys"]

    def batches(self, job: Job) -> list[list[int]]:
        """Random keys that exist, new ones for each call; the same in every process."""
        state, n_keys = 1, self.n_keys(job)
        batches = []
        for _ in range(self.n_calls):
            batch = []
            for _ in range(self.n_rows):
                state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
                batch.append((state >> 33) % n_keys)
            batches.append(batch)
        return batches

    def measure(self, job: Job, ask: Callable[[list[int]], Any]) -> dict[str, Any]:
        """Time `ask(keys)`, whose answer has to_dict and to_arrow, made into what is wanted."""
        is_arrow = self.form == "arrow"

        def call(keys: list[int]) -> Any:
            return ask(keys).to_arrow() if is_arrow else ask(keys).to_dict()

        if is_arrow:
            import pyarrow  # noqa: F401  (loading it is not the question)
        batches = self.batches(job)
        n_warm = min(200, self.n_calls // 10)
        figures = latencies(lambda i: call(batches[i % len(batches)]), self.n_calls, n_warm)
        return result(figures, self.check(job, ask))

    def check(self, job: Job, ask: Callable[[list[int]], Any]) -> dict[str, Any]:
        """Of 200 keys, and one that nobody has: nulls, sums, and sums weighted by row."""
        n_keys = self.n_keys(job)
        keys = [*range(0, n_keys, max(1, n_keys // 200)), n_keys + 1]
        columns = ask(keys).to_dict()
        check: dict[str, Any] = {"rows": len(columns["user_id"])}
        for view in self.views:
            for name in self.features:
                values = columns[f"{view}__{name}"]
                scale = 1 if FEATURES.index(name) < N_INT else 1024
                known = [(i, int(v * scale)) for i, v in enumerate(values) if v is not None]
                weighted = sum(i * v for i, v in known)
                nulls = len(values) - len(known)
                check[f"{view}__{name}"] = [nulls, sum(v for _, v in known), weighted]
        return check


def case_of(job: Job) -> Case:
    return Case(**{name: value for name, value in job.params.items() if name != "offline"})


def as_one_view(case: Case) -> Case:
    """As many rows, all of them of one view."""
    return replace(case, n_rows=case.n_rows * case.n_views, n_views=1)


def per_view(case: Case, many: float, one: float) -> dict[str, float]:
    """Figures of a contender that asked for a case, and for it as one view: microseconds a call."""
    return {"many": many, "one": one, "per_view": (many - one) / (case.n_views - 1)}


def shared_folder(job: Job, who: str) -> Path:
    """Folder of a store that several scenarios read."""
    return Path(job.folder).parent.parent / "lookup-stores" / f"{who}-{job.params['store']}"


def fill_once(folder: Path, job: Job, fill: Callable[[Path], None]) -> None:
    """Fill a folder, unless that was done to its end from the same data."""
    stamp, about = folder / "filled.txt", f"{job.sizes}\n"
    if stamp.exists() and stamp.read_text() == about:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    fill(folder)
    stamp.write_text(about)
