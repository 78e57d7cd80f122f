"""Names that meet need the names of their views."""

from rows import hours, save, spine, times

DIFFERS = {"full names": 13}
DAYS = (1, 7, 30)


def write(folder):
    n = 36
    for days in DAYS:
        save(
            folder / "data" / f"w{days}.parquet",
            card=[i % 6 for i in range(n)],
            ts=times([hours(i * days) for i in range(n)]),
            payments=[i * days for i in range(n)],
            **{f"max_{days}d": [1000 * days + i for i in range(n)]},
        )


def ask(store, answer):
    rows = spine([3, 30, 100, 1000], card=[0, 1, 5, 3])
    same = [f"last_{d}d:payments" for d in DAYS]
    own = [f"last_{d}d:max_{d}d" for d in DAYS]
    answer("own names", lambda: store.get_historical_features(rows, own).to_arrow())
    answer(
        "full names",
        lambda: store.get_historical_features(rows, same + own, full_feature_names=True).to_arrow(),
    )
    answer("names that meet", lambda: store.get_historical_features(rows, same).to_arrow())
    store.materialize(hours(0), hours(2000))
    cards = {"card": [0, 5, 9]}
    answer("online", lambda: store.get_online_features(own, cards).to_dict())
    answer(
        "online full names",
        lambda: store.get_online_features(same, cards, full_feature_names=True).to_dict(),
    )
    answer("online names that meet", lambda: store.get_online_features(same, cards).to_dict())
    store.delete_feature_view("last_7d")
    answer("one was deleted", lambda: store.get_online_features(same[1:2], cards).to_dict())
