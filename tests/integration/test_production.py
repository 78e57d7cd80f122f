"""docs/production.md and examples/production: the commands run, the files fit the program."""

import http.client
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import rides
from free_port import free_port

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "production.md"
FILES = ROOT / "examples" / "production"
HERE = Path(__file__).parent
BIN = Path(sys.executable).parent


def blocks() -> list[str]:
    """The page's blocks marked `sh`, in order."""
    found = re.findall(r"^( *)```sh\n(.*?)^\1```", PAGE.read_text("utf-8"), re.M | re.S)
    return [textwrap.dedent(code) for _, code in found]


class Machine:
    """The page's paths in a folder of the test's own, and a systemctl that reads the same units."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.environment = os.environ | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
        for name in ("srv/features/data", "etc", "log", "backups", "run", "bin", "units"):
            (folder / name).mkdir(parents=True)
        self.write_project()
        for unit in FILES.glob("*.service"):
            (folder / "units" / unit.name).write_text(self.moved(unit.read_text()))
        systemctl = folder / "bin" / "systemctl"
        words = [sys.executable, HERE / "fake_systemctl.py", folder / "units", folder / "run"]
        systemctl.write_text(f'#!/bin/sh\nexec {" ".join(map(str, words))} "$@"\n')
        systemctl.chmod(0o755)

    @property
    def repo(self) -> Path:
        return self.folder / "srv" / "features"

    def moved(self, text: str) -> str:
        """The text with the page's paths and port moved here."""
        moves = {
            "/opt/tiffin/blue/bin": BIN,
            "/opt/tiffin/green/bin": BIN,
            "/opt/tiffin/%i/bin": BIN,
            "/srv/features": self.repo,
            "/etc/tiffin": self.folder / "etc",
            "/var/log/tiffin": self.folder / "log",
            "/var/backups/tiffin": self.folder / "backups",
            "/run/tiffin-": f"{self.folder / 'run'}/tiffin-",
            "6566": self.port,
        }
        for place, there in moves.items():
            text = text.replace(place, str(there))
        return text

    def write_project(self) -> None:
        settings = self.moved((FILES / "feature_store.yaml").read_text())
        (self.repo / "feature_store.yaml").write_text(settings)
        rides.write_drivers(self.repo / "data" / "drivers.parquet")
        definitions = (HERE / "rides.py").read_text()
        (self.repo / "features.py").write_text(
            f"{definitions}\n\ndriver, source, view, service = definitions()\n"
        )

    def run(self, code: str) -> str:
        """Run a block of the page; return what it printed."""
        result = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", self.moved(code)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert result.returncode == 0, f"{code}\n{result.stdout}\n{result.stderr}"
        return result.stdout


@pytest.fixture
def machine() -> Iterator[Machine]:
    # A short path: sockets have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="tfn-") as folder:
        made = Machine(Path(folder))
        yield made
        for pid in (made.folder / "run").glob("*.pid"):
            subprocess.run(
                [made.folder / "bin" / "systemctl", "stop", pid.stem],
                capture_output=True,
                check=False,
            )


class Reader(threading.Thread):
    """Lookups over kept connections while something else goes on; notes what went wrong.

    A connection that turns out to be closed when the next request is sent is opened anew, as
    every client of HTTP/1.1 must; a request that was begun on a new one must be answered.
    """

    def __init__(self, port: int, key: str, certificate: Path) -> None:
        super().__init__(daemon=True)
        self.port, self.key = port, key
        self.tls = ssl.create_default_context(cafile=certificate)
        self.is_over = threading.Event()
        self.n_answers, self.bad = 0, []  # type: tuple[int, list[str]]

    def connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("localhost", self.port, timeout=10, context=self.tls)

    def ask(self, connection: http.client.HTTPSConnection) -> tuple[int, bytes]:
        body = json.dumps({"features": ["stats:trips"], "entities": {"driver_id": [1]}})
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        connection.request("POST", "/get-online-features", body, headers)
        response = connection.getresponse()
        return response.status, response.read()

    def run(self) -> None:
        connection, is_new = self.connect(), True
        while not self.is_over.is_set():
            try:
                status, answer = self.ask(connection)
            except (OSError, http.client.HTTPException) as error:
                if is_new:
                    self.bad.append(repr(error))
                connection.close()
                connection, is_new = self.connect(), True
                continue
            is_new = connection.sock is None  # the answer closed it
            self.n_answers += 1
            if status != 200 or b"30" not in answer:
                self.bad.append(f"{status} {answer!r}")
        connection.close()

    def stop(self) -> None:
        self.is_over.set()
        self.join(20)


def keys_in(output: str) -> list[str]:
    return re.findall(r"\btfk_[\w-]+", output)


