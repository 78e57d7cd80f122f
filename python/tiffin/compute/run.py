"""One call of an on-demand view's function: columns in, columns out, and what may go wrong."""

import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tiffin.compute.values import from_result, to_list, to_pandas
from tiffin.errors import InvalidError, SchemaError, TiffinError, UnsupportedError
from tiffin.registry.function import place_of
from tiffin.types import FeatureType


class Input:
    """One column that a function reads.

    Attributes
    ----------
    names : tuple of str
        Under which it sees it.
    column : str
        Which column of the batch it is.
    dtype : FeatureType
    is_request : bool
        Whether a caller brings it along.
    """

    __slots__ = ("column", "dtype", "is_request", "names")

    def __init__(
        self, names: Sequence[str], column: str, dtype: FeatureType, is_request: bool = False
    ) -> None:
        self.names = tuple(names)
        self.column = column
        self.dtype = dtype
        self.is_request = is_request


class Transformation:
    """What one on-demand view does to columns.

    Parameters
    ----------
    name : str
        Of the view.
    mode : {"pandas", "python"}
    singleton : bool
    inputs : list of Input
    outputs : dict of str to FeatureType
        What the function returns, in the order of the schema.
    """

    def __init__(
        self,
        name: str,
        mode: str,
        singleton: bool,
        inputs: Sequence[Input],
        outputs: Mapping[str, FeatureType],
    ) -> None:
        self.name = name
        self.mode = mode
        self.singleton = singleton
        self.inputs = list(inputs)
        self.outputs = dict(outputs)

    def run(
        self, call: Callable[..., Any], columns: Mapping[str, Any], n_rows: int
    ) -> dict[str, Any]:
        """Call the function once; a singleton once per row.

        Parameters
        ----------
        call : callable
        columns : mapping of str to pyarrow.Array
            By `Input.column`; every one has `n_rows` items.
        n_rows : int
            Without rows nothing is called.

        Returns
        -------
        dict of str to pyarrow.Array
            By output, of the declared types.

        Raises
        ------
        InvalidError
            The function raised (its error is the cause), or returned columns of a wrong length.
        SchemaError
            It returned something else, lacks an output, or has one of a wrong type.
        """
        if n_rows == 0:
            return {name: from_result([], dtype) for name, dtype in self.outputs.items()}
        if self.mode == "pandas":
            results = self._run_pandas(call, columns, n_rows)
        elif self.singleton:
            results = self._run_rows(call, columns)
        else:
            results = self._run_lists(call, columns)
        return {
            name: self._read(call, name, dtype, results[name], n_rows)
            for name, dtype in self.outputs.items()
        }

    def _run_pandas(
        self, call: Callable[..., Any], columns: Mapping[str, Any], n_rows: int
    ) -> Mapping[str, Any]:
        try:
            import pandas as pd
        except ModuleNotFoundError as error:
            raise UnsupportedError(
                f"on-demand feature view {self.name!r} has mode 'pandas', and pandas is not "
                "installed; install it, or write the view in mode 'python'"
            ) from error
        arrays: dict[str, Any] = {}
        for each in self.inputs:
            values = to_pandas(columns[each.column], each.dtype)
            arrays.update(dict.fromkeys(each.names, values))
        result = self._call(call, pd.DataFrame(arrays, index=pd.RangeIndex(n_rows), copy=True))
        if not isinstance(result, pd.DataFrame):
            raise self._refuse(call, f"must return a pandas DataFrame, not {_type_of(result)}")
        self._check_names(call, [str(name) for name in result.columns])
        return {name: result[name] for name in self.outputs}

    def _lists_of(self, columns: Mapping[str, Any]) -> dict[str, list[Any]]:
        lists: dict[str, list[Any]] = {}
        for each in self.inputs:
            values = to_list(columns[each.column], each.dtype)
            for name in each.names:
                lists[name] = list(values)
        return lists

    def _run_lists(self, call: Callable[..., Any], columns: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._check_dict(call, self._call(call, self._lists_of(columns)), "lists")

    def _run_rows(self, call: Callable[..., Any], columns: Mapping[str, Any]) -> Mapping[str, Any]:
        lists = self._lists_of(columns)
        results: dict[str, list[Any]] = {name: [] for name in self.outputs}
        for values in zip(*lists.values(), strict=True):
            row = self._call(call, dict(zip(lists, values, strict=True)))
            try:
                for name, result in results.items():
                    result.append(row[name])
            except (KeyError, TypeError, IndexError):
                self._check_dict(call, row, "values")  # says what is wrong
                raise
        return results

    # ---- what may go wrong

    def _call(self, call: Callable[..., Any], argument: Any) -> Any:
        try:
            return call(argument)
        except TiffinError:
            raise
        except (Exception, SystemExit) as error:  # it may not end the program of its caller
            text = f"{type(error).__name__}: {error}".rstrip(": ")
            if isinstance(error, KeyError):
                names = [name for each in self.inputs for name in each.names]
                text += f"; its inputs are {', '.join(names)}"
            raise InvalidError(f"{self._where(_line_of(error, call))}: {text}") from error

    def _where(self, place: str) -> str:
        return f"on-demand feature view {self.name!r} ({place})"

    def _refuse(self, call: Callable[..., Any], what: str) -> SchemaError:
        return SchemaError(f"{self._where(_shorten(place_of(call)))}: the function {what}")

    def _check_names(self, call: Callable[..., Any], found: list[str]) -> None:
        for name in self.outputs:
            if name not in found:
                has = ", ".join(repr(each) for each in found) or "nothing"
                raise self._refuse(
                    call, f"returned no {name!r}, which its schema names; it returned {has}"
                )

    def _check_dict(self, call: Callable[..., Any], result: Any, of_what: str) -> Mapping[str, Any]:
        if not isinstance(result, Mapping):
            raise self._refuse(call, f"must return a dict of {of_what}, not {_type_of(result)}")
        self._check_names(call, [str(name) for name in result])
        return result

    def _read(
        self, call: Callable[..., Any], name: str, dtype: FeatureType, values: Any, n_rows: int
    ) -> Any:
        import pyarrow as pa

        if isinstance(values, str | bytes | Mapping) or not hasattr(values, "__len__"):
            raise self._refuse(
                call, f"returned {_type_of(values)} for {name!r}; it must be a list of values"
            )
        if len(values) != n_rows:
            raise InvalidError(
                f"{self._where(_shorten(place_of(call)))}: the function returned {len(values):,} "
                f"values for {name!r} and got {n_rows:,} rows; it must return one for each"
            )
        try:
            return from_result(values, dtype)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise self._refuse(
                call, f"returned {name!r} that is not {dtype.text}, which its schema says: {reason}"
            ) from error


def _type_of(value: Any) -> str:
    return type(value).__name__


def _line_of(error: BaseException, call: Callable[..., Any]) -> str:
    """``file:line`` of the innermost line in the function's own file, else of the innermost."""
    frames = traceback.extract_tb(error.__traceback__)[1:]  # the first is ours
    code = getattr(call, "__code__", None)
    own = [f for f in frames if code is not None and f.filename == code.co_filename]
    if not frames:
        return _shorten(place_of(call))
    at = (own or frames)[-1]
    return _shorten(f"{at.filename}:{at.lineno}")


def _shorten(place: str) -> str:
    """Without the working directory, as people say it."""
    return place.removeprefix(f"{Path.cwd()}{os.sep}")
