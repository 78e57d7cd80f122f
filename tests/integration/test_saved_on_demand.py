"""Saved datasets with on-demand features: computed columns are kept, functions are compared."""

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rides import definitions, utc
from test_on_demand import ENTITIES, EVERYTHING, STATS, TRIP, fares, labels

from tiffin import (
    FeatureService,
    Field,
    OnDemandFeatureView,
    RequestSource,
    SavedDatasetFileStorage,
    errors,
    on_demand_feature_view,
)
from tiffin.types import Float64

ASKED = ["labels:label", "stats:trips", "fares:many"]
KINDS = ("data_source", "entity", "feature_view", "on_demand_feature_view")


@pytest.fixture
def rides(store):
    store.apply(EVERYTHING)
    return store


def save(store, name, features=ASKED, rows=ENTITIES, **arguments):
    job = store.get_historical_features(rows, features, **arguments)
    return store.create_saved_dataset(job, name, SavedDatasetFileStorage(f"{name}.parquet"))


def twice(inputs: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"fare": inputs["rate"] * inputs["km"] * 2, "many": inputs["trips"]})


def test_computed_columns_are_saved_in_the_order_asked(rides, repo):
    wanted = rides.get_historical_features(ENTITIES, ASKED).to_arrow()
    dataset = save(rides, "a")
    assert dataset.features == ASKED
    assert dataset.join_keys == ["driver_id"]
    table = dataset.to_arrow()
    assert table.column_names == [*ENTITIES, "label", "trips", "many"]
    assert table.equals(wanted.combine_chunks())
    assert pq.read_table(repo / "a.parquet").equals(table)
    assert dataset.verify()


def test_a_manifest_depends_on_every_view_that_is_run_and_on_what_it_takes(rides):
    dataset = save(rides, "a", ["labels:label"])
    found = {kind: [] for kind in KINDS}
    for definition in dataset.manifest["definitions"]:
        found[definition["kind"]].append(definition["name"])
    assert found["on_demand_feature_view"] == ["fares", "labels"]  # labels reads fares
    assert found["feature_view"] == ["stats"]
    assert found["entity"] == ["driver"]
    assert TRIP.name in found["data_source"]
    files = [source["name"] for source in dataset.manifest["sources"]]
    assert files == [name for name in found["data_source"] if name != TRIP.name]


def test_equal_manifests_have_equal_bytes(rides, repo):
    a = save(rides, "a")
    table = pa.table(ENTITIES)
    b = save(rides, "b", rows=pa.concat_tables([table.slice(0, 1), table.slice(1)]))
    assert a.manifest["hash"] == b.manifest["hash"]
    assert a.manifest["data"] == b.manifest["data"]
    assert (repo / "a.parquet").read_bytes() == (repo / "b.parquet").read_bytes()
    other = save(rides, "c", list(reversed(ASKED)))
    assert other.manifest["hash"] != a.manifest["hash"]


def test_verify_names_a_view_whose_function_changed(rides):
    direct = save(rides, "direct", ["fares:fare"])
    through = save(rides, "through", ["labels:label"])
    none = save(rides, "none", ["stats:trips"])
    rides.apply(
        OnDemandFeatureView(name="fares", sources=[STATS, TRIP], schema=fares.features, udf=twice)
    )
    for dataset in (direct, through):
        report = dataset.verify()
        assert not report
        assert report.is_intact
        assert not report.inputs_are_same
        assert "on-demand feature view 'fares': changed" in str(report)
    assert none.verify()
    again = save(rides, "again", ["fares:fare"])
    assert again.manifest["hash"] != direct.manifest["hash"]
    assert again.to_arrow()["fare"][2].as_py() == 2 * direct.to_arrow()["fare"][2].as_py()


def test_verify_names_a_view_that_was_deleted(rides):
    dataset = save(rides, "a", ["labels:label"])
    rides.apply([*definitions(), fares, TRIP], delete_missing=True)
    assert "on-demand feature view 'labels': missing" in str(dataset.verify())


def test_a_function_that_changes_meanwhile_is_a_conflict(rides, repo):
    job = rides.get_historical_features(ENTITIES, ["fares:fare"])
    job.to_arrow()
    rides.apply(
        OnDemandFeatureView(name="fares", sources=[STATS, TRIP], schema=fares.features, udf=twice)
    )
    with pytest.raises(errors.ConflictError, match="changed since this job was computed"):
        rides.create_saved_dataset(job, "a", SavedDatasetFileStorage("a.parquet"))
    assert not (repo / "a.parquet").exists()


def test_request_data_alone_make_a_dataset(rides):
    trip = RequestSource(name="trip", schema=[Field(name="km", dtype=Float64)])

    @on_demand_feature_view(
        sources=[trip], schema=[Field(name="miles", dtype=Float64)], mode="python"
    )
    def lengths(inputs):
        return {"miles": [km / 1.609344 for km in inputs["km"]]}

    rides.apply(lengths)
    dataset = save(rides, "a", ["lengths:miles"])
    assert dataset.manifest["sources"] == []
    assert dataset.join_keys == []
    assert dataset.to_arrow()["miles"][0].as_py() == 2.0 / 1.609344
    assert dataset.verify()
    empty = {name: pa.array(values).slice(0, 0) for name, values in ENTITIES.items()}
    assert save(rides, "b", ["lengths:miles"], empty).to_arrow().num_rows == 0


def test_a_function_that_raises_leaves_nothing(rides, repo):
    def broken(inputs):
        if (inputs["km"] > 5).any():  # not on the rows that `apply` tries it on
            raise ValueError("too far")
        return pd.DataFrame({"fare": inputs["km"], "many": inputs["trips"]})

    rides.apply(
        OnDemandFeatureView(name="fares", sources=[STATS, TRIP], schema=fares.features, udf=broken)
    )
    before = sorted(path.name for path in repo.iterdir())
    with pytest.raises(errors.InvalidError, match="too far"):
        save(rides, "a", ["fares:fare"])
    assert sorted(path.name for path in repo.iterdir()) == before
    assert rides.list_saved_datasets() == []


def test_a_service_and_full_names_are_noted(rides):
    rides.apply(FeatureService(name="s", features=[labels, STATS[["trips"]]]))
    dataset = save(rides, "a", rides.get_feature_service("s"), full_feature_names=True)
    assert dataset.feature_service_name == "s"
    assert dataset.features == ["labels:label", "stats:trips"]
    assert dataset.to_arrow().column_names[3:] == ["labels__label", "stats__trips"]


def test_what_a_job_tells_of_itself(rides):
    job = rides.get_historical_features(ENTITIES, ASKED)
    assert job.metadata.features == ASKED
    assert job.metadata.keys == ["driver_id"]
    assert job.metadata.min_event_timestamp == utc(2024, 1, 3)
    assert [view.name for view in job.on_demand_feature_views] == ["fares", "labels"]
    assert job.full_feature_names is False
    page = job._repr_html_()
    assert "not computed yet" in page
    assert "labels:label" in page
    job.to_arrow()
    page = job._repr_html_()
    assert "computed" in page
    assert "label" in page
    assert "stats" in page  # the plan speaks of what is read
