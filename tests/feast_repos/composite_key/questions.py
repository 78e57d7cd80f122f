"""Rows by both keys, and by one of them."""

from rows import hours, save, spine, times

FEATURES = ["pairs:visits", "customers:spent", "shops:open"]


def write(folder):
    n = 40
    at = times([hours(i / 2) for i in range(n)])
    names = [f"c{i % 4}" for i in range(n)]
    ids = [i % 3 for i in range(n)]
    save(
        folder / "data" / "pairs.parquet",
        customer_id=names,
        shop_id=ids,
        ts=at,
        visits=list(range(n)),
    )
    save(
        folder / "data" / "customers.parquet",
        customer_id=names,
        ts=at,
        spent=[i * 0.5 for i in range(n)],
    )
    save(folder / "data" / "shops.parquet", shop_id=ids, ts=at, open=[i % 2 for i in range(n)])


def ask(store, answer):
    rows = spine(
        [3, 10, 19.5, 19.5, 40, 50],
        shop_id=[0, 1, 2, 0, 1, 9],
        customer_id=["c0", "c1", "c3", "c3", "c2", "c0"],
    )
    answer("training", lambda: store.get_historical_features(rows, FEATURES).to_arrow())
    store.materialize(hours(0), hours(100))
    both = [{"customer_id": "c0", "shop_id": 0}, {"shop_id": 2, "customer_id": "c1"}]
    answer("online", lambda: store.get_online_features(FEATURES, both).to_dict())
    one = [{"customer_id": "c0"}]
    answer("one key", lambda: store.get_online_features(["customers:spent"], one).to_dict())
    answer("a key is missing", lambda: store.get_online_features(FEATURES, one).to_dict())
