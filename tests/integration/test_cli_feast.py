"""The program as `feast`: Feast's commands, options and tables, and what it says of those not here.

Commands run in this process, as `tiffin-feast` runs them; test_quickstart.py has real ones.
"""

import json
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tiffin.cli.driver_stats import DRIVERS, HOURS, write_driver_stats
from tiffin.cli.main import tiffin
from tiffin.errors import TiffinError

Feast = Callable[..., str]
OPTIONS = Path(__file__).parents[1] / "golden" / "feast-cli.json"
TEAM = "team:driver_performance"

KEPT = """
from feast import Entity, FeatureView, LabelView, StreamFeatureView
from feast.permissions.action import AuthzedAction
from feast.permissions.permission import Permission
from feast.permissions.policy import RoleBasedPolicy
from feature_definitions import FIGURES, driver, driver_stats_push_source

labels = LabelView(
    name="labels", entities=[driver], schema=FIGURES, source=driver_stats_push_source
)
stream = StreamFeatureView(
    name="stream", entities=[driver], schema=FIGURES, source=driver_stats_push_source
)
readers = Permission(
    name="readers",
    types=[FeatureView, Entity],
    name_patterns=["driver_.*"],
    actions=AuthzedAction.READ_ONLINE,
    policy=RoleBasedPolicy(roles=["reader", "admin"]),
    required_tags={"team": "driver_performance"},
)
"""


