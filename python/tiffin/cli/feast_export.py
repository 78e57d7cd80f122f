"""``tiffin export-feast``."""

import click

from tiffin.cli.output import echo_json
from tiffin.cli.repo import json_option, open_store
from tiffin.registry.definition import kind_words


@click.command("export-feast")
@click.argument("file", type=click.Path())
@click.option("--force", is_flag=True, help="Replace a FILE that is no registry of Feast.")
@json_option
@click.pass_context
def export_feast_command(ctx: click.Context, file: str, force: bool, as_json: bool) -> None:
    """Write the project to FILE, as a registry file of Feast.

    A registry of Feast that is there keeps its other projects, and what no definition says:
    versions, intervals, pickled functions. A new file begins with the one that was imported, if one
    was.
    """
    store = open_store(ctx)
    counts = store.export_feast_registry(file, force=force)
    if as_json:
        echo_json({"file": file, "project": store.project, "objects": counts})
        return
    click.echo(f"project {store.project} written to {file}:")
    for kind, count in counts.items():
        click.echo(f"  {kind_words(kind)}: {count:,}")
