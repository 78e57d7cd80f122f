"""The correction wins; with the filter, only from the moment it was booked."""

from rows import hours, save, spine, times


def write(folder):
    save(
        folder / "data" / "balances.parquet",
        account=[1, 1, 1, 2, 2],
        day=times([hours(24), hours(24), hours(48), hours(24), hours(24)]),
        booked=times([hours(25), hours(30), hours(80), hours(40), hours(26)]),
        cents=[100, 150, 175, 20, 10],
    )


def ask(store, answer):
    rows = spine([24, 25, 30, 50, 80, 26, 40], account=[1, 1, 1, 1, 1, 2, 2])
    feature = ["balances:cents"]
    answer("training", lambda: store.get_historical_features(rows, feature).to_arrow())
    answer(
        "as it was known",
        lambda: store.get_historical_features(
            rows, feature, filter_by_created_timestamp=True
        ).to_arrow(),
    )
    store.materialize(hours(0), hours(30))
    accounts = [{"account": 1}, {"account": 2}]
    answer("online", lambda: store.get_online_features(feature, accounts).to_dict())
    store.materialize(hours(30), hours(100))
    answer("online later", lambda: store.get_online_features(feature, accounts).to_dict())
