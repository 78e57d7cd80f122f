"""Answers of lookups as the JSON that the server writes: byte for byte what `src/server` writes.

Numbers are in their shortest form, a float32 as the double that it is; what JSON has no number for
is a text ("NaN", "Infinity"); bytes are base64; a date is "2013-01-31".
"""

import base64
import json
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tiffin.online.response import OnlineResponse

    Writer = Callable[[Any], str]

_STATUSES = ("INVALID", "PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE")
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_SECONDS_PER_DAY = 86_400
_EPOCH = '"1970-01-01T00:00:00Z"'
_DAYS_BEFORE_1970 = 719_468  # from 0000-03-01
_DAYS_PER_ERA = 146_097  # of 400 years


def write_feast(
    response: "OnlineResponse", asked: Sequence[str], views: Sequence[str] | None
) -> tuple[str, int]:
    """Return an answer in Feast's form, and its number of entity rows.

    Parameters
    ----------
    response : OnlineResponse
    asked : sequence of str
        Columns of the request; join keys are told in this order.
    views : sequence of str, optional
        Names of the views that were asked for; None: they are not told.
    """
    columns = _Columns(response)
    order = [name for name in asked if name in columns.keys] + columns.features
    results = []
    for name in order:
        statuses = ",".join(f'"{_STATUSES[each]}"' for each in columns.statuses(name))
        times = ",".join(_EPOCH if t is None else _instant(*t) for t in columns.times(name))
        values = ",".join(columns.values(name, _seconds))
        results.append(
            f'{{"values":[{values}],"statuses":[{statuses}],"event_timestamps":[{times}]}}'
        )
    metadata = f'"feature_names":[{",".join(map(_text, order))}]'
    if views is not None:
        told = ",".join(f'{{"name":{_text(view)}}}' for view in dict.fromkeys(views))
        metadata += f',"feature_view_metadata":[{told}]'
    return f'{{"results":[{",".join(results)}],"metadata":{{{metadata}}}}}', columns.n_rows


def write_lean(
    response: "OnlineResponse", with_statuses: bool, with_times: bool
) -> tuple[str, int]:
    """Return an answer in the lean form, and its number of entity rows."""
    columns = _Columns(response)
    names = columns.features
    parts = [f'"names":[{",".join(map(_text, names))}]']
    parts.append(_lists("columns", (columns.values(name, _iso) for name in names)))
    if with_statuses:
        parts.append(_lists("statuses", (map(str, columns.statuses(name)) for name in names)))
    if with_times:
        times = ((_micros(time) for time in columns.times(name)) for name in names)
        parts.append(_lists("event_times", times))
    return "{" + ",".join(parts) + "}", columns.n_rows


def _lists(name: str, lists: Any) -> str:
    return f'"{name}":[{",".join("[" + ",".join(each) + "]" for each in lists)}]'


class _Columns:
    """The columns of a response: keys, then features."""

    def __init__(self, response: "OnlineResponse") -> None:
        import pyarrow as pa

        reader = pa.RecordBatchReader.from_stream(response.to_stream(with_statuses=True))
        self._table = reader.read_all()
        self.n_rows = len(response)
        self._of_keys = response.statuses
        names = response.names
        n_keys = len(names) - (self._table.num_columns - len(names)) // 2
        self.keys = names[:n_keys]
        self.features = names[n_keys:]
        # Keys have one column, a feature has three in a row: itself, its statuses and times.
        self._places = {name: i for i, name in enumerate(self.keys)}
        self._places |= {name: n_keys + 3 * i for i, name in enumerate(self.features)}

    def values(self, name: str, instants: "Writer") -> list[str]:
        """Return the values as JSON; `instants` writes (seconds, nanoseconds)."""
        column = self._table.column(self._places[name])
        write = _writer(column.type, instants)
        plain = _plain(column.combine_chunks(), column.type)
        return ["null" if value is None else write(value) for value in plain]

    def statuses(self, name: str) -> list[int]:
        if name in self.keys:
            return [int(status) for status in self._of_keys[name]]
        statuses: list[int] = self._table.column(self._places[name] + 1).to_pylist()
        return statuses

    def times(self, name: str) -> list[tuple[int, int] | None]:
        """Return the event time of each value as (seconds, nanoseconds); None: there is none."""
        if name in self.keys:
            return [None] * self.n_rows
        column = self._table.column(self._places[name] + 2)
        split = _splitter(column.type.unit)
        plain = _plain(column.combine_chunks(), column.type)
        return [None if value is None else split(value) for value in plain]


