"""API keys: the file, what is printed once, and writers at the same time."""

import hashlib
import json
import re
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tiffin.cli.serve import find_program
from tiffin.errors import CorruptError, InvalidError, NotFoundError
from tiffin.server.keys import create_key, list_keys, revoke_key

KEY = re.compile(r"tfk_[0-9a-f]{12}_[A-Za-z0-9_-]{43}")


def run(repo: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tiffin.cli.main", "-c", str(repo), "keys", *options],
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_key_is_printed_once_and_kept_as_a_hash(repo):
    done = run(repo, "create", "model", "--scope", "write", "--scope", "read", "--rate", "5")
    assert done.returncode == 0, done.stderr
    key = done.stdout.strip()
    assert KEY.fullmatch(key)
    assert key not in done.stderr
    file = repo / "data" / "server_keys.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    content = json.loads(file.read_text())
    assert content["version"] == 1
    [entry] = content["keys"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", entry.pop("created"))
    assert entry == {
        "id": key.split("_")[1],
        "name": "model",
        "scopes": ["read", "write"],
        "rate_per_second": 5.0,
        "sha256": hashlib.sha256(key.encode()).hexdigest(),
    }
    assert key.split("_", 2)[2] not in file.read_text()
    listed = run(repo, "list")
    assert entry["id"] in listed.stdout
    assert entry["sha256"] not in listed.stdout
    assert json.loads(run(repo, "list", "--json").stdout)[0]["rate_per_second"] == 5


def test_a_revoked_key_is_gone_and_the_others_stay(repo):
    one, two = (run(repo, "create", name).stdout.split("_")[1] for name in ("one", "two"))
    done = run(repo, "revoke", one)
    assert done.stdout == f"key {one} of one is revoked\n"
    assert [key["id"] for key in json.loads(run(repo, "list", "--json").stdout)] == [two]
    done = run(repo, "revoke", one)
    assert done.returncode == 1
    assert f"there is no key with the id {one!r}" in done.stderr
    assert f"there are {two} (two)" in done.stderr


def test_the_configured_file_is_used(repo):
    (repo / "feature_store.yaml").write_text("project: rides\nfeature_server: {keys: own/k.json}\n")
    run(repo, "create", "model")
    assert len(list_keys(repo / "own" / "k.json")) == 1
    run(repo, "create", "model", "--keys", str(repo / "other.json"))
    assert len(list_keys(repo / "other.json")) == 1


def test_writers_at_once_lose_nothing(repo):
    path = repo / "keys.json"
    program = (
        "import sys\nfrom pathlib import Path\nfrom tiffin.server.keys import create_key\n"
        "for i in range(25): create_key(Path(sys.argv[1]), f'{sys.argv[2]}-{i}')\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", program, str(path), str(n)]) for n in range(4)
    ]
    while any(writer.poll() is None for writer in writers):
        list_keys(path)  # whole at every moment, or it raises
    assert [writer.returncode for writer in writers] == [0] * 4
    keys = list_keys(path)
    assert {key["name"] for key in keys} == {f"{n}-{i}" for n in range(4) for i in range(25)}
    assert len({key["id"] for key in keys}) == 100
    assert sorted(p.name for p in repo.glob("*keys.json*")) == ["keys.json", "keys.json.lock"]


@pytest.mark.parametrize(
    ("name", "scopes", "rate"),
    [
        ("", ("read",), None),
        ("x" * 101, ("read",), None),
        ("a\nb", ("read",), None),
        ("a", (), None),
        ("a", ("root",), None),
        ("a", ("read",), 0),
        ("a", ("read",), float("nan")),
        ("a", ("read",), 1e9),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, name, scopes, rate):
    with pytest.raises(InvalidError):
        create_key(tmp_path / "keys.json", name, scopes, rate)
    assert not (tmp_path / "keys.json").exists()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"version": 2, "keys": []}', '{"version": 1}', '{"version": 1, "keys": [{}]}'],
)
def test_a_damaged_file_is_not_overwritten(tmp_path, text):
    path = tmp_path / "keys.json"
    path.write_text(text)
    for change in (lambda: create_key(path, "a"), lambda: revoke_key(path, "a")):
        with pytest.raises(CorruptError, match=re.escape(str(path))):
            change()
    assert path.read_text() == text


def test_a_list_of_no_keys_says_what_that_means(repo):
    done = run(repo, "list")
    assert done.stdout == ""
    assert "a server on loopback lets anybody in" in done.stderr
    assert json.loads(run(repo, "list", "--json").stdout) == []


def test_no_file_has_no_keys(tmp_path):
    assert list_keys(tmp_path / "keys.json") == []
    with pytest.raises(NotFoundError, match="there are none"):
        revoke_key(tmp_path / "keys.json", "a")


# ---- a server that asks for them

Ask = Callable[..., tuple[int, str]]


@pytest.fixture
def ask(store, repo) -> Iterator[Ask]:
    """Requests to a server of `repo` on any free port of loopback."""
    create_key(repo / "data" / "server_keys.json", "first", ("admin",))
    server = subprocess.Popen(
        [find_program(), "--repo", str(repo), "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        line = server.stdout.readline()
        url = re.search(r"http://127\.0\.0\.1:\d+", line)[0]

        def send(path: str, key: str | None = None, method: str = "GET") -> tuple[int, str]:
            headers = {} if key is None else {"Authorization": f"Bearer {key}"}
            request = urllib.request.Request(url + path, headers=headers, method=method)
            try:
                with urllib.request.urlopen(request, timeout=30) as reply:
                    return reply.status, reply.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode()

        yield send
    finally:
        server.terminate()
        server.stdout.close()
        assert server.wait(timeout=30) == 0


def until(condition: Callable[[], bool]) -> None:
    """Wait for what must be so within a second, with room for a busy machine."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_server_asks_for_keys_and_sees_them_change(ask, repo):
    path = repo / "data" / "server_keys.json"
    assert ask("/health")[0] == 200
    status, body = ask("/metrics")
    assert status == 401
    assert "tiffin keys create" in body
    reader_id, reader = create_key(path, "reader", ("read",))
    _, slow = create_key(path, "slow", ("read",), 0.01)
    until(lambda: ask("/metrics", reader)[0] == 200)
    assert ask("/metrics", reader[:-1] + ("a" if reader[-1] != "a" else "b"))[0] == 401
    status, body = ask("/refresh", reader, "POST")
    assert status == 403
    assert reader.split("_", 2)[2] not in body
    until(lambda: ask("/metrics", slow)[0] == 200)
    assert ask("/metrics", slow)[0] == 429
    revoke_key(path, reader_id)
    until(lambda: ask("/metrics", reader)[0] == 401)


def test_a_server_that_has_had_keys_never_opens(ask, repo):
    path = repo / "data" / "server_keys.json"
    _, admin = create_key(path, "admin", ("admin",))
    until(lambda: ask("/metrics", admin)[0] == 200)
    for key in list_keys(path):
        revoke_key(path, key["id"])
    until(lambda: ask("/metrics", admin)[0] == 401)
    path.unlink()
    time.sleep(1)
    assert ask("/metrics")[0] == 401
