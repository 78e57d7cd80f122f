"""Saved datasets of sources on S3: objects are known by their ETags, and compared by them."""

import pytest
from objects import Fault
from sources import END, apply
from test_s3 import bucket, environment, objects, open_at, parquet, server_port, store

from tiffin import FeatureStore, SavedDatasetFileStorage, errors

__all__ = ["bucket", "environment", "objects", "server_port", "store"]  # fixtures

ROWS = {"k": [1, 2], "event_timestamp": [END, END]}


def save(store: FeatureStore, name: str):
    job = store.get_historical_features(ROWS, ["v:x"])
    return store.create_saved_dataset(job, name, SavedDatasetFileStorage(f"{name}.parquet"))


@pytest.fixture
def applied(store, objects, bucket):
    """A view over two objects below one prefix."""
    objects.put(bucket, "f/a.parquet", parquet(1, 2))
    objects.put(bucket, "f/b.parquet", parquet(3, k=2))
    apply(store, f"s3://{bucket}/f")
    return store


def test_objects_are_known_by_their_etags(applied, objects, bucket, tmp_path):
    a = save(applied, "a")
    assert a.to_arrow()["x"].to_pylist() == [2, 3]
    [source] = a.manifest["sources"]
    assert [file["path"] for file in source["files"]] == [
        f"s3://{bucket}/f/a.parquet",
        f"s3://{bucket}/f/b.parquet",
    ]
    assert {file["checksum_of"] for file in source["files"]} == {"etag"}
    assert source["files"][0]["bytes"] == len(parquet(1, 2))
    assert "s3_endpoint" not in source
    assert a.verify()
    objects.put(bucket, "f/b.parquet", parquet(3, k=2))  # the same bytes, written later
    b = save(applied, "b")
    assert a.manifest["hash"] == b.manifest["hash"]
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert a.verify()


def test_verify_names_changed_missing_and_new_objects(applied, objects, bucket):
    dataset = save(applied, "a")
    objects.put(bucket, "f/a.parquet", parquet(1, 7))
    objects.put(bucket, "f/c.parquet", parquet(9))
    report = dataset.verify()
    assert not report.inputs_are_same
    assert report.is_intact
    assert {(f["path"], f["status"]) for f in report.to_dict()["source_files"]} == {
        (f"s3://{bucket}/f/a.parquet", "changed"),
        (f"s3://{bucket}/f/c.parquet", "new"),
    }
    objects.delete(bucket, "f/a.parquet")
    assert f"s3://{bucket}/f/a.parquet of data source 'files': missing" in str(dataset.verify())


def test_only_an_etag_tells_equal_sizes_within_a_second(store, objects, bucket):
    objects.last_modified = "Mon, 01 Jan 2024 00:00:00 GMT"
    objects.put(bucket, "x.csv", b"k,event_timestamp,x\n1,2024-01-01,4\n")
    apply(store, f"s3://{bucket}/x.csv")
    first = save(store, "a")
    objects.put(bucket, "x.csv", b"k,event_timestamp,x\n1,2024-01-01,5\n")
    assert "x.csv of data source 'files': changed" in str(first.verify())
    assert save(store, "b").manifest["hash"] != first.manifest["hash"]


def test_without_etags_nothing_is_saved(applied, objects, tmp_path):
    objects.hides_etags = True
    with pytest.raises(errors.UnsupportedError, match=r"f/a\.parquet': its ETag, by which"):
        save(applied, "a")
    assert not (tmp_path / "a.parquet").exists()
    assert applied.list_saved_datasets() == []


def test_objects_that_cannot_be_looked_at_are_told_with_the_reason(applied, objects, bucket):
    dataset = save(applied, "a")
    objects.faults.append(Fault(part="/f/", status=403))
    [entry] = dataset.verify().to_dict()["source_files"]
    assert entry["path"] == f"s3://{bucket}/f"
    assert entry["status"] == "unreadable"
    assert "403" in entry["reason"]


def test_an_object_that_changes_meanwhile_is_a_conflict(applied, objects, bucket, tmp_path):
    """It changes after the rows were read, and before the second manifest is taken."""
    third_list = Fault(
        part="list-type=2",
        skip=2,
        times=1,
        call=lambda: objects.put(bucket, "f/b.parquet", parquet(4, k=2)),
    )
    objects.faults.append(third_list)
    with pytest.raises(errors.ConflictError, match="source files changed while"):
        save(applied, "a")
    assert third_list.times == 0
    assert not (tmp_path / "a.parquet").exists()
    assert applied.list_saved_datasets() == []


def test_a_source_with_an_endpoint_of_its_own(environment, objects, bucket, tmp_path):
    environment.setenv("AWS_ACCESS_KEY_ID", "KEY-OF-TEST")
    environment.setenv("AWS_SECRET_ACCESS_KEY", "SECRET-OF-TEST")
    store = open_at(tmp_path, None)
    objects.put(bucket, "a.parquet", parquet(1, 2))
    apply(store, f"s3a://{bucket}/a.parquet", s3_endpoint_override=objects.endpoint)
    dataset = save(store, "a")
    assert dataset.manifest["sources"][0]["s3_endpoint"] == objects.endpoint
    assert dataset.verify()
    assert "SECRET-OF-TEST" not in str(dataset.manifest)
