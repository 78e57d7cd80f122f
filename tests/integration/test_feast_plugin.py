"""Tiffin's stores inside a real Feast: the same repos, the same answers as from Feast's own.

The repos and the questions are those of test_feast_repos.py. Both sides are the Feast of
.venv-peers; one has its DuckDB store, SQLite and its local engine, the other the three classes of
tiffin.feast_plugin.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_feast_repos import FEAST, NAMES, answers_of, differences

import tiffin

PLUGIN = """\
offline_store:
    type: tiffin.feast_plugin.TiffinOfflineStore
online_store:
    type: tiffin.feast_plugin.TiffinOnlineStore
    path: data/tiffin
batch_engine:
    type: tiffin.feast_plugin.TiffinComputeEngine
entity_key_serialization_version: 3
"""
LOCAL = PLUGIN.partition("batch_engine:")[0] + "entity_key_serialization_version: 3\n"

# Rules of docs/semantics/differences-from-feast.md by repo and question.
DIFFERS = {
    ("entity_less", "materialize"): 38,
    ("entity_less", "online"): 38,
    ("folder", "training"): 41,
    ("folder", "materialize"): 41,
    ("folder", "online"): 41,
    ("folder", "materialize the rest"): 41,
    ("folder", "online later"): 41,
    ("nulls", "a null key online"): 23,
    ("ttl_forms", "days and seconds"): 11,
}


@pytest.fixture
def library(tmp_path: Path) -> str:
    """A folder that has this Tiffin and nothing else, for an interpreter that has Feast."""
    folder = tmp_path / "library"
    folder.mkdir()
    (folder / "tiffin").symlink_to(Path(tiffin.__file__).parent)
    return str(folder)


def in_any_order(answers: dict[str, Any]) -> dict[str, Any]:
    """Sort columns by name: of what on-demand views read, Feast gives any order."""
    found = {}
    for question, told in answers.items():
        answer = told.get("answer")
        if isinstance(answer, dict) and "rows" in answer:
            order = sorted(range(len(answer["columns"])), key=answer["columns"].__getitem__)
            rows = [[row[i] for i in order] for row in answer["rows"]]
            told = {"answer": {"columns": sorted(answer["columns"]), "rows": rows}}
        found[question] = told
    return found


def check(folder: Path, library: str, names: list[str], yaml: str) -> None:
    theirs = answers_of([FEAST], folder / "feast", names)
    ours = answers_of([FEAST], folder / "plugin", names, yaml, PYTHONPATH=library)
    found = {}
    for name in names:
        mine, other = in_any_order(ours[name]), in_any_order(theirs[name])
        found |= {(name, question): how for question, how in differences(mine, other).items()}
    declared = {place for place in DIFFERS if place[0] in names}
    wrong = [f"{place}: {found[place]}" for place in found.keys() - declared]
    wrong += [f"{place}: declared, and equal" for place in declared - found.keys()]
    assert not wrong, "\n\n".join(wrong)


def test_three_repos_give_feasts_answers(tmp_path, library):
    check(tmp_path, library, ["driver_stats", "everything_at_once", "on_demand"], PLUGIN)


@pytest.mark.long
def test_all_repos_give_feasts_answers(tmp_path, library):
    check(tmp_path, library, NAMES, PLUGIN)


@pytest.mark.long
def test_feasts_own_engine_materializes_into_tiffin(tmp_path, library):
    check(tmp_path, library, [name for name in NAMES if name != "folder"], LOCAL)


PROGRAM = """
import datetime as dt
import sys
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource, ValueType
from feast.data_source import PushMode
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.infra.offline_stores.bigquery_source import BigQuerySource
from feast.types import Int64

def say(*what):
    print("=>", *what)


at = pd.to_datetime(["2024-01-01", "2024-01-02"], utc=True)
rows = pd.DataFrame({"k": [1, 2], "ts": at, "v": [10, 20]})
for name in ("one.parquet", "many/a.parquet"):
    Path(name).parent.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), name)
