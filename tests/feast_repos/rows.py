"""Rows for the repos: the same for both worlds, from arithmetic alone."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

DAY_0 = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


def hours(n: float) -> dt.datetime:
    """So many hours after the first of January 2024, UTC."""
    return DAY_0 + dt.timedelta(hours=n)


def times(values: Sequence[Any]) -> pa.Array:
    return pa.array(values, pa.timestamp("us", "UTC"))


def save(path: Path, **columns: Any) -> None:
    """Write a Parquet file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def spine(at: Sequence[Any], **columns: Sequence[Any]) -> pd.DataFrame:
    """Entity rows: keys, times (hours), and a label that numbers them."""
    moments = pd.to_datetime([hours(h) for h in at], utc=True)
    return pd.DataFrame(
        {**columns, "event_timestamp": moments, "label": [f"{i:02}" for i in range(len(at))]}
    )


def done(_: Any) -> str:
    """What came back does not matter; that it did, does."""
    return "done"