def test_the_page_runs_from_the_first_block_to_the_last(machine: Machine) -> None:
    page = blocks()
    assert len(page) >= 13
    outputs: list[str] = []
    reader: Reader | None = None
    for code in page:
        if reader is None and "start tiffin-server@green" in code:
            keys = [key for output in outputs for key in keys_in(output)]
            reader = Reader(machine.port, keys[0], machine.folder / "etc" / "server.crt")
            reader.start()
        if reader is not None and "stop tiffin-server@green" in code:
            reader.stop()
            assert reader.bad == []
            assert reader.n_answers > 10
        outputs.append(machine.run(code))
        if keys := keys_in(outputs[-1]):
            machine.environment["TIFFIN_ADMIN_KEY"] = keys[-1]
    check_outputs(machine, dict(zip(page, outputs, strict=True)))


def check_outputs(machine: Machine, outputs: dict[str, str]) -> None:
    """What the blocks should have brought about."""

    def of(words: str) -> str:
        return next(output for code, output in outputs.items() if words in code)

    assert len(keys_in(of("keys create"))) == 3
    assert {"ranking", "ingest", "operations"} <= set(of("keys list").split())
    assert "active (running)" in of("systemctl status")
    metrics = of("/metrics")
    for name in metric_names():
        assert re.search(rf"^{name}\b", metrics, re.M), f"{name} is not in /metrics"
    assert (machine.folder / "log" / "access.log").exists()
    assert (machine.folder / "log" / "access.log.1").exists()
    backups = [path.name for path in (machine.folder / "backups").iterdir()]
    assert len(backups) == 2 and any(name.endswith("-registry.db") for name in backups)


def metric_names() -> set[str]:
    """Names that the alerts ask for."""
    return set(re.findall(r"\btiffin_\w+", (FILES / "alerts.yml").read_text()))


def test_the_alerts_are_those_of_the_page() -> None:
    import yaml

    rules = yaml.safe_load((FILES / "alerts.yml").read_text())["groups"][0]["rules"]
    named = re.findall(r"^\| `(Tiffin\w+)` \|", PAGE.read_text("utf-8"), re.M)
    assert [rule["alert"] for rule in rules] == named


def test_log_rotation_does_what_the_page_does() -> None:
    text = (FILES / "logrotate.conf").read_text()
    assert "/var/log/tiffin/*.log" in text
    assert "systemctl reload 'tiffin-server@*'" in text


def verified_units(folder: Path) -> list[Path]:
    """The unit files with programs that exist here, as systemd-analyze wants them."""
    for unit in FILES.iterdir():
        if unit.suffix in (".service", ".timer"):
            text = re.sub(r"/opt/tiffin/[\w%]+/bin", str(BIN), unit.read_text())
            (folder / unit.name).write_text(text)
    return sorted(folder.iterdir())


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not here")
def test_systemd_finds_no_fault_with_the_units(tmp_path: Path) -> None:
    units = verified_units(tmp_path)
    assert len(units) == 3
    names = [str(u).replace("server@.", "server@blue.") for u in units]
    shutil.copy(tmp_path / "tiffin-server@.service", tmp_path / "tiffin-server@blue.service")
    result = subprocess.run(
        ["systemd-analyze", "verify", *names], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "tiffin" not in result.stderr, result.stderr


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not here")
def test_systemd_calls_the_server_well_confined(tmp_path: Path) -> None:
    verified_units(tmp_path)
    unit = str(tmp_path / "tiffin-server@.service")
    words = ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", unit]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


# ---- the container


def container_file() -> str:
    return (FILES / "Containerfile").read_text().replace("\\\n", " ")


def test_the_container_copies_what_is_there() -> None:
    assert "tools/setup.sh" in container_file() and (ROOT / "tools" / "setup.sh").exists()
    assert re.findall(r"^COPY (\S+) \S+$", container_file(), re.M) == ["."]


def test_the_container_installs_the_packages_that_the_build_needs() -> None:
    first, second = stages()
    always = re.findall(r"want '[^']*' (lib[\w-]+-dev|pkg-config)", set_up())
    assert set(always) <= set(first.split())
    assert not re.search(r"-dev\b|\bgcc\b", second)


def stages() -> tuple[str, str]:
    _, first, second = re.split(r"^FROM ", container_file(), flags=re.M)
    return first, second


def set_up() -> str:
    """The part of tools/setup.sh that every verb needs."""
    text = (ROOT / "tools" / "setup.sh").read_text()
    return text[text.index("look_for_missing() {") : text.index("for word in", 3000)]


def test_the_containers_command_is_one_that_the_server_takes(repo: Path, store) -> None:
    words = json.loads(re.findall(r"^CMD (\[.*\])$", container_file(), re.M)[0])
    moves = {"/srv/features": str(repo), "/opt/tiffin/bin/python": sys.executable}
    command = [BIN / "tiffin-server", *(moves.get(word, word) for word in words), "--check"]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode != 0 and "keys" in refused.stderr  # no key was made yet
    tiffin = [BIN / "tiffin", "--chdir", repo, "keys", "create", "first", "--scope", "read"]
    subprocess.run(tiffin, check=True, capture_output=True)
    taken = subprocess.run(command, capture_output=True, text=True, check=False)
    assert taken.returncode == 0, taken.stderr
