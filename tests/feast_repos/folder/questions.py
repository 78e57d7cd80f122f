"""All files of the folder are one table."""

from rows import done, hours, save, spine, times

DIFFERS = {
    "training": 41,
    "materialize": 41,
    "materialize the rest": 41,
    "online": 41,
    "online later": 41,
}


def write(folder):
    for day in range(4):
        at = [hours(24 * day + i) for i in range(24)]
        save(
            folder / "data" / "delays" / f"day-{day}.parquet",
            line_id=[i % 4 for i in range(24)],
            ts=times(at),
            made=times(at),
            minutes=[100 * day + i for i in range(24)],
        )


def ask(store, answer):
    rows = spine([0, 23.5, 24, 60, 95, 120, 150], line_id=[0, 3, 0, 2, 1, 1, 1])
    feature = ["delays:minutes"]
    answer("training", lambda: store.get_historical_features(rows, feature).to_arrow())
    answer("materialize", lambda: done(store.materialize(hours(0), hours(50))))
    lines = {"line_id": [0, 1, 2, 3, 4]}
    answer("online", lambda: store.get_online_features(feature, lines).to_dict())
    answer("materialize the rest", lambda: done(store.materialize(hours(50), hours(200))))
    answer("online later", lambda: store.get_online_features(feature, lines).to_dict())
