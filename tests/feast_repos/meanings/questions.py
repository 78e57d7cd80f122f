"""Python has objects for them; files have texts, or types of their own."""

import decimal
import uuid

from rows import hours, save, spine, times

IDS = [str(uuid.UUID(int=i)) for i in range(1, 4)]
TEXTS = ["orders:id", "orders:price", "orders:note", "orders:tags", "orders:sizes"]
FEATURES = [*TEXTS, "orders:options", "orders:buyer", "orders:parts", "orders:rates"]


def write(folder):
    save(
        folder / "data" / "orders.parquet",
        order=[1, 1, 2],
        ts=times([hours(i) for i in (1, 5, 2)]),
        id=IDS,
        price=["1.50", "12345678901234567890.25", None],
        note=['{"a": [1, null]}', "[]", None],
        options=['{"a": "b"}', '{"k": "1"}', None],  # Feast cannot load a MAP of Parquet
        buyer=[{"name": "x", "age": 1}, {"name": "y", "age": None}, None],
        tags=[["a"], ["b", "c"], None],
        sizes=[[1], [2, 3], None],
        parts=[IDS[:1], IDS, None],
        rates=[["0.10"], ["1", "2.5"], None],
    )


def ask(store, answer):
    rows = spine([2, 6, 6], order=[1, 1, 2])
    answer("training", lambda: store.get_historical_features(rows, TEXTS).to_arrow())
    store.materialize(hours(0), hours(50))
    answer("online", lambda: store.get_online_features(FEATURES, {"order": [1, 2, 3]}).to_dict())
    frame = {
        "order": [7],
        "ts": [hours(9)],
        "id": [IDS[2]],
        "price": [decimal.Decimal("9.90")],
        "note": ['{"b": 2}'],
        "options": [{"x": "y"}],
        "buyer": [{"name": "z", "age": 3}],
        "tags": [["q"]],
        "sizes": [[9]],
        "parts": [IDS[:1]],
        "rates": [[decimal.Decimal("0.5")]],
    }
    answer("a write", lambda: write_online(store, frame))
    answer("written", lambda: store.get_online_features(FEATURES, {"order": [7]}).to_dict())


def write_online(store, frame):
    import pandas as pd

    store.write_to_online_store("orders", pd.DataFrame(frame))
    return "done"
