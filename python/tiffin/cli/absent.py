"""Feast's commands whose engine does not exist here: each says what is missing, and what there is.

They are found, so that a script that calls one learns why it stops; they are not in ``--help``.
"""

import click

from tiffin.errors import UnsupportedError

_NO_WEB = "there are the lists of `{0} ...` and `{0} registry log`"
_MISSING = {
    "dbt": "models of dbt are not imported; write their tables as FileSource and FeatureView",
    "demo-notebooks": "no notebooks are made; `{0} init -t local` makes a repo with a script",
    "listen": "there is no gRPC server for features; `{0} serve` serves them over HTTP",
    "mcp": "there is no MCP server; `{0} serve` serves features over HTTP",
    "mlflow": "MLflow is not written to; `{0} saved-datasets` keeps how training sets were made",
    "monitor": "features are not monitored; `{0} logs flush` writes what was served to Parquet",
    "serve_lineage": f"there is no lineage server; {_NO_WEB}",
    "serve_offline": "there is no offline server; `{0} history VIEW -o FILE` writes rows",
    "serve_registry": "there is no registry server; share the registry file, or the repo's files",
    "serve_transformations": "there is no server for on-demand functions; `{0} serve` runs them",
    "ui": f"there is no web interface; {_NO_WEB}",
    "validate": "logged features are not validated; `{0} logs flush` writes them to Parquet",
}
_HELP = "Feast's; Tiffin does not have it, and says what it has."


def refuse(ctx: click.Context, missing: str) -> None:
    """Fail with the one sentence that says what is missing.

    Parameters
    ----------
    ctx : click.Context
        Of the command.
    missing : str
        The sentence; ``{0}`` is the name of the program.

    Raises
    ------
    UnsupportedError
        Always.
    """
    program = ctx.find_root().info_name
    said = ctx.command_path.removeprefix(f"{program} ")
    raise UnsupportedError(f"{said}: {missing.format(program)}")


def make_absent(name: str, missing: str) -> click.Command:
    """Return a command that takes any arguments and says what is missing."""

    @click.command(
        name,
        help=_HELP,
        context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]},
    )
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    @click.pass_context
    def command(ctx: click.Context, arguments: tuple[str, ...]) -> None:  # noqa: ARG001 - any
        refuse(ctx, missing)

    return command


def absent_command(name: str) -> click.Command | None:
    """Return the command of this name, or None if Feast has none either."""
    missing = _MISSING.get(name)
    return None if missing is None else make_absent(name, missing)