def call(repo: Path, *arguments: str, is_feast: bool = True) -> str:
    """Run a command; returns its standard output, or raises what it failed with."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = CliRunner().invoke(
            tiffin,
            ["-c", str(repo), *arguments],
            obj={"is_feast": is_feast},
            prog_name="feast" if is_feast else "tiffin",
            standalone_mode=False,
        )
    if result.exception is not None:
        raise result.exception
    return result.stdout


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repo of the template `local`, applied and materialized; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("feast") / "my_project"
    call(Path(), "init", "my_project", "--repo-path", str(folder))
    repo = folder / "feature_repo"
    (repo / "kept.py").write_text(KEPT, encoding="utf-8")
    call(repo, "apply")
    call(repo, "materialize", "--disable-event-timestamp", "-v", "driver_hourly_stats")
    return repo


@pytest.fixture
def feast(repo: Path) -> Feast:
    def run(*arguments: str) -> str:
        return call(repo, *arguments)

    return run


def rows(table: str) -> list[list[str]]:
    """Return the cells of a table: two spaces part them."""
    return [re.split(r" {2,}", line) for line in table.splitlines()]


def test_lists_have_feasts_columns(feast: Feast) -> None:
    assert [row.split() for row in feast("entities", "list").splitlines()] == [
        ["NAME", "DESCRIPTION", "TYPE"],
        ["driver", "ValueType.INT64"],
    ]
    assert "driver_hourly_stats_source  FileSource\n" in feast("data-sources", "list")
    services = feast("feature-services", "list").splitlines()
    assert services[0].split() == ["NAME", "FEATURES"]
    assert services[1].endswith(
        "  driver_hourly_stats:conv_rate, transformed_conv_rate:conv_rate_plus_val1, "
        "transformed_conv_rate:conv_rate_plus_val2"
    )
    assert rows(feast("on-demand-feature-views", "list"))[:2] == [
        ["NAME"],
        ["transformed_conv_rate"],
    ]
    assert rows(feast("stream-feature-views", "list")) == [["NAME"], ["stream"]]
    labels = [line.split() for line in feast("label-views", "list").splitlines()]
    assert labels[0] == ["NAME", "ENTITIES", "CONFLICT_POLICY"]
    assert labels[1][:2] == ["labels", "driver"]
    assert feast("projects", "list").splitlines()[1].split() == ["my_project", "{}"]
    assert rows(feast("saved-datasets", "list")) == [["NAME"]]


def test_permissions_say_what_they_would_be_for(feast: Feast) -> None:
    assert rows(feast("permissions", "list")) == [
        ["NAME", "TYPES", "NAME_PATTERNS", "ACTIONS", "ROLES", "REQUIRED_TAGS"],
        ["readers", "FeatureView", "driver_.*", "READ_ONLINE", "admin", TEAM.replace(":", " : ")],
        ["", "Entity", "reader"],
    ]
    assert feast("permissions", "list", "-v").splitlines() == [
        "permissions",
        "└── readers ['admin', 'reader']",
        "    ├── FeatureView: ['driver_hourly_stats', 'driver_hourly_stats_fresh']",
        "    └── Entity: none",
    ]
    assert rows(feast("permissions", "list-roles")) == [["ROLE NAME"], ["admin"], ["reader"]]
    permitted = rows(feast("permissions", "list-roles", "-v"))
    assert permitted[0] == ["ROLE NAME", "RESOURCE NAME", "RESOURCE TYPE", "PERMITTED ACTIONS"]
    assert permitted[1:3] == [
        ["admin", "driver", "Entity", "-"],
        ["admin", "driver_hourly_stats", "FeatureView", "READ_ONLINE"],
    ]
    assert "Permission" not in feast("permissions", "list", "--tags", "team:nobody")


def test_feature_views_show_their_state(feast: Feast) -> None:
    found = [line.split() for line in feast("feature-views", "list").splitlines()]
    assert found == [
        ["NAME", "ENTITIES", "TYPE", "ENABLED", "STATE"],
        ["driver_hourly_stats", "{'driver'}", "FeatureView", "Yes", "AVAILABLE_ONLINE"],
        ["driver_hourly_stats_fresh", "{'driver'}", "FeatureView", "Yes", "STATE_UNSPECIFIED"],
        ["transformed_conv_rate", "{'driver'}", "OnDemandFeatureView", "Yes", "STATE_UNSPECIFIED"],
        [
            "transformed_conv_rate_fresh",
            "{'driver'}",
            "OnDemandFeatureView",
            "Yes",
            "STATE_UNSPECIFIED",
        ],
    ]
    assert rows(feast("feature-views", "list", "--tags", "team:nobody"))[1:] == []
    assert len(rows(feast("feature-views", "list", "--tags", TEAM))) == 3


def test_features_are_listed_and_described(feast: Feast, repo: Path) -> None:
    assert rows(feast("features", "list"))[0] == ["Feature", "Feature View", "Data Type"]
    names = {"feature_name": "conv_rate", "feature_view": "driver_hourly_stats"}
    as_json = ("features", "list", "--output", "json")
    assert json.loads(call(repo, *as_json, is_feast=False))[0] == {**names, "dtype": "Float32"}
    swapped = dict(zip(names, reversed(names.values()), strict=True))
    assert json.loads(feast(*as_json))[0] == {**swapped, "dtype": "Float32"}
    described = json.loads(feast("features", "describe", "acc_rate"))
    assert described[0]["Feature View"] == "driver_hourly_stats"
    assert described[0]["Source"]["path"] == "data/driver_stats.parquet/"
    with pytest.raises(TiffinError, match="no feature 'nothing'; there are: acc_rate, avg_daily"):
        feast("features", "describe", "nothing")


def test_descriptions_are_yaml_and_the_dump_is_json(feast: Feast) -> None:
    import yaml

    assert yaml.safe_load(feast("entities", "describe", "driver"))["join_key"] == "driver_id"
    assert yaml.safe_load(feast("projects", "current_project"))["name"] == "my_project"
    dump = json.loads(feast("registry-dump"))
    assert dump["project"] == "my_project"
    assert [view["name"] for view in dump["onDemandFeatureViews"]] == [
        "transformed_conv_rate",
        "transformed_conv_rate_fresh",
    ]
    with pytest.raises(TiffinError, match="is a FeatureView; `feast feature-views describe"):
        feast("label-views", "describe", "driver_hourly_stats")


def test_rows_are_json_and_letters_are_feasts(feast: Feast, repo: Path) -> None:
    ask = ("-f", "driver_hourly_stats:conv_rate")
    window = ("-s", "2021-04-12 00:00:00", "-e", "2021-04-13 00:00:00")
    by_window = json.loads(feast("get-historical-features", *ask, *window))
    assert [row["driver_id"] for row in by_window] == list(DRIVERS)
    entities = json.dumps([{"driver_id": 1002, "event_timestamp": "2021-04-12T08:00:00"}])
    [row] = json.loads(feast("get-historical-features", *ask, "-d", entities))
    assert row["conv_rate"] == by_window[1]["conv_rate"]
    shown = call(
        repo,
        *("get-historical-features", "-s", "driver_activity_v3", "-d"),
        '[{"driver_id": 1, "event_timestamp": "2021-04-12", "val_to_add": 1, "val_to_add_2": 2}]',
        is_feast=False,
    )
    assert shown.splitlines()[0].split() == ["driver_id", "1"]  # -s is a service; no JSON
    answer = json.loads(feast("get-online-features", "-e", "driver_id=1001", *ask))
    assert list(answer) == ["driver_id", "conv_rate"]


def test_a_view_is_disabled_and_enabled(feast: Feast) -> None:
    name = "driver_hourly_stats"
    assert feast("feature-views", "enable", name) == f"Feature view '{name}' is already enabled.\n"
    feast("feature-views", "disable", name)
    try:
        assert "No" in feast("feature-views", "list").splitlines()[1].split()
        with pytest.raises(TiffinError, match="it is disabled"):
            feast("get-online-features", "-e", "driver_id=1001", "-f", f"{name}:conv_rate")
        report = json.loads(feast("materialize", "2021-04-12", "2021-04-13", "--json"))
        assert name not in [view["view"] for view in report["views"]]
    finally:
        said = feast("feature-views", "enable", name)
    assert said == f"Feature view '{name}' has been enabled.\n"
    answer = json.loads(
        feast("get-online-features", "-e", "driver_id=1001", "-f", f"{name}:conv_rate")
    )
    assert answer["conv_rate"] != [None]
    with pytest.raises(TiffinError, match="on-demand feature view, which cannot be disabled"):
        feast("feature-views", "disable", "transformed_conv_rate")
    said = feast("feature-views", "set-state", name, "available_online")
    assert said == f"Feature view '{name}' is already in state AVAILABLE_ONLINE.\n"
    with pytest.raises(TiffinError, match="not set to CREATED, because states here follow"):
        feast("feature-views", "set-state", name, "created")
    assert len(rows(feast("feature-views", "list-versions", name))) == 2  # no new version


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A repo of its own, applied."""
    call(Path(), "init", "my_project", "--repo-path", str(tmp_path))
    call(tmp_path / "feature_repo", "apply")
    return tmp_path / "feature_repo"


