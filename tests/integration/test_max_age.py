"""`max_age`: rows that are too old for one call are null, whatever the store's policy."""

import datetime as dt
import json
import subprocess
import sys

import numpy as np
import pytest
from rides import utc

from tiffin import FeatureStore, FieldStatus, errors

HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)
PRESENT, NULL, NOT_FOUND, OLD = (
    FieldStatus.PRESENT,
    FieldStatus.NULL_VALUE,
    FieldStatus.NOT_FOUND,
    FieldStatus.OUTSIDE_MAX_AGE,
)
# drivers 1 and 2 have rows of the third of January, driver 3 one of the first; the ttl is a week
ROWS = {"driver_id": [1, 2, 3, 9]}
NOW = utc(2024, 1, 4)


@pytest.fixture(params=["absent", "ignore", "enforce"])
def loaded(request, store):
    store.materialize(utc(2024, 1, 1), utc(2024, 1, 3))
    if request.param == "absent":
        return store
    yaml = store.repo_path / "feature_store.yaml"
    yaml.write_text(f"project: rides\nonline_ttl: {request.param}\n")
    return FeatureStore(store.repo_path)


def statuses(store, **arguments):
    answer = store.get_online_features(["stats:trips"], ROWS, **arguments)
    values = answer.to_dict()["trips"]
    found = answer.statuses["trips"]
    assert all(
        (value is None) == (how != PRESENT) for value, how in zip(values, found, strict=True)
    )
    return found


@pytest.mark.parametrize("max_age", [DAY, 86_400, 86_400.0, np.int64(86_400)], ids=repr)
def test_older_rows_are_null_and_say_why(loaded, max_age):
    assert statuses(loaded, at=NOW, max_age=max_age) == [PRESENT, NULL, OLD, NOT_FOUND]
    late = NOW + dt.timedelta(microseconds=1)
    assert statuses(loaded, at=late, max_age=max_age) == [OLD, OLD, OLD, NOT_FOUND]


def test_without_it_nothing_changes(loaded):
    assert statuses(loaded, at=NOW) == [PRESENT, NULL, PRESENT, NOT_FOUND]


def test_a_long_one_does_not_undo_what_is_enforced(loaded):
    is_enforced = loaded.config.online_ttl == "enforce"
    late = utc(2024, 2, 4)
    if loaded.config.online_ttl == "":
        with pytest.warns(errors.TiffinWarning, match="older than its ttl"):
            found = statuses(loaded, at=late, max_age=365 * DAY)
    else:
        found = statuses(loaded, at=late, max_age=365 * DAY)
    assert (
        found == [OLD, OLD, OLD, NOT_FOUND] if is_enforced else [PRESENT, NULL, PRESENT, NOT_FOUND]
    )


def test_what_it_nulls_is_not_said_to_be_served(loaded, recwarn):
    assert statuses(loaded, at=utc(2024, 2, 4), max_age=HOUR) == [OLD, OLD, OLD, NOT_FOUND]
    assert not [w for w in recwarn if issubclass(w.category, errors.TiffinWarning)]


def test_it_reaches_every_form_of_an_answer(loaded):
    answer = loaded.get_online_features(["stats:trips"], ROWS, at=NOW, max_age=DAY)
    assert answer.to_arrow()["trips"].to_pylist() == [30, None, None, None]
    assert answer.to_df()["trips"].isna().to_list() == [False, True, True, True]
    assert answer.event_timestamps["trips"][2] == utc(2024, 1, 1).timestamp()


@pytest.mark.parametrize(
    "max_age", [0, -1, 0.0, -HOUR, dt.timedelta(0), float("nan"), 1e-9, 1e20, 1e303]
)
def test_an_age_that_is_none_is_refused_in_one_sentence(loaded, max_age):
    with pytest.raises(errors.InvalidError) as caught:
        loaded.get_online_features(["stats:trips"], ROWS, max_age=max_age)
    assert str(caught.value).startswith("max_age is ")
    assert "above zero" in str(caught.value)
    with pytest.raises(errors.InvalidError, match="max_age is "):
        loaded.prepare(["stats:trips"]).get(ROWS, max_age=max_age)


def test_an_age_beyond_any_float_is_refused_in_one_sentence(loaded):
    with pytest.raises(errors.InvalidError, match=r"^max_age is a number of more than 300 digits"):
        loaded.get_online_features(["stats:trips"], ROWS, max_age=10**5000)


@pytest.mark.parametrize("max_age", ["1h", True, [1]])
def test_an_age_of_another_type_is_refused(loaded, max_age):
    with pytest.raises(errors.SchemaError, match="max_age must be a timedelta or a number"):
        loaded.get_online_features(["stats:trips"], ROWS, max_age=max_age)


def test_the_engine_refuses_it_too(loaded):
    lookup = loaded._engine.prepare('{"features": ["stats:trips"], "full_feature_names": false}')
    for wrong in (0, -1, 2**63, "1", 1.5):
        with pytest.raises(errors.InvalidError, match="max_age_us must be a positive int"):
            lookup.run(ROWS, max_age_us=wrong)
    with pytest.raises(TypeError, match="max_age_us"):
        lookup.run(ROWS, None, 1, 1)


def test_the_command_line_has_it(loaded):
    command = [sys.executable, "-m", "tiffin.cli.main", "get-online-features", "--json"]
    command += ["-f", "stats:trips", "-e", "driver_id=1", "-e", "driver_id=3", "--at", "2024-01-04"]

    def run(*more):
        return subprocess.run(
            [*command, *more], cwd=loaded.repo_path, capture_output=True, text=True, check=False
        )

    done = run("--max-age", "86400")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["trips"] == [30, None]
    refused = run("--max-age", "0")
    assert refused.returncode != 0
    assert "max_age is 0.0" in refused.stderr
    assert "Traceback" not in refused.stderr
