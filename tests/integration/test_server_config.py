"""Settings of the server: feature_store.yaml as C and Python read it, and `tiffin serve`."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from tiffin.cli.serve import find_program
from tiffin.errors import TiffinError
from tiffin.store.config import RepoConfig

ENVIRONMENT = {
    "TIFFIN_TEST_NAME": "rides",
    "TIFFIN_TEST_DIR": "some/where",
    "TIFFIN_TEST_D": "$PATH",
}

ACCEPTED = {
    "the least": "project: p\n",
    "everything": """
project: p
project_description: rides
provider: aws
registry: {path: r/x.db, registry_type: file, cache_ttl_seconds: 60, cache_mode: sync}
online_store: {type: lmdb, path: o, sync: batch, max_ahead_seconds: 1_000}
offline_store: {type: file, threads: 0x3, memory_limit: 1.5GB, temp_directory: tmp}
entity_key_serialization_version: 3
online_ttl: Enforce
coerce_tz_aware: yes
""",
    "absolute paths": "project: p\nregistry: /x/r.db\nonline_store: {path: /y}\n",
    "empty values": "project: p\nregistry:\noffline_store: ~\ns3: null\nonline_ttl: ''\n",
    "an empty registry mapping": "project: p\nregistry: {}\n",
    "an empty path": "project: p\nregistry: ''\nonline_store: {path: ''}\n",
    "no online store": "project: p\nonline_store: none\n",
    "no online store, in capitals": "project: p\nonline_store: 'NULL'\n",
    "a null online store": "project: p\nonline_store: ~\n",
    "a type alone": "project: p\nonline_store: lmdb\noffline_store: dask\n",
    "redis": """
project: p
online_store:
  type: redis
  redis_type: redis_sentinel
  connection_string: "a:1,b:2,password=se cret,tail,ssl=true"
  sentinel_master: m
  sentinel_password: secret
  key_ttl_seconds: 60
  full_scan_for_deletion: no
  max_ahead_seconds: 7
""",
    "redis alone": "project: p\nonline_store: redis\n",
    "s3": """
project: p
s3:
  region: eu-west-1
  endpoint: "http://127.0.0.1:1"
  secret_access_key: secret
  use_ssl: off
  retries: 3
  timeout_seconds: 1.5
  nothing: ~
  nested: {a: [1, -2.0, 1.0e+20, 'x\u00e9', "tab\\t"], b: {}}
""",
    "variables": "project: ${TIFFIN_TEST_NAME}\nregistry: $TIFFIN_TEST_DIR/r.db\n",
    "variables that do not exist": "project: $TIFFIN_TEST_NONE\nregistry: ${TIFFIN_TEST_NONE}/x\n",
    "odd dollars": "project: a$$b${c$\nregistry: $\nonline_store: {path: '${TIFFIN_TEST_D}x$'}\n",
    "anchors": """
project: &name p
registry: *name
x: &base {type: lmdb, path: one, sync: batch}
online_store:
  path: two
  <<: *base
""",
    "a merge of several": """
project: p
a: &a {path: one}
b: &b {path: two, sync: batch}
online_store: {<<: [*a, *b], type: lmdb}
""",
    "quoting": "'project': \"p\\u00e4\\x41\"\nregistry: 'it''s'\nonline_store: {path: \"a b\"}\n",
    "block texts": "project: p\nregistry: >-\n  a\n  b\nonline_store:\n  path: |-\n    c\n",
    "a key twice": "project: a\nproject: b\nregistry: x\nregistry: y\n",
    "a comment and a document mark": "# c\n---\nproject: p # d\n...\n",
    "a tag": "project: !!str 12\noffline_store: {threads: !!int '4'}\n",
    "numbers as texts": "project: '12'\nregistry: 08\nonline_store: {path: 1e5}\n",
    "times as keys": "project: p\n2020-01-01: x\n12: y\n1.50: z\ntrue: a\n~: b\n",
    "unknown keys": """