def test_versions_are_commits_that_change_what_a_view_computes(copy: Path) -> None:
    file = copy / "feature_definitions.py"
    text = file.read_text("utf-8")
    file.write_text(text.replace("timedelta(days=1)", "timedelta(days=2)"), "utf-8")
    call(copy, "apply")
    field = '    Field(name="avg_daily_trips", dtype=Int64),\n'
    assert field in text
    file.write_text(text.replace(field, ""), "utf-8")
    call(copy, "apply")
    table = rows(call(copy, "feature-views", "list-versions", "driver_hourly_stats"))
    assert table[0] == ["VERSION", "TYPE", "CREATED", "VERSION_ID"]
    assert [(row[0], row[-1]) for row in table[1:]] == [
        ("v0", "commit 1"),
        ("v1", "commit 3"),
    ]
    assert len(rows(call(copy, "feature-views", "list-versions", "transformed_conv_rate"))) == 2
    with pytest.raises(TiffinError, match="'nothing'"):
        call(copy, "feature-views", "list-versions", "nothing")


def test_a_protected_project_is_not_removed(copy: Path) -> None:
    text = """
from tiffin import Project
project = Project(name="my_project", tags={"feast.dev/protected-project": "true"})
"""
    (copy / "project.py").write_text(text, "utf-8")
    call(copy, "apply")
    for command in (("teardown",), ("projects", "delete", "my_project", "-y")):
        with pytest.raises(TiffinError, match="'my_project' is protected"):
            call(copy, *command)
    assert "driver_hourly_stats" in call(copy, "feature-views", "list")


