"""What commands share: the store of the repo they stand in, and options that several have."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tiffin.errors import InvalidError, NotFoundError

if TYPE_CHECKING:
    from tiffin.store.config import RepoConfig
    from tiffin.store.feature_store import FeatureStore
    from tiffin.store.repo import RepoContents

F = TypeVar("F", bound=Callable[..., Any])

memory_option = click.option(
    "--memory-limit", metavar="SIZE", help="Memory it may take, e.g. 2GB; default: as configured."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
full_names_option = click.option(
    "--full-feature-names", is_flag=True, help="Call results view__feature."
)
features_option = click.option(
    "-f", "--features", multiple=True, metavar="VIEW:FEATURE", help="A feature; may be repeated."
)
service_option = click.option(
    "-s", "--feature-service", metavar="NAME", help="All features of a feature service."
)


def is_feast(ctx: click.Context) -> bool:
    """Whether the program was called as Feast's: then it prints and asks as Feast does."""
    return bool(ctx.find_root().obj["is_feast"])


def find_folder(place: dict[str, Any]) -> Path:
    """Return the folder that the command line names; a NotFoundError if there is none."""
    folder = Path(place["repo_path"]).absolute()
    if not folder.is_dir():
        raise NotFoundError(f"there is no folder {folder}")
    return folder


def find_repo(ctx: click.Context) -> tuple[Path, Path]:
    """Return the folder of the repo that the command line names, and its configuration file.

    Raises
    ------
    NotFoundError
        There is no such folder, or no such file.
    """
    from tiffin.store.config import FILE_NAME

    root = ctx.find_root()
    place = root.obj
    folder = find_folder(place)
    file = Path(place["fs_yaml_file"] or folder / FILE_NAME).absolute()
    if not file.exists():
        raise NotFoundError(
            f"there is no {file.name} in {file.parent}; go to the folder that has it, name that "
            f"folder ({root.info_name} --chdir FOLDER ...), or make a repo with "
            f"`{root.info_name} init NAME`"
        )
    return folder, file


@contextmanager
def settings_file(ctx: click.Context) -> Iterator[tuple[Path, Path]]:
    """Give the repo's folder and its configuration as a file, for programs that read one.

    A configuration that the environment holds is in a file of its own meanwhile.
    """
    from tiffin.store.config import FILE_NAME, text_of_environment

    place = ctx.find_root().obj
    text = text_of_environment() if place["fs_yaml_file"] is None else None
    if text is None:
        yield find_repo(ctx)
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / FILE_NAME
        file.write_text(text, "utf-8")
        yield find_folder(place), file


def read_config(ctx: click.Context) -> "RepoConfig":
    """Return the configuration of the repo that the command line names; opens nothing."""
    from tiffin.store.config import RepoConfig

    folder, file = find_repo(ctx)
    return RepoConfig.from_file(file, folder)


def open_store(ctx: click.Context) -> "FeatureStore":
    """Return the store of the repo that the command line names.

    Raises
    ------
    NotFoundError
        The folder holds no configuration.
    """
    from tiffin.store.config import TEXT_VARIABLE, RepoConfig, text_of_environment
    from tiffin.store.feature_store import FeatureStore

    place = ctx.find_root().obj
    text = text_of_environment() if place["fs_yaml_file"] is None else None
    if text is not None:
        folder = find_folder(place)
        config = RepoConfig.from_text(text, folder, f"${TEXT_VARIABLE}")
        return FeatureStore(repo_path=folder, config=config)
    find_repo(ctx)
    return FeatureStore(repo_path=place["repo_path"], fs_yaml_file=place["fs_yaml_file"])


def load_definitions(store: "FeatureStore") -> "RepoContents":
    """Run the repo's files; the project that they name must be the configuration's.

    Raises
    ------
    InvalidError
        The files define another project, or several.
    """
    from tiffin.store.repo import load_repo

    contents = load_repo(store.repo_path)
    names = [project.name for project in contents.projects]
    if len(names) > 1 or (names and names[0] != store.project):
        raise InvalidError(
            f"feature_store.yaml says project {store.project!r}, and the repo's files define "
            f"{', '.join(repr(name) for name in names)}; one repo is one project"
        )
    return contents


def choose_features(features: tuple[str, ...], service: str | None) -> list[str] | str:
    """Return what was asked for: references, or the name of a service.

    Raises
    ------
    click.UsageError
        Neither or both were given.
    """
    if bool(features) == bool(service):
        raise click.UsageError("name features with -f VIEW:FEATURE, or a service with -s NAME")
    return service if service else list(features)
