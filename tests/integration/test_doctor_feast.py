"""``tiffin doctor --feast``: what of a Feast repo runs here, said before anything is changed."""

import base64
import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOS = Path(__file__).parents[1] / "feast_repos"
UNSURE = """
from feast import BigQuerySource, Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Int64

k = Entity(name="k", value_type=ValueType.INT64)
far = FeatureView(
    name="far",
    entities=[k],
    schema=[Field(name="a", dtype=Int64)],
    source=BigQuerySource(name="big", table="a.b", timestamp_field="ts"),
)
gone = FeatureView(
    name="gone",
    entities=[k],
    schema=[Field(name="a", dtype=Int64)],
    source=FileSource(name="gone_file", path="gone.parquet", timestamp_field="ts"),
)
"""


def doctor(folder: Path, *options: str, **env: str) -> tuple[int, list[dict[str, str]]]:
    done = subprocess.run(
        [sys.executable, "-m", "tiffin.cli.main", "-c", folder, "doctor", *options, "--json"],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout)


def everything_in(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def repo(tmp_path, monkeypatch):
    """The drivers of the quickstart, with their data."""
    monkeypatch.syspath_prepend(str(REPOS))
    folder = tmp_path / "repo"
    shutil.copytree(REPOS / "driver_stats", folder)
    runpy.run_path(str(folder / "questions.py"))["write"](folder)
    (folder / "questions.py").unlink()
    return folder


def test_a_repo_that_runs_is_said_to_run_and_left_alone(repo):
    before = everything_in(repo)
    code, findings = doctor(repo, "--feast")
    assert code == 0, findings
    assert everything_in(repo) == before
    found = {finding["what"]: finding for finding in findings}
    assert found["feature view driver_hourly_stats"]["state"] == "ok"
    assert found["on-demand feature view transformed_conv_rate"]["state"] == "ok"
    warned = [f["found"] for f in findings if f["state"] == "warn"]
    assert len(warned) == 1
    assert "online_store of type 'sqlite' runs on LMDB" in warned[0]
    assert findings[-1]["found"].startswith("all of it runs")


def test_what_is_missing_is_named_one_by_one(repo):
    (repo / "unsure.py").write_text(UNSURE)
    (repo / "data" / "registry.db").write_bytes(b"\n\x05hello")
    settings = repo / "feature_store.yaml"
    settings.write_text(settings.read_text() + "auth: {type: oidc}\nunheard: 7\n")
    before = everything_in(repo)
    code, findings = doctor(repo, "--feast")
    assert (code, everything_in(repo)) == (1, before)
    failed = {f["what"]: f["found"] for f in findings if f["state"] == "fail"}
    assert failed.keys() == {
        "registry",
        "feature view far",
        "feature view gone",
        "data source gone_file",
        "in all",
    }
    assert "is neither Tiffin's nor Feast's" in failed["registry"]
    assert "reads no BigQuery" in failed["feature view far"]
    assert "gone.parquet' cannot be read" in failed["feature view gone"]
    warned = " ".join(f["found"] for f in findings if f["state"] == "warn")
    for word in ("auth is not checked", "'unheard'", "is kept, and not read"):
        assert word in warned


@pytest.mark.parametrize(
    ("text", "where", "said"),
    [
        ("project: [", "feature_store.yaml", "line"),
        ("provider: local\n", "feature_store.yaml", "project"),
    ],
)
def test_settings_that_cannot_be_read_end_it(repo, text, where, said):
    (repo / "feature_store.yaml").write_text(text)
    code, findings = doctor(repo, "--feast")
    assert (code, len(findings)) == (1, 1)
    assert (findings[0]["state"], findings[0]["what"]) == ("fail", where)
    assert said in findings[0]["found"]


def test_a_file_that_fails_is_named_with_its_line(repo):
    (repo / "wrong.py").write_text("import nothing_of_this_name\n")
    code, findings = doctor(repo, "--feast")
    assert code == 1
    failed = next(f for f in findings if f["state"] == "fail")
    assert failed["what"] == "Python files"
    assert "wrong.py" in failed["found"]


def test_settings_of_the_environment_are_looked_at(repo):
    text = (repo / "feature_store.yaml").read_text()
    (repo / "feature_store.yaml").unlink()
    variable = {"FEATURE_STORE_YAML_BASE64": base64.b64encode(text.encode()).decode()}
    assert doctor(repo, "--feast", **variable)[0] == 0
    subprocess.run(
        [sys.executable, "-m", "tiffin.cli.main", "-c", repo, "apply", "-y"],
        env={**os.environ, **variable},
        capture_output=True,
        timeout=60,
        check=True,
    )
    _, findings = doctor(repo, **variable)  # the server has no such variable: it gets a file
    assert [f["state"] for f in findings if f["what"] == "server settings"] != ["fail"]