def test_what_is_gone_from_the_files_is_removed_without_asking(copy: Path) -> None:
    file = copy / "feature_definitions.py"
    text = file.read_text("utf-8")
    file.write_text(text[: text.index("driver_activity_v3 =")], "utf-8")
    assert "- feature service driver_activity_v3" in call(copy, "apply", "--no-progress")
    with pytest.raises(TiffinError, match="pass --yes"):
        call(copy, "teardown", is_feast=False)
    with pytest.raises(TiffinError, match="a definition that is applied is the one in use"):
        call(copy, "apply", "--no-promote")


def test_one_definition_or_a_project_is_deleted(copy: Path) -> None:
    said = call(copy, "delete", "driver_activity_v2")
    assert said == "Deleted FeatureService driver_activity_v2 from my_project.\n"
    assert "driver_activity_v2" not in call(copy, "feature-services", "list")
    with pytest.raises(TiffinError, match="cannot be removed: feature view"):
        call(copy, "delete", "driver")
    assert call(copy, "delete", "nothing") == "Object not found. Deletion skipped.\n"
    with pytest.raises(TiffinError, match="there is no definition 'nothing' in project 'my_pro"):
        call(copy, "delete", "nothing", is_feast=False)
    other = copy.parent / "other.yaml"
    text = (copy / "feature_store.yaml").read_text("utf-8")
    other.write_text(text.replace("my_project", "other"), "utf-8")
    call(copy, "-f", str(other), "apply")
    with pytest.raises(TiffinError, match="pass --yes"):
        call(copy, "projects", "delete", "other")
    assert call(copy, "projects", "delete", "other", "-y") == (
        "Project 'other' deleted successfully.\n"
    )
    assert rows(call(copy, "projects", "list"))[1][0] == "my_project"
    with pytest.raises(TiffinError, match="'nothing'"):
        call(copy, "projects", "delete", "nothing", "-y")


def find(path: str) -> click.Command:
    """Return one of our commands; of one that does not exist, what says so."""
    command: click.Command = tiffin
    for name in path.split():
        context = click.Context(command, obj={"is_feast": True})
        if not isinstance(command, click.Group):
            return command  # it takes any arguments
        found = command.get_command(context, name)
        assert found is not None, f"there is no command {path!r}"
        command = found
    return command


def test_every_command_and_option_of_feast_is_known() -> None:
    missing = {}
    for path, wanted in json.loads(OPTIONS.read_text("utf-8")).items():
        params = find(path).params
        if any(p.nargs == -1 for p in params if isinstance(p, click.Argument)):
            continue  # whatever is asked, it says that it is not there
        known = {name for p in params for name in (*p.opts, *p.secondary_opts)}
        if unknown := sorted(set(wanted) - known - {"--help"}):
            missing[path] = unknown
    assert missing == {}


