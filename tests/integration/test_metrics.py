"""/metrics as Prometheus reads it, and the access log, of a server that runs."""

import json
import re
import signal
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from rides import utc
from server_process import ServerProcess, wait_until

from tiffin import FeatureStore

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"


def post(server: ServerProcess, path: str, body: Any) -> tuple[int, bytes]:
    request = urllib.request.Request(
        server.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def scrape(server: ServerProcess) -> dict[str, Any]:
    """The families by name (of counters: without "_total"); malformed text is refused."""
    with urllib.request.urlopen(server.url + "/metrics", timeout=30) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        text = answer.read().decode()
    assert text.endswith("\n")
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(families: dict[str, Any], name: str, **labels: str) -> float:
    """The one sample that has these labels."""
    family = families[name.removesuffix("_total")] if name.endswith("_total") else families[name]
    found = [s for s in family.samples if s.name == name and labels.items() <= s.labels.items()]
    assert len(found) == 1, (name, labels, family.samples)
    return float(found[0].value)


ASK = {"feature_service": "model", "entities": {"driver_id": [1, 2, 9]}}


@pytest.fixture
def loaded(store: FeatureStore) -> FeatureStore:
    store.materialize(utc(2020, 1, 1), utc(2024, 1, 4))
    return store


def test_requests_values_and_ages_are_counted(loaded: FeatureStore) -> None:
    with ServerProcess(loaded.repo_path) as server:
        for _ in range(3):
            assert post(server, "/get-online-features", ASK)[0] == 200
        assert post(server, "/get-online-features", {"features": ["a:b"], "entities": {}})[0] >= 400
        assert post(server, "/nowhere", {})[0] == 404
        found = scrape(server)
        path = "/get-online-features"
        assert value(found, "tiffin_requests_total", path=path, status="200") == 3
        assert value(found, "tiffin_requests_total", path="other", status="404") == 1
        assert value(found, "tiffin_rows_total", path=path) == 9
        buckets = [
            (float(s.labels["le"]), s.value)
            for s in found["tiffin_request_seconds"].samples
            if s.name.endswith("_bucket") and s.labels["path"] == path
        ]
        assert buckets == sorted(buckets, key=lambda b: b[0])
        assert [n for _, n in buckets] == sorted(n for _, n in buckets)
        assert buckets[0][0] == 50e-6
        assert buckets[-2][0] == 10
        assert buckets[-1] == (float("inf"), 4)
        assert value(found, "tiffin_values_total", view="stats", status="PRESENT") == 6
        assert value(found, "tiffin_values_total", view="stats", status="NULL_VALUE") == 6
        assert value(found, "tiffin_values_total", view="stats", status="NOT_FOUND") == 6
        assert value(found, "tiffin_newest_event_age_seconds", view="stats") > 0
        commit = loaded.registry_log(1)[0]["commit"]
        assert value(found, "tiffin_registry_commit") == commit
        assert value(found, "tiffin_registry_readable") == 1
        assert value(found, "tiffin_connections") >= 1
        assert 0 < value(found, "tiffin_memory_bytes", kind="anonymous") < 1e9
        assert value(found, "tiffin_open_files") > 3


def test_what_is_pushed_is_counted_as_written(loaded: FeatureStore) -> None:
    row = {
        "driver_id": [7],
        "event_timestamp": ["2024-01-05T00:00:00Z"],
        "created": ["2024-01-05T00:00:00Z"],
        "trips": [1],
        "rate": [0.5],
        "city": ["x"],
    }
    with ServerProcess(loaded.repo_path) as server:
        body = {"feature_view_name": "stats", "df": row}
        status, answer = post(server, "/write-to-online-store", body)
        assert status == 200, answer
        assert value(scrape(server), "tiffin_rows_written_total", view="stats") == 1


def test_the_document_names_every_metric_and_no_other(loaded: FeatureStore) -> None:
    row = re.compile(r"^\| `(tiffin_\w+)` \| (\w+) \| (.*?) \|", re.MULTILINE)
    documented = {
        name: (kind, set(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels in row.findall(DOCUMENT.read_text("utf-8"))
    }
    with ServerProcess(loaded.repo_path) as server:
        assert post(server, "/get-online-features", ASK)[0] == 200
        found = scrape(server)
    served = {
        f"{name}_total" if family.type == "counter" else name: family
        for name, family in found.items()
    }
    assert set(served) == set(documented)
    for name, family in served.items():
        kind, labels = documented[name]
        assert family.type == kind, name
        assert family.documentation, name
        for sample in family.samples:
            assert set(sample.labels) <= labels, sample


def lines_of(path: Path) -> list[dict[str, Any]]:
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines() if line.endswith("}")]


def test_accesses_are_lines_that_survive_a_rotation(loaded: FeatureStore) -> None:
    log = loaded.repo_path / "access.log"
    with ServerProcess(loaded.repo_path, "--access-log", str(log)) as server:
        assert post(server, "/get-online-features?secret=1", ASK)[0] == 200
        wait_until(lambda: len(lines_of(log)) == 1, "the line of the first request")
        (line,) = lines_of(log)
        assert line["method"] == "POST"
        assert line["path"] == "/get-online-features"
        assert line["status"] == 200
        assert line["rows"] == 3
        assert line["key"] is None
        assert line["peer"].startswith("127.0.0.1")
        assert line["bytes_in"] == len(json.dumps(ASK))
        assert line["bytes_out"] > 0
        assert line["microseconds"] > 0
        assert "secret" not in log.read_text()
        log.rename(log.with_suffix(".1"))
        server.signal(signal.SIGHUP)
        wait_until(log.exists, "the new file")
        assert post(server, "/get-online-features", ASK)[0] == 200
    assert len(lines_of(log.with_suffix(".1"))) + len(lines_of(log)) == 2


def test_without_being_told_accesses_are_not_logged(loaded: FeatureStore) -> None:
    before = set(loaded.repo_path.rglob("*"))
    with ServerProcess(loaded.repo_path) as server:
        assert post(server, "/get-online-features", ASK)[0] == 200
    made = {path.name for path in set(loaded.repo_path.rglob("*")) - before}
    assert not [name for name in made if "access" in name]
