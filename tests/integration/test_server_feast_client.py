"""The real Feast as a client: `online_store: {type: remote}` at a server of ours, reads and writes.

Feast is the package of .venv-peers (TFN_FEAST_PYTHON: of another interpreter).
"""

import datetime as dt
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from server_certificates import write_certificate
from server_process import WITH_PYTHON, ServerProcess, wait_until

from tiffin import Entity, FeatureStore, FeatureView, Field, FileSource
from tiffin.types import from_text

ROOT = Path(__file__).parents[2]
FEAST = os.environ.get("TFN_FEAST_PYTHON", str(ROOT / ".venv-peers" / "bin" / "python"))
UTC_US = pa.timestamp("us", "UTC")
PRESENT, NULL_VALUE, NOT_FOUND = 1, 2, 3  # of Feast's FieldStatus
EVENTS = [1_704_067_200_123_456, 1_704_067_200_000_000, 1_704_153_600_000_000]
SCALARS: dict[str, tuple[pa.DataType, list[Any]]] = {
    "bool": (pa.bool_(), [True, False, None]),
    "float32": (pa.float32(), [1.5, -3.25, None]),
    "float64": (pa.float64(), [0.1, -1e308, None]),
    "int32": (pa.int32(), [7, -(2**31), None]),
    "int64": (pa.int64(), [-7, 2**53, None]),
    "string": (pa.string(), ["plain", 'käse ☕ "\\\n', None]),
    "timestamp": (UTC_US, [1_700_000_000_000_000, 86_400_000_000, None]),
}
LISTS: dict[str, list[Any]] = {
    "bool": [[True, False], [False], None],
    "float64": [[0.1, 1e308], [0.5], None],
    "int64": [[1, -1, 2**62], [0], None],
    "string": [["a", "", "ß"], ["b"], None],
}
FIELDS = {**{f"s_{n}": n for n in SCALARS}, **{f"l_{n}": f"array<{n}>" for n in LISTS}}
VIEWS = [
    {
        "name": "everything",
        "file": "everything.parquet",
        "keys": {"id": "int64"},
        "fields": FIELDS,
        "timestamp": "event_timestamp",  # the one name that Feast's client sends
        "created": True,
    },
    {
        "name": "pairs",
        "file": "pairs.parquet",
        "keys": {"zone": "string", "block": "int32"},
        "fields": {"v": "int64"},
        "timestamp": "event_timestamp",  # the one name that Feast's client sends
        "created": True,
    },
]


def times(n: int) -> dict[str, pa.Array]:
    later = [time_us + 60_000_000 for time_us in EVENTS[:n]]
    return {"event_timestamp": pa.array(EVENTS[:n], UTC_US), "created": pa.array(later, UTC_US)}


def write_files(folder: Path) -> None:
    columns: dict[str, Any] = {"id": pa.array([1, -2, 4], pa.int64())}
    for name, (kind, values) in SCALARS.items():
        columns[f"s_{name}"] = pa.array(values, kind)
        if name in LISTS:
            columns[f"l_{name}"] = pa.array(LISTS[name], pa.list_(kind))
    pq.write_table(pa.table({**columns, **times(3)}), folder / "everything.parquet")
    columns = {"zone": ["a", "käse"], "block": pa.array([1, -1], pa.int32()), "v": [10, 20]}
    pq.write_table(pa.table({**columns, **times(2)}), folder / "pairs.parquet")


def make_repo(folder: Path) -> FeatureStore:
    (folder / "feature_store.yaml").write_text("project: remote\nonline_ttl: ignore\n")
    write_files(folder)
    objects: list[Any] = []
    for view in VIEWS:
        keys: Any = view["keys"]
        entities = [
            Entity(name=n, join_keys=[n], value_type=from_text(kind).to_value_type())
            for n, kind in keys.items()
        ]
        source = FileSource(
            name=f"{view['name']}_file",
            path=str(view["file"]),
            timestamp_field="event_timestamp",
            created_timestamp_column="created",
        )
        fields: Any = view["fields"]
        schema = [Field(name=n, dtype=from_text(t)) for n, t in fields.items()]
        objects += [
            *entities,
            source,
            FeatureView(name=str(view["name"]), entities=entities, source=source, schema=schema),
        ]
    store = FeatureStore(folder)
    store.apply(objects)
    return store


