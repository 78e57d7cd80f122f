"""feature_store.yaml: Feast's keys, defaults, substitution, and sentences about mistakes."""

import warnings
from pathlib import Path

import pytest

from tiffin.errors import TiffinWarning
from tiffin.store.config import RepoConfig


def read(tmp_path: Path, text: str) -> RepoConfig:
    file = tmp_path / "feature_store.yaml"
    file.write_text(text)
    return RepoConfig.from_file(file)


def test_defaults(tmp_path):
    config = read(tmp_path, "project: p\n")
    assert config.to_dict() == {
        "project": "p",
        "registry": "data/registry.db",
        "provider": "local",
        "online_store": {"type": "lmdb", "path": "data/online"},
        "offline_store": {"type": "duckdb"},
        "entity_key_serialization_version": 3,
        "project_description": "",
        "online_ttl": "",
        "s3": {},
        "feature_server": {},
        "coerce_tz_aware": True,
    }
    assert config.registry_path == tmp_path / "data/registry.db"
    assert config.online_path == tmp_path / "data/online"
    assert (config.threads, config.memory_limit_bytes) == (0, 0)
    assert config.online_sync == 0


def test_feasts_keys(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        config = read(
            tmp_path,
            """
            project: p
            project_description: rides
            provider: local
            registry: {path: r/x.db, registry_type: file, cache_ttl_seconds: 60}
            online_store: {type: lmdb, path: o, sync: batch}
            offline_store: {type: file, threads: 3, memory_limit: 1.5GB}
            entity_key_serialization_version: 3
            online_ttl: enforce
            coerce_tz_aware: true
            """,
        )
    assert config.registry == "r/x.db"
    assert config.online_store == {"type": "lmdb", "path": "o", "sync": "batch"}
    assert config.online_sync == 1
    assert config.online_ttl == "enforce"
    assert (config.threads, config.memory_limit_bytes) == (3, 1_500_000_000)


@pytest.mark.parametrize("text", ["none", "null", "'null'", "~"])
def test_no_online_store(tmp_path, text):
    assert read(tmp_path, f"project: p\nonline_store: {text}\n").online_path is None


def test_variables_that_exist_are_put_in(tmp_path, monkeypatch):
    monkeypatch.setenv("TIFFIN_TEST_NAME", "rides")
    monkeypatch.delenv("TIFFIN_TEST_NONE", raising=False)
    config = read(tmp_path, "project: ${TIFFIN_TEST_NAME}\nregistry: $TIFFIN_TEST_NONE/r.db\n")
    assert config.project == "rides"
    assert config.registry == "$TIFFIN_TEST_NONE/r.db"


def test_redis_and_its_secrets(tmp_path, monkeypatch):
    monkeypatch.setenv("TIFFIN_TEST_SECRET", "s3cret,tail")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        config = read(
            tmp_path,
            """
            project: p
            online_store:
              type: redis
              redis_type: redis_sentinel
              connection_string: "a:1,b:2,password=$TIFFIN_TEST_SECRET,ssl=true"
              sentinel_master: m
              sentinel_password: s3cret
              key_ttl_seconds: 60
              full_scan_for_deletion: false
              skip_dedup: true
            """,
        )
    assert config.online_path is None
    assert config.redis["connection_string"] == "a:1,b:2,password=s3cret,tail,ssl=true"
    shown = config.to_dict()["online_store"]
    assert shown["connection_string"] == "a:1,b:2,password=...,ssl=true"
    for text in (str(shown), repr(config)):
        assert "s3cret" not in text
        assert "tail" not in text


@pytest.mark.parametrize("rest", ["tail", "tail=more", "ta:il", "a=b,c:d,e"])
def test_a_password_with_a_comma_is_not_shown(tmp_path, rest):
    connection = f"a:1,password=s3cret,{rest},ssl=true"
    text = f"project: p\nonline_store: {{type: redis, connection_string: '{connection}'}}\n"
    shown = read(tmp_path, text).to_dict()["online_store"]
    assert shown["connection_string"] == "a:1,password=...,ssl=true"


def test_absolute_paths_stay(tmp_path):
    assert read(tmp_path, "project: p\nregistry: /x/r.db\n").registry_path == Path("/x/r.db")


def test_unknown_keys_are_named_in_one_warning(tmp_path):
    with pytest.warns(TiffinWarning) as caught:
        read(
            tmp_path,
            "project: p\nfoo: 1\nauth: {type: no_auth}\nself: 1\nflags: {}\n"
            "online_store: {type: lmdb, bar: 2}\n",
        )
    assert len(caught) == 1
    assert caught[0].filename == __file__  # the caller's line, not one of ours
    assert str(caught[0].message) == (
        f"{tmp_path / 'feature_store.yaml'}: ignored, because this release knows nothing of it: "
        "'foo', 'self', 'online_store.bar'"
    )


def test_what_feast_has_and_we_do_not_is_told_key_by_key(tmp_path):
    with pytest.warns(TiffinWarning) as caught:
        config = read(
            tmp_path,
            "project: p\nonline_store: {type: sqlite, path: data/online_store.db}\n"
            "offline_store: {type: bigquery, dataset: d}\nauth: {type: oidc}\nflags: {x: true}\n",
        )
    assert config.online_store == {"type": "lmdb", "path": "data/online"}
    assert config.offline_store == {"type": "duckdb"}
    assert [str(w.message).split("feature_store.yaml: ")[1] for w in caught] == [
        "online_store of type 'sqlite' runs on LMDB in data/online; this release has lmdb and "
        "redis",
        "offline_store of type 'bigquery' means the engine here, which reads Parquet, CSV and JSON "
        "files",
        "auth is not checked; clients of a server need API keys: see `tiffin keys`",
        "flags has no effect; nothing here waits behind a flag",
    ]


@pytest.mark.parametrize(
    ("text", "error", "sentence"),
    [
        ("registry: x\n", ValueError, "{}: project is missing; write e.g. project: my_project"),
        (
            "project: 3\n",
            ValueError,
            "{}: project must be a text, not 3; write e.g. project: my_project",
        ),
        (
            "project: p\n  x: [\n",
            ValueError,
            "{}, line 2: not YAML: mapping values are not allowed here",
        ),
        ("- a\n", ValueError, "{}: keys and values are needed, e.g. project: my_project"),
        (
            "project: p\nonline_store: {type: paper}\n",
            NotImplementedError,
            "{}: an online_store of type 'paper' does not exist in this release; write "
            "online_store: {{type: lmdb, path: data/online}} or "
            "{{type: redis, connection_string: localhost:6379}}",
        ),
        (
            "project: p\nonline_store: {type: valkey}\n",
            NotImplementedError,
            "{}: an online_store of type 'valkey' does not exist in this release; write "
            "online_store: {{type: lmdb, path: data/online}} or "
            "{{type: redis, connection_string: localhost:6379}} (type redis serves Valkey too)",
        ),
        (
            "project: p\nonline_store: {type: lmdb, sync: never}\n",
            ValueError,
            "{}: online_store.sync must be full or batch, not 'never'",
        ),
        (
            "project: p\noffline_store: {type: paper}\n",
            NotImplementedError,
            "{}: an offline_store of type 'paper' does not exist in this release; write "
            "offline_store: {{type: duckdb}}, which reads Parquet, CSV and JSON",
        ),
        (
            "project: p\nregistry: {registry_type: sql, path: 'postgresql://x'}\n",
            NotImplementedError,
            "{}: a registry of type 'sql' does not exist in this release; write registry: "
            "data/registry.db",
        ),
        (
            "project: p\nregistry: s3://b/r.db\n",
            NotImplementedError,
            "{}: the registry 's3://b/r.db' is not a local file, and this release has no other; "
            "write registry: data/registry.db",
        ),
        (
            "project: p\nonline_ttl: maybe\n",
            ValueError,
            "{}: online_ttl must be enforce or ignore, not 'maybe'",
        ),
        (
            "project: p\noffline_store: {memory_limit: lots}\n",
            ValueError,
            "{}: offline_store.memory_limit must be e.g. 512MB, not 'lots'",
        ),
        (
            "project: p\noffline_store: {threads: -1}\n",
            ValueError,
            "{}: offline_store.threads must be a count, not -1",
        ),
        (
            "project: p\nonline_store: 3\n",
            ValueError,
            "{}: online_store must be a mapping with a type, not 3",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(tmp_path, text, error, sentence):
    with pytest.raises(error) as caught:
        read(tmp_path, text)
    assert str(caught.value) == sentence.format(tmp_path / "feature_store.yaml")


def test_a_missing_file_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(KeyError) as caught:
        RepoConfig.from_file(tmp_path / "feature_store.yaml")
    assert str(caught.value) == (
        f"there is no feature_store.yaml in {tmp_path}; go to the folder that has it, pass its "
        "folder as repo_path, or make one with `tiffin init`"
    )


def test_bytes_that_are_no_text(tmp_path):
    file = tmp_path / "feature_store.yaml"
    file.write_bytes(b"project: \xff\n")
    with pytest.raises(ValueError, match=r"is not UTF-8 text \(byte 9\)"):
        RepoConfig.from_file(file)
