"""Programs and repos written for Feast, with their ``from feast import`` lines as they stand."""

import base64
import json
import os
import subprocess
import sys
import textwrap
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from engines import find_library
from objects import start_proxy
from rides import utc
from sources import fails
from test_s3 import AWS, KEYS, server_port  # noqa: F401 - a fixture

import tiffin.feast
from tiffin import errors
from tiffin.feast import finder, names
from tiffin.store.repo import load_repo

PROGRAM = """
import sys
from datetime import datetime, timedelta

import pandas as pd

from feast import Entity, FeatureStore, FeatureView, Field, FileSource
from feast.types import Float32, Int64

customer = Entity(name="customer_id", value_type=Int64)
orders = FileSource(path=sys.argv[1], event_timestamp_column="event_timestamp")
stats = FeatureView(
    name="customer_stats",
    entities=[customer],
    ttl=timedelta(days=7),
    schema=[
        Field(name="avg_order_value", dtype=Float32),
        Field(name="total_orders", dtype=Int64),
        Field(name="return_rate", dtype=Float32),
    ],
    source=orders,
)
FEATURES = [
    "customer_stats:avg_order_value",
    "customer_stats:total_orders",
    "customer_stats:return_rate",
]

store = FeatureStore(repo_path=".")
store.apply([customer, orders, stats])
entity_df = pd.DataFrame(
    {
        "customer_id": [1001, 1002, 1003],
        "event_timestamp": [
            datetime(2024, 1, 15, 10, 0), datetime(2024, 1, 15, 11, 0), datetime(2024, 1, 30)
        ],
        "label": [1, 0, 1],
    }
)
training = store.get_historical_features(entity_df=entity_df, features=FEATURES).to_df()
print(training.to_json(orient="columns"))
store.materialize(datetime(2024, 1, 1), datetime(2024, 2, 1))
online = store.get_online_features(features=FEATURES, entity_rows=[{"customer_id": 1001}]).to_dict()
print(sorted(online.items()))
"""
HISTORY = {
    "customer_id": {"0": 1001, "1": 1002, "2": 1003},
    "label": {"0": 1, "1": 0, "2": 1},
    "avg_order_value": {"0": 50.5, "1": 20.25, "2": None},
    "total_orders": {"0": 7, "1": 3, "2": None},
    "return_rate": {"0": 0.125, "1": 0.5, "2": None},
}
ONLINE = [
    ("avg_order_value", [60.5]),
    ("customer_id", [1001]),
    ("return_rate", [0.25]),
    ("total_orders", [9]),
]


def orders() -> pa.Table:
    """Two versions of customer 1001, and one of 1003 that is older than a week when asked for."""
    times = [utc(2024, 1, 14), utc(2024, 1, 16), utc(2024, 1, 10), utc(2024, 1, 1)]
    return pa.table(
        {
            "customer_id": pa.array([1001, 1001, 1002, 1003], pa.int64()),
            "event_timestamp": pa.array(times, pa.timestamp("us", "UTC")),
            "avg_order_value": pa.array([50.5, 60.5, 20.25, 1.0], pa.float32()),
            "total_orders": pa.array([7, 9, 3, 1], pa.int64()),
            "return_rate": pa.array([0.125, 0.25, 0.5, 0.0], pa.float32()),
        }
    )


def python(*args: str, cwd: Path, code: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, *args],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done


def check_program(cwd: Path, path: str, **env: str) -> None:
    (cwd / "program.py").write_text(PROGRAM)
    done = python("-m", "tiffin.feast", "program.py", path, cwd=cwd, **env)
    history, online = done.stdout.splitlines()
    found = json.loads(history)
    assert {name: found[name] for name in HISTORY} == HISTORY
    assert online == str(ONLINE)


@pytest.fixture
def feast_repo(tmp_path: Path) -> Path:
    """A folder whose feature_store.yaml and features.py are a Feast repo's."""
    (tmp_path / "feature_store.yaml").write_text(
        "project: shop\nregistry: data/registry.db\nprovider: local\n"
        "online_store:\n  type: lmdb\n  path: data/online\n"
    )
    (tmp_path / "data").mkdir()
    pq.write_table(orders(), tmp_path / "data" / "orders.parquet")
    definitions = PROGRAM.split("FEATURES =")[0].replace("sys.argv[1]", "'data/orders.parquet'")
    (tmp_path / "features.py").write_text(definitions)
    return tmp_path


