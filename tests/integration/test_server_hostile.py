"""Clients that mean harm, or know no better: the right status, one sentence, and the server lives.

While each of them is at work, a bystander asks an honest question again and again and must be
answered rightly and soon.
"""

import concurrent.futures
import contextlib
import json
import os
import random
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from raw_http import ClosedError, RawConnection, Reply, ask, request
from server_certificates import write_certificate
from server_load import N_KEYS, VIEWS, make_world
from server_process import ServerProcess, is_sanitized, wait_until

FEAST = "/get-online-features"
LEAN = "/v1/features"
QUESTION = {"features": ["v0:number"], "entities": {"k": [1, 2]}}
HEALTH = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
WORST_S = 20.0 if is_sanitized() else 2.0


class Bystander(threading.Thread):
    """An honest client, who asks while others misbehave."""

    def __init__(
        self, port: int, tls: ssl.SSLContext | None = None, key: str | None = None
    ) -> None:
        super().__init__()
        self._port, self._tls = port, tls
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._is_over = threading.Event()
        self.n_answers = 0
        self.worst_s = 0.0
        self.wrong = ""

    def run(self) -> None:
        expected = {"k": [1, 2], "number": [0, 0]}
        try:
            with RawConnection(self._port, tls=self._tls) as connection:
                while not self._is_over.wait(0.005):
                    begin = time.perf_counter()
                    reply = connection.ask("POST", FEAST, QUESTION, **self._headers)
                    self.worst_s = max(self.worst_s, time.perf_counter() - begin)
                    found = reply.json()
                    names = found["metadata"]["feature_names"]
                    values = [result["values"] for result in found["results"]]
                    assert dict(zip(names, values, strict=True)) == expected, reply
                    self.n_answers += 1
        except Exception as error:
            self.wrong = repr(error)

    def __enter__(self) -> "Bystander":
        self.start()
        wait_until(lambda: self.n_answers > 0 or self.wrong, "the bystander's first answer")
        return self

    def __exit__(self, *_: object) -> None:
        wait_until(lambda: self.n_answers > 3 or self.wrong, "answers for the bystander")
        self._is_over.set()
        self.join()
        assert not self.wrong, self.wrong
        assert self.worst_s < WORST_S, f"the bystander waited {self.worst_s:.3f} s"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    make_world(folder)
    return folder


@pytest.fixture(scope="module")
def running(world):
    with ServerProcess(world) as server:
        yield server


@pytest.fixture
def port(running):
    """The port of a server that others use meanwhile, and that lives on."""
    with Bystander(running.port):
        yield running.port
    assert running.is_alive()


def check_refusal(reply: Reply, *statuses: int) -> None:
    """One sentence, whichever of the forms it has."""
    assert reply.status in statuses, reply
    sentence = reply.sentence()
    assert sentence and "\n" not in sentence and len(sentence) < 1100, reply
    assert "Traceback" not in sentence


# ---- bodies


def of_keys(keys: str) -> bytes:
    return b'{"features": ["v0:number"], "entities": {"k": %s}}' % keys.encode()


