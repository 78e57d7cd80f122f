"""The quickstart of Feast's documentation, step by step, with `tiffin-feast` linked as `feast`."""

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from free_port import free_port

BESIDE = Path(sys.executable).parent

# What the documentation does in Python: train, score, look up by names and by a service.
PROGRAM = """
from datetime import datetime
import pandas as pd
from feast import FeatureStore

store = FeatureStore(repo_path=".")
asked = pd.DataFrame.from_dict(
    {
        "driver_id": [1001, 1002, 1003],
        "event_timestamp": [datetime(2021, 4, 12, hour, 10) for hour in (10, 8, 16)],
        "label_driver_reported_satisfaction": [1, 5, 3],
        "val_to_add": [1, 2, 3],
        "val_to_add_2": [10, 20, 30],
    }
)
features = [
    "driver_hourly_stats:conv_rate",
    "driver_hourly_stats:acc_rate",
    "driver_hourly_stats:avg_daily_trips",
    "transformed_conv_rate:conv_rate_plus_val1",
    "transformed_conv_rate:conv_rate_plus_val2",
]
for time in (None, pd.to_datetime("now", utc=True)):
    if time is not None:
        asked["event_timestamp"] = time
    training = store.get_historical_features(entity_df=asked, features=features).to_df()
    assert len(training) == 3 and not training.isna().any().any(), training
    sums = training["conv_rate"].astype("float64") + training["val_to_add"]
    assert (training["conv_rate_plus_val1"] == sums).all(), training

rows = [{"driver_id": driver, "val_to_add": 1000, "val_to_add_2": 2000} for driver in (1004, 1005)]
by_names = store.get_online_features(features=features, entity_rows=rows).to_dict()
service = store.get_feature_service("driver_activity_v2")
by_service = store.get_online_features(features=service, entity_rows=rows).to_dict()
assert by_names == by_service and None not in by_names["acc_rate"], (by_names, by_service)
assert by_names["conv_rate_plus_val2"] == [rate + 2000 for rate in by_names["conv_rate"]]
print("done")
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH that has `feast`, a link to tiffin-feast, and no other program of that name."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "feast").symlink_to(BESIDE / "tiffin-feast")
    return f"{folder}:{BESIDE}:{os.environ['PATH']}"


def call(*command: str, path: str, cwd: Path, code: int = 0) -> str:
    """Run a program; returns what it printed, or, if it was to fail, what it complained about."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, (command, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr, done.stderr
    return done.stderr if code else done.stdout


def test_the_quickstart_of_the_documentation(tmp_path: Path, path: str) -> None:
    def feast(*arguments: str, cwd: Path, code: int = 0) -> str:
        return call("feast", *arguments, path=path, cwd=cwd, code=code)

    assert "feature_definitions.py" in feast("init", "my_project", cwd=tmp_path)
    repo = tmp_path / "my_project" / "feature_repo"
    assert "project: my_project\n" in (repo / "feature_store.yaml").read_text("utf-8")
    assert str(tmp_path) not in "".join(p.read_text("utf-8") for p in repo.glob("*.*"))
    assert len((tmp_path / "my_project" / "README.md").read_text("utf-8").splitlines()) <= 10
    assert "data/" in (tmp_path / "my_project" / ".gitignore").read_text("utf-8")

    assert feast("apply", cwd=repo).startswith("Applying changes for project my_project\n")
    now = datetime.now(UTC)
    feast("materialize-incremental", f"{now:%Y-%m-%dT%H:%M:%S}", cwd=repo)
    answer = json.loads(
        feast(
            *("get-online-features", "-e", "driver_id=1001", "-e", "driver_id=1002"),
            *("-f", "driver_hourly_stats:conv_rate", "-f", "driver_hourly_stats:acc_rate"),
            cwd=repo,
        )
    )
    assert answer["driver_id"] == [1001, 1002]
    assert None not in answer["conv_rate"] + answer["acc_rate"]

    python = ("python", "-m", "tiffin.feast", "-c", PROGRAM)
    assert call(*python, path=path, cwd=repo) == "done\n"
    said = call("python", "test_workflow.py", path=path, cwd=repo)
    assert "conv_rate: [1.0, " in said.rpartition("Features that are pushed")[2]
    newest = f"{now + timedelta(days=1):%Y-%m-%dT%H:%M:%S}"
    feast("materialize", "2021-04-01T00:00:00", newest, "-v", "driver_hourly_stats", cwd=repo)
    assert "there is no web interface" in feast("ui", cwd=repo, code=1)

    feast("teardown", cwd=repo)
    gone = feast("feature-services", "describe", "driver_activity_v1", cwd=repo, code=1)
    assert "'driver_activity_v1'" in gone


LISTS = (
    "entities feature-views feature-services features projects on-demand-feature-views "
    "label-views stream-feature-views saved-datasets permissions validation-references"
).split()
DECORATOR = "on_demand_feature_view"