k = Entity(name="k", value_type=ValueType.INT64)
one = FileSource(name="one", path="one.parquet", timestamp_field="ts")
many = FileSource(name="many", path="many", timestamp_field="ts")
schema = [Field(name="v", dtype=Int64)]
p1, p2 = PushSource(name="p1", batch_source=one), PushSource(name="p2", batch_source=many)
first = FeatureView(name="first", entities=[k], schema=schema, source=p1)
second = FeatureView(name="second", entities=[k], schema=schema, source=p2)
far = BigQuerySource(name="far", table="a.b.c", timestamp_field="ts")
third = FeatureView(
    name="third", entities=[k], schema=[*schema, Field(name="k", dtype=Int64)], source=far
)
store = FeatureStore(repo_path=".")
store.apply([k, first, second, third])
new = pd.DataFrame({"k": [3], "ts": pd.to_datetime(["2024-01-03"], utc=True), "v": [30]})
for source in ("p1", "p2"):
    store.push(source, new, to=PushMode.ONLINE_AND_OFFLINE)
asked = pd.DataFrame({"k": [1, 3], "event_timestamp": pd.to_datetime(["2024-02-01"] * 2, utc=True)})
features = ["first:v", "second:v"]
job = store.get_historical_features(asked, features, full_feature_names=True)
say(job.to_df()[["first__v", "second__v"]].values.tolist(), job.metadata.keys)
say(len(list(Path("many").glob("*.parquet"))))
storage = SavedDatasetFileStorage("kept/set.parquet")
job.persist(storage)
say(pq.read_table("kept/set.parquet").num_rows)
try:
    job.persist(storage)
except SavedDatasetLocationAlreadyExists:
    say("is there")
answer = store.get_online_features(features, [{"k": 3}], full_feature_names=True)
say(sorted(answer.to_dict(include_event_timestamps=True).items()))
proto = answer.proto
say(list(proto.metadata.feature_names.val), [list(r.statuses) for r in proto.results])
say(answer.to_df().shape, answer.to_arrow().num_rows)
try:
    store.write_to_offline_store("second", new.assign(more=1), reorder_columns=False)
except Exception as error:
    say(type(error).__name__)
store.write_to_online_store("third", new)
say(sorted(store.get_online_features(["third:v"], [{"k": 3}]).to_dict().items()))
try:
    store.materialize(at[0].to_pydatetime(), at[1].to_pydatetime(), ["third"])
except Exception as error:
    say(error)
store.teardown()
say(Path("data/tiffin/feature_store.yaml").exists())
"""


def test_writes_datasets_and_messages(tmp_path, library):
    repo = tmp_path / "repo"
    repo.mkdir()
    (repo / "feature_store.yaml").write_text(
        "project: plugged\nprovider: local\nregistry: registry.db\n" + PLUGIN
    )
    (repo / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [FEAST, "-W", "ignore", "program.py"],
        cwd=repo,
        env={**os.environ, "PYTHONPATH": library, "FEAST_USAGE": "False"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    midnight = 1704240000
    assert re.findall("^=> (.*)$", done.stdout, re.M) == [
        "[[10, 10], [30, 30]] ['k']",
        "2",
        "2",
        "is there",
        f"[('first__v', [30]), ('first__v__ts', [{midnight}]), ('k', [3]), ('k__ts', [0]), "
        f"('second__v', [30]), ('second__v__ts', [{midnight}])]",
        "['k', 'first__v', 'second__v'] [[1], [1], [1]]",
        "(1, 3) 1",
        "ValueError",
        "[('k', [3]), ('v', [30])]",
        "data source 'far' reads a BigQuerySource, and Tiffin's engine reads files; export its "
        "rows to Parquet and use a FileSource, or use Feast's own store for it",
        "True",
    ]


def test_the_shim_is_not_feast(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tiffin.feast", "-c", "import tiffin.feast_plugin"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "tiffin.feast_plugin" in done.stderr.splitlines()[-1]