NOT_JSON = {
    "nothing": b"",
    "half": b'{"features": ["v0:nu',
    "two": b"{}{}",
    "not UTF-8": b'{"features": ["v0:number\xff"], "entities": {"k": [1]}}',
    "not UTF-8 in keys": b'{"features": ["v0:number"], "entities": {"k": ["\xc3\x28"]}}',
    "a lone surrogate's bytes": b'{"features": ["\xed\xa0\x80"], "entities": {"k": [1]}}',
    "deep arrays": b"[" * 100_000,
    "deep, closed": b"[" * 50_000 + b"]" * 50_000,
    "deep objects": b'{"a":' * 100_000,
    "a zero byte": b'{"features": ["v0:number"], "entities": {"k": [1]}}\0',
    "UTF-16": json.dumps(QUESTION).encode("utf-16"),
    "a comment": b'{"features": /* all */ [], "entities": {}}',
    "binary": bytes(range(256)) * 100,
}
WRONG_SHAPE = {
    "an array": b"[]",
    "null": b"null",
    "a number": b"1e999",
    "a text": b'"features"',
    "no entities": b'{"features": ["v0:number"]}',
    "entities are a list": b'{"features": ["v0:number"], "entities": [1]}',
    "entities are null": b'{"features": ["v0:number"], "entities": null}',
    "a column is a number": of_keys("1"),
    "a column is an object": of_keys('{"a": 1}'),
    "features are a text": b'{"features": "v0:number", "entities": {"k": [1]}}',
    "a feature is a number": b'{"features": [1], "entities": {"k": [1]}}',
    "a feature is null": b'{"features": [null], "entities": {"k": [1]}}',
    "the service is a list": b'{"feature_service": ["everything"], "entities": {"k": [1]}}',
}
UNKNOWN = {
    "a view": ({"features": ["nothing:number"], "entities": {"k": [1]}}, (404,)),
    "a feature": ({"features": ["v0:nothing"], "entities": {"k": [1]}}, (404, 500)),
    "a service": ({"feature_service": "nothing", "entities": {"k": [1]}}, (404,)),
    "a view of control bytes": ({"features": ["\0\n\r:x"], "entities": {"k": [1]}}, (404, 500)),
    "a view with a long name": ({"features": ["v" * 9999 + ":x"], "entities": {"k": [1]}}, (404,)),
    "a key": ({"features": ["v0:number"], "entities": {"other": [1]}}, (400, 500)),
    "columns of two lengths": (
        {"features": ["v0:number"], "entities": {"k": [1], "other": [1, 2]}},
        (400, 500),
    ),
    "no features": ({"features": [], "entities": {"k": [1]}}, (400, 500)),
    "a feature without a view": ({"features": ["number"], "entities": {"k": [1]}}, (400, 500)),
}
BAD_KEYS = [
    '["one"]',
    "[1.5]",
    "[1e999]",
    "[-1e999]",
    "[18446744073709551616]",
    "[" + "9" * 400 + "]",
    "[1, [2]]",
    '[{"a": 1}]',
    '["\\u0000"]',
]


@pytest.mark.parametrize("path", [FEAST, LEAN])
@pytest.mark.parametrize("what", NOT_JSON)
def test_a_body_that_is_not_json(port, path, what):
    check_refusal(ask(port, "POST", path, NOT_JSON[what]), 400, 422)


@pytest.mark.parametrize("path", [FEAST, LEAN])
@pytest.mark.parametrize("what", WRONG_SHAPE)
def test_a_body_of_another_shape(port, path, what):
    check_refusal(ask(port, "POST", path, WRONG_SHAPE[what]), 400, 422)


@pytest.mark.parametrize("path", [FEAST, LEAN])
@pytest.mark.parametrize("what", UNKNOWN)
def test_what_is_not_there(port, path, what):
    name = {"feature_service": "service"} if path == LEAN else {}
    body = {name.get(key, key): value for key, value in UNKNOWN[what][0].items()}
    check_refusal(ask(port, "POST", path, body), *UNKNOWN[what][1])


@pytest.mark.parametrize("path", [FEAST, LEAN])
@pytest.mark.parametrize("keys", BAD_KEYS)
def test_entity_keys_that_are_none(port, path, keys):
    check_refusal(ask(port, "POST", path, of_keys(keys)), 400, 422, 500)


@pytest.mark.parametrize("path", [FEAST, LEAN])
@pytest.mark.parametrize("keys", ["[9223372036854775807, -9223372036854775808, 0]", '["1"]'])
def test_the_greatest_keys_are_answered(port, path, keys):
    assert ask(port, "POST", path, of_keys(keys)).status == 200


def test_one_member_twice(port):
    body = b'{"features": ["v0:number"], "entities": {"k": [1]}, "entities": {"k": [1, 2, 3]}}'
    assert ask(port, "POST", FEAST, body).status in (200, 422)


def test_a_hundred_thousand_keys(port):
    for path in (FEAST, LEAN):
        reply = ask(port, "POST", path, {**QUESTION, "entities": {"k": list(range(100_000))}})
        check_refusal(reply, 413)
        for word in ("100,000", "10,000", "max_entity_rows"):
            assert word in reply.sentence() or word.replace(",", "") in reply.sentence()


def test_ten_thousand_keys_are_answered(port):
    reply = ask(port, "POST", FEAST, {**QUESTION, "entities": {"k": list(range(10_000))}})
    assert reply.status == 200
    statuses = reply.json()["results"][1]["statuses"]
    assert statuses == ["PRESENT"] * N_KEYS + ["NOT_FOUND"] * (10_000 - N_KEYS)


def test_more_features_than_allowed(port):
    for path in (FEAST, LEAN):
        reply = ask(port, "POST", path, {**QUESTION, "features": ["v0:number"] * 1001})
        check_refusal(reply, 413)
        assert "max_features" in reply.sentence()


