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
from tiffin.errors import InvalidError

_ROWS_SHOWN = 20


def _read_entity_rows(text: str | None) -> Any:
    """Entity rows as JSON text or a file of this folder; all else is the store's to read."""
    if text is None or text.lstrip()[:1] not in ("[", "{"):
        is_file = text is not None and "\n" not in text and Path(text).is_file()
        return Path(text).absolute() if text is not None and is_file else text
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidError(f"--dataframe is not JSON: {error}") from None


@click.command("get-historical-features")
@click.option(
    "-d",
    "--dataframe",
    metavar="JSON|FILE|SQL",
    help="Entity rows: a JSON list of objects, a Parquet, CSV or JSON-lines file, or a query. "
    "Without: the events of the views.",
)
@click.option("--start-date", metavar="TIME", help="Without entity rows: events from here on.")
@click.option("--end-date", metavar="TIME", help="Without entity rows: events up to here.")
@click.option(
    "--one-row-per-entity", is_flag=True, help="Without entity rows: every key once, at the end."
)
@click.option("--time-column", metavar="NAME", help="Which column of the entity rows is the time.")
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
    dataframe: str | None,
    start_date: str | None,
    end_date: str | None,
    one_row_per_entity: bool,
    time_column: str | None,
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
        _read_entity_rows(dataframe),
        choose_features(features, feature_service),
        full_feature_names,
        start_date,
        end_date,
        time_column=time_column,
        one_row_per_entity=one_row_per_entity,
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
        echo_rows(table, as_json)
    if explain:
        click.echo(str(job.explain()), err=True)


def echo_rows(table: Any, as_json: bool) -> None:
    """Print a table: as JSON, or the first rows of it for people."""
    if as_json:
        echo_json(table.to_pylist())
        return
    shown = table.slice(0, _ROWS_SHOWN).to_pylist()
    echo_table(table.column_names, [list(row.values()) for row in shown])
    if table.num_rows > _ROWS_SHOWN:
        echo_note(f"{table.num_rows:,} rows; the first {_ROWS_SHOWN} are shown (-o FILE for all)")
