"""The Python process beside a real server: what it answers, and what its end does to requests."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from server_process import ServerProcess, wait_until
from server_repo import EVERY, T1, ask, ask_text, frame, make_repo

from tiffin import FeatureService
from tiffin.server.host import Host
from tiffin.store.repo import load_repo

LOOKUP = "/get-online-features"


@pytest.fixture
def store(tmp_path):
    store = make_repo(tmp_path)
    store.push("rides_push", frame())
    return store


@pytest.fixture
def server(store):
    options = ("--python", sys.executable, "--limit", "request_seconds=10", "--jobs", "1")
    with ServerProcess(store.repo_path, *options) as server:
        yield server


def question(mood: str = "fine", **more):
    entities = {"driver_id": [1, 9], "mood": [mood, mood]}
    return {"features": ["stats:trips", "doubled:twice"], "entities": entities, **more}


def is_over(pid: int) -> bool:
    """Whether all its threads have ended: until then its files are open."""
    try:
        files = [task / "stat" for task in Path(f"/proc/{pid}/task").iterdir()]
        states = [file.read_text().rpartition(")")[2].split()[0] for file in files]
    except OSError:  # a thread ended meanwhile
        return False
    return states == ["Z"]


def pid_of(server) -> int:
    _, answer = ask(server, LOOKUP, question("pid"))
    return answer["results"][2]["values"][0]


def test_on_demand_views_are_answered_in_feasts_form(server):
    status, answer = ask(server, LOOKUP, question())
    assert status == 200
    assert answer["metadata"] == {"feature_names": ["driver_id", "trips", "twice"]}
    epoch = "1970-01-01T00:00:00Z"
    assert answer["results"] == [
        {"values": [1, 9], "statuses": ["PRESENT"] * 2, "event_timestamps": [epoch] * 2},
        {
            "values": [5, None],
            "statuses": ["PRESENT", "NOT_FOUND"],
            "event_timestamps": [T1, epoch],
        },
        {"values": [10, 0], "statuses": ["PRESENT"] * 2, "event_timestamps": [epoch] * 2},
    ]


def test_on_demand_views_are_answered_in_the_lean_form(server):
    body = {**question(), "with": ["statuses", "event_times"]}
    status, answer = ask(server, "/v1/features", body)
    assert status == 200
    assert answer == {
        "names": ["trips", "twice"],
        "columns": [[5, None], [10, 0]],
        "statuses": [[1, 3], [1, 1]],
        "event_times": [[1706745600000000, None], [None, None]],
    }


def test_a_field_of_the_request_that_is_missing_has_feasts_class(server):
    status, said = ask(server, LOOKUP, {**question(), "entities": {"driver_id": [1]}})
    detail = json.loads(said)
    assert (status, detail["class"]) == (404, "RequestDataNotFoundInEntityRowsException")
    assert "'doubled' needs 'mood'" in detail["message"]


def test_on_demand_views_are_answered_to_a_query(server, store):
    objects = {one.name: one for one in load_repo(store.repo_path).objects}
    features = [objects["stats"][["trips"]], objects["doubled"]]
    store.apply([FeatureService(name="computed", features=features)])
    query = "driver_id=1&driver_id=9&mood=caf%C3%A9+%26&mood="
    path = "/v1/features/computed?with=statuses,event_times&full_feature_names=true&"
    assert ask(server, path + query, None, "GET") == (
        200,
        {
            "names": ["stats__trips", "doubled__twice"],
            "columns": [[5, None], [10, 0]],
            "statuses": [[1, 3], [1, 1]],
            "event_times": [[1706745600000000, None], [None, None]],
        },
    )
    path = "/v1/features/computed?max_age_seconds=1&with=&"
    status, answer = ask(server, path + query, None, "GET")
    assert (status, answer["columns"]) == (200, [[None, None], [0, 0]])
    assert "statuses" not in answer
    for wrong in ("driver_id=x&mood=a", "driver_id=1&mood=a&mood=b", "driver_id=1", "mood=a"):
        status, answer = ask(server, "/v1/features/computed?" + wrong, None, "GET")
        assert (status, answer["error"]["code"]) == (400, "INVALID"), (wrong, answer)
    for wrong in ("full_feature_names=maybe", "max_age_seconds=soon", "with=all", "a=%zz"):
        status, answer = ask(server, f"/v1/features/computed?{query}&{wrong}", None, "GET")
        assert (status, answer["error"]["code"]) == (400, "INVALID"), (wrong, answer)


def test_python_writes_what_c_writes_byte_for_byte(server, store):
    doubles = [0.1, 1e16, 1e21, 1e22, 1.5e-7, 1e-6, 123456789012345680.0, -0.0, 5e-324, 1.7e308]
    n = len(doubles)
    df = {
        "driver_id": list(range(n)),
        "event_timestamp": [f"2024-02-01T00:00:00.{i:06}Z" for i in range(n)],
        "created": [T1] * n,
        "whole": [(-1) ** i * i * 2**58 for i in range(n)],
        "single": [d if abs(d) < 1e30 else 0.3 for d in doubles],
        "double": doubles,
        "flag": [i % 2 == 0 for i in range(n)],
        "text": ["", 'quote"\\', "\x01\x1f\x7f\n", "caf\u00e9 \U0001f680", *["x"] * (n - 4)],
        "raw": ["", "AA==", "AAE=", "AAEC", *["/w=="] * (n - 4)],
        "at": [-1, 0, 1704067200, *[None] * (n - 3)],
        "day": ["1970-01-01", "2024-02-29", "0001-01-01", "9999-12-31", *[None] * (n - 4)],
        "doubles": [[], [0.1, None, 1e16], None, *[[d] for d in doubles[3:]]],
        "raws": [[], ["AA=="], None, *[["AAE=", None]] * (n - 3)],
    }
    assert ask(server, "/push", {"push_source_name": "every_push", "df": df})[0] == 200
    entities = {"driver_id": [*range(n), 99, None]}
    features = [f"every:{name}" for name in EVERY]
    host = Host(str(store.repo_path))
    requests = {
        LOOKUP: [
            {"features": features, "entities": entities},
            {"features": features, "entities": entities, "full_feature_names": True},
            {
                "features": ["places:city", *features],
                "entities": entities,
                "include_feature_view_version_metadata": True,
            },
        ],
        "/v1/features": [
            {"features": features, "entities": entities},
            {"features": features, "entities": entities, "with": ["event_times"]},
        ],
    }
    for route, bodies in requests.items():
        for body in bodies:
            status, text = ask_text(server, route, body)
            assert status == 200
            head = {"route": route, "method": "POST", "rest": "", "query": ""}
            reply = host.answer(head, json.dumps(body).encode())
            assert (reply.status, reply.n_rows) == (200, n + 2)
            for mine, servers in zip(reply.body.split("]"), text.split("]"), strict=False):
                assert mine == servers
            assert reply.body == text


@pytest.mark.parametrize(
    ("mood", "words"),
    [("raise", "ValueError: no good at all"), ("exit", "SystemExit: 3")],
)
def test_an_error_of_a_function_names_the_view_and_leaves_as_one_sentence(server, mood, words):
    before = pid_of(server)
    status, said = ask(server, LOOKUP, question(mood))
    assert status == 500
    assert said.startswith("on-demand feature view 'doubled' (")
    assert said.endswith(words)
    assert "Traceback" not in said
    status, said = ask(server, "/v1/features", question(mood))
    assert (status, said["error"]["code"]) == (400, "INVALID")
    assert pid_of(server) == before


def test_what_a_function_prints_goes_to_the_log(server):
    assert ask(server, LOOKUP, question())[0] == 200
    wait_until(lambda: "a function prints" in server.said(), "what was printed")


def test_a_process_that_dies_is_503_once_and_started_again(server):
    before = pid_of(server)
    status, said = ask(server, LOOKUP, question("die"))
    assert status == 503
    assert "exit code 7" in said
    assert pid_of(server) != before
    pid = pid_of(server)
    os.kill(pid, signal.SIGKILL)  # while it is idle: nobody notices
    wait_until(lambda: is_over(pid), "its end")
    assert ask(server, LOOKUP, question())[0] == 200


def test_a_function_that_hangs_is_ended_and_nobody_else_waits(server):
    before = pid_of(server)
    began = time.monotonic()
    status, said = ask(server, "/v1/features", question("hang"))
    assert time.monotonic() - began < 30
    assert status == 504
    assert "request_seconds" in said["error"]["message"]
    assert not Path(f"/proc/{before}").exists()
    assert ask(server, LOOKUP, question())[0] == 200


def test_the_process_leaves_with_a_server_that_was_killed(store):
    server = ServerProcess(store.repo_path, "--python", sys.executable)
    pid = pid_of(server)
    server.kill()
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the host to leave")


def test_signals_to_its_group_do_not_end_it_but_its_server_does(store):
    with ServerProcess(store.repo_path, "--python", sys.executable) as server:
        pid = pid_of(server)
        assert os.getpgid(pid) == pid
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGINT)
        assert pid_of(server) in server.children()
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the host to leave")


def test_an_interpreter_that_cannot_start_is_refused_without_a_spin(store):
    with ServerProcess(store.repo_path, "--python", "/bin/false", "--jobs", "1") as server:
        began = time.monotonic()
        said = [ask(server, LOOKUP, question()) for _ in range(20)]
        assert {status for status, _ in said} == {503}
        assert any("started again in" in sentence for _, sentence in said)
        assert time.monotonic() - began < 20


# ---- a configuration that is no file


def test_a_configuration_of_the_environment_is_served(store):
    """Feast's variable: the server and the Python beside it read it, and no file is written."""
    settings = store.repo_path / "feature_store.yaml"
    text = base64.b64encode(settings.read_bytes()).decode()
    settings.unlink()
    before = set(store.repo_path.iterdir())
    command = [sys.executable, "-m", "tiffin.cli.main", "-c", str(store.repo_path), "serve"]
    process = subprocess.Popen(
        [*command, "--port", "0"],
        env={**os.environ, "FEATURE_STORE_YAML_BASE64": text},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        port = int(line.partition("http://127.0.0.1:")[2].split()[0])
        status, answer = ask(SimpleNamespace(port=port), LOOKUP, question())
        assert (status, answer["metadata"]["feature_names"][2]) == (200, "twice"), (line, answer)
        assert {path for path in store.repo_path.iterdir() if path.suffix == ".yaml"} <= before
        assert not settings.exists()
    finally:
        process.terminate()
        process.stdout.close()
    assert process.wait(30) == 0
