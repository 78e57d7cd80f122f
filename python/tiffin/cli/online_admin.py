"""``tiffin online stats|vacuum|rollback|delete|backup|restore``."""

from typing import Any

import click

from tiffin.cli.output import echo_json, echo_note, echo_table
from tiffin.cli.repo import json_option, open_store
from tiffin.report import Report, bytes_text


@click.group("online")
def online_command() -> None:
    """Count, clean, roll back, back up and restore the online store; delete keys."""


# ---- stats

_STATS = ["VIEW", "ROWS", "BYTES", "OLDEST", "NEWEST"]
_STATS += ["GENERATION", "PREVIOUS", "BUILDING", "STATE"]


@online_command.command("stats")
@json_option
@click.pass_context
def stats(ctx: click.Context, as_json: bool) -> None:
    """Count every row: rows, bytes, generations and event times of each view."""
    report = open_store(ctx).online_stats()
    if as_json:
        echo_json(report.to_dict())
        return
    rows = [_stats_row(view) for view in report["views"]]
    echo_table(_STATS, rows)
    for line in _store_lines(report):
        click.echo(line)


def _stats_row(view: dict[str, Any]) -> list[Any]:
    state = "not defined" if not view["is_defined"] else "online" if view["is_online"] else "off"
    return [
        view["view"],
        f"{view['rows']:,}",
        bytes_text(view["bytes"]),
        view["oldest"],
        view["newest"],
        view["generation"] or None,
        _generation(view["previous"]),
        _generation(view["building"]),
        state,
    ]


def _generation(other: dict[str, Any] | None) -> str | None:
    return f"{other['generation']} ({other['rows']:,} rows)" if other else None


def _store_lines(report: Report) -> list[str]:
    orphans, others, file, reads = (
        report[name] for name in ("orphans", "other_projects", "file", "reads")
    )
    lines = []
    if orphans["rows"]:
        lines.append(
            f"generations that no view names: {orphans['generations']} with "
            f"{orphans['rows']:,} rows, {bytes_text(orphans['bytes'])}"
        )
    if others["views"]:
        lines.append(
            f"other projects: {others['views']} views, {others['rows']:,} rows, "
            f"{bytes_text(others['bytes'])}"
        )
    if file is None:
        return [*lines, "nothing was written online yet"]
    lines.append(
        f"file: {bytes_text(file['bytes'])}, {bytes_text(file['free_bytes'])} of it free, "
        f"{bytes_text(file['change_bytes'])} lists of changes for rollbacks"
    )
    behind = f", the oldest began {reads['commits_behind']} commits ago" if reads["open"] else ""
    return [*lines, f"reads open: {reads['open']}{behind}"]


# ---- vacuum


@online_command.command("vacuum")
@click.option("--dry-run", is_flag=True, help="Count what would go; change nothing.")
@click.option(
    "--previous", is_flag=True, help="Remove previous generations too: no going back to them."
)
@click.option("--keep-expired", is_flag=True, help="Leave rows older than their view's ttl.")
@click.option("--at", metavar="TIME", help="Now, for the check of age.")
@json_option
@click.pass_context
def vacuum(
    ctx: click.Context,
    dry_run: bool,
    previous: bool,
    keep_expired: bool,
    at: str | None,
    as_json: bool,
) -> None:
    """Remove expired rows, rows of views that are gone, and generations of builds that died.

    Lookups and pushes go on meanwhile; interrupted it is harmless. The file keeps its size, later
    writes use what was freed.
    """
    report = open_store(ctx).vacuum_online(
        dry_run=dry_run, previous=previous, keep_expired=keep_expired, at=at
    )
    if as_json:
        echo_json(report.to_dict())
    else:
        click.echo(str(report))


# ---- rollback


@online_command.command("rollback")
@click.argument("view")
@click.option(
    "--drop-pushes", is_flag=True, help="Also take back what was pushed and deleted since."
)
@json_option
@click.pass_context
def rollback(ctx: click.Context, view: str, drop_pushes: bool, as_json: bool) -> None:
    """Return VIEW to what it was before its last large load, or back again."""
    report = open_store(ctx).rollback_online(view, drop_pushes)
    if as_json:
        echo_json(report.to_dict())
        return
    end = report["materialized_until"]
    click.echo(
        f"{report['view']}: {report['rows']:,} rows, "
        f"{report['keys_replayed']:,} keys pushed or deleted since, "
        + (f"materialized to {end}" if end else "not materialized")
    )


# ---- delete


@online_command.command("delete")
@click.argument("view")
@click.option(
    "-e",
    "--entities",
    multiple=True,
    required=True,
    metavar="KEY=VALUE",
    help="A join key's value; repeated for more entities.",
)
@json_option
@click.pass_context
def delete(ctx: click.Context, view: str, entities: tuple[str, ...], as_json: bool) -> None:
    """Delete the rows of some keys of VIEW, all or none (Redis: key by key)."""
    from tiffin.cli.online import parse_entities

    report = open_store(ctx).delete_online(view, parse_entities(entities))
    if as_json:
        echo_json(report.to_dict())
        return
    click.echo(
        f"{report['view']}: {report['deleted']:,} of {report['keys']:,} keys deleted, "
        f"{report['not_there']:,} not there"
    )


# ---- backup and restore


@online_command.command("backup")
@click.argument("folder", metavar="DIR", type=click.Path())
@json_option
@click.pass_context
def backup(ctx: click.Context, folder: str, as_json: bool) -> None:
    """Write the rows of all views, as of one instant, and their watermarks to DIR.

    DIR is empty or not there. Lookups and writes go on meanwhile.
    """
    report = open_store(ctx).backup_online(folder)
    if as_json:
        echo_json(report.to_dict())
        return
    rows = [
        [v["view"], f"{v['rows']:,}", v["watermark"]["end"] if v["watermark"] else None]
        for v in report["views"]
    ]
    echo_table(["VIEW", "ROWS", "MATERIALIZED TO"], rows)
    echo_note(f"{bytes_text(report['data']['bytes'])} in {folder}, {report['seconds']:.2f} s")


@online_command.command("restore")
@click.argument("folder", metavar="DIR", type=click.Path())
@json_option
@click.pass_context
def restore(ctx: click.Context, folder: str, as_json: bool) -> None:
    """Bring back the rows and watermarks that a backup in DIR holds.

    Lookups go on meanwhile and see all old or all new rows. Views that the backup does not hold
    stay as they are.
    """
    report = open_store(ctx).restore_online(folder)
    if as_json:
        echo_json(report.to_dict())
        return
    rows = [[v["view"], f"{v['rows']:,}", f"{v['replaced']:,}"] for v in report["views"]]
    echo_table(["VIEW", "ROWS", "REPLACED"], rows)
    for view in report["passed_over"]:
        echo_note(f"{view}: passed over, no definition says that it is online")
    echo_note(f"as of {report['created']}, {report['seconds']:.2f} s")