@pytest.mark.long
def test_the_recorded_options_are_those_of_feast() -> None:
    """Against the Feast of .venv-peers; to record: feast_cli_child.py > tests/golden/..."""
    peer = Path(__file__).parents[2] / ".venv-peers" / "bin" / "python"
    if not peer.exists():
        pytest.skip("Feast is not there: tools/setup.sh peers installs it")
    child = Path(__file__).with_name("feast_cli_child.py")
    done = subprocess.run([peer, child], capture_output=True, text=True, timeout=120, check=True)
    assert json.loads(done.stdout) == json.loads(OPTIONS.read_text("utf-8"))


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("serve_offline -p 8815", "serve_offline: there is no offline server; `feast history"),
        ("serve_registry --rest-api --no-grpc", "there is no registry server"),
        ("serve_lineage -h ::", "there is no lineage server"),
        ("serve_transformations", "`feast serve` runs them"),
        ("listen -a localhost:50051 -w 10", "there is no gRPC server for features"),
        ("ui -p 8888 --root_path /x", "there is no web interface"),
        ("monitor run -v driver_hourly_stats --set-baseline", "features are not monitored"),
        ("dbt import -m manifest.json -e driver_id", "models of dbt are not imported"),
        ("dbt list -m manifest.json", "models of dbt are not imported"),
        ("demo-notebooks -o here", "no notebooks are made"),
        ("validate -f driver_activity_v1 -r x 2021-01-01 2021-01-02", "are not validated"),
        ("permissions check", "permissions are kept and not checked"),
        ("registry create-schema", "there is no SQL registry"),
        ("materialize-incremental 2021-04-12 --version v2", "--version v2: the online store has"),
        ("init x -t snowflake", "there is no template 'snowflake'; `feast init -t local` makes"),
    ],
)
def test_what_does_not_exist_says_what_does(feast: Feast, command: str, words: str) -> None:
    with pytest.raises(TiffinError) as caught:
        feast(*command.split())
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_program_has_the_name_it_is_called_by(tmp_path: Path, repo: Path) -> None:
    (tmp_path / "feast").symlink_to(Path(sys.executable).with_name("tiffin-feast"))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["feast", *arguments],
            env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert run("--help").stdout.startswith("Usage: feast [OPTIONS] COMMAND")
    lost = run("plan")
    assert lost.returncode == 1
    assert "name that folder (feast --chdir FOLDER ...)" in lost.stderr
    assert "`feast init NAME`" in lost.stderr
    assert len(lost.stderr.splitlines()) == 1
    absent = run("-c", str(repo), "serve_registry")
    assert (absent.returncode, absent.stdout) == (1, "")
    assert len(absent.stderr.splitlines()) == 1
    assert 'Feast SDK Version: "' in run("version").stdout
    assert "warning: permission 'readers' is kept" in run("-c", str(repo), "apply").stderr
    assert run("-c", str(repo), "--log-level", "error", "apply").stderr == ""
    wrong = run("-c", str(repo), "materialize", "2021-01-01")
    assert wrong.returncode == 2
    assert "give START and END, or --disable-event-timestamp" in wrong.stderr


def test_init_makes_up_a_name_and_replaces_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call(Path(), "init")
    [made_up] = tmp_path.iterdir()
    text = (made_up / "feature_repo" / "feature_store.yaml").read_text("utf-8")
    assert f"project: {made_up.name}\n" in text
    call(Path(), "init", "-m", "small")
    assert (tmp_path / "small" / "features.py").exists()
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "README.md").write_text("mine")
    with pytest.raises(TiffinError, match=r"already own/README\.md; nothing was written"):
        call(Path(), "init", "x", "--repo-path", "own")
    assert [p.name for p in (tmp_path / "own").iterdir()] == ["README.md"]


def test_the_data_of_the_template_depend_on_the_time_alone(tmp_path: Path) -> None:
    from pyarrow import parquet

    files = [tmp_path / name for name in ("first.parquet", "second.parquet", "later.parquet")]
    for file, hour in zip(files, (12, 12, 15), strict=True):
        n_rows = write_driver_stats(file, datetime(2026, 1, 2, hour, 30, tzinfo=UTC))
        assert n_rows == len(DRIVERS) * (HOURS + 1)
    first, second, later = (parquet.read_table(file) for file in files)
    assert first == second
    times = ["event_timestamp", "created"]
    assert first.drop_columns(times) == later.drop_columns(times)
    assert max(first["event_timestamp"].to_pylist()) == datetime(2026, 1, 2, 11, tzinfo=UTC)
    assert files[0].stat().st_size < 100_000