def test_a_query_that_is_none(port):
    for query in (
        "k=%",
        "k=%zz",
        "k=%00",
        "k=%ff",
        "k",
        "=1",
        "&&&&",
        "k=1&k=2&j=1",
        "k=" + "9" * 500,
        "full_feature_names=maybe&k=1",
        "&".join(["j=1"] * 2000),
    ):
        reply = ask(port, "GET", f"{LEAN}/flipped?{query}")
        check_refusal(reply, 400, 404, 413, 422, 431)
    check_refusal(ask(port, "GET", f"{LEAN}/nothing?k=1"), 404)
    check_refusal(ask(port, "GET", f"{LEAN}/everything?k=1"), 400)  # two features have one name


def test_a_query_of_many_keys(port):
    reply = ask(port, "GET", f"{LEAN}/flipped?" + "&".join(f"k={i}" for i in range(1000)))
    assert reply.status == 200
    assert len(reply.json()["columns"][0]) == 1000
    check_refusal(ask(port, "GET", f"{LEAN}/%00%ff?k=1"), 400, 404)


PUSHES = {
    "an unknown source": ({"push_source_name": "nothing", "df": {"k": [1]}}, (422,)),
    "no source": ({"df": {"k": [1]}}, (422,)),
    "no rows": ({"push_source_name": "pushed"}, (422,)),
    "rows are a list": ({"push_source_name": "pushed", "df": [1]}, (422,)),
    "columns of two lengths": (
        {
            "push_source_name": "pushed",
            "df": {
                "k": [1, 2],
                "event_timestamp": ["2024-01-01T00:00:00"],
                "number": [1, 2],
                "text": ["", ""],
            },
        },
        (400, 422, 500),
    ),
    "no key": (
        {
            "push_source_name": "pushed",
            "df": {"event_timestamp": ["2024-01-01T00:00:00"], "number": [1], "text": [""]},
        },
        (400, 422, 500),
    ),
    "a time is none": (
        {
            "push_source_name": "pushed",
            "df": {"k": [1], "event_timestamp": ["soon"], "number": [7], "text": ["x"]},
        },
        (400, 422, 500),
    ),
    "a number is a text": (
        {
            "push_source_name": "pushed",
            "df": {
                "k": [1],
                "event_timestamp": ["2024-01-01T00:00:00"],
                "number": ["seven"],
                "text": ["x"],
            },
        },
        (400, 422, 500),
    ),
    "mixed types": (
        {
            "push_source_name": "pushed",
            "df": {
                "k": [1, "two"],
                "event_timestamp": ["2024-01-01T00:00:00"] * 2,
                "number": [7, {"a": 1}],
                "text": ["x", "y"],
            },
        },
        (400, 422, 500),
    ),
    "a way that is none": (
        {
            "push_source_name": "pushed",
            "to": "everywhere",
            "df": {
                "k": [1],
                "event_timestamp": ["2025-01-01T00:00:00"],
                "number": [7],
                "text": ["x"],
            },
        },
        (422, 500),
    ),
}


@pytest.mark.parametrize("what", PUSHES)
def test_a_push_that_is_none_writes_nothing(port, what):
    body, statuses = PUSHES[what]
    check_refusal(ask(port, "POST", "/push", body), *statuses)
    features = [f"{view}:number" for view in VIEWS]
    found = ask(
        port,
        "POST",
        FEAST,
        {"features": features, "entities": {"k": [1]}, "full_feature_names": True},
    )
    assert [result["values"] for result in found.json()["results"]] == [[1], [0], [0], [0]]


@pytest.mark.parametrize("what", NOT_JSON)
@pytest.mark.parametrize("path", ["/push", "/write-to-online-store", "/materialize"])
def test_a_write_that_is_not_json(port, path, what):
    check_refusal(ask(port, "POST", path, NOT_JSON[what]), 400, 422)


# ---- HTTP itself


def check_gone(connection: RawConnection, *statuses: int) -> None:
    """At most one answer, of those statuses; then the connection is closed.

    libmicrohttpd 0.9 writes the head of its own refusals twice, so what follows an answer is looked
    through for another one that took something for a request.
    """
    try:
        reply = connection.reply()
    except ClosedError as closed:
        assert closed.is_clean
        return
    assert reply.status in statuses, reply
    rest = reply.body + connection.rest()
    assert b"HTTP/1.1 2" not in rest, "something that was smuggled was answered"
    assert rest.count(b"HTTP/1.1") <= 1, rest


def post(*lines: str, body: str = "") -> bytes:
    head = "\r\n".join([f"POST {FEAST} HTTP/1.1", "Host: x", *lines, "", ""])
    return (head + body).encode("latin-1")


