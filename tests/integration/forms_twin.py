"""A world of four views, and what the point-in-time rule says about it, in plain Python.

Numbers in comments are sentences of docs/semantics/point-in-time.md. Rows are dicts, a source's
order is its positions, times are aware datetimes.
"""

import datetime as dt
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tiffin import Entity, FeatureService, FeatureView, Field, FileSource
from tiffin.types import Int64, String

Row = dict[str, Any]
ZERO = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
MICROSECOND = dt.timedelta(microseconds=1)
DRIVERS = [-3, 1, 2, 2**40]
CITIES = ["", "a", "b", "ü"]


def hours(n: int) -> dt.datetime:
    return ZERO + dt.timedelta(hours=n)


@dataclass
class View:
    """A view's rows under the names that the view gives them."""

    name: str
    keys: list[str]
    features: list[str]
    ttl: dt.timedelta
    rows: list[Row]
    columns: dict[str, str] = field(default_factory=dict)  # name -> column of the file

    def table(self) -> pa.Table:
        types = {"driver_id": pa.int64(), "city": pa.string(), "tag": pa.string()}
        times = {"at": pa.timestamp("ms" if self.name == "pay" else "us", "UTC")}
        times["made"] = pa.timestamp("us", "UTC")
        return pa.table(
            {
                self.columns.get(name, name): pa.array(
                    [row[name] for row in self.rows], {**types, **times}.get(name, pa.int64())
                )
                for name in [*self.keys, "at", "made", *self.features]
            }
        )


def make_view(rng: random.Random, name: str, keys: list[str], ttl_hours: int, n: int) -> View:
    rows = []
    for i in range(n):
        at = hours(rng.randrange(0, 24, 2))
        late = dt.timedelta(hours=rng.choice([0, 0, 1, 5]))
        rows.append(
            {
                "driver_id": rng.choice([*DRIVERS, None]),
                "city": rng.choice([*CITIES, None]),
                "at": None if rng.random() < 0.05 else at,
                "made": None if rng.random() < 0.1 else at + late,
                "n": i if rng.random() < 0.9 else None,
                "tag": f"{name}{i}",
            }
        )
    mapped = {"driver_id": "drv", "at": "ts", "n": "count"} if name == "pay" else {}
    return View(name, keys, ["n", "tag"], dt.timedelta(hours=ttl_hours), rows, mapped)


def make_world(seed: int) -> dict[str, View]:
    rng = random.Random(seed)
    views = [
        make_view(rng, "trips", ["driver_id"], 6, 60),
        make_view(rng, "pay", ["driver_id"], 0, 40),
        make_view(rng, "pairs", ["driver_id", "city"], 12, 80),
        make_view(rng, "sky", [], 3, 12),
    ]
    return {view.name: view for view in views}


def define(views: dict[str, View], folder: Path) -> list[Any]:
    """Write the files, and return the definitions."""
    folder.mkdir(parents=True, exist_ok=True)
    entities = {
        "driver_id": Entity(name="driver", join_keys=["driver_id"], value_type=Int64),
        "city": Entity(name="city", value_type=String),
    }
    objects: list[Any] = list(entities.values())
    for view in views.values():
        pq.write_table(view.table(), folder / f"{view.name}.parquet", row_group_size=16)
        source = FileSource(
            name=f"{view.name}_file",
            path=f"data/{view.name}.parquet",
            timestamp_field="at",
            created_timestamp_column="made",
            field_mapping={column: name for name, column in view.columns.items()},
        )
        objects.append(
            FeatureView(
                name=view.name,
                entities=[entities[key] for key in view.keys],
                source=source,
                ttl=view.ttl,
                schema=[Field(name="n", dtype=Int64), Field(name="tag", dtype=String)],
            )
        )
    trips = objects[2]
    away = trips[["n"]].with_name("away").with_join_key_map({"driver_id": "other_id"})
    objects.append(FeatureService(name="model", features=[trips[["tag"]], away]))
    return objects


# ---- the rule ----


@dataclass(frozen=True)
class Rule:
    filter_by_created: bool = False
    known_at: dt.datetime | None = None


def position_rank(view: View, i: int) -> tuple[Any, ...]:
    """9, 10, 11: event time, created time (missing: lowest), position."""
    row = view.rows[i]
    made = row["made"]
    return row["at"], made is not None, made or ZERO, i


