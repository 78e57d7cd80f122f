"""Training sets in every form of entity rows and of requests, and rows of one view: all against
the twin in plain Python (`forms_twin`)."""

import datetime as dt
import functools
import json
import random

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from forms_twin import (
    CITIES,
    DRIVERS,
    MICROSECOND,
    Asked,
    Rule,
    define,
    event_spine,
    history_rows,
    hours,
    latest_rows,
    make_world,
    training_columns,
    window_rows,
)

from tiffin import FeatureStore, errors

BOTH = ("n", "tag")
OTHER = (("driver_id", "other_id"),)
SCHEMA = pa.schema(
    {
        "driver_id": pa.int64(),
        "other_id": pa.int64(),
        "city": pa.string(),
        "event_timestamp": pa.timestamp("us", "UTC"),
        "label": pa.int64(),
    }
)


def make_spine() -> list[dict]:
    rng = random.Random(7)
    rows = []
    for i in range(60):
        near = rng.choice([-1, 0, 0, 1]) * MICROSECOND
        rows.append(
            {
                "driver_id": rng.choice([*DRIVERS, 99, None]),
                "other_id": rng.choice(DRIVERS),
                "city": rng.choice([*CITIES, "nowhere"]),
                "event_timestamp": hours(rng.randrange(0, 30, 2)) + near,
                "label": i,
            }
        )
    return rows


