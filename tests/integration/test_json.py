"""Newline JSON as a source, with both DuckDBs: types, missing members, and every mistake."""

import gzip
import json
from pathlib import Path

import pandas as pd
import pytest
from engines import find_library
from rides import utc
from sources import DAY, END, apply, fails, read

from tiffin import Entity, FeatureStore, FeatureView, FileSource, JsonFormat, errors
from tiffin.types import (
    Array,
    Bool,
    Bytes,
    Date,
    Float32,
    Float64,
    Int32,
    Int64,
    String,
    UnixTimestamp,
)


@pytest.fixture(params=["installed", "older"])
def store(request, tmp_path, monkeypatch) -> FeatureStore:
    """A store without definitions, in a folder that has no files."""
    monkeypatch.setenv("TIFFIN_DUCKDB_LIBRARY", find_library(request.param))
    (tmp_path / "feature_store.yaml").write_text("project: files\nonline_ttl: ignore\n")
    return FeatureStore(tmp_path)


@pytest.fixture
def root(store) -> Path:
    return store.repo_path


def line(x: object, k: int = 1, t: str = "2024-01-01T00:00:00Z", **more: object) -> str:
    return json.dumps({"k": k, "event_timestamp": t, "x": x, **more})


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(text + "\n" for text in lines)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["x.json", "x.ndjson", "x.jsonl", "x.json.gz", "x.jsonl.gz"])
def test_a_name_says_json(store, root, name):
    write(root / name, line(1), line(2))
    apply(store, name)
    assert read(store) == 2
    assert store.get_data_source("files").file_format == ""


@pytest.mark.parametrize("form", [JsonFormat(), "json", JsonFormat("{}")])
def test_a_stated_format_needs_no_name(store, root, form):
    write(root / "x.log", line(7))
    apply(store, "x.log", file_format=form)
    assert read(store) == 7
    assert store.get_data_source("files").file_format == "json"


def test_json_materializes_and_explains(store, root):
    write(root / "f/a.json", line(1), line(2, k=2))
    write(root / "f/b.json", line(3))
    apply(store, "f")
    store.materialize(None, END)
    found = store.get_online_features(["v:x"], [{"k": 1}, {"k": 2}]).to_dict()
    assert found["x"] == [3, 2]
    rows = {"k": [1], "event_timestamp": [END]}
    plan = store.get_historical_features(rows, ["v:x"]).explain().to_dict()
    text = json.dumps(plan)
    assert '"format": "json"' in text
    size = sum(path.stat().st_size for path in (root / "f").iterdir())
    assert f'"bytes": {size}' in text


def test_types_are_those_declared_and_values_are_exact(store, root):
    schema = {
        "big": Int64, "small": Int32, "f": Float64, "g": Float32, "b": Bool, "s": String,
        "raw": Bytes, "day": Date, "at": UnixTimestamp, "ints": Array(Int64),
        "floats": Array(Float32), "words": Array(String), "times": Array(UnixTimestamp),
        "quoted": Int64,
    }  # fmt: skip
    write(
        root / "x.json",
        line(
            0, big=2**53 + 1, small=-5, f=0.1, g=0.5, b=True, s='a"é\n', raw="ab", day="2024-02-29",
            at="2024-01-01T02:00:00.123456+02:00", ints=[2**62 + 1, None, -1], floats=[1, 2.5],
            words=["a", None, ""], times=["2024-01-01T00:00:00Z"], quoted="9007199254740993",
        ),
        line(0, k=2),
        line(0, k=3, ints=[], words=[None]),
    )  # fmt: skip
    apply(store, "x.json", schema)
    assert read(store, *schema) == [
        2**53 + 1, -5, 0.1, 0.5, True, 'a"é\n', b"ab", utc(2024, 2, 29).date(),
        utc(2024, 1, 1).replace(microsecond=123456), [2**62 + 1, None, -1], [1.0, 2.5],
        ["a", None, ""], [DAY], 2**53 + 1,
    ]  # fmt: skip
    assert read(store, *schema, k=2) == [None] * len(schema)
    assert read(store, "ints", "words", k=3) == [[], [None]]


def test_missing_members_and_nulls_are_null(store, root):
    write(root / "f/a.json", '{"k":1,"event_timestamp":"2024-01-01","x":null}')
    write(root / "f/b.json", '{"k":2,"event_timestamp":"2024-01-01"}', line(4, k=3, y=1))
    apply(store, "f", {"x": Int64, "y": Int64})
    assert [read(store, "x", "y", k=k) for k in (1, 2, 3)] == [[None, None], [None, None], [4, 1]]


@pytest.mark.parametrize(
    ("kind", "name", "bad", "found"),
    [
        (Int64, "int64", 1.5, "1.5"),
        (Int64, "int64", 2**63, "9223372036854775808"),
        (Int64, "int64", True, "true"),
        (Int64, "int64", [1], "[1]"),
        (Int32, "int32", 2**31, "2147483648"),
        (Int32, "int32", "many", '"many"'),
        (Float64, "float64", "1,5", '"1,5"'),
        (Float64, "float64", {"a": 1}, '{"a":1}'),
        (Bool, "bool", 1, "1"),
        (String, "string", 12, "12"),
        (Date, "date", "2024-02-30", '"2024-02-30"'),
        (Date, "date", 19723, "19723"),
        (UnixTimestamp, "timestamp", 1704067200, "1704067200"),
        (UnixTimestamp, "timestamp", "later", '"later"'),
        (Array(Int64), "array<int64>", [1, 2.5], "[1,2.5]"),
        (Array(Int64), "array<int64>", [2**63], "[9223372036854775808]"),
        (Array(Int64), "array<int64>", 7, "7"),
        (Array(String), "array<string>", ["a", 1], '["a",1]'),
    ],
    ids=str,
)
def test_a_value_that_is_not_of_its_type_is_told_with_its_row(store, root, kind, name, bad, found):
    good = {
        "int64": 1, "int32": 1, "float64": 1.5, "bool": True, "string": "a", "date": "2024-01-01",
        "timestamp": "2024-01-01T00:00:00Z", "array<int64>": [1], "array<string>": ["a"],
    }[name]  # fmt: skip
    write(root / "f/a.json", *[line(good)] * 3000)
    apply(store, "f", {"x": kind})
    write(root / "f/b.json", *[line(good)] * 2500, line(bad), line(good))
    open_again = FeatureStore(root)
    text = fails(lambda: read(open_again), "'x'", f"expected {name}", error=errors.SchemaError)
    if "row" in text:  # where the member has no one type, only the row can say what is wrong
        assert "f/b.json', row 2501" in text
        assert f"found '{found}'" in text
    else:
        assert "found" in text