@pytest.mark.long
def test_feast_itself_runs_the_template_and_lists_the_same(tmp_path: Path, path: str) -> None:
    """The template with `feast` for `tiffin`, in the Feast of .venv-peers: equal lines."""
    real = Path(__file__).parents[2] / ".venv-peers" / "bin" / "feast"
    if not real.exists():
        pytest.skip("Feast is not there: tools/setup.sh peers installs it")
    call("feast", "init", "taxi", "--repo-path", ".", path=path, cwd=tmp_path)
    repo = tmp_path / "feature_repo"
    (repo / "test_workflow.py").unlink()
    file = repo / "feature_definitions.py"
    text = file.read_text("utf-8").replace("from tiffin", "from feast")
    text = text.replace("    on_demand_feature_view,\n", "").replace(
        "from feast.types",
        f"from feast.on_demand_feature_view import {DECORATOR}\nfrom feast.types",
    )
    file.write_text(text, "utf-8")
    settings = repo / "feature_store.yaml"
    ours = settings.read_text("utf-8")
    theirs = ours.replace("registry.db", "feast.db").replace("type: lmdb", "type: sqlite")
    (repo / "theirs.yaml").write_text(theirs.replace("data/online", "data/online.db"), "utf-8")
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}"
    asked = ["get-online-features", "-e", "driver_id=1001", "-f", "driver_hourly_stats:acc_rate"]
    programs = (["feast"], [str(real), "-f", "theirs.yaml"])
    for program in programs:
        call(*program, "apply", path=path, cwd=repo)
        call(*program, "materialize-incremental", now, path=path, cwd=repo)
    for command in [*([name, "list"] for name in LISTS), asked]:
        ours, theirs = (
            sorted(call(*program, *command, path=path, cwd=repo).splitlines())
            for program in programs
        )
        assert ours == theirs, command


def test_a_repo_is_served_under_feasts_name(tmp_path: Path, path: str) -> None:
    def feast(*arguments: str) -> str:
        return call("feast", *arguments, path=path, cwd=repo)

    call("feast", "init", "taxi", "--repo-path", ".", path=path, cwd=tmp_path)
    repo = tmp_path / "feature_repo"
    port = free_port()
    with (repo / "feature_store.yaml").open("a") as file:
        file.write(f"feature_server: {{port: {port}}}\n")
    feast("apply")
    feast("materialize", "--disable-event-timestamp")
    assert feast("endpoint") == f"There is no active feature server on 127.0.0.1:{port}.\n"
    server = subprocess.Popen(
        ["feast", "serve", "--no-access-log", "--max-requests", "9", "-k", "", "-c", ""],
        cwd=repo,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        assert f"127.0.0.1:{port}" in server.stdout.readline()
        assert feast("endpoint") == f"Feature server endpoint: http://127.0.0.1:{port}\n"
        asked = {
            "feature_service": "driver_activity_v1",
            "entities": {"driver_id": [1001], "val_to_add": [1], "val_to_add_2": [2]},
        }
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/get-online-features", json.dumps(asked).encode()
        )
        with urllib.request.urlopen(request, timeout=30) as reply:
            answer = json.load(reply)
        values = dict(
            zip(
                answer["metadata"]["feature_names"],
                [result["values"][0] for result in answer["results"]],
                strict=True,
            )
        )
        assert values["conv_rate_plus_val1"] == values["conv_rate"] + 1
    finally:
        server.send_signal(signal.SIGTERM)
        _, said = server.communicate(timeout=60)
    assert "--max-requests has no effect" in said


def test_feasts_own_template_runs(tmp_path: Path, path: str) -> None:
    """What the real `feast init -t local` makes, with its program but for one word of it."""
    feast = Path(__file__).parents[2] / ".venv-peers" / "bin" / "feast"
    feast = Path(os.environ.get("TFN_FEAST_PYTHON", feast)).with_name("feast")
    call(str(feast), "init", "-t", "local", "taxi", path=path, cwd=tmp_path)
    repo = tmp_path / "taxi" / "feature_repo"
    applied = shutil.copytree(repo, tmp_path / "applied")
    call(str(feast), "apply", path=path, cwd=applied)  # the real one: its registry is read as it is
    said = call("tiffin", "materialize-incremental", "now", path=path, cwd=applied)
    assert "driver_quality_labels" in said  # Feast calls the key of its labels a text
    program = repo / "test_workflow.py"
    # Its source is one file, and rows are never written into one (docs/writing.md).
    text = program.read_text().replace("to=PushMode.ONLINE_AND_OFFLINE", "to=PushMode.ONLINE")
    program.write_text(text)
    said = call(sys.executable, "-m", "tiffin.feast", str(program), path=path, cwd=repo)
    steps = said.split("\n--- ")
    updated = next(step for step in steps if "again with updated values" in step)
    assert "'name': 'driver_1001_updated'" in updated
    assert "driver_metadata  :  [{'vehicle_type':" in said
