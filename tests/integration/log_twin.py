"""Segments of feature logs, written by the book: docs/formats/feature-log.md."""

import datetime as dt
import json
import struct
from pathlib import Path
from typing import Any

from tiffin._native import checksum

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
INT64, FLOAT32, STRING, LIST = 3, 4, 6, 64
PRESENT, NULL_VALUE, NOT_FOUND = 1, 2, 3
SEGMENT_ID = 0xABCDEF


def to_us(time: dt.datetime | None) -> int:
    return -(2**63) if time is None else (time - EPOCH) // dt.timedelta(microseconds=1)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)


def piece(data: bytes) -> bytes:
    return struct.pack("<Q", len(data)) + padded(data)


def numbers(code: str, values: list[Any]) -> bytes:
    return piece(struct.pack(f"<{len(values)}{code}", *values))


def node(kind: int, values: list[Any]) -> bytes:
    is_all_null = all(v is None for v in values)
    data = struct.pack("<IIQ", 0 if is_all_null else kind, 0, len(values))
    data += piece(bytes(v is not None for v in values))
    if is_all_null:
        return data
    if kind == STRING:
        texts = [(v or "").encode() for v in values]
        offsets = [sum(map(len, texts[:i])) for i in range(len(texts) + 1)]
        return data + numbers("I", offsets) + piece(b"".join(texts))
    if kind == FLOAT32:
        return data + numbers("d", [0 if v is None else v for v in values])
    return data + numbers("q", [0 if v is None else v for v in values])


def head() -> bytes:
    data = struct.pack("<8sIIqQQ16x", b"TFNFLOG1", 1, 64, 0, SEGMENT_ID, 1)
    return data + struct.pack("<Q", checksum(data))


def frame(kind: int, i_schema: int, payload: bytes) -> bytes:
    payload = padded(payload) if kind == 2 else payload + b" " * (-len(payload) % 8)
    data = struct.pack("<IIQ", kind, i_schema, len(payload)) + payload
    return struct.pack("<Q", checksum(data)) + data


def definition(
    service: str, hash_: str, commit: int, keys: list[str], features: list[str]
) -> bytes:
    content = {"service": service, "hash": hash_, "commit": commit}
    return json.dumps({**content, "keys": keys, "features": features}).encode()


def block(answers: list[tuple[dt.datetime, int]], columns: list[bytes], first: int = 0) -> bytes:
    """`answers`: when, and how many rows."""
    data = struct.pack("<II", len(answers), sum(n for _, n in answers))
    data += numbers("q", [to_us(time) for time, _ in answers])
    data += numbers("Q", list(range(first, first + len(answers))))
    data += numbers("I", [n for _, n in answers])
    return data + b"".join(columns)


def column(kind: int, values: list[Any], statuses: list[int], times: list[Any] | None) -> bytes:
    """`times`: of a feature; None: those of the column before, or a key."""
    data = piece(bytes(statuses))
    data += numbers("q", [to_us(t) for t in times]) if times is not None else piece(b"")
    return data + node(kind, values)


def write_segment(folder: Path, name: str, frames: list[bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(head() + b"".join(frames))
    return path