SPINE = make_spine()
VIEWS = make_world(1)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> FeatureStore:
    repo = tmp_path_factory.mktemp("forms")
    (repo / "feature_store.yaml").write_text("project: forms\n")
    objects = define(VIEWS, repo / "data")
    store = FeatureStore(repo_path=repo)
    store.apply(objects)
    table = spine_table()
    pq.write_table(table, repo / "spine.parquet")
    pc.write_csv(table, repo / "spine.csv")
    (repo / "spine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in text_rows()))
    return store


def spine_table() -> pa.Table:
    return pa.Table.from_pylist(SPINE, SCHEMA)


def text_rows() -> list[dict]:
    """Entity rows with their times as text, in four spellings of the same instants."""
    east = dt.timezone(dt.timedelta(hours=5, minutes=30))
    rows = []
    for i, row in enumerate(SPINE):
        t = row["event_timestamp"]
        spellings = [
            t.isoformat(),
            t.replace(tzinfo=None).isoformat(" "),
            t.astimezone(east).isoformat(),
            t.replace(tzinfo=None).isoformat() + "Z",
        ]
        rows.append({**row, "event_timestamp": spellings[i % 4]})
    return rows


class Stream:
    """What only has __arrow_c_stream__, and can be read once."""

    def __init__(self, table: pa.Table) -> None:
        self.reader = table.to_reader(max_chunksize=7)

    def __arrow_c_stream__(self, requested_schema=None):
        return self.reader.__arrow_c_stream__(requested_schema)


def pandas_frame(unit: str = "us") -> pd.DataFrame:
    frame = pd.DataFrame(SPINE)
    frame["event_timestamp"] = frame["event_timestamp"].astype(f"datetime64[{unit}, UTC]")
    return frame  # driver_id: floats, because there are nulls


def columns() -> dict[str, list]:
    return spine_table().to_pydict()


FORMS = {
    "pandas": pandas_frame,
    "pandas_ns": lambda: pandas_frame("ns"),
    "pandas_nullable": lambda: pandas_frame().convert_dtypes(),
    "pandas_arrow": lambda: spine_table().to_pandas(types_mapper=pd.ArrowDtype),
    "polars": lambda: pl.DataFrame(spine_table()),
    "polars_lazy": lambda: pl.DataFrame(spine_table()).lazy().filter(pl.col("label") >= 0),
    "table": spine_table,
    "reader": lambda: spine_table().to_reader(max_chunksize=11),
    "dataset": lambda: ds.dataset(spine_table()),
    "scanner": lambda: ds.dataset(spine_table()).scanner(batch_size=13),
    "stream": lambda: Stream(spine_table()),
    "relation": lambda: duckdb.from_arrow(spine_table()),
    "dict_of_lists": columns,
    "list_of_dicts": lambda: [{k: v for k, v in r.items() if v is not None} for r in SPINE],
    "texts": text_rows,
    "naive": lambda: spine_table().set_column(
        3, "event_timestamp", spine_table()["event_timestamp"].cast(pa.timestamp("us"))
    ),
    "parquet": lambda: "spine.parquet",
    "csv": lambda: "spine.csv",
    "json": lambda: "spine.jsonl",
    "sql_of_file": lambda: "select * from 'spine.parquet' order by label",
    "sql_of_frame": lambda: "with t as (from frame) select * from t order by label",
}
REQUESTS = {
    "plain": (False, [Asked("trips", BOTH)]),
    "reversed": (False, [Asked("trips", ("tag", "n"))]),
    "mapped_fields": (False, [Asked("pay", BOTH)]),
    "composite": (False, [Asked("pairs", BOTH)]),
    "no_entities": (False, [Asked("sky", BOTH)]),
    "all_views": (True, [Asked(name, BOTH) for name in VIEWS]),
    "twice": (
        True,
        [Asked("trips", BOTH, "home"), Asked("trips", ("tag",), "away", OTHER)],
    ),
    "mapped_composite": (True, [Asked("pairs", BOTH, "", OTHER), Asked("sky", ("n",))]),
    "service": (False, [Asked("trips", ("tag",)), Asked("trips", ("n",), "away", OTHER)]),
    "service_full": (True, [Asked("trips", ("tag",)), Asked("trips", ("n",), "away", OTHER)]),
}
RULES = {
    "all": Rule(),
    "created": Rule(filter_by_created=True),
    "known": Rule(known_at=hours(9)),
    "created_known": Rule(filter_by_created=True, known_at=hours(15)),
}


@functools.cache
def expected_columns(request_name: str, rule: str) -> dict[str, list]:
    full_names, asked = REQUESTS[request_name]
    return training_columns(VIEWS, asked, SPINE, full_names, RULES[rule])


def features_of(store: FeatureStore, name: str, asked: list[Asked]):
    if name.startswith("service"):
        return "model"
    if all(not one.alias and not one.key_map for one in asked):
        return [f"{one.view}:{feature}" for one in asked for feature in one.features]
    projections = []
    for one in asked:
        view = store.get_feature_view(one.view)[list(one.features)]
        view = view.with_name(one.alias) if one.alias else view
        projections.append(view.with_join_key_map(dict(one.key_map)) if one.key_map else view)
    return projections


def arguments_of(rule: Rule) -> dict:
    return {"filter_by_created_timestamp": rule.filter_by_created, "known_at": rule.known_at}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_every_request_gives_what_the_rule_says(store, form, request_name, rule):
    full_names, asked = REQUESTS[request_name]
    frames = {"frame": spine_table()} if form == "sql_of_frame" else None
    job = store.get_historical_features(
        FORMS[form](),
        features_of(store, request_name, asked),
        full_names,
        frames=frames,
        **arguments_of(RULES[rule]),
    )
    table = job.to_arrow()
    expected = expected_columns(request_name, rule)
    assert table["label"].to_pylist() == list(range(len(SPINE)))
    assert table.column_names[-len(expected) :] == list(expected)
    for name, values in expected.items():
        assert table[name].to_pylist() == values, name


@pytest.mark.parametrize("form", ["texts", "json"])
def test_a_text_column_comes_back_as_it_was(store, form):
    job = store.get_historical_features(FORMS[form](), ["trips:n"])
    given = [row["event_timestamp"] for row in text_rows()]
    assert job.to_arrow()["event_timestamp"].to_pylist() == given


# ---- no entity rows ----

EVENT_REQUESTS = {
    **{name: REQUESTS[name] for name in ("plain", "mapped_fields", "composite", "no_entities")},
    "same_keys": (True, [Asked("trips", BOTH), Asked("pay", BOTH)]),
    "with_sky": (True, [Asked("sky", BOTH), Asked("pay", BOTH)]),
    "twice": (True, [Asked("trips", BOTH, "home"), Asked("trips", ("n",), "away")]),
    "mapped": (True, [Asked("trips", BOTH, "a", OTHER), Asked("pay", BOTH, "b", OTHER)]),
}
WINDOWS = [
    (hours(4), hours(12)),
    (hours(-9), hours(99)),
    (hours(6), hours(6)),
    (hours(50), hours(60)),
]


@pytest.mark.parametrize("one_row", [False, True])
@pytest.mark.parametrize("window", WINDOWS, ids=["inside", "all", "instant", "empty"])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("request_name", EVENT_REQUESTS)
def test_events_become_entity_rows(store, request_name, rule, window, one_row):
    full_names, asked = EVENT_REQUESTS[request_name]
    job = store.get_historical_features(
        None,
        features_of(store, request_name, asked),
        full_names,
        *window,
        one_row_per_entity=one_row,
        **arguments_of(RULES[rule]),
    )
    spine = event_spine(VIEWS, asked, *window, RULES[rule], one_row)
    table = job.to_arrow()
    expected = training_columns(VIEWS, asked, spine, full_names, RULES[rule])
    first = next((one for one in asked if VIEWS[one.view].keys), asked[0])
    names = [*first.key_columns(VIEWS), "event_timestamp"]
    assert table.column_names == [*names, *expected]
    for name in names:
        assert table[name].to_pylist() == [row[name] for row in spine]
    for name, values in expected.items():
        assert table[name].to_pylist() == values, name


def test_events_of_one_key_and_time_get_the_winners_features(store):
    window = (hours(-9), hours(99))
    table = store.get_historical_features(None, ["trips:n"], False, *window).to_arrow()
    view = VIEWS["trips"]
    assert table.num_rows == len(window_rows(view, *window, Rule()))
    columns = (table["driver_id"].to_pylist(), table["event_timestamp"].to_pylist())
    pairs = list(zip(*columns, strict=True))
    assert len(set(pairs)) < len(pairs)
    values: dict = {}
    for pair, n in zip(pairs, table["n"].to_pylist(), strict=True):
        assert values.setdefault(pair, n) == n


def test_the_window_is_the_longest_ttl_or_thirty_days(store):
    end = hours(20)
    for names, length in ((["trips", "pay"], dt.timedelta(hours=6)), (["pay"], dt.timedelta(30))):
        asked = [Asked(name, ("n",)) for name in names]
        features = [f"{name}:n" for name in names]
        job = store.get_historical_features(None, features, True, end_date=end)
        spine = event_spine(VIEWS, asked, end - length, end, Rule(), one_row=False)
        assert job.to_arrow()["driver_id"].to_pylist() == [row["driver_id"] for row in spine]
    # The end is now: nothing has happened lately.
    assert store.get_historical_features(features=["trips:n"]).to_arrow().num_rows == 0


def test_a_view_without_entities_is_joined_to_the_events_of_others(store):
    features = ["sky:tag", "pay:n"]
    job = store.get_historical_features(None, features, False, hours(0), hours(9))
    assert job.to_arrow().column_names == ["driver_id", "event_timestamp", "tag", "n"]
    assert job.to_arrow()["tag"].null_count < job.to_arrow().num_rows


def test_views_of_other_keys_are_refused_by_name(store):
    with pytest.raises(errors.InvalidError) as caught:
        store.get_historical_features(None, ["trips:n", "pairs:tag"])
    assert str(caught.value) == (
        "without entity rows all views must have the same join keys, but 'trips' has driver_id "
        "(int64), 'pairs' has driver_id (int64), city (string); ask for one of them, or pass "
        "entity rows"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"entity_df": SPINE, "start_date": hours(0)},
            "make entity rows of events; leave them out",
        ),
        ({"entity_df": SPINE, "end_date": hours(0)}, "make entity rows of events; leave them out"),
        ({"entity_df": SPINE, "one_row_per_entity": True}, "leave them out, or entity_df"),
        ({"frames": {"a": SPINE}}, "frames are what SQL may name, and entity_df is not given"),
        (
            {"start_date": hours(2), "end_date": hours(1)},
            "from 2024-03-01T02:00:00Z to 2024-03-01T01:00:00Z: the window ends before it starts",
        ),
    ],
)
def test_forms_that_contradict_each_other_are_refused(store, arguments, words):
    with pytest.raises(errors.InvalidError) as caught:
        store.get_historical_features(features=["trips:n"], **arguments)
    assert words in str(caught.value)


