"""``tiffin saved-datasets list|describe|verify|delete``."""

import sys

import click

from tiffin.cli.objects import make_group
from tiffin.cli.output import echo_json, echo_note
from tiffin.cli.repo import json_option, open_store, yes_option
from tiffin.errors import InvalidError

saved_datasets_command = make_group("saved_dataset", "saved-datasets")
saved_datasets_command.help = "List, describe, verify or delete saved datasets."


@saved_datasets_command.command("verify")
@click.argument("name")
@json_option
@click.pass_context
def verify(ctx: click.Context, name: str, as_json: bool) -> int:
    """Say what has changed since a dataset was made; exit code 1 if anything has."""
    report = open_store(ctx).get_saved_dataset(name).verify()
    if as_json:
        echo_json(report.to_dict())
    else:
        click.echo(str(report))
    return 0 if report else 1


@saved_datasets_command.command("delete")
@click.argument("name")
@yes_option
@click.pass_context
def delete(ctx: click.Context, name: str, yes: bool) -> None:
    """Delete a dataset's definition; its files stay."""
    store = open_store(ctx)
    dataset = store.get_saved_dataset(name)
    if not yes:
        if not sys.stdin.isatty():
            raise InvalidError(
                f"this would delete saved dataset {name}; pass --yes to do it unasked"
            )
        click.confirm(f"Delete saved dataset {name}? Its files stay.", abort=True)
    store.delete_saved_dataset(name)
    echo_note(f"saved dataset {name} deleted; its files stay at {dataset.storage.path}")
