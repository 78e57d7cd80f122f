"""Random histories, and what the point-in-time rule says about them.

A history is a handful of source rows and entity rows made so that everything that can go wrong is
likely: equal event times, equal created times, times one unit apart from t and from t - ttl, nulls,
keys on one side only, rows created late, times far away. Feature `row` is the number of the source
row, so an answer says which row won.

The model below is the rule of docs/semantics/point-in-time.md in two nested loops over exact
integers: all times are nanoseconds; numbers in it are sentences of that page. It knows nothing of
the engine. What a reader changes (the unit of a time, nanoseconds that it loses, an empty text of a
CSV that is a null) is said in `Reader`.
"""

import csv
import datetime as dt
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Cell = Any
NANOS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1, "date": 86_400 * 10**9}
INFINITE = 2**63 - 1  # DuckDB's +infinity in us and ns; its negative is -infinity
FAR = 10**40
EPOCH = dt.datetime(1970, 1, 1)

# ---- columns ----


@dataclass(frozen=True)
class Kind:
    """A type as it is declared, and how its values lie in the source."""

    dtype: str  # declared
    arrow: pa.DataType  # in the source
    values: Sequence[Cell] = ()  # what cells are drawn from; times and dates are integers
    in_csv: bool = True  # a CSV can hold it

    def is_time(self) -> bool:
        return pa.types.is_timestamp(item_of(self.arrow))


def item_of(arrow: pa.DataType) -> pa.DataType:
    return arrow.value_type if pa.types.is_list(arrow) else arrow


def zoned(unit: str) -> pa.DataType:
    return pa.timestamp(unit, "UTC")


TEXTS = ["", "a", "Z,\"'\n;", "ü😀", "NULL", "a text that is longer than twelve bytes"]
SECONDS = [0, -86_400, 1_600_000_000]
KEY_KINDS = [
    Kind("int64", pa.int64(), [0, -1, 2**63 - 1, -(2**63)]),
    Kind("int64", pa.int16(), [0, -1, 7]),
    Kind("int32", pa.int32(), [0, -1, 2**31 - 1, -(2**31)]),
    Kind("int32", pa.int8(), [0, -1, 7]),
    Kind("string", pa.string(), TEXTS),
    Kind("string", pa.string(), ["a", "a\0b", "a\0", "é"], in_csv=False),
    Kind("string", pa.dictionary(pa.int8(), pa.string()), ["1", "01", "1.0"]),
    Kind("bytes", pa.binary(), [b"", b"a", b"\x00", b"\xff\x01", b"a\x00"]),
    Kind("bool", pa.bool_(), [True, False]),
    Kind("date", pa.date32(), [0, -1, 19_000]),
    Kind("timestamp", zoned("us"), [10**6 * s + e for s in SECONDS for e in (0, 1)]),
    Kind("timestamp", zoned("ms"), [10**3 * s for s in SECONDS]),
    Kind("timestamp", pa.timestamp("us"), [10**6 * s for s in SECONDS]),
    Kind("timestamp", pa.timestamp("ns"), [10**9 * s + 1 for s in SECONDS], in_csv=False),
    Kind("timestamp", zoned("ns"), [10**9 * s + 1001 for s in SECONDS], in_csv=False),
]
NAN, INF = float("nan"), float("inf")
SCALARS = [
    Kind("bool", pa.bool_(), [True, False]),
    Kind("int32", pa.int32(), [0, -5, 2**31 - 1, -(2**31)]),
    Kind("int32", pa.int8(), [0, -5, 127]),
    Kind("int64", pa.int64(), [0, 2**53 + 1, 2**63 - 1, -(2**63)]),
    Kind("int64", pa.uint32(), [0, 2**32 - 1]),
    Kind("float32", pa.float32(), [0.5, -0.0, NAN, INF, -INF, 2.0**-149]),
    Kind("float64", pa.float64(), [0.5, -0.0, NAN, INF, 1e300, 5e-324, 0.1]),
    Kind("float64", pa.float32(), [0.5, -2.25]),
    Kind("string", pa.string(), TEXTS),
    Kind("string", pa.large_string(), ["x" * 5000, "y"]),
    Kind("bytes", pa.binary(), [b"", b"\x00\xff", b"a" * 40]),
    Kind("date", pa.date32(), [0, -719_162, 2_932_896]),
    Kind("timestamp", zoned("us"), [0, -1, 253_402_300_799_999_999]),
    Kind("timestamp", zoned("ms"), [0, -1, 1_600_000_000_123]),
    Kind("timestamp", pa.timestamp("ns"), [0, -1, 2**62 + 1], in_csv=False),
    Kind("timestamp", zoned("ns"), [0, -1, -1001, 1999], in_csv=False),
]


