"""The tests of frames once more, with the pandas before 3, in a process of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(sys.prefix) / "share" / "pandas-older"
HERE = Path(__file__).parent


@pytest.mark.parametrize(
    "arguments",
    [
        ["test_frames.py"],
        ["test_historical.py"],
        ["test_forms.py", "-k", "pandas and (all_views or service or dicts) or read_by_all"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_frames_of_the_pandas_before_3(arguments: list[str]) -> None:
    if not FOLDER.is_dir():
        pytest.skip("the older pandas is not there: tools/setup.sh test installs it")
    program = "import sys, pandas, pytest; assert pandas.__version__ < '3'; sys.exit(pytest.main())"
    result = subprocess.run(
        [sys.executable, "-c", program, "-q", "-p", "no:cacheprovider", *arguments],
        cwd=HERE,
        env={**os.environ, "PYTHONPATH": str(FOLDER)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert " passed" in result.stdout
