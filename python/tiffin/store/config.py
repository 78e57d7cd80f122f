"""``feature_store.yaml``: Feast's keys for what exists here, and a few of Tiffin's own."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tiffin.errors import InvalidError, IoError, NotFoundError, UnsupportedError, warn
from tiffin.store.sizes import to_bytes

FILE_NAME = "feature_store.yaml"
# Feast's variables: the path of the file; and all of its text in base64, for the command line.
FILE_VARIABLE = "FEAST_FS_YAML_FILE_PATH"
TEXT_VARIABLE = "FEATURE_STORE_YAML_BASE64"
DEFAULT_REGISTRY = "data/registry.db"
DEFAULT_ONLINE = "data/online"
_SYNCS = ("full", "batch")  # by the engine's numbers
_OFFLINE_TYPES = ("duckdb", "dask", "file")
# Feast's other stores. Online they run on LMDB, offline they mean the engine; both is said. Classes
# of one's own (my.package.MyOnlineStore) likewise. Not "remote": its data is elsewhere.
_FEASTS_ONLINE = (
    "sqlite postgres mysql dynamodb datastore bigtable snowflake.online cassandra scylladb hbase "
    "hazelcast couchbase.online mongodb aerospike singlestore elasticsearch qdrant milvus hybrid"
).split()
_FEASTS_OFFLINE = (
    "bigquery snowflake.offline redshift postgres spark trino athena clickhouse mssql oracle "
    "couchbase.offline ray hybrid"
).split()
# Feast's other keys: what asks for nothing here, and else what happens instead.
_FEASTS_KEYS = {
    "auth": ("no_auth", "is not checked; clients of a server need API keys: see `tiffin keys`"),
    "batch_engine": ("local", "has no effect; the engine computes in this process"),
    "materialization": ("", "has no effect; the newest rows of a range are loaded in one pass"),
    "embedding_model": ("", "has no effect; vectors are not searched by this release"),
    "openlineage": ("", "has no effect; nothing is sent anywhere"),
    "mlflow": ("", "has no effect; nothing is sent anywhere"),
    "data_quality_monitoring": ("", "has no effect; explain and check_leakage look at data"),
    "flags": ("", "has no effect; nothing here waits behind a flag"),
}
# Feast's keys of a local registry that ask for nothing here: commits are always seen at once.
_REGISTRY_QUIET = {"cache_ttl_seconds", "cache_mode", "purge_feast_metadata"}
_S3_SECRETS = ("access_key_id", "secret_access_key", "session_token")
# Of an online_store of type redis: Feast's keys, then Tiffin's own. What they may be, the engine
# knows.
_REDIS_KEYS = (
    "connection_string",
    "redis_type",
    "sentinel_master",
    "key_ttl_seconds",
    "full_scan_for_deletion",
    "skip_dedup",
    "client",
    "sentinel_username",
    "sentinel_password",
    "connect_timeout_ms",
    "timeout_ms",
)
_REDIS_SECRETS = ("sentinel_password",)
# Parameters of a connection string that mean something here (redis_config.c reads them).
_REDIS_PARAMETERS = frozenset(
    (
        "db",
        "username",
        "password",
        "ssl",
        "ssl_ca_certs",
        "ssl_ca_path",
        "ssl_certfile",
        "ssl_keyfile",
        "ssl_cert_reqs",
        "ssl_check_hostname",
        "socket_timeout",
        "socket_connect_timeout",
    )
)


class RepoConfig:
    """What a ``feature_store.yaml`` says.

    Parameters
    ----------
    project : str
        Name of the project in the registry.
    registry : str or dict, optional
        Path of the registry file, or ``{"path": ...}``; default ``data/registry.db``.
    provider : str, optional
        Feast's; every value means the same here.
    online_store : dict or str, optional
        ``{"type": "lmdb", "path": "data/online", "sync": "full"}`` is the default; ``"none"`` = no
        online store. With ``"sync": "batch"`` pushes of one process that end within 2 ms share a
        sync of the disk; each is durable when it returns, either way.
        ``{"type": "redis", "connection_string": "localhost:6379", ...}`` with Feast's keys, and
        ``connect_timeout_ms``, ``timeout_ms``, ``sentinel_username``, ``sentinel_password``.
        ``max_ahead_seconds`` (300): rows dated further ahead of the clock are refused by pushes.
    offline_store : dict or str, optional
        ``{"type": "duckdb", "threads": 4, "memory_limit": "1GB", "temp_directory": "/scratch"}``:
        threads default to one per core. The limit is a training set's, DuckDB's share included
        (default: a quarter of the memory that the process may use); what does not fit is made in
        parts, if need be through a file in `temp_directory` (default: ``$TMPDIR``, else ``/tmp``).
    entity_key_serialization_version : int, optional
        Feast's; kept, means nothing here.
    project_description : str, optional
        Of the project, when the first apply makes it.
    online_ttl : {"", "ignore", "enforce"}, optional
        Whether lookups null values that are older than their view's ttl. Default: not said, which
        is "ignore" with a warning where it would have mattered.
    s3 : dict, optional
        How to reach ``s3://`` sources: ``endpoint``, ``region``, ``access_key_id``,
        ``secret_access_key``, ``session_token``, ``url_style``, ``use_ssl``, ``timeout_seconds``,
        ``retries``. What is not said comes from the usual ``AWS_*`` variables.
    feature_server : dict, optional
        Of `tiffin serve` and the program tiffin-server, which read it (docs/server.md); kept.
    flags, auth, batch_engine, materialization, ... : optional
        Feast's; each is ignored with a warning that says what happens instead.
    coerce_tz_aware : bool, optional
        Feast's; true is what Tiffin does.
    repo_path : str or os.PathLike, optional
        Folder that relative paths start at; default: the working directory.
    **unknown
        Anything else is ignored, with one warning that names it.

    Raises
    ------
    InvalidError
        A value that makes no sense.
    UnsupportedError
        A store of Feast's that this release does not have.
    """

    def __init__(
        self,
        /,  # so that a key "self" is an unknown one like any other
        *,
        project: Any = None,
        registry: Any = None,
        provider: Any = "local",
        online_store: Any = ...,
        offline_store: Any = None,
        entity_key_serialization_version: Any = 3,
        project_description: Any = None,
        online_ttl: Any = None,
        s3: Any = None,
        feature_server: Any = None,
        flags: Any = None,
        coerce_tz_aware: Any = True,
        repo_path: str | os.PathLike[str] | None = None,
        source: str = FILE_NAME,
        **unknown: Any,
    ) -> None:
        self._source = source
        self._notes: list[str] = []
        self._unknown = [key for key in unknown if key not in _FEASTS_KEYS]
        if not isinstance(project, str) or not project:
            found = "is missing" if project is None else f"must be a text, not {project!r}"
            raise InvalidError(f"{source}: project {found}; write e.g. project: my_project")
        self.project = project
        self.provider = str(provider)
        self.repo_path = Path(repo_path) if repo_path is not None else Path.cwd()
        self.registry = self._read_registry(registry)
        self.online_store = self._read_online(online_store)
        self.offline_store = self._read_offline(offline_store)
        self.entity_key_serialization_version = entity_key_serialization_version
        self.project_description = str(project_description or "")
        self.online_ttl = str(online_ttl or "").lower()
        if self.online_ttl not in ("", "ignore", "enforce"):
            raise InvalidError(
                f"{source}: online_ttl must be enforce or ignore, not {online_ttl!r}"
            )
        self.s3 = self._read_s3(s3)
        self.feature_server = self._read_feature_server(feature_server)
        self.flags = flags
        self.coerce_tz_aware = bool(coerce_tz_aware)
        self._note_feasts({**unknown, "flags": flags})
        self._warn()

    def _read_registry(self, value: Any) -> str:
        if isinstance(value, Mapping):
            kind = value.get("registry_type", "file")
            if kind != "file" or value.get("registry_store_type"):
                name = value.get("registry_store_type") or kind
                raise UnsupportedError(
                    f"{self._source}: a registry of type {name!r} does not exist in this release; "
                    f"write registry: {DEFAULT_REGISTRY}"
                )
            known = {"path", "registry_type", "registry_store_type"} | _REGISTRY_QUIET
            self._unknown += [f"registry.{k}" for k in value if k not in known]
            value = value.get("path")
        if value is None or value == "":
            return DEFAULT_REGISTRY
        if not isinstance(value, str | os.PathLike):
            raise InvalidError(
                f"{self._source}: registry must be a path or a mapping with a path, not {value!r}"
            )
        path = os.fspath(value)
        if "://" in path:
            raise UnsupportedError(
                f"{self._source}: the registry {path!r} is not a local file, and this release has "
                f"no other; write registry: {DEFAULT_REGISTRY}"
            )
        return path

    def _read_online(self, value: Any) -> dict[str, Any] | None:
        if value is ...:
            value = {}
        if value is None or (isinstance(value, str) and value.lower() in ("none", "null")):
            return None
        store = self._read_mapping(value, "online_store", "lmdb")
        ahead = store.get("max_ahead_seconds", 300)
        if isinstance(ahead, bool) or not isinstance(ahead, int) or not 0 < ahead <= 10**12:
            raise InvalidError(
                f"{self._source}: online_store.max_ahead_seconds must be a number of seconds from "
                f"1, not {ahead!r}"
            )
        if store["type"] == "redis":
            known: tuple[str, ...] = ("type", "max_ahead_seconds", *_REDIS_KEYS)
            self._unknown += [f"online_store.{k}" for k in store if k not in known]
            return {k: store[k] for k in known if k in store}
        if _is_feasts(store["type"], _FEASTS_ONLINE, "OnlineStore"):
            return self._read_feasts_online(store)
        if store["type"] != "lmdb":
            served = " (type redis serves Valkey too)" if store["type"] == "valkey" else ""
            raise UnsupportedError(
                f"{self._source}: an online_store of type {store['type']!r} does not exist in this "
                f"release; write online_store: {{type: lmdb, path: {DEFAULT_ONLINE}}} or "
                f"{{type: redis, connection_string: localhost:6379}}{served}"
            )
        known = ("type", "path", "max_ahead_seconds", "sync")
        self._unknown += [f"online_store.{k}" for k in store if k not in known]
        return self._read_lmdb(store)

    def _read_feasts_online(self, store: dict[str, Any]) -> dict[str, Any]:
        """Read a store of Feast's that runs on LMDB, in the folder of the file that it names."""
        kind, path = store["type"], store.get("path")
        if kind != "sqlite":
            path = None
        if isinstance(path, str) and path:
            folder, slash, _ = path.rpartition("/")
            path = f"{folder.rstrip('/')}{slash}online"
        read = self._read_lmdb({**store, "path": path})
        self._notes.append(
            f"{self._source}: online_store of type {kind!r} runs on LMDB in {read['path']}; this "
            "release has lmdb and redis"
        )
        return read

    def _read_lmdb(self, store: dict[str, Any]) -> dict[str, Any]:
        path = store.get("path")
        if path is not None and not isinstance(path, str):
            raise InvalidError(f"{self._source}: online_store.path must be a text, not {path!r}")
        sync = store.get("sync", "full")
        if sync not in _SYNCS:
            raise InvalidError(
                f"{self._source}: online_store.sync must be full or batch, not {sync!r}"
            )
        said: dict[str, Any] = {k: store[k] for k in ("max_ahead_seconds", "sync") if k in store}
        return {"type": "lmdb", "path": path or DEFAULT_ONLINE, **said}

    def _read_offline(self, value: Any) -> dict[str, Any]:
        store = self._read_mapping({} if value is None else value, "offline_store", "duckdb")
        if _is_feasts(store["type"], _FEASTS_OFFLINE, "OfflineStore"):
            self._notes.append(
                f"{self._source}: offline_store of type {store['type']!r} means the engine here, "
                "which reads Parquet, CSV and JSON files"
            )
            self._memory_limit_bytes = 0
            return {"type": "duckdb"}
        if store["type"] not in _OFFLINE_TYPES:
            raise UnsupportedError(
                f"{self._source}: an offline_store of type {store['type']!r} does not exist in "
                "this release; write offline_store: {type: duckdb}, which reads Parquet, CSV and "
                "JSON"
            )
        threads = store.get("threads", 0)
        if isinstance(threads, bool) or not isinstance(threads, int) or threads < 0:
            raise InvalidError(
                f"{self._source}: offline_store.threads must be a count, not {threads!r}"
            )
        name = f"{self._source}: offline_store.memory_limit"
        self._memory_limit_bytes = to_bytes(store.get("memory_limit"), name)
        temp = store.get("temp_directory")
        if temp is not None and not isinstance(temp, str):
            raise InvalidError(
                f"{self._source}: offline_store.temp_directory must be a path, not {temp!r}"
            )
        known = ("type", "threads", "memory_limit", "temp_directory")
        self._unknown += [f"offline_store.{k}" for k in store if k not in known]
        return {k: store[k] for k in known if k in store}

    def _read_s3(self, value: Any) -> dict[str, Any]:
        """Keep the mapping: which keys there are, and what they may be, the engine knows."""
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise InvalidError(
                f"{self._source}: s3 must be a mapping, e.g. s3: {{region: eu-west-1}}"
            )
        return {str(k): v for k, v in value.items()}

    def _read_feature_server(self, value: Any) -> dict[str, Any]:
        """Keep the mapping: what its other keys may be, the server knows."""
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise InvalidError(
                f"{self._source}: feature_server must be a mapping, e.g. {{port: 6566}}, "
                f"not {value!r}"
            )
        kind = value.get("type")
        if kind not in (None, "local", "mcp"):
            raise UnsupportedError(
                f"{self._source}: a feature_server of type {kind!r} does not exist; write "
                "feature_server: {type: local}"
            )
        return {str(k): v for k, v in value.items()}

    def _read_mapping(self, value: Any, key: str, default: str) -> dict[str, Any]:
        if isinstance(value, str):
            value = {"type": value}
        if not isinstance(value, Mapping):
            raise InvalidError(
                f"{self._source}: {key} must be a mapping with a type, not {value!r}"
            )
        return {"type": default, **{str(k): v for k, v in value.items()}}

    def _note_feasts(self, given: Mapping[str, Any]) -> None:
        for key, (quiet, happens) in _FEASTS_KEYS.items():
            value = given.get(key)
            kind = value.get("type") if isinstance(value, Mapping) else value
            if value and (not quiet or kind != quiet):
                self._notes.append(f"{self._source}: {key} {happens}")

    def _warn(self) -> None:
        if self._unknown:
            names = ", ".join(repr(name) for name in self._unknown)
            warn(f"{self._source}: ignored, because this release knows nothing of it: {names}")
        for note in self._notes:
            warn(note)
        if not self.coerce_tz_aware:
            warn(f"{self._source}: coerce_tz_aware: false has no effect; times are compared in UTC")

    @property
    def registry_path(self) -> Path:
        """The registry file."""
        return self.repo_path / self.registry

    @property
    def online_sync(self) -> int:
        """When a push is acknowledged: 0 = after a sync of its own, 1 = after a shared one."""
        return _SYNCS.index((self.online_store or {}).get("sync", "full"))

    @property
    def online_path(self) -> Path | None:
        """Folder of the online store; None = there is none, or it is in Redis."""
        path = None if self.online_store is None else self.online_store.get("path")
        return None if path is None else self.repo_path / path

    @property
    def redis(self) -> dict[str, Any] | None:
        """Settings of an online store in Redis, passwords and all; None = it is not there."""
        store = self.online_store
        if store is None or store["type"] != "redis":
            return None
        return {k: v for k, v in store.items() if k != "max_ahead_seconds"}

    @property
    def max_ahead_seconds(self) -> int:
        """How far ahead of the clock a row may be dated that is written online by hand."""
        return int((self.online_store or {}).get("max_ahead_seconds", 300))

    @property
    def threads(self) -> int:
        """Threads of the engine; 0 = one per core."""
        return int(self.offline_store.get("threads", 0))

    @property
    def memory_limit_bytes(self) -> int:
        """Memory of a training set in bytes; 0 = the engine's default."""
        return self._memory_limit_bytes

    @property
    def temp_path(self) -> Path | None:
        """Folder of temporary files; None = the system's."""
        temp = self.offline_store.get("temp_directory")
        return None if temp is None else self.repo_path / temp

    def to_dict(self) -> dict[str, Any]:
        """Return the effective configuration, as JSON types; secrets as ``"..."``."""
        return {
            "project": self.project,
            "registry": self.registry,
            "provider": self.provider,
            "online_store": _without_secrets(self.online_store) if self.online_store else "none",
            "offline_store": dict(self.offline_store),
            "entity_key_serialization_version": self.entity_key_serialization_version,
            "project_description": self.project_description,
            "online_ttl": self.online_ttl,
            "s3": {k: "..." if k in _S3_SECRETS else v for k, v in self.s3.items()},
            "feature_server": dict(self.feature_server),
            "coerce_tz_aware": self.coerce_tz_aware,
        }

    @classmethod
    def from_file(
        cls, path: str | os.PathLike[str], repo_path: str | os.PathLike[str] | None = None
    ) -> Self:
        """Read a YAML file. ``$NAME`` and ``${NAME}`` become environment variables that exist.

        Parameters
        ----------
        path : str or os.PathLike
        repo_path : str or os.PathLike, optional
            Folder that relative paths start at; default: the file's.

        Raises
        ------
        NotFoundError
            No such file.
        InvalidError
            Not YAML (with the line), or not a mapping.
        """
        file = Path(path)
        try:
            text = file.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise NotFoundError(
                f"there is no {file.name} in {file.parent.absolute()}; go to the folder that has "
                "it, pass its folder as repo_path, or make one with `tiffin init`"
            ) from error
        except UnicodeDecodeError as error:
            raise InvalidError(f"{file} is not UTF-8 text (byte {error.start})") from error
        except OSError as error:
            raise IoError(f"cannot read {file}: {error.strerror}") from error
        return cls.from_text(text, repo_path or file.parent, str(file))

    @classmethod
    def from_text(
        cls, text: str, repo_path: str | os.PathLike[str] | None = None, source: str = FILE_NAME
    ) -> Self:
        """Read the text of a YAML file; as `from_file`.

        Parameters
        ----------
        text : str
        repo_path : str or os.PathLike, optional
            Folder that relative paths start at; default: the working directory.
        source : str, optional
            What sentences about mistakes call it.
        """
        content = parse_yaml(os.path.expandvars(text), source)
        for reserved in ("repo_path", "source"):
            content.pop(reserved, None)
        return cls(**content, repo_path=repo_path, source=source)

    def __repr__(self) -> str:
        inner = ", ".join(f"{k}={v!r}" for k, v in self.to_dict().items() if v)
        return f"RepoConfig({inner}, repo_path={str(self.repo_path)!r})"


