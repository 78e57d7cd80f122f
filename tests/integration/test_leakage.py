"""What a training set may not know, and that it is found."""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from one_view import store_of, times

from tiffin import errors


def facts(n: int = 400, **columns) -> pa.Table:
    """One row per key, all on day 0."""
    table = {
        "k": pa.array(range(n)),
        "event_timestamp": times([0] * n),
        "x": pa.array([float(i) for i in range(n)]),
        **columns,
    }
    return pa.table(table)


def spine(n: int = 400, day: float = 1, **columns) -> pa.Table:
    return pa.table({"k": pa.array(range(n)), "event_timestamp": times([day] * n), **columns})


def found(report, code: str | None = None) -> list:
    return [
        (f["code"], f["feature"], f["label"])
        for f in report.findings
        if code is None or f["code"] == code
    ]


def noise(n: int, seed: int = 7) -> list[float]:
    rng = random.Random(seed)
    return [rng.random() for _ in range(n)]


def auc_of(feature: list, label: list) -> float:
    """Pairs of a row of either class, one by one."""
    high = [f for f, y in zip(feature, label, strict=True) if y and f is not None]
    low = [f for f, y in zip(feature, label, strict=True) if not y and f is not None]
    wins = sum((h > v) + (h == v) / 2 for h in high for v in low)
    return wins / (len(high) * len(low))


# ---- rows


def test_a_clean_training_set_has_no_finding(tmp_path):
    store = store_of(tmp_path, facts(x=pa.array(noise(400)), created=times([0.5] * 400)))
    label = pa.array(noise(400, 8))
    report = store.check_leakage(store.get_historical_features(spine(y=label), ["facts:x"]))
    assert report.findings == []
    assert str(report) == "no leak found in 400 rows x 1 features (labels: y)"


def test_rows_that_use_what_was_created_later_are_counted_by_view(tmp_path):
    created = times([0.5 if i % 4 else 1.25 for i in range(400)])
    store = store_of(tmp_path, facts(created=created))
    rows = spine(500)  # a hundred of them match nothing
    report = store.check_leakage(rows, ["facts:x"])
    [finding] = report.findings
    assert (finding["code"], finding["view"]) == ("created_later", "facts")
    assert finding["counts"] == {"rows_created_later": 100, "rows_matched": 400, "share": 0.25}
    assert [e["row"] for e in finding["examples"]] == [0, 4, 8, 12, 16]
    assert finding["examples"][1] == {
        "row": 4,
        "keys": {"k": 4},
        "entity_time": "2024-01-02T00:00:00Z",
        "event_time": "2024-01-01T00:00:00Z",
        "created_time": "2024-01-02T06:00:00Z",
    }
    assert "100 of 400 rows with a value (25.0%)" in str(report)
    assert store.check_leakage(rows, ["facts:x"], filter_by_created_timestamp=True).findings == []
    job = store.get_historical_features(rows, ["facts:x"], filter_by_created_timestamp=True)
    assert store.check_leakage(job).findings == []  # the job knows


def test_features_that_hang_on_a_tie_are_counted_by_row(tmp_path):
    rows = pa.table(
        {
            "k": [1, 1, 1, 1],
            "event_timestamp": times([0, 1, 2, 3]),
            "x": [5.0, 5.0, float("nan"), 7.0],
            "tags": pa.array([["a"], ["a"], ["a", "b"], None]),
        }
    )
    store = store_of(tmp_path, rows)
    ask = pa.table({"k": [1] * 5, "event_timestamp": times([0, 1, 2, 2.5, 3])})
    report = store.check_leakage(ask, ["facts:x", "facts:tags"])
    counts = {f["feature"]: f["counts"]["rows_different"] for f in report.findings}
    # day 0: gone; day 1: the same value; day 2 and 3: another
    assert counts == {"x": 3, "tags": 3}
    [x] = [f for f in report.findings if f["feature"] == "x"]
    assert x["examples"][0] == {"row": 0, "keys": {"k": 1}, "at": 5.0, "earlier": None}
    assert {f["code"] for f in report.findings} == {"changes_at_ties"}


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns", "date"])
def test_a_microsecond_is_one_in_every_unit_of_time(tmp_path, unit):
    store = store_of(tmp_path, facts(3))
    day = times([0] * 3)
    asked = day.cast(pa.date32() if unit == "date" else pa.timestamp(unit, "UTC"))
    rows = pa.table({"k": pa.array(range(3)), "event_timestamp": asked})
    report = store.check_leakage(rows, ["facts:x"])
    assert found(report) == [("changes_at_ties", "x", None)]
    assert report["rows"] == 3


