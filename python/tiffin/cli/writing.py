"""``tiffin push``."""

import json
from pathlib import Path
from typing import Any

import click

from tiffin.cli.output import echo_json
from tiffin.cli.repo import json_option, open_store
from tiffin.errors import InvalidError, NotFoundError
from tiffin.registry.data_source import PushMode


def _read_rows(text: str) -> Any:
    """Rows as JSON text, or a file; a path is relative to the working directory."""
    if text.lstrip()[:1] not in ("[", "{"):
        if not Path(text).is_file():
            raise NotFoundError(f"there is no file {Path(text).absolute()}")
        return Path(text).absolute()
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidError(f"ROWS is not JSON: {error}") from None


@click.command("push")
@click.argument("push_source")
@click.argument("rows")
@click.option(
    "--to",
    type=click.Choice([mode.name.lower() for mode in PushMode]),
    default=PushMode.ONLINE.name.lower(),
    show_default=True,
    help="Where the rows go.",
)
@json_option
@click.pass_context
def push_command(ctx: click.Context, push_source: str, rows: str, to: str, as_json: bool) -> None:
    """Write ROWS to every view on PUSH_SOURCE, all of them or none.

    ROWS is a Parquet, CSV or newline-delimited JSON file, or JSON text: a list of objects, or an
    object of lists.
    """
    report = open_store(ctx).push(push_source, _read_rows(rows), to=PushMode[to.upper()])
    if as_json:
        echo_json(report.to_dict())
        return
    click.echo(str(report))
