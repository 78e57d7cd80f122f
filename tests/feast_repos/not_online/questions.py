"""A run over all views takes those that are served."""

from rows import done, hours, save, spine, times


def write(folder):
    save(
        folder / "data" / "wells.parquet",
        well=[1, 2],
        ts=times([hours(1), hours(2)]),
        depth=[100, 200],
        flow=[7, 8],
    )


def ask(store, answer):
    both = ["history:depth", "served:flow"]
    rows = spine([5, 5], well=[1, 2])
    answer("training", lambda: store.get_historical_features(rows, both).to_arrow())
    answer("all", lambda: done(store.materialize(hours(0), hours(10))))
    wells = {"well": [1, 2]}
    answer("online", lambda: store.get_online_features(both[1:], wells).to_dict())
    answer("named", lambda: done(store.materialize(hours(0), hours(10), feature_views=["history"])))