def test_a_finished_set_is_compared_with_what_was_known(tmp_path):
    store = store_of(tmp_path, facts())
    table = store.get_historical_features(spine(), ["facts:x"]).to_arrow()
    assert found(store.check_leakage(table, ["facts:x"])) == []
    x = table["x"].to_pylist()
    x[3], x[5] = -1.0, None
    changed = table.set_column(2, "x", pa.array(x))
    for frame in (changed, changed.to_pandas(), pl.DataFrame(changed), changed.to_pydict()):
        report = store.check_leakage(frame, ["facts:x"])
        [finding] = report.findings
        assert (finding["code"], finding["counts"]["rows_different"]) == ("not_as_of", 2)
        assert finding["examples"][0] == {"row": 3, "keys": {"k": 3}, "here": -1.0, "known": 3.0}


def test_integers_with_nulls_that_pandas_made_floats_are_the_same_values(tmp_path):
    n = pa.array([i if i % 3 else None for i in range(400)], pa.int64())
    store = store_of(tmp_path, facts(whole=n))
    table = store.get_historical_features(spine(), ["facts:whole"]).to_arrow()
    frame = pd.DataFrame({name: table[name].to_pandas() for name in table.column_names})
    assert str(frame["whole"].dtype) == "float64"
    assert store.check_leakage(frame, ["facts:whole"]).findings == []


def test_what_cannot_be_checked_is_one_sentence(tmp_path):
    store = store_of(tmp_path, facts())
    job = store.get_historical_features(spine(), ["facts:x"])
    with pytest.raises(errors.InvalidError, match="say which features"):
        store.check_leakage(spine())
    with pytest.raises(errors.InvalidError, match="knows its features"):
        store.check_leakage(job, ["facts:x"])
    with pytest.raises(
        errors.SchemaError, match=r"label 'y' is no column .* it has k, event_times"
    ):
        store.check_leakage(job, label="y")
    with pytest.raises(errors.SchemaError, match=r"'x' .* holds string; the feature is double"):
        store.check_leakage(spine(x=pa.array(["one"] * 400)), ["facts:x"])
    with pytest.raises(errors.NotFoundError, match="facts"):
        store.check_leakage(spine(), ["nothing:x"])
    with pytest.raises(errors.SchemaError, match="no column 'k', which is a join key"):
        store.check_leakage(spine().drop_columns("k"), ["facts:x"])


# ---- features and labels


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (lambda i: f"class {i % 20}", True),  # a name for the number
        (lambda i: i % 20 if i else 3, True),  # one row in 2,000 is another
        (lambda i: i % 20 if i > 4 else 3, False),  # four rows are
        (lambda i: (i % 20) // 2, False),  # two values of the feature for one of the label
        (lambda i: i % 40, False),  # and the other way round
        (lambda _: 1, False),
        (lambda i: None if i % 2 else f"class {i % 20}", True),  # of non-null rows
    ],
)
def test_a_feature_is_one_to_one_with_the_label(tmp_path, label, expected):
    n = 2_000
    store = store_of(tmp_path, facts(n, x=pa.array([i % 20 for i in range(n)])))
    rows = spine(n, y=pa.array([label(i) for i in range(n)]))
    report = store.check_leakage(rows, ["facts:x"], label="y")
    assert found(report, "one_to_one") == ([("one_to_one", "x", "y")] if expected else [])


def test_fewer_than_ten_values_are_one_to_one_by_chance(tmp_path):
    for n_values, expected in ((9, []), (10, [("one_to_one", "x", "y")])):
        values = [i % n_values for i in range(400)]
        store = store_of(tmp_path, facts(x=pa.array(values)))
        rows = spine(y=pa.array([str(v) for v in values]))
        assert found(store.check_leakage(rows, ["facts:x"], label="y")) == expected


def test_values_that_hardly_repeat_count_only_if_they_rise_together(tmp_path):
    x = noise(400)
    store = store_of(tmp_path, facts(x=pa.array(x), name=pa.array([f"n{i}" for i in range(400)])))
    rows = spine(price=pa.array([100 - 3 * v**3 for v in x]), other=pa.array(noise(400, 9)))
    report = store.check_leakage(rows, ["facts:x", "facts:name"])
    assert found(report) == [("one_to_one", "x", "price")]
    assert report["labels"] == ["price", "other"]


