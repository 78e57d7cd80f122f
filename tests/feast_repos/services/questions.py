"""By service, in the past and online; and what is listed."""

from rows import hours, save, spine, times


def write(folder):
    n = 50
    at = times([hours(i) for i in range(n)])
    items = [i % 7 for i in range(n)]
    save(
        folder / "data" / "sales.parquet", item=items, ts=at, sold=list(range(n)), returned=[1] * n
    )
    save(
        folder / "data" / "ratings.parquet",
        item=items,
        ts=at,
        stars=[i % 5 + 0.5 for i in range(n)],
        votes=[i * 3 for i in range(n)],
    )


def ask(store, answer):
    ranking, small = store.get_feature_service("ranking"), store.get_feature_service("small")
    rows = spine([6, 20, 49, 300], item=[0, 3, 6, 1])
    answer("training", lambda: store.get_historical_features(rows, ranking).to_arrow())
    answer("small", lambda: store.get_historical_features(rows, small).to_arrow())
    store.materialize(hours(0), hours(100))
    items = [{"item": 1}, {"item": 8}]
    answer("online", lambda: store.get_online_features(ranking, items).to_dict())
    answer("services", lambda: sorted(s.name for s in store.list_feature_services()))
    answer(
        "by tags",
        lambda: sorted(s.name for s in store.list_feature_services(tags={"stage": "live"})),
    )
    answer(
        "views by tags", lambda: [v.name for v in store.list_feature_views(tags={"team": "web"})]
    )
    answer("owner", lambda: [ranking.owner, ranking.description, ranking.tags])
    answer("no such service", lambda: store.get_feature_service("nothing"))
