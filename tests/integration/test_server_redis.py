"""The feature server over Redis: rows are read there, and it says so while they cannot be."""

import http.client
import json

import pytest
from redis_server import RedisServer
from rides import definitions, utc
from server_process import ServerProcess, wait_until

from tiffin import FeatureStore

QUESTION = {"features": ["stats:trips"], "entities": {"driver_id": [1, 7]}}


@pytest.fixture
def redis(tmp_path):
    with RedisServer(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def rides(repo, redis):
    """A materialized store whose rows are in Redis; calls to it are given up soon."""
    address = f"127.0.0.1:{redis.port},socket_timeout=2,socket_connect_timeout=1"
    (repo / "feature_store.yaml").write_text(
        "project: rides\nonline_ttl: ignore\n"
        f"online_store: {{type: redis, connection_string: '{address}'}}\n"
    )
    store = FeatureStore(repo)
    store.apply(list(definitions()))
    store.materialize(utc(2024, 1, 1), utc(2024, 2, 1))
    return store


def ask(server, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request(method, path, body and json.dumps(body))
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read() or b"null")
    finally:
        connection.close()


def test_it_is_ready_while_redis_is_there(repo, rides, redis):
    with ServerProcess(repo) as server:
        assert ask(server, "GET", "/ready") == (200, None)
        assert ask(server, "POST", "/get-online-features", QUESTION)[0] == 200
        redis.stop()
        status, answer = ask(server, "GET", "/ready")
        assert status == 503
        assert f"Redis at 127.0.0.1:{redis.port}" in answer["detail"]
        assert ask(server, "GET", "/health")[0] == 200  # a new process would not help
        assert ask(server, "POST", "/get-online-features", QUESTION)[0] != 200
        redis.start()
        wait_until(lambda: ask(server, "GET", "/ready")[0] == 200, "ready again")
        assert ask(server, "POST", "/get-online-features", QUESTION)[0] == 200