project: p
foo: 1
auth: {type: no_auth}
self: 1
source: 2
repo_path: 3
flags: {x: true}
online_store: {type: lmdb, bar: 2}
offline_store: {baz: 3}
registry: {path: r, qux: 4}
""",
    "sqlite": "project: p\nonline_store: {type: sqlite, path: d/x/online.db, vector_enabled: 1}\n",
    "sqlite beside the repo's files": "project: p\nonline_store: {type: sqlite, path: o.db}\n",
    "sqlite at the root": "project: p\nonline_store: {type: sqlite, path: /o.db}\n",
    "sqlite in a folder of many slashes": "project: p\nonline_store: {type: sqlite, path: a//o}\n",
    "sqlite alone": "project: p\nonline_store: sqlite\n",
    "other stores": """
project: p
online_store: {type: dynamodb, region: eu, sync: batch, max_ahead_seconds: 5}
offline_store: {type: snowflake.offline, database: d, threads: many}
""",
    "classes of one's own": """
project: p
online_store: {type: my.package.MyOnlineStore, path: x}
offline_store: my.package.MyOfflineStore
""",
    "all of feast's keys": """
project: p
foo: 1
entity_key_serialization_version: 2
auth: {type: oidc, client_id: x}
batch_engine: {type: spark.engine}
materialization: {pull_latest_features: true}
embedding_model: {model: m}
openlineage: {enabled: true}
mlflow: {enabled: true}
data_quality_monitoring: {x: 1}
flags: {alpha_features: true}
coerce_tz_aware: false
""",
    "feast's keys that ask for nothing": """
project: p
auth: {type: no_auth}
batch_engine: local
materialization: {}
openlineage: ~
flags: false
""",
    "an engine of its own": "project: p\nauth: kubernetes\nbatch_engine: {type: local}\n",
    "flags that say nothing": "project: p\nflags: {}\n",
    "naive times": "project: p\ncoerce_tz_aware: false\nfoo: 1\n",
    "octal and sixty": "project: p\nonline_store: {max_ahead_seconds: 1:30}\n"
    "offline_store: {threads: 010, memory_limit: 0b1000}\n",
    "sizes": "project: p\noffline_store: {memory_limit: ' 512 MiB '}\n",
    "a size in bytes": "project: p\noffline_store: {memory_limit: 4096.0}\n",
    "a false ttl": "project: p\nonline_ttl: no\n",
    "the largest head start": "project: p\nonline_store: {max_ahead_seconds: 1000000000000}\n",
    "feast's feature_server": """
project: p
feature_server:
  type: local
  enabled: true
  metrics: {enabled: true, resource: true}
  feature_logging: {enabled: true, flush_interval_secs: 60}
  offline_push_batching_enabled: true
  transformation_service_endpoint: localhost:6569