@pytest.fixture
def no_finder():
    """Leave the process as it was."""
    yield
    tiffin.feast.uninstall()
    assert "feast" not in sys.modules


def test_the_program_runs_on_local_parquet(tmp_path):
    (tmp_path / "feature_store.yaml").write_text("project: shop\n")
    pq.write_table(orders(), tmp_path / "orders.parquet")
    check_program(tmp_path, "orders.parquet")


def test_the_program_runs_on_parquet_in_s3(tmp_path, server_port, request):  # noqa: F811
    objects, proxy = start_proxy(server_port)
    try:
        bucket = f"b{zlib.crc32(request.node.name.encode())}"
        out = pa.BufferOutputStream()
        pq.write_table(orders(), out)
        objects.put(bucket, "orders.parquet", out.getvalue().to_pybytes())
        (tmp_path / "feature_store.yaml").write_text(
            f"project: shop\ns3: {{endpoint: '{objects.endpoint}', {KEYS}}}\n"
        )
        env = dict.fromkeys(AWS, "") | {"TIFFIN_DUCKDB_LIBRARY": find_library("older")}
        check_program(tmp_path, f"s3://{bucket}/orders.parquet", **env)
        assert objects.signed
        assert all(objects.signed)
    finally:
        proxy.shutdown()
        proxy.server_close()


def test_the_command_line_runs_a_feast_repo(feast_repo):
    def tiffin_(*args: str) -> str:
        return python("-m", "tiffin.cli.main", *args, cwd=feast_repo).stdout

    assert "+ feature view customer_stats" in tiffin_("apply")
    assert tiffin_("plan").strip() == "nothing to change"
    tiffin_("materialize", "2024-01-01T00:00:00", "2024-02-01T00:00:00")
    answer = tiffin_("get-online-features", "-f", "customer_stats:total_orders",
                     "-e", "customer_id=1001")  # fmt: skip
    assert "9" in answer