CHUNKED = "Transfer-Encoding: chunked"
SMUGGLED = {
    "a length and chunks": post("Content-Length: 6", CHUNKED, body="0\r\n\r\n" + HEALTH),
    "chunks and a length": post(CHUNKED, "Content-Length: 6", body="0\r\n\r\n" + HEALTH),
    "two lengths": post("Content-Length: 2", "Content-Length: 60", body="{}" + HEALTH),
    "two lengths in one": post("Content-Length: 2, 60", body="{}" + HEALTH),
    "a negative length": post("Content-Length: -1", body=HEALTH),
    "a length with a sign": post("Content-Length: +2", body="{}" + HEALTH),
    "a hexadecimal length": post("Content-Length: 0x2", body="{}" + HEALTH),
    "a length beyond 64 bits": post("Content-Length: 18446744073709551618", body="{}" + HEALTH),
    "an empty length": post("Content-Length: ", body="{}" + HEALTH),
    "a length with words": post("Content-Length: 2 bytes", body="{}" + HEALTH),
    "an unknown coding": post("Transfer-Encoding: xchunked", body="2\r\n{}\r\n0\r\n\r\n" + HEALTH),
    "chunks not last": post("Transfer-Encoding: chunked, identity", body="0\r\n\r\n" + HEALTH),
    "chunks twice": post(CHUNKED, CHUNKED, body="0\r\n\r\n" + HEALTH),
    "chunks behind a tab": post("Transfer-Encoding:\x0bchunked", body="0\r\n\r\n" + HEALTH),
    "a space before the colon": post("Content-Length : 2", body="{}" + HEALTH),
    "a space before the colon of chunks": post(
        "Transfer-Encoding : chunked", "Content-Length: 5", body="0\r\n\r\n" + HEALTH
    ),
    "a folded line": post("X: a", " Content-Length: 2", "Content-Length: 2", body="{}" + HEALTH),
    "a folded first line": post(" Content-Length: 60", "Content-Length: 2", body="{}" + HEALTH),
    "a bare CR": post("X: a\rContent-Length: 60", "Content-Length: 2", body="{}" + HEALTH),
    "a zero byte in a header": post("X: a\0b", "Content-Length: 2", body="{}" + HEALTH),
    "a chunk's size that is none": post(CHUNKED, body="zz\r\n{}\r\n0\r\n\r\n" + HEALTH),
    "a chunk's size beyond 64 bits": post(
        CHUNKED, body="10000000000000002\r\n{}\r\n0\r\n\r\n" + HEALTH
    ),
    "a negative chunk": post(CHUNKED, body="-2\r\n{}\r\n0\r\n\r\n" + HEALTH),
    "a chunk longer than said": post(CHUNKED, body="1\r\n{}\r\n0\r\n\r\n" + HEALTH),
    "a header without a colon": post("Content-Length 2", body=HEALTH),
    "no name": post(": 2", "Content-Length: 2", body="{}" + HEALTH),
}
NOT_HTTP = {
    "noise": bytes(range(256)) * 8,
    "line ends": b"\r\n" * 5000,
    "zero bytes": b"\0" * 4096,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x5a" * 500,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 100,
    "no version": b"GET /health\r\n\r\n",
    "a version that is none": b"GET /health HTTP/one\r\nHost: x\r\n\r\n",
    "a version to come": b"GET /health HTTP/9.9\r\nHost: x\r\n\r\n",
    "no host": b"GET /health HTTP/1.1\r\n\r\n",
    "one word": b"GET\r\n\r\n",
    "Redis": b"*1\r\n$4\r\nPING\r\n",
}


@pytest.mark.parametrize("what", SMUGGLED)
def test_a_request_that_hides_another(port, what):
    with RawConnection(port) as connection:
        connection.send(SMUGGLED[what]).half_close()
        check_gone(connection, 400, 411, 413, 422, 501)


@pytest.mark.parametrize("what", NOT_HTTP)
def test_bytes_that_are_no_request(port, what):
    with RawConnection(port) as connection:
        try:
            connection.send(NOT_HTTP[what]).half_close()
        except ConnectionError:
            return  # it was closed before all was sent
        check_gone(connection, 400, 404, 405, 426, 431, 501, 505)


def test_a_path_or_method_that_is_none(port):
    for path in ("/nowhere", "/", "//", "/../etc/passwd", "/health/", "/%00", "/%zz", "*", "/v1/"):
        check_refusal(ask(port, "GET", path), 400, 404)
    for method in ("PUT", "DELETE", "PATCH", "BREW", "G\x7fT", "X" * 100):
        check_refusal(ask(port, method, FEAST), 400, 405, 501)
    check_refusal(ask(port, "GET", FEAST), 405)
    assert ask(port, "GET", FEAST).headers["allow"] == "POST"


