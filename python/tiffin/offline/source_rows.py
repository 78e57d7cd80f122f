"""``SourceRows``: rows of one feature view, without entity rows."""

from typing import TYPE_CHECKING, Any

from tiffin.column.convert import check_backend, table_to_pandas
from tiffin.report import Report

if TYPE_CHECKING:
    from tiffin._native import Stream


class SourceRows:
    """Rows of one feature view: what `FeatureStore.latest` and `FeatureStore.history` return.

    Columns are the join keys, the source's time column and (if it has one) its created column, then
    the features. Whatever reads Arrow streams reads it: ``duckdb.sql("from rows")``,
    ``polars.DataFrame(rows)``, ``pyarrow.table(rows)``.

    Attributes
    ----------
    report : Report
        What was read, and what became of every row: ``rows``, ``keys``, ``source_rows``.
    """

    __slots__ = ("_stream", "report")
    report: Report

    def __init__(self, stream: "Stream", report: str) -> None:
        self._stream = stream
        self.report = Report(report)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._stream.__arrow_c_stream__(requested_schema)

    def __len__(self) -> int:
        return int(self.report.to_dict()["rows"])

    def to_arrow(self) -> Any:
        """Return the rows as a `pyarrow.Table`, without loss."""
        import pyarrow as pa

        return pa.RecordBatchReader.from_stream(self._stream).read_all()

    def to_df(self, dtype_backend: str | None = None) -> Any:
        """Return the rows as a pandas DataFrame; `dtype_backend` as `RetrievalJob.to_df`."""
        check_backend(dtype_backend)
        return table_to_pandas(self.to_arrow(), dtype_backend)

    def to_polars(self) -> Any:
        """Return the rows as a `polars.DataFrame`."""
        import polars as pl

        return pl.from_arrow(self.to_arrow())

    def __repr__(self) -> str:
        content = self.report.to_dict()
        return f"<SourceRows of {content['view']!r}: {content['rows']:,} rows>"
