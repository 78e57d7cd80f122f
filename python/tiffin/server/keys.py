"""The file of API keys: making, listing and revoking them (docs/formats/server-keys.md).

A key is ``tfk_<id>_<secret>``. The file holds its SHA-256, never the key: the secret has 256 random
bits, so there is nothing to guess and no need for a slow hash. The server reads the file again
within a second after it changed.
"""

import contextlib
import hashlib
import json
import math
import os
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tiffin.errors import CorruptError, InvalidError, IoError, NotFoundError

FILE_NAME = "server_keys.json"
SCOPES = ("read", "write", "admin")
VERSION = 1
_MAX_NAME = 100
_MAX_RATE = 1_000_000
_MIN_RATE = 1e-6
_ID_BYTES = 6
_SECRET_BYTES = 32


def create_key(
    path: Path, name: str, scopes: Sequence[str] = ("read",), rate_per_second: float | None = None
) -> tuple[str, str]:
    """Make a key and add it to the file.

    Parameters
    ----------
    path : pathlib.Path
        The file; made when there is none, readable by its owner alone.
    name : str
        For whom or what it is; need not be unique.
    scopes : sequence of {"read", "write", "admin"}
        What it may do; ``admin`` includes the others.
    rate_per_second : float, optional
        Requests per second; default: no limit.

    Returns
    -------
    tuple of str
        The id, and the key, which is kept nowhere.

    Raises
    ------
    InvalidError
        A name, scope or rate that makes no sense.
    """
    _check(name, scopes, rate_per_second)
    with _locked(path):
        entries = _read(path)
        taken = {entry["id"] for entry in entries}
        key_id = secrets.token_hex(_ID_BYTES)
        while key_id in taken:
            key_id = secrets.token_hex(_ID_BYTES)
        key = f"tfk_{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
        entries.append(
            {
                "id": key_id,
                "name": name,
                "scopes": [scope for scope in SCOPES if scope in scopes],
                "rate_per_second": rate_per_second,
                "sha256": hashlib.sha256(key.encode()).hexdigest(),
                "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        )
        _write(path, entries)
    return key_id, key


def list_keys(path: Path) -> list[dict[str, Any]]:
    """Return what is known of each key, oldest first, without its hash."""
    return [{k: v for k, v in entry.items() if k != "sha256"} for entry in _read(path)]


def revoke_key(path: Path, key_id: str) -> dict[str, Any]:
    """Remove a key, and return what was known of it.

    Raises
    ------
    NotFoundError
        There is no key with this id.
    """
    with _locked(path):
        entries = _read(path)
        left = [entry for entry in entries if entry["id"] != key_id]
        if len(left) == len(entries):
            there = ", ".join(f"{entry['id']} ({entry['name']})" for entry in entries) or "none"
            raise NotFoundError(
                f"there is no key with the id {key_id!r} in {path}; there are {there}"
            )
        _write(path, left)
    return next(
        {k: v for k, v in entry.items() if k != "sha256"}
        for entry in entries
        if entry["id"] == key_id
    )


def _check(name: str, scopes: Sequence[str], rate_per_second: float | None) -> None:
    if not name.strip() or len(name) > _MAX_NAME or not name.isprintable():
        raise InvalidError(
            f"a key's name must be 1 to {_MAX_NAME} printable characters, not {name!r}"
        )
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        raise InvalidError(f"a key's scopes are read, write and admin, not {list(scopes)!r}")
    if rate_per_second is not None and not (
        math.isfinite(rate_per_second) and _MIN_RATE <= rate_per_second <= _MAX_RATE
    ):
        raise InvalidError(
            f"a key's rate must be a number of requests per second above 0 and up to "
            f"{_MAX_RATE:,}, not {rate_per_second!r}"
        )


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep other processes from changing the file meanwhile.

    The lock is a file of its own, since the file itself is replaced by every change.
    """
    import fcntl

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise IoError(f"cannot change the API keys in {path}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise IoError(f"cannot read the API keys in {path}: {error.strerror}") from error
    except ValueError as error:
        raise CorruptError(
            f"{path} is not JSON ({error}); restore it, or remove it and create the keys anew"
        ) from error
    entries = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(entries, list) or content.get("version") != VERSION:
        raise CorruptError(
            f"{path} is no file of API keys of version {VERSION}; was it made by another release?"
        )
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict) or not all(
            isinstance(entry.get(key), kind)
            for key, kind in (("id", str), ("name", str), ("scopes", list), ("sha256", str))
        ):
            raise CorruptError(f"{path}: key number {number} is damaged; restore the file")
    return entries


def _write(path: Path, entries: list[dict[str, Any]]) -> None:
    """Replace the file: whoever reads meanwhile, or after a crash, sees the old one or the new."""
    text = json.dumps({"version": VERSION, "keys": entries}, indent=2, ensure_ascii=False) + "\n"
    temporary = ""
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise IoError(f"cannot write the API keys to {path}: {error.strerror}") from error
