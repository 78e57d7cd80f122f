"""Saved datasets: written, found, verified, and made again, on real files and in real processes."""

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rides import definitions, drivers, utc, write_drivers

from tiffin import FeatureStore, SavedDataset, SavedDatasetFileStorage
from tiffin.errors import (
    ConflictError,
    InvalidError,
    IoError,
    NotFoundError,
    SavedDatasetAlreadyExists,
    SavedDatasetLocationAlreadyExists,
    SchemaError,
    UnsupportedError,
)

ROWS = {
    "driver_id": [1, 2, 3, 1],
    "event_timestamp": [utc(2024, 1, d) for d in (2, 3, 1, 4)],
    "label": [0.5, None, 1.5, 2.5],
}
FEATURES = ["stats:trips", "stats:city"]


def make(store: FeatureStore, name: str = "january", path: str = "sets/january.parquet", **more):
    job = store.get_historical_features(ROWS, FEATURES)
    return store.create_saved_dataset(job, name, SavedDatasetFileStorage(path), **more)


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_dataset_is_written_and_found_again(store: FeatureStore, repo: Path) -> None:
    job = store.get_historical_features(ROWS, FEATURES)
    storage = SavedDatasetFileStorage("sets/january.parquet")
    made = store.create_saved_dataset(job, "january", storage, tags={"team": "a"})
    found = store.get_saved_dataset("january")
    assert found == made
    assert isinstance(found, SavedDataset)
    assert found.features == FEATURES
    assert found.join_keys == ["driver_id"]
    assert found.full_feature_names is False
    assert found.feature_service_name == ""
    assert found.storage == storage
    assert (found.min_event_timestamp, found.max_event_timestamp) == (
        utc(2024, 1, 1),
        utc(2024, 1, 4),
    )
    assert found.created_timestamp is not None
    assert found.to_arrow().equals(job.to_arrow())
    assert found.to_df()["trips"].dropna().tolist() == [20, 1000, 30]
    assert found.to_polars()["city"].to_list() == ["b", None, "", "c"]
    assert found.manifest["data"]["rows"] == 4
    assert names(repo / "sets") == ["january.parquet"]  # nothing left behind
    assert found.verify()


def test_lists_tags_and_deletes(store: FeatureStore, repo: Path) -> None:
    make(store, "a", "a.parquet", tags={"team": "x"})
    make(store, "b", "b.parquet")
    assert [d.name for d in store.list_saved_datasets()] == ["a", "b"]
    assert [d.name for d in store.list_saved_datasets(tags={"team": "x"})] == ["a"]
    store.delete_saved_dataset("a")
    assert [d.name for d in store.list_saved_datasets()] == ["b"]
    assert (repo / "a.parquet").exists()
    with pytest.raises(NotFoundError, match="has no saved dataset 'a'; did you mean 'b'"):
        store.get_saved_dataset("a")
    assert store.registry_log()[0]["n_removed"] == 1


def test_what_exists_is_not_replaced_unless_told(store: FeatureStore, repo: Path) -> None:
    first = make(store)
    with pytest.raises(SavedDatasetAlreadyExists, match="a saved dataset 'january' exists"):
        make(store, path="other.parquet")
    assert not (repo / "other.parquet").exists()
    with pytest.raises(SavedDatasetLocationAlreadyExists, match=r"january\.parquet exists; pass"):
        make(store, "february")
    assert [d.name for d in store.list_saved_datasets()] == ["january"]
    table = drivers().append_column("x", pa.array(range(6)))
    pq.write_table(table, repo / "data" / "drivers.parquet")
    second = make(store, allow_overwrite=True)
    assert second.manifest["hash"] != first.manifest["hash"]
    assert second.verify()


def test_the_same_inputs_give_the_same_manifest_and_the_same_bytes(
    store: FeatureStore, repo: Path
) -> None:
    a = make(store, "a", "a.parquet")
    shutil.copy(repo / "data" / "drivers.parquet", repo / "copy")  # another inode and time
    (repo / "copy").replace(repo / "data" / "drivers.parquet")
    table = pa.table(ROWS)
    pieces = pa.concat_tables([table.slice(0, 1), table.slice(1, 2), table.slice(3)])
    job = store.get_historical_features(pieces, FEATURES)
    b = store.create_saved_dataset(job, "b", SavedDatasetFileStorage("b.parquet"))
    assert a.manifest["hash"] == b.manifest["hash"]
    assert a.manifest["data"] == b.manifest["data"]
    assert (repo / "a.parquet").read_bytes() == (repo / "b.parquet").read_bytes()


