"""What a request with on-demand views takes: what to read, run in order and give out.

One resolution serves training sets and lookups.

The engine's answer says it all (``Store.resolve``); here it is carried out on Arrow columns.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from tiffin.compute.functions import Functions
from tiffin.compute.run import Input, Transformation
from tiffin.compute.values import arrow_field, from_result
from tiffin.errors import (
    InvalidError,
    NotFoundError,
    RequestDataNotFoundInEntityDfException,
    RequestDataNotFoundInEntityRowsException,
    SchemaError,
)
from tiffin.types import FeatureType, from_text

if TYPE_CHECKING:
    from tiffin._native import ArrowStreamable, Stream
    from tiffin.offline.frames import Frame

MAX_BATCH_ROWS = 65_536
"""Rows of one call of a function in a training set."""


def _report_of_nothing_read(n_rows: int) -> str:
    """Report of a training set that takes request data alone."""
    return json.dumps({"views": [], "rows": n_rows, "ran": False, "seconds": 0.0})


class Resolution:
    """A request, resolved.

    Parameters
    ----------
    asked : str
        The request as the caller made it.
    answer : str
        What the engine says of it.
    functions : Functions
        Where the views' functions are found, when they are first run.

    Attributes
    ----------
    commit : int
        State of the registry that it holds for.
    request : str or None
        What to read, for the engine; None = nothing.
    columns : list of (str, str)
        What to give out: name, and which column of the batch it is.
    """

    def __init__(self, asked: str, answer: str, functions: Functions) -> None:
        self.asked = asked
        content: dict[str, Any] = json.loads(answer)
        self.commit: int = content["commit"]
        self._views = [_View(each) for each in content["on_demand"]]
        self._functions = functions
        projections = content.get("request", {}).get("projections", [])
        self.request = json.dumps({"projections": projections}) if projections else None
        self.columns = [(c["name"], c["column"]) for c in content.get("columns", [])]

    def __bool__(self) -> bool:
        """Whether there is anything to run; if not, the request needs no resolution."""
        return bool(self._views)

    def view_names(self) -> list[str]:
        """Names of the on-demand views that are run, in order."""
        return [view.transformation.name for view in self._views]

    @property
    def types(self) -> dict[str, FeatureType]:
        """Type of every column that is computed."""
        return {
            view.column(name): dtype
            for view in self._views
            for name, dtype in view.transformation.outputs.items()
        }

    def request_fields(self) -> dict[str, tuple[str, FeatureType]]:
        """Return what the caller brings along: field -> a view that reads it, and its type."""
        return {
            each.column: (view.transformation.name, each.dtype)
            for view in reversed(self._views)
            for each in view.transformation.inputs
            if each.is_request
        }

    def check_requests(self, given: Iterable[str], error: type[NotFoundError]) -> None:
        """Refuse entity rows whose columns lack a field of the request.

        Parameters
        ----------
        given : iterable of str
            Columns of the entity rows.
        error : class
            Raised; names the view, the field, and what there is.
        """
        has = list(given)
        for name, (view, _) in self.request_fields().items():
            if has and name not in has:
                raise error(
                    f"on-demand feature view {view!r} needs {name!r} of its request, which the "
                    f"entity rows do not have; they have {', '.join(has)}"
                )

    def read_requests(self, given: Mapping[str, Any], n_rows: int) -> dict[str, Any]:
        """Return the request's fields as columns of their declared types.

        Parameters
        ----------
        given : mapping of str to sequence
            Columns of the entity rows.
        n_rows : int

        Raises
        ------
        NotFoundError
            A field is missing.
        SchemaError, InvalidError
            One that is not of its type, or not of `n_rows` values.
        """
        import pyarrow as pa

        self.check_requests(given, RequestDataNotFoundInEntityRowsException)
        fields = {}
        for name, (view, dtype) in self.request_fields().items():
            values = given[name] if n_rows > 0 else []
            if not isinstance(values, pa.Array | pa.ChunkedArray):
                values = list(values)
            if len(values) != n_rows:
                raise InvalidError(
                    f"the entity rows have {len(values):,} values of {name!r} and {n_rows:,} rows"
                )
            try:
                fields[name] = from_result(values, dtype, lenient=True)
            except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
                raise SchemaError(
                    f"on-demand feature view {view!r} needs {name!r} of its request as "
                    f"{dtype.text}, and the entity rows have it otherwise: "
                    f"{str(error).splitlines()[0]}"
                ) from error
        return fields

    def compute(
        self, columns: Mapping[str, Any], requests: Mapping[str, Any], n_rows: int
    ) -> dict[str, Any]:
        """Run all views on one batch.

        Parameters
        ----------
        columns : mapping of str to pyarrow.Array
            What `request` has read.
        requests : mapping of str to pyarrow.Array
            What `read_requests` gave.
        n_rows : int

        Returns
        -------
        dict of str to pyarrow.Array
            `columns`, and those that were computed.
        """
        batch = dict(columns)
        for view in self._views:
            work = view.transformation
            inputs = {
                each.column: (requests if each.is_request else batch)[each.column]
                for each in work.inputs
            }
            call = self._functions.get(work.name, view.module, view.function, view.hash)
            for name, values in work.run(call, inputs, n_rows).items():
                batch[view.column(name)] = values
        return batch

    def training_set(
        self, frame: "Frame", read: "Callable[[str], tuple[Stream, str]]"
    ) -> "tuple[Stream, str]":
        """Return a training set and the report of how it was read.

        Parameters
        ----------
        frame : Frame
            The entity rows.
        read : callable
            A request -> the entity rows with what it asks for, and the report.
        """
        if not self:
            return read(self.asked)
        self._check_names(frame.names)
        self.check_requests(frame.names, RequestDataNotFoundInEntityDfException)
        if self.request is None:
            rows = self.complete(frame.stream, frame.names).read_all()
            return cast("Stream", rows), _report_of_nothing_read(rows.num_rows)
        stream, report = read(self.request)
        return cast("Stream", self.complete(stream, frame.names).read_all()), report

    @property
    def reads_nothing(self) -> bool:
        """Whether request data is all that it takes."""
        return bool(self) and self.request is None

    def explain(self, frame: "Frame", explain: Callable[[str], str]) -> str:
        """Return what `explain` says of the request that is read."""
        request = self.request if self else self.asked
        return _report_of_nothing_read(frame.n_rows) if request is None else explain(request)

    def describe_request_data(self, frame: "Frame") -> dict[str, Any]:
        """Return what the engine says of a request, for one that it never sees."""
        asked: dict[str, Any] = json.loads(self.asked)
        return {
            "feature_service": asked.get("service", ""),
            "features": [column for _, column in self.columns],
            "join_keys": [],
            "full_feature_names": bool(asked.get("full_feature_names")),
            "rows": frame.n_rows,
            "min_event_timestamp": None,
            "max_event_timestamp": None,
        }

    def complete(self, stream: "ArrowStreamable", kept: Sequence[str]) -> Any:
        """Return a training set with on-demand features, batch by batch as it is read.

        Parameters
        ----------
        stream : object with ``__arrow_c_stream__``
            Entity rows, and the columns of `request`.
        kept : list of str
            Columns of the entity rows.

        Returns
        -------
        pyarrow.RecordBatchReader
            The kept columns, then `columns`, in order.

        Raises
        ------
        InvalidError
            A feature would be called like a column of the entity rows.
        NotFoundError
            The entity rows lack a field of the request.
        """
        import pyarrow as pa

        self._check_names(kept)
        self.check_requests(kept, RequestDataNotFoundInEntityDfException)
        reader = pa.RecordBatchReader.from_stream(stream)
        computed = self.types
        schema = pa.schema(
            [reader.schema.field(name) for name in kept]
            + [
                arrow_field(name, computed[column])
                if column in computed
                else reader.schema.field(column).with_name(name)
                for name, column in self.columns
            ]
        )
        return pa.RecordBatchReader.from_batches(schema, self._batches(reader, kept, schema))

    def _batches(self, reader: Any, kept: Sequence[str], schema: Any) -> Iterator[Any]:
        import pyarrow as pa

        names = reader.schema.names
        for whole in reader:
            for start in range(0, whole.num_rows, MAX_BATCH_ROWS):
                part = whole.slice(start, MAX_BATCH_ROWS)
                columns = dict(zip(names, part.columns, strict=True))
                given = {name: columns[name] for name in kept}
                requests = self.read_requests(given, part.num_rows)
                batch = self.compute(columns, requests, part.num_rows)
                arrays = [*given.values(), *(batch[column] for _, column in self.columns)]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _check_names(self, kept: Sequence[str]) -> None:
        for name, _ in self.columns:
            if name in kept:
                raise InvalidError(
                    f"the entity rows already have a column {name!r}, and a feature would get the "
                    "same name; rename the column, or pass full_feature_names=True"
                )


class _View:
    """One on-demand view of a resolution."""

    __slots__ = ("function", "hash", "module", "transformation")

    def __init__(self, content: dict[str, Any]) -> None:
        self.module: str = content["module"]
        self.function: str = content["function"]
        self.hash: str = content["hash"]
        self.transformation = Transformation(
            content["name"],
            content["mode"],
            content["singleton"],
            [
                Input(i["names"], i["column"], from_text(i["dtype"]), i["is_request"])
                for i in content["inputs"]
            ],
            {o["name"]: from_text(o["dtype"]) for o in content["outputs"]},
        )

    def column(self, output: str) -> str:
        """Column of a batch that holds an output; the engine uses the same names."""
        return f"{self.transformation.name}:{output}"
