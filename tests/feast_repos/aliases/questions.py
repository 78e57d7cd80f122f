"""Both ends of a trip in one row."""

from rows import hours, save, spine, times


def write(folder):
    n = 24
    save(
        folder / "data" / "places.parquet",
        place_id=[i % 6 for i in range(n)],
        event_timestamp=times([hours(i) for i in range(n)]),
        people=[1000 + i for i in range(n)],
        kind=["town" if i % 2 else "airport" for i in range(n)],
    )


def ask(store, answer):
    trip = store.get_feature_service("trip")
    rows = spine([2, 10, 23, 23], origin_id=[0, 1, 2, 3], destination_id=[2, 2, 5, 9])
    answer(
        "training",
        lambda: store.get_historical_features(rows, trip, full_feature_names=True).to_arrow(),
    )
    store.materialize(hours(0), hours(24))
    trips = [{"origin_id": 0, "destination_id": 5}, {"origin_id": 5, "destination_id": 5}]
    answer(
        "online",
        lambda: store.get_online_features(trip, trips, full_feature_names=True).to_dict(),
    )
    answer("without full names", lambda: store.get_historical_features(rows, trip).to_arrow())
