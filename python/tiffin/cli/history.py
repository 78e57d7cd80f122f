"""``tiffin registry log`` and ``show``."""

from typing import Any

import click

from tiffin.cli.absent import make_absent
from tiffin.cli.output import echo_json, echo_table
from tiffin.cli.repo import json_option, open_store


@click.group("registry")
def registry_command() -> None:
    """History of the registry: every apply is a commit, and every past state stays readable."""


@registry_command.command("log")
@click.option("-n", "--limit", default=20, show_default=True, help="At most so many; 0 = all.")
@json_option
@click.pass_context
def log(ctx: click.Context, limit: int, as_json: bool) -> None:
    """Show the commits, newest first."""
    commits = open_store(ctx).registry_log(limit)
    if as_json:
        echo_json(commits)
        return
    rows = [
        [c["commit"], c["time"], c["n_added"], c["n_changed"], c["n_removed"], c["message"]]
        for c in commits
    ]
    echo_table(["COMMIT", "TIME", "ADDED", "CHANGED", "REMOVED", "MESSAGE"], rows)


@registry_command.command("show")
@click.argument("commit", type=int)
@json_option
@click.pass_context
def show(ctx: click.Context, commit: int, as_json: bool) -> None:
    """Show what one commit changed, by object and field."""
    from tiffin.store.changes import change_lines

    content: dict[str, Any] = open_store(ctx).registry_show(commit)
    if as_json:
        echo_json(content)
        return
    click.echo(f"commit {content['commit']}  {content['time']}  {content['message']}".rstrip())
    for change in content["changes"]:
        for line in change_lines(change):
            click.echo(line)


registry_command.add_command(
    make_absent("create-schema", "there is no SQL registry; the file is made by `{0} apply`")
)
