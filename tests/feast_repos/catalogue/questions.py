"""What the registry says of them."""

import pyarrow as pa
from rows import hours, save, times


def write(folder):
    save(
        folder / "data" / "books.parquet",
        author_id=["a"],
        published=times([hours(0)]),
        entered=times([hours(1)]),
        pages=[100],
        vector=pa.array([[0.5]], pa.list_(pa.float32())),
        title=["t"],
    )


def ask(store, answer):
    author, works = store.get_entity("author"), store.get_feature_view("works")
    answer(
        "entity",
        lambda: [author.name, author.join_key, author.description, author.tags, author.owner],
    )
    answer("value type", lambda: author.value_type.name)
    answer("view", lambda: [works.name, works.entities, str(works.ttl), works.online, works.owner])
    answer("text", lambda: [works.description, works.tags])
    answer(
        "schema",
        lambda: sorted([f.name, str(f.dtype), f.description, f.tags] for f in works.features),
    )
    answer("keys", lambda: [c.name for c in works.entity_columns])
    source = store.get_data_source("books")
    answer(
        "source",
        lambda: [source.name, source.path, source.timestamp_field, source.created_timestamp_column],
    )
    answer("source tags", lambda: [source.tags, source.description, source.owner])
    answer("sources", lambda: sorted(s.name for s in store.list_data_sources()))
    answer("entities", lambda: sorted(e.name for e in store.list_entities()))
    answer("by tag", lambda: [e.name for e in store.list_entities(tags={"pii": "yes"})])
    answer("by two", lambda: [v.name for v in store.list_feature_views(tags={"team": "x"})])
    shelf = store.get_feature_service("shelf")
    answer(
        "projection",
        lambda: [[p.name, p.join_key_map] for p in shelf.feature_view_projections],
    )
    answer("no such entity", lambda: store.get_entity("nothing"))
    answer("no such view", lambda: store.get_feature_view("nothing"))
    answer("no such source", lambda: store.get_data_source("nothing"))
    answer("no such service", lambda: store.get_feature_service("nothing"))
    answer("project", lambda: store.project)
