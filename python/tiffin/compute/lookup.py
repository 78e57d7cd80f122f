"""The online path: a lookup and its answer, with the faces of the engine's own.

So a `FeatureStore` keeps and runs them like those of requests without on-demand views.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from tiffin.column.logical import table_types, with_meaning
from tiffin.compute.resolution import Resolution
from tiffin.compute.values import plain, to_list
from tiffin.errors import ConflictError, InvalidError, TiffinError

if TYPE_CHECKING:
    from tiffin._native import Answer, Lookup, Stream

    EntityRows = Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Any]]

_PRESENT = 1
_MOST_RENEWALS = 4


class ComputedLookup:
    """A request with on-demand views; follows later applies by itself.

    Parameters
    ----------
    resolve : callable
        Gives the resolution by the newest definitions; false when there is nothing to run any more.
    prepare : callable
        Request of a resolution -> the engine's lookup; None -> that of the request as it was asked.
    keep_keys : bool
        An apply that changes the join keys makes runs fail, instead of asking for other ones.
    """

    computes = True

    def __init__(
        self,
        resolve: Callable[[], Resolution],
        prepare: Callable[[str | None], "Lookup"],
        keep_keys: bool = False,
    ) -> None:
        self._resolve = resolve
        self._prepare = prepare
        self._keep_keys = keep_keys
        self._state = self._renew()

    def _renew(self) -> "tuple[Resolution, Lookup | None]":
        resolution = self._resolve()
        reads = not resolution or resolution.request is not None
        return resolution, self._prepare(resolution.request) if reads else None

    @property
    def key_names(self) -> tuple[str, ...]:
        """Join keys that every entity row must have."""
        lookup = self._state[1]
        return () if lookup is None else lookup.key_names

    @property
    def names(self) -> tuple[str, ...]:
        """Columns of an answer by the newest definitions: join keys, then what was asked for."""
        if self._resolve().commit != self._state[0].commit:
            self._follow()
        resolution, lookup = self._state
        if not resolution and lookup is not None:
            return lookup.names
        return (*self.key_names, *(name for name, _ in resolution.columns))

    def run(
        self,
        entity_rows: "EntityRows",
        at_us: int | None = None,
        max_age_us: int | None = None,
    ) -> "Answer | ComputedAnswer":
        """Look up, and compute; what was looked up and what computes it are of one commit."""
        for _ in range(_MOST_RENEWALS):
            answer = self._try_run(entity_rows, at_us, max_age_us)
            if answer is not None:
                return answer
            self._follow()
        raise ConflictError("the definitions of this request keep changing; try again")

    def _follow(self) -> None:
        """Take the newest definitions."""
        state, before = self._renew(), self.key_names
        after = () if state[1] is None else state[1].key_names
        if self._keep_keys and after != before:
            raise ConflictError(
                "the join keys of this request changed with a newer apply; prepare it again"
            )
        self._state = state

    def _try_run(
        self, entity_rows: "EntityRows", at_us: int | None, max_age_us: int | None
    ) -> "Answer | ComputedAnswer | None":
        """Run with the resolution at hand; None: the registry has moved on."""
        resolution, lookup = self._state
        answer: Answer | None = None
        if lookup is not None:
            try:
                answer = lookup.run(entity_rows, at_us, max_age_us)
            except TiffinError:  # maybe an apply took away what the resolution reads
                if self._resolve().commit == resolution.commit:
                    raise
                return None
        if (answer.commit if answer is not None else self._resolve().commit) != resolution.commit:
            return None
        if not resolution and answer is not None:
            return answer
        return ComputedAnswer(resolution, answer, entity_rows)


class ComputedAnswer:
    """What a lookup found, and what was made of it.

    Attributes
    ----------
    n_rows, n_keys : int
    names : tuple of str
        Join keys, then what was asked for, in order. What was only read is not shown.
    warnings : tuple of str
    """

    def __init__(
        self, resolution: Resolution, answer: "Answer | None", entity_rows: "EntityRows"
    ) -> None:
        self.n_rows = answer.n_rows if answer is not None else _count(entity_rows)
        self.n_keys = answer.n_keys if answer is not None else 0
        self.warnings = answer.warnings if answer is not None else ()
        self._answer = answer
        self._keys = answer.names[: self.n_keys] if answer is not None else ()
        self._resolution = resolution
        self.names = (*self._keys, *(name for name, _ in resolution.columns))
        requests = resolution.read_requests(_Fields(entity_rows), self.n_rows)
        self._meanings: dict[str, str] = {}
        self._columns = resolution.compute(self._read(), requests, self.n_rows)
        self._computed = resolution.types

    def _read(self, with_statuses: bool = False) -> dict[str, Any]:
        if self._answer is None:
            return {}
        import pyarrow as pa

        stream = self._answer.to_stream(with_statuses)
        reader = pa.RecordBatchReader.from_stream(stream)
        self._meanings = table_types(reader.schema)
        batches = list(reader)
        if len(batches) == 1:  # as a rule: spares columns of chunks
            return dict(zip(reader.schema.names, batches[0].columns, strict=True))
        table = pa.Table.from_batches(batches, reader.schema)
        return dict(zip(table.column_names, map(plain, table.columns), strict=True))

    def to_dict(self, include_event_timestamps: bool = False) -> dict[str, list[Any]]:
        """Values by column, keys first; as the engine's answers give them."""
        found = {} if self._answer is None else self._answer.to_dict(include_event_timestamps)
        values = {name: found[name] for name in self._keys}
        for name, column in self._resolution.columns:
            is_computed = column in self._computed
            values[name] = (
                to_list(self._columns[column], self._computed[column])
                if is_computed
                else found[column]
            )
            if include_event_timestamps:
                values[f"{name}__ts"] = [0] * self.n_rows if is_computed else found[f"{column}__ts"]
        return values

    def statuses(self) -> dict[str, list[int]]:
        """Feast's FieldStatus numbers by column; what was computed is PRESENT, as in Feast."""
        found = {} if self._answer is None else self._answer.statuses()
        statuses = {name: found[name] for name in self._keys}
        for name, column in self._resolution.columns:
            is_computed = column in self._computed
            statuses[name] = [_PRESENT] * self.n_rows if is_computed else found[column]
        return statuses

    def event_timestamps(self) -> dict[str, list[float | None]]:
        """Seconds since 1970 of the row of each feature value; None for what was computed."""
        found = {} if self._answer is None else self._answer.event_timestamps()
        nothing: list[float | None] = [None] * self.n_rows
        return {
            name: nothing if column in self._computed else found[column]
            for name, column in self._resolution.columns
        }

    def to_stream(self, with_statuses: bool = False) -> "Stream":
        """Return the answer as a table: an object with ``__arrow_c_stream__``."""
        import pyarrow as pa

        read = self._read(with_statuses=True) if with_statuses else {}
        columns = {name: self._columns[name] for name in self._keys}
        for name, column in self._resolution.columns:
            columns[name] = self._columns[column]
            if not with_statuses:
                continue
            if column in self._computed:
                statuses = pa.array([_PRESENT] * self.n_rows, pa.int32())
                times = pa.nulls(self.n_rows, pa.timestamp("us", "UTC"))
            else:
                statuses, times = read[f"{column}__status"], read[f"{column}__event_timestamp"]
            columns[f"{name}__status"] = statuses
            columns[f"{name}__event_timestamp"] = times
        meanings = {name: self._meaning_of(column) for name, column in self._resolution.columns}
        fields = [with_meaning(name, c.type, meanings.get(name, "")) for name, c in columns.items()]
        return cast("Stream", pa.table(list(columns.values()), schema=pa.schema(fields)))

    def _meaning_of(self, column: str) -> str:
        dtype = self._computed.get(column)
        return self._meanings.get(column, "") if dtype is None else dtype.text


class _Fields(Mapping[str, Any]):
    """Entity rows, a list of dicts or a dict of lists, as columns that are read when asked for."""

    def __init__(self, entity_rows: "EntityRows") -> None:
        self._rows = entity_rows

    def _names(self) -> list[str]:
        if isinstance(self._rows, Mapping):
            return list(self._rows)
        return list(self._rows[0]) if len(self._rows) > 0 else []

    def __getitem__(self, name: str) -> Any:
        if isinstance(self._rows, Mapping):
            return self._rows[name]
        try:
            return [row[name] for row in self._rows]
        except KeyError:
            if name not in self._names():
                raise
            raise InvalidError(
                f"the entity rows must all have the same columns, and not all have {name!r}"
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())


def _count(entity_rows: "EntityRows") -> int:
    if isinstance(entity_rows, Mapping):
        return len(next(iter(entity_rows.values()), ()))
    return len(entity_rows)
