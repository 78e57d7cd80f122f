"""What the contenders that make training sets share: which files, which keys, which features."""

from dataclasses import dataclass
from typing import Any

from contender import FEATURES, N_INT, Job, check_table

TIME = "event_timestamp"


@dataclass(frozen=True)
class Question:
    """A training set, as `params` of a contender describe it; S10's is the default.

    n_float_features: the file has that many features, all float32 (0: f0..f9 of contender.py).
    n_views: as many views ask for the same features of the same file.
    """

    file: str = "s10.parquet"
    spine: str = "spine.arrow"
    keys: tuple[str, ...] = ("user_id",)
    text_keys: bool = False
    n_float_features: int = 0
    n_views: int = 1
    checked: bool = True  # the other contenders have the same answer

    @classmethod
    def of(cls, job: Job) -> "Question":
        names = cls.__dataclass_fields__
        values = {k: v for k, v in job.params.items() if k in names}
        if "keys" in values:
            values["keys"] = tuple(values["keys"])
        return cls(**values)

    @property
    def features(self) -> list[str]:
        n = self.n_float_features
        return [f"f{i}" for i in range(n)] if n > 0 else FEATURES

    @property
    def n_int_features(self) -> int:
        return 0 if self.n_float_features > 0 else N_INT

    def check(self, table: Any) -> dict[str, Any] | None:
        """What must equal that of the others; of several views, the first one's columns."""
        if not self.checked:
            return None
        prefix = f"{view_names(self)[0]}__" if self.n_views > 1 else ""
        return check_table(table, {prefix + name: name for name in self.features})


def view_names(question: Question) -> list[str]:
    return ["stats", *(f"stats_{i}" for i in range(1, question.n_views))]
