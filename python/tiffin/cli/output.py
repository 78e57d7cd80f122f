"""What commands print: tables and JSON on standard output, everything else on standard error."""

import itertools
import json
import shutil
import warnings
from collections.abc import Sequence
from typing import Any

import click

FEAST_INDENT = 4
_HEADING_ROOM = 2  # behind the headings of plain tables, as in Feast's
_WIDTH_MAX = 60
_TURN_WIDTH = 120
_TURNED_ROWS_MAX = 8


def echo_json(value: Any, indent: int = 2) -> None:
    """Print a value as JSON; what JSON does not have (times, bytes) as text."""
    click.echo(json.dumps(value, indent=indent, ensure_ascii=False, default=_as_text))


def _as_text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return str(value)


def echo_table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows under headings, each column as wide as it must be.

    A table that is wider than the terminal is turned: one line per column.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max([len(name), *(len(row[i]) for row in cells)]) for i, name in enumerate(names)]
    room = shutil.get_terminal_size().columns
    if 0 < len(rows) <= _TURNED_ROWS_MAX and sum(widths) + 2 * len(widths) > max(room, _TURN_WIDTH):
        cells = [[name, *(row[i] for row in cells)] for i, name in enumerate(names)]
        widths = [max(len(line[i]) for line in cells) for i in range(len(rows) + 1)]
        names, cells = cells[0], cells[1:]
    _echo_columns([list(names), *cells], widths)


def _echo_columns(lines: list[list[str]], widths: list[int]) -> None:
    for line in lines:
        padded = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def echo_plain_table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows under headings as Feast does: never cut, never turned, what is empty is blank.

    A list takes a line for each of its items, and is ``-`` without any.
    """
    lines = [list(names)]
    for row in rows:
        cells = [[str(item) for item in (v or "-")] if isinstance(v, list) else [v] for v in row]
        for parts in itertools.zip_longest(*cells):
            lines.append(["" if part is None else str(part) for part in parts])
    widths = [
        max([len(name) + _HEADING_ROOM, *(len(line[i]) for line in lines)])
        for i, name in enumerate(names)
    ]
    _echo_columns(lines, widths)


def _cell(value: Any) -> str:
    if value is None or value == "" or value == [] or value == {}:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        text = ", ".join(f"{k}={v}" for k, v in value.items())
    elif isinstance(value, list):
        text = ", ".join(str(item) for item in value)
    else:
        text = str(value)
    return text if len(text) <= _WIDTH_MAX else text[: _WIDTH_MAX - 3] + "..."


def echo_note(text: str) -> None:
    """Say something that is no data."""
    click.echo(text, err=True)


def show_warnings_plainly() -> None:
    """Print warnings as one line each, without the line of code that caused them."""

    def show(message: Any, *_: Any, **__: Any) -> None:
        echo_note(f"warning: {message}")

    warnings.showwarning = show
