"""Lookups over HTTP: a server in its own process, answers in Feast's form and the lean one.

Statuses and shapes are those that Feast 0.67 gave for the same requests.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from server_process import ServerProcess
from server_repo import T1, ask, ask_text, make_repo

from tiffin import FeatureService, FeatureStore

EVERY = {
    "driver_id": [1, 2],
    "event_timestamp": ["2024-02-01T00:00:00.123Z", T1],
    "created": [T1, T1],
    "whole": [7, None],
    "single": [0.1, 1e20],
    "double": [0.1 + 0.2, 2.0],
    "flag": [True, None],
    "text": ['q"\n\u00e9\u2028', None],
    "raw": [b"\x00\xff", b""],
    "at": ["2026-01-10T20:00:00.9Z", "1969-12-31T23:59:59.5Z"],
    "day": ["2026-01-10", None],
    "doubles": [[1.0, float("inf"), float("-inf")], []],
    "raws": [[b"a"], None],
}
NAMES = [name for name in EVERY if name not in ("driver_id", "event_timestamp", "created")]
EPOCH = "1970-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[ServerProcess, FeatureStore]]:
    import pandas as pd

    repo = tmp_path_factory.mktemp("read")
    store = make_repo(Path(repo))
    every = store.get_feature_view("every")
    store.apply([FeatureService(name="service", features=[every[["text", "whole"]]])])
    rows = {
        name: pd.to_datetime(values, utc=True, format="ISO8601")
        if name in ("at", "event_timestamp", "created")
        else [None if v is None else pd.Timestamp(v).date() for v in values]
        if name == "day"
        else pd.array(values, dtype="Int64")
        if name == "whole"
        else values
        for name, values in EVERY.items()
    }
    store.write_to_online_store("every", pd.DataFrame(rows))
    with ServerProcess(Path(repo)) as server:
        yield server, store


def look_up(server: ServerProcess, features: list[str], **entities: list[Any]) -> tuple[int, Any]:
    return ask(server, "/get-online-features", {"features": features, "entities": entities})


def test_values_of_every_type_are_written_as_feast_writes_them(served: Any) -> None:
    status, answer = look_up(served[0], [f"every:{n}" for n in NAMES], driver_id=[1, 2, 99])
    assert status == 200
    assert list(answer) == ["results", "metadata"]
    assert answer["metadata"] == {"feature_names": ["driver_id", *NAMES]}
    keys, *columns = answer["results"]
    assert keys == {
        "values": [1, 2, 99],
        "statuses": ["PRESENT"] * 3,
        "event_timestamps": [EPOCH] * 3,
    }
    values = dict(zip(NAMES, (c["values"] for c in columns), strict=True))
    assert values == {
        "whole": [7, None, None],
        "single": [0.10000000149011612, 1.0000000200408773e20, None],
        "double": [0.30000000000000004, 2.0, None],
        "flag": [True, None, None],
        "text": ['q"\n\u00e9\u2028', None, None],
        "raw": ["AP8=", "", None],
        "at": [1768075200, -1, None],
        "day": ["2026-01-10", None, None],
        "doubles": [[1.0, "Infinity", "-Infinity"], [], None],
        "raws": [["YQ=="], None, None],
    }
    for column in columns:
        assert column["event_timestamps"] == ["2024-02-01T00:00:00.123Z", T1, EPOCH]
        is_null = column["values"][1] is None
        assert column["statuses"] == [
            "PRESENT",
            "NULL_VALUE" if is_null else "PRESENT",
            "NOT_FOUND",
        ]


@pytest.mark.parametrize("key", ["2", 2.0])
def test_keys_that_read_as_the_declared_type_are_taken(served: Any, key: Any) -> None:
    status, answer = look_up(served[0], ["every:single"], driver_id=[key])
    assert status == 200
    assert [c["values"] for c in answer["results"]] == [[2], [1.0000000200408773e20]]


@pytest.mark.parametrize(
    ("body", "status", "part"),
    [
        ({"features": ["every:text"], "entities": {"driver_id": ["x"]}}, 500, "'x'"),
        ({"features": ["every:text"], "entities": {"driver_id": [2**70]}}, 500, "driver_id"),
        ({"features": ["every:text"], "entities": {}}, 500, "no column"),
        ({"features": ["every:text"], "entities": {"x": [1]}}, 500, "driver_id"),
        ({"features": ["every:text"], "entities": {"driver": [1]}}, 500, "driver_id"),
        ({"features": ["every:text"], "entities": {"driver_id": [1], "x": []}}, 500, "length"),
        ({"features": ["zz:a"], "entities": {"driver_id": [1]}}, 404, "FeatureViewNotFound"),
        ({"features": ["every:zz"], "entities": {"driver_id": [1]}}, 500, "zz"),
        ({"feature_service": "zz", "entities": {"driver_id": [1]}}, 404, "FeatureServiceNotFound"),
        ({"features": [], "entities": {"driver_id": [1]}}, 500, "No features specified"),
        ({"features": ["text"], "entities": {"driver_id": [1]}}, 500, "text"),
        ({"features": ["every:text"] * 2, "entities": {"driver_id": [1]}}, 500, "FeatureNameColl"),
    ],
)
def test_mistakes_have_feasts_status_in_a_json_text(
    served: Any, body: Any, status: int, part: str
) -> None:
    got, text = ask(served[0], "/get-online-features", body)
    assert got == status
    assert isinstance(text, str)
    assert part in text
    if part.startswith("Feature"):
        assert set(json.loads(text)) == {"module", "class", "message"}


@pytest.mark.parametrize(
    ("body", "status", "issue"),
    [
        (b"", 422, ("missing", ["body"], None)),
        (b"null", 422, ("model_attributes_type", ["body"], None)),
        (b'{"a":1,}', 422, ("json_invalid", None, {})),
        (b'{"features":["a:b"]}', 422, ("missing", ["body", "entities"], {"features": ["a:b"]})),
        (b'{"entities":{"a":5}}', 422, ("list_type", ["body", "entities", "a"], 5)),
        (b'{"entities":{},"features":[1]}', 422, ("string_type", ["body", "features", 0], 1)),
        (b'{"entities":{},"full_feature_names":2}', 422, ("bool_parsing", None, 2)),
    ],
)
def test_bodies_that_do_not_fit_are_told_as_fastapi_does(
    served: Any, body: bytes, status: int, issue: tuple[str, Any, Any]
) -> None:
    got, answer = ask(served[0], "/get-online-features", body)
    assert got == status
    [told] = answer["detail"]
    assert (told["type"], told["input"]) == (issue[0], issue[2])
    assert issue[1] is None or told["loc"] == issue[1]


def test_what_is_not_utf8_is_400(served: Any) -> None:
    got, answer = ask(served[0], "/get-online-features", b'{"entities":"\xff"}')
    assert got == 400
    assert answer["detail"].startswith("There was an error parsing the body")


def test_the_lean_form_says_the_same_in_fewer_bytes(served: Any) -> None:
    server, _ = served
    body = {"service": "service", "entities": {"driver_id": [1, 2, 99]}}
    status, text = ask_text(server, "/v1/features", body)
    expected = {
        "names": ["text", "whole"],
        "columns": [['q"\n\u00e9\u2028', None, None], [7, None, None]],
        "statuses": [[1, 2, 3], [1, 2, 3]],
    }
    assert (status, json.loads(text)) == (200, expected)
    query = "/v1/features/service?driver_id=1&driver_id=2&driver_id=%39%39"
    assert ask_text(server, query, None, "GET") == (200, text)
    status, answer = ask(server, query + "&with=event_times&full_feature_names=true", None, "GET")
    assert (status, answer["names"]) == (200, ["every__text", "every__whole"])
    assert answer["event_times"][0] == [1706745600123000, 1706745600000000, None]
    assert "statuses" not in answer


def test_the_lean_form_answers_slips_with_400(served: Any) -> None:
    for path, body in [
        ("/v1/features", {"service": "service", "entities": {"driver": [1]}}),
        ("/v1/features", {"service": "service", "entitys": {}}),
        ("/v1/features/service?driver=1", None),
    ]:
        status, answer = ask(served[0], path, body, "GET" if body is None else "POST")
        assert (status, answer["error"]["code"]) == (400, "INVALID")


def test_a_service_that_changes_is_followed(served: Any) -> None:
    server, store = served
    body = {"feature_service": "changing", "entities": {"driver_id": [1]}}
    every = store.get_feature_view("every")
    for name in ("whole", "flag"):
        store.apply([FeatureService(name="changing", features=[every[[name]]])])
        assert ask(server, "/refresh", None)[0] == 200
        status, answer = ask(server, "/get-online-features", body)
        assert (status, answer["metadata"]["feature_names"]) == (200, ["driver_id", name])
