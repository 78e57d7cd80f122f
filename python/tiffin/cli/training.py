"""``tiffin get-historical-features``."""

import json
from pathlib import Path
from typing import Any

import click

from tiffin.cli.output import Progress, echo_json, echo_note, echo_table
from tiffin.cli.repo import (
    choose_features,
    features_option,
    full_names_option,
    json_option,
    open_store,
    service_option,
)
from tiffin.errors import InvalidError, IoError, NotFoundError

_ROWS_SHOWN = 20


def _read_entity_rows(text: str) -> Any:
    """Entity rows as JSON text, or from a Parquet or CSV file."""
    if text.lstrip()[:1] in ("[", "{"):
        try:
            rows = json.loads(text)
        except json.JSONDecodeError as error:
            raise InvalidError(f"--dataframe is not JSON: {error}") from None
        return _columns_of(rows) if isinstance(rows, list) else rows
    path = Path(text)
    if not path.is_file():
        raise NotFoundError(f"--dataframe takes JSON or a file; there is no file {path.absolute()}")
    import pyarrow as pa

    try:
        if path.suffix == ".csv":
            from pyarrow import csv

            return csv.read_csv(path)
        from pyarrow import parquet

        return parquet.read_table(path)
    except pa.ArrowInvalid as error:
        raise IoError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None


def _columns_of(rows: list[Any]) -> dict[str, list[Any]]:
    if not rows or not all(isinstance(row, dict) and row.keys() == rows[0].keys() for row in rows):
        raise InvalidError("--dataframe needs a list of objects that all have the same members")
    return {name: [row[name] for row in rows] for name in rows[0]}


def _parse_times(frame: Any) -> Any:
    """ISO texts in a JSON frame's time column become times."""
    if not isinstance(frame, dict) or "event_timestamp" not in frame:
        return frame
    import datetime

    from tiffin.store.times import to_us

    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    times = [
        epoch + datetime.timedelta(microseconds=to_us(value, "event_timestamp"))
        if isinstance(value, str)
        else value
        for value in frame["event_timestamp"]
    ]
    return {**frame, "event_timestamp": times}


@click.command("get-historical-features")
@click.option(
    "-d",
    "--dataframe",
    required=True,
    metavar="JSON|FILE",
    help="Entity rows: a JSON list of objects, or a Parquet or CSV file.",
)
@features_option
@service_option
@full_names_option
@click.option("--filter-by-created-timestamp", is_flag=True, help="Only rows created by then.")
@click.option("--known-at", metavar="TIME", help="Only rows that had been written by then.")
@click.option("-o", "--output", metavar="FILE", help="Write a Parquet file.")
@click.option("--explain", is_flag=True, help="Also say what was read, and how long it took.")
@json_option
@click.pass_context
def get_historical_features_command(
    ctx: click.Context,
    dataframe: str,
    features: tuple[str, ...],
    feature_service: str | None,
    full_feature_names: bool,
    filter_by_created_timestamp: bool,
    known_at: str | None,
    output: str | None,
    explain: bool,
    as_json: bool,
) -> None:
    """Build a point-in-time correct training set."""
    progress = Progress()
    job = open_store(ctx).get_historical_features(
        _parse_times(_read_entity_rows(dataframe)),
        choose_features(features, feature_service),
        full_feature_names,
        filter_by_created_timestamp=filter_by_created_timestamp,
        known_at=known_at,
        progress=progress,
    )
    try:
        table = job.to_arrow()
    finally:
        progress.end()
    if output:
        job.to_parquet(output)
        echo_note(f"{output} written")
    else:
        _echo_rows(table, as_json)
    if explain:
        click.echo(str(job.explain()), err=True)


def _echo_rows(table: Any, as_json: bool) -> None:
    if as_json:
        echo_json(table.to_pylist())
        return
    shown = table.slice(0, _ROWS_SHOWN).to_pylist()
    echo_table(table.column_names, [list(row.values()) for row in shown])
    if table.num_rows > _ROWS_SHOWN:
        echo_note(f"{table.num_rows:,} rows; the first {_ROWS_SHOWN} are shown (-o FILE for all)")
