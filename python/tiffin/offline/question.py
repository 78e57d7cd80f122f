"""What is asked of the past: features and rules, for any entity rows."""

import json
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from tiffin.column.logical import has_meaning
from tiffin.errors import InvalidError
from tiffin.offline.frames import Frame, read_frame
from tiffin.store.times import to_us_or_none

if TYPE_CHECKING:
    from tiffin._native import Store, Stream
    from tiffin.compute.resolution import Resolution
    from tiffin.registry.on_demand_feature_view import OnDemandFeatureView
    from tiffin.store.entity_rows import EventWindow

Tell = Callable[[str, int, int], Any]


class Question:
    """Features and rules of a training set, whatever its entity rows.

    It is resolved anew by each call, so what is applied meanwhile counts.

    Parameters
    ----------
    engine : Store
    arguments : dict
        The rules, as the engine takes them: ``filter_by_created``, ``known_at_us``,
        ``time_column``.
    memory_limit_bytes : int
        Memory that a training set may take; 0 = as configured.
    resolve : callable
        Returns what the features take, by the newest definitions: a `Resolution`.
    find_view : callable
        Returns an on-demand view by name.
    """

    __slots__ = ("_arguments", "_engine", "_find_view", "_joining", "_resolve")

    def __init__(
        self,
        engine: "Store",
        arguments: dict[str, Any],
        memory_limit_bytes: int,
        resolve: "Callable[[], Resolution]",
        find_view: "Callable[[str], OnDemandFeatureView]",
    ) -> None:
        self._engine = engine
        self._arguments = arguments
        self._joining = {**arguments, "memory_limit_bytes": memory_limit_bytes}
        self._resolve = resolve
        self._find_view = find_view

    @property
    def memory_limit_bytes(self) -> int:
        """Memory that a training set may take; 0 = as configured."""
        limit: int = self._joining["memory_limit_bytes"]
        return limit

    def check(self) -> list[str]:
        """Refuse features and views that are not there, before anything is read.

        Returns
        -------
        list of str
            Columns of the entity rows that are request data of a type with a meaning: in them
            objects of Python, such as dicts, are values and no structs.
        """
        fields = self._resolve().request_fields()
        return [name for name, (_, dtype) in fields.items() if has_meaning(dtype.text)]

    def ask(self, frame: Frame, tell: Tell | None) -> "tuple[Stream, str]":
        """Return the training set of some entity rows, and the report of how it was made."""
        return self._resolve().training_set(
            frame,
            lambda request: self._engine.historical(
                request, frame.stream, progress=tell, **self._joining
            ),
        )

    def iterate(
        self, frame: Frame, max_rows: int, tell: Tell | None, on_report: Callable[[str], None]
    ) -> "Generator[Any]":
        """Yield the training set as record batches, computed as far as it is read.

        `on_report` is called with the report once all is read.
        """
        import pyarrow as pa

        resolution = self._resolve()
        if resolution.reads_nothing:
            for batch in resolution.complete(frame.stream, frame.names):
                for begin in range(0, batch.num_rows, max_rows):
                    yield batch.slice(begin, max_rows)
            on_report(self.explain(frame))
            return
        batches = self._engine.batches(
            self._to_be_read(),
            frame.stream,
            max_batch_rows=max_rows,
            progress=tell,
            **self._joining,
        )
        try:
            while (stream := batches.next()) is not None:
                if resolution:
                    yield from resolution.complete(stream, frame.names)
                else:
                    yield from pa.RecordBatchReader.from_stream(stream)
            on_report(batches.report())
        finally:
            batches.close()

    def explain(self, frame: Frame) -> str:
        """Return the report of how it would be made."""
        return self._resolve().explain(
            frame, lambda request: self._engine.explain(request, frame.stream, **self._joining)
        )

    def on_demand_views(self) -> "list[OnDemandFeatureView]":
        """Return the on-demand views that are asked for, or that one of these reads."""
        return [self._find_view(name) for name in self._resolve().view_names()]

    def read_events(self, window: "EventWindow", tell: Tell | None) -> Frame:
        """Return the events of the views that are read, as entity rows."""
        stream = self._engine.events(
            self._to_be_read(),
            start_us=to_us_or_none(window.start_date, "start_date"),
            end_us=to_us_or_none(window.end_date, "end_date"),
            known_at_us=to_us_or_none(window.known_at, "known_at"),
            one_row_per_key=bool(window.one_row_per_entity),
            max_bytes=self._joining["memory_limit_bytes"],
            progress=tell,
        )
        return read_frame(stream, "the events")

    def describe(self, frame: Frame) -> dict[str, Any]:
        """Return what is asked for: features, keys, times. Looks at no source file."""
        resolution = self._resolve()
        if resolution.reads_nothing:
            return resolution.describe_request_data(frame)
        answer = self._engine.make_manifest(
            resolution.asked, frame.stream, names_only=True, **self._arguments
        )
        asked: dict[str, Any] = json.loads(answer)["asked"]
        return asked

    def make_manifest(self, frame: Frame, writer: str, tell: Tell | None) -> dict[str, Any]:
        """Return what it would be made from now: docs/formats/saved-dataset.md."""
        answer = self._engine.make_manifest(
            self._resolve().asked, frame.stream, writer=writer, progress=tell, **self._arguments
        )
        manifest: dict[str, Any] = json.loads(answer)["manifest"]
        return manifest

    def check_rows(self, table: Any, tell: Tell | None) -> dict[str, Any]:
        """Return counts and examples of rows that could know too much, and the outputs' views."""
        resolution = self._resolve()
        rows: dict[str, Any] = {"rows": len(table), "time_column": None, "keys": [], "views": []}
        if not resolution.reads_nothing:
            answer = self._engine.check_leakage(
                self._to_be_read(), table, progress=tell, **self._arguments
            )
            rows = json.loads(answer)
        if resolution:
            rows["outputs"] = [
                {"name": name, "view": column.split(":")[0]} for name, column in resolution.columns
            ]
            rows["requests"] = list(resolution.request_fields())
        return rows

    def _to_be_read(self) -> str:
        resolution = self._resolve()
        request = resolution.request if resolution else resolution.asked
        if request is None:
            raise InvalidError(
                "nothing of what is asked for is read from a source: "
                f"{', '.join(resolution.view_names())} take only what the entity rows bring along"
            )
        return request
