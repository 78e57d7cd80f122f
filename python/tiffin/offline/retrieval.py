"""A training set to be made: a question, and the entity rows that it is asked for."""

import datetime
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiffin.offline.deadline import Deadline, Progress
from tiffin.offline.frames import Frame
from tiffin.offline.question import Question
from tiffin.progress import watched

if TYPE_CHECKING:
    from pyarrow import RecordBatchReader

    from tiffin._native import Stream

BATCH_ROWS = 65_536
"""Rows of a batch, if nobody says otherwise."""


class RetrievalMetadata:
    """What a training set asks for.

    Attributes
    ----------
    features : list of str
        References ``"view:feature"``, in the order of the columns.
    keys : list of str
        Join keys: columns of the entity rows.
    min_event_timestamp, max_event_timestamp : datetime or None
        First and last time of the entity rows, UTC; None when there are no rows.
    """

    def __init__(
        self,
        features: list[str],
        keys: list[str],
        min_event_timestamp: datetime.datetime | None = None,
        max_event_timestamp: datetime.datetime | None = None,
    ) -> None:
        self.features = features
        self.keys = keys
        self.min_event_timestamp = min_event_timestamp
        self.max_event_timestamp = max_event_timestamp

    def __repr__(self) -> str:
        return (
            f"RetrievalMetadata(features={self.features!r}, keys={self.keys!r}, "
            f"min_event_timestamp={self.min_event_timestamp!r}, "
            f"max_event_timestamp={self.max_event_timestamp!r})"
        )


class Rows:
    """A training set on its way: its batches are computed as they are iterated, once.

    It has what a `pyarrow.RecordBatchReader` has, but that errors stay what they are: of an error
    an Arrow stream carries the sentence alone.

    Parameters
    ----------
    first : pyarrow.RecordBatch
    rest : generator of pyarrow.RecordBatch
    """

    __slots__ = ("_first", "_rest", "schema")

    def __init__(self, first: Any, rest: "Generator[Any]") -> None:
        self.schema = first.schema
        self._first = first
        self._rest = rest

    def __iter__(self) -> Iterator[Any]:
        first, self._first = self._first, None
        if first is not None:
            yield first
        del first  # not kept while the rest is computed
        yield from self._rest

    def close(self) -> None:
        """End the computation, and give back what it holds."""
        self._first = None
        self._rest.close()


class Retrieval:
    """One question about some entity rows, to be planned, described or run any number of times.

    Parameters
    ----------
    question : Question
    frame : Frame
        Entity rows.
    progress : callable, bool or None
        As `FeatureStore.get_historical_features`.
    folder : pathlib.Path
        Where relative paths start: the repo's folder.
    on_report : callable
        Called with the report of each run.
    """

    __slots__ = ("_on_report", "_progress", "folder", "frame", "question")

    def __init__(
        self,
        question: Question,
        frame: Frame,
        progress: "Progress | bool | None",
        folder: Path,
        on_report: Callable[[str], None],
    ) -> None:
        self._progress = progress
        self._on_report = on_report
        self.question = question
        self.frame = frame
        self.folder = folder

    def run(self, deadline: Deadline) -> "tuple[Stream, str]":
        """Compute the training set; also return the report of how it was made."""
        with watched(self._progress) as tell:
            result = self.question.ask(self.frame, deadline.watch(tell))
        self._on_report(result[1])
        return result

    def iterate(self, max_rows: int, deadline: Deadline) -> "Generator[Any]":
        """Yield the training set batch by batch, computed as far as it is read."""
        with watched(self._progress) as tell:
            watching = deadline.watch(tell)
            yield from self.question.iterate(self.frame, max_rows, watching, self._on_report)

    def read(self, deadline: Deadline) -> "RecordBatchReader | Rows":
        """Return the training set to be computed as it is read, within the memory limit."""
        import pyarrow as pa

        deadline.check()
        batches = self.iterate(BATCH_ROWS, deadline)
        first = next(batches, None)
        if first is None:  # no rows: what their columns would be, only the whole says
            return pa.RecordBatchReader.from_stream(self.run(deadline)[0])
        return Rows(first, batches)

    def plan(self) -> str:
        """Return the report of how it would be made."""
        return self.question.explain(self.frame)

    def describe(self) -> dict[str, Any]:
        """Return what is asked for: features, keys, times. Looks at no source file."""
        return self.question.describe(self.frame)

    def make_manifest(self, writer: str, deadline: Deadline) -> dict[str, Any]:
        """Return what it would be made from now: docs/formats/saved-dataset.md."""
        return self.question.make_manifest(self.frame, writer, deadline.watch(None))