def is_known(row: Row, rule: Rule) -> bool:
    made = row["made"]  # 8
    return rule.known_at is None or (made is not None and made <= rule.known_at)


def takes_part(view: View, row: Row, rule: Rule) -> bool:
    has_key = all(row[key] is not None for key in view.keys)  # 4
    return has_key and row["at"] is not None and is_known(row, rule)  # 12, 8


def winner(view: View, keys: tuple[Any, ...], t: dt.datetime, rule: Rule) -> Row | None:
    """1 to 14: the row that an entity row sees."""
    best = None
    for i, row in enumerate(view.rows):
        if tuple(row[key] for key in view.keys) != keys or not takes_part(view, row, rule):
            continue  # 3
        if row["at"] > t or (view.ttl and row["at"] < t - view.ttl):
            continue  # 5, 6
        if rule.filter_by_created and (row["made"] is None or row["made"] > t):
            continue  # 7
        if best is None or position_rank(view, i) > position_rank(view, best):
            best = i
    return None if best is None else view.rows[best]


@dataclass(frozen=True)
class Asked:
    """A view as it is asked for."""

    view: str
    features: tuple[str, ...]
    alias: str = ""
    key_map: tuple[tuple[str, str], ...] = ()

    def key_columns(self, views: dict[str, View]) -> list[str]:
        return [dict(self.key_map).get(key, key) for key in views[self.view].keys]


def training_columns(
    views: dict[str, View], asked: list[Asked], spine: list[Row], full_names: bool, rule: Rule
) -> dict[str, list[Any]]:
    """Return the columns that the features become, by name, in order."""
    columns: dict[str, list[Any]] = {}
    for one in asked:
        view = views[one.view]
        seen = []
        for entity in spine:
            keys = tuple(entity[column] for column in one.key_columns(views))
            no_key = any(key is None for key in keys)
            seen.append(None if no_key else winner(view, keys, entity["event_timestamp"], rule))
        for name in one.features:
            out = f"{one.alias or one.view}__{name}" if full_names else name
            columns[out] = [None if row is None else row[name] for row in seen]
    return columns


# ---- windows ----


def window_rows(view: View, start: Any, end: Any, rule: Rule, keys: Any = None) -> list[int]:
    """24, 25: positions of the rows of a window."""
    return [
        i
        for i, row in enumerate(view.rows)
        if takes_part(view, row, rule)
        and (start is None or row["at"] >= start)
        and (end is None or row["at"] <= end)
        and (keys is None or tuple(row[key] for key in view.keys) in keys)
    ]


def key_order(keys: tuple[Any, ...]) -> tuple[Any, ...]:
    """Order of key bytes: of numbers by value, of texts by their UTF-8."""
    return tuple(key.encode() if isinstance(key, str) else key for key in keys)


def history_rows(view: View, positions: list[int]) -> list[int]:
    """26: in the order of key, event time, created time, position."""

    def order(i: int) -> tuple[Any, ...]:
        keys = tuple(view.rows[i][key] for key in view.keys)
        return key_order(keys), *position_rank(view, i)

    return sorted(positions, key=order)


def latest_rows(view: View, positions: list[int]) -> list[int]:
    """23: of each key the best."""
    best: dict[tuple[Any, ...], int] = {}
    for i in positions:
        keys = tuple(view.rows[i][key] for key in view.keys)
        if keys not in best or position_rank(view, i) > position_rank(view, best[keys]):
            best[keys] = i
    return [best[keys] for keys in sorted(best, key=key_order)]


def event_spine(
    views: dict[str, View], asked: list[Asked], start: Any, end: Any, rule: Rule, one_row: bool
) -> list[Row]:
    """27 to 32: entity rows made of events."""
    keyed = [one for one in asked if views[one.view].keys] or asked
    names = keyed[0].key_columns(views)
    events: list[tuple[Any, ...]] = []
    for one in keyed:
        view = views[one.view]
        columns = one.key_columns(views)
        for i in window_rows(view, start, end, rule):
            row = view.rows[i]
            mapped = dict(zip(columns, (row[key] for key in view.keys), strict=True))
            events.append((row["at"], tuple(mapped[name] for name in names)))
    if one_row:
        events = [(end, keys) for keys in {keys for _, keys in events}]
    elif len(keyed) > 1:
        events = list(set(events))
    events.sort(key=lambda event: (event[0], key_order(event[1])))
    return [{**dict(zip(names, keys, strict=True)), "event_timestamp": at} for at, keys in events]
