"""apply, plan, list, get, delete, history: through the engine."""

import datetime as dt
import multiprocessing
import os
import threading
import time

import pytest
from rides import definitions

from tiffin import (
    Entity,
    FeatureService,
    FeatureStore,
    FeatureView,
    Field,
    FileSource,
    Project,
    PushSource,
    RepoConfig,
    errors,
)
from tiffin.types import Array, Float32, Float64, Int32, Int64, ScalarMap, String, ZonedTimestamp


def test_what_was_applied_comes_back(store):
    driver, source, view, service = definitions()
    assert store.get_entity("driver") == driver
    assert store.get_data_source("drivers") == source
    got = store.get_feature_view("stats")
    assert got.features == view.features
    assert [f.name for f in got.entity_columns] == ["driver_id"]
    assert got.ttl == dt.timedelta(days=7)
    assert got.source == source
    assert got.join_keys == ["driver_id"]
    assert store.get_feature_service("model") == service
    assert [p.name for p in store.list_projects()] == ["rides"]
    assert store.get_project().name == "rides"
    assert [e.name for e in store.list_entities()] == ["driver"]
    assert [s.name for s in store.list_data_sources()] == ["drivers"]
    assert [v.name for v in store.list_feature_views()] == ["stats"]
    assert [s.name for s in store.list_feature_services()] == ["model"]
    assert got.created_timestamp.tzinfo is not None


def test_a_second_apply_changes_nothing(store):
    again = store.apply(list(definitions()))
    assert not again.changes
    assert str(again) == "nothing to change"
    assert again.commit == 1
    assert len(store.registry_log()) == 1


def test_a_view_from_the_registry_can_be_applied_as_it_is(store):
    assert not store.apply([store.get_feature_view("stats"), store.get_feature_service("model")])


def test_plan_says_what_apply_would_do_and_changes_nothing(store):
    driver, source, view, _ = definitions()
    changed = FeatureView(
        name="stats",
        entities=[driver],
        source=source,
        ttl=dt.timedelta(days=1),
        schema=[*view.features[:2], Field(name="city", dtype=String, description="where")],
    )
    other = FeatureView(name="other", entities=[driver], source=source)
    plan = store.plan([changed, other])
    text = str(plan)
    assert "~ feature view stats" in text
    assert "~ ttl: 7 days -> 1 day" in text
    assert "+ feature view other" in text
    assert "inferred: " in text and "trips" in text
    assert [v.name for v in store.list_feature_views()] == ["stats"]
    result = store.apply([changed, other], message="shorter")
    assert result.commit == 2
    assert result.changes == plan.changes
    assert "commit 2" in str(result)


def test_a_schema_left_out_is_inferred(repo):
    store = FeatureStore(repo)
    driver = Entity(name="driver", join_keys=["driver_id"])
    source = FileSource(path="data/drivers.parquet", created_timestamp_column="created")
    view = FeatureView(name="stats", entities=[driver], source=source)
    service = FeatureService(name="all", features=[view])
    store.apply([view, service])
    got = store.get_feature_view("stats")
    assert [(f.name, f.dtype) for f in got.features] == [
        ("trips", Int64),
        ("rate", Float32),
        ("city", String),
    ]
    assert got.inferred == ["trips", "rate", "city"]
    assert got.batch_source.timestamp_field == "event_timestamp"
    assert store.get_entity("driver").dtype == Int64
    [projection] = store.get_feature_service("all").feature_view_projections
    assert projection.desired_features == ["trips", "rate", "city"]
    assert not store.apply([view, service])


def test_an_entity_may_be_given_by_name(store):
    _, source, _, _ = definitions()
    view = FeatureView(
        name="more", entities=["driver"], source=source, schema=[Field(name="trips", dtype=Int64)]
    )
    store.apply(view)
    assert store.get_feature_view("more").join_keys == ["driver_id"]


def test_a_push_source_reads_its_batch_source(store):
    driver, source, view, _ = definitions()
    push = PushSource(name="push", batch_source=source)
    store.apply(FeatureView(name="pushed", entities=[driver], source=push, schema=view.features))
    got = store.get_feature_view("pushed")
    assert got.stream_source == push
    assert got.batch_source == source
    assert {s.name for s in store.list_data_sources()} == {"drivers", "push"}


def test_tags_filter_lists(repo):
    store = FeatureStore(repo)
    store.apply(
        [Entity(name="a", tags={"team": "x", "y": "1"}), Entity(name="b", tags={"team": "z"})]
    )
    assert [e.name for e in store.list_entities(tags={"team": "x"})] == ["a"]
    assert [e.name for e in store.list_entities(tags={"team": "x", "y": "2"})] == []
    assert len(store.list_entities()) == 2


