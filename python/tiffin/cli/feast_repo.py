"""``tiffin doctor --feast``: what of a Feast repo runs here, before anything is changed.

Nothing is written: the registry and the online store stay closed, Python's bytecode stays in
memory, and definitions are planned against an empty registry in a temporary folder.
"""

import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tiffin.cli.repo import settings_file
from tiffin.errors import CorruptError, TiffinError, TiffinWarning

if TYPE_CHECKING:
    from tiffin.registry.definition import Definition
    from tiffin.store.config import RepoConfig
    from tiffin.store.feature_store import FeatureStore

Finding = tuple[str, str, str]  # "ok" | "warn" | "fail", what was looked at, what was found
_SQLITE = b"SQLite format 3\0"


def examine(ctx: click.Context) -> list[Finding]:
    """Return what was found of the settings, the registry and each definition."""
    findings: list[Finding] = []
    with settings_file(ctx) as (folder, file):
        config = _read_settings(folder, file, findings)
    if config is None:
        return findings
    loaded: list[Finding] = []
    objects = _load(folder, loaded)
    with tempfile.TemporaryDirectory() as scratch:
        store = _scratch_store(config, Path(scratch))
        findings += _check_registry(config, store)
        findings += loaded
        findings += _check_definitions(store, objects)
    n_failed = sum(state == "fail" for state, _, _ in findings)
    verdict = (
        f"{n_failed} of {len(findings)} do not run"
        if n_failed
        else "all of it runs; `tiffin apply` makes it so, and leaves Feast's files as they are"
    )
    return [*findings, ("fail" if n_failed else "ok", "in all", verdict)]


@contextmanager
def _told(findings: list[Finding], what: str) -> Iterator[None]:
    """Note warnings as what runs otherwise than in Feast."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        if issubclass(warning.category, TiffinWarning):
            findings.append(("warn", what, str(warning.message)))


def _read_settings(folder: Path, file: Path, findings: list[Finding]) -> "RepoConfig | None":
    from tiffin.store.config import RepoConfig

    try:
        with _told(findings, file.name):
            config = RepoConfig.from_file(file, folder)
    except TiffinError as error:
        findings.append(("fail", file.name, str(error)))
        return None
    findings.append(("ok", file.name, f"project {config.project}"))
    return config


def _scratch_store(config: "RepoConfig", scratch: Path) -> "FeatureStore":
    """Return a store of the repo's project with an empty registry elsewhere."""
    from tiffin.store.config import RepoConfig
    from tiffin.store.feature_store import FeatureStore

    return FeatureStore(
        repo_path=config.repo_path,
        config=RepoConfig(
            project=config.project, registry=str(scratch / "registry.db"), online_store=None
        ),
    )


def _check_registry(config: "RepoConfig", store: "FeatureStore") -> Iterator[Finding]:
    path = Path(config.repo_path) / config.registry
    if not path.is_file():
        yield "ok", "registry", f"{config.registry} is made by the first apply"
        return
    if path.open("rb").read(len(_SQLITE)) == _SQLITE:
        yield "ok", "registry", f"{config.registry} is there, and Tiffin's"
        return
    try:
        store.plan_feast_registry(path)
    except CorruptError as error:
        yield "fail", "registry", f"{config.registry} is neither Tiffin's nor Feast's: {error}"
        return
    except TiffinError as error:
        yield "warn", "registry", f"{config.registry} is Feast's own file: {error}"
        return
    yield (
        "ok",
        "registry",
        f"{config.registry} is Feast's own file, which is read and stays as it is; Tiffin's is "
        f"{config.registry}.tiffin, where `tiffin apply` writes",
    )


def _load(folder: Path, findings: list[Finding]) -> "list[Definition]":
    from tiffin.store.repo import load_repo

    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        with _told(findings, "Python files"):
            contents = load_repo(folder)
    except TiffinError as error:
        findings.append(("fail", "Python files", str(error)))
        return []
    finally:
        sys.dont_write_bytecode = before
    n = len(contents.files)
    findings.append(("ok", "Python files", f"{n} file{'s' if n != 1 else ''} run"))
    return contents.objects


def _check_definitions(store: "FeatureStore", objects: "list[Definition]") -> list[Finding]:
    from tiffin.registry.definition import kind_words
    from tiffin.registry.document import reach
    from tiffin.registry.foreign_source import ForeignSource
    from tiffin.store.registry import kept_and_not_run, run_otherwise

    if not objects:
        return [("warn", "definitions", "the repo's files define nothing")]
    findings: list[Finding] = []
    try:
        with _told(findings, "definitions"):
            plan = store.plan(objects)
    except TiffinError as error:  # of a function that was tried
        return [*findings, ("fail", "on-demand feature views", str(error))]
    refused = {(item["kind"], item["name"]): item["reason"] for item in plan.refused}
    missing = {(item.kind, item.name): why for item, why in kept_and_not_run(objects)}
    otherwise = {(item.kind, item.name): how for item, how in run_otherwise(objects)}
    seen = set()
    for item in reach(objects):
        key = (item.kind, item.name)
        if key in seen:
            continue
        seen.add(key)
        why = refused.get(key) or missing.get(key)
        what = f"{kind_words(item.kind)} {item.name}"
        if why:
            findings.append(("fail", what, why))
        elif key in otherwise:
            findings.append(("warn", what, otherwise[key]))
        elif isinstance(item, ForeignSource) and item.missing:
            findings.append(("warn", what, f"is kept, and not read: {item.missing}"))
        else:
            findings.append(("ok", what, "runs"))
    return findings