@pytest.mark.parametrize("what", ["rows", "features", "full", "known_at", "created", "source"])
def test_other_inputs_give_another_manifest(store: FeatureStore, repo: Path, what: str) -> None:
    first = make(store, "a", "a.parquet")
    rows, features, arguments = dict(ROWS), list(FEATURES), {}
    if what == "rows":
        rows["label"] = [0.5, None, 1.5, 2.25]
    elif what == "features":
        features.reverse()
    elif what == "full":
        arguments["full_feature_names"] = True
    elif what == "known_at":
        arguments["known_at"] = "2024-01-02"
    elif what == "created":
        arguments["filter_by_created_timestamp"] = True
    else:
        table = drivers()
        pq.write_table(table.set_column(3, "trips", pa.array([1, 2, 3, 4, 5, 6])), repo / "new")
        (repo / "new").replace(repo / "data" / "drivers.parquet")
    job = store.get_historical_features(rows, features, **arguments)
    second = store.create_saved_dataset(job, "b", SavedDatasetFileStorage("b.parquet"))
    assert first.manifest["hash"] != second.manifest["hash"]


def test_verify_names_a_changed_source_file(store: FeatureStore, repo: Path) -> None:
    dataset = make(store)
    write_drivers(repo / "data" / "drivers.parquet")  # the same bytes at another time
    assert dataset.verify()
    # One value in the middle, of the same width: sizes, offsets and statistics stay as they were.
    table = drivers()
    trips = pa.array([10, 21, 30, 200, None, 1000], pa.int64())
    pq.write_table(table.set_column(3, "trips", trips), repo / "data" / "drivers.parquet")
    report = dataset.verify()
    assert not report
    assert report.is_intact
    assert not report.inputs_are_same
    assert report.to_dict()["source_files"] == [
        {"path": "data/drivers.parquet", "source": "drivers", "status": "changed"}
    ]
    assert "file data/drivers.parquet of data source 'drivers': changed" in str(report)
    (repo / "data" / "drivers.parquet").unlink()
    assert [e["status"] for e in dataset.verify()["source_files"]] == ["missing", "unreadable"]


def test_verify_tells_why_a_file_cannot_be_read(store: FeatureStore, repo: Path) -> None:
    """What the system refuses is not "changed": nobody looked."""
    dataset = make(store)
    path = repo / "data" / "drivers.parquet"
    path.unlink()
    path.symlink_to(path)
    report = dataset.verify()
    assert report.is_intact and not report.inputs_are_same
    told = report.to_dict()["source_files"][0]
    assert (told["path"], told["status"]) == ("data/drivers.parquet", "unreadable")
    assert "cannot be opened" in told["reason"]


def test_verify_names_new_and_missing_files_of_a_folder(repo: Path) -> None:
    from tiffin import FeatureView, FileSource

    (repo / "parts").mkdir()
    write_drivers(repo / "parts" / "a.parquet")
    driver, _, view, _ = definitions()
    source = FileSource(name="parts", path="parts", timestamp_field="event_timestamp")
    view = FeatureView(name="stats", entities=[driver], source=source, schema=view.schema)
    store = FeatureStore(repo_path=repo)
    store.apply([driver, source, view])
    dataset = make(store)
    write_drivers(repo / "parts" / "b.parquet")
    (repo / "parts" / "a.parquet").rename(repo / "parts" / "c.parquet")
    assert {e["path"]: e["status"] for e in dataset.verify()["source_files"]} == {
        "parts/a.parquet": "missing",
        "parts/b.parquet": "new",
        "parts/c.parquet": "new",
    }


