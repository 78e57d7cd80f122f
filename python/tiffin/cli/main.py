"""The program ``tiffin``: its commands, loaded when they are used, and its way of failing.

Exit codes: 0 done, 1 failed, 2 the command line makes no sense. A failure is one sentence on
standard error; a traceback is always a bug of Tiffin's.

``tiffin-feast`` is the same program for scripts that were written for ``feast``, and can be linked
under that name: it prints and asks as Feast does (docs/cli.md), and calls itself as it was called.
"""

import importlib
import sys
import warnings
from pathlib import Path
from typing import Any

import click

# Where each command lives: importing them all would cost every call (and --help) their imports.
_COMMANDS = {
    "apply": ("definitions", "make the registry what the repo's files say"),
    "check-leakage": ("training", "look for what a training set may not know"),
    "configuration": ("about", "the configuration as it is understood"),
    "data-sources": ("objects", "list or describe data sources"),
    "delete": ("removal", "delete one definition, of whatever kind"),
    "doctor": ("about", "check the installation, the server, the repo and the stores"),
    "endpoint": ("serve", "where the feature server answers"),
    "explain": ("training", "how a training set would be made, or was made"),
    "entities": ("objects", "list or describe entities"),
    "export-feast": ("feast_export", "write the project as a registry file of Feast"),
    "feast-shim": ("feast_shim", "have `import feast` mean Tiffin in an environment"),
    "feature-services": ("objects", "list or describe feature services"),
    "feature-views": ("views", "list, describe, enable or disable feature views; versions"),
    "features": ("features", "list or describe features"),
    "get-historical-features": ("training", "build a training set"),
    "get-online-features": ("online", "look up the newest values"),
    "history": ("source_rows", "all rows of a view in a window of time"),
    "import-feast": ("feast_registry", "take a project over from a registry file of Feast"),
    "init": ("init", "make a new repo"),
    "label-views": ("objects", "list or describe label views"),
    "keys": ("keys", "make, list and revoke API keys of the server"),
    "latest": ("source_rows", "the newest row of every key of a view"),
    "logs": ("logs", "flush what servers have logged to Parquet"),
    "materialize": ("online", "load a range of dates into the online store"),
    "materialize-incremental": ("online", "load what is new into the online store"),
    "on-demand-feature-views": ("objects", "list or describe on-demand feature views"),
    "online": ("online_admin", "count, clean, back up the online store; delete keys"),
    "permissions": ("permissions", "list or describe permissions and their roles"),
    "plan": ("definitions", "what apply would change"),
    "projects": ("projects", "list, describe or delete projects"),
    "push": ("writing", "write rows to every view on a push source"),
    "registry": ("history", "log of commits, and what one changed"),
    "registry-dump": ("dump", "all definitions as JSON"),
    "saved-datasets": ("datasets", "list, describe, verify or delete saved datasets"),
    "serve": ("serve", "serve features over HTTP"),
    "stream-feature-views": ("objects", "list or describe stream feature views"),
    "teardown": ("definitions", "remove this project"),
    "validation-references": ("objects", "list or describe validation references"),
    "version": ("about", "versions of Tiffin and of what it uses"),
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            from tiffin.cli.absent import absent_command

            return absent_command(cmd_name)
        module = importlib.import_module(f"tiffin.cli.{_COMMANDS[cmd_name][0]}")
        name = cmd_name.replace("-", "_")
        names = [f"{name}_feast_command"] if ctx.obj["is_feast"] else []
        command: click.Command = next(
            getattr(module, each) for each in [*names, f"{name}_command"] if hasattr(module, each)
        )
        return command

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's
        formatter: click.HelpFormatter,
    ) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in sorted(_COMMANDS.items())])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-c",
    "--chdir",
    default=".",
    envvar="FEATURE_REPO_DIR_ENV_VAR",
    metavar="FOLDER",
    help="Folder of the repo.",
)
@click.option(
    "-f",
    "--feature-store-yaml",
    envvar="FEAST_FS_YAML_FILE_PATH",
    metavar="FILE",
    help="Configuration file; default feature_store.yaml in the repo.",
)
@click.option(
    "--log-level",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], case_sensitive=False),
    default="warning",
    help="ERROR and CRITICAL leave out warnings; the others are alike.",
)
@click.pass_context
def tiffin(ctx: click.Context, chdir: str, feature_store_yaml: str | None, log_level: str) -> None:
    """Tiffin, a feature store: define features, train on the past, serve the present."""
    ctx.obj.update(repo_path=chdir, fs_yaml_file=feature_store_yaml)
    if log_level.upper() in ("ERROR", "CRITICAL"):
        warnings.simplefilter("ignore")


def _run(args: list[str] | None, name: str, is_feast: bool) -> Any:
    from tiffin.cli.output import show_warnings_plainly

    show_warnings_plainly()
    return tiffin.main(args, name, standalone_mode=False, obj={"is_feast": is_feast})


def main(args: list[str] | None = None) -> None:
    """Run the program and exit."""
    _main(args, "tiffin", is_feast=False)


def main_feast() -> None:
    """Run the program as Feast's, under the name that it was called by, and exit."""
    _main(None, Path(sys.argv[0]).name, is_feast=True)


def _main(args: list[str] | None, name: str, *, is_feast: bool) -> None:
    from tiffin.errors import TiffinError

    try:
        result = _run(args, name, is_feast)
    except click.UsageError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(1)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(1)
    except TiffinError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        text = f"Error: {error.strerror or error}: {error.filename or ''}"
        click.echo(text.rstrip(": "), err=True)
        sys.exit(1)
    sys.exit(result if isinstance(result, int) else 0)


if __name__ == "__main__":
    main()
