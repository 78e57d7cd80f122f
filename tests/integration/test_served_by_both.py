"""The real `feast serve` and tiffin-server side by side: the same requests, the same answers.

What differs stands in docs/semantics/differences-from-feast.md, and in `DIFFERENT` below. Feast is
the package of .venv-peers (TFN_FEAST_PYTHON: of another interpreter), with its SQLite store.
"""

import http.client
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from free_port import free_port
from served_by_both import write_repo
from server_process import ServerProcess, wait_until

from tiffin import FeatureStore
from tiffin.store.repo import load_repo

ROOT = Path(__file__).parents[2]
PYTHON = os.environ.get("TFN_FEAST_PYTHON", str(ROOT / ".venv-peers" / "bin" / "python"))
FEAST = Path(PYTHON).with_name("feast")
READ, PUSH, WRITE = "/get-online-features", "/push", "/write-to-online-store"
LOAD, LOAD_MORE = "/materialize", "/materialize-incremental"
T1 = "2024-02-01T00:00:00Z"
YEAR = {"start_ts": "2023-06-01T00:00:00", "end_ts": "2024-01-05T00:00:00"}


class Answer(NamedTuple):
    status: int
    kind: str | None  # Content-Type
    text: str

    def what(self) -> Any:
        """What the body is, without its words: the class of an exception, the types of issues."""
        body = json.loads(self.text) if self.text else None
        if isinstance(body, str):
            try:
                return json.loads(body)["class"]
            except (ValueError, TypeError):  # no JSON, or a sentence within quotes
                return "a sentence"
        if isinstance(body, dict) and isinstance(body.get("detail"), list):
            return [(each["type"], each["loc"], each["msg"]) for each in body["detail"]]
        return type(body).__name__


