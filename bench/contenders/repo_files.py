"""A repo as files, for the commands of Tiffin and of Feast: they differ in one word."""

from pathlib import Path

from contender import FEATURES, N_INT, TTL_DAYS, Job

DEFINITIONS = """\
import datetime

from {package} import Entity, FeatureView, Field, FileSource, ValueType
from {package}.types import Float32, Int64

user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)
source = FileSource(
    name="file",
    path={path!r},
    timestamp_field="event_timestamp",
    created_timestamp_column="created",
)
stats = FeatureView(
    name="stats",
    entities=[user],
    ttl=datetime.timedelta(days={ttl_days}),
    schema=[Field(name="user_id", dtype=Int64), {fields}],
    source=source,
)
"""

CONFIG = """\
project: bench
provider: local
registry: data/registry.db
entity_key_serialization_version: 3
online_store:
{online}
"""

ONLINE = {
    "lmdb": "  type: lmdb\n  path: data/online",
    "sqlite": "  type: sqlite\n  path: data/online.db",
    "redis": '  type: redis\n  connection_string: "127.0.0.1:{port}"',
}


def write_repo(job: Job, folder: Path, package: str, online: str, port: int, file: str) -> None:
    """Write configuration and definitions of the view `stats` into a folder."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    fields = ", ".join(
        f'Field(name="{name}", dtype={"Int64" if i < N_INT else "Float32"})'
        for i, name in enumerate(FEATURES)
    )
    config = CONFIG.format(online=ONLINE[online].format(port=port))
    (folder / "feature_store.yaml").write_text(config)
    text = DEFINITIONS.format(
        package=package, path=job.path(file), ttl_days=TTL_DAYS, fields=fields
    )
    (folder / "features.py").write_text(text)
