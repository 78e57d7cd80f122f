"""``tiffin logs flush``."""

import click

from tiffin.cli.output import echo_json, echo_note
from tiffin.cli.repo import json_option, open_store


@click.group("logs")
def logs_command() -> None:
    """Feature logs: what servers kept of their answers."""


@logs_command.command("flush")
@json_option
@click.pass_context
def flush(ctx: click.Context, as_json: bool) -> None:
    """Write what servers have logged to the services' destinations, as Parquet."""
    report = open_store(ctx).flush_feature_logs()
    if as_json:
        echo_json(report.to_dict())
        return
    for name, n_rows in sorted(report["services"].items()):
        click.echo(f"{name}: {n_rows:,} rows")
    echo_note(
        f"{report['segments']} segments flushed into {len(report['files'])} files; servers write "
        f"{report['still_open']} at this moment"
    )
    if report["bytes_left_out"]:
        echo_note(f"{report['bytes_left_out']:,} bytes of torn ends were left out")
