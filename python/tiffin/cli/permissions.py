"""``tiffin permissions list|describe|list-roles|check``."""

import click

from tiffin.cli.absent import make_absent
from tiffin.cli.objects import make_group
from tiffin.cli.output import echo_json, echo_plain_table
from tiffin.cli.repo import json_option, open_store

permissions_command = make_group("permission", "permissions")
permissions_command.help = "List or describe permissions and their roles; none is checked."


@permissions_command.command("list-roles")
@json_option
@click.pass_context
def list_roles(ctx: click.Context, as_json: bool) -> None:
    """All roles that permissions name."""
    permissions = [d["content"] for d in open_store(ctx).list_documents("permission")]
    policies = [content.get("policy") or {} for content in permissions]
    roles = sorted({role for policy in policies for role in policy.get("roles") or []})
    if as_json:
        echo_json(roles)
    else:
        echo_plain_table(["ROLE NAME"], [[role] for role in roles])


permissions_command.add_command(
    make_absent(
        "check", "permissions are kept and not checked; `{0} keys` says who may use a server"
    )
)
