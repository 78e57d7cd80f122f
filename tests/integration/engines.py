"""The DuckDBs that the tests read with: the installed one, and the oldest one supported."""

import json
import sys
from pathlib import Path

import pytest

from tiffin import _native
from tiffin.store.engine import find_duckdb


def find_older_duckdb() -> str | None:
    """Find the file that tools/setup.sh put beside the installed packages."""
    folder = Path(sys.prefix) / "share" / "duckdb-older"
    return next((str(path) for path in sorted(folder.glob("_duckdb*.so"))), None)


def find_library(which: str) -> str:
    """Return the path of the "installed" or the "older" DuckDB; skip the test without it."""
    if which == "installed":
        library = find_duckdb()
        assert library is not None
        return library
    library = find_older_duckdb()
    if library is None:
        pytest.skip("the older DuckDB is not there: tools/setup.sh test installs it")
    return library


def open_store(folder: Path, library: str, name: str = "store") -> _native.Store:
    """Open a store whose files are <folder>/<name>* and whose sources start at `folder`."""
    return _native.Store(
        project="tests",
        registry_path=str(folder / f"{name}.db"),
        online_path=str(folder / f"{name}.online"),
        base_path=str(folder),
        duckdb_library=library,
    )


def features_of(*names: str) -> str:
    """Return the request for features "view:feature"."""
    return json.dumps({"features": names})