def list_kind(item: Kind) -> Kind:
    lists: list[Cell] = [[], [None], list(item.values), [item.values[0], None, item.values[-1]]]
    return Kind(f"array<{item.dtype}>", pa.list_(item.arrow), lists, in_csv=False)


FEATURE_KINDS = SCALARS + [list_kind(k) for k in SCALARS] + [Kind("int64", pa.null())]
TIME_TYPES = [zoned("us"), pa.timestamp("us"), zoned("ms"), pa.date32()]
FINE_TIME_TYPES = [zoned("ns"), pa.timestamp("ns")]
SPINE_TIME_TYPES = [
    *TIME_TYPES,
    *FINE_TIME_TYPES,
    pa.timestamp("s", "America/New_York"),
    pa.timestamp("us", "Asia/Kolkata"),
    pa.timestamp("s"),
]


def unit_of(arrow: pa.DataType) -> str:
    return arrow.unit if pa.types.is_timestamp(arrow) else "date"


def to_raw(instant: int, arrow: pa.DataType) -> int:
    """Return an instant in a column's own unit: floor, at most what the column can hold."""
    limit = 10_000_000 if unit_of(arrow) == "date" else INFINITE - 1
    if unit_of(arrow) == "ms":
        limit = limit // 1000  # readers hold milliseconds as microseconds
    return max(-limit, min(limit, instant // NANOS[unit_of(arrow)]))


def array_of(values: list[Cell], arrow: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(arrow):
        return pa.array(values, arrow.value_type).dictionary_encode()
    return pa.array(values, arrow)


# ---- readers ----


@dataclass(frozen=True)
class Reader:
    """What a reader makes of a cell."""

    is_csv: bool = False
    cuts_zoned_nanos: bool = False  # DuckDB before 2.0: toward zero

    def time_of(self, raw: int | None, arrow: pa.DataType) -> tuple[int, str] | None:
        """Return a time as (number, unit) after reading."""
        if raw is None:
            return None
        unit = unit_of(arrow)
        if unit == "date":
            return raw * NANOS["date"], "date"
        is_cut = unit == "ns" and arrow.tz is not None and self.cuts_zoned_nanos
        if is_cut and abs(raw) != INFINITE:
            return (abs(raw) // 1000) * (1 if raw >= 0 else -1), "us"
        if unit in ("ms", "s"):
            return raw * (NANOS[unit] // NANOS["us"]), "us"
        return raw, unit

    def instant_of(self, raw: int | None, arrow: pa.DataType) -> int | None:
        """Return a time in nanoseconds; infinities are beyond all."""
        read = self.time_of(raw, arrow)
        if read is None:
            return None
        number, unit = read
        if unit == "date":
            return number
        if abs(number) == INFINITE:
            return FAR if number > 0 else -FAR
        return number * NANOS[unit]

    def cell_of(self, value: Cell, arrow: pa.DataType) -> Cell:
        """Return a cell as `plain` gives those of an answer."""
        if isinstance(value, list):
            return [self.cell_of(item, arrow.value_type) for item in value]
        if value is None or (self.is_csv and value in ("", b"")):
            return None
        if pa.types.is_timestamp(arrow):
            number, _ = self.time_of(value, arrow)
            return number
        return repr(value) if isinstance(value, float) else value

    def type_of(self, kind: Kind) -> pa.DataType:
        """Return the type that a feature comes out as."""
        arrow = kind.arrow
        if kind.dtype.startswith("array"):
            return pa.list_(self.type_of(Kind(kind.dtype[6:-1], arrow.value_type)))
        if kind.dtype == "timestamp":
            is_cut = arrow.tz is not None and self.cuts_zoned_nanos
            return zoned("ns" if arrow.unit == "ns" and not is_cut else "us")
        names = {"float32": pa.float32(), "float64": pa.float64(), "bytes": pa.binary()}
        names |= {"bool": pa.bool_(), "date": pa.date32(), "string": pa.string()}
        return names.get(kind.dtype) or getattr(pa, kind.dtype)()


def plain(column: pa.ChunkedArray | pa.Array) -> list[Cell]:
    """Return cells as Python values: times as integers in the unit of the column."""
    arrow = column.type
    if pa.types.is_list(arrow) and pa.types.is_timestamp(arrow.value_type):
        column = column.cast(pa.list_(pa.int64()))
    elif pa.types.is_list(arrow) and pa.types.is_date(arrow.value_type):
        column = column.cast(pa.list_(pa.int32()))
    elif pa.types.is_timestamp(arrow):
        column = column.cast(pa.int64())
    elif pa.types.is_date(arrow):
        column = column.cast(pa.int32())

    def normal(value: Cell) -> Cell:
        if isinstance(value, list):
            return [normal(item) for item in value]
        return repr(value) if isinstance(value, float) else value

    return [normal(value) for value in column.to_pylist()]


# ---- histories ----


@dataclass
class Side:
    """One side of a history, column by column, as it is written."""

    n: int
    keys: list[list[Cell]]
    key_types: list[pa.DataType]
    times: list[int | None]
    time_type: pa.DataType
    created: list[int | None] = field(default_factory=list)
    created_type: pa.DataType = field(default_factory=pa.null)


@dataclass
class History:
    seed: int
    in_csv: bool
    key_kinds: list[Kind]
    feature_kinds: list[Kind]
    ttl_us: int
    has_created: bool
    filter_by_created: bool
    known_at_us: int | None
    pool: list[int]
    source: Side
    spine: Side
    features: list[list[Cell]]
    file_ends: list[int]  # rows before the end of each file
    join_keys: list[str] = field(default_factory=list)  # names of its key parts; [] = k0, k1, ...
    prefix: str = ""  # of its features' names
    file_names: dict[str, str] = field(default_factory=dict)  # names that differ in the files

    @property
    def key_names(self) -> list[str]:
        return self.join_keys or [f"k{i}" for i in range(len(self.key_kinds))]

    @property
    def feature_names(self) -> list[str]:
        names = ["row", *(f"f{i}" for i in range(len(self.feature_kinds) - 1))]
        return [self.prefix + name for name in names]

    def file_name(self, name: str) -> str:
        return self.file_names.get(name, name)

    def source_columns(self) -> dict[str, tuple[list[Cell], pa.DataType]]:
        side = self.source
        types = [kind.arrow for kind in self.feature_kinds]
        columns = {"event_timestamp": (side.times, side.time_type)}
        columns |= zip(self.feature_names, zip(self.features, types, strict=True), strict=True)
        columns |= zip(self.key_names, zip(side.keys, side.key_types, strict=True), strict=True)
        if self.has_created:
            columns["created"] = side.created, side.created_type
        return {self.file_name(name): column for name, column in columns.items()}

    def source_table(self, rows: Sequence[int] | None = None) -> pa.Table:
        chosen = range(self.source.n) if rows is None else rows
        return pa.table(
            {
                name: array_of([values[i] for i in chosen], arrow)
                for name, (values, arrow) in self.source_columns().items()
            }
        )

    def spine_table(self) -> pa.Table:
        columns = {"label": pa.array([f"e{i}" for i in range(self.spine.n)])}
        for name, values, arrow in zip(
            self.key_names, self.spine.keys, self.spine.key_types, strict=True
        ):
            columns[name] = array_of(values, arrow)
        columns["event_timestamp"] = array_of(self.spine.times, self.spine.time_type)
        return pa.table(columns)


def make_pool(rng: random.Random, ttl_us: int, in_csv: bool) -> list[int]:
    bases = [0, 1_600_000_000, -2_208_988_800, 32_503_680_000]
    if not in_csv and rng.random() < 0.3:
        bases = [9_223_372_036, -9_223_372_036, -46_000_000_000, 9_223_372_036_854]
    base = rng.choice(bases) * 10**9
    step = rng.choice([1, 10**3, 10**6, 10**9, 3600 * 10**9])
    pool = []
    for _ in range(rng.randint(2, 11)):
        instant = base + rng.randint(-4, 4) * step
        if 0 < ttl_us < 10**16 and rng.random() < 0.4:
            instant -= ttl_us * 1000 + rng.randint(-1, 1) * step
        pool.append(instant)
    return pool


def make_times(
    rng: random.Random, n: int, pool: list[int], arrow: pa.DataType, nulls: float, infinite: bool
) -> list[int | None]:
    times: list[int | None] = []
    for _ in range(n):
        raw = to_raw(rng.choice(pool), arrow)
        if infinite and unit_of(arrow) in ("us", "ns") and rng.random() < 0.02:
            raw = rng.choice([INFINITE, -INFINITE])
        times.append(None if rng.random() < nulls else raw)
    return times


def make_keys(
    rng: random.Random, n: int, kinds: list[Kind], nulls: float, n_values: int
) -> list[list[Cell]]:
    return [
        [None if rng.random() < nulls else rng.choice(k.values[:n_values]) for _ in range(n)]
        for k in kinds
    ]


def spine_key_type(rng: random.Random, kind: Kind) -> pa.DataType:
    """Return a type that an entity frame may have for the same values."""
    wider = {pa.int16(): pa.int64(), pa.int8(): pa.int32(), pa.binary(): pa.large_binary()}
    wider |= {pa.string(): pa.large_string()}
    return wider.get(kind.arrow, kind.arrow) if rng.random() < 0.5 else kind.arrow


def make_spine(rng: random.Random, pool: list[int], kinds: list[Kind], n_values: int) -> Side:
    n = rng.choice([0, 1, rng.randint(2, 40)])
    n = n or rng.randint(0, 40)
    time_type = rng.choice(SPINE_TIME_TYPES)
    return Side(
        n=n,
        keys=make_keys(rng, n, kinds, 0.05, n_values + 1),
        key_types=[spine_key_type(rng, k) for k in kinds],
        times=make_times(rng, n, pool, time_type, 0.0, infinite=False),
        time_type=time_type,
    )


TTLS_US = [0, 0, 1, 1000, 10**6, 3600 * 10**6, 86_400 * 10**6, 12_623_040_000_000_000, 2**63 - 1]


def make_view(
    rng: random.Random,
    seed: int,
    pool: list[int],
    key_kinds: list[Kind],
    n_values: int,
    ttl_us: int,
    in_csv: bool,
) -> History:
    """Make the source of a view; it has no entity rows yet and filters nothing."""
    feature_kinds = rng.choices(
        [k for k in FEATURE_KINDS if k.in_csv or not in_csv], k=rng.randint(0, 6)
    )
    n = rng.choice([rng.randint(0, 3), rng.randint(4, 60), rng.randint(4, 60)])
    nulls = rng.choice([0.0, 0.08])
    time_types = TIME_TYPES if in_csv else TIME_TYPES + 2 * FINE_TIME_TYPES
    time_type, created_type = rng.choice(time_types), rng.choice(time_types)
    source = Side(
        n=n,
        keys=make_keys(rng, n, key_kinds, nulls, n_values),
        key_types=[k.arrow for k in key_kinds],
        times=make_times(rng, n, pool, time_type, nulls, infinite=not in_csv),
        time_type=time_type,
        created=make_times(rng, n, pool, created_type, nulls, infinite=not in_csv),
        created_type=created_type,
    )
    features = [list(range(n))]
    for kind in feature_kinds:
        features.append(
            [
                None if not kind.values or rng.random() < 0.15 else rng.choice(kind.values)
                for _ in range(n)
            ]
        )
    return History(
        seed=seed,
        in_csv=in_csv,
        key_kinds=key_kinds,
        feature_kinds=[Kind("int64", pa.int64()), *feature_kinds],
        ttl_us=ttl_us,
        has_created=rng.random() < 0.6,
        filter_by_created=False,
        known_at_us=None,
        pool=pool,
        source=source,
        spine=Side(0, [], [], [], zoned("us")),
        features=features,
        file_ends=[*sorted(rng.choices(range(n + 1), k=rng.choice([0, 0, 1, 3]))), n],
    )


def make_history(seed: int) -> History:
    rng = random.Random(seed)
    in_csv = rng.random() < 0.35
    n_parts = rng.choices([0, 1, 2, 3], [5, 65, 20, 10])[0]
    key_kinds = rng.choices([k for k in KEY_KINDS if k.in_csv or not in_csv], k=n_parts)
    ttl_us = rng.choice(TTLS_US)
    pool = make_pool(rng, ttl_us, in_csv)
    n_values = rng.randint(1, 6)
    history = make_view(rng, seed, pool, key_kinds, n_values, ttl_us, in_csv)
    if history.has_created:
        history.filter_by_created = rng.random() < 0.4
        history.known_at_us = clamp_us(rng.choice(pool)) if rng.random() < 0.4 else None
    history.spine = make_spine(rng, pool, key_kinds, n_values)
    return history


def clamp_us(instant: int) -> int:
    return max(-(2**63) + 2, min(2**63 - 2, instant // 1000))


# ---- writing ----

# In the order of their bytes, which is neither that of a locale nor that of numbers.
FILE_NAMES = ["10", "9", "B", "a.b/x", "a/x", "a/y", "ä", "名 前"]


def write_parquet(history: History, folder: Path) -> None:
    rng = random.Random(history.seed)
    table = history.source_table()
    for name, part in parts_of(history, table, rng):
        path = folder / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(
            part,
            path,
            row_group_size=rng.choice([1, 2, 7, 1000]),
            compression=rng.choice(["zstd", "snappy", "none"]),
            use_dictionary=rng.random() < 0.5,
        )


def parts_of(history: History, table: pa.Table, rng: random.Random) -> list[tuple[str, pa.Table]]:
    """Cut a table into files. They are written last first, so no order but that of bytes helps."""
    names = sorted(rng.sample(range(len(FILE_NAMES)), len(history.file_ends)))
    parts = []
    begin = 0
    for i_name, end in zip(names, history.file_ends, strict=True):
        parts.append((FILE_NAMES[i_name], table.slice(begin, end - begin)))
        begin = end
    return parts[::-1]


def text_of(value: Cell, arrow: pa.DataType, rng: random.Random) -> str:
    """Return a cell of a CSV."""
    if value is None:
        return ""
    if pa.types.is_timestamp(arrow):
        instant = EPOCH + dt.timedelta(microseconds=value * (NANOS[arrow.unit] // 1000))
        if arrow.tz is None:
            return instant.isoformat(" ", "microseconds")
        hours = rng.choice([0, 0, 2, -5]) if 2 < instant.year < 9998 else 0
        local = instant + dt.timedelta(hours=hours)
        return local.isoformat(" ", "microseconds") + f"{hours:+03d}:00"
    if pa.types.is_date(arrow):
        return (EPOCH + dt.timedelta(days=value)).date().isoformat()
    if isinstance(value, bytes):
        return "".join(f"\\x{byte:02X}" for byte in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)


def write_csv(history: History, folder: Path) -> None:
    rng = random.Random(history.seed)
    texts = {
        name: [text_of(value, arrow, rng) for value in values]
        for name, (values, arrow) in history.source_columns().items()
    }
    rows = pa.table(texts)
    for name, part in parts_of(history, rows, rng):
        path = folder / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(part.column_names)
            writer.writerows(zip(*part.to_pydict().values(), strict=True))


# ---- the model ----


@dataclass(frozen=True)
class Row:
    """A row in the model's terms: times are nanoseconds."""

    key: tuple[Cell, ...] | None
    time: int | None
    created: int | None
    position: int


def rank(row: Row) -> tuple[int, int, int]:
    """Return what decides between two rows: the greater one wins."""
    assert row.time is not None
    created = -2 * FAR if row.created is None else row.created
    return row.time, created, row.position  # 9, 10, 11


def model_rows(history: History, side: Side, reader: Reader) -> list[Row]:
    rows = []
    for i in range(side.n):
        key: list[Cell] = []
        for values, arrow in zip(side.keys, side.key_types, strict=True):
            if pa.types.is_timestamp(arrow):
                key.append(reader.instant_of(values[i], arrow))
            else:
                key.append(reader.cell_of(values[i], arrow))
        time = reader.instant_of(side.times[i], side.time_type)
        created = None
        if side is history.source and history.has_created:
            created = reader.instant_of(side.created[i], side.created_type)
        if side is history.source and time is not None and abs(time) == FAR:
            time = None  # 12: infinite
        rows.append(Row(None if None in key else tuple(key), time, created, i))
    return rows


def is_known(row: Row, bound_us: int | None) -> bool:
    """Sentence 8."""
    return bound_us is None or (row.created is not None and row.created <= bound_us * 1000)


def model_winners(history: History, reader: Reader) -> list[int | None]:
    """Return for every entity row the number of the source row that it gets."""
    source = model_rows(history, history.source, reader)
    winners: list[int | None] = []
    for entity in model_rows(history, history.spine, Reader()):
        best: Row | None = None
        for row in source:
            if row.key is None or row.key != entity.key or row.time is None:
                continue  # 3, 4, 12
            if row.time > entity.time:
                continue  # 5
            if history.ttl_us > 0 and row.time < entity.time - history.ttl_us * 1000:
                continue  # 6
            if history.filter_by_created and (row.created is None or row.created > entity.time):
                continue  # 7
            if is_known(row, history.known_at_us) and (best is None or rank(row) > rank(best)):
                best = row
        winners.append(None if best is None else best.position)  # 1, 14
    return winners
