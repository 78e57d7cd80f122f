"""The past, the latest, and what is not there."""

from rows import hours, save, spine, times

DIFFERS = {"as pandas": 17}
FEATURES = ["stats:trips", "stats:rate", "stats:city"]


def write(folder):
    n = 60
    save(
        folder / "data" / "trips.parquet",
        driver_id=[i % 5 for i in range(n)],
        event_timestamp=times([hours(i) for i in range(n)]),
        trips=[i * 10 for i in range(n)],
        rate=[i / 7 for i in range(n)],
        city=[f"city {i % 3} \u00fc" for i in range(n)],
    )


def ask(store, answer):
    rows = spine([0, 4, 4.5, 59, 1000, -1], driver_id=[0, 4, 4, 3, 1, 2])
    answer("training", lambda: store.get_historical_features(rows, FEATURES).to_arrow())
    answer("as pandas", lambda: store.get_historical_features(rows, FEATURES).to_df())
    unknown = spine([5, 5], driver_id=[77, 1])
    answer("unknown key", lambda: store.get_historical_features(unknown, FEATURES).to_arrow())
    store.materialize(hours(0), hours(100))
    known = [{"driver_id": k} for k in (0, 3, 77)]
    answer("online", lambda: store.get_online_features(FEATURES, known).to_dict())
    columns = {"driver_id": [4, 4, 1]}
    answer("by columns", lambda: store.get_online_features(FEATURES[:1], columns).to_dict())
    answer("no such view", lambda: store.get_online_features(["nothing:x"], known))
    answer("no such feature", lambda: store.get_online_features(["stats:nothing"], known))