def ask(port: int, path: str, body: Any, method: str = "POST") -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        text = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection.request(method, path, text, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return Answer(answer.status, answer.getheader("Content-Type"), answer.read().decode())
    finally:
        connection.close()


class FeastServer:
    """`feast serve` of a repo."""

    def __init__(self, repo: Path) -> None:
        environment = {**os.environ, "FEAST_USAGE": "False", "HOME": str(repo)}
        self.log = repo / "feast.log"
        self.port = free_port()
        with self.log.open("wb") as log:
            apply = [FEAST, "apply"]
            subprocess.run(apply, cwd=repo, env=environment, stdout=log, stderr=log, check=True)
            self._process = subprocess.Popen(
                [FEAST, "serve", "-h", "127.0.0.1", "-p", str(self.port)],
                cwd=repo,
                env=environment,
                stdout=log,
                stderr=log,
            )
        wait_until(self._is_up, "feast serve answers")

    def _is_up(self) -> bool:
        assert self._process.poll() is None, self.log.read_text("utf-8", "replace")
        try:
            return ask(self.port, "/health", None, "GET").status == 200
        except OSError:
            return False

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Both(NamedTuple):
    feast: int
    tiffin: int

    def ask(self, path: str, body: Any, method: str = "POST") -> tuple[Answer, Answer]:
        return ask(self.feast, path, body, method), ask(self.tiffin, path, body, method)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp("both")
    repo = write_repo(folder / "tiffin", "tiffin")
    FeatureStore(repo).apply(list(load_repo(repo).objects))
    feast = FeastServer(write_repo(folder / "feast", "feast"))
    try:
        with ServerProcess(repo, "--python", sys.executable) as server:
            yield Both(feast.port, server.port)
    finally:
        feast.stop()


def frame(**changes: Any) -> dict[str, Any]:
    columns = {
        "driver_id": [101, 102],
        "event_timestamp": [T1, T1],
        "created": [T1, T1],
        "trips": [5, 6],
        "rate": [0.5, 2.0],
        "city": ["x", None],
        "at": [1704067200, 1704067201],
        "scores": [[1.0], [2.0, 0.5]],
    }
    return {name: values for name, values in {**columns, **changes}.items() if values is not None}


def push(**changes: Any) -> dict[str, Any]:
    return {"push_source_name": "rides_push", "df": frame(**changes)}


def look(*features: str, **more: Any) -> dict[str, Any]:
    return {"features": features, "entities": {"driver_id": [1]}, **more}


EQUAL: dict[str, tuple[Any, ...]] = {
    "health": ("/health", None, "GET"),
    "another method": ("/health", {}),
    "no such path": ("/nothing", None, "GET"),
    "a lookup with GET": (READ, None, "GET"),
    "a push": (PUSH, push()),
    "a push of whole reals": (PUSH, push(trips=[3.0, None])),
    "a push with more columns": (PUSH, push(other=[1, 2])),
    "a push with more members": (PUSH, {**push(), "x": 1, "transform_on_write": False}),
    "a push of naive times": (PUSH, push(event_timestamp=["2024-02-01 00:00:00"] * 2)),
    "a push of no columns": (PUSH, {"push_source_name": "rides_push", "df": {}}),
    "a push of no rows": (PUSH, {**push(), "df": {name: [] for name in frame()}}),
    "a push to nowhere": (PUSH, {**push(), "to": "up"}),
    "a push to null": (PUSH, {**push(), "to": None}),
    "a push of a list": (PUSH, {**push(), "df": []}),
    "a push of nothing": (PUSH, b""),
    "a push that is a list": (PUSH, []),
    "a push with a doubtful bool": (PUSH, {**push(), "allow_registry_cache": "perhaps"}),
    "a write": (WRITE, {"feature_view_name": "plain", "df": frame()}),
    "a write of no columns": (WRITE, {"feature_view_name": "plain", "df": {}}),
    "a write to no view": (WRITE, {"df": frame()}),
    "a write of wrong types": (
        WRITE,
        {"feature_view_name": 3, "df": "x", "allow_registry_cache": [], "transform_on_write": 2},
    ),
    "a load": (LOAD, {**YEAR, "feature_views": ["plain"]}),
    "a load of all": (LOAD, YEAR),
    "a load of none": (LOAD, {**YEAR, "feature_views": []}),
    "a load without times": (LOAD, {"feature_views": ["plain"]}),
    "a load of null times": (LOAD, {"start_ts": None, "end_ts": None}),
    "a load by dates": (LOAD, {"start_ts": "2023-06-01", "end_ts": "2024-01-05"}),
    "a load of wrong types": (
        LOAD,
        {"start_ts": 1, "feature_views": "plain", "disable_event_timestamp": "maybe"},
    ),
    "a load of nothing": (LOAD, b""),
    "a doubtful query": (LOAD + "?force=2&async=&x=1", b""),
    "a doubtful query and body": (LOAD + "?async=+true", {"start_ts": 3}),
    "a load of the newest": (LOAD_MORE, {"end_ts": "2024-01-05T00:00:00"}),
    "a load of the newest without a time": (LOAD_MORE, {}),
    "a load of the newest until null": (LOAD_MORE, {"end_ts": None}),
    "a lookup without entities": (READ, {}),
    "a lookup of wrong types": (
        READ,
        {"feature_service": ["model"], "features": "x", "entities": {"driver_id": 1}},
    ),
}


@pytest.mark.parametrize("name", EQUAL)
def test_answers_are_equal_byte_for_byte(name: str, both: Both) -> None:
    feast, tiffin = both.ask(*EQUAL[name])
    assert tiffin == feast


ALIKE: dict[str, tuple[str, Any]] = {
    "a body that is no JSON": (PUSH, b"{"),
    "a body that is no JSON behind a doubtful query": (LOAD + "?force=2", b"{"),
    "a body that is not UTF-8": (PUSH, b"\xff"),
    "no such push source": (PUSH, {**push(), "push_source_name": "none"}),
    "a push source of no view": (PUSH, {**push(), "push_source_name": "unused_push"}),
    "a source of files": (PUSH, {**push(), "push_source_name": "files"}),
    "unequal columns": (PUSH, push(trips=[1])),
    "no key": (PUSH, push(driver_id=None)),
    "no time": (PUSH, push(event_timestamp=None)),
    "no created time": (PUSH, push(created=None)),
    "words for a number": (PUSH, push(trips=["a", "b"])),
    "a null key": (PUSH, push(driver_id=[None, 4])),
    "a null time": (PUSH, push(event_timestamp=[None, T1])),
    "words for a time": (PUSH, push(event_timestamp=["soon", T1])),
    "an object": (PUSH, push(city=[{"a": 1}, "x"])),
    "two types": (PUSH, push(city=[1, "x"])),
    "beyond int64": (PUSH, push(trips=[2**63, 1])),
    "no view to write to": (WRITE, {"feature_view_name": "none", "df": frame()}),
    "no view to load": (LOAD, {**YEAR, "feature_views": ["none"]}),
    "a view that is not online": (LOAD, {**YEAR, "feature_views": ["kept"]}),
    "words for the times of a load": (LOAD, {**YEAR, "start_ts": "soon"}),
    "times the wrong way round": (LOAD, {"start_ts": "2024-01-06", "end_ts": "2024-01-05"}),
    "a version": (LOAD, {**YEAR, "feature_views": ["plain"], "version": "v2"}),
    "an encoded query": (LOAD + "?async=%74rue", {**YEAR, "feature_views": ["none"]}),
    "a query that says it twice": (LOAD + "?async=perhaps&async=0", {"feature_views": ["none"]}),
    "no view to load the newest of": (LOAD_MORE, {"end_ts": T1, "feature_views": ["none"]}),
    "words for an end": (LOAD_MORE, {"end_ts": "soon"}),
    "no service": (READ, {"feature_service": "none", "entities": {"driver_id": [1]}}),
    "no view": (READ, look("none:a")),
    "no feature": (READ, look("stats:none")),
    "no reference": (READ, look("stats")),
    "another key": (READ, look("stats:trips", entities={"x": [1]})),
    "no columns": (READ, look("stats:trips", entities={})),
    "two of one name": (READ, look("stats:trips", "plain:trips")),
    "a list for a key": (READ, look("stats:trips", entities={"driver_id": [[1]]})),
    "words for a key": (READ, look("stats:trips", entities={"driver_id": ["a"]})),
}


@pytest.mark.parametrize("name", ALIKE)
def test_errors_have_feasts_status_and_shape_and_words_of_their_own(name: str, both: Both) -> None:
    feast, tiffin = both.ask(*ALIKE[name])
    assert (tiffin.status, tiffin.kind, tiffin.what()) == (feast.status, feast.kind, feast.what())
    assert tiffin.status >= 400


DIFFERENT: dict[str, tuple[str, Any, int, int]] = {
    "a feature that is left out": (PUSH, push(trips=None), 500, 200),
    "a null list": (PUSH, push(scores=[None, [1]]), 500, 200),
    "a null created time": (PUSH, push(created=[None, T1]), 500, 200),
    "times of two forms": (PUSH, push(event_timestamp=["2024-03-01 00:00:00", T1]), 500, 200),
    "a text for a timestamp": (PUSH, push(at=[T1, T1]), 500, 200),
    "a text that reads as a number": (PUSH, push(trips=["7", "8"]), 200, 500),
    "a text that reads as a key": (PUSH, push(driver_id=["1", "2"]), 200, 500),
    "a number for a text": (PUSH, push(city=[1, 2]), 200, 500),
    "a bool for a number": (PUSH, push(trips=[True, False]), 200, 500),
    "a fraction for a whole number": (PUSH, push(trips=[1.5, 2]), 200, 500),
    "a number for a time": (PUSH, push(event_timestamp=[1706745600] * 2), 200, 500),
    "one value for all rows": (PUSH, push(trips=1), 200, 500),
    "rows by their index": (PUSH, push(trips={"0": 1, "1": 2}), 500, 500),
    "into a single file": (PUSH, {**push(), "to": "offline"}, 200, 501),
    "to a view that is not online": (WRITE, {"feature_view_name": "kept", "df": frame()}, 200, 500),
    "a date in words": (LOAD, {**YEAR, "start_ts": "Jun 1 2023"}, 200, 500),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_what_differs_is_documented(name: str, both: Both) -> None:
    path, body, of_feast, of_tiffin = DIFFERENT[name]
    feast, tiffin = both.ask(path, body)
    assert (feast.status, tiffin.status) == (of_feast, of_tiffin)


def by_name(answer: Answer) -> dict[str, Any]:
    """Columns by name: Feast gives them in any order within a view."""
    assert answer.status == 200, answer.text
    said = json.loads(answer.text)
    assert list(said) == ["results", "metadata"]
    names = said["metadata"]["feature_names"]
    return dict(zip(names, said["results"], strict=True))


def assert_read_alike(both: Both, ids: list[Any], *features: str, **more: Any) -> dict[str, Any]:
    request = {"features": features, "entities": {"driver_id": ids}, **more}
    if not features:
        del request["features"]
    feast, tiffin = map(by_name, both.ask(READ, request))
    assert tiffin == feast
    return tiffin


def test_what_is_pushed_is_read_alike(both: Both) -> None:
    rows = push(driver_id=[201, 202], city=["caf\u00e9 \u2615", '"'], rate=[1e300, -0.0])
    assert both.ask(PUSH, rows) == (Answer(200, None, ""),) * 2
    features = [f"stats:{name}" for name in ("trips", "rate", "city", "at", "scores")]
    read = assert_read_alike(both, [201, 202, 299], *features)
    assert read["trips"]["values"] == [5, 6, None]
    assert_read_alike(both, ["201", True], *features, full_feature_names=True)
    assert_read_alike(both, [201], feature_service="model")
    more = {"include_feature_view_version_metadata": True}
    assert_read_alike(both, [201], feature_service="model", **more)


def test_what_is_materialized_is_read_alike(both: Both) -> None:
    for path, body in ((LOAD, YEAR), (LOAD_MORE, {"end_ts": "2024-01-06T00:00:00"})):
        feast, tiffin = both.ask(path, {**body, "feature_views": ["plain"]})
        assert tiffin == feast == Answer(200, "application/json", "null")
    assert assert_read_alike(both, [1, 2, 3], "plain:trips")["trips"]["values"] == [10, 20, 30]


def test_a_load_in_the_background_is_accepted(both: Both) -> None:
    body = {"end_ts": "2024-01-07T00:00:00", "feature_views": ["plain"]}
    feast, tiffin = both.ask(LOAD_MORE + "?async=1&force=yes", body)
    assert tiffin == feast
    assert feast.status == 202