def _is_feasts(kind: Any, names: list[str], ending: str) -> bool:
    """Whether it is one of Feast's types, or a class of one's own."""
    is_class = isinstance(kind, str) and "." in kind and kind.endswith(ending)
    return kind in names or is_class


def _without_secrets(store: Mapping[str, Any]) -> dict[str, Any]:
    """Return an online_store as it may be shown."""
    shown = {k: "..." if k in _REDIS_SECRETS else v for k, v in store.items()}
    connection = shown.get("connection_string")
    if isinstance(connection, str):
        pieces = []
        is_secret = False
        for piece in connection.split(","):
            name, equals, _ = piece.strip().partition("=")
            if equals and name in _REDIS_PARAMETERS:
                is_secret = name == "password"
                pieces.append("password=..." if is_secret else piece)
            # A comma ends a password, for Feast too; whoever wrote one into it meant the rest.
            elif not is_secret:
                pieces.append(piece)
        shown["connection_string"] = ",".join(pieces)
    return shown


def text_of_environment() -> str | None:
    """Return the configuration that the environment holds in base64; None = there is none.

    Raises
    ------
    InvalidError
        It is not base64 of UTF-8 text.
    """
    import base64
    import binascii

    given = os.environ.get(TEXT_VARIABLE)
    if not given:
        return None
    try:
        return base64.b64decode("".join(given.split()), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise InvalidError(
            f"the variable {TEXT_VARIABLE} is not a {FILE_NAME} in base64: {error}"
        ) from error


def parse_yaml(text: str, name: str) -> dict[str, Any]:
    """Return a YAML mapping, or one sentence with the line at which it is none."""
    import yaml

    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise InvalidError(f"{name}{where}: not YAML: {problem}") from error
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise InvalidError(f"{name}: keys and values are needed, e.g. project: my_project")
    return {str(key): value for key, value in content.items()}
