"""Every row that is asked for is answered, however often."""

from rows import hours, save, spine, times


def write(folder):
    n = 24
    save(
        folder / "data" / "views.parquet",
        page=[i % 2 for i in range(n)],
        ts=times([hours(i) for i in range(n)]),
        n=list(range(n)),
    )


def ask(store, answer):
    rows = spine([3, 3, 3, 8, 8, 3], page=[0, 0, 1, 0, 0, 0], other=[1, 1, 2, 3, 4, 1])
    answer("training", lambda: store.get_historical_features(rows, ["views:n"]).to_arrow())
    answer(
        "a feature twice",
        lambda: store.get_historical_features(rows, ["views:n", "views:n"]).to_arrow(),
    )
    store.materialize(hours(0), hours(20))
    answer(
        "online", lambda: store.get_online_features(["views:n"], {"page": [1, 1, 0, 1]}).to_dict()
    )
    answer("nobody", lambda: store.get_historical_features(rows[:0], ["views:n"]).to_arrow())