def test_past_states_stay_readable(store):
    driver, _, _, _ = definitions()
    store.apply(Entity(name="driver", join_keys=["driver_id"], value_type=Int64, owner="me"))
    store.delete_feature_service("model")
    assert store.get_entity("driver").owner == "me"
    assert store.get_entity("driver", as_of=1) == driver
    assert store.list_feature_services() == []
    assert [s.name for s in store.list_feature_services(as_of=2)] == ["model"]
    log = store.registry_log()
    assert [entry["commit"] for entry in log] == [3, 2, 1]
    assert [entry["commit"] for entry in store.registry_log(limit=1)] == [3]
    [change] = store.registry_show(2)["changes"]
    assert (change["action"], change["kind"], change["name"]) == ("change", "entity", "driver")
    assert change["fields"] == [{"field": "owner", "old": "", "new": "me"}]
    with pytest.raises(errors.NotFoundError, match="no commit 9"):
        store.get_entity("driver", as_of=9)
    with pytest.raises(errors.SchemaError, match="as_of must be the number of a commit"):
        store.get_entity("driver", as_of="yesterday")


def test_python_apply_never_deletes_unless_asked(store):
    driver, _, _, service = definitions()
    store.apply([driver])
    assert len(store.list_feature_views()) == 1
    with pytest.warns(errors.TiffinWarning, match="objects_to_delete is left alone"):
        store.apply([driver], objects_to_delete=[service])
    assert len(store.list_feature_services()) == 1
    store.apply([driver], objects_to_delete=[service], partial=False)
    assert store.list_feature_services() == []
    result = store.apply([driver], delete_missing=True)
    assert [c["action"] for c in result.changes] == ["remove", "remove"]
    assert store.list_feature_views() == []


def test_what_others_use_cannot_be_deleted(store):
    with pytest.raises(errors.InvalidError) as caught:
        store.delete_entity("driver")
    assert "driver" in str(caught.value) and "stats" in str(caught.value)
    assert len(store.list_entities()) == 1
    with pytest.raises(errors.NotFoundError, match="nothing_like_it"):
        store.delete_feature_view("nothing_like_it")


def test_names_that_are_not_there_come_with_what_is(store):
    with pytest.raises(KeyError) as caught:
        store.get_feature_view("stat")
    assert "'stat'" in str(caught.value) and "stats" in str(caught.value)


@pytest.mark.parametrize(
    ("dtype", "name"),
    [
        (ScalarMap, "scalar_map"),
        (ZonedTimestamp, "zoned_timestamp"),
        (Array(Array(Int64)), "array<array<int64>>"),
    ],
    ids=str,
)
def test_types_of_later_releases_are_refused_by_name(store, dtype, name):
    driver, source, _, _ = definitions()
    view = FeatureView(
        name="v", entities=[driver], source=source, schema=[Field(name="trips", dtype=dtype)]
    )
    with pytest.raises(errors.TiffinError) as caught:
        store.apply(view)
    assert name in str(caught.value) and "'trips'" in str(caught.value)
    assert [v.name for v in store.list_feature_views()] == ["stats"]


def refused(store, **changes):
    driver, source, view, _ = definitions()
    arguments = {"name": "v", "entities": [driver], "source": source, "schema": view.features}
    with pytest.raises(errors.TiffinError) as caught:
        store.apply(FeatureView(**{**arguments, **changes}))
    plan = store.plan(FeatureView(**{**arguments, **changes}))
    assert plan.refused
    return str(caught.value)


def test_refusals_name_file_column_expected_and_found(store):
    said = refused(store, schema=[Field(name="trips", dtype=String)])
    assert all(word in said for word in ("'trips'", "drivers.parquet", "string", "int64"))
    said = refused(store, schema=[Field(name="tripz", dtype=Int64)])
    assert all(word in said for word in ("'tripz'", "drivers.parquet", "trips"))
    said = refused(store, source=FileSource(path="data/none.parquet", timestamp_field="t"))
    assert "none.parquet" in said
    said = refused(store, source=FileSource(path="data/drivers.parquet", timestamp_field="t"))
    assert all(word in said for word in ("'t'", "drivers.parquet", "event_timestamp"))
    said = refused(store, source=FileSource(path="data/drivers.parquet", timestamp_field="city"))
    assert all(word in said for word in ("'city'", "string", "timestamp"))
    said = refused(store, ttl=dt.timedelta(days=-1))
    assert "negative ttl" in said
    said = refused(store, name="a:b")
    assert "':'" in said
    said = refused(store, schema=[Field(name="event_timestamp", dtype=Int64)])
    assert "event_timestamp" in said
    said = refused(store, entities=["nobody"])
    assert "nobody" in said
    said = refused(store, entities=[Entity(name="e", join_keys=["rate"], value_type=Float64)])
    assert "float64" in said and "cannot be a key" in said
    said = refused(store, entities=[Entity(name="e", join_keys=["driver_id"], value_type=String)])
    assert "driver_id" in said and "string" in said and "int64" in said