""",
}

REFUSED = {
    "nothing": "",
    "a list": "- a\n",
    "a text": "just words\n",
    "no project": "registry: x\n",
    "a number as project": "project: 3\n",
    "a date as project": "project: 2020-01-02\n",
    "an empty project": "project: ''\n",
    "a float as project": "project: 1.50\n",
    "a mapping as project": "project: {a: [1, 'x', ~, yes, \"it's\"]}\n",
    "a list as registry": "project: p\nregistry: [a]\n",
    "a registry of sql": "project: p\nregistry: {registry_type: sql, path: x}\n",
    "a registry store": "project: p\nregistry: {registry_store_type: my.Store}\n",
    "a registry elsewhere": "project: p\nregistry: s3://bucket/r.db\n",
    "a type that is not there": "project: p\nonline_store: {type: paper}\n",
    "a remote store": "project: p\nonline_store: {type: remote, path: 'http://h'}\n",
    "a number as path of sqlite": "project: p\nonline_store: {type: sqlite, path: 3}\n",
    "a remote offline store": "project: p\noffline_store: {type: remote}\n",
    "valkey": "project: p\nonline_store: valkey\n",
    "a type that is a number": "project: p\nonline_store: {type: 3}\n",
    "a list as online store": "project: p\nonline_store: [lmdb]\n",
    "a number as path": "project: p\nonline_store: {path: 3}\n",
    "a sync that is not there": "project: p\nonline_store: {sync: none}\n",
    "no head start": "project: p\nonline_store: {max_ahead_seconds: 0}\n",
    "a head start of half a second": "project: p\nonline_store: {max_ahead_seconds: 0.5}\n",
    "a head start that is true": "project: p\nonline_store: {max_ahead_seconds: true}\n",
    "a head start that is null": "project: p\nonline_store: {max_ahead_seconds: ~}\n",
    "an offline store that is not there": "project: p\noffline_store: paper\n",
    "threads below zero": "project: p\noffline_store: {threads: -1}\n",
    "threads in words": "project: p\noffline_store: {threads: two}\n",
    "a limit in words": "project: p\noffline_store: {memory_limit: much}\n",
    "a limit that is true": "project: p\noffline_store: {memory_limit: true}\n",
    "a limit of nothing": "project: p\noffline_store: {memory_limit: 0}\n",
    "a limit in letters": "project: p\noffline_store: {memory_limit: 1e3XB}\n",
    "a number as folder": "project: p\noffline_store: {temp_directory: 3}\n",
    "a ttl that is not there": "project: p\nonline_ttl: strict\n",
    "a ttl that is true": "project: p\nonline_ttl: yes\n",
    "a list as s3": "project: p\ns3: [a]\n",
    "a feature_server that is a list": "project: p\nfeature_server: [1]\n",
    "a feature_server of another type": "project: p\nfeature_server: {type: lambda}\n",
}

NOT_YAML = {
    "a mapping in a text": "project: p\n  x: [\n",
    "an open list": "project: [p\n",
    "an open list and no line break": "project: p\nx: [p",
    "a tab": "project: p\n\tx: 1\n",
    "an open quote": "project: 'p\n",
    "an alias of nothing": "project: *p\n",
    "an anchor twice": "a: &x 1\nb: &x 2\nproject: p\n",
    "two documents": "project: p\n---\nproject: q\n",
    "a tag of Python's": "project: !!python/object:os.system p\n",
    "a tag of one's own": "project: !mine p\n",
    "a list as key": "? [a]\n: b\nproject: p\n",
    "a bad escape": 'project: "\\q"\n',
    "a percent": "%YAML 9.9\n%\n---\nproject: p\n",
    "a merge of a text": "project: p\n<<: x\n",
    "equals": "project: =\n",
}


def write(folder: Path, text: str | bytes) -> Path:
    file = folder / "feature_store.yaml"
    if isinstance(text, str):
        text = text.encode()
    file.write_bytes(text)
    return file


def ask(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [find_program(), "--repo", str(folder), *options],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **ENVIRONMENT},
    )


def read_in_c(folder: Path) -> tuple[dict[str, Any] | None, str]:
    """Return the settings, or None, and what was said."""
    done = ask(folder, "--print-config")
    said = "\n".join(
        line.removeprefix("warning: ").removeprefix("tiffin-server: ").removeprefix("warning: ")
        for line in done.stderr.splitlines()
    )
    assert done.returncode in (0, 1), done
    return (json.loads(done.stdout) if done.returncode == 0 else None), said


def read_in_python(folder: Path, monkeypatch) -> tuple[RepoConfig | None, str]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            config = RepoConfig.from_file(folder / "feature_store.yaml")
        except TiffinError as error:
            return None, str(error)
    return config, "; ".join(str(warning.message) for warning in caught)


def effective(config: RepoConfig) -> dict[str, Any]:
    """What the engine gets, in the form of --print-config."""
    shown = config.to_dict()
    store = config.online_store
    redis = None
    if config.redis is not None:
        redis = {k: v for k, v in shown["online_store"].items() if k != "max_ahead_seconds"}
    return {
        "project": config.project,
        "registry_path": os.path.normpath(config.registry_path),
        "base_path": os.path.normpath(config.repo_path),
        "online_type": None if store is None else store["type"],
        "online_path": config.online_path and os.path.normpath(config.online_path),
        "online_sync": ("full", "batch")[config.online_sync],
        "online_ttl": config.online_ttl,
        "max_ahead_seconds": config.max_ahead_seconds,
        "threads": config.threads,
        "memory_limit_bytes": config.memory_limit_bytes,
        "temp_path": config.temp_path and os.path.normpath(config.temp_path),
        "redis": redis,
        "s3": shown["s3"] or None,
    }


@pytest.mark.parametrize("name", ACCEPTED)
def test_both_readers_see_the_same_settings(tmp_path, monkeypatch, name):
    write(tmp_path, ACCEPTED[name])
    in_python, warned_in_python = read_in_python(tmp_path, monkeypatch)
    in_c, warned_in_c = read_in_c(tmp_path)
    assert in_python is not None, warned_in_python
    assert in_c is not None, warned_in_c
    expected = effective(in_python)
    found = {
        k: os.path.normpath(in_c[k]) if k.endswith("_path") and in_c[k] else in_c[k]
        for k in expected
    }
    assert found == expected
    assert warned_in_c == warned_in_python


@pytest.mark.parametrize("name", REFUSED)
def test_both_readers_refuse_in_the_same_words(tmp_path, monkeypatch, name):
    write(tmp_path, REFUSED[name])
    in_python, said_in_python = read_in_python(tmp_path, monkeypatch)
    in_c, said_in_c = read_in_c(tmp_path)
    assert (in_python, in_c) == (None, None)
    assert said_in_c == said_in_python


@pytest.mark.parametrize("name", NOT_YAML)
def test_what_is_not_yaml_is_refused_by_both(tmp_path, monkeypatch, name):
    write(tmp_path, NOT_YAML[name])
    in_python, said_in_python = read_in_python(tmp_path, monkeypatch)
    in_c, said_in_c = read_in_c(tmp_path)
    assert (in_python, in_c) == (None, None)
    # The parsers' own words differ; where it is must not.
    where = said_in_python.partition(": not YAML:")[0]
    assert said_in_c.startswith(f"{where}: not YAML: "), (said_in_c, said_in_python)


def test_bytes_that_are_no_text_are_refused_at_the_same_byte(tmp_path, monkeypatch):
    for damaged in (
        b"project: \xff\n",
        b"project: a\xc3",
        b"# \xe2\x82\xac\xed\xa0\x80\nproject: p\n",
    ):
        write(tmp_path, damaged)
        assert read_in_c(tmp_path)[1] == read_in_python(tmp_path, monkeypatch)[1]


def test_a_missing_file_says_what_to_do(tmp_path):
    done = ask(tmp_path, "--check")
    assert done.returncode == 1
    assert f"there is no feature_store.yaml in {tmp_path}; " in done.stderr
    assert "--repo" in done.stderr


def test_what_is_too_large_or_too_deep_is_refused(tmp_path):
    write(tmp_path, "project: p\n" + "#" * (1 << 20))
    assert "has more than 1048576 bytes" in ask(tmp_path, "--check").stderr
    write(tmp_path, "project: " + "[" * 100 + "]" * 100 + "\n")
    assert "line 1: nested more than 64 deep" in ask(tmp_path, "--check").stderr
    write(tmp_path, "project: p\nx: &x [*x]\n")
    assert (
        "line 2: not YAML: found an alias inside what it names" in ask(tmp_path, "--check").stderr
    )
    lines = ["project: p", "a0: &a0 {x: 1}"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    lines.append("s3: {x: *a29}")
    write(tmp_path, "\n".join(lines))
    assert "s3: " in ask(tmp_path, "--check").stderr  # and not the memory of the machine


SERVER = """
project: p
registry: reg/r.db
feature_server:
  type: local
  host: 127.0.0.2
  port: 7000
  workers: 2
  jobs: 3
  tls_key: tls/key.pem
  tls_cert: /etc/cert.pem
  access_log: {path: '-', sample_rate: 0.5}
  feature_logs: {path: logs, queue: 1MiB}
  limits:
    max_body: 2MiB
    max_bodies: 5MiB
    max_answer: 3MiB
    max_entity_rows: 11
    max_features: 12
    max_header: 4096
    max_connections: 13
    max_jobs: 14
    request_seconds: 1.5
    idle_seconds: 2
    drain_seconds: 0
