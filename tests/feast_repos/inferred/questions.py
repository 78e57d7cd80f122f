"""The file says it."""

from rows import hours, save, spine, times


def write(folder):
    n = 12
    save(
        folder / "data" / "positions.parquet",
        boat_id=[i % 3 for i in range(n)],
        seen=times([hours(i) for i in range(n)]),
        stored=times([hours(i) for i in range(n)]),
        latitude=[50 + i / 4 for i in range(n)],
        knots=[i % 5 for i in range(n)],
        name=[f"boat {i % 3}" for i in range(n)],
        moored=[i % 2 == 0 for i in range(n)],
    )


def ask(store, answer):
    view = store.get_feature_view("positions")
    answer("schema", lambda: sorted([f.name, str(f.dtype)] for f in view.features))
    answer("keys", lambda: [[c.name, str(c.dtype)] for c in view.entity_columns])
    features = [f"positions:{f}" for f in ("latitude", "knots", "name", "moored")]
    rows = spine([0, 5, 11, 11], boat_id=[0, 1, 2, 7])
    answer("training", lambda: store.get_historical_features(rows, features).to_arrow())
    store.materialize(hours(0), hours(20))
    boats = {"boat_id": [0, 1, 2]}
    answer("online", lambda: store.get_online_features(features, boats).to_dict())
