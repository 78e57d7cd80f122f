"""``tiffin serve``: the program tiffin-server, told where the repo and this Python are.

The options are Feast's, by name and letter, and the server's own. What is not given here, the
mapping ``feature_server`` of the configuration says, or the server's defaults.
"""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import click

from tiffin.cli.output import echo_note
from tiffin.cli.repo import find_folder, find_repo, read_config
from tiffin.errors import InvalidError, NotFoundError, UnsupportedError
from tiffin.store.config import FILE_NAME, TEXT_VARIABLE, text_of_environment

PROGRAM = "tiffin-server"
_WAIT_SECONDS = 1.0

# Options that are handed on as they are: ours, or Feast's under our name.
_HANDED_ON = {
    "host": "--host",
    "port": "--port",
    "workers": "--workers",
    "jobs": "--jobs",
    "unix_socket": "--unix-socket",
    "key": "--tls-key",
    "cert": "--tls-cert",
    "keys": "--keys",
    "access_log": "--access-log",
    "access_log_rate": "--access-log-rate",
    "feature_logs": "--feature-logs",
}
_FLAGS = {
    "insecure": "--insecure",
    "no_access_log": "--no-access-log",
    "check": "--check",
    "print_config": "--print-config",
}
# Feast's options that ask for nothing here, and why.
_NOTES = {
    "max_requests": "--max-requests has no effect: the server's threads need no restarts",
    "max_requests_jitter": "--max-requests-jitter has no effect: nothing is restarted",
    "registry_ttl_sec": "--registry_ttl_sec has no effect: commits are seen within a second",
    "metrics": "--metrics has no effect: /metrics is always there, on the server's own port",
}


def find_program() -> str:
    """Return the path of tiffin-server: beside this Python, or on the PATH.

    Raises
    ------
    NotFoundError
        It is in neither place.
    """
    beside = Path(sys.executable).with_name(PROGRAM)
    if beside.is_file() and os.access(beside, os.X_OK):
        return str(beside)
    found = shutil.which(PROGRAM)
    if found is None:
        raise NotFoundError(
            f"there is no program {PROGRAM} beside {sys.executable} or on the PATH; install Tiffin "
            "with its server, or build it (CONTRIBUTING.md)"
        )
    return found


# ---- endpoint


def _answers(host: str, port: int, certificate: str | None) -> bool:
    """Whether a feature server answers there."""
    import http.client
    import ssl

    connection: http.client.HTTPConnection
    if certificate:  # one of our own names nobody that this machine trusts; nothing secret is sent
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection(host, port, timeout=_WAIT_SECONDS, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=_WAIT_SECONDS)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@click.command("endpoint")
@click.pass_context
def endpoint_command(ctx: click.Context) -> None:
    """Show where the feature server answers: asks where the configuration has it, for a second."""
    settings = read_config(ctx).feature_server
    host, port = str(settings.get("host", "127.0.0.1")), settings.get("port", 6566)
    if "unix_socket" in settings and not {"host", "port"} & settings.keys():
        raise UnsupportedError(
            f"the server is configured to listen on the Unix socket {settings['unix_socket']}, "
            "which is not asked; `curl --unix-socket` does"
        )
    if not isinstance(port, int):
        raise InvalidError(f"feature_server.port must be a whole number, not {port!r}")
    certificate = settings.get("tls_cert")
    if _answers(host, port, certificate):
        scheme = "https" if certificate else "http"
        click.echo(f"Feature server endpoint: {scheme}://{host}:{port}")
    else:
        click.echo(f"There is no active feature server on {host}:{port}.")


# ---- serve