def test_auc_is_that_of_all_pairs(tmp_path):
    rng = random.Random(3)
    x = [rng.randrange(12) + (5 if i % 3 == 0 else 0) for i in range(400)]
    x = [None if rng.random() < 0.1 else float(v) for v in x]
    label = [i % 3 == 0 for i in range(400)]
    from tiffin.offline.leakage import _Look

    look = _Look(spine(), ["k"])
    look._register("all_rows", pa.chunked_array([x]), pa.chunked_array([label]), look._numbers)
    classes = look._classes()
    auc, n_high, n_low = look._auc("all_rows", *classes)
    assert auc == pytest.approx(auc_of(x, label), abs=1e-12)
    assert 0.6 < auc < 0.95
    assert n_high + n_low == sum(v is not None for v in x)


@pytest.mark.parametrize(
    ("n_wrong", "sign", "kind", "expected"),
    [
        (0, 1, bool, True),
        (0, -1, bool, True),  # the other way round
        (0, 1, lambda v: "yes" if v else "it's not", True),
        (0, 1, lambda v: 2.5 if v else float("nan"), False),  # one class only
        (2, 1, bool, False),
        (0, 1, int, True),
    ],
)
def test_a_feature_predicts_a_label_of_two_classes_alone(tmp_path, n_wrong, sign, kind, expected):
    n = 400
    x = [sign * (i + (1000 if i % 4 == 0 else 0)) for i in range(n)]
    for i in range(n_wrong):
        x[4 * i] = -sign * 10_000
    store = store_of(tmp_path, facts(n, x=pa.array(x)))
    rows = spine(n, y=pa.array([kind(i % 4 == 0) for i in range(n)]))
    report = store.check_leakage(rows, ["facts:x"], label="y")
    assert found(report) == ([("predicts_label", "x", "y")] if expected else [])
    if expected:
        assert report.findings[0]["counts"]["auc"] == 1.0