def test_verify_names_a_replaced_data_file(store: FeatureStore, repo: Path) -> None:
    dataset = make(store)
    path = repo / "sets" / "january.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    report = dataset.verify()
    assert not report.is_intact
    assert report.inputs_are_same
    assert report.to_dict()["data_files"] == [{"path": "", "status": "changed"}]
    path.unlink()
    assert dataset.verify().to_dict()["data_files"] == [{"path": "", "status": "missing"}]
    with pytest.raises(IoError, match=r"saved dataset 'january': there is no .*january\.parquet"):
        dataset.to_df()


def test_verify_names_changed_and_deleted_definitions(store: FeatureStore) -> None:
    dataset = make(store)
    driver, source, view, _ = definitions()
    view.description = "other words"
    store.apply([driver, source, view])
    assert dataset.verify().to_dict()["definitions"] == [
        {"kind": "feature_view", "name": "stats", "status": "changed"}
    ]
    store.delete_feature_service("model")
    store.delete_feature_view("stats")
    report = dataset.verify()
    assert "feature view 'stats': missing" in str(report)
    assert dataset.to_df().shape == (4, 5)  # the rows are still there


def test_verify_compares_entity_rows_that_are_brought(store: FeatureStore) -> None:
    dataset = make(store)
    assert dataset.verify()["entity_rows"] == {"status": "unavailable"}
    assert dataset.verify(ROWS)["entity_rows"] == {"status": "same"}
    assert dataset.verify(pa.table(ROWS).to_pandas())["entity_rows"]["status"] in (
        "same",
        "changed",  # pandas 2 has times in nanoseconds
    )
    report = dataset.verify({**ROWS, "label": [0.0, 0.0, 0.0, 0.0]})
    assert report["entity_rows"] == {"status": "changed"}
    assert not report.inputs_are_same


def test_other_versions_are_told(store: FeatureStore) -> None:
    dataset = make(store)
    engine = store._engine
    report = json.loads(engine.verify_dataset("january", writer="pyarrow 1.0"))
    assert report["engine"] == [
        {"now": "pyarrow 1.0", "then": f"pyarrow {pa.__version__}", "what": "writer"}
    ]
    assert dataset.manifest["engine"]["duckdb"] == store.duckdb_version()


def test_a_source_that_changes_meanwhile_is_a_conflict(store: FeatureStore, repo: Path) -> None:
    def disturb(*_: object) -> None:
        table = drivers().set_column(3, "trips", pa.array([9, 9, 9, 9, 9, 9]))
        pq.write_table(table, repo / "new")
        (repo / "new").replace(repo / "data" / "drivers.parquet")

    job = store.get_historical_features(ROWS, FEATURES, progress=disturb)
    with pytest.raises((ConflictError, IoError), match="changed while"):
        store.create_saved_dataset(job, "x", SavedDatasetFileStorage("x.parquet"))
    assert not list(repo.glob("*.parquet"))
    assert not list(repo.glob(".*.part"))
    assert store.list_saved_datasets() == []


def test_rows_that_were_shown_are_the_rows_that_are_saved(store: FeatureStore, repo: Path) -> None:
    job = store.get_historical_features(ROWS, FEATURES)
    job.to_df()
    same = store.create_saved_dataset(job, "same", SavedDatasetFileStorage("same.parquet"))
    assert same.verify()
    table = drivers().set_column(3, "trips", pa.array([9, 9, 9, 9, 9, 9]))
    pq.write_table(table, repo / "data" / "drivers.parquet")
    with pytest.raises(ConflictError, match="changed since this job was computed"):
        store.create_saved_dataset(job, "other", SavedDatasetFileStorage("other.parquet"))
    assert not (repo / "other.parquet").exists()


def test_an_apply_of_a_repo_leaves_datasets(store: FeatureStore) -> None:
    make(store)
    assert not store.plan(list(definitions()), delete_missing=True)
    store.apply(list(definitions())[:2], delete_missing=True)
    assert store.list_feature_views() == []
    assert [d.name for d in store.list_saved_datasets()] == ["january"]
    store.teardown()
    assert store.list_saved_datasets() == []


