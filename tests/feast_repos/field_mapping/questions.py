"""Asked for by the new names."""

from rows import hours, save, spine, times

FEATURES = ["weather:temperature", "weather:humidity"]


def write(folder):
    n = 30
    save(
        folder / "data" / "readings.parquet",
        id=[i % 3 for i in range(n)],
        when=times([hours(i) for i in range(n)]),
        created=times([hours(i + 1) for i in range(n)]),
        t=[20 + i / 4 for i in range(n)],
        humidity=[50 + i for i in range(n)],
    )


def ask(store, answer):
    rows = spine([0, 3.5, 20, 29, 41, 60], sensor_id=[0, 1, 2, 2, 2, 2])
    answer("training", lambda: store.get_historical_features(rows, FEATURES).to_arrow())
    answer("by the old name", lambda: store.get_historical_features(rows, ["weather:t"]).to_arrow())
    store.materialize(hours(0), hours(10))
    sensors = [{"sensor_id": i} for i in range(4)]
    answer("online", lambda: store.get_online_features(FEATURES, sensors).to_dict())
