"""Feast at a server of ours, for test_server_feast_client.py: `online_store: {type: remote}`.

usage: python remote_feast_child.py FOLDER

Reads FOLDER/request.json: project, url, cert, views (as in redis_feast_child.py), and "orders",
each one of

  {"read": {"features", "keys", "full_names"}}
  {"write": {"view", "columns"}}
  {"materialize": {"start" (null: incremental), "end", "views", "is_async"}}

Writes what each gave, or the class and words of its error, to FOLDER/answers.json. Times are
microseconds since 1970.
"""

import datetime as dt
import json
import sys
from pathlib import Path
from typing import Any

import redis_feast_child as feast_child  # silences Feast before it is imported
from feast import FeatureStore, RepoConfig  # type: ignore[import-not-found,unused-ignore]


def instant(time_us: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(time_us / 1e6, dt.UTC)


def read(store: Any, order: dict[str, Any]) -> Any:
    answer = store.get_online_features(
        order["features"], order["keys"], full_feature_names=order["full_names"]
    )
    values = {n: feast_child.plain(list(v)) for n, v in answer.to_dict().items()}
    proto = answer.proto
    names = proto.metadata.feature_names.val
    statuses = {
        name: list(result.statuses) for name, result in zip(names, proto.results, strict=True)
    }
    return {"values": values, "statuses": statuses}


def write(store: Any, order: dict[str, Any]) -> None:
    import pandas as pd

    columns = dict(order["columns"])
    for name in ("event_timestamp", "created"):
        columns[name] = [instant(time_us) for time_us in columns[name]]
    store.write_to_online_store(order["view"], pd.DataFrame(columns))


def materialize(store: Any, order: dict[str, Any]) -> None:
    more = {"feature_views": order["views"], "run_async": order["is_async"]}
    if order["start"] is None:
        store.materialize_incremental(instant(order["end"]), **more)
    else:
        store.materialize(instant(order["start"]), instant(order["end"]), **more)


ORDERS = {"read": read, "write": write, "materialize": materialize}


def follow(store: Any, order: dict[str, Any]) -> Any:
    [(what, more)] = order.items()
    try:
        return {"gave": ORDERS[what](store, more)}
    except Exception as error:
        return {"error": type(error).__name__, "words": str(error)}


def main() -> None:
    folder = Path(sys.argv[1])
    request = json.loads((folder / "request.json").read_text())
    online_store = {"type": "remote", "path": request["url"], "connection_retries": 0}
    if request["cert"]:
        online_store["cert"] = request["cert"]
    config = RepoConfig(
        project=request["project"],
        provider="local",
        registry=str(folder / "feast.db"),
        offline_store={"type": "dask"},
        online_store=online_store,
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    store.apply(feast_child.define(folder, request))
    answers = [follow(store, order) for order in request["orders"]]
    (folder / "answers.json").write_text(json.dumps(answers))


if __name__ == "__main__":
    main()