def test_headers_beyond_the_limit(port):
    long = request("GET", "/health", None, X_Long="x" * 20_000)
    many = request("GET", "/health", None, **{f"X-{i}": "y" for i in range(3000)})
    path = request("GET", "/health?" + "z" * 20_000)
    for what in (long, many, path):
        with RawConnection(port) as connection:
            try:
                connection.send(what)
            except ConnectionError:
                continue
            check_gone(connection, 414, 431)


def test_headers_without_an_end(port):
    with RawConnection(port) as connection, pytest.raises(OSError):
        connection.send(b"GET /health HTTP/1.1\r\nHost: x\r\n")
        for i in range(100_000):
            connection.send(b"X-%d: %s\r\n" % (i, b"x" * 100))


def test_a_body_beyond_the_limit_is_refused_before_it_is_sent(port):
    with RawConnection(port) as connection:
        connection.send(post(f"Content-Length: {1 << 40}", "Expect: 100-continue"))
        reply = connection.reply()
        check_refusal(reply, 413)
        assert "max_body" in reply.sentence()
        assert connection.is_at_end()


def test_chunks_beyond_the_limit(running, port):
    """They are refused, read on for a while so that the client sees why, and not kept."""
    before = running.look()
    with RawConnection(port) as connection:
        connection.send(post(CHUNKED))
        chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                connection.send(chunk)
        with contextlib.suppress(ClosedError):
            check_refusal(connection.reply(), 413)
        assert running.look().anonymous_kb < before.anonymous_kb + 40_000


def test_a_body_in_chunks(port):
    body = json.dumps(QUESTION).encode()
    chunks = b"".join(b"1;x=y\r\n%c\r\n" % byte for byte in body) + b"0\r\nTrailer: x\r\n\r\n"
    with RawConnection(port) as connection:
        for _ in range(3):
            reply = connection.send(post(CHUNKED) + chunks).reply()
            assert reply.status == 200
            assert reply.json()["results"][1]["values"] == [0, 0]


def test_pipelined_requests_are_answered_in_order(port):
    def of(key: int) -> bytes:
        return request("POST", FEAST, {"features": ["v0:number"], "entities": {"k": [key]}})

    mixed = [of(i) if i % 3 else request("GET", f"{LEAN}/flipped?k={i}") for i in range(300)]
    with RawConnection(port) as connection:
        sender = threading.Thread(target=connection.send, args=(b"".join(mixed),))
        sender.start()
        for i in range(300):
            reply = connection.reply()
            assert reply.status == 200
            if i % 3:
                assert reply.json()["results"][0]["values"] == [i]
        sender.join()


def test_pipelined_writes_and_reads_see_each_other(port):
    times = [f"2024-01-02T00:00:{i:02d}" for i in range(30)]
    what = b"".join(
        request(
            "POST",
            "/push",
            {
                "push_source_name": "pushed",
                "df": {"k": [777], "event_timestamp": [at], "number": [i], "text": [""]},
            },
        )
        + request("GET", f"{LEAN}/flipped?k=777")
        for i, at in enumerate(times)
    )
    with RawConnection(port) as connection:
        connection.send(what)
        for i in range(len(times)):
            assert connection.reply().status == 200
            assert connection.reply().json()["columns"][0] == [i]


def test_a_bad_request_among_good_ones(port):
    good = request("POST", FEAST, QUESTION)
    with RawConnection(port) as connection:
        connection.send(good + request("POST", FEAST, b"{") + good)
        assert [connection.reply().status for _ in range(3)] == [200, 422, 200]


def test_a_client_that_says_no_more_is_answered(port):
    with RawConnection(port) as connection:
        reply = connection.send(request("POST", FEAST, QUESTION)).half_close().reply()
        assert reply.status == 200
        assert connection.is_at_end()


def test_a_client_that_says_no_more_midway_is_let_go(port):
    whole = request("POST", FEAST, QUESTION)
    for n in (1, 20, len(whole) - 30, len(whole) - 1):
        with RawConnection(port) as connection:
            connection.send(whole[:n]).half_close()
            check_gone(connection, 400, 408)


