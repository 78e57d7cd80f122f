"""A disk that fails when it is told to (tests/fault/shim/disk_shim.c), seen from Python."""

import ctypes
import os
import subprocess
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "fault" / "shim" / "disk_shim.c"
WHOLE_LIFE = 2**31 - 1  # that many calls fail: all, from the first on
KILLED = -1  # for an errno: half is written, and the process is killed


def compile_shim(folder: Path) -> Path:
    library = folder / "disk_shim.so"
    flags = ["-std=c11", "-D_DEFAULT_SOURCE", "-O1", "-fPIC", "-shared", "-fvisibility=hidden"]
    done = subprocess.run(["cc", *flags, SOURCE, "-o", library], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return library


def environment_with(library: Path | None) -> dict[str, str]:
    """Return what a child of a test needs in its environment, with the library or without."""
    own = {"PYTHONPATH": str(Path(__file__).parent), "PYTHONWARNINGS": "ignore"}
    return os.environ | own | ({"LD_PRELOAD": str(library)} if library is not None else {})


class FailingDisk:
    """The preloaded library of this process."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(os.environ["LD_PRELOAD"])

    def arm(self, below: Path, at: int, n: int, error: int) -> None:
        code = self._library.disk_shim_arm(os.fsencode(below), at, n, error)
        assert code == 0, below

    def disarm(self) -> int:
        """Let all calls pass again; return how many there were."""
        return self._library.disk_shim_disarm()
