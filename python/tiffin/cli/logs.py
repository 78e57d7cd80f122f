"""``tiffin logs flush``."""

import click

from tiffin.cli.output import echo_json, echo_note
from tiffin.cli.repo import json_option, open_store


@click.group("logs")
def logs_command() -> None:
    """Feature logs: what servers kept of their answers."""


def _count(n: int, word: str) -> str:
    return f"{n:,} {word}{'' if n == 1 else 's'}"


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
    n_segments, n_files = report["segments"], len(report["files"])
    done = f"{_count(n_segments, 'segment')} flushed into {_count(n_files, 'file')}"
    echo_note(done if n_segments else "there was nothing to flush")
    if report["still_open"]:
        echo_note(
            f"{_count(report['still_open'], 'segment')} more being written: a server finishes one "
            "each minute, and when it stops"
        )
    if report["bytes_left_out"]:
        echo_note(f"{report['bytes_left_out']:,} bytes of torn ends were left out")
