"""``tiffin permissions list|describe|list-roles``: they are kept and shown, and not checked."""

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click

from tiffin.cli.absent import make_absent
from tiffin.cli.objects import make_group, parse_tags
from tiffin.cli.output import echo_json, echo_plain_table
from tiffin.cli.repo import json_option, open_store

if TYPE_CHECKING:
    from tiffin.registry.definition import Definition
    from tiffin.registry.kept import Permission
    from tiffin.store.feature_store import FeatureStore

_verbose_option = click.option(
    "-v", "--verbose", is_flag=True, help="Also what they would be for: which objects, what may be."
)


def _objects(store: "FeatureStore") -> list["Definition"]:
    """All that permissions may be for, in Feast's order of kinds."""
    lists: tuple[Callable[[], Iterable[Definition]], ...] = (
        store.list_entities,
        store.list_all_feature_views,
        store.list_feature_services,
        store.list_data_sources,
        store.list_validation_references,
        store.list_saved_datasets,
        store.list_permissions,
    )
    return [item for list_all in lists for item in list_all()]


def _is_of(item: "Definition", type_name: str) -> bool:
    """Whether an object is of a class or of one that derives from it."""
    return any(cls.__name__ == type_name for cls in type(item).__mro__)


def _is_for(permission: "Permission", item: "Definition") -> bool:
    """Whether a permission is for an object: by its class, its name and its tags."""
    patterns = permission.content["name_patterns"]
    return (
        any(_is_of(item, name) for name in permission.content["types"])
        and (not patterns or any(re.fullmatch(pattern, item.name) for pattern in patterns))
        and permission.content["required_tags"].items() <= item.tags.items()
    )


def _roles(permission: "Permission") -> list[str]:
    return sorted(permission.content["policy"].get("roles") or [])


# ---- list


def _tree(store: "FeatureStore", tags: dict[str, str] | None) -> list[str]:
    """Permissions with their roles, the classes that they are for, and objects of these."""
    permissions, objects = store.list_permissions(tags=tags), _objects(store)
    lines = ["permissions"]
    for permission in permissions:
        is_last = permission is permissions[-1]
        roles = f" {_roles(permission)}" if _roles(permission) else ""
        lines.append(f"{'└' if is_last else '├'}── {permission.name}{roles}")
        types = permission.content["types"]
        for i, name in enumerate(types):
            found = [o.name for o in objects if _is_of(o, name) and _is_for(permission, o)]
            branch = "└" if i == len(types) - 1 else "├"
            stem = " " if is_last else "│"
            lines.append(f"{stem}   {branch}── {name}: {found or 'none'}")
    return lines


permissions_command = make_group("permission", "permissions")
permissions_command.help = "List or describe permissions and their roles; none is checked."
_list_plainly = permissions_command.commands["list"]


@permissions_command.command("list", params=[*_list_plainly.params])
@_verbose_option
@click.pass_context
def list_(ctx: click.Context, /, verbose: bool, **given: Any) -> None:
    """All permissions, by name."""
    if verbose and not given["as_json"]:
        for line in _tree(open_store(ctx), parse_tags(given["tags"])):
            click.echo(line)
    else:
        ctx.invoke(_list_plainly, **given)


# ---- roles


def _permitted(permissions: list["Permission"], role: str, item: "Definition") -> list[str]:
    """Actions that somebody of this role alone may do: one permission is enough, as in Feast."""
    actions: dict[str, None] = {}
    for permission in permissions:
        is_for_role = permission.content["policy"]["class"] == "AllowAll" or role in _roles(
            permission
        )
        if is_for_role and _is_for(permission, item):
            actions.update(dict.fromkeys(permission.content["actions"]))
    return list(actions)


@permissions_command.command("list-roles")
@_verbose_option
@json_option
@click.pass_context
def list_roles(ctx: click.Context, verbose: bool, as_json: bool) -> None:
    """All roles that permissions name."""
    store = open_store(ctx)
    permissions = store.list_permissions()
    roles = sorted({role for permission in permissions for role in _roles(permission)})
    names = ["ROLE NAME"]
    rows: list[list[Any]] = [[role] for role in roles]
    if verbose:
        names += ["RESOURCE NAME", "RESOURCE TYPE", "PERMITTED ACTIONS"]
        rows = [
            [role, item.name, type(item).__name__, _permitted(permissions, role, item)]
            for role in roles
            for item in _objects(store)
        ]
    if as_json:
        echo_json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        echo_plain_table(names, rows)


permissions_command.add_command(
    make_absent(
        "check", "permissions are kept and not checked; `{0} keys` says who may use a server"
    )
)
