"""What ``systemctl`` does to the units of examples/production, for a test.

usage: fake_systemctl.py UNITS RUN VERB NAME

VERB: start, stop, reload, status. UNITS: a folder of unit files. RUN: a folder for what runs:
NAME.pid, NAME.exit (its exit code), NAME.log. Commands are those of the unit files, taken apart
as systemd does it: by words and quotes, no shell.
"""

import configparser
import fnmatch
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

START_S = 30


class Unit:
    """A unit file and its instance, as ``name@instance``."""

    def __init__(self, units: Path, run: Path, name: str) -> None:
        self.name = name.removesuffix(".service")
        stem, _, self.instance = self.name.partition("@")
        file = units / (f"{stem}@.service" if self.instance else f"{stem}.service")
        parser = configparser.RawConfigParser(strict=True, delimiters=("=",))
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read_string(file.read_text())
        self.service = parser["Service"]
        self.run = run

    def file(self, ending: str) -> Path:
        return self.run / f"{self.name}.{ending}"

    def command(self, key: str, pid: str = "") -> list[str]:
        line = self.service[key].replace("%%", "\0").replace("%i", self.instance)
        return [word.replace("$MAINPID", pid).replace("\0", "%") for word in shlex.split(line)]

    def pid(self) -> str:
        return self.file("pid").read_text().strip()

    def is_running(self) -> bool:
        return self.file("pid").exists() and not self.file("exit").exists()

    def start(self) -> int:
        for ending in ("pid", "exit", "notify"):
            self.file(ending).unlink(missing_ok=True)
        folder = self.service["RuntimeDirectory"].replace("%i", self.instance)
        (self.run / folder).mkdir(mode=0o750, exist_ok=True)
        # A shell stays beside the server, to learn how it ends.
        keeper = '"$@" & echo $! >"$0.new"; mv "$0.new" "$0.pid"; wait $!; echo $? >"$0.exit"'
        words = ["sh", "-c", keeper, str(self.run / self.name), *self.command("ExecStart")]
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
            self.file("log").open("wb") as log,
        ):
            manager.bind(str(self.file("notify")))
            environment = os.environ | {"NOTIFY_SOCKET": str(self.file("notify"))}
            files = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            subprocess.Popen(words, **files, env=environment, start_new_session=True)  # type: ignore[call-overload]
            if self.becomes_ready(manager):
                return 0
        print(self.file("log").read_text(), file=sys.stderr)
        return 1

    def becomes_ready(self, manager: socket.socket) -> bool:
        """As Type=notify has it: started is what says so."""
        manager.settimeout(0.1)
        end = time.monotonic() + START_S
        while time.monotonic() < end and not self.file("exit").exists():
            try:
                if b"READY=1" in manager.recv(4096).splitlines():
                    return True
            except TimeoutError:
                pass
        return False

    def wait_for(self, ending: str, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self.file(ending).exists() or not self.file(ending).read_text():
            if time.monotonic() > end:
                raise SystemExit(f"{self.name}: no {ending} within {seconds} s")
            time.sleep(0.01)

    def stop(self) -> int:
        if not self.is_running():
            return 0
        os.kill(int(self.pid()), signal.SIGTERM)
        self.wait_for("exit", float(self.service["TimeoutStopSec"]))
        return int(self.file("exit").read_text())

    def reload(self) -> int:
        return subprocess.run(self.command("ExecReload", self.pid()), check=False).returncode

    def status(self) -> int:
        print(f"{self.name}: {'active (running)' if self.is_running() else 'inactive (dead)'}")
        return 0 if self.is_running() else 3


def main() -> int:
    units, run = (Path(argument) for argument in sys.argv[1:3])
    verb, pattern = sys.argv[3:]
    names = [pattern]
    if "*" in pattern:
        known = [path.stem for path in run.glob("*.pid")]
        names = [
            n for n in known if fnmatch.fnmatch(n, pattern) and Unit(units, run, n).is_running()
        ]
    verbs = {"start": Unit.start, "stop": Unit.stop, "reload": Unit.reload, "status": Unit.status}
    return max((verbs[verb](Unit(units, run, name)) for name in names), default=0)


if __name__ == "__main__":
    sys.exit(main())
