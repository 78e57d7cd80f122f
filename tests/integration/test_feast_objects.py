"""Definitions of Feast's that this release keeps: applied, listed, described, diffed; not run."""

import json
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from rides import utc, write_drivers
from sources import fails

from tiffin import FeatureStore, errors
from tiffin.registry.foreign_source import SOURCES, KafkaSource, KinesisSource, SnowflakeSource
from tiffin.registry.foreign_view import BatchFeatureView, LabelView, StreamFeatureView
from tiffin.registry.kept import Permission, Profiler, ValidationReference
from tiffin.store.repo import load_repo

FEATURES = """
from datetime import timedelta

from feast import (
    Aggregation, BatchFeatureView, BigQuerySource, ConflictPolicy, Entity, FeatureService,
    FeatureView, Field, FileSource, KafkaSource, KinesisSource, LabelView, PushSource,
    SnowflakeSource, StreamFeatureView,
)
from feast.batch_feature_view import batch_feature_view
from feast.data_format import AvroFormat, JsonFormat
from feast.dqm.profilers.ge_profiler import ge_profiler
from feast.feast_object import ALL_RESOURCE_TYPES
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from feast.permissions.action import READ, AuthzedAction
from feast.permissions.permission import Permission
from feast.permissions.policy import RoleBasedPolicy
from feast.saved_dataset import ValidationReference
from feast.stream_feature_view import stream_feature_view
from feast.types import Float32, Int64, String

driver = Entity(name="driver_id", value_type=Int64)
drivers = FileSource(
    name="drivers", path="data/drivers.parquet", timestamp_field="event_timestamp"
)
SCHEMA = [Field(name="trips", dtype=Int64), Field(name="rate", dtype=Float32)]

warehouse = BigQuerySource(
    name="warehouse", table="p.d.drivers", timestamp_field="event_timestamp", tags={"team": "a"}
)
in_warehouse = FeatureView(
    name="in_warehouse", entities=[driver], source=warehouse, schema=SCHEMA, ttl=timedelta(days=1)
)
# Neither a time column nor a schema: Feast asks the warehouse for them.
snow = SnowflakeSource(database="D", schema="S", table="T")
inferred = FeatureView(name="inferred", entities=[Entity(name="user")], source=snow)
spark = SparkSource(name="spark", path="s3://b/x", file_format="parquet", timestamp_field="ts")

kafka = KafkaSource(
    name="kafka", kafka_bootstrap_servers="localhost:9092", topic="t",
    message_format=JsonFormat("{}"), watermark_delay_threshold=timedelta(minutes=5),
    timestamp_field="event_timestamp", batch_source=drivers,
)
kinesis = KinesisSource(
    name="kinesis", region="eu", stream_name="s", record_format=AvroFormat("{}"),
    timestamp_field="event_timestamp", batch_source=drivers,
)
on_kafka = FeatureView(name="on_kafka", entities=[driver], source=kafka, schema=SCHEMA)


@stream_feature_view(
    entities=[driver], source=kafka, schema=SCHEMA, timestamp_field="event_timestamp",
    aggregations=[Aggregation(column="trips", function="sum", time_window=timedelta(hours=1))],
)
def hourly(frame):
    return frame


plain_stream = StreamFeatureView(
    name="plain_stream", entities=[driver], source=kinesis, schema=SCHEMA
)


@batch_feature_view(entities=[driver], source=drivers, schema=SCHEMA, ttl=timedelta(days=3))
def doubled(frame):
    return frame


plain_batch = BatchFeatureView(
    name="plain_batch", entities=[driver], source=drivers, schema=SCHEMA, online=True
)
pushed = PushSource(name="pushed", batch_source=drivers)
labels = LabelView(name="labels", entities=[driver], source=pushed, schema=[
    Field(name="trips", dtype=Int64)])
voted = LabelView(name="voted", entities=[driver], source=pushed, schema=SCHEMA,
                  conflict_policy=ConflictPolicy.MAJORITY_VOTE)
service = FeatureService(name="model", features=[in_warehouse, hourly[["rate"]], plain_batch])


@ge_profiler
def profile(dataset):
    return dataset


reference = ValidationReference(name="reference", dataset_name="january", profiler=profile)
readers = Permission(
    name="readers", types=ALL_RESOURCE_TYPES, name_patterns="driver.*", actions=READ,
    policy=RoleBasedPolicy(roles=["reader"]),
)
everybody = Permission(name="everybody", actions=AuthzedAction.DESCRIBE)
"""


