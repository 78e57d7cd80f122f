"""The same lookups by Feast from SQLite, in process.

Or from Tiffin's stores under Feast (params: offline), which Feast's own `materialize` fills. SQLite
is filled in its own layout by its own functions (keys, values, connection), in the order
of its keys and without an index until the end: its `online_write_batch` would take an hour.
"""

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from contender import FEATURES, N_INT, TTL_DAYS, Job, main
from feast_repo import TIFFIN, materialize, open_store
from lookup_cases import Case, case_of, fill_once, shared_folder


def is_plugged(job: Job) -> bool:
    return job.params.get("offline") == TIFFIN


def folder_of(job: Job) -> Path:
    return shared_folder(job, "plugged" if is_plugged(job) else "feast")


def apply(job: Job, case: Case, folder: Path) -> Any:
    store = open_store(folder, job.params.get("offline", "dask"))
    from feast import Entity, FeatureView, Field, FileSource, ValueType  # type: ignore[import-not-found,unused-ignore]
    from feast.types import Float32, Int64  # type: ignore[import-not-found,unused-ignore]

    user = Entity(name="user_id", join_keys=["user_id"], value_type=ValueType.INT64)
    source = FileSource(
        name="file",
        path=job.path(case.file),
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
    )
    schema = [
        Field(name=name, dtype=Int64 if FEATURES.index(name) < N_INT else Float32)
        for name in case.features
    ]
    schema.append(Field(name="user_id", dtype=Int64))
    ttl = datetime.timedelta(days=TTL_DAYS)
    views = [
        FeatureView(name=name, entities=[user], ttl=ttl, schema=schema, source=source)
        for name in case.views
    ]
    store.apply([user, source, *views])
    return store


def newest(job: Job, case: Case) -> dict[str, list[Any]]:
    """The row of each key with the greatest event time, by column."""
    import duckdb

    sql = f"""
        SELECT user_id, event_timestamp AT TIME ZONE 'UTC' AS event_timestamp,
               created AT TIME ZONE 'UTC' AS created, {", ".join(case.features)}
        FROM '{job.path(case.file)}'
        QUALIFY row_number() OVER (PARTITION BY user_id ORDER BY event_timestamp DESC) = 1"""
    table = duckdb.sql(sql).to_arrow_table()
    return {name: table[name].to_pylist() for name in table.column_names}


def encode_keys(users: list[int]) -> list[bytes]:
    from feast.infra.key_encoding_utils import serialize_entity_key  # type: ignore[import-not-found,unused-ignore]
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey  # type: ignore[import-not-found,unused-ignore]
    from feast.protos.feast.types.Value_pb2 import Value  # type: ignore[import-not-found,unused-ignore]

    return [
        serialize_entity_key(
            EntityKey(join_keys=["user_id"], entity_values=[Value(int64_val=user)]),
            entity_key_serialization_version=3,
        )
        for user in users
    ]


def cells(case: Case, rows: dict[str, list[Any]]) -> Iterator[tuple[Any, ...]]:
    """Rows of Feast's table, in the order of its primary key."""
    from feast.infra.online_stores.helpers import extract_text_and_num  # type: ignore[import-not-found,unused-ignore]
    from feast.protos.feast.types.Value_pb2 import Value  # type: ignore[import-not-found,unused-ignore]

    keys = encode_keys(rows["user_id"])
    for i in sorted(range(len(keys)), key=keys.__getitem__):
        event, created = rows["event_timestamp"][i], rows["created"][i]
        for name in case.features:
            held = rows[name][i]
            kind = "int64_val" if FEATURES.index(name) < N_INT else "float_val"
            value = Value() if held is None else Value(**{kind: held})
            text, _ = extract_text_and_num(value, False)
            yield keys[i], name, value.SerializeToString(), text, event, created


def prepare(job: Job) -> None:
    case = case_of(job)

    def fill(folder: Path) -> None:
        store = apply(job, case, folder)
        if is_plugged(job):
            materialize(store)
            return
        db = store._get_provider().online_store._get_conn(store.config)
        rows = newest(job, case)
        first = f"bench_{case.views[0]}"
        columns = "entity_key, feature_name, value, value_text, event_ts, created_ts"
        with db:
            for view in case.views:
                db.execute(f'DROP INDEX IF EXISTS "bench_{view}_ek"')
            insert = f'INSERT INTO "{first}" ({columns}) VALUES (?, ?, ?, ?, ?, ?)'
            db.executemany(insert, cells(case, rows))
            for view in case.views[1:]:  # the same rows
                copy = f'SELECT {columns} FROM "{first}" ORDER BY entity_key, feature_name'
                db.execute(f'INSERT INTO "bench_{view}" ({columns}) {copy}')
            for view in case.views:
                db.execute(f'CREATE INDEX "bench_{view}_ek" ON "bench_{view}" (entity_key)')

    fill_once(folder_of(job), job, fill)


def measure(job: Job) -> dict[str, Any]:
    case, folder = case_of(job), folder_of(job)
    store = open_store(folder, job.params.get("offline", "dask"))

    def ask(keys: list[int]) -> Any:
        rows = {"user_id": keys}
        return store.get_online_features(case.references, rows, full_feature_names=True)

    found = case.measure(job, ask)
    file = folder / ("online/online/data.mdb" if is_plugged(job) else "online.db")
    found["figures"]["store_mb"] = file.stat().st_blocks * 512 / 1e6
    return found


if __name__ == "__main__":
    main(measure, prepare)
