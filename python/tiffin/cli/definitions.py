"""``tiffin plan``, ``apply`` and ``teardown``."""

import sys
from typing import TYPE_CHECKING

import click

from tiffin.cli.output import echo_json, echo_note
from tiffin.cli.repo import is_feast, json_option, load_definitions, open_store, yes_option
from tiffin.errors import InvalidError, UnsupportedError
from tiffin.registry.definition import kind_words

if TYPE_CHECKING:
    from tiffin.store.changes import Plan
    from tiffin.store.feature_store import FeatureStore
    from tiffin.store.repo import RepoContents


_sources_option = click.option(
    "--skip-source-validation",
    is_flag=True,
    expose_value=False,
    help="Feast's; sources are read only where a schema is inferred.",
)
_skip_option = click.option(
    "--skip-feature-view-validation",
    "skip",
    is_flag=True,
    help="Do not try the functions of on-demand views.",
)


def _plan(store: "FeatureStore", contents: "RepoContents", skip: bool) -> "Plan":
    return store.plan(contents.objects, skip_feature_view_validation=skip, delete_missing=True)


@click.command("plan")
@_sources_option
@_skip_option
@json_option
@click.pass_context
def plan_command(ctx: click.Context, skip: bool, as_json: bool) -> int:
    """Show what apply would change: by object and field, and what is refused and why."""
    store = open_store(ctx)
    plan = _plan(store, load_definitions(store), skip)
    if as_json:
        echo_json(plan.to_dict())
    else:
        click.echo(str(plan))
    return 1 if plan.refused else 0


def _confirm_removals(plan: "Plan", unasked: bool) -> None:
    removed = [c for c in plan.changes if c["action"] == "remove"]
    if not removed or unasked:
        return
    names = ", ".join(f"{kind_words(c['kind'])} {c['name']}" for c in removed)
    if not sys.stdin.isatty():
        raise InvalidError(f"this would remove {names}; pass --yes to do it without being asked")
    click.confirm(f"Remove {names}?", abort=True, err=True)


@click.command("apply")
@yes_option
@click.option("-m", "--message", default="", help="A line for the registry's log.")
@click.option("--no-progress", is_flag=True, expose_value=False, help="Feast's; there is none.")
@click.option("--no-promote", is_flag=True, help="Feast's; refused.")
@_sources_option
@_skip_option
@json_option
@click.pass_context
def apply_command(
    ctx: click.Context, yes: bool, message: str, no_promote: bool, skip: bool, as_json: bool
) -> None:
    """Make the registry what the repo's files say.

    Definitions that vanished from the files are removed; they are shown first, and asked about
    (not when it is called as Feast's program). Their rows stay in the online store.
    """
    if no_promote:
        raise UnsupportedError(
            "--no-promote: a definition that is applied is the one in use; `plan` shows what "
            "would change, and every past state stays readable (--as-of)"
        )
    store = open_store(ctx)
    contents = load_definitions(store)
    plan = _plan(store, contents, skip)
    if not plan.refused:
        _confirm_removals(plan, yes or is_feast(ctx))
    result = store.apply(
        contents.objects,
        skip_feature_view_validation=True,  # the plan has tried them
        delete_missing=True,
        expected_commit=plan.base_commit,
        message=message,
    )
    if as_json:
        echo_json(result.to_dict())
        return
    if is_feast(ctx):
        click.echo(f"Applying changes for project {store.project}")
    click.echo(str(result))


@click.command("teardown")
@yes_option
@json_option
@click.pass_context
def teardown_command(ctx: click.Context, yes: bool, as_json: bool) -> None:
    """Remove this project: its definitions, its run states and its rows online.

    Other projects of the registry are not touched, and the history stays readable.
    Called as Feast's program it does not ask.
    """
    store = open_store(ctx)
    if not yes and not is_feast(ctx):
        if not sys.stdin.isatty():
            raise InvalidError(
                f"this would remove project {store.project}; pass --yes to do it unasked"
            )
        click.confirm(f"Remove project {store.project}, definitions and online rows?", abort=True)
    answer = store.teardown()
    if as_json:
        echo_json(answer)
        return
    removed = len(answer.get("changes", []))
    rows = answer.get("online_rows_removed", 0)
    echo_note(f"project {store.project}: {removed} objects and {rows:,} online rows removed")