def test_nothing_is_half_applied(store):
    with pytest.raises(errors.TiffinError):
        store.apply([Entity(name="fine"), FeatureView(name="v", source="nothing")])
    assert [e.name for e in store.list_entities()] == ["driver"]
    assert len(store.registry_log()) == 1


def test_an_integer_may_be_declared_wider_than_its_file(store):
    driver, source, _, _ = definitions()
    fields = [Field(name="trips", dtype=Int32), Field(name="rate", dtype=Float64)]
    store.apply(FeatureView(name="wide", entities=[driver], source=source, schema=fields))
    assert store.get_feature_view("wide").features == fields


def test_the_project_is_made_and_described_once(repo):
    (repo / "feature_store.yaml").write_text("project: rides\nproject_description: cars\n")
    store = FeatureStore(repo)
    store.apply(Entity(name="a"))
    assert store.get_project().description == "cars"
    store.apply(Project(name="rides", description="other", owner="me"))
    store.apply(Entity(name="b"))
    assert store.get_project().description == "other"
    with pytest.raises(errors.InvalidError, match=r"'nope'.*'rides'"):
        store.apply(Project(name="nope"))


def test_projects_share_a_registry_and_teardown_takes_one(repo):
    here = FeatureStore(repo)
    there = FeatureStore(config=RepoConfig(project="other", repo_path=repo))
    here.apply(Entity(name="a"))
    there.apply(Entity(name="b"))
    assert {p.name for p in here.list_projects()} == {"rides", "other"}
    assert here.get_project("other").name == "other"
    with pytest.raises(errors.ProjectObjectNotFoundException, match="there are: 'other', 'rides'"):
        here.get_project("nothing")
    here.teardown()
    assert [e.name for e in there.list_entities()] == ["b"]
    assert "a" not in [e.name for e in _entities_or_none(here)]


def _entities_or_none(store):
    try:
        return store.list_entities()
    except errors.NotFoundError:
        return []


def test_an_expected_commit_that_is_not_the_head_is_a_conflict(store):
    with pytest.raises(errors.ConflictError, match="expected"):
        store.apply(Entity(name="x"), expected_commit=7)
    assert store.apply(Entity(name="x"), expected_commit=1).commit == 2


def _apply_many(path, prefix):
    store = FeatureStore(path)
    for i in range(20):
        store.apply(Entity(name=f"{prefix}{i}"))
    os._exit(0)


def test_processes_that_apply_at_once_lose_nothing(repo):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_apply_many, args=(repo, p)) for p in "ab"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert len(FeatureStore(repo).list_entities()) == 40


def test_another_process_sees_an_apply_within_a_second(repo):
    one, two = FeatureStore(repo), FeatureStore(repo)
    one.apply(Entity(name="a"))
    assert [e.name for e in two.list_entities()] == ["a"]
    one.apply(Entity(name="b"))
    end = time.monotonic() + 2
    while len(two.list_entities()) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    assert len(two.list_entities()) == 2


def test_threads_may_apply_and_read_at_once(repo):
    store = FeatureStore(repo)
    store.apply(Entity(name="first"))
    failures = []

    def work(i):
        try:
            for k in range(10):
                store.apply(Entity(name=f"e{i}_{k}"))
                store.list_entities()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(store.list_entities()) == 41


def test_a_store_before_its_first_apply_says_what_to_do(repo):
    with pytest.raises(errors.NotFoundError, match="tiffin apply"):
        FeatureStore(repo).get_feature_view("stats")


def test_how_a_store_is_opened(repo, tmp_path, monkeypatch):
    monkeypatch.chdir(repo)
    assert FeatureStore().project == "rides"
    assert FeatureStore(".").repo_path == repo
    assert FeatureStore(fs_yaml_file=repo / "feature_store.yaml").repo_path == repo
    with pytest.raises(errors.InvalidError, match="config or fs_yaml_file, not both"):
        FeatureStore(config=RepoConfig(project="p"), fs_yaml_file="x")
    with pytest.raises(errors.SchemaError, match="config must be a RepoConfig, not dict"):
        FeatureStore(config={"project": "p"})