def test_clients_that_go_away_leave_nothing_behind(running, port):
    before = running.look()
    whole = request("POST", FEAST, QUESTION)
    push = request("POST", "/push", {"push_source_name": "nothing", "df": {"k": [1]}})
    for i in range(300):
        connection = RawConnection(port)
        connection.send((whole, whole[:-1], push, whole * 20)[i % 4]).reset()
    wait_until(lambda: running.look().n_handles <= before.n_handles, "handles of who went away")


def test_a_client_that_does_not_read(running, port):
    ask_all = request(
        "POST", FEAST, {**QUESTION, "entities": {"k": list(range(5000))}, "features": ["v0:text"]}
    )
    before = running.look()
    with RawConnection(port) as connection:
        connection.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            connection.send(ask_all * 2000)
        assert running.look().anonymous_kb < before.anonymous_kb + 16_384
    wait_until(lambda: running.look().n_handles <= before.n_handles, "its handle")


# ---- damage at random


def damaged(rng: random.Random, whole: bytes) -> bytes:
    """A request with some bytes changed, lost, doubled or put elsewhere."""
    what = bytearray(whole)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(what))
        end = min(len(what), at + rng.choice([1, 1, 2, 8, 60]))
        part = bytes(what[at:end])
        way = rng.randrange(5)
        if way == 0:
            what[at:end] = bytes(rng.choice(b'\0\t\r\n :,{}[]"\\%;aZ019\x7f\xff') for _ in part)
        elif way == 1:
            del what[at:end]
        elif way == 2:
            what[at:at] = part * rng.choice([1, 2, 40])
        elif way == 3:
            what[at:at] = rng.choice([b"\r\n", b"\r\n\r\n", b"1e999", b"\\u0000", b"%00", b"-"])
        else:
            del what[at:end]
            to = rng.randrange(len(what) + 1)
            what[to:to] = part
        if not what:
            return b"\r\n"
    return bytes(what)


def check_damage(port: int, n: int, seed: int) -> None:
    """Whatever the bytes are, what comes back is HTTP, and the server is ready for the next."""
    rng = random.Random(seed)
    push = {"push_source_name": "pushed", "df": {"k": [500], "number": [1], "text": ["x"]}}
    chunked = post(CHUNKED, body="2f\r\n" + json.dumps(QUESTION)[:47] + "\r\n0\r\n\r\n")
    lean = {"service": "everything", "entities": {"k": [1, 2]}, "with": ["statuses"]}
    wholes = [
        request("POST", FEAST, QUESTION, Authorization="Bearer x", Accept="*/*"),
        request("POST", LEAN, lean),
        request("GET", f"{LEAN}/everything?k=1&k=2&full_feature_names=true"),
        request("POST", "/push", push),
        request("POST", "/write-to-online-store", {"feature_view_name": "v0", "df": push["df"]}),
        chunked,
    ]
    for first in range(0, n, 100):
        sent = []
        for _ in range(100):
            what = damaged(rng, rng.choice(wholes)) + rng.choice([b"", rng.choice(wholes)])
            connection = RawConnection(port)
            with contextlib.suppress(OSError):
                connection.send(what).half_close()
            sent.append((connection, what))
        for connection, what in sent:
            with connection, contextlib.suppress(ClosedError, OSError):
                while True:
                    reply = connection.reply()
                    assert 200 <= reply.status < 600, f"seed {seed}, from {first} on: {what!r}"
                    assert b"Traceback" not in reply.body


def test_damage_at_random(running, port):
    check_damage(port, 1500, int(os.environ.get("TFN_SEED", "1")))


@pytest.mark.long
def test_much_damage_at_random(running, port):
    check_damage(port, 200_000, int(os.environ.get("TFN_SEED", "2")))


# ---- time, connections


@pytest.fixture(scope="module")
def strict(world):
    """A server with limits that a test can reach."""
    limits = {"request_seconds": 1, "idle_seconds": 1, "max_connections": 40, "max_body": 4096}
    options = [word for name, value in limits.items() for word in ("--limit", f"{name}={value}")]
    with ServerProcess(world, *options) as server:
        yield server


def test_a_slow_header(strict):
    with Bystander(strict.port), RawConnection(strict.port) as connection:
        header = request("GET", "/health", None, X_Long="x" * 900)
        assert not connection.send_slowly(header, 1, 0.05, most_s=20)
        check_gone(connection, 408)


def test_a_slow_body(strict):
    with Bystander(strict.port), RawConnection(strict.port) as connection:
        body = request("POST", FEAST, b" " * 1000)
        connection.send(body[:-1000])
        assert not connection.send_slowly(body[-1000:], 1, 0.05, most_s=20)
        reply = connection.reply()
        check_refusal(reply, 408)
        assert "request_seconds" in reply.sentence()
        assert connection.is_at_end()


