"""Each view by its own key of one row; other columns stay as they are."""

from rows import hours, save, spine, times

FEATURES = ["buyers:orders", "sellers:stock"]


def write(folder):
    n = 16
    at = times([hours(i) for i in range(n)])
    save(
        folder / "data" / "buyers.parquet",
        buyer_id=[i % 4 for i in range(n)],
        ts=at,
        orders=list(range(n)),
    )
    save(
        folder / "data" / "sellers.parquet",
        seller_id=[f"s{i % 4}" for i in range(n)],
        ts=at,
        stock=[i * 100 for i in range(n)],
    )


def ask(store, answer):
    rows = spine(
        [3, 10, 15, 15],
        buyer_id=[0, 1, 2, 3],
        seller_id=["s1", "s2", "s3", "s9"],
        amount=[1.5, 2.5, 3.5, 4.5],
        note=["a", "b", None, "d"],
    )
    answer("training", lambda: store.get_historical_features(rows, FEATURES).to_arrow())
    store.materialize(hours(0), hours(20))
    asked = [{"buyer_id": 0, "seller_id": "s1"}, {"buyer_id": 7, "seller_id": "s2"}]
    answer("online", lambda: store.get_online_features(FEATURES, asked).to_dict())
    answer(
        "text as a number",
        lambda: store.get_historical_features(
            rows.assign(buyer_id=["0", "1", "2", "3"]), FEATURES[:1]
        ).to_arrow(),
    )
    more = [{"buyer_id": 0, "seller_id": "s1", "unknown": 5}]
    answer("a column too many", lambda: store.get_online_features(FEATURES, more).to_dict())
    uneven = {"buyer_id": [0, 1], "seller_id": ["s1"]}
    answer("uneven columns", lambda: store.get_online_features(FEATURES, uneven).to_dict())
