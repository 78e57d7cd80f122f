"""One row of everything, then and now."""

import pandas as pd
from rows import hours, save, spine, times

DIFFERS = {"gift": 16}


def write(folder):
    n = 48
    at = times([hours(i) for i in range(n)])
    ids = [i % 4 for i in range(n)]
    skus = [f"sku-{i % 3}" for i in range(n)]
    save(
        folder / "data" / "people.parquet",
        customer_id=ids,
        ts=at,
        made=at,
        age=[20 + i for i in range(n)],
        interests=[["x"] * (i % 3) for i in range(n)],
    )
    save(
        folder / "data" / "prices.parquet", product_id=skus, ts=at, price=[i / 4 for i in range(n)]
    )
    save(
        folder / "data" / "baskets.parquet",
        customer_id=ids,
        product_id=skus,
        ts=at,
        times_seen=[i * 2 for i in range(n)],
    )


def ask(store, answer):
    checkout, gift = (store.get_feature_service(name) for name in ("checkout", "gift"))
    rows = spine(
        [4, 12.5, 47, 47, 60],
        customer_id=[0, 1, 2, 3, 9],
        product_id=["sku-0", "sku-1", "sku-2", "sku-0", "sku-1"],
        pieces=[1, 2, 3, 4, 5],
        buyer_id=[1, 1, 0, 9, 2],
    )
    answer("checkout", lambda: store.get_historical_features(rows, checkout).to_arrow())
    answer(
        "gift",
        lambda: store.get_historical_features(rows, gift, full_feature_names=True).to_arrow(),
    )
    store.materialize(hours(0), hours(48))
    one = [{"customer_id": 3, "product_id": "sku-2", "pieces": 10}]
    answer("online", lambda: store.get_online_features(checkout, one).to_dict())
    event = {"product_id": ["sku-2"], "ts": [hours(50)], "price": [99.5]}
    store.push("price_push", pd.DataFrame(event))
    answer("a new price", lambda: store.get_online_features(checkout, one).to_dict())
    lists = {"customer_id": [0, 1, 2]}
    answer("lists", lambda: store.get_online_features(["people:interests"], lists).to_dict())
