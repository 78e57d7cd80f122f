"""``kill -9`` of the server under a load of pushes: nothing that it answered for is lost.

Every pusher owns some drivers and gives them rising versions; the answer to a version is an
acknowledgement. After each kill the SDK reads every driver: its version is the last acknowledged or
the one that was under way, and all columns of it are of one push.
"""

import http.client
import json
import random
import threading
from typing import Any

import pytest
from server_process import ServerProcess
from server_repo import make_repo

N_PUSHERS = 4
N_DRIVERS = 5  # of each pusher
N_KILLS = 6
T0_S = 1_706_745_600


class Pusher:
    """Pushes versions of its drivers until the server is gone; knows what was acknowledged."""

    def __init__(self, number: int) -> None:
        self.drivers = [number * N_DRIVERS + i for i in range(N_DRIVERS)]
        self.acknowledged = 0
        self.sent = 0
        self.problem = ""

    def frame(self, version: int) -> dict[str, list[Any]]:
        n = len(self.drivers)
        seconds = T0_S + version
        minute, second = divmod(seconds - T0_S, 60)
        hour, minute = divmod(minute, 60)
        at = f"2024-02-01T{hour:02}:{minute:02}:{second:02}Z"
        return {
            "driver_id": self.drivers,
            "event_timestamp": [at] * n,
            "created": [at] * n,
            "trips": [version] * n,
            "grade": [version] * n,
            "city": [str(version)] * n,
        }

    def run(self, port: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            while self.sent < 3000:  # an hour of versions; the kill comes long before
                self.sent += 1
                body = {"push_source_name": "rides_push", "df": self.frame(self.sent)}
                connection.request("POST", "/push", json.dumps(body))
                answer = connection.getresponse()
                text = answer.read()
                if answer.status != 200:
                    self.problem = f"{answer.status} {text!r}"
                    return
                self.acknowledged = self.sent
        except (OSError, http.client.HTTPException):
            return  # killed: the last one sent may be there or not
        finally:
            connection.close()


def check(store: Any, pusher: Pusher) -> None:
    """What is online is the last acknowledged version, or the one after it, whole."""
    answer = store.get_online_features(
        ["stats:trips", "stats:grade", "places:city"], {"driver_id": pusher.drivers}
    ).to_dict()
    [version] = set(answer["trips"])
    assert set(answer["grade"]) == {version}
    assert set(answer["city"]) == {None if version is None else str(version)}
    assert pusher.acknowledged <= (version or 0) <= pusher.sent
    pusher.sent = max(pusher.sent, version or 0)


@pytest.mark.filterwarnings("ignore::tiffin.errors.TiffinWarning")
def test_what_was_acknowledged_is_there_after_a_kill(tmp_path):
    store = make_repo(tmp_path)
    pushers = [Pusher(i) for i in range(N_PUSHERS)]
    moments = random.Random(6)
    n_acknowledged = 0
    for _ in range(N_KILLS):
        server = ServerProcess(tmp_path)
        before = sum(pusher.acknowledged for pusher in pushers)
        threads = [
            threading.Thread(target=pusher.run, args=(server.port,), daemon=True)
            for pusher in pushers
        ]
        for thread in threads:
            thread.start()
        threads[0].join(moments.uniform(0.2, 1.0))
        server.kill()
        for thread in threads:
            thread.join(30)
        assert [pusher.problem for pusher in pushers] == [""] * N_PUSHERS
        for pusher in pushers:
            check(store, pusher)
        n_acknowledged += sum(pusher.acknowledged for pusher in pushers) - before
    assert n_acknowledged > N_KILLS * N_PUSHERS, "hardly anything was pushed"