def test_the_command_line_takes_feasts_variables(feast_repo, tmp_path_factory):
    """A folder, a file and the text of a file that the environment names."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    file = feast_repo / "feature_store.yaml"
    text = base64.b64encode(file.read_bytes()).decode()
    other = elsewhere / "other.yaml"
    other.write_text(file.read_text().replace("shop", "other"))

    def project(*args: str, code: int = 0, **env: str) -> str:
        done = python(
            "-m", "tiffin.cli.main", *args, "configuration", cwd=elsewhere, code=code, **env
        )
        return done.stderr if code else done.stdout.splitlines()[0]

    folder = {"FEATURE_REPO_DIR_ENV_VAR": str(feast_repo)}
    assert project(**folder) == "project: shop"
    assert project(**folder, FEAST_FS_YAML_FILE_PATH=str(other)) == "project: other"
    assert project("-c", str(feast_repo), FEATURE_STORE_YAML_BASE64=text) == "project: shop"
    assert project(FEATURE_STORE_YAML_BASE64=text) == "project: shop"
    told = project(FEATURE_STORE_YAML_BASE64="project: p", code=1)
    assert "FEATURE_STORE_YAML_BASE64 is not a feature_store.yaml in base64" in told
    with_python = ["-m", "tiffin.cli.main", "-c", str(feast_repo), "serve", "--print-config"]
    told = python(*with_python, cwd=elsewhere, FEATURE_STORE_YAML_BASE64=text)
    assert json.loads(told.stdout)["project"] == "shop"
    code = "import tiffin; print(tiffin.FeatureStore('.').project)"
    done = python("-c", code, cwd=feast_repo, FEAST_FS_YAML_FILE_PATH=str(other))
    assert done.stdout == "other\n"


def test_a_repo_of_sqlite_runs_on_lmdb_beside_it(feast_repo):
    """What `feast init` writes: nothing of it is touched, and one sentence says where rows are."""
    (feast_repo / "data" / "online_store.db").write_bytes(b"SQLite format 3\0")
    (feast_repo / "feature_store.yaml").write_text(
        "project: shop\nregistry: data/tiffin.db\nprovider: local\n"
        "online_store:\n    type: sqlite\n    path: data/online_store.db\n"
        "entity_key_serialization_version: 3\nauth:\n    type: no_auth\n"
    )
    command = ("-m", "tiffin.cli.main")
    done = python(*command, "apply", cwd=feast_repo)
    assert done.stderr.count("\n") == 1
    assert "online_store of type 'sqlite' runs on LMDB in data/online" in done.stderr
    python(*command, "materialize", "2024-01-01", "2024-02-01", cwd=feast_repo)
    answer = python(*command, "get-online-features", "-f", "customer_stats:total_orders",
                    "-e", "customer_id=1001", cwd=feast_repo)  # fmt: skip
    assert "9" in answer.stdout
    assert (feast_repo / "data" / "online").is_dir()
    assert (feast_repo / "data" / "online_store.db").read_bytes() == b"SQLite format 3\0"


# ---- who is meant by `feast` ----


def test_importing_the_package_changes_nothing():
    code = "import tiffin.feast, sys; before = list(sys.meta_path); import feast"
    done = python("-c", code, cwd=Path("/"), code=1)
    assert "ModuleNotFoundError: No module named 'feast'" in done.stderr


def test_install_and_uninstall(no_finder):
    tiffin.feast.install()
    tiffin.feast.install()
    import feast
    from feast.infra.offline_stores.file_source import FileSource
    from feast.types import Int64

    assert feast.Entity is tiffin.Entity
    assert FileSource is tiffin.FileSource
    assert Int64 is tiffin.types.Int64
    assert feast.__version__ == names.FEAST_VERSION
    assert feast.types.Array is tiffin.types.Array
    assert "Entity" in dir(feast)
    tiffin.feast.uninstall()
    tiffin.feast.uninstall()
    with pytest.raises(ModuleNotFoundError):
        import feast.types


def fake_feast(folder: Path) -> None:
    (folder / "feast").mkdir()
    (folder / "feast" / "__init__.py").write_text("Entity = 'the real one'\n")
    (folder / "feast" / "types.py").write_text("Int64 = 'the real one'\n")


def test_an_installed_feast_stays_unless_asked(feast_repo, tmp_path_factory):
    packages = tmp_path_factory.mktemp("packages")
    fake_feast(packages)
    code = """
        import feast, tiffin, tiffin.feast
        from tiffin.store.repo import load_repo
        try:
            tiffin.feast.install()
        except tiffin.errors.ConflictError as error:
            print(error)
        print(feast.Entity)
        print([e.name for e in load_repo('.').entities])
        import feast.types
        print(feast.Entity, feast.types.Int64)
        tiffin.feast.install(replace=True)
        import feast
        print(feast.Entity is tiffin.Entity)
        tiffin.feast.uninstall()
        import feast
        print(feast.Entity)
    """
    done = python("-c", textwrap.dedent(code), cwd=feast_repo, PYTHONPATH=_path(packages))
    assert done.stdout.splitlines() == [
        f"Feast is installed in {packages}/feast, and `import feast` goes on to mean it; "
        "tiffin.feast.install(replace=True) makes it mean Tiffin in this process",
        "the real one",
        "['customer_id']",
        "the real one the real one",
        "True",
        "the real one",
    ]


def _path(*folders: Path) -> str:
    return os.pathsep.join([*map(str, folders), os.environ.get("PYTHONPATH", "")])


def test_a_repo_file_that_fails_after_feast_was_imported_leaves_nothing(tmp_path):
    (tmp_path / "f.py").write_text("from feast import Entity\nraise ValueError('no')\n")
    with pytest.raises(ValueError, match=r"f\.py, line 2: ValueError: no"):
        load_repo(tmp_path)
    assert "feast" not in sys.modules
    assert not finder.is_in_place()


def test_the_package_for_an_environment(tmp_path):
    def shim(*args: str, code: int = 0) -> str:
        done = python("-m", "tiffin.cli.main", "feast-shim", *args, "--target", str(tmp_path),
                      cwd=tmp_path, code=code)  # fmt: skip
        return (done.stdout + done.stderr).strip()

    assert "there is no package feast in" in shim("uninstall", code=1)
    assert shim("install").startswith(str(tmp_path / "feast" / "__init__.py"))
    shim("install")  # a second time is no error
    code = (
        "from feast.types import Int64\nfrom feast import Entity\nimport feast, tiffin\n"
        "print(Entity is tiffin.Entity, feast.types.Int64 is Int64, feast.__version__)"
    )
    done = python("-c", code, cwd=tmp_path, PYTHONPATH=_path(tmp_path))
    assert done.stdout.strip() == f"True True {names.FEAST_VERSION}"
    # Neither `install()` nor the command line takes it for a real Feast.
    code = "import tiffin.feast; tiffin.feast.install(); import feast; print(feast.Entity)"
    python("-c", code, cwd=tmp_path, PYTHONPATH=_path(tmp_path))
    shim("uninstall")
    assert list(tmp_path.iterdir()) == []
    fake_feast(tmp_path)
    text = (tmp_path / "feast" / "__init__.py").read_text()
    assert "is left in place" in shim("install", code=1)
    assert "is not what `tiffin feast-shim install` wrote" in shim("uninstall", code=1)
    assert (tmp_path / "feast" / "__init__.py").read_text() == text


def test_python_m_runs_what_python_runs(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "beside.py").write_text("WHERE = 'beside'\n")
    body = "import sys, feast, beside\nprint(sys.argv[1:], feast.Entity.__name__, beside.WHERE)\n"
    (tmp_path / "inner" / "main.py").write_text(body)
    run = ("-m", "tiffin.feast")
    expected = "['-m', 'x'] Entity beside"
    assert python(*run, "inner/main.py", "-m", "x", cwd=tmp_path).stdout.strip() == expected
    inner = tmp_path / "inner"
    assert python(*run, "-m", "main", "-m", "x", cwd=inner).stdout.strip() == expected
    assert python(*run, "-c", body, "-m", "x", cwd=inner).stdout.strip() == expected
    assert "usage" in python(*run, cwd=tmp_path, code=2).stdout
    assert "there is no file" in python(*run, "none.py", cwd=tmp_path, code=1).stderr


# ---- names ----


def test_a_name_that_tiffin_does_not_have_raises_when_used(no_finder):
    tiffin.feast.install()
    from feast import DocEmbedder
    from feast.infra.online_stores.dynamodb import DynamoDBOnlineStoreConfig
    from feast.utils import make_tzaware

    sentence = (
        "DynamoDBOnlineStoreConfig(...): DynamoDBOnlineStoreConfig is Feast's "
        "(feast.infra.online_stores.dynamodb), and Tiffin does not have it; write online_store: "
        "{type: lmdb} or {type: redis} into feature_store.yaml"
    )
    with pytest.raises(errors.UnsupportedError) as caught:
        DynamoDBOnlineStoreConfig(region="eu")
    assert str(caught.value) == sentence
    fails(lambda: DocEmbedder.run, "DocEmbedder.run", "vectors are not searched")
    fails(lambda: make_tzaware(1), "make_tzaware(...)")
    fails(lambda: type("Mine", (DocEmbedder,), {}), "class Mine(DocEmbedder)")
    assert not isinstance(3, DocEmbedder)
    with pytest.raises(ImportError):
        from feast import NoSuchThing  # noqa: F401
    with pytest.raises(ModuleNotFoundError):
        import feast.no_such_module  # noqa: F401


def test_errors_are_caught_under_feasts_names(feast_repo, no_finder):
    tiffin.feast.install()
    from feast import FeatureStore
    from feast import errors as feast_errors

    store = FeatureStore(repo_path=str(feast_repo))
    for call, name in (
        (store.get_entity, "EntityNotFoundException"),
        (store.get_feature_view, "FeatureViewNotFoundException"),
        (store.get_on_demand_feature_view, "OnDemandFeatureViewNotFoundException"),
        (store.get_feature_service, "FeatureServiceNotFoundException"),
        (store.get_data_source, "DataSourceObjectNotFoundException"),
        (store.get_saved_dataset, "SavedDatasetNotFound"),
        (store.get_project, "ProjectObjectNotFoundException"),
    ):
        with pytest.raises(getattr(feast_errors, name)) as caught:
            call("nothing")
        assert type(caught.value).__name__ == name
        assert isinstance(caught.value, feast_errors.FeastObjectNotFoundException)
    assert issubclass(feast_errors.SnowflakeQueryError, feast_errors.FeastError)


@pytest.mark.long
def test_every_module_and_name_of_feast_can_be_imported(no_finder):
    """Against the Feast of .venv-peers itself: what its programs may import imports here."""
    peer = Path(__file__).parents[2] / ".venv-peers" / "bin" / "python"
    if not peer.exists():
        pytest.skip("Feast is not there: tools/setup.sh peers installs it")
    code = """
        import ast, json, pathlib, feast
        root = pathlib.Path(feast.__file__).parent
        defined = {}
        for file in sorted(root.rglob("*.py")):
            parts = file.relative_to(root.parent).with_suffix("").parts
            if {"templates", "tests", "protos"} & set(parts) or parts[-1] == "__main__":
                continue
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            body = ast.parse(file.read_text()).body
            kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
            defined[".".join(parts)] = [x.name for x in body if isinstance(x, kinds)]
        print(json.dumps({"root": feast.__all__, "modules": defined}))
    """
    done = subprocess.run(
        [peer, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=300, check=True
    )
    theirs = json.loads(done.stdout.splitlines()[-1])
    tiffin.feast.install()
    import importlib

    for name in theirs["root"]:
        assert getattr(importlib.import_module("feast"), name) is not None, name
    for module, defined in theirs["modules"].items():
        loaded = importlib.import_module(module)
        for name in defined:
            if not name.startswith("_") and module != "feast":
                assert getattr(loaded, name) is not None, (module, name)
    for name in theirs["modules"]["feast.errors"]:
        found = getattr(importlib.import_module("feast.errors"), name)
        assert issubclass(found, errors.TiffinError), name


def test_handlers_of_feasts_errors_catch_what_is_raised(feast_repo):
    (feast_repo / "program.py").write_text(
        "from datetime import datetime\n"
        "import pandas as pd\n"
        "import feast.errors as e\n"
        "from features import customer, stats\n"
        "from feast import FeatureStore, RequestSource, Field\n"
        "from feast.on_demand_feature_view import on_demand_feature_view\n"
        "from feast.types import Int64\n"
        "asked = RequestSource(name='asked', schema=[Field(name='more', dtype=Int64)])\n"
        "@on_demand_feature_view(\n"
        "    sources=[stats, asked], schema=[Field(name='sum', dtype=Int64)], mode='python'\n"
        ")\n"
        "def summed(inputs):\n"
        "    return {'sum': inputs['more']}\n"
        "store = FeatureStore(repo_path='.')\n"
        "store.apply([customer, stats, summed])\n"
        "rows = pd.DataFrame({'customer_id': [1], 'event_timestamp': [datetime(2024, 1, 20)]})\n"
        "def caught(error, call):\n"
        "    try:\n"
        "        call()\n"
        "    except error as e:\n"
        "        print(type(e).__name__)\n"
        "no, key = ['none:x'], [{'customer_id': 1}]\n"
        "caught(e.FeatureViewNotFoundException, lambda: store.get_online_features(no, key))\n"
        "caught(\n"
        "    e.FeatureViewNotFoundException,\n"
        "    lambda: store.get_historical_features(rows, no).to_df(),\n"
        ")\n"
        "day = datetime(2024, 1, 1)\n"
        "caught(e.FeatureViewNotFoundException, lambda: store.materialize(day, day, ['none']))\n"
        "caught(\n"
        "    e.FeatureViewNotFoundException, lambda: store.materialize_incremental(day, ['none'])\n"
        ")\n"
        "caught(\n"
        "    e.RequestDataNotFoundInEntityRowsException,\n"
        "    lambda: store.get_online_features(['summed:sum'], key),\n"
        ")\n"
        "caught(\n"
        "    e.RequestDataNotFoundInEntityDfException,\n"
        "    lambda: store.get_historical_features(rows, ['summed:sum']).to_df(),\n"
        ")\n"
    )
    done = python("-m", "tiffin.feast", "program.py", cwd=feast_repo)
    assert done.stdout.split() == [
        *["FeatureViewNotFoundException"] * 4,
        "RequestDataNotFoundInEntityRowsException",
        "RequestDataNotFoundInEntityDfException",
    ]
