"""Functions of on-demand views in other processes: docs/semantics/on-demand.md, "Functions"."""

import json
import subprocess
import sys
import textwrap
import threading

import pytest

from tiffin import FeatureStore, errors

REPO = """
import datetime
import pandas as pd
from tiffin import Entity, FeatureService, FeatureView, Field, FileSource, RequestSource
from tiffin import on_demand_feature_view
from tiffin.types import Float32, Float64, Int64, String
from scales import FACTOR

driver = Entity(name="driver", join_keys=["driver_id"], value_type=Int64)
stats = FeatureView(
    name="stats",
    entities=[driver],
    source=FileSource(path="data/drivers.parquet", timestamp_field="event_timestamp"),
    schema=[Field(name="trips", dtype=Int64), Field(name="rate", dtype=Float32)],
)
trip = RequestSource(name="trip", schema=[Field(name="km", dtype=Float64)])


@on_demand_feature_view(sources=[stats, trip], schema=[Field(name="fare", dtype=Float64)])
def fares(inputs):
    return pd.DataFrame({"fare": inputs["rate"] * inputs["km"] * FACTOR})


model = FeatureService(name="model", features=[stats[["trips"]], fares])
"""

READ = """
import json, sys
from tiffin import FeatureStore
store = FeatureStore(sys.argv[1])
rows = {"driver_id": [3], "km": [10.0], "event_timestamp": ["2024-01-03T00:00:00Z"]}
import datetime
rows["event_timestamp"] = [datetime.datetime(2024, 1, 3, tzinfo=datetime.UTC)]
trained = store.get_historical_features(rows, "model").to_arrow()["fare"].to_pylist()
online = store.get_online_features("model", [{"driver_id": 3, "km": 10.0}]).to_dict()["fare"]
print(json.dumps([trained, online, "features" in sys.modules]))
"""


def run(*arguments, cwd, fails=False):
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout if not fails else done.stderr


@pytest.fixture
def project(repo):
    """A repo of files, applied and loaded by the command line."""
    (repo / "features.py").write_text(REPO)
    (repo / "scales.py").write_text("FACTOR = 2\n")
    assert "+ on-demand feature view fares" in run("-m", "tiffin.cli.main", "apply", cwd=repo)
    run("-m", "tiffin.cli.main", "materialize", "2024-01-01", "2024-01-03", cwd=repo)
    return repo


def test_another_process_loads_the_function_from_the_repo(project, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert json.loads(run("-c", READ, str(project), cwd=elsewhere)) == [[190.0], [190.0], False]


def test_threads_load_a_function_at_once(project):
    store = FeatureStore(project)
    found = []

    def run_once():
        answer = store.get_online_features("model", [{"driver_id": 3, "km": 10.0}])
        found.append(answer.to_dict()["fare"])

    threads = [threading.Thread(target=run_once) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[190.0]] * 8
    assert "features" not in sys.modules


def test_the_command_line_lists_and_serves(project):
    tiffin_ = ("-m", "tiffin.cli.main")
    listed = run(*tiffin_, "on-demand-feature-views", "list", cwd=project)
    assert "fares" in listed
    assert "features.fares" in listed
    described = run(*tiffin_, "on-demand-feature-views", "describe", "fares", cwd=project)
    assert "  source:\n    def fares(inputs):\n        return pd.DataFrame(" in described
    assert "trip" in run(*tiffin_, "data-sources", "list", cwd=project)
    online = ("get-online-features", "-s", "model", "-e", "driver_id=3", "-e", "km=10", "--json")
    assert json.loads(run(*tiffin_, *online, cwd=project))["fare"] == [190.0]
    frame = '[{"driver_id": 3, "km": 10, "event_timestamp": "2024-01-03T00:00:00Z"}]'
    out = run(
        *tiffin_, "get-historical-features", "-d", frame, "-s", "model", "--json", cwd=project
    )
    assert "190.0" in out


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda text: text.replace("* FACTOR", "+ FACTOR"), "is not what was applied"),
        (lambda text: text.replace("fares", "fees"), "has no function fares at its top"),
        (lambda text: text.replace("FACTOR\n", "FACTOR, NOTHING\n"), "features.py, line 7"),
        (None, "stands in the module features, which is neither"),
    ],
)
def test_a_changed_source_is_noticed(project, change, part):
    file = project / "features.py"
    if change is None:
        file.unlink()
    else:
        file.write_text(change(file.read_text()))
    failed = run("-c", READ, str(project), cwd=project, fails=True)
    assert "on-demand feature view 'fares'" in failed
    assert part in failed
    file.write_text(REPO)
    run("-c", READ, str(project), cwd=project)


def test_a_decorator_may_change_without_the_function(project):
    file = project / "features.py"
    file.write_text(
        REPO.replace("@on_demand_feature_view(", "@on_demand_feature_view(owner='me', ")
    )
    run("-c", READ, str(project), cwd=project)


def test_a_function_of_a_script_stays_in_its_process(project):
    script = textwrap.dedent(
        """
        import sys
        from tiffin import FeatureStore, Field, on_demand_feature_view
        from tiffin.types import Int64

        store = FeatureStore(sys.argv[1])

        @on_demand_feature_view(
            sources=[store.get_feature_view("stats")],
            schema=[Field(name="x", dtype=Int64)],
            mode="python",
        )
        def own(inputs):
            return {"x": [t + 1 for t in inputs["trips"]]}

        store.apply(own)
        print(store.get_online_features(["own:x"], [{"driver_id": 3}]).to_dict()["x"])
        """
    )
    file = project.parent / "script_of_its_own.py"
    file.write_text(script)
    assert run(str(file), str(project), cwd=project).strip() == "[1001]"
    assert run("-c", script, str(project), cwd=project).strip() == "[1001]"
    store = FeatureStore(project)
    with pytest.raises(errors.NotFoundError) as caught:
        store.get_online_features(["own:x"], [{"driver_id": 3}])
    text = str(caught.value)
    assert "'own': its function own was defined in a script or a notebook" in text
    assert "move it into a file of the repo" in text


def test_nothing_is_pickled(project):
    document = FeatureStore(project).get_document("on_demand_feature_view", "fares")
    assert set(document["function"]) == {"module", "name", "source", "hash"}
    assert document["function"]["module"] == "features"
    assert len(document["function"]["hash"]) == 64
