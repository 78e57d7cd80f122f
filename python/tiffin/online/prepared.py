"""``PreparedLookup``: a request for online features, resolved once."""

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from tiffin.online.response import OnlineResponse
from tiffin.store.times import to_age_us, to_us

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tiffin._native import Answer, Lookup
    from tiffin.compute.lookup import ComputedAnswer, ComputedLookup
    from tiffin.store.config import RepoConfig

    EntityRows = Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Any]]

_MOST_QUICK_READS = 1_000  # rows of the store: one for each entity row and view


class PreparedLookup:
    """A request whose names, types, order and join keys are resolved (`FeatureStore.prepare`).

    May be shared between threads, and used after a fork. It holds its store open. An apply, by this
    process or another, is picked up by itself: features, types and ttl are those of the newest
    definitions. Only join keys never change under a caller: when an apply changes those of the
    request, `get` raises a `ConflictError` that says so.
    """

    __slots__ = ("_config", "_lookup", "_respond")

    def __init__(
        self,
        lookup: "Lookup | ComputedLookup",
        respond: "Callable[[Answer | ComputedAnswer], OnlineResponse]",
        config: "RepoConfig",
    ) -> None:
        self._lookup = lookup
        self._respond = respond
        self._config = config

    @property
    def join_keys(self) -> tuple[str, ...]:
        """Columns that every entity row must have, beside the request data of on-demand views."""
        return self._lookup.key_names

    @property
    def names(self) -> tuple[str, ...]:
        """Columns of the answer by the newest definitions: join keys, then features in order."""
        return self._lookup.names

    def get(
        self, entity_rows: "EntityRows", *, at: Any = None, max_age: Any = None
    ) -> OnlineResponse:
        """Return the newest values of some entities.

        Parameters
        ----------
        entity_rows, at, max_age
            As `FeatureStore.get_online_features`.

        Returns
        -------
        OnlineResponse

        Raises
        ------
        InvalidError
            A join key that is missing or of another type; a `max_age` that is not positive.
        ConflictError
            A newer apply changed the join keys; prepare again.
        NotFoundError
            A newer apply took away what was asked for.
        """
        at_us = None if at is None else to_us(at, "at")
        max_age_us = None if max_age is None else to_age_us(max_age, "max_age")
        return self._respond(self._lookup.run(entity_rows, at_us, max_age_us))

    async def get_async(
        self, entity_rows: "EntityRows", *, at: Any = None, max_age: Any = None
    ) -> OnlineResponse:
        """`get` for asyncio; `FeatureStore.get_online_features_async` tells what runs where."""
        if is_quick(self._lookup, entity_rows, self._config):
            return self.get(entity_rows, at=at, max_age=max_age)
        return await asyncio.to_thread(self.get, entity_rows, at=at, max_age=max_age)

    def __repr__(self) -> str:
        return f"<PreparedLookup: {', '.join(self.names)}>"


def is_quick(
    lookup: "Lookup | ComputedLookup", entity_rows: "EntityRows", config: "RepoConfig"
) -> bool:
    """Whether a run takes microseconds and waits for nobody: few rows of LMDB, nothing computed."""
    if config.online_store is None or config.online_store["type"] != "lmdb" or lookup.computes:
        return False
    try:
        if isinstance(entity_rows, Mapping):
            n_rows = len(next(iter(entity_rows.values()), ()))
        else:
            n_rows = len(entity_rows)
    except TypeError:  # no rows at all: the sentence comes from who reads them
        return True
    return n_rows * cast("Lookup", lookup).n_views <= _MOST_QUICK_READS
