"""A store over files of any format: what the tests of formats and of object stores share."""

import datetime as dt
from typing import Any

import pytest
from rides import utc

from tiffin import Entity, FeatureStore, FeatureView, Field, FileSource, errors
from tiffin.types import Int64

DAY = utc(2024, 1, 1)
END = utc(2024, 1, 2)


def apply(
    store: FeatureStore, path: object, schema: dict[str, Any] | None = None, **source: Any
) -> None:
    """Apply one view `v` of key `k` over a path; `schema` None = x is an int64."""
    options = {"timestamp_field": "event_timestamp"} | source
    fields = {"x": Int64} if schema is None else schema
    store.apply(
        FeatureView(
            name="v",
            entities=[Entity(name="k", value_type=Int64)],
            source=FileSource(name="files", path=str(path), **options),
            schema=[Field(name=name, dtype=kind) for name, kind in fields.items()],
        )
    )


def read(store: FeatureStore, *names: str, k: int = 1, at: dt.datetime = END) -> Any:
    """Return the features of one entity row; without names that of x."""
    rows = {"k": [k], "event_timestamp": [at]}
    features = [f"v:{name}" for name in names or ("x",)]
    [row] = store.get_historical_features(rows, features).to_arrow().to_pylist()
    values = [row[name] for name in names or ("x",)]
    return values if names else values[0]


def told(caught: pytest.ExceptionInfo[BaseException]) -> str:
    """Return the sentence of an error, which is one."""
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 1024
    return text


def fails(call: Any, *words: str, error: type[Exception] = errors.TiffinError) -> str:
    """Expect one sentence that holds the words, and return it."""
    with pytest.raises(error) as caught:
        call()
    text = told(caught)
    for word in words:
        assert word in text, text
    return text
