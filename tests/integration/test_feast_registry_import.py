"""Registry files that the real Feast wrote, taken over by Tiffin: imported, and read directly.

What Tiffin has afterwards is compared with what `tiffin apply` of the same Python files gives: only
what is declared here may differ. Feast is that of .venv-peers (TFN_FEAST_PYTHON: another).
"""

import os
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tiffin import FeatureStore, FeatureView, Field
from tiffin.errors import CorruptError, InvalidError, NotFoundError, UnsupportedError
from tiffin.registry.data_source import DataSource
from tiffin.store.repo import load_repo
from tiffin.types import Float64

ROOT = Path(__file__).parents[2]
REPOS = ROOT / "tests" / "feast_repos"
FEAST = os.environ.get("TFN_FEAST_PYTHON", str(ROOT / ".venv-peers" / "bin" / "python"))
NAMES = sorted(folder.name for folder in REPOS.iterdir() if (folder / "features.py").exists())
IN_CI = ["driver_stats", "everything_at_once", "meanings", "on_demand"]
HISTORY = "data/feast.db"  # of the repos below: Feast's file is not where ours is

# Of every kind that Feast has, with what only Feast has of it.
EVERY_KIND = """
    from datetime import timedelta

    from feast import (
        BigQuerySource, Entity, FeatureService, FeatureView, Field, FileSource, KafkaSource,
        Project, PushSource, RedshiftSource, RequestSource, SnowflakeSource, StreamFeatureView,
        ValueType,
    )
    from feast.aggregation import Aggregation
    from feast.batch_feature_view import batch_feature_view
    from feast.data_format import AvroFormat, ParquetFormat
    from feast.feature_logging import LoggingConfig
    from feast.infra.offline_stores.file_source import FileLoggingDestination
    from feast.labeling.conflict_policy import ConflictPolicy
    from feast.labeling.label_view import LabelView
    from feast.on_demand_feature_view import on_demand_feature_view
    from feast.permissions.action import READ
    from feast.permissions.permission import Permission
    from feast.permissions.policy import RoleBasedPolicy
    from feast.types import Array, Float32, Float64, Int64, String, UnixTimestamp

    project = Project(name="rich", description="all kinds", tags={"a": "b"}, owner="me")
    driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64, owner="o")
    stats = FileSource(
        name="stats", path="data/stats.parquet", timestamp_field="ts",
        created_timestamp_column="made", field_mapping={"a": "b"}, file_format=ParquetFormat(),
        description="d", tags={"q": "r"}, owner="z",
    )
    push = PushSource(name="push", batch_source=stats)
    bq = BigQuerySource(name="bq", table="a.b", timestamp_field="ts")
    rs = RedshiftSource(
        name="rs", query="select 1", timestamp_field="ts", schema="s", database="d"
    )
    sf = SnowflakeSource(name="sf", table="t", database="d", schema="s", timestamp_field="ts")
    kafka = KafkaSource(
        name="kafka", kafka_bootstrap_servers="h:1", topic="t", timestamp_field="ts",
        message_format=AvroFormat('{"a": 1}'), batch_source=stats,
        watermark_delay_threshold=timedelta(minutes=5),
    )
    plain = FeatureView(
        name="plain", entities=[driver], ttl=timedelta(days=1, microseconds=5), source=stats,
        schema=[
            Field(name="f", dtype=Float32, description="fd", tags={"k": "v"}),
            Field(name="when", dtype=UnixTimestamp),
            Field(name="xs", dtype=Array(String)),
        ],
        description="d", tags={"team": "x"}, owner="me", offline=True,
    )
    pushed = FeatureView(
        name="pushed", entities=[driver], schema=[Field(name="g", dtype=Float64)], source=push
    )
    off = FeatureView(
        name="off", entities=[driver], schema=[Field(name="g", dtype=Float64)], source=stats,
        org="ads", enable_validation=True, enabled=False,
    )
    lonely = FeatureView(name="lonely", schema=[Field(name="g", dtype=Float64)], source=stats)
    streamed = FeatureView(
        name="streamed", entities=[driver], schema=[Field(name="g", dtype=Float64)], source=kafka
    )
    far = FeatureView(
        name="far", entities=[driver], schema=[Field(name="g", dtype=Float64)], source=bq
    )
    trip = RequestSource(name="trip", schema=[Field(name="n", dtype=Int64)])

    @on_demand_feature_view(
        sources=[plain[["f"]], trip],
        schema=[Field(name="fn", dtype=Float64)], mode="python", tags={"t": "u"}, owner="w",
    )
    def product(inputs):
        # a comment
        return {"fn": [a * b for a, b in zip(inputs["f"], inputs["n"])]}

    sums = StreamFeatureView(
        name="sums", entities=[driver], ttl=timedelta(days=1), source=kafka, mode="python",
        schema=[Field(name="g", dtype=Float64)], timestamp_field="ts",
        aggregations=[Aggregation(column="g", function="sum", time_window=timedelta(hours=1))],
    )

    @batch_feature_view(
        entities=[driver], mode="python", source=stats, schema=[Field(name="g", dtype=Float64)],
        ttl=timedelta(days=2),
    )
    def batched(frame):
        return frame

    labels = LabelView(
        name="labels", source=push, entities=[driver], reference_feature_view="plain",
        schema=[Field(name="kind", dtype=String), Field(name="labeler", dtype=String)],
        conflict_policy=ConflictPolicy.MAJORITY_VOTE,
    )
    service = FeatureService(
        name="service", description="s", tags={"l": "m"}, owner="n",
        features=[
            plain[["f"]], pushed.with_name("p2").with_join_key_map({"driver_id": "d2"}), product
        ],
    )
    logged = FeatureService(
        name="logged", features=[plain],
        logging_config=LoggingConfig(
            destination=FileLoggingDestination(path="logs"), sample_rate=0.25
        ),
    )
    readers = Permission(
        name="readers", types=[FeatureView], name_patterns=["x.*"], actions=READ,
        policy=RoleBasedPolicy(roles=["r"]), tags={"a": "b"},
    )
"""
# Feast keeps no order of keys among features, does not say what it inferred, nor which module a
# function is from.
MAY_DIFFER = {"schema", "inferred", "function.module"}