def test_times_are_instants_whatever_their_zone(store, root):
    for zoned in (
        "2024-01-01T12:00:00Z",
        "2024-01-01T14:00:00.000+02:00",
        "2024-01-01 07:00:00-05:00",
        "2024-01-01 12:00:00",
    ):
        write(root / "x.json", line(1, t=zoned), line(2, t="2024-01-01T12:00:00.000001Z"))
        apply(store, "x.json")
        assert read(store, at=utc(2024, 1, 1, 11, 59, 59)) is None, zoned
        assert read(store, at=utc(2024, 1, 1, 12)) == 1, zoned
        assert read(store, at=utc(2024, 1, 1, 12, 0, 1)) == 2, zoned


def test_positions_over_many_rows_and_files_decide_ties(store, root):
    for i, name in enumerate("abc"):
        write(root / f"f/{name}.json", *(line(i * 70_000 + j) for j in range(70_000)))
    apply(store, "f")
    assert [read(store) for _ in range(3)] == [209_999] * 3


def test_hive_folders_become_columns(store, root):
    write(root / "f/part=1/a.json", line(1))
    write(root / "f/part=2/a.json", line(2))
    apply(store, "f", {"x": Int64, "part": Int64})
    assert read(store, "x", "part") == [2, 2]
    apply(store, "f", {"part": Int64})
    assert read(store, "part") == [2]


def test_a_schema_is_inferred_from_all_files(store, root):
    write(root / "f/a.json", line(1, at="2024-01-01T00:00:00+02:00", l=[1]))
    write(root / "f/b.json", line(1.5, at="2024-01-01T00:00:00.123456789Z", s="a", l=[2.5]))
    store.apply(
        FeatureView(
            name="w",
            entities=[Entity(name="k")],
            source=FileSource(name="w", path="f", timestamp_field="event_timestamp"),
        )
    )
    found = {f.name: f.dtype for f in store.get_feature_view("w").features}
    expected = {"x": Float64, "at": UnixTimestamp, "s": String, "l": Array(Float64)}
    assert {name: found[name] for name in expected} == expected


def test_what_pandas_writes_is_read(store, root):
    frame = pd.DataFrame({"k": [1], "event_timestamp": [pd.Timestamp(DAY)], "x": [5]})
    frame.to_json(root / "x.jsonl", orient="records", lines=True, date_format="iso")
    apply(store, "x.jsonl")
    assert read(store) == 5


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([line(1), '{"k":1,,}'], ["not newline JSON", "unexpected character"]),
        ([line(1), line(2)[:-5]], ["not newline JSON"]),
        (["[" + line(1) + "]"], ["one JSON object a line"]),
        (["{", '"k": 1', "}"], ["not newline JSON"]),
        ([line(1), "42"], ["one JSON object a line"]),
        ([""], ["one JSON object a line"]),
        ([line(1, X=2)], ["case"]),
    ],
)
def test_what_is_no_newline_json_is_refused_with_its_name(store, root, lines, words):
    write(root / "x.json", *lines)
    fails(lambda: apply(store, "x.json"), "x.json", *words)


def test_a_member_that_stands_twice_in_an_object_is_told(store, root):
    write(root / "x.json", line(1)[:-1] + ', "x": 2}')
    apply(store, "x.json")
    fails(lambda: read(store), "x.json", "two members", "'x'", error=errors.InvalidError)


def test_members_that_only_look_renamed_are_columns(store, root):
    write(root / "x.json", line(1, X_1=2, x_1=3))
    fails(lambda: apply(store, "x.json", {"x": Int64}), "case")
    write(root / "x.json", line(1, x_1=3))
    apply(store, "x.json", {"x": Int64, "x_1": Int64})
    assert read(store, "x", "x_1") == [1, 3]


def test_a_folder_of_two_formats_is_refused(store, root):
    write(root / "f/a.json", line(1))
    write(root / "f/a.csv", "k,event_timestamp,x", "1,2024-01-01,1")
    fails(lambda: apply(store, "f"), "1 CSV", "1 JSON", "file_format", error=errors.InvalidError)


def test_a_json_file_that_is_cut_after_apply_is_told(store, root):
    write(root / "x.json", *[line(1)] * 100)
    apply(store, "x.json")
    text = (root / "x.json").read_text()
    (root / "x.json").write_text(text[: len(text) // 2 + 5])
    fails(lambda: read(store), "x.json", "not newline JSON")


def test_nested_values_are_of_no_type_of_ours(store, root):
    write(root / "x.json", line([[1]]))
    fails(lambda: apply(store, "x.json"), "'x'", "BIGINT[][]", error=errors.SchemaError)
    write(root / "x.json", line({"a": 1}))
    told = "'x' of 'x.json' holds struct; expected int64"
    fails(lambda: apply(store, "x.json"), told, error=errors.SchemaError)
