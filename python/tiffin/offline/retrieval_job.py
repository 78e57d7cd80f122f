"""``RetrievalJob``: a training set that is computed when it is first needed."""

import contextlib
import operator
import os
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiffin.column.convert import check_backend, table_to_pandas
from tiffin.errors import InvalidError, SchemaError, TiffinError, UnsupportedError
from tiffin.offline.deadline import Deadline
from tiffin.offline.explanation import Explanation
from tiffin.offline.retrieval import BATCH_ROWS, Retrieval, RetrievalMetadata, Rows

if TYPE_CHECKING:
    from pyarrow import RecordBatchReader

    from tiffin._native import Stream


class RetrievalJob:
    """A training set that is computed when it is first needed, once.

    Its rows are the entity rows, all of them, in order: their columns unchanged, then the features
    in the order asked. It may be shared between threads. Whatever reads Arrow streams reads it:
    ``duckdb.sql("from job")``, ``polars.DataFrame(job)``, ``pyarrow.table(job)``.

    A `timeout` is in seconds, counts from the call, and ends the computation with a
    `TimedOutError` (a `TimeoutError`); a later call begins anew.
    """

    def __init__(self, retrieval: Retrieval) -> None:
        self.retrieval = retrieval
        self._lock = threading.Lock()
        self._result: tuple[Any, str] | None = None
        self._asked: dict[str, Any] | None = None

    def _compute(self, deadline: Deadline | None = None) -> "tuple[Stream, str]":
        deadline = deadline or Deadline(None)
        with self._alone(deadline):
            if self._result is None:
                deadline.check()
                self._result = self.retrieval.run(deadline)
            return self._result

    def _read(self, deadline: Deadline) -> "RecordBatchReader | Rows":
        """Return the rows: as they were computed, or else to be computed as they are read."""
        import pyarrow as pa

        with self._alone(deadline):
            result = self._result
        if result is None:
            return self.retrieval.read(deadline)
        return pa.RecordBatchReader.from_stream(result[0])

    @contextlib.contextmanager
    def _alone(self, deadline: Deadline) -> Iterator[None]:
        while not self._lock.acquire(timeout=deadline.remaining_s()):
            deadline.check()
        try:
            yield
        finally:
            self._lock.release()

    def asked(self) -> dict[str, Any]:
        """Return what is asked for, as the engine understands it. Does not compute anything."""
        if self._asked is None:
            self._asked = self.retrieval.describe()
        return self._asked

    def computed(self) -> "Stream | None":
        """Return the rows, if they were computed already."""
        result = self._result
        return None if result is None else result[0]

    @property
    def _n_entity_columns(self) -> int:
        return len(self.retrieval.frame.names)

    # ---- the rows, in every form

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._compute()[0].__arrow_c_stream__(requested_schema)

    def to_arrow(self, validation_reference: Any = None, timeout: float | None = None) -> Any:
        """Return the training set as a `pyarrow.Table`, without loss.

        Times of features are ``timestamp[unit of the source, UTC]``.

        Parameters
        ----------
        validation_reference
            Feast's; does not exist in this release.
        timeout : float, optional
        """
        import pyarrow as pa

        _refuse_validation(validation_reference)
        return pa.RecordBatchReader.from_stream(self._compute(Deadline(timeout))[0]).read_all()

    def to_batches(self, max_rows: int | None = None) -> Iterator[Any]:
        """Yield the training set as `pyarrow.RecordBatch` objects, in order.

        Where the memory limit forces parts of consecutive rows, a batch is yielded before the parts
        behind it are computed. Nothing is kept: iterating again computes again, unless `to_arrow`
        or the like has computed the whole before.

        Parameters
        ----------
        max_rows : int, optional
            Most rows of a batch; default 65,536.

        Raises
        ------
        TiffinError
            When the part in which it happens is reached; batches before it are right.
        """
        try:
            rows = BATCH_ROWS if max_rows is None else operator.index(max_rows)
        except TypeError:
            raise SchemaError(
                f"max_rows must be a whole number, not {type(max_rows).__name__}"
            ) from None
        if rows < 1:
            raise InvalidError(f"max_rows must be at least 1, not {max_rows!r}")
        return self._iterate(rows)

    def _iterate(self, max_rows: int) -> Iterator[Any]:
        import pyarrow as pa

        result = self._result
        if result is not None:
            for batch in pa.RecordBatchReader.from_stream(result[0]):
                for begin in range(0, batch.num_rows, max_rows):
                    yield batch.slice(begin, max_rows)
            return
        yield from self.retrieval.iterate(max_rows, Deadline(None))

    def to_df(
        self,
        validation_reference: Any = None,
        timeout: float | None = None,
        *,
        dtype_backend: str | None = None,
    ) -> Any:
        """Return the training set as a pandas DataFrame.

        Parameters
        ----------
        validation_reference
            Feast's; does not exist in this release.
        timeout : float, optional
        dtype_backend : {None, "pyarrow", "numpy_nullable"}
            None: floats stay floats (null is NaN); integers and booleans become pandas' nullable
            types if there is a null, else NumPy's; times are UTC; lists are lists, dates
            `datetime.date`. ``"pyarrow"`` loses nothing.

        Returns
        -------
        pandas.DataFrame
            Entity rows that were a pandas frame come back as they were: index, dtypes, values.

        Raises
        ------
        TiffinError
            Whatever went wrong in the engine; see `FeatureStore.get_historical_features`.
        """
        check_backend(dtype_backend)
        table = self.to_arrow(validation_reference, timeout)
        spine = self.retrieval.frame.pandas
        if spine is None:
            return table_to_pandas(table, dtype_backend)
        import pandas as pd

        names = table.column_names[self._n_entity_columns :]
        features = table_to_pandas(table.select(names), dtype_backend, spine.index)
        return pd.concat([spine, features], axis=1)

    def to_polars(self, timeout: float | None = None) -> Any:
        """Return the training set as a `polars.DataFrame`.

        Entity rows that were a Polars frame come back as they were.
        """
        import polars as pl

        spine = self.retrieval.frame.polars
        table = self.to_arrow(timeout=timeout)
        if spine is None:
            return pl.from_arrow(table)
        features: Any = pl.from_arrow(table.select(table.column_names[self._n_entity_columns :]))
        return spine.hstack(features.get_columns())

    def to_numpy(
        self,
        columns: list[str] | None = None,
        dtype: Any = None,
        timeout: float | None = None,
    ) -> Any:
        """Return the training set as NumPy arrays, by column; or numbers as one matrix.

        Parameters
        ----------
        columns : list of str, optional
            Only these. Default: all; for a matrix all features.
        dtype : NumPy dtype, optional
            Given, the result is a matrix, e.g. ``to_numpy(["trips", "rate"], dtype="float32")``.
        timeout : float, optional

        Returns
        -------
        dict of str to numpy.ndarray
            Arrays of n rows. Floats as they are (null is NaN); integers with nulls float64, or
            objects where that is not exact; booleans with nulls objects; times ``datetime64`` in
            UTC (null is NaT); lists an object per row, an ndarray of the items; text, bytes and
            all else objects, None for null.
        numpy.ndarray
            With `dtype`: n rows x columns, C order, null is NaN.

        Raises
        ------
        NotFoundError
            No such column.
        SchemaError
            A matrix of something that is no number, or of integers with nulls.
        """
        from tiffin.column.arrays import select_columns, table_to_arrays, table_to_matrix

        table = self.to_arrow(timeout=timeout)
        if columns is None and dtype is not None:
            columns = table.column_names[self._n_entity_columns :]
        if columns is not None:
            table = select_columns(table, columns)
        return table_to_arrays(table) if dtype is None else table_to_matrix(table, dtype)

    def to_tensor(
        self,
        kind: str = "torch",
        default_value: Any = float("nan"),
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Return PyTorch tensors of n numbers by column, and lists for what is no number.

        Parameters
        ----------
        kind : {"torch"}
        default_value
            What a missing value, null or NaN, becomes.
        timeout : float, optional

        Returns
        -------
        dict of str to torch.Tensor or list
            Floats keep their width. Integers and booleans keep their type if nothing is missing,
            or `default_value` is of it; else they are float64. On the GPU if there is one, as in
            Feast.

        Raises
        ------
        UnsupportedError
            PyTorch is not installed.
        """
        from tiffin.column.arrays import table_to_tensors

        return table_to_tensors(self.to_arrow(timeout=timeout), kind, default_value)

    def to_duckdb(self, connection: Any = None, timeout: float | None = None) -> Any:
        """Return the training set as a relation of the Python package ``duckdb``.

        Parameters
        ----------
        connection : duckdb.DuckDBPyConnection, optional
            Default: the package's own.
        timeout : float, optional

        Returns
        -------
        duckdb.DuckDBPyRelation
            Over the rows in memory; to be used with that connection.
        """
        import duckdb

        table = self.to_arrow(timeout=timeout)
        return (connection or duckdb.default_connection()).from_arrow(table)

    def to_parquet(self, path: str | os.PathLike[str], timeout: float | None = None) -> None:
        """Write the training set to one Parquet file (zstd), or to a folder of them.

        If it was not computed before, it is written as it is computed, within the memory limit, and
        not kept: what asks for rows afterwards computes them again.

        Parameters
        ----------
        path : str or os.PathLike
            ``*.parquet`` (or ``.pq``, ``.parq``): one file, replaced if it exists, at once and only
            when all is written. Anything else is a folder of ``part-00000.parquet``, ...
        timeout : float, optional

        Raises
        ------
        IoError
            It cannot be written.
        SchemaError
            A column of a type that Parquet does not have.
        """
        from tiffin.offline.parquet import write_parquet

        deadline = Deadline(timeout)
        write_parquet(self._read(deadline), Path(path).absolute(), True, deadline)

    def persist(
        self, storage: Any, allow_overwrite: bool = False, timeout: float | None = None
    ) -> None:
        """Write the training set to a storage, whole or not at all; computed as by `to_parquet`.

        Parameters
        ----------
        storage : SavedDatasetFileStorage
            A Parquet file, or a folder of them; relative to the folder of ``feature_store.yaml``.
        allow_overwrite : bool
            Replace what is there.
        timeout : float, optional

        Raises
        ------
        SavedDatasetLocationAlreadyExists
            Something is there.
        IoError, SchemaError
            As `to_parquet`.
        """
        from tiffin.offline.parquet import prepare_target, write_parquet
        from tiffin.registry.saved_dataset import as_storage

        deadline = Deadline(timeout)
        target = as_storage(storage).locate(self.retrieval.folder)
        prepare_target(target, allow_overwrite)
        write_parquet(self._read(deadline), target, allow_overwrite, deadline)

    def supports_remote_storage_export(self) -> bool:
        """Whether `to_remote_storage` exists: it does not, files are written with `persist`."""
        return False

    def to_remote_storage(self) -> list[str]:
        """Feast's; raises `UnsupportedError`."""
        raise UnsupportedError(
            "there is no remote storage to export to; write files with persist()"
        )

    def to_sql(self) -> str:
        """Feast's, of stores that run SQL; raises `UnsupportedError`."""
        raise UnsupportedError(
            "a training set is not made by SQL, so there is none to show; explain() says how it is "
            "made, to_duckdb() gives a relation to query"
        )

    # ---- about it

    @property
    def metadata(self) -> RetrievalMetadata:
        """What is asked for. Does not compute the training set.

        Raises
        ------
        NotFoundError, SchemaError, InvalidError
            A view, feature, service or column that is not there.
        """
        asked = self.asked()
        first, last = asked["min_event_timestamp"], asked["max_event_timestamp"]
        return RetrievalMetadata(
            features=list(asked["features"]),
            keys=list(asked["join_keys"]),
            min_event_timestamp=None if first is None else datetime.fromisoformat(first),
            max_event_timestamp=None if last is None else datetime.fromisoformat(last),
        )

    @property
    def full_feature_names(self) -> bool:
        """Whether columns are called ``view__feature``."""
        return bool(self.asked()["full_feature_names"])

    @property
    def on_demand_feature_views(self) -> list[Any]:
        """On-demand feature views among what is asked for, and those that they read."""
        return list(self.retrieval.question.on_demand_views())

    def explain(self, analyze: bool = False) -> Explanation:
        """How it is made: files, row groups, bytes, rows, predicate, memory, seconds per step.

        Parameters
        ----------
        analyze : bool
            Compute the training set first, if that was not done yet.

        Returns
        -------
        Explanation
            Before the training set was computed the plan; afterwards, what really happened. With
            warnings about what is probably not meant.
        """
        result = self._compute() if analyze else self._result
        return Explanation(self.retrieval.plan() if result is None else result[1])

    def __repr__(self) -> str:
        state = "not computed yet" if self._result is None else "computed"
        return f"<RetrievalJob: {state}>"

    def _repr_html_(self) -> str:
        """For notebooks: state, schema and plan. Does not compute the training set."""
        from tiffin.offline.job_html import job_to_html

        result = self._result
        try:
            plan = str(self.explain())
            asked = self.asked()
        except TiffinError as error:  # shown where the person looks; any use of the job raises it
            return job_to_html(None, [], str(error))
        if result is None:
            columns = [(name, "") for name in self.retrieval.frame.names]
            columns += [(reference, "feature") for reference in asked["features"]]
            return job_to_html("not computed yet", columns, plan)
        import pyarrow as pa

        schema = pa.RecordBatchReader.from_stream(result[0]).schema
        return job_to_html("computed", [(f.name, str(f.type)) for f in schema], plan)


def _refuse_validation(reference: Any) -> None:
    if reference is None:
        return
    if isinstance(reference, int | float | str):
        raise SchemaError(
            f"validation_reference must be None, not {reference!r}; pass timeout= or "
            "dtype_backend= by name"
        )
    raise UnsupportedError("validation references do not exist in this release")
