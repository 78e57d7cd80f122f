"""``tiffin import-feast``."""

from typing import TYPE_CHECKING, Any

import click

from tiffin.cli.output import echo_json, echo_note
from tiffin.cli.repo import json_option, open_store
from tiffin.registry.definition import kind_words

if TYPE_CHECKING:
    from tiffin.store.feature_store import FeatureStore


def _missing_of(document: dict[str, Any]) -> str:
    return str(document.get("missing") or (document.get("foreign") or {}).get("missing") or "")


def _note_what_is_not_run(store: "FeatureStore", changes: list[dict[str, Any]]) -> None:
    """Say which of the views and sources that came cannot be run, and why."""
    for change in changes:
        kind, name = change["kind"], change["name"]
        if change["action"] == "remove" or kind not in ("feature_view", "data_source"):
            continue
        missing = _missing_of(store.get_document(kind, name))
        if missing:
            echo_note(f"{kind_words(kind)} {name!r} is kept, and not run: {missing}")


@click.command("import-feast")
@click.argument("file", type=click.Path())
@click.option("--project", metavar="NAME", help="A project of the file; default: the repo's.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@json_option
@click.pass_context
def import_feast_command(
    ctx: click.Context, file: str, project: str | None, dry_run: bool, as_json: bool
) -> int:
    """Take a project over from FILE, a registry file of Feast.

    The project becomes what the file says of it, as one commit; the file is not changed, and is
    kept in the registry. A repo whose `registry` is Feast's own file needs no import.
    """
    store = open_store(ctx)
    if dry_run:
        plan = store.plan_feast_registry(file, project)
        if as_json:
            echo_json(plan.to_dict())
        else:
            click.echo(str(plan))
        return 1 if plan.refused else 0
    result = store.import_feast_registry(file, project)
    if as_json:
        echo_json(result.to_dict())
        return 0
    click.echo(str(result))
    if project is not None and project != store.project:
        echo_note(
            f"it is the project {project!r} of this registry; feature_store.yaml names "
            f"{store.project!r}"
        )
    else:
        _note_what_is_not_run(store, result.changes)
    return 0
