"""``tiffin projects list|describe|current_project|delete``."""

import sys

import click

from tiffin.cli.objects import echo_described, make_group
from tiffin.cli.output import echo_note
from tiffin.cli.repo import json_option, open_store, yes_option
from tiffin.errors import InvalidError

projects_command = make_group("project", "projects")
projects_command.help = "List, describe or delete projects."


@projects_command.command("current_project")
@json_option
@click.pass_context
def current_project(ctx: click.Context, as_json: bool) -> None:
    """Show the project that the configuration names."""
    store = open_store(ctx)
    echo_described(ctx, store.get_project().to_document(), as_json)


@projects_command.command("delete")
@click.argument("name")
@yes_option
@click.pass_context
def delete(ctx: click.Context, name: str, yes: bool) -> None:
    """Remove a project: its definitions, its run states and its rows online.

    It may be another than the configuration's. Other projects of the registry are not touched, and
    the history stays readable.
    """
    import copy

    from tiffin.store.feature_store import FeatureStore

    store = open_store(ctx)
    store.get_project(name)
    if not yes:
        if not sys.stdin.isatty():
            raise InvalidError(f"this would remove project {name}; pass --yes to do it unasked")
        click.confirm(f"Remove project {name}, definitions and online rows?", abort=True)
    config = copy.copy(store.config)
    config.project = name
    rows = FeatureStore(store.repo_path, config).teardown().get("online_rows_removed", 0)
    echo_note(f"{rows:,} online rows removed")
    click.echo(f"Project '{name}' deleted successfully.")
