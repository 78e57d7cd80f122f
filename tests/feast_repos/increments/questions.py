"""Each run takes what came since the one before."""

from rows import hours, save, times

DIFFERS = {"with times": 43}
FEATURE = ["usage:watts"]
METERS = {"meter": [0, 1, 2]}


def write(folder):
    n = 90
    save(
        folder / "data" / "usage.parquet",
        meter=[i % 3 for i in range(n)],
        ts=times([hours(i) for i in range(n)]),
        watts=[i * 11 for i in range(n)],
    )


def ask(store, answer):
    def online():
        return store.get_online_features(FEATURE, METERS).to_dict()

    def with_times():
        return store.get_online_features(FEATURE, METERS).to_dict(include_event_timestamps=True)

    answer("nothing", online)
    store.materialize_incremental(hours(10))
    answer("ten hours", online)
    store.materialize_incremental(hours(40.5))
    answer("forty", online)
    store.materialize_incremental(hours(40.5))
    answer("again", online)
    store.materialize(hours(50), hours(60), feature_views=["usage"])
    answer("a window", online)
    answer("with times", with_times)
    answer("backwards", lambda: store.materialize(hours(60), hours(50)))
    answer("no such view", lambda: store.materialize(hours(0), hours(1), feature_views=["no"]))