"""


def test_the_mapping_feature_server_is_read(tmp_path):
    write(tmp_path, SERVER)
    settings, said = read_in_c(tmp_path)
    assert said == ""
    assert settings["feature_server"] == {
        "host": "127.0.0.2",
        "port": 7000,
        "unix_socket": None,
        "workers": 2,
        "jobs": 3,
        "tls_key": f"{tmp_path}/tls/key.pem",
        "tls_cert": "/etc/cert.pem",
        "keys": f"{tmp_path}/reg/server_keys.json",
        "insecure": False,
        "python": None,
        "access_log": {"path": "-", "sample_rate": 0.5},
        "feature_logs": {"path": f"{tmp_path}/logs", "queue": 1 << 20},
        "limits": {
            "max_body": 2 << 20,
            "max_bodies": 5 << 20,
            "max_answer": 3 << 20,
            "max_entity_rows": 11,
            "max_features": 12,
            "max_header": 4096,
            "max_connections": 13,
            "max_jobs": 14,
            "request_seconds": 1.5,
            "idle_seconds": 2.0,
            "drain_seconds": 0.0,
        },
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        config = RepoConfig.from_file(tmp_path / "feature_store.yaml")
    assert config.to_dict()["feature_server"]["limits"]["max_entity_rows"] == 11


def test_the_command_line_wins(tmp_path):
    write(tmp_path, SERVER)
    keys = tmp_path / "k"
    keys.write_text('{"version": 1, "keys": []}')
    done = ask(
        tmp_path,
        *"--port 7001 --workers=4 --limit max_body=1KiB --access-log-rate 1 --keys".split(),
        *(str(keys), "--print-config"),
    )
    server = json.loads(done.stdout)["feature_server"]
    assert (server["port"], server["host"], server["workers"]) == (7001, "127.0.0.2", 4)
    assert server["limits"]["max_body"] == 1024
    assert server["limits"]["max_features"] == 12
    assert server["access_log"] == {"path": "-", "sample_rate": 1.0}
    assert server["keys"] == str(keys)
    keys.unlink()
    done = ask(tmp_path, "--keys", str(keys), "--check")
    assert done.returncode == 1
    assert f"there is no file of API keys at {keys}; " in done.stderr


def test_settings_of_the_server_that_are_unknown_are_named(tmp_path):
    write(
        tmp_path,
        "project: p\nfeature_server: {prot: 1, limits: {max_rows: 1}, access_log: {rate: 1}}\n",
    )
    assert read_in_c(tmp_path)[1].endswith(
        "knows nothing of it: 'feature_server.prot', 'feature_server.limits.max_rows', "
        "'feature_server.access_log.rate'"
    )


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("port: 65536", "feature_server.port must be a whole number from 0 to 65535, not '65536'"),
        ("port: x", "feature_server.port must be a whole number from 0 to 65535, not 'x'"),
        ("port: 1.5", "feature_server.port must be a whole number from 0 to 65535, not '1.5'"),
        ("workers: 0", "feature_server.workers must be a whole number from 1 to 256, not '0'"),
        ("limits: 3", "feature_server.limits must be a mapping, not 3"),
        (
            "limits: {max_body: many}",
            "feature_server.limits.max_body must be a size from 1024 bytes to 1 TiB, e.g. 16MiB, "
            "not 'many'",
        ),
        (
            "access_log: {sample_rate: 2}",
            "feature_server.access_log.sample_rate must be a share from 0 to 1, e.g. 0.01, not '2'",
        ),
    ],
)
def test_settings_of_the_server_that_make_no_sense_are_refused(tmp_path, setting, sentence):
    file = write(tmp_path, f"project: p\nfeature_server: {{{setting}}}\n")
    done = ask(tmp_path, "--check")
    assert done.returncode == 1
    assert f"{file}: {sentence}" in done.stderr


def test_usage_errors_exit_with_two(tmp_path):
    write(tmp_path, "project: p\n")
    for options in (["--prot", "1"], ["serve"], ["--port"], ["--port", "x"], ["--limit", "x=1"]):
        done = ask(tmp_path, *options)
        assert (done.returncode, done.stdout) == (2, "")
        assert options[0] in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_help_and_version_read_nothing(tmp_path):
    done = ask(tmp_path / "nowhere", "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("usage: tiffin-server [OPTION]...")
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_other_interfaces_need_keys(tmp_path):
    write(tmp_path, "project: p\n")
    assert ask(tmp_path, "--check", "--host", "127.0.0.1").returncode == 0
    done = ask(tmp_path, "--check", "--host", "0.0.0.0")
    assert done.returncode == 1
    assert "`tiffin keys create NAME --scope read`" in done.stderr
    assert ask(tmp_path, "--check", "--host", "0.0.0.0", "--insecure").returncode == 0
    subprocess.run(
        [sys.executable, "-m", "tiffin.cli.main", "-c", str(tmp_path), "keys", "create", "model"],
        check=True,
        capture_output=True,
        timeout=60,
    )
    assert ask(tmp_path, "--check", "--host", "0.0.0.0").returncode == 0


# ---- tiffin serve


def serve(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tiffin.cli.main", "-c", str(folder), "serve", *options],
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_serve_is_the_program_with_this_python(tmp_path):
    write(tmp_path, SERVER)
    options = "-h ::1 -p 0 -w -1 -k key -c cert --no-access-log --keep-alive-timeout 5 -m".split()
    done = serve(tmp_path, *options, "--limit", "max_features=3", "--print-config")
    assert done.returncode == 0, done.stderr
    server = json.loads(done.stdout)["feature_server"]
    assert (server["host"], server["port"]) == ("::1", 0)
    assert server["workers"] == len(os.sched_getaffinity(0))
    assert (server["tls_key"], server["tls_cert"]) == ("key", "cert")
    assert server["access_log"]["path"] is None
    assert server["limits"]["idle_seconds"] == 5
    assert server["limits"]["max_features"] == 3
    assert server["python"] == sys.executable
    assert "--metrics has no effect" in done.stderr


def test_serve_takes_the_file_that_the_command_line_names(tmp_path):
    write(tmp_path, "project: p\n")
    other = tmp_path / "other.yaml"
    other.write_text("project: other\n")
    options = "serve --worker-connections 5 -w 2 --print-config".split()
    done = subprocess.run(
        [sys.executable, "-m", "tiffin.cli.main", "-c", str(tmp_path), "-f", str(other), *options],
        capture_output=True,
        text=True,
        timeout=60,
    )
    settings = json.loads(done.stdout)
    assert settings["project"] == "other"
    assert settings["feature_server"]["limits"]["max_connections"] == 10


def test_serve_passes_failures_on(tmp_path):
    write(tmp_path, "project: p\n")
    assert serve(tmp_path, "-p", "65536").returncode == 2
    assert serve(tmp_path, "--prot", "1").returncode == 2
    done = serve(tmp_path, "-t", "grpc")
    assert done.returncode == 2
    assert "a server of type 'grpc' does not exist; there is http" in done.stderr


def test_serve_says_where_it_looked_and_how_to_name_another_folder(tmp_path):
    done = serve(tmp_path, "--check")
    assert done.returncode == 1
    assert f"there is no feature_store.yaml in {tmp_path}; " in done.stderr
    assert "--chdir" in done.stderr
    done = serve(tmp_path / "nowhere", "--check")
    assert done.returncode == 1
    assert f"there is no folder {tmp_path / 'nowhere'}\n" in done.stderr


def test_the_program_is_found_on_the_path_too(tmp_path, monkeypatch):
    program = tmp_path / "tiffin-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    python = tmp_path / "elsewhere" / "python"
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_program() == str(program)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(LookupError, match="there is no program tiffin-server beside"):
        find_program()