# ---- values


def _plain(array: Any, kind: Any) -> list[Any]:
    """Python values, with dates and instants as the whole numbers that they are stored as."""
    import pyarrow as pa

    if pa.types.is_timestamp(kind):
        return list(array.cast(pa.int64()).to_pylist())
    if pa.types.is_date32(kind):
        return list(array.cast(pa.int32()).to_pylist())
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [
            None if not each.is_valid else _plain(each.values, kind.value_type) for each in array
        ]
    return list(array.to_pylist())


def _writer(kind: Any, instants: "Writer") -> "Writer":
    """Return what writes one value of an Arrow type that is not null."""
    import pyarrow as pa

    types = pa.types
    if types.is_boolean(kind):
        return lambda value: "true" if value else "false"
    if types.is_integer(kind):
        return str
    if types.is_floating(kind):
        return write_float
    if types.is_timestamp(kind):
        split = _splitter(kind.unit)
        return lambda value: instants(split(value))
    if types.is_date32(kind):
        return lambda value: f'"{_date(value)}"'
    if types.is_binary(kind) or types.is_large_binary(kind):
        return lambda value: f'"{base64.b64encode(value).decode()}"'
    if types.is_list(kind) or types.is_large_list(kind):
        item = _writer(kind.value_type, instants)
        return lambda value: (
            "[" + ",".join("null" if each is None else item(each) for each in value) + "]"
        )
    return _text


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def write_float(value: float) -> str:
    """Return a double in its shortest form, with a fraction or an exponent."""
    if math.isnan(value):
        return '"NaN"'
    if math.isinf(value):
        return '"Infinity"' if value > 0 else '"-Infinity"'
    text = repr(value)
    if "e" not in text and "." in text and (value == 0.0 or 1e-5 <= abs(value) < 1e15):
        return text  # both write these alike
    sign = "-" if text.startswith("-") else ""
    mantissa, _, exponent = text.lstrip("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    n_leading = len(whole + fraction) - len(digits)
    point = len(whole) - n_leading + int(exponent or 0)  # digits before it
    digits = digits.rstrip("0")
    return sign + _place_point(digits, point)


def _place_point(digits: str, point: int) -> str:
    if 0 < point <= 21:
        if point >= len(digits):
            return digits + "0" * (point - len(digits)) + ".0"
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"0.{'0' * -point}{digits}"
    mantissa = digits if len(digits) == 1 else f"{digits[0]}.{digits[1:]}"
    return f"{mantissa}e{point - 1}"


# ---- times


def _splitter(unit: str) -> Callable[[int], tuple[int, int]]:
    """Return what parts a time into seconds, floor, and nanoseconds."""
    per_second = _PER_SECOND[unit]
    nanos = 1_000_000_000 // per_second

    def split(value: int) -> tuple[int, int]:
        seconds, rest = divmod(value, per_second)
        return seconds, rest * nanos

    return split


def _seconds(time: tuple[int, int]) -> str:
    return str(time[0])


def _iso(time: tuple[int, int]) -> str:
    return _instant(*time)


def _micros(time: tuple[int, int] | None) -> str:
    return "null" if time is None else str(time[0] * 1_000_000 + time[1] // 1_000)


def _instant(seconds: int, nanos: int) -> str:
    days, second = divmod(seconds, _SECONDS_PER_DAY)
    fraction = ""
    if nanos:
        fraction = f".{nanos:09}"
        while fraction.endswith("000"):
            fraction = fraction[:-3]
    minute, second = divmod(second, 60)
    hour, minute = divmod(minute, 60)
    return f'"{_date(days)}T{hour:02}:{minute:02}:{second:02}{fraction}Z"'


def _date(days_since_1970: int) -> str:
    """Return a date of any year; Python's own end with 9999."""
    era, day = divmod(days_since_1970 + _DAYS_BEFORE_1970, _DAYS_PER_ERA)
    year = (day - day // 1460 + day // 36_524 - day // 146_096) // 365
    of_year = day - (365 * year + year // 4 - year // 100)
    from_march = (5 * of_year + 2) // 153
    month = from_march + 3 if from_march < 10 else from_march - 9
    year += era * 400 + (1 if month <= 2 else 0)
    day_of_month = of_year - (153 * from_march + 2) // 5 + 1
    sign = "" if 0 <= year <= 9999 else "-" if year < 0 else "+"
    return f"{sign}{abs(year):04}-{month:02}-{day_of_month:02}"
