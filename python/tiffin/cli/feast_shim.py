"""``tiffin feast-shim install|uninstall``."""

from pathlib import Path

import click

from tiffin.cli.output import echo_note

_target_option = click.option(
    "--target",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Folder of packages; default: that of this Python.",
)


@click.group("feast-shim")
def feast_shim_command() -> None:
    """Have `import feast` mean Tiffin in an environment that has no Feast."""


@feast_shim_command.command("install")
@_target_option
def install_command(target: Path | None) -> None:
    """Put a package `feast` there; an installed Feast is never replaced."""
    from tiffin.feast import package

    click.echo(str(package.install(target)))
    echo_note("`import feast` means Tiffin now; `tiffin feast-shim uninstall` undoes it")


@feast_shim_command.command("uninstall")
@_target_option
def uninstall_command(target: Path | None) -> None:
    """Remove the package again."""
    from tiffin.feast import package

    echo_note(f"removed {package.uninstall(target)}")
