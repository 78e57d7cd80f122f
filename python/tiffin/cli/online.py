"""``tiffin materialize``, ``materialize-incremental`` and ``get-online-features``."""

import datetime
from typing import TYPE_CHECKING, Any

import click

from tiffin.cli.output import FEAST_INDENT, echo_json, echo_note, echo_table
from tiffin.cli.repo import (
    choose_features,
    features_option,
    full_names_option,
    is_feast,
    json_option,
    open_store,
    service_option,
)
from tiffin.errors import UnsupportedError

if TYPE_CHECKING:
    from tiffin.store.feature_store import MaterializeReport

_views_option = click.option(
    "-v", "--views", multiple=True, metavar="VIEW", help="Only this view; may be repeated."
)
_version_option = click.option("--version", metavar="vN", help="Feast's; a view has no other.")
_known_at_option = click.option(
    "--known-at", metavar="TIME", help="Only rows that had been written by then."
)


def _refuse_version(version: str | None) -> None:
    if version is not None and version.lower() != "latest":
        raise UnsupportedError(
            f"--version {version}: the online store has the newest version of a view alone; leave "
            "--version out, or give what is to be served beside it a name of its own"
        )


def _range(start: str | None, end: str | None, everything: bool) -> tuple[Any, Any]:
    """Return the range of event times that a command line means."""
    if everything:
        if start or end:
            raise click.UsageError("--disable-event-timestamp takes all rows: no START and no END")
        return None, _end_of("now")
    if not start or not end:
        raise click.UsageError("give START and END, or --disable-event-timestamp for all rows")
    return None if start == "first" else start, _end_of(end)


def _end_of(text: str) -> Any:
    """Return what END says: a time, or the instant of the command."""
    return datetime.datetime.now(datetime.UTC) if text == "now" else text


_REPORTED = ("view", "rows_read", "keys", "rows_written", "rows_older", "rows_same")


def _echo_report(report: "MaterializeReport", as_json: bool) -> None:
    if as_json:
        echo_json(report.to_dict())
        return
    rows = [[*(v[name] for name in _REPORTED), round(v["seconds"], 3)] for v in report.views]
    echo_table(["VIEW", "ROWS READ", "KEYS", "WRITTEN", "OLDER", "SAME", "SECONDS"], rows)
    for view in report.views:
        if view.get("note"):
            echo_note(f"{view['view']}: {view['note']}")


@click.command("materialize")
@click.argument("start", required=False)
@click.argument("end", required=False)
@_views_option
@click.option(
    "--disable-event-timestamp", is_flag=True, help="All rows up to now, as from `first now`."
)
@_version_option
@_known_at_option
@json_option
@click.pass_context
def materialize_command(
    ctx: click.Context,
    start: str | None,
    end: str | None,
    views: tuple[str, ...],
    disable_event_timestamp: bool,
    version: str | None,
    known_at: str | None,
    as_json: bool,
) -> None:
    """Load the newest row of every key with an event time from START to END, both included.

    Times are ISO 8601, UTC unless they say otherwise; START may be "first" for the first row, END
    may be "now".
    """
    _refuse_version(version)
    start_date, end_date = _range(start, end, disable_event_timestamp)
    report = open_store(ctx).materialize(
        start_date, end_date, list(views) or None, known_at=known_at
    )
    _echo_report(report, as_json)


@click.command("materialize-incremental")
@click.argument("end")
@_views_option
@_version_option
@_known_at_option
@json_option
@click.pass_context
def materialize_incremental_command(
    ctx: click.Context,
    end: str,
    views: tuple[str, ...],
    version: str | None,
    known_at: str | None,
    as_json: bool,
) -> None:
    """Load what is new since each view's last run, up to END, a time or "now"."""
    _refuse_version(version)
    report = open_store(ctx).materialize_incremental(
        _end_of(end), list(views) or None, known_at=known_at
    )
    _echo_report(report, as_json)


def parse_entities(pairs: tuple[str, ...]) -> dict[str, list[str]]:
    """Columns of key=value arguments."""
    columns: dict[str, list[str]] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator:
            raise click.UsageError(f"-e takes key=value; {pair!r} has no equals sign")
        columns.setdefault(name, []).append(value)
    return columns


@click.command("get-online-features")
@click.option(
    "-e",
    "--entities",
    multiple=True,
    required=True,
    metavar="KEY=VALUE",
    help="A join key's value; repeated for more entities.",
)
@features_option
@service_option
@full_names_option
@click.option("--at", metavar="TIME", help="Now, for the checks of age.")
@click.option("--max-age", type=float, metavar="SECONDS", help="Values of older rows are null.")
@json_option
@click.pass_context
def get_online_features_command(
    ctx: click.Context,
    entities: tuple[str, ...],
    features: tuple[str, ...],
    feature_service: str | None,
    full_feature_names: bool,
    at: str | None,
    max_age: float | None,
    as_json: bool,
) -> None:
    """Look up the newest values of some entities.

    Called as Feast's program it prints JSON.
    """
    response = open_store(ctx).get_online_features(
        choose_features(features, feature_service),
        parse_entities(entities),
        full_feature_names,
        at=at,
        max_age=max_age,
    )
    values: dict[str, list[Any]] = response.to_dict()
    if as_json or is_feast(ctx):
        echo_json(values, FEAST_INDENT if is_feast(ctx) else 2)
        return
    statuses = response.statuses
    rows = [
        [
            _with_status(values[name][i], statuses[name][i].name if name in statuses else "PRESENT")
            for name in values
        ]
        for i in range(len(response))
    ]
    echo_table(list(values), rows)


def _with_status(value: Any, status: str) -> Any:
    return status.lower().replace("_", " ") if value is None and status != "NULL_VALUE" else value
