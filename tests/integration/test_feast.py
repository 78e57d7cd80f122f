"""The same requests to Feast: equal cells, and each difference that we know of as a case.

What Feast says is recorded in tests/golden/feast.json (`feast_requests.py` says how), so this runs
without Feast; the long tests ask the Feast of .venv-peers (TFN_FEAST_PYTHON: of another
interpreter) itself, and many times more. Each difference is a sentence of
docs/semantics/differences-from-feast.md.

TFN_REQUESTS  how many random requests the long test asks (300); TFN_SEED  the first one (1000)
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from feast_requests import (
    N_RECORDED,
    Request,
    ask_feast,
    ask_tiffin,
    by_label,
    cases,
    random_request,
    recorded_requests,
    write,
)

ROOT = Path(__file__).parents[2]
RECORDED = json.loads((ROOT / "tests" / "golden" / "feast.json").read_text("utf-8"))
NULL = None


@pytest.fixture(scope="module")
def ours(tmp_path_factory) -> dict[str, dict[str, Any]]:
    """Tiffin's answers by name."""
    folder = tmp_path_factory.mktemp("feast")
    requests = recorded_requests()
    write(folder, requests)
    return {request.name: ask_tiffin(folder, request) for request in requests}


def theirs(name: str, store: str = "duckdb") -> dict[str, Any]:
    """Return what Feast said."""
    answer: dict[str, Any] = RECORDED[store][name]
    return answer


def column(answer: dict[str, Any], name: str) -> list[Any]:
    """Return a column in the order of the labels."""
    assert "error" not in answer, answer
    return by_label(answer)[name]


def labels(answer: dict[str, Any]) -> list[str]:
    return [row[answer["columns"].index("label")] for row in answer["rows"]]


def test_the_record_is_of_these_requests():
    assert RECORDED["duckdb"].keys() == {request.name for request in recorded_requests()}
    assert RECORDED["dask"].keys() == {case.name for case in cases()}
    assert RECORDED["versions"]["feast"] == "0.67.0"


EQUAL = [
    "plain",
    "expired",
    "future_only",
    "duplicates",
    "missing_created",
    "created_filter",
    "null_value",
    "null_keys",
    "no_rows",
    "without_entities",
    "naive",
    "full_names",
    "twice_with_two_aliases",
    "mapping",
    "long_ttl",
    *(f"random{seed}" for seed in range(1, N_RECORDED + 1)),
]


@pytest.mark.parametrize("name", EQUAL)
def test_every_cell_is_that_of_feasts_duckdb_store(ours, name):
    assert ours[name]["columns"] == theirs(name)["columns"]
    assert by_label(ours[name]) == by_label(theirs(name))


def test_a_row_whose_only_candidate_is_expired_stays(ours):
    assert labels(ours["expired"]) == ["00", "01", "02"]
    assert column(ours["expired"], "x") == [20, NULL, 20]
    assert labels(theirs("expired", "dask")) == ["00", "02"]


def test_a_row_whose_only_candidate_is_in_the_future_stays(ours):
    assert column(ours["future_only"], "x") == [NULL, NULL]
    assert labels(theirs("future_only", "dask")) == ["01"]


def test_equal_entity_rows_stay_apart(ours):
    assert labels(ours["duplicates"]) == ["00", "01", "02"]
    assert labels(theirs("duplicates", "dask")) == ["02", "01"]


def test_rows_come_back_in_the_order_given(ours):
    assert labels(ours["plain"]) == ["00", "01", "02", "03"]
    assert labels(theirs("plain", "dask")) != labels(ours["plain"])


def test_integers_with_nulls_stay_integers(ours):
    assert [type(x) for x in column(ours["plain"], "x")] == [int, int, int, type(None)]
    assert {type(x) for x in column(theirs("plain", "dask"), "x")} == {float, type(None)}


def test_a_null_key_matches_nothing(ours):
    assert column(ours["null_keys"], "x") == [10, NULL]
    assert 20 in [row[-1] for row in theirs("null_keys", "dask")["rows"]]  # the null row's value


def test_among_equal_times_the_last_row_wins(ours):
    assert column(ours["ties"], "x") == [30]
    assert column(theirs("ties"), "x") == [10]
    assert column(theirs("ties", "dask"), "x") == [30]


