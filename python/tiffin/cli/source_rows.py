"""``tiffin latest`` and ``tiffin history``: rows of one view, without entity rows."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tiffin.cli.output import echo_note
from tiffin.cli.repo import json_option, memory_option, open_store
from tiffin.cli.training import echo_rows
from tiffin.errors import InvalidError
from tiffin.offline.deadline import Deadline

if TYPE_CHECKING:
    from tiffin.offline.source_rows import SourceRows
    from tiffin.store.feature_store import FeatureStore


def _read_keys(store: "FeatureStore", view: str, pairs: tuple[str, ...]) -> Any:
    """Keys given as ``name=value``: one key for each value of a name; None for all keys."""
    values: dict[str, list[str]] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not name or not equals:
            raise InvalidError(f"--key {pair!r} must be name=value")
        values.setdefault(name, []).append(text)
    if len({len(texts) for texts in values.values()}) > 1:
        counts = ", ".join(f"{name!r} has {len(texts)}" for name, texts in values.items())
        raise InvalidError(f"--key needs as many values of every join key, but {counts}")
    if not values:
        return None
    types = {f.name: f.dtype.text for f in store.get_feature_view(view).entity_columns}
    return {name: _as_type(name, texts, types.get(name, "")) for name, texts in values.items()}


def _as_type(name: str, texts: list[str], dtype: str) -> list[Any]:
    """Texts of the command line as a join key's type; all but numbers and truth read as text."""
    read: dict[str, Callable[[str], Any]] = {"int32": int, "int64": int, "bool": _to_bool}
    values = []
    for text in texts:
        try:
            values.append(read.get(dtype, str)(text))
        except (ValueError, KeyError):
            raise InvalidError(f"--key {name}={text}: {name!r} is of type {dtype}") from None
    return values


def _to_bool(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _show_rows(rows: "SourceRows", output: str | None, as_json: bool) -> None:
    if output is None:
        echo_rows(rows.to_arrow(), as_json)
        return
    import pyarrow as pa

    from tiffin.offline.parquet import write_parquet

    reader = pa.RecordBatchReader.from_stream(rows)
    write_parquet(reader, Path(output).absolute(), True, Deadline(None))
    echo_note(f"{output} written: {len(rows):,} row{'' if len(rows) == 1 else 's'}")


_key_option = click.option(
    "-k",
    "--key",
    "pairs",
    multiple=True,
    metavar="NAME=VALUE",
    help="Only this key; may be repeated.",
)
_feature_option = click.option(
    "-f", "--feature", "features", multiple=True, metavar="NAME", help="Only this feature."
)
_known_option = click.option(
    "--known-at", metavar="TIME", help="Only rows that had been written by then."
)
_output_option = click.option("-o", "--output", metavar="FILE", help="Write a Parquet file.")


@click.command("latest")
@click.argument("view")
@click.option("--as-of", metavar="TIME", help="Only rows at or before it; default: all.")
@_key_option
@_feature_option
@_known_option
@_output_option
@json_option
@click.pass_context
def latest_command(
    ctx: click.Context,
    view: str,
    as_of: str | None,
    pairs: tuple[str, ...],
    features: tuple[str, ...],
    known_at: str | None,
    output: str | None,
    as_json: bool,
) -> None:
    """Show the newest row of every key of a view."""
    store = open_store(ctx)
    rows = store.latest(
        view,
        as_of,
        _read_keys(store, view, pairs),
        list(features) or None,
        known_at=known_at,
    )
    _show_rows(rows, output, as_json)


@click.command("history")
@click.argument("view")
@click.option("--start", metavar="TIME", help="From here on, included; default: the first row.")
@click.option("--end", metavar="TIME", help="Up to here, included; default: the last row.")
@_key_option
@_feature_option
@_known_option
@memory_option
@_output_option
@json_option
@click.pass_context
def history_command(
    ctx: click.Context,
    view: str,
    start: str | None,
    end: str | None,
    pairs: tuple[str, ...],
    features: tuple[str, ...],
    known_at: str | None,
    memory_limit: str | None,
    output: str | None,
    as_json: bool,
) -> None:
    """Show all rows of a view in a window of event times."""
    store = open_store(ctx)
    rows = store.history(
        view,
        start,
        end,
        _read_keys(store, view, pairs),
        list(features) or None,
        known_at=known_at,
        memory_limit=memory_limit,
    )
    _show_rows(rows, output, as_json)
