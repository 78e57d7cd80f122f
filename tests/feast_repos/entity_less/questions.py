"""The same value for all rows of a time."""

from rows import done, hours, save, spine, times

DIFFERS = {"materialize": 38, "online": 38}
BOTH = ["market:index", "stocks:volume"]


def write(folder):
    n = 20
    at = times([hours(6 * i) for i in range(n)])
    save(folder / "data" / "market.parquet", ts=at, index=[100 + i / 8 for i in range(n)])
    save(
        folder / "data" / "stocks.parquet",
        stock=["abc" if i % 2 else "xyz" for i in range(n)],
        ts=at,
        volume=[i**3 for i in range(n)],
    )


def ask(store, answer):
    rows = spine([0, 13, 13, 114, 185, 187], stock=["xyz", "abc", "xyz", "abc", "abc", "xyz"])
    answer("training", lambda: store.get_historical_features(rows, BOTH).to_arrow())
    answer("alone", lambda: store.get_historical_features(rows, BOTH[:1]).to_arrow())
    answer("materialize", lambda: done(store.materialize(hours(0), hours(200))))
    stocks = [{"stock": "abc"}, {"stock": "xyz"}]
    answer("online", lambda: store.get_online_features(BOTH, stocks).to_dict())
