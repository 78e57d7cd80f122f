"""Ask a Feast repo its questions: the same program runs under Feast and under Tiffin.

usage: python drive.py REPO...

Each REPO is a copy of one of the folders beside this file. Its `features.py` is what a team has: it
says `from feast import ...` and knows no Tiffin. Its `questions.py` writes the data (`write`), and
asks (`ask(store, answer)`). REPO/answers.json is then, for each question, what came back, value by
value with its type, or the class of what was raised and those of Feast that catch it. `feast` is
whatever this interpreter takes for it: the package, or Tiffin (`python -m tiffin.feast drive.py`).
"""

import datetime as dt
import decimal
import json
import logging
import os
import runpy
import sys
import traceback
import uuid
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["FEAST_USAGE"] = "False"
os.environ["TZ"] = "UTC"
warnings.simplefilter("ignore")
logging.disable(logging.WARNING)

import feast.errors  # type: ignore[import-not-found,unused-ignore]  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import pyarrow as pa  # noqa: E402
from feast import (  # type: ignore[import-not-found,unused-ignore]  # noqa: E402
    Entity,
    FeatureService,
    FeatureStore,
    FeatureView,
    OnDemandFeatureView,
    PushSource,
)

FEASTS = {
    name: thing
    for name, thing in ((n, getattr(feast.errors, n)) for n in dir(feast.errors))
    if isinstance(thing, type) and issubclass(thing, Exception)
}
LABEL = "label"  # rows of a frame that has it are compared in its order: Feast promises none


def moment(value: dt.datetime) -> list[Any]:
    aware = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
    return [
        "time",
        (aware - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1),
    ]


def plain(value: Any) -> Any:
    """A value with its type, as JSON can hold it."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NaT or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return [type(value).__name__, repr(value)]
    if isinstance(value, dt.datetime):
        return moment(value)
    if isinstance(value, bytes):
        return ["bytes", value.hex()]
    if isinstance(value, dt.date | decimal.Decimal | uuid.UUID):
        return [type(value).__name__, str(value)]
    if isinstance(value, set | frozenset):
        return ["set", sorted((plain(item) for item in value), key=repr)]
    if isinstance(value, dict):
        return ["map", {str(key): plain(item) for key, item in value.items()}]
    if isinstance(value, list | tuple | np.ndarray):
        return ["list", [plain(item) for item in value]]
    raise TypeError(f"an answer holds a {type(value).__name__}")


def rows_of(table: pa.Table) -> dict[str, Any]:
    names = table.column_names
    rows = [[plain(value) for value in row.values()] for row in table.to_pylist()]
    if LABEL in names:
        rows.sort(key=lambda row: repr(row[names.index(LABEL)]))
    return {"columns": names, "rows": rows}


def canonical(value: Any) -> Any:
    """What came back, whatever it is."""
    if hasattr(value, "to_arrow") and not isinstance(value, pa.Table):
        value = value.to_dict() if hasattr(value, "to_dict") else value.to_arrow()
    if isinstance(value, pd.DataFrame):
        value = pa.table({str(c): pa.array(list(value[c]), from_pandas=True) for c in value})
    if isinstance(value, pa.Table):
        return rows_of(value)
    if isinstance(value, dict):
        # Feast groups features by view, in any order within one (rule 22).
        return {"columns": sorted(value), "values": {k: plain(v) for k, v in value.items()}}
    return plain(value)


class Answers:
    """What was answered, by the name of the question."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}

    def __call__(self, name: str, question: Callable[[], Any]) -> None:
        assert name not in self.found, name
        try:
            self.found[name] = {"answer": canonical(question())}
        except Exception as error:
            text = str(error).strip().splitlines() or [""]
            where = traceback.extract_tb(error.__traceback__)[-1]
            self.found[name] = {
                "raised": type(error).__name__,
                "caught by": [n for n, c in FEASTS.items() if isinstance(error, c)],
                "text": text[0],
                "where": f"{Path(where.filename).name}:{where.lineno}",
            }


def run(path: Path) -> dict[str, Any]:
    return runpy.run_path(str(path), run_name=path.stem)


def definitions(folder: Path) -> list[Any]:
    """What `feast apply` finds in features.py."""
    kinds = (Entity, FeatureService, FeatureView, OnDemandFeatureView, PushSource)
    return [thing for thing in run(folder / "features.py").values() if isinstance(thing, kinds)]


def drive(folder: Path) -> None:
    os.chdir(folder)
    questions = run(folder / "questions.py")
    questions["write"](folder)
    store = FeatureStore(repo_path=str(folder))
    store.apply(definitions(folder))
    answers = Answers()
    questions["ask"](store, answers)
    (folder / "answers.json").write_text(json.dumps(answers.found, indent=1))


if __name__ == "__main__":
    for name in sys.argv[1:]:
        drive(Path(name).resolve())