# ---- rows of one view ----

KEY_FORMS = {
    "none": lambda _: None,
    "list": lambda keys: [row[0] for row in keys],
    "table": lambda keys: pa.table({"driver_id": [row[0] for row in keys]}),
    "pandas": lambda keys: pd.DataFrame({"driver_id": [row[0] for row in keys], "x": 1}),
    "dicts": lambda keys: [{"driver_id": row[0]} for row in keys],
    "series": lambda keys: pd.Series([row[0] for row in keys]),
    "array": lambda keys: pa.array([row[0] for row in keys]),
    "sql": lambda keys: f"select unnest({[row[0] for row in keys]}) as driver_id",
}
KEYS = [(DRIVERS[0],), (DRIVERS[3],), (12345,)]


def check_rows(table: pa.Table, view, positions: list[int], features: list[str]) -> None:
    assert table.column_names == [*view.keys, "at", "made", *features]
    for name in table.column_names:
        assert table[name].to_pylist() == [view.rows[i][name] for i in positions], name


@pytest.mark.parametrize("known_at", [None, hours(9)])
@pytest.mark.parametrize("form", KEY_FORMS)
@pytest.mark.parametrize("name", ["trips", "pay"])
def test_rows_of_some_keys(store, name, form, known_at):
    view, rule = VIEWS[name], Rule(known_at=known_at)
    keys = None if form == "none" else set(KEYS)
    for start, end in [*WINDOWS, (None, None), (None, hours(8)), (hours(8), None)]:
        rows = store.history(name, start, end, KEY_FORMS[form](KEYS), known_at=known_at)
        positions = history_rows(view, window_rows(view, start, end, rule, keys))
        check_rows(rows.to_arrow(), view, positions, view.features)
        assert len(rows) == len(positions)
    for as_of in (None, hours(8), hours(-9)):
        rows = store.latest(name, as_of, KEY_FORMS[form](KEYS), known_at=known_at)
        positions = latest_rows(view, window_rows(view, None, as_of, rule, keys))
        check_rows(rows.to_arrow(), view, positions, view.features)


