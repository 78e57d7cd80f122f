"""What a training set asks of the engine: one request, its entity rows, its rules."""

import datetime
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiffin.offline.deadline import Deadline, Progress
from tiffin.offline.frames import Frame
from tiffin.progress import watched

if TYPE_CHECKING:
    from tiffin._native import Store, Stream


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


@dataclass(frozen=True)
class Question:
    """A training set as it was asked for, whatever its entity rows.

    Attributes
    ----------
    request : str
        Features, as the engine takes them (JSON).
    arguments : dict
        The rules: ``filter_by_created``, ``known_at_us``, ``time_column``.
    """

    request: str
    arguments: dict[str, Any]


class Retrieval:
    """One question to the engine, to be planned, described or run any number of times.

    Parameters
    ----------
    engine : Store
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

    __slots__ = ("_engine", "_on_report", "_progress", "folder", "frame", "question")

    def __init__(
        self,
        engine: "Store",
        question: Question,
        frame: Frame,
        progress: "Progress | bool | None",
        folder: Path,
        on_report: Callable[[str], None],
    ) -> None:
        self._engine = engine
        self._progress = progress
        self._on_report = on_report
        self.question = question
        self.frame = frame
        self.folder = folder

    def run(self, deadline: Deadline) -> "tuple[Stream, str]":
        """Compute the training set; also return the report of how it was made."""
        with watched(self._progress) as tell:
            result = self._engine.historical(
                self.question.request,
                self.frame.stream,
                progress=deadline.watch(tell),
                **self.question.arguments,
            )
        self._on_report(result[1])
        return result

    def plan(self) -> str:
        """Return the report of how it would be made."""
        return self._engine.explain(
            self.question.request, self.frame.stream, **self.question.arguments
        )

    def describe(self) -> dict[str, Any]:
        """Return what is asked for: features, keys, times. Looks at no source file."""
        answer = self._engine.make_manifest(
            self.question.request, self.frame.stream, names_only=True, **self.question.arguments
        )
        asked: dict[str, Any] = json.loads(answer)["asked"]
        return asked

    def make_manifest(self, writer: str, deadline: Deadline) -> dict[str, Any]:
        """Return what it would be made from now: docs/formats/saved-dataset.md."""
        answer = self._engine.make_manifest(
            self.question.request,
            self.frame.stream,
            writer=writer,
            progress=deadline.watch(None),
            **self.question.arguments,
        )
        manifest: dict[str, Any] = json.loads(answer)["manifest"]
        return manifest