def feast(folder: Path, *args: str) -> str:
    """Run Feast's command line in a repo."""
    done = subprocess.run(
        [FEAST, "-W", "ignore", "-c", "from feast.cli.cli import cli; cli()", *args],
        cwd=folder,
        env={**os.environ, "FEAST_USAGE": "False", "TZ": "UTC"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-3000:]
    return done.stdout


def tiffin(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run our command line in a repo."""
    return subprocess.run(
        [sys.executable, "-m", "tiffin.cli.main", *args],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )


def write_stats(folder: Path) -> None:
    (folder / "data").mkdir(exist_ok=True)
    days = pd.to_datetime(["2026-01-01", "2026-01-02", "2026-01-03"], utc=True)
    frame = pd.DataFrame(
        {
            "driver_id": [1, 2, 1],
            "a": [1.0, 2.0, 3.0],
            "f": pd.Series([1.5, 2.5, 3.5], dtype="float32"),
            "g": [0.5, 0.25, 0.125],
            "a2": [0.0, 0.0, 0.0],
            "when": days,
            "xs": [["a"], [], ["b", "c"]],
            "ts": days,
            "made": days,
        }
    )
    frame.to_parquet(folder / "data" / "stats.parquet")


def make_repo(folder: Path, features: str = EVERY_KIND, registry: str = "data/registry.db") -> Path:
    folder.mkdir()
    write_stats(folder)
    (folder / "features.py").write_text(textwrap.dedent(features), "utf-8")
    (folder / "feature_store.yaml").write_text(
        f"project: rich\nprovider: local\nregistry: {registry}\n"
        "offline_store: {type: duckdb}\nonline_store: {type: sqlite, path: data/online.db}\n"
        "entity_key_serialization_version: 3\n",
        "utf-8",
    )
    return folder


@pytest.fixture(scope="module")
def feasts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repo of every kind that Feast has applied."""
    folder = make_repo(tmp_path_factory.mktemp("feasts") / "repo", registry=HISTORY)
    feast(folder, "apply", "--skip-source-validation")
    return folder


def ours(feasts: Path, folder: Path, registry: str = "data/registry.db") -> Path:
    """Copy a repo; its registry is another file."""
    shutil.copytree(feasts, folder)
    settings = folder / "feature_store.yaml"
    settings.write_text(settings.read_text("utf-8").replace(HISTORY, registry), "utf-8")
    return folder


def differences(store: FeatureStore) -> list[tuple[str, str, str]]:
    """What applying the repo's files would change, that may not differ."""
    plan = store.plan(load_repo(store.repo_path).objects, delete_missing=True)
    assert not plan.refused
    found = []
    for change in plan.changes:
        fields = [field["field"] for field in change.get("fields", [])]
        if change["action"] != "change":
            found.append((change["action"], change["kind"], change["name"]))
        found += [(change["name"], f, "") for f in fields if f not in MAY_DIFFER]
    return found


# ---- import


def test_every_kind_is_imported_as_apply_would_have_it(feasts, tmp_path):
    store = FeatureStore(ours(feasts, tmp_path / "ours"))
    before = (store.repo_path / HISTORY).read_bytes()
    result = store.import_feast_registry(store.repo_path / HISTORY)
    assert {change["action"] for change in result.changes} == {"add"}
    # The function of a batch view stands in its content, with its module.
    assert differences(store) == [("batched", "foreign.content", "")]
    assert (store.repo_path / HISTORY).read_bytes() == before

    kinds: dict[str, list[str]] = {}
    for change in result.changes:
        kinds.setdefault(change["kind"], []).append(change["name"])
    assert kinds["entity"] == ["driver"]  # not Feast's dummy
    assert kinds["data_source"] == ["bq", "kafka", "push", "rs", "sf", "stats", "trip"]
    assert store.registry_log()[0]["message"] == "imported from Feast's registry"
    assert store.get_feature_view("lonely").entities == []
    assert store.get_feature_view("off").org == "ads"
    assert store.get_stream_feature_view("sums").aggregations[0]["function"] == "sum"
    assert "aggregations" in store.get_feature_view("sums").foreign["missing"]
    again = store.import_feast_registry(store.repo_path / HISTORY)
    assert not again.changes


def test_what_feast_says_replaces_what_was_there(feasts, tmp_path):
    store = FeatureStore(ours(feasts, tmp_path / "ours"))
    store.import_feast_registry(store.repo_path / HISTORY)
    store.apply(FeatureView(name="mine", source="stats", schema=[Field(name="a2", dtype=Float64)]))
    store.delete_feature_view("far")
    plan = store.plan_feast_registry(store.repo_path / HISTORY)
    changes = {(c["action"], c["name"]) for c in plan.changes}
    assert changes == {("remove", "mine"), ("add", "far")}
    result = store.import_feast_registry(store.repo_path / HISTORY)
    assert {(c["action"], c["name"]) for c in result.changes} == changes


def test_the_command_says_what_came_and_what_is_not_run(feasts, tmp_path):
    folder = ours(feasts, tmp_path / "ours")
    shown = tiffin(folder, "import-feast", HISTORY, "--dry-run")
    assert "+ feature view plain" in shown.stdout
    assert not (folder / "data" / "registry.db").exists()
    done = tiffin(folder, "import-feast", HISTORY)
    assert "+ feature view plain" in done.stdout
    assert "feature view 'batched' is kept, and not run: this release does not" in done.stderr
    assert "data source 'bq' is kept, and not run" in done.stderr


def test_a_file_of_another_project_is_not_taken_for_this_one(feasts, tmp_path):
    folder = ours(feasts, tmp_path / "ours")
    settings = folder / "feature_store.yaml"
    settings.write_text(settings.read_text("utf-8").replace("project: rich", "project: poor"))
    store = FeatureStore(folder)
    with pytest.raises(InvalidError, match="has the project 'rich', and feature_store"):
        store.import_feast_registry(folder / HISTORY)
    with pytest.raises(NotFoundError, match="no project 'other'; there is 'rich'"):
        store.import_feast_registry(folder / HISTORY, "other")
    with pytest.raises(NotFoundError, match="there is no file"):
        store.import_feast_registry(folder / "nothing.db")
    with pytest.raises(CorruptError, match="are no registry of Feast"):
        store.import_feast_registry(folder / "features.py")
    store.import_feast_registry(folder / HISTORY, "rich")
    assert [project.name for project in store.list_projects()] == ["rich"]


def test_a_source_of_a_class_of_ones_own_is_shown_under_its_name():
    document = {
        "kind": "data_source", "name": "own", "type": "foreign", "class": "MySource",
        "content": {"rate": "0.5"}, "missing": "this release reads no such sources",
    }  # fmt: skip
    source = DataSource.from_document(document)
    assert type(source).__name__ == "MySource"
    assert source.rate == "0.5"
    assert source.to_document()["class"] == "MySource"
    assert source.to_document()["content"] == {"rate": "0.5"}


def take_over(names: list[str], home: Path) -> None:
    """Let Feast apply repos and answer their questions; import each; compare with apply."""
    home.mkdir()
    for helper in ("drive.py", "rows.py"):
        shutil.copy(REPOS / helper, home)
    for name in names:
        shutil.copytree(REPOS / name, home / name)
    subprocess.run(
        [FEAST, home / "drive.py", *(home / name for name in names)],
        cwd=home,
        capture_output=True,
        timeout=1800,
        check=True,
    )
    for name in names:
        folder = home / name
        (folder / "questions.py").unlink()
        settings = folder / "feature_store.yaml"
        text = settings.read_text("utf-8")
        settings.write_text(text.replace("data/registry.db", "data/ours.db"), "utf-8")
        store = FeatureStore(folder)
        store.import_feast_registry(folder / "data" / "registry.db")
        # The questions of many_views delete a view.
        expected = [("add", "feature_view", "last_7d")] if name == "many_views" else []
        assert differences(store) == expected, name


def test_repos_that_feast_ran_are_imported(tmp_path):
    take_over(IN_CI, tmp_path / "repos")


@pytest.mark.long
def test_all_repos_that_feast_ran_are_imported(tmp_path):
    take_over(NAMES, tmp_path / "repos")


# ---- read directly


def training_set(store: FeatureStore) -> Any:
    entity_rows = pd.DataFrame(
        {
            "driver_id": [1, 2],
            "n": [2, 3],
            "event_timestamp": pd.to_datetime(["2026-01-03T06:00", "2026-01-02T06:00"], utc=True),
        }
    )
    features = ["plain:f", "pushed:g", "product:fn"]
    return store.get_historical_features(entity_rows, features).to_df()


def test_a_repo_with_feasts_own_registry_runs(feasts, tmp_path):
    folder = ours(feasts, tmp_path / "ours", HISTORY)
    before = (folder / HISTORY).read_bytes()
    store = FeatureStore(folder)
    assert list(training_set(store)["fn"]) == [7.0, 7.5]
    assert list(training_set(store)["g"]) == [0.125, 0.25]
    store.materialize_incremental(pd.Timestamp("2026-01-03T06:00", tz="UTC"), ["pushed"])
    answer = store.get_online_features(["pushed:g"], [{"driver_id": 1}]).to_dict()
    assert answer["g"] == [0.125]
    assert (folder / HISTORY).read_bytes() == before
    with pytest.raises(UnsupportedError, match="is Feast's own"):
        store.import_feast_registry(folder / HISTORY)


def test_our_commits_stay_until_feasts_objects_change(feasts, tmp_path):
    folder = ours(feasts, tmp_path / "ours", HISTORY)
    store = FeatureStore(folder)
    store.apply(FeatureView(name="mine", source="stats", schema=[Field(name="a2", dtype=Float64)]))
    other = FeatureStore(folder)
    assert "mine" in [view.name for view in other.list_feature_views()]

    feast(folder, "materialize-incremental", "2026-01-02T00:00:00", "-v", "pushed")
    assert "mine" in [view.name for view in store.list_feature_views()]  # its objects are the same

    with (folder / "features.py").open("a") as file:
        file.write('late = FeatureView(name="late", schema=[Field(name="g", dtype=Float64)],\n'
                   "                   source=stats)\n")  # fmt: skip
    feast(folder, "apply", "--skip-source-validation")
    names = [view.name for view in store.list_feature_views()]
    assert "late" in names
    assert "mine" not in names
    assert [c["message"] for c in store.registry_log()] == [
        "imported from Feast's registry", "", "imported from Feast's registry",
    ]  # fmt: skip


def test_a_prepared_lookup_follows_what_feast_applies(feasts, tmp_path):
    folder = ours(feasts, tmp_path / "ours", HISTORY)
    lookup = FeatureStore(folder).prepare(FeatureStore(folder).get_feature_service("logged"))
    lookup.get([{"driver_id": 1}])
    assert lookup.names == ("driver_id", "f", "when", "xs")
    features = folder / "features.py"
    text = features.read_text("utf-8")
    features.write_text(text.replace('"logged", features=[plain]', '"logged", features=[pushed]'))
    feast(folder, "apply", "--skip-source-validation")
    until = time.monotonic() + 30
    while lookup.names != ("driver_id", "g") and time.monotonic() < until:
        time.sleep(0.05)
        lookup.get([{"driver_id": 1}])
    assert lookup.names == ("driver_id", "g")


def test_a_file_that_is_neither_is_refused(feasts, tmp_path):
    folder = ours(feasts, tmp_path / "ours", "features.py")
    with pytest.raises(InvalidError, match="is not a Tiffin registry but a file of another kind"):
        FeatureStore(folder).list_entities()
    assert not (folder / "features.py.tiffin").exists()