def test_nanoseconds_of_a_source_are_compared(ours):
    assert column(ours["nanoseconds"], "x") == [NULL, 1]
    assert column(theirs("nanoseconds"), "x") == [1, 2]  # rows from 400 ns after each entity row


def test_a_null_entity_time_is_an_error(ours):
    assert "is null in row 1" in ours["null_time"]["text"]
    assert column(theirs("null_time"), "x") == [20, NULL]
    assert labels(theirs("null_time", "dask")) == ["00"]


def test_a_created_filter_needs_a_created_column(ours):
    name = "created_filter_without_created"
    assert "no created_timestamp_column" in ours[name]["text"]
    assert column(theirs(name), "x") == [10]


def test_features_come_in_the_order_asked_not_view_by_view(ours):
    assert ours["order_asked"]["columns"][3:] == ["y", "z", "x"]
    assert theirs("order_asked")["columns"][3:] == ["y", "x", "z"]
    assert by_label(ours["order_asked"]) == by_label(theirs("order_asked"))


def test_names_that_meet_are_an_error_that_says_what_to_do(ours):
    assert "full_feature_names=True" in ours["same_name_twice"]["text"]
    assert theirs("same_name_twice")["error"] == "FeatureNameCollisionError"
    assert "full_feature_names=True" in ours["feature_in_the_frame"]["text"]
    assert theirs("feature_in_the_frame")["error"] == "IbisInputError"
    assert theirs("feature_in_the_frame", "dask")["columns"][3:] == ["x", "x__"]


def test_names_have_no_reserved_endings(ours):
    assert column(ours["name_that_ends_in_y"], "rate_y") == [1]
    assert theirs("name_that_ends_in_y")["error"] == "IbisTypeError"


def test_join_keys_that_are_not_mapped_still_count(ours):
    assert column(ours["one_key_of_two_mapped"], "x") == [1, 2]
    assert column(theirs("one_key_of_two_mapped"), "x") == [2, 2]  # joined by `k` alone


def test_a_view_may_be_asked_for_with_and_without_an_alias(ours):
    assert column(ours["twice_with_one_alias"], "v__x") == [1, 2]
    assert column(ours["twice_with_one_alias"], "two__x") == [2, 1]
    assert theirs("twice_with_one_alias")["error"] == "TypeError"


def test_keys_of_another_type_are_an_error_that_names_the_column(ours):
    assert ours["text_for_number"]["text"].startswith("key column 'k' of the entity rows")
    assert theirs("text_for_number")["error"] == "IbisTypeError"


def test_a_ttl_may_be_longer_than_nanoseconds_can_say(ours):
    assert column(ours["long_ttl"], "x") == [10]
    assert theirs("long_ttl", "dask")["error"] == "OutOfBoundsTimedelta"


FEAST = os.environ.get("TFN_FEAST_PYTHON", str(ROOT / ".venv-peers" / "bin" / "python"))


@pytest.mark.long
def test_what_feast_says_today_is_what_is_recorded(tmp_path):
    requests = recorded_requests()
    answers = ask_feast(FEAST, tmp_path, requests, "duckdb")["duckdb"]
    for name in [request.name for request in requests if request.name != "ties"]:
        answer, recorded = answers[name], theirs(name)
        assert answer.get("error") == recorded.get("error"), name
        if "error" not in answer:
            assert by_label(answer) == by_label(recorded), name


@pytest.mark.long
def test_many_random_requests_give_the_cells_of_feasts_duckdb_store(tmp_path):
    first = int(os.environ.get("TFN_SEED", "1000"))
    n = int(os.environ.get("TFN_REQUESTS", "300"))
    requests = [random_request(seed) for seed in range(first, first + n)]
    answers = ask_feast(FEAST, tmp_path, requests, "duckdb")["duckdb"]

    def check(request: Request) -> None:
        ours = ask_tiffin(tmp_path, request)
        assert "error" not in ours, ours
        assert "error" not in answers[request.name], answers[request.name]
        assert by_label(ours) == by_label(answers[request.name]), request.name

    for request in requests:
        check(request)
