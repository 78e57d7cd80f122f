"""``tiffin keys create|list|revoke``."""

from pathlib import Path

import click

from tiffin.cli.output import echo_json, echo_note, echo_table
from tiffin.cli.repo import json_option, read_config

_file_option = click.option(
    "--keys",
    "keys_file",
    metavar="FILE",
    help="File of keys; default: as configured, else server_keys.json beside the registry.",
)


@click.group("keys")
def keys_command() -> None:
    """Make, list and revoke API keys of the feature server."""


def _keys_path(ctx: click.Context, keys_file: str | None) -> Path:
    """Return the file that the server of this repo reads."""
    from tiffin.server.keys import FILE_NAME

    if keys_file is not None:
        return Path(keys_file)
    config = read_config(ctx)
    named = config.feature_server.get("keys")
    if named is not None:
        return config.repo_path / str(named)
    return config.registry_path.parent / FILE_NAME


@keys_command.command("create")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(["read", "write", "admin"]),
    help="What it may do; may be repeated; admin includes the others. Default: read.",
)
@click.option("--rate", type=float, metavar="N", help="Requests per second; default: no limit.")
@_file_option
@click.pass_context
def create(
    ctx: click.Context,
    name: str,
    scopes: tuple[str, ...],
    rate: float | None,
    keys_file: str | None,
) -> None:
    """Make a key for NAME and print it, once: only its hash is kept."""
    from tiffin.server.keys import create_key

    path = _keys_path(ctx, keys_file)
    key_id, key = create_key(path, name, scopes or ("read",), rate)
    echo_note(f"key {key_id} for {name} ({', '.join(scopes or ('read',))}) is in {path}")
    echo_note("send it as  Authorization: Bearer KEY; it is not shown again:")
    click.echo(key)


@keys_command.command("list")
@_file_option
@json_option
@click.pass_context
def list_(ctx: click.Context, keys_file: str | None, as_json: bool) -> None:
    """List the keys, without their secrets."""
    from tiffin.server.keys import list_keys

    path = _keys_path(ctx, keys_file)
    keys = list_keys(path)
    if as_json:
        echo_json(keys)
        return
    if not keys:
        echo_note(f"there are no keys in {path}: a server on loopback lets anybody in")
        return
    names = ["id", "name", "scopes", "rate_per_second", "created"]
    rows = [[key.get(name) for name in names] for key in keys]
    echo_table(["ID", "NAME", "SCOPES", "PER SECOND", "CREATED"], rows)


@keys_command.command("revoke")
@click.argument("key_id", metavar="ID")
@_file_option
@click.pass_context
def revoke(ctx: click.Context, key_id: str, keys_file: str | None) -> None:
    """Remove the key with this ID; servers refuse it within a second."""
    from tiffin.server.keys import revoke_key

    key = revoke_key(_keys_path(ctx, keys_file), key_id)
    click.echo(f"key {key['id']} of {key['name']} is revoked")
