"""``OnlineResponse``: what a lookup found."""

import enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tiffin._native import Answer, Stream
    from tiffin.compute.lookup import ComputedAnswer


class FieldStatus(enum.IntEnum):
    """How a value of a lookup came about; Feast's numbers."""

    INVALID = 0
    PRESENT = 1
    NULL_VALUE = 2
    NOT_FOUND = 3
    OUTSIDE_MAX_AGE = 4


class OnlineResponse:
    """The newest values of the entities asked for: join keys first, then features in order asked.

    Rows are in the order of the request, duplicates included.
    """

    __slots__ = ("_answer",)
    _answer: "Answer | ComputedAnswer"

    def __init__(self, answer: "Answer | ComputedAnswer") -> None:
        self._answer = answer

    def __len__(self) -> int:
        return self._answer.n_rows

    @property
    def names(self) -> list[str]:
        """Columns, in order."""
        return list(self._answer.names)

    def to_dict(self, include_event_timestamps: bool = False) -> dict[str, list[Any]]:
        """Values by column: Python objects, None where there is none; times are UTC datetimes.

        Parameters
        ----------
        include_event_timestamps : bool
            Also ``<name>__ts``: seconds since 1970 of the row that each feature came from.
        """
        return self._answer.to_dict(include_event_timestamps)

    @property
    def statuses(self) -> dict[str, list[FieldStatus]]:
        """How each value came about, by column."""
        return {k: [FieldStatus(s) for s in v] for k, v in self._answer.statuses().items()}

    @property
    def event_timestamps(self) -> dict[str, list[float | None]]:
        """Seconds since 1970 of each feature's row; None where nothing was found."""
        return self._answer.event_timestamps()

    def to_stream(self, with_statuses: bool = False) -> "Stream":
        """Return the answer as an Arrow stream.

        Parameters
        ----------
        with_statuses : bool
            Also ``<name>__status`` (int32) and ``<name>__event_timestamp`` of every feature.
        """
        return self._answer.to_stream(with_statuses)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._answer.to_stream().__arrow_c_stream__(requested_schema)

    def to_arrow(self) -> Any:
        """Return the answer as a `pyarrow.Table`."""
        import pyarrow as pa

        return pa.RecordBatchReader.from_stream(self._answer.to_stream()).read_all()

    def to_numpy(self) -> dict[str, Any]:
        """Return the answer as NumPy arrays by column; numbers and times make no Python objects.

        Returns
        -------
        dict of str to numpy.ndarray
            Integers, floats and times without nulls are views of the answer's memory, read-only.
            Null floats are NaN, null times NaT; integers and booleans with nulls are
            `numpy.ma.MaskedArray`. Times are ``datetime64`` in UTC, dates ``datetime64[D]``. Texts,
            bytes and lists are arrays of objects, None where null.
        """
        from tiffin.column.numpy_arrays import table_to_numpy

        return table_to_numpy(self.to_arrow())

    def to_df(
        self, include_event_timestamps: bool = False, dtype_backend: str | None = None
    ) -> Any:
        """Return the answer as a pandas DataFrame; dtypes are those of `RetrievalJob.to_df`.

        Parameters
        ----------
        include_event_timestamps : bool
            Also ``<name>__ts`` as in `to_dict`, at the end.
        dtype_backend : {None, "pyarrow", "numpy_nullable"}
        """
        from tiffin.column.convert import table_to_pandas

        if not include_event_timestamps:
            return table_to_pandas(self.to_arrow(), dtype_backend, with_objects=True)
        import pyarrow as pa

        names = self._answer.names
        table = pa.RecordBatchReader.from_stream(self._answer.to_stream(True)).read_all()
        frame = table_to_pandas(table.select(list(names)), dtype_backend, with_objects=True)
        for name in names[self._answer.n_keys :]:
            frame[f"{name}__ts"] = _epoch_seconds(table[f"{name}__event_timestamp"])
        return frame

    def to_polars(self) -> Any:
        """Return the answer as a `polars.DataFrame`."""
        import polars as pl

        return pl.from_arrow(self.to_arrow())

    def __repr__(self) -> str:
        return f"<OnlineResponse: {self._answer.n_rows} rows of {', '.join(self._answer.names)}>"


def _epoch_seconds(times: Any) -> Any:
    """Return whole seconds since 1970 of a column of times as an array; 0 for null, as Feast."""
    import pyarrow as pa
    import pyarrow.compute as pc

    per_second = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}[times.type.unit]
    return pc.fill_null(times.cast(pa.int64()), 0).to_numpy() // per_second
