"""``RetrievalJob``: a training set that is computed when it is first needed."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiffin.column.convert import check_backend, table_to_pandas
from tiffin.errors import IoError
from tiffin.offline.explanation import Explanation
from tiffin.offline.frames import Frame

if TYPE_CHECKING:
    from tiffin._native import Stream
    from tiffin.offline.leakage import Question


class RetrievalJob:
    """A training set that is computed when it is first needed, once.

    Its rows are the entity rows, all of them, in order: their columns unchanged, then the features
    in the order asked. It may be shared between threads. Whatever reads Arrow streams reads it:
    ``duckdb.sql("from job")``, ``polars.DataFrame(job)``, ``pyarrow.table(job)``.
    """

    def __init__(
        self,
        run: Callable[[], "tuple[Stream, str]"],
        plan: Callable[[], str],
        frame: Frame,
        question: "Question",
    ) -> None:
        self.question = question
        self._run = run
        self._plan = plan
        self._frame = frame
        self._lock = threading.Lock()
        self._result: tuple[Any, str] | None = None

    def _compute(self) -> "tuple[Stream, str]":
        with self._lock:
            if self._result is None:
                self._result = self._run()
            return self._result

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._compute()[0].__arrow_c_stream__(requested_schema)

    def to_arrow(self) -> Any:
        """Return the training set as a `pyarrow.Table`, without loss.

        Times of features are ``timestamp[unit of the source, UTC]``.
        """
        import pyarrow as pa

        return pa.RecordBatchReader.from_stream(self._compute()[0]).read_all()

    def to_df(self, dtype_backend: str | None = None) -> Any:
        """Return the training set as a pandas DataFrame.

        Parameters
        ----------
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
        table = self.to_arrow()
        spine = self._frame.pandas
        if spine is None:
            return table_to_pandas(table, dtype_backend)
        import pandas as pd

        names = table.column_names[len(self._frame.names) :]
        features = table_to_pandas(table.select(names), dtype_backend, spine.index)
        return pd.concat([spine, features], axis=1)

    def to_polars(self) -> Any:
        """Return the training set as a `polars.DataFrame`.

        Entity rows that were a Polars frame come back as they were.
        """
        import polars as pl

        spine = self._frame.polars
        if spine is None:
            return pl.from_arrow(self.to_arrow())
        table = self.to_arrow()
        features: Any = pl.from_arrow(table.select(table.column_names[len(self._frame.names) :]))
        return spine.hstack(features.get_columns())

    def to_parquet(self, path: str | os.PathLike[str]) -> None:
        """Write the training set to one Parquet file (zstd).

        Parameters
        ----------
        path : str or os.PathLike
            Replaced if it exists, at once and only when all is written.
        """
        import pyarrow.parquet as pq

        target = Path(path)
        part = target.with_name(f"{target.name}.{os.getpid()}.{threading.get_ident()}.part")
        table = self.to_arrow()
        try:
            pq.write_table(table, part, compression="zstd")
            part.replace(target)
        except OSError as error:
            raise IoError(f"cannot write {target}: {error.strerror or error}") from error
        finally:
            part.unlink(missing_ok=True)

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
        return Explanation(self._plan() if result is None else result[1])

    def __repr__(self) -> str:
        state = "not computed yet" if self._result is None else "computed"
        return f"<RetrievalJob: {state}>"