def test_a_slow_body_in_chunks(strict):
    with Bystander(strict.port), RawConnection(strict.port) as connection:
        connection.send(post(CHUNKED))
        assert not connection.send_slowly(b"1\r\n \r\n" * 200, 6, 0.05, most_s=20)
        check_gone(connection, 408)


def test_many_slow_clients_at_once(strict):
    with Bystander(strict.port):
        slow = [RawConnection(strict.port) for _ in range(30)]
        begin = time.monotonic()
        for connection in slow:
            connection.send(post("Content-Length: 100"))
        for connection in slow:
            check_gone(connection, 408)
            connection.close()
        assert time.monotonic() - begin < 20


def test_a_silent_connection(strict):
    with Bystander(strict.port), RawConnection(strict.port) as connection:
        assert connection.is_at_end()


def test_a_silent_connection_after_a_request(strict):
    with Bystander(strict.port), RawConnection(strict.port) as connection:
        assert connection.ask("GET", "/health").status == 200
        assert connection.is_at_end()


def test_more_connections_than_allowed(strict):
    with Bystander(strict.port):
        taken: list[RawConnection] = []
        refused = 0
        for _ in range(80):
            connection = RawConnection(strict.port)
            try:
                reply = connection.ask("GET", "/health")
            except (ClosedError, OSError):
                refused += 1
                connection.close()
                continue
            if reply.status == 200:
                taken.append(connection)
                continue
            check_refusal(reply, 503)
            assert "max_connections" in reply.sentence() and "40" in reply.sentence()
            refused += 1
            connection.close()
        assert len(taken) <= 40
        assert refused >= 40
        for connection in taken:
            connection.close()

        def is_open() -> bool:
            try:
                return ask(strict.port, "GET", "/health").status == 200
            except (ClosedError, OSError):
                return False

        wait_until(is_open, "a place for a new connection")


def test_a_flood_of_connections(running, port):
    """As many as the limit allows, opened at once, and each with a request."""

    def one(i: int) -> int:
        return ask(port, "POST", FEAST, QUESTION).status

    before = running.look()
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        assert set(pool.map(one, range(2000))) == {200}
    wait_until(lambda: running.look().n_handles <= before.n_handles, "handles of the flood")


def test_a_body_beyond_its_limit(strict):
    with Bystander(strict.port):
        reply = ask(strict.port, "POST", FEAST, b" " * 5000)
        check_refusal(reply, 413)
        for word in ("max_body", "4"):
            assert word in reply.sentence()


# ---- keys


