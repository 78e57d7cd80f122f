"""Segments of feature logs as Arrow columns: the one reader of docs/formats/feature-log.md.

Every length is checked before it is believed. A frame that is cut short or fails its checksum ends
the segment: it was being written when its process died, and what came before it is whole.
"""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tiffin.errors import CorruptError

MAGIC = b"TFNFLOG1"
_VERSION = 1
_HEAD_BYTES = 64
_FRAME_HEAD_BYTES = 24
_SCHEMA, _BLOCK = 1, 2
_NO_TIME = -(2**63)
# Numbers of tiffin/store.h, enum tfn_value_kind.
_NULL, _BOOL, _INT32, _INT64, _FLOAT32, _FLOAT64 = range(6)
_STRING, _BYTES, _DATE, _TIMESTAMP, _LIST = 6, 7, 8, 9, 64
_UNITS = ("s", "ms", "us", "ns")
_MAX_DEPTH = 4  # lists of lists do not exist; a little room costs nothing


class LogSchema(NamedTuple):
    """A definition of which a segment has answers."""

    service: str
    hash: str
    commit: int
    keys: tuple[str, ...]
    features: tuple[str, ...]


class LogColumn(NamedTuple):
    """A key (without event times) or a feature of a block."""

    values: Any  # pyarrow.Array, null where there is no value
    statuses: Any  # pyarrow.Array of int32
    event_times: Any  # pyarrow.Array of timestamp[us, UTC], or None


class LogBlock(NamedTuple):
    """Answers of one definition, row by row."""

    schema: LogSchema
    times: Any  # pyarrow.Array of timestamp[us, UTC]: when the answer was given
    request_ids: Any  # pyarrow.Array of string
    columns: list[LogColumn]


