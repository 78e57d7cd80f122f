"""Tiffin's engine under a real Feast: stores that `feature_store.yaml` names by their class.

    offline_store: {type: tiffin.feast_plugin.TiffinOfflineStore}
    online_store: {type: tiffin.feast_plugin.TiffinOnlineStore, path: data/tiffin}
    batch_engine: {type: tiffin.feast_plugin.TiffinComputeEngine}

Each may be used without the others; see docs/from-feast.md.
"""

from importlib.machinery import PathFinder


def _check_feast() -> None:
    import feast

    if getattr(feast.__spec__, "origin", "") == "tiffin.feast":
        raise ImportError(
            "tiffin.feast_plugin belongs into a real Feast, and `feast` is Tiffin's shim in this "
            "process; run it without `python -m tiffin.feast` and tiffin.feast.install()"
        )


if PathFinder.find_spec("feast") is None:
    raise ImportError(
        "tiffin.feast_plugin needs Feast; install it with `pip install tiffin[feast]`"
    )
_check_feast()

from tiffin.feast_plugin.compute_engine import (  # noqa: E402
    TiffinComputeEngine,
    TiffinComputeEngineConfig,
)
from tiffin.feast_plugin.offline_store import (  # noqa: E402
    TiffinOfflineStore,
    TiffinOfflineStoreConfig,
)
from tiffin.feast_plugin.online_store import (  # noqa: E402
    TiffinOnlineStore,
    TiffinOnlineStoreConfig,
)

__all__ = [
    "TiffinComputeEngine",
    "TiffinComputeEngineConfig",
    "TiffinOfflineStore",
    "TiffinOfflineStoreConfig",
    "TiffinOnlineStore",
    "TiffinOnlineStoreConfig",
]
