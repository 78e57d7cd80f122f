"""``tiffin version``, ``configuration`` and ``doctor``."""

import importlib.metadata
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from tiffin.cli.output import echo_json
from tiffin.cli.repo import is_feast, json_option, open_store, settings_file
from tiffin.errors import TiffinError

if TYPE_CHECKING:
    from tiffin.store.feature_store import FeatureStore

Finding = tuple[str, str, str]  # "ok" | "warn" | "fail", what was looked at, what was found


def _package_version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _versions() -> dict[str, str]:
    from tiffin import _native

    names = ("duckdb", "pyarrow", "pandas", "polars")
    python = ".".join(str(part) for part in sys.version_info[:3])
    return {
        "tiffin": _native.__version__,
        "python": python,
        **{name: _package_version(name) for name in names},
    }


@click.command("version")
@json_option
@click.pass_context
def version_command(ctx: click.Context, as_json: bool) -> None:
    """Show versions of Tiffin and of what it uses."""
    versions = _versions()
    if as_json:
        echo_json(versions)
    else:
        if is_feast(ctx):
            from tiffin.feast.names import FEAST_VERSION

            click.echo(f'Feast SDK Version: "{FEAST_VERSION}"')
        for name, version in versions.items():
            click.echo(f"{name} {version}")


@click.command("configuration")
@json_option
@click.pass_context
def configuration_command(ctx: click.Context, as_json: bool) -> None:
    """Show the configuration as it is understood, with defaults filled in."""
    content = open_store(ctx).config.to_dict()
    if as_json:
        echo_json(content)
        return
    import yaml

    click.echo(yaml.safe_dump(content, sort_keys=False, allow_unicode=True).rstrip())


# ---- doctor


def _check_installation() -> Iterator[Finding]:
    versions = _versions()
    yield "ok", "tiffin", f"{versions['tiffin']} on Python {versions['python']}"
    for name in ("duckdb", "pyarrow"):
        installed = versions[name] != "not installed"
        yield "ok" if installed else "fail", name, versions[name]


def _ask_server(*options: str) -> tuple[bool, str]:
    """Return whether tiffin-server agrees, and what it said."""
    from tiffin.cli.serve import PROGRAM, find_program

    try:
        done = subprocess.run(
            [find_program(), *options], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, f"{PROGRAM} does not run: {error}; install Tiffin anew"
    said = (done.stdout + done.stderr).strip().removeprefix(f"{PROGRAM}:").strip()
    if not said and done.returncode != 0:
        said = f"{PROGRAM} ended with {done.returncode} and said nothing; install Tiffin anew"
    return done.returncode == 0, said


def _check_program() -> Iterator[Finding]:
    """Look for the server: everything else works without it."""
    from tiffin.cli.serve import PROGRAM, find_program

    try:
        path = find_program()
    except TiffinError as error:
        yield "warn", "server", str(error)
        return
    works, said = _ask_server("--version")
    ours = f"{PROGRAM} {_versions()['tiffin']}"
    if not works:
        yield "fail", "server", said
    elif said != ours:
        yield "fail", "server", f"{path} is {said}, not {ours}; install both from one release"
    else:
        yield "ok", "server", f"{said} at {path}"


def _check_settings(ctx: click.Context) -> Iterator[Finding]:
    """Let the server read the configuration: it has settings of its own."""
    with settings_file(ctx) as (folder, file):
        works, said = _ask_server(f"--repo={folder}", f"--feature-store-yaml={file}", "--check")
    if not works:
        yield "fail", "server settings", said
    elif said:
        yield "warn", "server settings", said
    else:
        yield "ok", "server settings", "understood"


def _check_duckdb(store: "FeatureStore") -> Iterator[Finding]:
    version = store.duckdb_version()
    yield "ok", "reading files", f"DuckDB {version}"
    if int(version.lstrip("v").split(".")[0]) < 2:
        yield (
            "warn",
            "nanoseconds",
            f"DuckDB {version} cuts nanosecond times with a zone to microseconds; 2.0 does not",
        )


def _check_configuration(store: "FeatureStore") -> Iterator[Finding]:
    yield "ok", "configuration", f"project {store.project} in {store.repo_path}"
    if not store.config.online_ttl:
        yield (
            "warn",
            "online_ttl",
            "not set, so lookups serve values older than their ttl; set enforce, or ignore to be "
            "explicit",
        )


def _check_registry(store: "FeatureStore") -> Iterator[Finding]:
    commits = store.registry_log(1)
    n_views = len(store.list_feature_views())
    yield "ok", "registry", f"commit {commits[0]['commit']}, {n_views} feature views"


def _check_sources(store: "FeatureStore") -> Iterator[Finding]:
    from tiffin.registry.data_source import FileSource

    for source in store.list_data_sources():
        if isinstance(source, FileSource):
            columns = store.describe_data_source(source)
            yield "ok", f"data source {source.name}", f"{len(columns)} columns in {source.path}"


def _check_online(store: "FeatureStore") -> Iterator[Finding]:
    for view in store.status():
        if not view["online"]:
            continue
        if not view["generation"]:
            yield "warn", f"feature view {view['view']}", "never materialized"
        else:
            yield "ok", f"feature view {view['view']}", f"{view['rows']:,} rows online"


def _collect(check: Callable[[], Iterator[Finding]], name: str) -> list[Finding]:
    findings: list[Finding] = []
    try:
        findings.extend(check())
    except TiffinError as error:
        findings.append(("fail", name, str(error)))
    return findings


def _examine(ctx: click.Context) -> list[Finding]:
    findings = _collect(_check_installation, "installation")
    findings += _collect(_check_program, "server")
    has_server = findings[-1][0] == "ok"
    try:
        store = open_store(ctx)
    except TiffinError as error:
        return [*findings, ("fail", "configuration", str(error))]
    checks: list[tuple[str, Callable[[Any], Iterator[Finding]]]] = [
        ("configuration", _check_configuration),
        ("reading files", _check_duckdb),
        ("registry", _check_registry),
        ("data sources", _check_sources),
        ("online store", _check_online),
    ]
    for name, check in checks:
        findings += _collect(lambda check=check: check(store), name)  # type: ignore[misc]
    if has_server:
        findings += _collect(lambda: _check_settings(ctx), "server settings")
    return findings


@click.command("doctor")
@click.option(
    "--feast",
    "is_of_feast",
    is_flag=True,
    help="Say what of a Feast repo runs here; changes nothing.",
)
@json_option
@click.pass_context
def doctor_command(ctx: click.Context, is_of_feast: bool, as_json: bool) -> int:
    """Check the installation, the server, the repo and the stores.

    With --feast: read a Feast repo, and say of its settings and of each definition whether it runs
    ("ok"), runs otherwise than in Feast ("warn"), or what is missing ("fail"). Exit code 1 when
    something is wrong.
    """
    if is_of_feast:
        from tiffin.cli.feast_repo import examine

        findings = examine(ctx)
    else:
        findings = _examine(ctx)
    if as_json:
        echo_json([{"state": s, "what": w, "found": f} for s, w, f in findings])
    else:
        width = max(len(what) for _, what, _ in findings)
        for state, what, found in findings:
            click.echo(f"{state:<4}  {what:<{width}}  {found}")
    return 1 if any(state == "fail" for state, _, _ in findings) else 0
