"""``tiffin get-historical-features``, ``explain`` and ``check-leakage``."""

import copy
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tiffin.cli.output import echo_json, echo_note, echo_table
from tiffin.cli.repo import (
    choose_features,
    features_option,
    full_names_option,
    is_feast,
    json_option,
    memory_option,
    open_store,
    service_option,
)
from tiffin.errors import InvalidError, TiffinWarning

if TYPE_CHECKING:
    from tiffin.offline.retrieval_job import RetrievalJob

F = TypeVar("F", bound=Callable[..., Any])
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


_WINDOW_OPTIONS = (
    click.option(
        "--one-row-per-entity",
        is_flag=True,
        help="Without entity rows: every key once, at the end.",
    ),
    click.option("--end-date", metavar="TIME", help="Without entity rows: events up to here."),
    click.option("--start-date", metavar="TIME", help="Without entity rows: events from here on."),
)
_REQUEST_OPTIONS = (
    memory_option,
    click.option("--known-at", metavar="TIME", help="Only rows that had been written by then."),
    click.option("--filter-by-created-timestamp", is_flag=True, help="Only rows created by then."),
    click.option(
        "--time-column", metavar="NAME", help="Which column of the entity rows is the time."
    ),
    full_names_option,
    service_option,
    features_option,
    click.option(
        "-d",
        "--dataframe",
        metavar="JSON|FILE|SQL",
        help="Entity rows: a JSON list of objects, a Parquet, CSV or JSON-lines file, or a query.",
    ),
)


def _request_options(command: F) -> F:
    """Add the options that say which training set is meant."""
    for option in _REQUEST_OPTIONS:
        command = option(command)
    return command


def _window_options(command: F) -> F:
    """Add the options that make entity rows of events, where none are given."""
    for option in _WINDOW_OPTIONS:
        command = option(command)
    return command


def _ask(
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
    memory_limit: str | None,
) -> "RetrievalJob":
    return open_store(ctx).get_historical_features(
        _read_entity_rows(dataframe),
        choose_features(features, feature_service),
        full_feature_names,
        start_date,
        end_date,
        time_column=time_column,
        one_row_per_entity=one_row_per_entity,
        filter_by_created_timestamp=filter_by_created_timestamp,
        known_at=known_at,
        memory_limit=memory_limit,
    )


@click.command("get-historical-features")
@_request_options
@_window_options
@click.option("-o", "--output", metavar="FILE", help="Write a Parquet file.")
@click.option("--explain", is_flag=True, help="Also say what was read, and how long it took.")
@json_option
@click.pass_context
def get_historical_features_command(
    ctx: click.Context, /, output: str | None, explain: bool, as_json: bool, **request: Any
) -> None:
    """Build a point-in-time correct training set.

    Called as Feast's program it prints JSON, and -s and -e are dates.
    """
    job = _ask(ctx, **request)
    if explain:  # of what was computed, not of a plan
        job.to_arrow()
    if output:
        job.to_parquet(output)
        echo_note(f"{output} written")
    else:
        echo_rows(job.to_arrow(), as_json or is_feast(ctx))
    if explain:
        click.echo(str(job.explain()), err=True)


def _with_feasts_letters(command: click.Command) -> click.Command:
    """Return the command as Feast spells it: -s and -e are dates, and no service has a letter."""
    spelled = {
        "feature_service": ["--feature-service"],
        "start_date": ["-s", "--start-date"],
        "end_date": ["-e", "--end-date"],
    }
    changed = copy.copy(command)
    changed.params = [copy.copy(option) for option in command.params]
    for option in changed.params:
        option.opts = spelled.get(option.name or "", option.opts)
    return changed


get_historical_features_feast_command = _with_feasts_letters(get_historical_features_command)


@click.command("explain")
@_request_options
@_window_options
@click.option("--analyze", is_flag=True, help="Compute it, and say what really happened.")
@json_option
@click.pass_context
def explain_command(ctx: click.Context, /, analyze: bool, as_json: bool, **request: Any) -> None:
    """Say how a training set would be made: files, row groups, rows, memory, warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TiffinWarning)  # they stand in the explanation
        explanation = _ask(ctx, **request).explain(analyze)
    click.echo(explanation.to_json(indent=2) if as_json else str(explanation))


@click.command("check-leakage")
@_request_options
@click.option("-l", "--label", multiple=True, metavar="COLUMN", help="What is predicted.")
@click.option("--fail-on-finding", is_flag=True, help="Exit with 1 if anything is found.")
@json_option
@click.pass_context
def check_leakage_command(
    ctx: click.Context,
    /,
    dataframe: str | None,
    features: tuple[str, ...],
    feature_service: str | None,
    label: tuple[str, ...],
    fail_on_finding: bool,
    as_json: bool,
    **request: Any,
) -> int:
    """Look for what a training set may not know: entity rows, or a finished one with features."""
    if dataframe is None:
        raise InvalidError("check-leakage needs entity rows or a finished training set: -d")
    report = open_store(ctx).check_leakage(
        _read_entity_rows(dataframe),
        choose_features(features, feature_service),
        list(label) or None,
        **request,
    )
    click.echo(report.to_json(indent=2) if as_json else str(report))
    return 1 if fail_on_finding and report.findings else 0


def echo_rows(table: Any, as_json: bool) -> None:
    """Print a table: as JSON, or the first rows of it for people."""
    if as_json:
        echo_json(table.to_pylist())
        return
    shown = table.slice(0, _ROWS_SHOWN).to_pylist()
    echo_table(table.column_names, [list(row.values()) for row in shown])
    if table.num_rows > _ROWS_SHOWN:
        echo_note(f"{table.num_rows:,} rows; the first {_ROWS_SHOWN} are shown (-o FILE for all)")
