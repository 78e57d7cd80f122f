"""What is how old, at the borders of each ttl."""

from rows import hours, save, spine, times

DIFFERS = {"days and seconds": 11}
FEATURES = ["short:n", "zero:n", "none:n", "days:n"]
SECOND = 1 / 3600


def write(folder):
    save(
        folder / "data" / "clicks.parquet",
        user_id=[1, 1, 2],
        at=times([hours(0), hours(10), hours(5)]),
        n=[100, 200, 300],
    )


def ask(store, answer):
    at = [0, 1, 1 + SECOND, 10, 11, 58, 58 + SECOND, 58 + 2 * SECOND, 5, 53, 53.5]
    rows = spine(at, user_id=[1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2])
    answer(
        "training",
        lambda: store.get_historical_features(
            rows, FEATURES[:3], full_feature_names=True
        ).to_arrow(),
    )
    answer("days and seconds", lambda: store.get_historical_features(rows, FEATURES[3:]).to_arrow())
    store.materialize(hours(0), hours(100))
    users = [{"user_id": 1}, {"user_id": 2}, {"user_id": 3}]
    answer(
        "online, however old",
        lambda: store.get_online_features(FEATURES, users, full_feature_names=True).to_dict(),
    )
    answer("ttls", lambda: {v.name: str(v.ttl) for v in store.list_feature_views()})