def feast(folder: Path, url: str, *orders: dict[str, Any], cert: str = "") -> Any:
    """Let Feast do something at the server; return what each order gave."""
    request = {"project": "remote", "url": url, "cert": cert, "views": VIEWS, "orders": orders}
    folder.mkdir(exist_ok=True)
    write_files(folder)
    (folder / "request.json").write_text(json.dumps(request))
    child = Path(__file__).with_name("remote_feast_child.py")
    done = subprocess.run([FEAST, child, folder], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "answers.json").read_text())


def gave(answer: Any) -> Any:
    assert "gave" in answer, answer
    return answer["gave"]


def plain(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return round(value.timestamp() * 1e6)
    return [plain(item) for item in value] if isinstance(value, list) else value


READ_ALL = {
    "read": {
        "features": [f"everything:{name}" for name in FIELDS],
        "keys": {"id": [1, -2, 4, 99]},
        "full_names": False,
    }
}
READ_PAIRS = {
    "read": {
        "features": ["pairs:v"],
        "keys": {"zone": ["a", "käse", "a"], "block": [1, -1, 2]},
        "full_names": True,
    }
}


@pytest.fixture(scope="module")
def repo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repo")
    store = make_repo(folder)
    store.materialize(
        dt.datetime(2023, 1, 1, tzinfo=dt.UTC), dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
    )
    return folder


def test_it_reads_what_tiffin_has(repo, tmp_path):
    with ServerProcess(repo) as server:
        everything, pairs = feast(tmp_path / "feast", server.url, READ_ALL, READ_PAIRS)
    found = gave(everything)
    # JSON has one kind of number for times: the client makes integers of them, seconds.
    expected = {f"s_{name}": values for name, (_, values) in SCALARS.items()}
    expected["s_timestamp"] = [1_700_000_000, 86_400, None]
    expected |= {f"l_{name}": values for name, values in LISTS.items()}
    assert found["values"]["id"] == [1, -2, 4, 99]
    for name, values in expected.items():
        assert found["values"][name] == [*values, None], name
        assert found["statuses"][name] == [PRESENT, PRESENT, NULL_VALUE, NOT_FOUND], name
    found = gave(pairs)
    assert found["values"]["pairs__v"] == [10, 20, None]
    assert found["statuses"]["pairs__v"] == [PRESENT, PRESENT, NOT_FOUND]


def test_it_reads_over_tls(repo, tmp_path):
    key, cert = write_certificate(tmp_path, "server", -1, 2)
    with ServerProcess(repo, "--tls-key", str(key), "--tls-cert", str(cert)) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        assert url.startswith("https://")
        [pairs] = feast(tmp_path / "feast", url, READ_PAIRS, cert=str(cert))
    assert gave(pairs)["values"]["pairs__v"] == [10, 20, None]


def columns_of(ids: list[int], first: int) -> dict[str, Any]:
    """Rows that Feast writes: one whole, one without values."""
    columns: dict[str, Any] = {"id": ids}
    for name, (_, values) in SCALARS.items():
        if name == "timestamp":
            values = [value and value // 1_000_000 for value in values]
        columns[f"s_{name}"] = [values[first]] * len(ids)
        if name in LISTS:
            columns[f"l_{name}"] = [LISTS[name][first]] * len(ids)
    later = [1_720_000_000_000_000] * len(ids)
    return {**columns, "event_timestamp": later, "created": later}


def test_tiffin_reads_what_it_writes(tmp_path):
    repo = tmp_path / "repo"
    repo.mkdir()
    store = make_repo(repo)
    at = {"event_timestamp": [1_720_000_000_000_000] * 2, "created": [1_720_000_000_000_000] * 2}
    pairs = {"zone": ["new", "käse"], "block": [5, -1], "v": [50, -(2**60)], **at}
    with ServerProcess(repo) as server:
        answers = feast(
            tmp_path / "feast",
            server.url,
            {"write": {"view": "everything", "columns": columns_of([7, 8], 0)}},
            {"write": {"view": "pairs", "columns": pairs}},
            {
                "read": {
                    "features": [f"everything:{name}" for name in FIELDS],
                    "keys": {"id": [8]},
                    "full_names": False,
                }
            },
            {
                "read": {
                    "features": ["pairs:v"],
                    "keys": {"zone": ["new", "käse"], "block": [5, -1]},
                    "full_names": False,
                }
            },
        )
    assert [gave(answer) for answer in answers[:2]] == [None, None]
    found = store.get_online_features([f"everything:{name}" for name in FIELDS], {"id": [7, 8]})
    values = found.to_dict()
    for name, (_, expected) in SCALARS.items():
        assert plain(values[f"s_{name}"]) == [expected[0]] * 2, name
    for name, lists in LISTS.items():
        assert plain(values[f"l_{name}"]) == [lists[0]] * 2, name
    assert list(found.event_timestamps["s_int64"]) == [1_720_000_000] * 2
    keys = {"zone": ["new", "käse"], "block": [5, -1]}
    assert store.get_online_features(["pairs:v"], keys).to_dict()["v"] == [50, -(2**60)]
    assert gave(answers[2])["values"]["s_string"] == ["plain"]
    assert gave(answers[3])["values"]["v"] == [50, -(2**60)]


def test_it_materializes(tmp_path):
    repo = tmp_path / "repo"
    repo.mkdir()
    make_repo(repo)
    start, middle, end = 1_672_531_200_000_000, 1_704_100_000_000_000, 1_735_689_600_000_000
    with ServerProcess(repo, *WITH_PYTHON) as server:
        first, second, read, third, _ = feast(
            tmp_path / "feast",
            server.url,
            {
                "materialize": {
                    "start": start,
                    "end": middle,
                    "views": ["everything"],
                    "is_async": False,
                }
            },
            {
                "materialize": {
                    "start": None,
                    "end": end,
                    "views": ["everything"],
                    "is_async": False,
                }
            },
            {
                "read": {
                    "features": ["everything:s_int64"],
                    "keys": {"id": [1, -2, 4]},
                    "full_names": False,
                }
            },
            {"materialize": {"start": start, "end": end, "views": ["pairs"], "is_async": True}},
            READ_PAIRS,
        )
        assert [gave(answer) for answer in (first, second, third)] == [None] * 3
        assert gave(read)["values"]["s_int64"] == SCALARS["int64"][1]
        assert gave(read)["statuses"]["s_int64"] == [PRESENT, PRESENT, NULL_VALUE]
        wait_until(lambda: not server.children(), "the materialization in the background")
    values = FeatureStore(repo).get_online_features(["pairs:v"], {"zone": ["a"], "block": [1]})
    assert values.to_dict()["v"] == [10]


def test_its_errors_are_its_own(repo, tmp_path):
    """What the server refuses arrives as the exception that Feast's own server would cause."""
    with ServerProcess(repo, *WITH_PYTHON) as server:
        unknown, missing, backwards = feast(
            tmp_path / "feast",
            server.url,
            {"read": {"features": ["nothing:x"], "keys": {"id": [1]}, "full_names": False}},
            {
                "read": {
                    "features": ["everything:s_int64"],
                    "keys": {"other": [1]},
                    "full_names": False,
                }
            },
            {
                "materialize": {
                    "start": 1_735_689_600_000_000,
                    "end": 1_672_531_200_000_000,
                    "views": None,
                    "is_async": False,
                }
            },
        )
    assert unknown["error"] == "FeatureViewNotFoundException", unknown
    assert "nothing" in unknown["words"]
    assert missing["error"] in ("RetryError", "RuntimeError"), missing
    assert backwards["error"] == "RuntimeError", backwards
