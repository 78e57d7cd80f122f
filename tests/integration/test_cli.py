"""The program ``tiffin``, as a person types it: real processes, exit codes, both streams."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

NOON = "2026-01-02T12:00:00Z"


def run(*args: str, cwd: Path | None = None, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the program; a wrong exit code or a traceback fails the test."""
    result = subprocess.run(
        [sys.executable, "-m", "tiffin.cli.main", *args],
        cwd=cwd,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in result.stderr, result.stderr
    assert result.returncode == code, (result.returncode, result.stdout, result.stderr)
    return result


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repo from the minimal template: data written, applied, materialized."""
    folder = tmp_path_factory.mktemp("cli")
    run("init", "taxi", cwd=folder)
    place = folder / "taxi"
    command = [sys.executable, "prepare.py", "2026-01-01"]
    subprocess.run(command, cwd=place, check=True, capture_output=True)
    run("apply", "-m", "first", cwd=place)
    run("materialize", "first", NOON, cwd=place)
    return place


def test_the_readme_of_a_new_repo_works_line_by_line(tmp_path: Path) -> None:
    run("init", "taxi", cwd=tmp_path)
    text = (tmp_path / "taxi" / "README.md").read_text(encoding="utf-8")
    script = text.split("```sh\n")[1].split("```")[0]
    bin_dir = str(Path(sys.executable).parent)
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path / "taxi",
        env={**os.environ, "PATH": f"{bin_dir}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "fail" not in result.stdout
    assert (tmp_path / "taxi" / ".gitignore").read_text(encoding="utf-8").startswith("data/")


def test_init_refuses_a_folder_that_is_in_use_and_a_name_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "file").touch()
    assert "not an empty folder" in run("init", "here", cwd=tmp_path, code=1).stderr
    assert "name of a project" in run("init", "a b!", cwd=tmp_path, code=1).stderr
    run("init", "x", "-t", "nonsense", cwd=tmp_path, code=2)


def test_a_training_set_is_printed_as_a_table_and_as_json(repo: Path) -> None:
    rows = '[{"driver_id": 1001, "event_timestamp": "2026-01-01T12:30:00Z"}]'
    table = run("get-historical-features", "-s", "driver_model", "-d", rows, cwd=repo).stdout
    head = table.splitlines()[0].split()
    assert head == ["driver_id", "event_timestamp", "trips_today", "rating"]
    result = run(
        "get-historical-features", "-f", "driver_stats:rating", "-d", rows, "--json", cwd=repo
    )
    assert json.loads(result.stdout) == [
        {
            "driver_id": 1001,
            "event_timestamp": "2026-01-01T12:30:00Z",
            "rating": pytest.approx(4.2),
        }
    ]


def test_a_training_set_reads_and_writes_files(repo: Path, tmp_path: Path) -> None:
    spine = tmp_path / "spine.csv"
    spine.write_text("driver_id,event_timestamp,label\n1002,2026-01-01 05:00:00Z,1\n", "utf-8")
    out = tmp_path / "out.parquet"
    result = run(
        *("get-historical-features", "-s", "driver_model", "-d", str(spine)),
        *("-o", str(out), "--explain"),
        cwd=repo,
    )
    assert out.exists()
    assert "driver_stats" in result.stderr
    assert result.stdout == ""


def test_a_training_set_is_made_of_a_query_and_of_nothing(repo: Path) -> None:
    args = ("get-historical-features", "-s", "driver_model", "--json")
    sql = "select 1001 as driver_id, '2026-01-01T12:30:00Z' as event_timestamp"
    assert len(json.loads(run(*args, "-d", sql, cwd=repo).stdout)) == 1
    window = ("--start-date", "2026-01-01", "--end-date", "2026-01-01T12:00:00Z")
    rows = json.loads(run(*args, *window, cwd=repo).stdout)
    assert list(rows[0]) == ["driver_id", "event_timestamp", "trips_today", "rating"]
    assert rows == sorted(rows, key=lambda row: (row["event_timestamp"], row["driver_id"]))
    ends = json.loads(run(*args, *window, "--one-row-per-entity", cwd=repo).stdout)
    assert sorted({row["driver_id"] for row in rows}) == [row["driver_id"] for row in ends]
    error = run(*args, "-d", "nothing.csv", cwd=repo, code=1).stderr
    assert error.startswith("Error: entity_df: there is no file")
    assert "leave them out" in run(*args, "-d", sql, *window, cwd=repo, code=1).stderr


def test_rows_of_a_view_are_shown_and_written(repo: Path, tmp_path: Path) -> None:
    key = ("--key", "driver_id=1001")
    newest = json.loads(run("latest", "driver_stats", *key, "--json", cwd=repo).stdout)
    all_rows = json.loads(run("history", "driver_stats", *key, "--json", cwd=repo).stdout)
    assert newest == all_rows[-1:]
    assert {row["driver_id"] for row in all_rows} == {1001}
    early = run(
        "latest", "driver_stats", *key, "--as-of", "2026-01-01T00:00:00Z", "--json", cwd=repo
    )
    assert json.loads(early.stdout)[0]["event_timestamp"] <= "2026-01-01T00:00:00+00:00"
    window = ("--start", "2026-01-01", "--end", "2026-01-01T12:00:00Z", "-f", "rating")
    table = run("history", "driver_stats", *window, cwd=repo).stdout
    assert table.splitlines()[0].split() == ["driver_id", "event_timestamp", "created", "rating"]
    out = tmp_path / "rows.parquet"
    assert "written" in run("latest", "driver_stats", "-o", str(out), cwd=repo).stderr
    assert out.exists()
    pairs = (*key, "--key", "driver_id=y")
    assert "--key driver_id=y: 'd" in run("latest", "driver_stats", *pairs, cwd=repo, code=1).stderr
    missing = tmp_path / "no folder" / "rows.parquet"
    refused = run("latest", "driver_stats", "-o", str(missing), cwd=repo, code=1).stderr
    assert refused.startswith("Error: cannot write")
    assert list(tmp_path.glob("*.part")) == []
    for pair, words in (
        ("driver_id", "name=value"),
        ("driver_id=x", "int64"),
        ("x=1", "driver_id"),
    ):
        assert words in run("latest", "driver_stats", "-k", pair, cwd=repo, code=1).stderr
    assert "driver_stats" in run("latest", "driver_stat", cwd=repo, code=1).stderr


def test_a_lookup_says_what_is_not_found(repo: Path) -> None:
    args = ("get-online-features", "-s", "driver_model", "--at", NOON)
    table = run(*args, "-e", "driver_id=1001", "-e", "driver_id=7", cwd=repo).stdout
    assert "not found" in table.splitlines()[2]
    answer = json.loads(run(*args, "-e", "driver_id=1001", "--json", cwd=repo).stdout)
    assert answer["driver_id"] == [1001]
    assert list(answer) == ["driver_id", "trips_today", "rating"]


def test_objects_are_listed_and_described(repo: Path) -> None:
    for group, name in (
        ("entities", "driver"),
        ("data-sources", "driver_stats_source"),
        ("feature-views", "driver_stats"),
        ("feature-services", "driver_model"),
        ("projects", "taxi"),
    ):
        assert name in run(group, "list", cwd=repo).stdout
        assert name in run(group, "describe", name, cwd=repo).stdout
        assert json.loads(run(group, "describe", name, "--json", cwd=repo).stdout)["name"] == name
    error = run("feature-views", "describe", "driver_stat", cwd=repo, code=1).stderr
    assert "driver_stats" in error
    assert error.startswith("Error: ")
    assert len(error.strip().splitlines()) == 1


def test_apply_shows_what_it_would_remove_and_does_it_only_with_yes(
    repo: Path, tmp_path: Path
) -> None:
    place = tmp_path / "copy"
    run("init", "copy", cwd=tmp_path)
    command = [sys.executable, "prepare.py", "2026-01-01"]
    subprocess.run(command, cwd=place, check=True, capture_output=True)
    run("apply", cwd=place)
    file = place / "features.py"
    text = file.read_text(encoding="utf-8")
    file.write_text(text[: text.index("driver_model =")], encoding="utf-8")
    assert "- feature service driver_model" in run("plan", cwd=place).stdout
    error = run("apply", cwd=place, code=1).stderr
    assert "driver_model" in error
    assert "--yes" in error
    run("apply", "--yes", "-m", "drop the service", cwd=place)
    assert "driver_model" not in run("feature-services", "list", cwd=place).stdout
    assert "driver_model" in run("feature-services", "list", "--as-of", "1", cwd=place).stdout
    commits = json.loads(run("registry", "log", "--json", cwd=place).stdout)
    assert [c["message"] for c in commits] == ["drop the service", ""]
    assert "- feature service driver_model" in run("registry", "show", "2", cwd=place).stdout
    run("teardown", cwd=place, code=1)
    run("teardown", "--yes", cwd=place)


def test_a_file_that_fails_is_one_sentence_with_its_line(tmp_path: Path) -> None:
    run("init", "bad", cwd=tmp_path)
    (tmp_path / "bad" / "features.py").write_text("x = 1\ny = x.nothing\n", encoding="utf-8")
    error = run("apply", cwd=tmp_path / "bad", code=1).stderr
    assert "features.py" in error
    assert "line 2" in error or ":2" in error
    assert len(error.strip().splitlines()) == 1


def test_materialize_incremental_reports_and_a_second_run_changes_nothing(repo: Path) -> None:
    first = json.loads(run("materialize-incremental", NOON, "--json", cwd=repo).stdout)["views"][0]
    assert first["rows_written"] == 0
    assert "driver_stats" in run("materialize-incremental", NOON, cwd=repo).stdout


def test_what_is_new_is_loaded_up_to_now(tmp_path: Path) -> None:
    run("init", "taxi", cwd=tmp_path)
    place = tmp_path / "taxi"
    subprocess.run([sys.executable, "prepare.py"], cwd=place, check=True, capture_output=True)
    run("apply", cwd=place)
    first = json.loads(run("materialize", "first", "now", "--json", cwd=place).stdout)
    assert first["views"][0]["rows_written"] == 3
    run("materialize-incremental", "now", cwd=place)
    shown = run("get-online-features", "-s", "driver_model", "-e", "driver_id=1001", cwd=place)
    assert "OUTSIDE_MAX_AGE" not in shown.stdout
    assert "NOT_FOUND" not in shown.stdout
    assert "is no time" in run("materialize", "first", "soon", cwd=place, code=1).stderr


def test_doctor_and_configuration_and_version(repo: Path, tmp_path: Path) -> None:
    assert "rows online" in run("doctor", cwd=repo).stdout
    states = {f["state"] for f in json.loads(run("doctor", "--json", cwd=repo).stdout)}
    assert "fail" not in states
    assert "project: taxi" in run("configuration", cwd=repo).stdout
    assert run("version", cwd=tmp_path).stdout.startswith("tiffin ")
    missing = run("doctor", cwd=tmp_path, code=1).stdout
    assert "fail" in missing
    assert "feature_store.yaml" in missing


def test_doctor_looks_at_the_server(tmp_path: Path) -> None:
    run("init", "taxi", cwd=tmp_path)
    place = tmp_path / "taxi"

    def found(what: str) -> tuple[str, str]:
        findings = json.loads(
            subprocess.run(
                [sys.executable, "-m", "tiffin.cli.main", "doctor", "--json"],
                cwd=place,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            ).stdout
        )
        [finding] = [f for f in findings if f["what"] == what]
        return finding["state"], finding["found"]

    state, text = found("server")
    assert state == "ok"
    assert re.fullmatch(r"tiffin-server \S+ at /.*/tiffin-server", text)
    assert found("server settings") == ("ok", "understood")
    with (place / "feature_store.yaml").open("a") as file:
        file.write("feature_server: {prot: 80}\n")
    state, text = found("server settings")
    assert state == "warn"
    assert "'feature_server.prot'" in text
    text = (place / "feature_store.yaml").read_text().replace("prot: 80", "port: eighty")
    (place / "feature_store.yaml").write_text(text)
    state, text = found("server settings")
    assert state == "fail"
    assert text.endswith("feature_server.port must be a whole number from 0 to 65535, not 'eighty'")


def test_doctor_without_a_server_warns_and_one_of_another_release_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tiffin.cli import about

    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    [(state, what, text)] = about._check_program()
    assert (state, what) == ("warn", "server")
    assert "there is no program tiffin-server beside" in text
    program = tmp_path / "tiffin-server"
    for script, words in (
        ("#!/bin/sh\necho tiffin-server 0.0.1\n", "install both from one release"),
        ("#!/bin/sh\nexit 3\n", "ended with 3 and said nothing"),
        ("#!/nowhere/sh\n", "does not run"),
    ):
        program.write_text(script)
        program.chmod(0o755)
        [(state, _, text)] = about._check_program()
        assert state == "fail"
        assert words in text


def test_mistakes_on_the_command_line_are_code_2_and_others_are_code_1(
    repo: Path, tmp_path: Path
) -> None:
    run("no-such-command", code=2)
    run("get-online-features", "-s", "driver_model", "-e", "driver_id", cwd=repo, code=2)
    run("get-online-features", "-e", "driver_id=1", cwd=repo, code=2)
    run("-c", str(tmp_path / "nowhere"), "plan", code=1)
    assert "feature_store.yaml" in run("plan", cwd=tmp_path, code=1).stderr
    error = run("materialize", "2026-01-02", "2026-01-01", cwd=repo, code=1).stderr
    assert "before it starts" in error


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, tiffin.cli.main as m\n"
        "try:\n    m.main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'pyarrow','duckdb','pandas','polars','numpy','yaml','rich','tiffin._native'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "materialize-incremental" in result.stdout
