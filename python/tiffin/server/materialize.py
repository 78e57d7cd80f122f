"""A materialization beside the server: ``python -m tiffin.server.materialize``.

The Python form of ``tiffin-server --materialize REQUEST`` (src/server/child.h), for servers that
have an interpreter: the DuckDB of a Python package loads in Python only.
"""

import json
import os
import stat
import sys
import threading
from collections.abc import Sequence
from typing import Any

from tiffin.errors import TiffinError
from tiffin.server.host import ignore_signals, read_arguments


def _leave_with_input() -> None:
    """End this process when its standard input closes: the server is gone, or wants it."""
    while os.read(0, 1):
        pass
    os._exit(1)


def materialize(store: Any, request: dict[str, Any]) -> str:
    """Return the report of what a request asks for."""
    report: str = store._engine.materialize(
        start_us=request.get("start_us"),
        end_us=request["end_us"],
        views=request.get("views"),
        known_at_us=None,
        incremental=bool(request.get("incremental")),
        progress=None,
    )
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    """Do it, and tell in lines on standard output."""
    options = read_arguments(arguments, "tiffin.server.materialize")
    ignore_signals()
    with os.fdopen(os.dup(1), "w") as out:
        os.dup2(2, 1)  # what libraries print is no report
        if stat.S_ISSOCK(os.fstat(0).st_mode):
            threading.Thread(target=_leave_with_input, daemon=True).start()
        try:
            from tiffin import FeatureStore

            store = FeatureStore(options.repo, fs_yaml_file=options.feature_store_yaml)
            store.duckdb_version()
            print('{"started":true}', file=out, flush=True)
            report = materialize(store, json.loads(options.materialize))
            print(f'{{"report":{report}}}', file=out, flush=True)
        except TiffinError as error:
            told = {"error": {"code": error.code, "message": str(error)}}
            print(f"tiffin: materializing: {error}", file=sys.stderr)
            print(json.dumps(told), file=out, flush=True)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