def test_labels_may_have_any_type(tmp_path):
    x = [i % 20 for i in range(400)]
    kinds = {
        "moment": times([i // 10 for i in x]),
        "date": times([i // 10 for i in x]).cast(pa.date32()),
        "raw": pa.array([bytes([i // 10]) for i in x], pa.binary()),
        "word": pa.array([f"it's {i // 10}" for i in x]).dictionary_encode(),
        "tags": pa.array([[i] for i in x]),
        "nothing": pa.nulls(400),
        "exact": pa.array([i // 10 for i in x]).cast(pa.decimal128(21, 2)),
    }
    store = store_of(tmp_path, facts(x=pa.array(x), at=times(x)))
    report = store.check_leakage(spine(**kinds), ["facts:x", "facts:at"])
    found_labels = {f["label"] for f in report.findings if f["code"] == "predicts_label"}
    assert found_labels == {"moment", "date", "raw", "word", "exact"}
    assert {f["feature"] for f in report.findings} == {"x"}
    assert json.loads(report.to_json()) == report.to_dict()


def test_a_rare_class_is_not_lost_in_a_sample(tmp_path):
    n = 60_000
    label = [i % 4_000 == 1 for i in range(n)]  # fifteen rows
    store = store_of(
        tmp_path, facts(n, x=pa.array([float(v) + i / n / 2 for i, v in enumerate(label)]))
    )
    report = store.check_leakage(spine(n, y=pa.array(label)), ["facts:x"], label="y")
    assert found(report) == [("predicts_label", "x", "y")]


def test_ctrl_c_in_a_comparison_is_a_keyboard_interrupt():
    """Polars is imported here, with its handler of signals; how soon: `test_progress`."""
    from tiffin.offline.leakage import _Look

    look = _Look(spine(3), ["k"])
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        look._row("select sum(a.i * b.i) from range(4000000) a(i), range(4000000) b(i)")
    timer.join()
    assert "tiffin-query" not in [thread.name for thread in threading.enumerate()]
    assert look._row("select 1") == (1,)
    with pytest.raises(duckdb.Error, match="nowhere"):
        look._row("from nowhere")


# ---- every form


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-01",
        "2024-01-01T00:00Z",
        "2024-01-01 01:00:00+01:00",
        "2024-01-01T00:00:00.000000999",
    ],
)
def test_times_that_are_texts_are_asked_a_microsecond_earlier(tmp_path, text):
    store = store_of(tmp_path, facts(3))
    rows = {"k": [0, 1, 2], "event_timestamp": [text, "2024-01-02T00:00:00Z", "2024-01-03"]}
    report = store.check_leakage(rows, ["facts:x"])
    [finding] = report.findings
    assert finding["code"] == "changes_at_ties"
    assert [e["row"] for e in finding["examples"]] == [0]
    assert "if they are asked a microsecond earlier" in str(report)


@pytest.mark.parametrize("as_job", [False, True])
def test_times_that_are_too_far_away_for_microseconds_are_asked_a_second_earlier(tmp_path, as_job):
    far = pa.array([2**53] * 2, pa.timestamp("s", "UTC"))
    source = pa.table({"k": [0, 1], "event_timestamp": far, "x": [1.0, 2.0]})
    (tmp_path / "repo").mkdir()
    store = store_of(tmp_path / "repo", facts(2))
    rows = pa.table({"k": [0, 1], "event_timestamp": far})
    asked = store.get_historical_features(rows, ["facts:x"]) if as_job else rows
    report = store.check_leakage(asked, None if as_job else ["facts:x"])
    assert report.findings == []
    from tiffin.offline.comparable import shift_earlier

    earlier, step = shift_earlier(source, "event_timestamp")
    assert (step, earlier["event_timestamp"][0].value) == ("a second", 2**53 - 1)


def polars_rows(n: int = 400) -> pl.DataFrame:
    words = [f"w{i % 20}" for i in range(n)]
    rows = pl.DataFrame(spine(n))
    return rows.with_columns(
        text=pl.Series(words),
        category=pl.Series(words, dtype=pl.Categorical),
        enum=pl.Series(words, dtype=pl.Enum([f"w{i}" for i in range(20)])),
        half=pl.Series([float(i % 20) for i in range(n)]).cast(pl.Float32),
    )


@pytest.mark.parametrize("as_job", [False, True])
def test_labels_of_polars_are_compared_whatever_their_layout(tmp_path, as_job):
    store = store_of(tmp_path, facts(x=pa.array([i % 20 for i in range(400)])))
    rows = pa.table(polars_rows())
    half = rows["half"].cast(pa.float16())
    rows = rows.set_column(rows.column_names.index("half"), "half", half)
    asked = store.get_historical_features(rows, ["facts:x"]) if as_job else rows
    report = store.check_leakage(asked, None if as_job else ["facts:x"])
    assert found(report) == [("one_to_one", "x", y) for y in ("text", "category", "enum", "half")]


def test_a_finished_set_of_polars_categories_is_compared(tmp_path):
    words = pa.array([f"w{i % 7}" for i in range(400)])
    store = store_of(tmp_path, facts(word=words))
    table = store.get_historical_features(pl.DataFrame(spine()), ["facts:word"]).to_polars()
    table = table.with_columns(pl.col("word").cast(pl.Categorical))
    assert store.check_leakage(table, ["facts:word"]).findings == []


def test_a_job_whose_time_was_found_by_its_type_is_checked_with_features_that_are_times(tmp_path):
    store = store_of(tmp_path, facts(at=times([0.25] * 400)))
    rows = spine().rename_columns(["k", "asked_at"])
    with pytest.warns(UserWarning, match="asked_at"):
        job = store.get_historical_features(rows, ["facts:at"])
        job.to_arrow()
    report = store.check_leakage(job)
    assert (report["time_column"], report.findings) == ("asked_at", [])


def test_a_feature_that_is_the_label_is_not_compared(tmp_path):
    x = [i % 20 for i in range(400)]
    store = store_of(tmp_path, facts(x=pa.array(x), z=pa.array(x)))
    job = store.get_historical_features(spine(), ["facts:x", "facts:z"])
    report = store.check_leakage(job, label="x")
    assert found(report) == [("one_to_one", "z", "x")]
    assert report["features"] == ["z"]


def test_fractions_among_integers_are_other_values(tmp_path):
    store = store_of(tmp_path, facts(whole=pa.array([5] * 400)))
    table = store.get_historical_features(spine(), ["facts:whole"]).to_df()
    table["whole"] = [5.9, None, *[5.0] * 398]
    [finding] = store.check_leakage(table, ["facts:whole"]).findings
    assert (finding["code"], finding["counts"]["rows_different"]) == ("not_as_of", 2)
    assert finding["examples"][0]["here"] == 5.9


def test_times_that_are_finer_than_the_source_are_other_values(tmp_path):
    store = store_of(tmp_path, facts(at=times([0.25] * 400)))
    table = store.get_historical_features(spine(), ["facts:at"]).to_arrow()
    fine = table["at"].cast(pa.int64()).to_pylist()
    fine = pa.array([fine[0] * 1000 + 1, *[v * 1000 for v in fine[1:]]])
    table = table.set_column(2, "at", fine.cast(pa.timestamp("ns", "UTC")))
    [finding] = store.check_leakage(table, ["facts:at"]).findings
    assert (finding["code"], finding["counts"]["rows_different"]) == ("not_as_of", 1)


def test_a_report_is_json_whatever_the_values(tmp_path):
    x = [float("nan"), float("inf"), *[1.0] * 398]
    store = store_of(tmp_path, facts(x=pa.array(x)))
    table = spine(x=pa.array([7.0] * 400))
    report = store.check_leakage(table, ["facts:x"])

    def refuse(word):
        raise AssertionError(word)

    parsed = json.loads(report.to_json(), parse_constant=refuse)
    assert [e["known"] for e in parsed["findings"][0]["examples"][:3]] == [None, "inf", 1.0]


def test_features_that_a_finished_set_lacks_are_told(tmp_path):
    store = store_of(tmp_path, facts(z=pa.array(range(400))))
    table = store.get_historical_features(spine(), ["facts:x"]).to_arrow()
    report = store.check_leakage(table, ["facts:x", "facts:z"])
    assert report["not_in_table"] == ["z"]
    assert str(report).endswith("not in the training set, so not compared: z")
    full = store.get_historical_features(spine(), ["facts:x"], full_feature_names=True).to_arrow()
    with pytest.raises(errors.SchemaError, match=r"'facts__x'.*full_feature_names=True"):
        store.check_leakage(full, ["facts:x"])
    table = table.append_column("facts__z", table["x"])
    with pytest.raises(errors.SchemaError, match=r"'x'.*full_feature_names=False"):
        store.check_leakage(table, ["facts:x", "facts:z"], full_feature_names=True)
    rows = spine(x=pa.array(noise(400)))  # a column of entity rows, which full names leave alone
    assert store.check_leakage(rows, ["facts:x"], full_feature_names=True)["labels"] == ["x"]


def test_comparisons_keep_to_the_memory_limit_and_leave_no_database(tmp_path, monkeypatch):
    from tiffin.offline.leakage import _Look

    seen = []
    close = _Look.close

    def watch(look):
        setting = "select current_setting('memory_limit'), current_setting('temp_directory')"
        seen.extend(look._row(setting))
        close(look)
        with pytest.raises(duckdb.ConnectionException):
            look._row("select 1")

    monkeypatch.setattr(_Look, "close", watch)
    store = store_of(tmp_path, facts(3))
    job = store.get_historical_features(spine(3), ["facts:x"], memory_limit="1GiB")
    store.check_leakage(job)
    assert seen[0] == "1.0 GiB"
    assert seen[1].startswith(tempfile.gettempdir())


# ---- the command line


def tiffin(folder, *arguments):
    command = [sys.executable, "-m", "tiffin.cli.main", "check-leakage", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_the_command_tells_and_can_fail(tmp_path):
    store_of(tmp_path, facts())
    pq.write_table(spine(y=pa.array([float(-i) for i in range(400)])), tmp_path / "rows.parquet")
    request = ["-d", "rows.parquet", "-f", "facts:x"]
    done = tiffin(tmp_path, *request)
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        "one_to_one: feature 'x' of view 'facts' is one to one with the column 'y'" in done.stdout
    )
    done = tiffin(tmp_path, *request, "--fail-on-finding", "--json", "-l", "y")
    assert done.returncode == 1
    assert json.loads(done.stdout)["findings"][0]["label"] == "y"
    done = tiffin(tmp_path, *request, "-l", "nope")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: label 'nope' is no column")
    pq.write_table(spine(), tmp_path / "rows.parquet")
    assert tiffin(tmp_path, *request, "--fail-on-finding").returncode == 0
    rows = json.dumps([{"k": 1, "event_timestamp": "2024-01-01T00:00:00Z"}])
    done = tiffin(tmp_path, "-d", rows, "-f", "facts:x")
    assert (done.returncode, done.stderr) == (0, "")
    assert "changes in 1 of 1 rows" in done.stdout