def test_services_are_noted(store: FeatureStore) -> None:
    service = store.get_feature_service("model")
    job = store.get_historical_features(ROWS, service, full_feature_names=True)
    dataset = store.create_saved_dataset(job, "s", SavedDatasetFileStorage("s.parquet"))
    assert dataset.feature_service_name == "model"
    assert dataset.full_feature_names is True
    assert {"kind": "feature_service", "name": "model"} in [
        {k: d[k] for k in ("kind", "name")} for d in dataset.manifest["definitions"]
    ]
    named = store.create_saved_dataset(
        store.get_historical_features(ROWS, FEATURES),
        "t",
        SavedDatasetFileStorage("t.parquet"),
        feature_service=service,
    )
    assert named.feature_service_name == "model"


def test_feasts_other_verbs(store: FeatureStore) -> None:
    storage = SavedDatasetFileStorage("r.parquet")
    dataset = store.create_dataset_from_retrieval("r", ROWS, FEATURES, storage, tags={"a": "b"})
    assert dataset.tags == {"a": "b"}
    frame = store.retrieve_dataset_data("r", limit=2)
    assert frame["city"].tolist()[0] == "b"
    assert len(frame) == 2
    assert storage.to_data_source().path == "r.parquet"


def test_a_folder_of_files(store: FeatureStore, repo: Path, monkeypatch) -> None:
    from tiffin.offline import parquet

    monkeypatch.setattr(parquet, "ROWS_PER_GROUP", 1)
    monkeypatch.setattr(parquet, "GROUPS_PER_FILE", 3)
    dataset = make(store, path="sets/january")
    assert names(repo / "sets" / "january") == [
        "part-00000.parquet",
        "part-00001.parquet",
    ]
    assert dataset.to_arrow()["trips"].to_pylist() == [20, None, 1000, 30]
    assert dataset.verify()
    again = make(store, path="sets/january", allow_overwrite=True)
    assert again.manifest["data"] == dataset.manifest["data"]
    write_drivers(repo / "sets" / "january" / "part-00002.parquet")
    assert again.verify().to_dict()["data_files"] == [
        {"path": "part-00002.parquet", "status": "new"}
    ]
    (repo / "sets" / "january" / "notes.txt").write_text("mine")
    with pytest.raises(SavedDatasetLocationAlreadyExists, match=r"also holds 'notes\.txt'"):
        make(store, path="sets/january", allow_overwrite=True)
    assert names(repo / "sets") == ["january"]


def test_an_empty_set_is_a_dataset(store: FeatureStore) -> None:
    rows = pa.table(ROWS).slice(0, 0)
    job = store.get_historical_features(rows, FEATURES)
    dataset = store.create_saved_dataset(job, "none", SavedDatasetFileStorage("none.parquet"))
    assert dataset.min_event_timestamp is None
    assert dataset.to_arrow().num_rows == 0
    assert dataset.to_arrow().column_names == [*ROWS, "trips", "city"]
    assert dataset.verify()


def test_one_sentence_for_each_mistake(store: FeatureStore, repo: Path) -> None:
    job = store.get_historical_features(ROWS, FEATURES)
    storage = SavedDatasetFileStorage("x.parquet")
    with pytest.raises(SchemaError, match=r"from_ must be a RetrievalJob, .* not DataFrame"):
        store.create_saved_dataset(job.to_df(), "x", storage)
    with pytest.raises(SchemaError, match="storage must be a SavedDatasetFileStorage, not str"):
        store.create_saved_dataset(job, "x", "x.parquet")
    with pytest.raises(SchemaError, match="name must be a str"):
        store.create_saved_dataset(job, 5, storage)
    with pytest.raises(InvalidError, match="name must not be empty"):
        store.create_saved_dataset(job, "", storage)
    with pytest.raises(UnsupportedError, match="'s3://b/x' is not a local path"):
        SavedDatasetFileStorage("s3://b/x")
    with pytest.raises(UnsupportedError, match="datasets are saved as Parquet"):
        SavedDatasetFileStorage("x.csv", file_format="csv")
    with pytest.raises(NotFoundError, match="no feature view 'nothing'"):
        make_job = store.get_historical_features(ROWS, ["nothing:x"])
        store.create_saved_dataset(make_job, "x", storage)
    (repo / "blocked").write_text("a file")
    with pytest.raises(IoError, match="cannot write"):
        store.create_saved_dataset(job, "x", SavedDatasetFileStorage("blocked/x.parquet"))
    store.apply(SavedDataset("bare", ["v:f"], ["k"], storage))
    with pytest.raises(InvalidError, match="saved dataset 'bare' has no manifest"):
        store.get_saved_dataset("bare").verify()
    with pytest.raises(SchemaError, match="is of no store"):
        SavedDataset("bare", ["v:f"], ["k"], storage).verify()


