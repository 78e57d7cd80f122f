"""A yardstick: py-lmdb reads the rows of Tiffin's own environment, keys made beforehand.

Nothing is decoded in the timed calls. For the check, rows are decoded as docs/formats/online-row.md
says, which also tells that the page is true.
"""

import struct
from pathlib import Path
from typing import Any

from contender import FEATURES, Job, check_keys, check_values, main, result
from lookups import both

HEADER = 40
BITMAP = 2  # bytes, for ten features
SLOTS = struct.Struct("<5q5f")


def open_rows(folder: Path) -> tuple[Any, Any, int]:
    """Return the environment, its database of rows, and the live generation of its one view."""
    import lmdb  # type: ignore[import-not-found,unused-ignore]

    env = lmdb.open(str(folder), readonly=True, max_dbs=8, readahead=False)
    rows, views = env.open_db(b"rows", create=False), env.open_db(b"views", create=False)
    with env.begin(db=views) as txn:
        value = txn.get(b"bench\0stats")
    return env, rows, struct.unpack_from("<I", value)[0]


def encode(generation: int, key: int) -> bytes:
    """docs/formats/online-store.md: generation, type tag, the integer with its sign flipped."""
    return struct.pack(">IBQ", generation, 3, key + (1 << 63))


def decode(row: bytes | None) -> list[Any]:
    if row is None:
        return [None] * len(FEATURES)
    present = int.from_bytes(row[HEADER : HEADER + BITMAP], "little")
    values = SLOTS.unpack_from(row, HEADER + BITMAP)
    return [v if present >> i & 1 else None for i, v in enumerate(values)]


def measure(job: Job) -> dict[str, Any]:
    env, rows, generation = open_rows(Path(job.others["Tiffin"]) / "data" / "online")
    encoded = [encode(generation, key) for key in range(job.sizes["n_keys"] + 2)]

    def get(keys: list[int]) -> list[Any]:
        with env.begin(db=rows, buffers=True) as txn:
            return [txn.get(encoded[key]) for key in keys]

    figures = both(job, get)
    keys = check_keys(job)
    with env.begin(db=rows) as txn:
        columns = zip(*(decode(txn.get(encoded[key])) for key in keys), strict=True)
        values = {"user_id": keys, **dict(zip(FEATURES, map(list, columns), strict=True))}
    return result(figures, check_values(values))


if __name__ == "__main__":
    main(measure)
