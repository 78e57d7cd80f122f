"""``tiffin feature-views list|describe|enable|disable|set-state|list-versions``."""

from typing import TYPE_CHECKING, Any

import click

from tiffin.cli.absent import refuse
from tiffin.cli.feast_tables import states_of
from tiffin.cli.objects import make_group
from tiffin.cli.output import echo_json, echo_plain_table
from tiffin.cli.repo import json_option, open_store
from tiffin.errors import UnsupportedError

if TYPE_CHECKING:
    from tiffin.store.feature_store import FeatureStore

feature_views_command = make_group("feature_view", "feature-views")
feature_views_command.help = "List, describe, enable or disable feature views; show versions."

# Fields of a view whose change makes a new version, as in Feast; others change in place.
_VERSIONED = {"schema", "entities", "join_keys", "sources", "request_sources", "function", "mode"}


def _set_enabled(ctx: click.Context, name: str, enabled: bool) -> None:
    from tiffin.registry.feature_view import FeatureView

    word = "enabled" if enabled else "disabled"
    store = open_store(ctx)
    view = store.get_any_feature_view(name)
    if not isinstance(view, FeatureView):
        raise UnsupportedError(
            f"{name!r} is an on-demand feature view, which cannot be disabled; take it out of the "
            "feature services that have it"
        )
    if view.enabled == enabled:
        click.echo(f"Feature view '{name}' is already {word}.")
        return
    view.enabled = enabled
    store.apply(view, message=f"feature view {name} {word}")
    click.echo(f"Feature view '{name}' has been {word}.")


@feature_views_command.command("enable")
@click.argument("name")
@click.pass_context
def enable(ctx: click.Context, name: str) -> None:
    """Have a view be materialized and served again."""
    _set_enabled(ctx, name, True)


@feature_views_command.command("disable")
@click.argument("name")
@click.pass_context
def disable(ctx: click.Context, name: str) -> None:
    """Have a view not be materialized or served.

    The next apply of files that do not say enabled=False enables it again.
    """
    _set_enabled(ctx, name, False)


@feature_views_command.command("set-state")
@click.argument("name")
@click.argument(
    "state",
    type=click.Choice(
        ["CREATED", "GENERATED", "MATERIALIZING", "AVAILABLE_ONLINE"], case_sensitive=False
    ),
)
@click.pass_context
def set_state(ctx: click.Context, name: str, state: str) -> None:
    """Feast's; Tiffin's states follow from what was materialized."""
    store = open_store(ctx)
    store.get_any_feature_view(name)
    if states_of(store).get(name) == state.upper():
        click.echo(f"Feature view '{name}' is already in state {state.upper()}.")
        return
    refuse(
        ctx,
        f"feature view {name!r} is not set to {state.upper()}, because states here follow from "
        "what was materialized; `{0} materialize` makes it AVAILABLE_ONLINE",
    )


def _versions(store: "FeatureStore", kind: str, name: str) -> list[dict[str, Any]]:
    """Versions of a view since it was last added: commits that changed what it computes."""
    versions: list[dict[str, Any]] = []
    for commit in reversed(store.registry_log()):
        for change in store.registry_show(commit["commit"])["changes"]:
            if change["kind"] != kind or change["name"] != name:
                continue
            if change["action"] == "add":
                versions = []
            fields = {field["field"].partition(".")[0] for field in change["fields"]}
            if change["action"] == "add" or fields & _VERSIONED:
                versions.append(
                    {
                        "version": f"v{len(versions)}",
                        "feature_view_type": kind,
                        "created_timestamp": commit["time"],
                        "version_id": f"commit {commit['commit']}",
                    }
                )
    return versions


@feature_views_command.command("list-versions")
@click.argument("name")
@json_option
@click.pass_context
def list_versions(ctx: click.Context, name: str, as_json: bool) -> None:
    """Show when a view's schema, entities or function changed; oldest first.

    A version is a commit of the registry: `feature-views describe NAME --as-of COMMIT` shows it.
    Reads its whole log.
    """
    store = open_store(ctx)
    view = store.get_any_feature_view(name)
    versions = _versions(store, view.kind, name)
    if as_json:
        echo_json(versions)
    else:
        rows = [list(version.values()) for version in versions]
        echo_plain_table(["VERSION", "TYPE", "CREATED", "VERSION_ID"], rows)