@click.command("serve", context_settings={"help_option_names": ["--help"]})
@click.option("-h", "--host", metavar="ADDRESS", help="Interface; default 127.0.0.1.")
@click.option("-p", "--port", metavar="N", type=int, help="Port; default 6566; 0 = any free one.")
@click.option("-t", "--type", "type_", metavar="http", default="http", help="Feast's; http.")
@click.option(
    "-w", "--workers", metavar="N", type=int, help="Threads that answer; default 1; -1 = per core."
)
@click.option("-k", "--key", metavar="FILE", help="TLS: the private key (PEM).")
@click.option("-c", "--cert", metavar="FILE", help="TLS: the certificate (PEM).")
@click.option("--no-access-log", is_flag=True, help="No access log, whatever is configured.")
@click.option("--unix-socket", metavar="PATH", help="Listen on a Unix socket.")
@click.option("--jobs", metavar="N", type=int, help="Threads for what may block; default 4.")
@click.option("--keys", metavar="FILE", help="API keys; see `tiffin keys`.")
@click.option("--insecure", is_flag=True, help="Serve other machines without API keys.")
@click.option("--access-log", metavar="FILE", help="One JSON line per request; - = standard error.")
@click.option("--access-log-rate", metavar="R", type=float, help="Share of requests, 0 to 1.")
@click.option("--feature-logs", metavar="FOLDER", help="Where logs of feature services go.")
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="NAME=VALUE",
    help="E.g. max_body=16MiB; repeatable.",
)
@click.option(
    "--keep-alive-timeout", metavar="S", type=float, help="Feast's: as --limit idle_seconds=S."
)
@click.option(
    "--worker-connections",
    metavar="N",
    type=int,
    help="Feast's, of each worker: as --limit max_connections, of all.",
)
@click.option("--max-requests", type=int, metavar="N", help="Feast's; no effect.")
@click.option("--max-requests-jitter", type=int, metavar="N", help="Feast's; no effect.")
@click.option("-r", "--registry_ttl_sec", type=int, metavar="S", help="Feast's; no effect.")
@click.option("-m", "--metrics", is_flag=True, help="Feast's; /metrics is always there.")
@click.option("--check", is_flag=True, help="Read and check the settings, and exit.")
@click.option("--print-config", is_flag=True, help="Print the effective settings as JSON.")
@click.pass_context
def serve_command(ctx: click.Context, /, **given: Any) -> None:
    """Serve features over HTTP until SIGTERM or Ctrl-C (docs/server.md)."""
    arguments = [find_program(), *_arguments(*_find_settings(ctx), given)]
    _name_duckdb()
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(arguments[0], arguments)


def _find_settings(ctx: click.Context) -> tuple[Path, Path]:
    """Return the repo's folder and its configuration as a file that the server can read.

    A configuration that the environment holds, perhaps with secrets, is put into a file that lies
    in memory only. This process becomes the server and keeps its number, so the server and its
    children find the file under that number, for as long as the server lives.
    """
    place = ctx.find_root().obj
    text = text_of_environment() if place["fs_yaml_file"] is None else None
    if text is None:
        return find_repo(ctx)
    if not hasattr(os, "memfd_create"):
        raise UnsupportedError(
            f"on this system the server reads its configuration from a file, and ${TEXT_VARIABLE} "
            f'holds a text; write `echo "${TEXT_VARIABLE}" | base64 -d > {FILE_NAME}`, and unset '
            "the variable"
        )
    file = os.memfd_create(FILE_NAME, 0)
    with open(file, "w", encoding="utf-8", closefd=False) as out:
        out.write(text)
    return find_folder(place), Path(f"/proc/{os.getpid()}/fd/{file}")


def _arguments(folder: Path, file: Path, given: dict[str, Any]) -> list[str]:
    """Return the command line of tiffin-server for this one."""
    if given["type_"] != "http":
        raise click.UsageError(f"a server of type {given['type_']!r} does not exist; there is http")
    for name, note in _NOTES.items():
        if given[name]:
            echo_note(note)
    workers = given["workers"]
    if workers == -1:  # Feast's: as many as the machine can use; here threads, not processes
        workers = len(os.sched_getaffinity(0))
    arguments = [
        f"--repo={folder}",
        f"--feature-store-yaml={file}",
        f"--python={sys.executable}",
    ]
    for name, option in _HANDED_ON.items():
        value = workers if name == "workers" else given[name]
        if value not in (None, ""):  # Feast's --key and --cert are empty by default
            arguments.append(f"{option}={value}")
    arguments += [option for name, option in _FLAGS.items() if given[name]]
    if given["keep_alive_timeout"] is not None:
        arguments.append(f"--limit=idle_seconds={given['keep_alive_timeout']}")
    if given["worker_connections"] is not None:
        total = given["worker_connections"] * max(workers or 1, 1)
        arguments.append(f"--limit=max_connections={total}")
    return arguments + [f"--limit={limit}" for limit in given["limits"]]


def _name_duckdb() -> None:
    """Tell the engine of this Python's DuckDB, which materializations need."""
    from tiffin.store.engine import find_duckdb

    library = find_duckdb()
    if library is not None:
        os.environ["TIFFIN_DUCKDB_LIBRARY"] = library
