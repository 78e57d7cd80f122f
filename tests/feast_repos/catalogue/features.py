"""Definitions with all that says what they are."""

from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource, ValueType
from feast.types import Array, Float32, Int64, String

author = Entity(
    name="author",
    join_keys=["author_id"],
    value_type=ValueType.STRING,
    description="who writes",
    tags={"pii": "yes"},
    owner="books@example.org",
)
books = FileSource(
    name="books",
    path="data/books.parquet",
    timestamp_field="published",
    created_timestamp_column="entered",
    description="one row a book",
    tags={"from": "library"},
    owner="library@example.org",
)
book_push = PushSource(name="book_push", batch_source=books, tags={"kind": "push"})
works = FeatureView(
    name="works",
    entities=[author],
    ttl=timedelta(days=365),
    schema=[
        Field(name="pages", dtype=Int64, description="of the newest", tags={"unit": "page"}),
        Field(name="vector", dtype=Array(Float32)),
        Field(name="title", dtype=String),
    ],
    online=False,
    source=book_push,
    description="the newest work",
    tags={"team": "books", "stage": "draft"},
    owner="books@example.org",
)
shelf = FeatureService(name="shelf", features=[works[["pages", "title"]]], tags={"a": "b"})