def tiffin(repo: Path, *words: str) -> str:
    command = [sys.executable, "-m", "tiffin.cli.main", "--chdir", str(repo), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def new_key(repo: Path, name: str, *words: str) -> str:
    [key] = re.findall(r"tfk_[\w-]+", tiffin(repo, "keys", "create", name, *words))
    return str(key)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A server with keys; and one key of each kind."""
    folder = tmp_path_factory.mktemp("guarded")
    make_world(folder)
    keys = {
        "read": new_key(folder, "reader", "--scope", "read"),
        "write": new_key(folder, "writer", "--scope", "write"),
        "admin": new_key(folder, "chief", "--scope", "admin"),
        "slow": new_key(folder, "slow", "--scope", "read", "--rate", "5"),
    }
    with ServerProcess(folder, "--access-log", "-") as server:
        yield server, keys
        said = server.said()
        for key in keys.values():
            assert key.split("_", 2)[2] not in said, "a secret was logged"


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_keys_that_are_none(guarded):
    server, keys = guarded
    good = keys["read"]
    other = good[:-1] + ("0" if good[-1] != "0" else "1")
    with Bystander(server.port, key=good):
        check_refusal(ask(server.port, "POST", FEAST, QUESTION), 401)
        for key in (
            "",
            "x",
            other,
            good + "0",
            good[:-1],
            good.upper(),
            "tfk__",
            "tfk_" + "a" * 8000,
            f"{good} {good}",
            "\xff\xfe",
        ):
            check_refusal(ask(server.port, "POST", FEAST, QUESTION, **bearer(key)), 401)
            check_refusal(ask(server.port, "POST", FEAST, QUESTION, X_Api_Key=key), 401)
        check_refusal(ask(server.port, "POST", FEAST, QUESTION, Authorization=f"Basic {good}"), 401)
        assert ask(server.port, "POST", FEAST, QUESTION, X_Api_Key=good).status == 200
        assert ask(server.port, "GET", "/health").status == 200


def test_a_refused_body_is_not_read_as_a_request(guarded):
    server, _ = guarded
    with RawConnection(server.port) as connection:
        connection.send(request("POST", FEAST, HEALTH.encode()))
        assert connection.reply().status == 401
        connection.half_close()
        assert connection.is_at_end()


def test_keys_for_something_else(guarded):
    server, keys = guarded
    push = {"push_source_name": "nothing", "df": {"k": [1]}}
    with Bystander(server.port, key=keys["read"]):
        check_refusal(ask(server.port, "POST", "/push", push, **bearer(keys["read"])), 403)
        check_refusal(ask(server.port, "POST", "/refresh", b"", **bearer(keys["write"])), 403)
        check_refusal(ask(server.port, "POST", FEAST, QUESTION, **bearer(keys["write"])), 403)
        check_refusal(ask(server.port, "POST", "/push", push, **bearer(keys["write"])), 422)
        assert ask(server.port, "POST", FEAST, QUESTION, **bearer(keys["admin"])).status == 200
        assert ask(server.port, "POST", "/refresh", b"", **bearer(keys["admin"])).status == 200


def test_a_key_that_asks_too_often(guarded):
    server, keys = guarded
    with Bystander(server.port, key=keys["read"]):
        replies = [
            ask(server.port, "POST", FEAST, QUESTION, **bearer(keys["slow"])) for _ in range(30)
        ]
        statuses = [reply.status for reply in replies]
        assert set(statuses) == {200, 429}
        assert 5 <= statuses.count(200) <= 20
        late = next(reply for reply in replies if reply.status == 429)
        check_refusal(late, 429)
        assert int(late.headers["retry-after"]) >= 1


def test_a_key_that_was_revoked(guarded):
    server, keys = guarded
    key = new_key(server.repo, "leaving", "--scope", "read")
    with Bystander(server.port, key=keys["read"]):

        def status() -> int:
            return ask(server.port, "POST", FEAST, QUESTION, **bearer(key)).status

        wait_until(lambda: status() == 200, "a new key is known", 10)
        tiffin(server.repo, "keys", "revoke", key.split("_")[1])
        wait_until(lambda: status() == 401, "a revoked key is refused", 10)


# ---- TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def secret(world, certificates):
    """A server with TLS, and who trusts it."""
    key, certificate = write_certificate(certificates, "good", -1, 2)
    options = ("--tls-key", str(key), "--tls-cert", str(certificate), "--limit", "idle_seconds=2")
    with ServerProcess(world, *options) as server:
        yield server, ssl.create_default_context(cafile=str(certificate))


def test_bytes_that_are_not_tls(secret):
    server, trusting = secret
    with Bystander(server.port, trusting):
        for what in (request("POST", FEAST, QUESTION), *NOT_HTTP.values()):
            with RawConnection(server.port) as connection:
                try:
                    connection.send(what).half_close()
                    connection.is_at_end()
                except ConnectionError:
                    pass


def test_a_handshake_that_stops_midway(secret):
    server, trusting = secret
    with Bystander(server.port, trusting):
        before = server.look()  # with the files that the first handshake opened
        silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(50)]
        for one in silent:
            one.sendall(NOT_HTTP["TLS"][:11])
        for one in silent:
            one.close()
    wait_until(lambda: server.look().n_handles <= before.n_handles, "handles of who went away")


def test_old_tls_is_refused(secret):
    server, trusting = secret
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname = False
    old.verify_mode = ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with Bystander(server.port, trusting), pytest.raises((ssl.SSLError, ConnectionError)):
        RawConnection(server.port, tls=old)


def test_pipelining_over_tls(secret):
    server, trusting = secret
    with RawConnection(server.port, tls=trusting) as connection:
        connection.send(request("POST", FEAST, QUESTION) * 100)
        assert {connection.reply().status for _ in range(100)} == {200}


def test_an_expired_certificate(world, certificates):
    key, certificate = write_certificate(certificates, "expired", -3, -1)
    trusting = ssl.create_default_context(cafile=str(certificate))
    careless = ssl.create_default_context()
    careless.check_hostname = False
    careless.verify_mode = ssl.CERT_NONE
    with ServerProcess(world, "--tls-key", str(key), "--tls-cert", str(certificate)) as server:
        with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
            RawConnection(server.port, tls=trusting)
        with RawConnection(server.port, tls=careless) as connection:
            assert connection.ask("POST", FEAST, QUESTION).status == 200
        with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
            RawConnection(server.port, tls=trusting)