class SegmentReader:
    """A segment's blocks.

    Parameters
    ----------
    path : pathlib.Path

    Attributes
    ----------
    n_bytes_left_out : int
        Bytes of a torn end; known when all blocks were read.

    Raises
    ------
    CorruptError
        It is no segment, or a frame whose checksum is right makes no sense.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.n_bytes_left_out = 0
        self._bytes = memoryview(path.read_bytes())
        self._schemas: dict[int, LogSchema] = {}
        self._id = self._read_head()

    def _fail(self, what: str) -> CorruptError:
        return CorruptError(
            f"the feature log's segment {self.path} {what}; move it away to go on without it"
        )

    def _read_head(self) -> int:
        from tiffin._native import checksum

        if len(self._bytes) < _HEAD_BYTES:
            return 0  # its process died before it had begun
        magic, version, n_head = struct.unpack_from("<8sII", self._bytes)
        if magic != MAGIC:
            raise self._fail("does not begin like one")
        if version != _VERSION or n_head != _HEAD_BYTES:
            raise self._fail(f"has version {version}, and this release reads version {_VERSION}")
        _, segment_id, _, expected = struct.unpack_from("<qQQ16xQ", self._bytes, 16)
        if checksum(self._bytes[:56]) != expected:
            raise self._fail("has a head that fails its checksum")
        return int(segment_id)

    def __iter__(self) -> Iterator[LogBlock]:
        from tiffin._native import checksum

        at = min(_HEAD_BYTES, len(self._bytes))
        while len(self._bytes) - at >= _FRAME_HEAD_BYTES:
            expected, kind, i_schema, n = struct.unpack_from("<QIIQ", self._bytes, at)
            end = at + _FRAME_HEAD_BYTES + n
            if end > len(self._bytes) or checksum(self._bytes[at + 8 : end]) != expected:
                break
            payload = self._bytes[at + _FRAME_HEAD_BYTES : end]
            if kind == _SCHEMA:
                self._schemas[i_schema] = self._read_schema(payload)
            elif kind == _BLOCK and i_schema in self._schemas:
                yield self._read_block(self._schemas[i_schema], payload)
            else:
                raise self._fail(f"has a frame of kind {kind} at byte {at} that makes no sense")
            at = end
        self.n_bytes_left_out = len(self._bytes) - at

    def _read_schema(self, payload: memoryview) -> LogSchema:
        try:
            found = json.loads(bytes(payload))
            return LogSchema(
                str(found["service"]),
                str(found["hash"]),
                int(found["commit"]),
                tuple(str(name) for name in found["keys"]),
                tuple(str(name) for name in found["features"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise self._fail(f"has a definition that cannot be read ({error!r})") from None

    def _read_block(self, schema: LogSchema, payload: memoryview) -> LogBlock:
        import pyarrow as pa

        pieces = _Pieces(payload)
        try:
            n_answers, n_rows = pieces.take("<II")
            times = pieces.array("q", n_answers)
            sequences = pieces.array("Q", n_answers)
            counts = pieces.array("I", n_answers)
            if sum(counts) != n_rows:
                raise ValueError(f"{n_rows} rows, and answers with {sum(counts)}")
            columns: list[LogColumn] = []
            for i in range(len(schema.keys) + len(schema.features)):
                before = columns[-1].event_times if i > len(schema.keys) else None
                columns.append(_read_column(pieces, n_rows, i >= len(schema.keys), before))
            pieces.end()
        except (ValueError, struct.error, pa.ArrowInvalid) as error:
            raise self._fail(f"has a block that cannot be read ({error})") from None
        rows = [i for i, count in enumerate(counts) for _ in range(count)]
        time = pa.array(times, pa.int64()).cast(pa.timestamp("us", "UTC"))
        ids = pa.array([f"{self._id:016x}{sequence:016x}" for sequence in sequences], pa.string())
        return LogBlock(schema, time.take(pa.array(rows)), ids.take(pa.array(rows)), columns)


class _Pieces:
    """Numbers and pieces of a payload, in order. Fails with ValueError or struct.error."""

    def __init__(self, payload: memoryview) -> None:
        self._payload = payload
        self._at = 0

    def take(self, form: str) -> tuple[int, ...]:
        found = struct.unpack_from(form, self._payload, self._at)
        self._at += struct.calcsize(form)
        return found

    def piece(self) -> memoryview:
        (n,) = self.take("<Q")
        begin = self._at
        if n > len(self._payload) - begin:
            raise ValueError(f"a piece of {n} bytes where {len(self._payload) - begin} are left")
        self._at = begin + n + -n % 8
        return self._payload[begin : begin + n]

    def array(self, code: str, n: int) -> list[int]:
        piece = self.piece()
        if len(piece) != n * struct.calcsize("<" + code):
            raise ValueError(f"{n} numbers in {len(piece)} bytes")
        return list(struct.unpack(f"<{n}{code}", piece))

    def buffer(self, n_bytes: int) -> Any:
        import pyarrow as pa

        piece = self.piece()
        if len(piece) != n_bytes:
            raise ValueError(f"a piece of {len(piece)} bytes instead of {n_bytes}")
        return pa.py_buffer(piece)

    def end(self) -> None:
        if self._at != len(self._payload):
            raise ValueError(f"{len(self._payload) - self._at} bytes more than expected")


def _bitmap(flags: Any, n: int) -> Any:
    """Return the validity that `n` bytes of 0 and 1 stand for, as a buffer of bits."""
    import pyarrow as pa

    values = pa.Array.from_buffers(pa.uint8(), n, [None, flags])
    return values.cast(pa.bool_()).buffers()[1]


def _read_column(pieces: _Pieces, n_rows: int, is_feature: bool, before: Any) -> LogColumn:
    import pyarrow as pa

    statuses = pa.Array.from_buffers(pa.uint8(), n_rows, [None, pieces.buffer(n_rows)])
    times = pieces.piece()
    event_times = before
    if len(times) > 0 or (is_feature and n_rows == 0):
        if len(times) != 8 * n_rows:
            raise ValueError(f"{n_rows} event times in {len(times)} bytes")
        event_times = _event_times(times, n_rows)
    if is_feature and event_times is None:
        raise ValueError("a feature without event times")
    values = _read_node(pieces, n_rows, 0)
    return LogColumn(values, statuses.cast(pa.int32()), event_times if is_feature else None)


def _event_times(times: memoryview, n_rows: int) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    plain = pa.Array.from_buffers(pa.int64(), n_rows, [None, pa.py_buffer(times)])
    is_none = pc.equal(plain, pa.scalar(_NO_TIME, pa.int64()))
    known = pc.if_else(is_none, pa.scalar(None, pa.int64()), plain)
    return known.cast(pa.timestamp("us", "UTC"))


def _read_node(pieces: _Pieces, n_expected: int | None, depth: int) -> Any:
    import pyarrow as pa

    kind, unit, n = pieces.take("<IIQ")
    if depth > _MAX_DEPTH or (n_expected is not None and n != n_expected):
        raise ValueError(f"{n} values where {n_expected} belong")
    validity = _bitmap(pieces.buffer(n), n)
    if kind == _NULL:
        return pa.nulls(n)
    if kind in (_STRING, _BYTES):
        offsets, data = pieces.buffer(4 * (n + 1)), pa.py_buffer(pieces.piece())
        text = pa.string() if kind == _STRING else pa.binary()
        found = pa.Array.from_buffers(text, n, [validity, offsets, data])
    elif kind == _LIST:
        offsets = pieces.buffer(4 * (n + 1))
        items = _read_node(pieces, None, depth + 1)
        found = pa.Array.from_buffers(
            pa.list_(items.type), n, [validity, offsets], children=[items]
        )
    else:
        found = _read_numbers(pieces, kind, unit, n, validity)
    found.validate(full=True)
    return found


def _read_numbers(pieces: _Pieces, kind: int, unit: int, n: int, validity: Any) -> Any:
    import pyarrow as pa

    is_real = kind in (_FLOAT32, _FLOAT64)
    data = pieces.buffer(8 * n)
    plain = pa.Array.from_buffers(pa.float64() if is_real else pa.int64(), n, [validity, data])
    if kind == _TIMESTAMP and unit < len(_UNITS):
        return plain.cast(pa.timestamp(_UNITS[unit], "UTC"))
    if kind == _DATE:
        return plain.cast(pa.int32()).cast(pa.date32())
    types = {
        _BOOL: pa.bool_(),
        _INT32: pa.int32(),
        _INT64: pa.int64(),
        _FLOAT32: pa.float32(),
        _FLOAT64: pa.float64(),
    }
    if kind not in types:
        raise ValueError(f"values of kind {kind} in unit {unit}")
    return plain.cast(types[kind])
