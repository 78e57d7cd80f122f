"""What is said of a training set: the plan, what really happened, and warnings."""

import json
import subprocess
import sys
import warnings

import pandas as pd
import pyarrow as pa
import pytest
from one_view import DAY, start, store_of, times
from rides import utc

from tiffin.errors import TiffinWarning
from tiffin.offline.explanation import Explanation

N = 40


def facts(n_keys: int = 4, **columns) -> pa.Table:
    """N rows, one a day, of some keys in turn."""
    table = {
        "k": pa.array([i % n_keys for i in range(N)], pa.int64()),
        "event_timestamp": times(range(N)),
        "x": pa.array([float(i) for i in range(N)]),
        "name": pa.array([f"row {i}" for i in range(N)]),
        **columns,
    }
    return pa.table(table)


def spine(days, keys=None, **columns) -> pa.Table:
    keys = [i % 4 for i in range(len(days))] if keys is None else keys
    return pa.table({"k": keys, "event_timestamp": times(days), **columns})


def run(store, rows, features=("facts:x",), **options):
    """The explanation of a training set that was computed, and what was said aloud."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        job = store.get_historical_features(rows, list(features), **options)
        job.to_arrow()
    sentences = [str(w.message) for w in said if w.category is TiffinWarning]
    return job.explain(), sentences


def codes(explanation) -> list[str]:
    return [w["code"] for w in explanation.warnings]


# ---- the plan


def test_row_groups_rows_and_bytes_are_those_of_the_footers(tmp_path):
    store = store_of(tmp_path, facts(), ttl=2 * DAY, row_group_size=10)
    job = store.get_historical_features(spine([25, 26, 27]), ["facts:x"])
    plan = job.explain().to_dict()["views"][0]["plan"]
    keys, features = plan["scans"]
    assert (keys["row_groups"], keys["row_groups_to_read"], keys["rows_to_read"]) == (4, 1, 10)
    assert keys["columns"] == ["k", "event_timestamp"]
    assert features["columns"] == ["x"]
    metadata = pa.parquet.read_metadata(tmp_path / "facts.parquet")
    sizes = {
        metadata.row_group(2).column(i).path_in_schema: metadata.row_group(2)
        .column(i)
        .total_compressed_size
        for i in range(metadata.num_columns)
    }
    assert keys["bytes_to_read"] == sizes["k"] + sizes["event_timestamp"]
    assert features["row_groups_to_read"] == 4  # which of them hold winners is not known yet
    assert keys["first_time_us"] == start().timestamp() * 1e6
    assert keys["last_time_us"] == start(N - 1).timestamp() * 1e6
    assert plan["rule"] == {"ttl_us": 2 * 86_400_000_000, "filter_by_created": False}
    assert (plan["passes"], plan["rows"], plan["groups"], plan["slots"]) == (2, 3, 3, 3)
    text = str(job.explain())
    assert "1 of 4 row groups (3 pruned), 10 rows" in text
    assert "ttl 2 d" in text
    assert "2024-01-01 00:00:00 to 2024-02-09 00:00:00" in text
    assert len(text.splitlines()) < 24


def test_bytes_of_lists_and_of_names_that_need_quoting_are_counted(tmp_path):
    odd = 'it\'s, "x"'
    lists = pa.array([[i, i] for i in range(N)], pa.list_(pa.int64()))
    columns = {"tags": lists, odd: pa.array(range(N)), "a, b": lists}
    store = store_of(tmp_path, facts(**columns))
    job = store.get_historical_features(spine([25]), [f"facts:{name}" for name in columns])
    scan = job.explain().to_dict()["views"][0]["plan"]["scans"][1]
    group = pa.parquet.read_metadata(tmp_path / "facts.parquet").row_group(0)
    there = [group.column(i) for i in range(group.num_columns)]
    wanted = [c for c in there if c.path_in_schema.split(".")[0] in ("tags", odd, "a, b")]
    assert len(wanted) == 3
    assert scan["bytes_to_read"] == sum(c.total_compressed_size for c in wanted)


def test_analyze_computes_it_and_tells_each_step(tmp_path):
    store = store_of(tmp_path, facts())
    job = store.get_historical_features(spine([25, 26]), ["facts:x"])
    assert not job.explain().to_dict()["ran"]
    explanation = job.explain(analyze=True)
    report = explanation.to_dict()
    assert report["ran"]
    [view] = report["views"]
    assert list(view["seconds"])[-4:] == ["scan", "walk", "values", "output"]
    assert view["scans_done"][0]["rows"] == 27
    assert view["scans_done"][0]["bytes_at_most"] > 0
    steps = [line.split()[0] for line in str(explanation).splitlines() if line.startswith("  ")]
    assert steps[steps.index("step") + 1 :] == list(view["seconds"])
    assert json.loads(explanation.to_json()) == report
    assert job.explain().to_dict() == report


def test_members_of_a_plan_that_the_text_does_not_know_are_shown_as_they_are(tmp_path):
    store = store_of(tmp_path, facts())
    report = store.get_historical_features(spine([25]), ["facts:x"]).explain().to_dict()
    report["views"][0]["plan"] |= {"parts": 3, "strategy": {"by": "time", "limit_bytes": 5_000_000}}
    report["memory_limit_bytes"] = 64_000_000
    lines = str(Explanation(json.dumps(report))).splitlines()
    assert "  parts         3" in lines
    assert "  strategy      by time, limit bytes 5.0 MB" in lines
    assert "  memory limit bytes 64.0 MB" in lines


def test_a_csv_and_a_view_without_rows_to_read_are_explained(tmp_path):
    store = store_of(tmp_path, facts())
    nothing = {"k": pa.array([None], pa.int64()), "event_timestamp": times([3])}
    plan = store.get_historical_features(pa.table(nothing), ["facts:x"]).explain()
    assert plan.to_dict()["views"][0]["plan"]["scans"] == []
    assert "0 keys, 0 slots (0.0 per key)" in str(plan)


# ---- warnings: numbers as in docs/semantics/training-warnings.md


def test_1_floats_for_an_integer_key_are_said_before_the_run(tmp_path):
    store = store_of(tmp_path, facts())
    frame = pd.DataFrame({"k": [1, None], "event_timestamp": [start(9)] * 2})
    job = store.get_historical_features(frame, ["facts:x"])
    [warning] = job.explain().warnings
    assert warning["code"] == "key_cast"
    assert not warning["severe"]
    assert "'k' of the entity rows holds float64 and is read as int64" in warning["sentence"]
    assert run(store, frame)[1] == []  # not aloud


def test_2_a_source_that_starts_after_most_entity_rows(tmp_path):
    store = store_of(tmp_path, facts())
    job = store.get_historical_features(spine([-9, -8, -7, -6, -5, -4, 3, 4, 5, 6]), ["facts:x"])
    [warning] = job.explain().warnings
    assert warning["code"] == "source_starts_after"
    assert warning["counts"] == {"rows_before": 6, "rows": 10}
    assert "starts at 2024-01-01T00:00:00Z, after 6 of 10 entity rows" in warning["sentence"]
    half = store.get_historical_features(spine([-9, -8, -7, -6, -5, 2, 3, 4, 5, 6]), ["facts:x"])
    assert half.explain().warnings == []


@pytest.mark.parametrize(("ttl", "expected"), [(2 * DAY, True), (None, False), (99 * DAY, False)])
def test_3_a_source_that_ends_before_the_ttl_of_most_entity_rows(tmp_path, ttl, expected):
    store = store_of(tmp_path, facts(), ttl=ttl)
    explanation = store.get_historical_features(
        spine([41.5, *range(42, 52)]), ["facts:x"]
    ).explain()
    assert codes(explanation) == (["source_ends_before"] if expected else [])
    if expected:
        [warning] = explanation.warnings
        # the source ends on day 39; day 41 and before are within the ttl
        assert warning["counts"] == {"rows_after": 11, "rows": 11}
        assert "older than the ttl of 2 d" in warning["sentence"]


def test_4_no_row_of_the_source_in_the_range_of_the_entity_rows(tmp_path):
    gap = facts(event_timestamp=times([d if d < 20 else d + 60 for d in range(N)]))
    store = store_of(tmp_path, gap, ttl=DAY)
    explanation, said = run(store, spine([40.5, 41.5]))
    assert codes(explanation) == ["no_row_in_range"]
    assert said == [explanation.warnings[0]["sentence"]]


def test_5_no_key_of_the_source_is_one_of_the_entity_rows(tmp_path):
    store = store_of(tmp_path, facts())
    explanation, said = run(store, spine([10, 11], keys=[100, 101]))
    assert codes(explanation) == ["no_key_matches"]
    assert explanation.warnings[0]["counts"] == {"source_rows": 12, "keys": 2}
    assert "of 12 rows read of its source none has the key of an entity row (2 keys)" in said[0]
    assert codes(run(store, spine([10, 11], keys=[100, 1]))[0]) == []


def test_6_most_entity_rows_find_only_what_is_older_than_the_ttl(tmp_path):
    # Each key has its last row on day 0 to 3; other keys go on, so that the source does not end.
    table = facts(k=pa.array([i if i < 4 else 99 for i in range(N)], pa.int64()))
    store = store_of(tmp_path, table, ttl=5 * DAY)
    explanation, said = run(store, spine([4, 4, 4, 4, *range(10, 26)]))
    assert codes(explanation) == ["mostly_expired"]
    counts = explanation.warnings[0]["counts"]
    assert (counts["rows_unmatched"], counts["rows"], counts["slots_expired"]) == (16, 20, 16)
    assert "older than the ttl of 5 d" in said[0]
    assert codes(run(store_of(tmp_path, table), spine([4, *range(10, 26)]))[0]) == []


def test_6_rows_that_are_too_old_for_the_first_entity_time_after_them_count_too(tmp_path):
    store = store_of(tmp_path, facts(n_keys=1), ttl=DAY / 4)
    explanation, _ = run(store, spine([d + 0.5 for d in range(10, 26)], keys=[0] * 16))
    assert codes(explanation) == ["mostly_expired"]
    counts = explanation.warnings[0]["counts"]
    assert (counts["rows_unmatched"], counts["slots_expired"]) == (16, 0)
    assert counts["source_rows_expired"] == 15
    assert "ttl of 6 h" in explanation.warnings[0]["sentence"]


def test_7_most_winners_were_created_after_the_entity_time(tmp_path):
    table = facts(created=times([d + 2 for d in range(N)]))
    store = store_of(tmp_path, table)
    explanation, said = run(store, spine([d + 0.5 for d in range(8, 20)]))
    assert codes(explanation) == ["late_data"]
    assert explanation.warnings[0]["counts"] == {"slots_created_later": 12, "slots_won": 12}
    assert "filter_by_created_timestamp=True" in said[0]
    filtered = run(store, spine([d + 0.5 for d in range(8, 20)]), filter_by_created_timestamp=True)
    assert codes(filtered[0]) == []
    assert codes(run(store, spine([d + 2 for d in range(8, 20)]))[0]) == []  # created by then


def test_8_a_feature_that_repeats_a_column_of_the_entity_rows(tmp_path):
    store = store_of(tmp_path, facts())
    days = list(range(4, 34))
    rows = spine(
        days,
        label=pa.array([float(d) for d in days]),  # the key of day d has its row of day d
        wrong=pa.array([float(-d) for d in days]),
        same=pa.array([f"row {d}" for d in days]),
        constant=pa.array([1] * len(days)),
    )
    explanation, said = run(store, rows, ["facts:x", "facts:name"])
    found = {
        (w["counts"]["feature"], w["counts"]["column"], w["counts"]["rows_equal"])
        for w in explanation.warnings
    }
    assert set(codes(explanation)) == {"feature_equals_label"}
    assert found == {("x", "label", 30), ("name", "same", 30)}
    assert len(said) == 2


@pytest.mark.parametrize(("n_wrong", "expected"), [(2, True), (3, False)])
def test_8_one_row_in_a_thousand_may_differ(tmp_path, n_wrong, expected):
    store = store_of(tmp_path, facts(n_keys=N))
    n = 2_000
    label = [float(i % N) if i >= n_wrong else -1.0 for i in range(n)]
    table = pa.table(
        {
            "k": pa.array([i % N for i in range(n)]),
            "event_timestamp": times([50] * n),
            "label": label,
        }
    )
    assert codes(run(store, table.to_reader(max_chunksize=300))[0]) == (
        ["feature_equals_label"] if expected else []
    )


@pytest.mark.parametrize(
    ("flagged", "expected"),
    [(range(5, 9), []), (range(5), ["feature_equals_label"]), (range(1, 5), [])],
)
@pytest.mark.parametrize("begins_rare", [True, False])
def test_8_a_label_that_is_rare_is_not_repeated_by_any_rare_feature(
    tmp_path, flagged, expected, begins_rare
):
    """Of 10,000 rows five have the label; all others agree, and that tells nothing."""
    n = 10_000
    keys = [i if begins_rare else n - 1 - i for i in range(n)]
    values = [float(k in flagged) for k in range(n)]
    table = {"k": range(n), "event_timestamp": times([0] * n), "x": values}
    store = store_of(tmp_path, pa.table(table))
    rows = spine([1] * n, keys=keys, label=pa.array([int(k < 5) for k in keys]))
    assert codes(run(store, rows)[0]) == expected


def test_a_view_is_told_by_the_name_that_was_asked_for(tmp_path):
    """Two names of one view are two views: each has its plan and its warnings."""
    store = store_of(tmp_path, facts())
    view = store.get_feature_view("facts")
    asked = [view.with_name("home"), view.with_name("away").with_join_key_map({"k": "other"})]
    rows = spine([10, 11], keys=[100.0, 101.0], other=pa.array([200.0, 201.0]))
    explanation, said = run(store, rows, asked, full_feature_names=True)
    assert [view["view"] for view in explanation.to_dict()["views"]] == ["home", "away"]
    told = [(w["code"], w["view"]) for w in explanation.warnings]
    assert sorted(told) == [
        (code, name) for code in ("key_cast", "no_key_matches") for name in ("away", "home")
    ]
    assert [sentence.split(":")[0] for sentence in said] == ["view 'home'", "view 'away'"]


def test_what_is_severe_is_said_once_and_at_the_callers_line(tmp_path):
    store = store_of(tmp_path, facts())
    job = store.get_historical_features(spine([10, 11], keys=[100, 101]), ["facts:x"])
    with pytest.warns(TiffinWarning, match="none has the key of an entity row") as said:
        job.to_arrow()
    assert said[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        job.to_df()  # computed already
    assert "warning: view 'facts': of 12 rows read" in str(job.explain())


# ---- the command line


def tiffin(folder, *arguments):
    command = [sys.executable, "-m", "tiffin.cli.main", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_the_command_tells_the_plan_or_what_happened(store):
    rows = json.dumps([{"driver_id": 9, "event_timestamp": utc(2024, 1, 2).isoformat()}])
    request = ["-d", rows, "-f", "stats:trips"]
    done = tiffin(store.repo_path, "explain", *request)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("stats: two-step join with ")
    assert "planned in" in done.stdout
    done = tiffin(store.repo_path, "explain", *request, "--analyze", "--json")
    report = json.loads(done.stdout)
    assert report["ran"]
    assert [w["code"] for w in report["warnings"]] == ["no_key_matches"]
    assert done.stderr == ""  # what stands in the explanation is not said again
    assert tiffin(store.repo_path, "explain", *request[:2]).returncode == 2


def test_times_outside_of_what_python_has_are_no_trouble(tmp_path):
    far = pa.array([10**18 // 2] * N, pa.timestamp("us", "UTC"))
    store = store_of(tmp_path, facts(event_timestamp=far))
    plan = store.get_historical_features(spine([3]), ["facts:x"]).explain()
    assert plan.to_dict()["views"][0]["plan"]["scans"][0]["row_groups_to_read"] == 0
    assert codes(plan) == []  # one entity row is not "most"
    assert "s from 1970" in str(plan)


def test_memory_of_duckdb_stands_apart_and_one_is_no_plural(tmp_path):
    store = store_of(tmp_path, facts())
    explanation, _ = run(store, spine([1]))
    memory = explanation["memory"]
    text = str(explanation)
    own = memory["needed_bytes"] - memory["reader_bytes"]
    assert f"need about {own / 1e6:,.1f} MB, and DuckDB up to " in text
    assert "1 row by event_timestamp, made in" in text
    assert "1; 1 key, 1 slot (1.0 per key)" in text