def test_rows_of_views_with_several_keys_and_none(store):
    view = VIEWS["pairs"]
    keys = [{"driver_id": 1, "city": "a"}, {"driver_id": 2, "city": "ü"}, {"driver_id": 1}]
    wanted = {(1, "a"), (2, "ü")}
    positions = history_rows(view, window_rows(view, None, None, Rule(), wanted))
    check_rows(store.history("pairs", None, None, keys).to_arrow(), view, positions, view.features)
    everything = history_rows(view, window_rows(view, None, None, Rule()))
    check_rows(store.history("pairs", None, None).to_arrow(), view, everything, view.features)
    sky = VIEWS["sky"]
    newest = latest_rows(sky, window_rows(sky, None, None, Rule()))
    check_rows(store.latest("sky").to_arrow(), sky, newest, sky.features)


def test_features_may_be_chosen_and_views_mapped(store):
    view = VIEWS["trips"]
    everything = history_rows(view, window_rows(view, None, None, Rule()))
    rows = store.history("trips", None, None, features=["tag"])
    check_rows(rows.to_arrow(), view, everything, ["tag"])
    mapped = store.get_feature_view("trips")[["tag", "n"]].with_join_key_map(dict(OTHER))
    table = store.history(mapped, None, None, keys=[1]).to_arrow()
    assert table.column_names == ["other_id", "at", "made", "tag", "n"]
    assert set(table["other_id"].to_pylist()) == {1}


def test_rows_are_read_by_all(store):
    rows = store.latest("trips")
    table = rows.to_arrow()
    assert rows.to_polars()["tag"].to_list() == table["tag"].to_pylist()
    assert rows.to_df()["tag"].to_list() == table["tag"].to_pylist()
    assert str(rows.to_df("numpy_nullable")["n"].dtype) == "Int64"
    assert pa.table(rows).equals(table)
    assert duckdb.sql("select count(*) from rows").fetchall() == [(len(rows),)]
    assert repr(rows) == f"<SourceRows of 'trips': {len(rows)} rows>"
    report = rows.report.to_dict()
    assert report["source_rows"]["read"] == len(VIEWS["trips"].rows)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda s: s.latest("trip"), errors.NotFoundError, "'trip'"),
        (
            lambda s: s.latest(3),
            errors.SchemaError,
            "view must be a name or a FeatureView, not int",
        ),
        (lambda s: s.latest("trips", features=["x"]), errors.NotFoundError, "no feature 'x'"),
        (lambda s: s.latest("trips", features="n"), errors.SchemaError, "must be a list of names"),
        (lambda s: s.latest("trips", features=[]), errors.InvalidError, "features is empty"),
        (lambda s: s.latest("pairs", keys=[1]), errors.InvalidError, "(driver_id, city)"),
        (lambda s: s.latest("sky", keys={"a": [1]}), errors.InvalidError, "without entities"),
        (lambda s: s.latest("trips", keys={"x": [1]}), errors.SchemaError, "'driver_id', which is"),
        (
            lambda s: s.latest("trips", keys=["one"]),
            errors.SchemaError,
            "column 'driver_id' of the keys: expected int64, found string",
        ),
        (lambda s: s.history("trips", hours(2), hours(1)), errors.InvalidError, "ends before it"),
        (lambda s: s.history("trips", "soon", None), errors.InvalidError, "start: 'soon' is no"),
    ],
)
def test_what_is_wrong_with_rows_is_said_in_one_sentence(store, call, error, words):
    with pytest.raises(error) as caught:
        call(store)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