def command(repo: Path, *args: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "tiffin.cli.main", *args],
        cwd=repo, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def repo(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("objects")
    (folder / "feature_store.yaml").write_text("project: objects\nonline_ttl: ignore\n")
    (folder / "data").mkdir()
    write_drivers(folder / "data" / "drivers.parquet")
    (folder / "features.py").write_text(FEATURES)
    command(folder, "apply")
    return folder


@pytest.fixture
def store(repo) -> FeatureStore:
    return FeatureStore(repo)


def test_apply_says_once_of_each_what_is_missing(tmp_path, repo):
    (tmp_path / "feature_store.yaml").write_text("project: objects\n")
    (tmp_path / "data").mkdir()
    write_drivers(tmp_path / "data" / "drivers.parquet")
    (tmp_path / "features.py").write_text(FEATURES)
    done = command(tmp_path, "apply")
    said = [line for line in done.stderr.splitlines() if "is kept" in line]
    assert len(said) == len(set(said))
    assert {line.split("'")[1] for line in said} == {
        "in_warehouse", "inferred", "hourly", "doubled", "voted", "reference", "readers",
        "everybody",
    }  # fmt: skip
    assert (
        "warning: feature view 'in_warehouse' is kept, and not run: this release reads no "
        "BigQuery; a FileSource reads the Parquet files that it exports"
    ) in said
    for line in (
        "+ data source warehouse",
        "+ feature view hourly",
        "+ permission readers",
        "+ validation reference reference",
    ):
        assert line in done.stdout.splitlines()
    assert command(tmp_path, "plan").stdout == "nothing to change\n"


def test_objects_come_back_equal(repo, store):
    written = {(o.kind, o.name): o for o in load_repo(repo).objects}
    read = [
        *store.list_data_sources(),
        *store.list_feature_views(),
        *store.list_permissions(),
        *store.list_validation_references(),
    ]
    assert len(read) == 19
    for found in read:
        original = written[found.kind, found.name]
        assert type(found) is type(original)
        if found.name != "inferred":  # whose key is filled in
            assert found.to_document() | {"join_keys": 0, "schema": 0} == (
                original.to_document() | {"join_keys": 0, "schema": 0}
            )
    assert store.get_data_source("kafka").batch_source == store.get_data_source("drivers")
    assert store.get_data_source("kafka").topic == "t"
    assert store.get_data_source("warehouse").table == "p.d.drivers"
    assert store.get_data_source("T").database == "D"
    stream = store.get_stream_feature_view("hourly")
    assert stream.mode == "spark"
    assert stream.aggregations[0]["time_window"] == {"microseconds": 3_600_000_000}
    assert "def hourly(frame)" in stream.function["source"]
    assert store.get_label_view("voted").conflict_policy == "MAJORITY_VOTE"
    assert store.get_permission("readers").policy == {
        "class": "RoleBasedPolicy", "roles": ["reader"]
    }  # fmt: skip
    assert store.get_validation_reference("reference").dataset_name == "january"


def test_lists_by_class(store):
    assert [v.name for v in store.list_stream_feature_views()] == ["hourly", "plain_stream"]
    assert [v.name for v in store.list_label_views()] == ["labels", "voted"]
    assert [v.name for v in store.list_batch_feature_views()] == [
        "doubled", "in_warehouse", "inferred", "on_kafka", "plain_batch"
    ]  # fmt: skip
    assert store.get_batch_feature_view("doubled").ttl.days == 3
    fails(lambda: store.get_label_view("hourly"), "is a StreamFeatureView, not a LabelView")
    with pytest.raises(errors.PermissionObjectNotFoundException):
        store.get_permission("nobody")


def test_they_are_listed_and_described(repo):
    assert "BigQuerySource" in command(repo, "data-sources", "list").stdout
    assert (
        "this release reads no BigQuery"
        in command(repo, "data-sources", "describe", "warehouse").stdout
    )
    assert "READ_OFFLINE" in command(repo, "permissions", "list").stdout
    assert "RoleBasedPolicy" in command(repo, "permissions", "describe", "readers").stdout
    assert "january" in command(repo, "validation-references", "list").stdout
    found = json.loads(command(repo, "feature-views", "describe", "hourly", "--json").stdout)
    assert found["foreign"]["class"] == "StreamFeatureView"


def test_a_change_is_told_by_field(tmp_path, repo):
    (tmp_path / "feature_store.yaml").write_text(
        f"project: objects\nregistry: {repo}/data/registry.db\n"
    )
    (tmp_path / "data").mkdir()
    write_drivers(tmp_path / "data" / "drivers.parquet")
    text = FEATURES.replace("p.d.drivers", "p.d.riders").replace('"reader"', '"writer"')
    (tmp_path / "features.py").write_text(text.replace("timedelta(hours=1)", "timedelta(hours=2)"))
    lines = command(tmp_path, "plan").stdout.splitlines()
    assert "~ data source warehouse" in lines
    assert "    ~ content.table: p.d.drivers -> p.d.riders" in lines
    assert "~ permission readers" in lines
    assert any(line.startswith("    ~ content.policy:") and "writer" in line for line in lines)
    assert "~ feature view hourly" in lines
    assert any("    ~ foreign.content:" in line for line in lines)


@pytest.mark.parametrize(
    ("view", "missing"),
    [
        ("in_warehouse", "this release reads no BigQuery"),
        ("inferred", "this release reads no Snowflake"),
        ("hourly", "does not run the function and the aggregations of a stream feature view"),
        ("doubled", "does not run the function of a batch feature view"),
        ("voted", "among labels of one entity this release knows the last one only"),
    ],
)
def test_running_one_says_what_is_missing(store, view, missing):
    key = "user" if view == "inferred" else "driver_id"
    rows = {key: [1], "event_timestamp": [utc(2024, 1, 3)]}
    materialize = lambda: store.materialize(None, utc(2024, 1, 4), [view])  # noqa: E731
    fails(materialize, view if view != "in_warehouse" else "warehouse", missing,
          error=errors.UnsupportedError)  # fmt: skip
    ask = lambda: store.get_historical_features(rows, [f"{view}:trips"]).to_arrow()  # noqa: E731
    fails(ask, missing, error=errors.UnsupportedError)
    if view != "in_warehouse":  # which may have been written to by hand
        look = lambda: store.get_online_features([f"{view}:trips"], [{key: 1}])  # noqa: E731
        fails(look, missing, error=errors.UnsupportedError)


def test_a_stream_takes_no_pushes(store):
    rows = {"driver_id": [1], "event_timestamp": [utc(2024, 1, 3)], "trips": [1], "rate": [1.0]}
    fails(lambda: store.push("kafka", rows), "this release takes no rows from Kafka",
          error=errors.UnsupportedError)  # fmt: skip


def test_views_without_a_function_run(store):
    """A stream is behind its batch source; a batch or label view is a feature view."""
    names = ["on_kafka", "plain_stream", "plain_batch", "labels"]
    rows = {"driver_id": [1], "event_timestamp": [utc(2024, 1, 2, 12)]}
    for name in names:
        found = store.get_historical_features(rows, [f"{name}:trips"]).to_arrow().to_pylist()
        assert [row["trips"] for row in found] == [20], name
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = store.materialize(None, utc(2024, 1, 4), ["on_kafka", "plain_batch"])
    assert [view["view"] for view in report.views] == ["on_kafka", "plain_batch"]
    online = store.get_online_features(["plain_batch:trips"], [{"driver_id": 1}]).to_dict()
    assert online["trips"] == [30]


def test_a_view_of_a_version_or_with_a_sink_is_kept(tmp_path):
    from tiffin import Entity, FeatureView, FileSource

    (tmp_path / "feature_store.yaml").write_text("project: objects\nonline_ttl: ignore\n")
    write_drivers(tmp_path / "drivers.parquet")
    file = FileSource(path="drivers.parquet", timestamp_field="event_timestamp")
    common = {"entities": [Entity(name="driver_id")], "source": file}
    store = FeatureStore(tmp_path)
    pinned = FeatureView(name="pinned", version="v2", **common)
    sinks = FeatureView(name="sinks", sink_source=file, **common)
    with pytest.warns(errors.TiffinWarning) as told:
        store.apply([pinned, sinks, FeatureView(name="plain", version="Latest", **common)])
    said = " ".join(str(warning.message) for warning in told)
    assert "'pinned' is kept, and not run: views have no versions here" in said
    assert "'sinks' is kept, and not run: this release computes no view from another" in said
    assert store.get_feature_view("pinned").version == "v2"
    assert store.get_feature_view("plain").version == "latest"
    assert store.get_feature_view("plain").foreign is None
    rows = {"driver_id": [1], "event_timestamp": [utc(2024, 1, 2, 12)]}
    fails(
        lambda: store.get_historical_features(rows, ["pinned:trips"]).to_arrow(),
        "'pinned' cannot be run: views have no versions here",
        error=errors.UnsupportedError,
    )


def test_what_only_feast_knows_of_a_view_is_kept(repo, tmp_path):
    from tiffin import Entity, FeatureView, FileSource

    (tmp_path / "feature_store.yaml").write_text("project: objects\nonline_ttl: ignore\n")
    write_drivers(tmp_path / "drivers.parquet")
    common = {
        "entities": [Entity(name="driver_id")],
        "source": FileSource(path="drivers.parquet", timestamp_field="event_timestamp"),
    }
    store = FeatureStore(tmp_path)
    own = FeatureView(name="own", org="rides", enable_validation=True, mode="python", **common)
    off = FeatureView(name="off", enabled=False, **common)
    stream = StreamFeatureView(name="stream", org="rides", **common)
    plain = FeatureView(name="plain", **common)
    assert plain.foreign is None
    with pytest.warns(errors.TiffinWarning, match="'off' is kept, and not run: it is disabled"):
        store.apply([own, off, stream, plain])
    found = store.get_feature_view("own")
    assert type(found) is FeatureView
    assert (found.org, found.mode, found.enable_validation, found.enabled) == (
        "rides", "python", True, True
    )  # fmt: skip
    assert store.get_feature_view("stream").org == "rides"
    assert store.get_feature_view("off").enabled is False
    rows = {"driver_id": [1], "event_timestamp": [utc(2024, 1, 2, 12)]}
    ask = lambda name: store.get_historical_features(rows, [f"{name}:trips"]).to_arrow()  # noqa: E731
    assert ask("own").to_pylist()[0]["trips"] == 20
    fails(lambda: ask("off"), "'off' cannot be run: it is disabled (enabled=False)",
          error=errors.UnsupportedError)  # fmt: skip
    for view in (found, store.get_feature_view("stream")):
        kept = view.foreign
        view.enabled = False
        assert not view.enabled
        assert view.foreign != kept
        view.enabled = True
        assert view.foreign == kept
    off.enabled = True
    assert off.foreign is None
    store.apply(off)
    assert ask("off").to_pylist()[0]["trips"] == 20
    with pytest.raises(errors.SchemaError, match="enabled"):
        off.enabled = "yes"
    changed = FeatureView(name="own", org="cars", enable_validation=True, mode="python", **common)
    assert "    ~ foreign.content:" in str(store.plan([changed]))


def test_materializing_everything_passes_over_what_cannot_be_run(repo, tmp_path):
    (tmp_path / "feature_store.yaml").write_text("project: objects\nonline_ttl: ignore\n")
    (tmp_path / "data").mkdir()
    write_drivers(tmp_path / "data" / "drivers.parquet")
    (tmp_path / "features.py").write_text(FEATURES)
    command(tmp_path, "apply")
    report = FeatureStore(tmp_path).materialize(None, utc(2024, 1, 4))
    assert [view["view"] for view in report.views] == [
        "labels", "on_kafka", "plain_batch", "plain_stream"
    ]  # fmt: skip
    assert [view["view"] for view in report.passed_over] == [
        "doubled", "hourly", "in_warehouse", "inferred", "voted"
    ]  # fmt: skip
    assert "in_warehouse: not loaded: this release reads no BigQuery" in str(report)


def test_what_is_wrong_with_a_definition_is_said(repo):
    from tiffin import FileSource

    file = FileSource(path="x.parquet")
    fails(lambda: SnowflakeSource(query="select 1"), "SnowflakeSource: name must")
    fails(lambda: SnowflakeSource(table="t", region="eu"), "no argument 'region'; it has table")
    fails(lambda: SnowflakeSource(table="t", batch_source=file), "only streams")
    fails(lambda: KafkaSource(name="k", topic="t"), "batch_source is missing")
    kafka = KafkaSource(name="k", topic="t", batch_source=file)
    fails(lambda: KinesisSource(name="s", batch_source=kafka), "must be a FileSource, not Kafka")
    fails(lambda: Permission("p", policy="all"), "policy must be a Policy")
    fails(lambda: ValidationReference("", "d"), "name must not be empty")
    fails(lambda: Profiler(len)(3), "profiler 'len'", "makes no profiles")
    fails(lambda: LabelView(name="v", source=file, conflict_policy="last"), "ConflictPolicy")
    for cls in (StreamFeatureView, BatchFeatureView):
        fails(lambda cls=cls: cls(name="v", source=file, aggregations=[3]), "Aggregation, not int")
    assert len(SOURCES) == 13