def test_of_many_that_make_one_dataset_one_wins(store: FeatureStore, repo: Path) -> None:
    outcomes: list[object] = []

    def work(path: str) -> None:
        try:
            outcomes.append(make(store, path=path).manifest["hash"])
        except ConflictError as error:
            outcomes.append(type(error))

    threads = [
        threading.Thread(target=work, args=(path,))
        for path in ("one.parquet", "one.parquet", "two.parquet", "three.parquet")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = [o for o in outcomes if isinstance(o, str)]
    assert len(made) == 1, outcomes
    winner = store.get_saved_dataset("january")
    assert winner.verify()
    assert [p.name for p in repo.glob("*.parquet")] == [winner.storage.path]
    assert not list(repo.glob(".*.part"))


def test_another_process_reads_and_verifies(store: FeatureStore, repo: Path) -> None:
    make(store)
    script = (
        "from tiffin import FeatureStore; d = FeatureStore('.').get_saved_dataset('january');"
        "print(d.to_arrow().num_rows, bool(d.verify()), d.manifest['hash'])"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=repo, capture_output=True, text=True, check=True
    )
    hash_ = store.get_saved_dataset("january").manifest["hash"]
    assert result.stdout.split() == ["4", "True", hash_]


def test_a_killed_process_leaves_no_dataset_and_no_half_file(
    store: FeatureStore, repo: Path
) -> None:
    script = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_saved_datasets import make
from tiffin import FeatureStore
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
make(FeatureStore("."))
"""
    result = subprocess.run([sys.executable, "-c", script], cwd=repo, check=False)
    assert result.returncode == -9
    assert store.list_saved_datasets() == []
    left = names(repo / "sets")
    assert len(left) == 1
    assert left[0].startswith(".january.parquet.")
    assert make(store).verify()


def test_one_hash_for_one_table_in_every_form() -> None:
    import pandas as pd
    import polars as pl

    from tiffin._native import hash_table

    words = ["a word of more than twelve bytes", None, "", "short", "ü"]
    table = pa.table(
        {
            "id": pa.array([1, None, 3, 4, 5], pa.int64()),
            "at": pa.array([utc(2024, 1, d + 1) for d in range(5)], pa.timestamp("us", "UTC")),
            "word": pa.array(words),
            "list": pa.array([[1, 2], None, [], [None], [5]]),
            "pair": pa.array([[1.0, 2.0], None, [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]),
            "flag": pa.array([True, False, None, True, True]),
            "part": pa.array([{"x": 1, "y": "a"}, None, {"x": None, "y": "b"}] + [{}] * 2),
        }
    )
    expected = hash_table(table)
    assert hash_table(pl.DataFrame(table)) == expected
    assert hash_table(table.to_batches(max_chunksize=2)[0]) != expected
    pieces = pa.concat_tables([table.slice(0, 2), table.slice(2, 1), table.slice(3)])
    assert hash_table(pieces) == expected
    longer = pa.concat_tables([table, table]).slice(5)
    assert hash_table(longer) == expected
    for name, kind in (
        ("word", pa.large_string()),
        ("word", pa.string_view()),
        ("word", pa.dictionary(pa.int8(), pa.string())),
        ("list", pa.large_list(pa.int64())),
        ("pair", pa.list_(pa.float64(), 2)),
    ):
        i = table.column_names.index(name)
        twin = table.set_column(i, name, table[name].cast(kind))
        assert hash_table(twin) == expected, kind
    plain = table.select(["at", "word"])
    assert hash_table(pa.Table.from_pandas(plain.to_pandas())) == hash_table(plain)
    assert hash_table(pd.DataFrame({"a": [1]})) == hash_table(pa.table({"a": [1]}))
    for other in (
        table.rename_columns([*table.column_names[:-1], "parts"]),
        table.set_column(0, "id", table["id"].cast(pa.float64())),
        table.set_column(1, "at", table["at"].cast(pa.timestamp("us"))),
        table.set_column(2, "word", pa.array(["", *words[1:]])),
        table.slice(1),
        table.select(table.column_names[::-1]),
    ):
        assert hash_table(other) != expected


def test_a_column_that_cannot_be_hashed_is_named(store: FeatureStore) -> None:
    ends = pa.RunEndEncodedArray.from_arrays(pa.array([4], pa.int32()), pa.array([1]))
    rows = pa.table({**ROWS, "runs": ends})
    job = store.get_historical_features(rows, FEATURES)
    with pytest.raises(UnsupportedError, match=r"the entity rows: column 'runs' .* be hashed"):
        store.create_saved_dataset(job, "x", SavedDatasetFileStorage("x.parquet"))


def tiffin(repo: Path, *args: str, code: int = 0) -> str:
    result = subprocess.run(
        [sys.executable, "-m", "tiffin.cli.main", "-c", str(repo), *args],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in result.stderr, result.stderr
    assert result.returncode == code, (result.stdout, result.stderr)
    return result.stdout + result.stderr


def test_the_command_line(store: FeatureStore, repo: Path) -> None:
    make(store, tags={"team": "a"})
    listed = tiffin(repo, "saved-datasets", "list").splitlines()
    assert listed[0].split() == ["NAME", "PATH", "FEATURES", "ROWS", "TAGS"]
    assert listed[1].split() == ["january", "sets/january.parquet", "2", "4", "team=a"]
    assert json.loads(tiffin(repo, "saved-datasets", "list", "--json"))[0]["name"] == "january"
    assert "stats:trips" in tiffin(repo, "saved-datasets", "describe", "january")
    assert "is as it was" in tiffin(repo, "saved-datasets", "verify", "january")
    (repo / "data" / "drivers.parquet").unlink()
    changed = tiffin(repo, "saved-datasets", "verify", "january", code=1)
    assert "file data/drivers.parquet of data source 'drivers': missing" in changed
    report = json.loads(tiffin(repo, "saved-datasets", "verify", "january", "--json", code=1))
    assert report["is_intact"] is True
    assert "no saved dataset 'x'" in tiffin(repo, "saved-datasets", "verify", "x", code=1)
    assert "deleted; its files stay" in tiffin(repo, "saved-datasets", "delete", "january", "-y")
    assert (repo / "sets" / "january.parquet").exists()
    assert store.list_saved_datasets() == []


def test_layouts_of_polars_are_written_read_and_saved_alike(store, tmp_path):
    import polars as pl

    words = ["a", None, "bc", "a"]
    rows = pl.DataFrame({name: ROWS[name] for name in ("driver_id", "event_timestamp")})
    rows = rows.with_columns(
        text=pl.Series(words),
        category=pl.Series(words, dtype=pl.Categorical),
        enum=pl.Series(words, dtype=pl.Enum(["a", "bc"])),
        many=pl.Series([[w] for w in words], dtype=pl.List(pl.Categorical)),
    )
    job = store.get_historical_features(rows, FEATURES)
    arrays = job.to_numpy()
    job.to_parquet(tmp_path / "rows.parquet")
    dataset = store.create_saved_dataset(job, "layouts", SavedDatasetFileStorage("l.parquet"))
    for table in (pq.read_table(tmp_path / "rows.parquet"), dataset.to_arrow()):
        assert table["many"].to_pylist() == [[w] for w in words]
        for name in ("text", "category", "enum"):
            assert table.schema.field(name).type == pa.string()
            assert table[name].to_pylist() == list(arrays[name]) == words
    assert [list(row) for row in arrays["many"]] == [[w] for w in words]


def test_entity_rows_in_a_file_are_verified_from_the_repo(store, tmp_path, monkeypatch):
    pq.write_table(pa.table(ROWS), store.config.repo_path / "orders.parquet")
    dataset = make(store)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    report = dataset.verify("orders.parquet")
    assert report["entity_rows"]["status"] == "same"
