"""Sources on S3: a real server on loopback, and what goes wrong between it and us."""

import io
import json
import os
import time
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from engines import find_library
from objects import Fault, start_proxy
from rides import utc
from sources import DAY, END, apply, fails, read

from tiffin import Entity, FeatureStore, FeatureView, FileSource, errors
from tiffin.types import Int64

KEYS = "access_key_id: KEY-OF-TEST, secret_access_key: SECRET-OF-TEST"
AWS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION",
       "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "FEAST_S3_ENDPOINT_URL",
       "TIFFIN_DUCKDB_EXTENSIONS", "TIFFIN_OFFLINE")  # fmt: skip


@pytest.fixture(scope="module")
def server_port():
    """A real S3 server for all tests of the module."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield server.get_host_and_port()[1]
    server.stop()


@pytest.fixture
def objects(server_port):
    objects, proxy = start_proxy(server_port)
    yield objects
    proxy.shutdown()
    proxy.server_close()


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """DuckDB 1.5, whose extension is there, and none of the variables that speak of S3."""
    monkeypatch.setenv("TIFFIN_DUCKDB_LIBRARY", find_library("older"))
    for name in AWS:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def open_at(folder: Path, s3: str | None) -> FeatureStore:
    text = "project: s3\nonline_ttl: ignore\n" + (f"s3: {{{s3}}}\n" if s3 is not None else "")
    (folder / "feature_store.yaml").write_text(text)
    return FeatureStore(folder)


@pytest.fixture
def store(environment, objects, tmp_path) -> FeatureStore:
    return open_at(tmp_path, f"endpoint: '{objects.endpoint}', {KEYS}, timeout_seconds: 2")


@pytest.fixture
def bucket(request) -> str:
    """A bucket for one test."""
    return f"b{zlib.crc32(request.node.name.encode())}"


def table(*x: int, k: int = 1) -> pa.Table:
    return pa.table(
        {
            "k": pa.array([k] * len(x), pa.int64()),
            "event_timestamp": pa.array([DAY] * len(x), pa.timestamp("us", "UTC")),
            "x": pa.array(x, pa.int64()),
        }
    )


def parquet(*x: int, k: int = 1, **options: object) -> bytes:
    out = io.BytesIO()
    pq.write_table(table(*x, k=k), out, **options)
    return out.getvalue()


def csv(*x: int) -> bytes:
    return ("k,event_timestamp,x\n" + "".join(f"1,2024-01-01,{v}\n" for v in x)).encode()


def ndjson(*x: int) -> bytes:
    rows = ({"k": 1, "event_timestamp": "2024-01-01", "x": v} for v in x)
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


# ---- what works ----


@pytest.mark.parametrize(
    ("make", "tail"), [(parquet, "parquet"), (csv, "csv"), (ndjson, "json")], ids=["p", "c", "j"]
)
def test_each_format_is_read_from_objects(store, objects, bucket, make, tail):
    objects.put(bucket, f"f/a.{tail}", make(1, 2))
    objects.put(bucket, f"f/b.{tail}", make(3))
    for path, x in ((f"f/a.{tail}", 2), ("f", 3), (f"f/*.{tail}", 3), ("f/[a].*", 2)):
        form = tail if path.endswith("*") else None
        apply(store, f"s3://{bucket}/{path}", file_format=form)
        assert read(store) == x, path
    assert all(objects.signed)


def test_objects_materialize_explain_and_are_inferred(store, objects, bucket):
    bodies = [parquet(1, 2), parquet(3, k=2)]
    for i, body in enumerate(bodies):
        objects.put(bucket, f"f/{i}.parquet", body)
    store.apply(
        FeatureView(
            name="v",
            entities=[Entity(name="k", value_type=Int64)],
            source=FileSource(name="files", path=f"s3://{bucket}/f/"),
        )
    )
    assert {f.name: f.dtype for f in store.get_feature_view("v").features} == {"x": Int64}
    store.materialize(None, END)
    assert store.get_online_features(["v:x"], [{"k": 1}, {"k": 2}]).to_dict()["x"] == [2, 3]
    rows = {"k": [1], "event_timestamp": [END]}
    text = json.dumps(store.get_historical_features(rows, ["v:x"]).explain().to_dict())
    assert f'"bytes": {sum(map(len, bodies))}' in text
    assert f"s3://{bucket}/f/0.parquet" in text
    assert "OF-TEST" not in text


def test_only_row_groups_with_winners_are_fetched_again(store, objects, bucket):
    """The second of the two steps prunes by row number on objects too."""
    n = 200_000
    objects.put(bucket, "big.parquet", parquet(*range(n), row_group_size=20_000))
    apply(store, f"s3://{bucket}/big.parquet")
    objects.requests.clear()
    assert read(store) == n - 1
    assert 0 < sum(method == "GET" for method, _ in objects.requests) < 60


def test_paths_on_s3_follow_the_rules_of_local_ones(store, objects, bucket):
    for i, key in enumerate(
        [
            "d/a.parquet",
            "d/_tmp/b.parquet",
            "d/.c.parquet",
            "d/z/b.parquet",
            "d/z/y/c.pq",
            "d/n.txt",
        ]
    ):
        objects.put(bucket, key, parquet(i))
    expected = {"d": 4, "d/": 4, "d/*.parquet": 0, "d/**/*.parquet": 3, "d/_*": 1, "d/z": 4,
                "d/**": 4, "d/?.parquet": 0, "d/[az]*": 4}  # fmt: skip
    for path, x in expected.items():
        apply(store, f"s3://{bucket}/{path}")
        assert read(store) == x, path


def test_hive_folders_and_odd_names_on_s3(store, objects, bucket):
    objects.put(bucket, "h/part=1/a%20b%5B1%5D.parquet", parquet(1))
    objects.put(bucket, "h/part=2/a%2Bb.parquet", parquet(2))
    apply(store, f"s3://{bucket}/h", {"x": Int64, "part": Int64})
    assert read(store, "x", "part") == [2, 2]


def test_the_endpoint_of_a_source_wins(environment, objects, tmp_path, bucket):
    objects.put(bucket, "a.csv", csv(7))
    store = open_at(tmp_path, f"endpoint: 'http://127.0.0.1:9', {KEYS}, retries: 0")
    apply(store, f"s3a://{bucket}/a.csv", s3_endpoint_override=objects.endpoint)
    assert read(store) == 7
    assert store.get_data_source("files").s3_endpoint_override == objects.endpoint


@pytest.mark.parametrize(
    "name", ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "FEAST_S3_ENDPOINT_URL"]
)
def test_the_environment_says_what_the_configuration_does_not(
    environment, objects, tmp_path, bucket, name
):
    objects.put(bucket, "a.csv", csv(5))
    environment.setenv(name, objects.endpoint + "/")
    environment.setenv("AWS_REGION", "eu-west-1")
    store = open_at(tmp_path, None)
    apply(store, f"s3://{bucket}/a.csv")
    assert read(store) == 5
    assert not any(objects.signed)  # no keys: as public buckets want it
    environment.setenv("AWS_ACCESS_KEY_ID", "KEY-OF-TEST")
    environment.setenv("AWS_SECRET_ACCESS_KEY", 'it\'s "quoted"')
    objects.signed.clear()
    assert read(store) == 5
    assert all(objects.signed)


def test_two_stores_read_one_bucket_name_from_two_servers(
    environment, server_port, objects, tmp_path, bucket
):
    other, proxy = start_proxy(server_port)
    objects.put(bucket, "a.csv", csv(5))
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one = open_at(tmp_path / "one", f"endpoint: '{objects.endpoint}', {KEYS}")
    two = open_at(tmp_path / "two", f"endpoint: '{other.endpoint}', {KEYS}")
    for store in (one, two):
        apply(store, f"s3://{bucket}/a.csv")
    for store, mine, others in (
        (one, objects, other),
        (two, other, objects),
        (one, objects, other),
    ):
        n_mine, n_others = len(mine.requests), len(others.requests)
        assert read(store) == 5
        assert len(mine.requests) > n_mine
        assert len(others.requests) == n_others
    proxy.shutdown()
    proxy.server_close()


# ---- what is wrong with a request of ours ----


def test_wrong_names_are_told_in_one_sentence(store, objects, bucket):
    objects.put(bucket, "d/a.parquet", parquet(1))
    for path, words in {
        f"s3://{bucket}/no.parquet": ["no such object", "HTTP 404"],
        f"s3://no{bucket}/a.parquet": ["no such object or bucket", "HTTP 404"],
        f"s3://{bucket}/no/": ["no file"],
        f"s3://{bucket}/no/*.parquet": ["no file"],
        f"s3://{bucket}/d/*.csv": ["no file"],
        f"s3://{bucket}/none": ["nothing lies below it"],
        f"gs://{bucket}/a.parquet": ["gs://"],
    }.items():
        text = fails(lambda path=path: apply(store, path), path, *words)
        assert "OF-TEST" not in text


def test_a_server_that_is_not_there_is_told(environment, tmp_path):
    store = open_at(tmp_path, f"endpoint: 'http://127.0.0.1:9', {KEYS}, retries: 0")
    fails(lambda: apply(store, "s3://b/x.csv"), "s3://b/x.csv", "no whole answer", "s3.endpoint")


@pytest.mark.parametrize(
    ("s3", "word"),
    [
        ("endpoint: 'ftp://x'", "address"),
        ("endpoint: 'http://x/y'", "host"),
        ("access_key_id: KEY-OF-TEST", "go together"),
        ("url_style: odd", "path or vhost"),
        ("use_ssl: maybe", "true or false"),
        ("timeout_seconds: 0", "whole number"),
        ("place: x", "s3.place does not exist"),
        ("region: 5", "text"),
    ],
)
def test_settings_that_make_no_sense_are_told(environment, tmp_path, s3, word):
    store_folder = tmp_path
    text = fails(
        lambda: apply(open_at(store_folder, s3), "s3://b/x.csv"), word, error=errors.InvalidError
    )
    assert "OF-TEST" not in text


def test_secrets_are_shown_nowhere(store, objects, bucket):
    objects.put(bucket, "a.csv", csv(5))
    apply(store, f"s3://{bucket}/a.csv")
    assert read(store) == 5
    assert "OF-TEST" not in repr(store.config) + json.dumps(store.config.to_dict())


def test_a_private_object_without_credentials_is_told(environment, objects, tmp_path, bucket):
    objects.put(bucket, "a.csv", csv(5), acl="private")
    store = open_at(tmp_path, f"endpoint: '{objects.endpoint}'")
    path = f"s3://{bucket}/a.csv"
    fails(lambda: apply(store, path), path, "denied", "HTTP 403", "AWS_*")
    assert not any(objects.signed)


@pytest.mark.parametrize("status", [403, 401])
def test_denied_access_is_told(store, objects, bucket, status):
    objects.put(bucket, "a.csv", csv(5))
    objects.faults.append(Fault(part="a.csv", status=status))
    fails(lambda: apply(store, f"s3://{bucket}/a.csv"), "denied", f"HTTP {status}", "access_key_id")


def test_an_object_is_read_where_listing_is_forbidden(store, objects, bucket):
    objects.put(bucket, "a.csv", csv(5))
    objects.faults.append(Fault(part="list-type", status=403))
    apply(store, f"s3://{bucket}/a.csv")
    assert read(store) == 5
    fails(lambda: apply(store, f"s3://{bucket}/*.csv"), "denied")


def test_without_the_extension_one_sentence_says_how_to_get_it(environment, tmp_path):
    environment.delenv("TIFFIN_DUCKDB_LIBRARY")
    if find_library("installed") == find_library("older"):
        pytest.skip("one DuckDB only")
    environment.setenv("TIFFIN_OFFLINE", "1")
    environment.setenv("HOME", str(tmp_path))
    store = open_at(tmp_path, KEYS)
    words = ("httpfs", "TIFFIN_OFFLINE", "TIFFIN_DUCKDB_EXTENSIONS")
    fails(lambda: apply(store, "s3://b/x.csv"), *words, error=errors.UnsupportedError)


def test_the_extension_is_found_in_a_folder_that_is_named(environment, objects, tmp_path, bucket):
    """A process of its own: an extension, once loaded, stays."""
    objects.put(bucket, "a.csv", csv(5))
    library = Path(os.environ["TIFFIN_DUCKDB_LIBRARY"])
    folder = library.parent / "duckdb_extension_httpfs" / "extensions"
    lonely = tmp_path / "lib" / library.name
    lonely.parent.mkdir()
    lonely.symlink_to(library)
    environment.setenv("TIFFIN_DUCKDB_LIBRARY", str(lonely))
    environment.setenv("TIFFIN_DUCKDB_EXTENSIONS", str(folder))
    environment.setenv("TIFFIN_OFFLINE", "1")
    environment.setenv("HOME", str(tmp_path))
    store = open_at(tmp_path, f"endpoint: '{objects.endpoint}', {KEYS}")
    apply(store, f"s3://{bucket}/a.csv")
    assert read(store) == 5


# ---- what goes wrong on the way ----


@pytest.fixture(params=[parquet, csv, ndjson], ids=["parquet", "csv", "json"])
def applied(request, store, objects, bucket) -> str:
    """A view over two objects; the second changed since, so that nobody has it in a cache."""
    tail = request.param.__name__.replace("ndjson", "json")
    n = 5000
    options = {"row_group_size": 1000} if tail == "parquet" else {}
    objects.put(bucket, f"f/a.{tail}", request.param(*range(n)))
    objects.put(bucket, f"f/b.{tail}", request.param(*range(n, 2 * n), **options))
    apply(store, f"s3://{bucket}/f")
    objects.put(bucket, f"f/b.{tail}", request.param(*range(2 * n, 3 * n), **options))
    return f"s3://{bucket}/f/b.{tail}"


def key_of(path: str) -> str:
    return path.removeprefix("s3://")


def test_a_server_that_errs_a_few_times_is_asked_again(store, objects, applied):
    objects.faults.append(Fault(method="GET", part=key_of(applied), status=500, times=2))
    objects.faults.append(Fault(method="HEAD", part=key_of(applied), status=503, times=1))
    assert read(store) == 14_999


def test_a_store_tries_as_often_as_it_says_beside_others(
    environment, store, objects, tmp_path, applied
):
    """Retries and timeouts belong to the process in DuckDB, and to the store here."""
    (tmp_path / "other").mkdir()
    other = open_at(tmp_path / "other", f"endpoint: '{objects.endpoint}', {KEYS}, retries: 0")
    fails(lambda: apply(other, "s3://another-bucket/a.csv"), "no such object")
    objects.faults.append(Fault(method="GET", part=key_of(applied), status=500, times=2))
    assert read(store) == 14_999


def test_a_server_that_keeps_erring_is_told_after_bounded_tries(store, objects, applied):
    objects.faults.append(Fault(part=key_of(applied), status=500))
    objects.requests.clear()
    begin = time.monotonic()
    fails(lambda: read(store), applied, "HTTP 500")
    assert time.monotonic() - begin < 60
    assert len(objects.requests) < 40


def test_a_slow_server_runs_into_the_timeout(environment, store, objects, tmp_path, applied):
    slow = open_at(
        tmp_path, f"endpoint: '{objects.endpoint}', {KEYS}, timeout_seconds: 1, retries: 1"
    )
    objects.faults.append(Fault(method="GET", part=key_of(applied), delay_s=3))
    begin = time.monotonic()
    fails(lambda: read(slow), applied, "no whole answer", "s3.timeout_seconds")
    assert time.monotonic() - begin < 60


@pytest.mark.parametrize("times", [1, -1])
def test_a_body_that_is_cut_is_never_half_a_result(store, objects, applied, times):
    objects.faults.append(Fault(method="GET", part=key_of(applied), cut_bytes=500, times=times))
    if times == 1:
        assert read(store) == 14_999  # asked again
    else:
        fails(lambda: read(store), applied, "no whole answer")


def test_an_object_that_vanishes_is_told(store, objects, applied):
    objects.faults.append(Fault(part=key_of(applied), status=404, skip=1))
    fails(lambda: read(store), applied, "no such object")


def test_an_object_that_is_replaced_during_a_read_is_never_mixed(store, objects, bucket):
    """At whichever request it happens, by one of equal size and time: old values, new, or an error.

    Row 0 wins before and row n - 1 after, and both are told apart by their values of x; a mixture
    would be the position of one with the values of the other.
    """
    n = 3000
    options = {"row_group_size": 1500, "compression": "none", "use_dictionary": False}
    later = utc(2024, 1, 1, 1)
    old, new = table(*range(n)), table(*range(n, 2 * n))
    for i, rows in ((0, old), (n - 1, new)):
        times = [DAY] * n
        times[i] = later
        column = pa.array(times, pa.timestamp("us", "UTC"))
        body = io.BytesIO()
        pq.write_table(rows.set_column(1, "event_timestamp", column), body, **options)
        if rows is old:
            old_body = body.getvalue()
        else:
            new_body = body.getvalue()
    assert len(old_body) == len(new_body)
    objects.last_modified = "Mon, 01 Jan 2024 00:00:00 GMT"
    objects.put(bucket, "x.parquet", old_body)
    apply(store, f"s3://{bucket}/x.parquet")
    outcomes = []
    for skip in range(100):
        objects.put(bucket, "x.parquet", old_body)
        fault = Fault(
            part="x.parquet",
            call=lambda: objects.put(bucket, "x.parquet", new_body),
            times=1,
            skip=skip,
        )
        objects.faults[:] = [fault]
        try:
            outcomes.append(read(store))
        except errors.IoError as error:
            assert "x.parquet' changed while it was read" in str(error)
            outcomes.append(None)
        if fault.times == 1:
            break
    assert fault.times == 1
    assert set(outcomes) <= {0, 2 * n - 1, None}
    assert outcomes[0] == 2 * n - 1
    assert outcomes[-1] == 0
    assert outcomes.count(None) > 3


@pytest.mark.parametrize("tail", ["json", "parquet"])
def test_a_damaged_object_is_told_as_a_damaged_file_is(store, objects, bucket, tail):
    body = bytearray({"json": ndjson, "parquet": parquet}[tail](*range(3000)))
    objects.put(bucket, f"x.{tail}", bytes(body))
    apply(store, f"s3://{bucket}/x.{tail}")
    for i in range(10, 400):
        body[i] ^= 0xFF
    objects.put(bucket, f"x.{tail}", bytes(body))
    words = {"json": ["newline JSON"], "parquet": []}[tail]
    fails(lambda: store.materialize(None, END), f"s3://{bucket}/x.{tail}", *words)


def test_an_entity_time_before_all_rows_still_reads_nothing_wrong(store, objects, applied):
    assert read(store, at=utc(2023, 1, 1)) is None
