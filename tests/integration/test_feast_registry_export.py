"""Registry files that Tiffin writes, read by the real Feast.

Objects are compared with what `feast apply` of the same Python files makes: as messages, but for
times, ids and pickles; and by Feast's own `==`. Feast is that of .venv-peers (TFN_FEAST_PYTHON:
another); dill, which pickles functions, is its dill.
"""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_feast_registry_import import EVERY_KIND, FEAST, HISTORY, feast, make_repo, ours

from tiffin import FeatureStore
from tiffin.errors import InvalidError, TiffinError, UnsupportedError

ROOT = Path(__file__).parents[2]
REPOS = ROOT / "tests" / "feast_repos"
NAMES = sorted(folder.name for folder in REPOS.iterdir() if (folder / "features.py").exists())
IN_CI = ["everything_at_once", "meanings"]
THEIRS = "data/theirs.db"
OURS = "data/ours.db"

# What differs between two registry files of Feast, as JSON: {"difference": text, ...}.
COMPARE = """
    import json, sys
    from feast.protos.feast.core.Registry_pb2 import Registry

    SCRUBBED = {"created_timestamp", "last_updated_timestamp", "last_updated", "version_id", "body"}
    LEFT_OUT = {"infra", "feature_view_version_history", "project_metadata"}
    kept = set(sys.argv[3:])

    def scrub(message):
        for field, value in list(message.ListFields()):
            entry = field.message_type and field.message_type.GetOptions().map_entry
            if field.name in SCRUBBED - kept:
                message.ClearField(field.name)
            elif entry and field.message_type.fields_by_name["value"].message_type:
                for key in value:
                    scrub(value[key])
            elif field.message_type and not entry:
                for each in value if field.is_repeated else [value]:
                    scrub(each)

    def objects(path):
        registry = Registry()
        registry.ParseFromString(open(path, "rb").read())
        scrub(registry)
        found = {}
        for field, value in registry.ListFields():
            if field.name not in LEFT_OUT and field.is_repeated:
                for each in value:
                    spec = each.spec if hasattr(each, "spec") else each
                    found[f"{field.name}/{spec.name}"] = each
        return found

    a, b = objects(sys.argv[1]), objects(sys.argv[2])
    print(json.dumps({k: f"{a.get(k)}\\n{b.get(k)}" for k in a.keys() | b.keys() if a.get(k) != b.get(k)}))
"""  # noqa: E501

# Every object that Feast lists in two registries, compared by Feast.
LIST = """
    import json, sys
    from feast import FeatureStore

    kinds = [
        "list_entities", "list_data_sources", "list_feature_views", "list_stream_feature_views",
        "list_batch_feature_views", "list_label_views", "list_on_demand_feature_views",
        "list_feature_services", "list_permissions", "list_projects",
    ]
    first, second = (FeatureStore(folder) for folder in sys.argv[1:3])
    found = {}
    for kind in kinds:
        if hasattr(first, kind):
            a = {each.name: each for each in getattr(first, kind)()}
            b = {each.name: each for each in getattr(second, kind)()}
            assert a.keys() == b.keys(), (kind, sorted(a), sorted(b))
            for name in a:
                x, y = a[name], b[name]
                if kind == "list_projects":  # whose `==` compares times
                    x, y = x.to_proto().spec, y.to_proto().spec
                if kind == "list_stream_feature_views":  # whose order of fields is by chance
                    for view in (x, y):
                        view.features.sort(key=lambda field: field.name)
                        view.projection.features.sort(key=lambda field: field.name)
                assert x == y, (kind, name)
            found[kind] = sorted(a)
    print(json.dumps(found))
"""


def in_feast(program: str, *args: object, cwd: Path | None = None) -> Any:
    done = subprocess.run(
        [FEAST, "-W", "ignore", "-c", textwrap.dedent(program), *map(str, args)],
        cwd=cwd,
        env={**os.environ, "FEAST_USAGE": "False", "TZ": "UTC"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def dill_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with Feast's dill and nothing else of Feast's."""
    place = subprocess.run(
        [FEAST, "-c", "import dill; print(dill.__path__[0])"],
        capture_output=True, text=True, timeout=60, check=True,
    ).stdout.strip()  # fmt: skip
    folder = tmp_path_factory.mktemp("dill")
    (folder / "dill").symlink_to(place)
    return str(folder)


def run_tiffin(folder: Path, *args: str, dill: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tiffin.cli.main", *args],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([dill, str(folder.parent)])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def tiffin_apply_and_export(folder: Path, dill: str, file: str) -> str:
    """Apply the repo's files with Tiffin, and export; both must succeed."""
    call = "import sys; from tiffin.cli.main import main_feast; main_feast()"
    applied = subprocess.run(
        [sys.executable, "-c", call, "apply"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder.parent)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert applied.returncode == 0, applied.stderr
    done = run_tiffin(folder, "export-feast", file, dill=dill)
    assert done.returncode == 0, done.stderr
    return done.stdout


def name_registry(folder: Path, registry: str) -> None:
    settings = folder / "feature_store.yaml"
    lines = settings.read_text("utf-8").splitlines()
    lines = [f"registry: {registry}" if x.startswith("registry:") else x for x in lines]
    settings.write_text("\n".join(lines) + "\n", "utf-8")


def export_repos(names: list[str], home: Path, dill: str) -> None:
    """Apply repos with Feast and with Tiffin; export; compare."""
    home.mkdir()
    shutil.copy(REPOS / "rows.py", home)
    for name in names:
        folder = shutil.copytree(REPOS / name, home / name)
        write = "import questions, pathlib; questions.write(pathlib.Path('.'))"
        subprocess.run(
            [sys.executable, "-c", write], cwd=folder, check=True, timeout=120,
            env={**os.environ, "PYTHONPATH": f"{home}{os.pathsep}{folder}"},
        )  # fmt: skip
        (folder / "questions.py").unlink()
        name_registry(folder, THEIRS)
        feast(folder, "apply")
        name_registry(folder, OURS)
        tiffin_apply_and_export(folder, dill, "data/written.db")
        wrong = in_feast(COMPARE, "data/written.db", THEIRS, cwd=folder)
        assert not wrong, f"{name}: {wrong}"


def test_some_repos_are_written_as_feast_writes_them(tmp_path, dill_path):
    export_repos(IN_CI, tmp_path / "repos", dill_path)


@pytest.mark.long
def test_all_repos_are_written_as_feast_writes_them(tmp_path, dill_path):
    export_repos(NAMES, tmp_path / "repos", dill_path)


@pytest.fixture(scope="module")
def feasts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repo of every kind that Feast has applied."""
    # Feast's DuckDB store takes no ttl of days and microseconds.
    features = EVERY_KIND.replace("timedelta(days=1, microseconds=5)", "timedelta(days=1)")
    folder = make_repo(tmp_path_factory.mktemp("feasts") / "repo", features, HISTORY)
    feast(folder, "apply", "--skip-source-validation")
    return folder


def test_every_kind_is_listed_equal_and_runs(feasts, tmp_path, dill_path):
    folder = ours(feasts, tmp_path / "ours", registry=OURS)
    (folder / HISTORY).unlink()
    said = tiffin_apply_and_export(folder, dill_path, THEIRS)
    assert "project rich written to" in said and "on-demand feature view: 1" in said
    name_registry(folder, THEIRS)
    (folder / "features.py").unlink()  # Feast has the registry alone
    listed = in_feast(LIST, folder, feasts)
    assert listed["list_entities"] == ["driver"]
    assert "product" in listed["list_on_demand_feature_views"]
    asked = """
        import json, sys
        import pandas as pd
        from feast import FeatureStore

        store = FeatureStore(sys.argv[1])
        entities = pd.DataFrame(
            {"driver_id": [1, 2], "n": [2, 10], "event_timestamp": pd.Timestamp("2026-01-03", tz="UTC")}
        )
        frame = store.get_historical_features(entities, ["plain:f", "product:fn"]).to_df()
        print(json.dumps(frame.sort_values("driver_id")[["f", "fn"]].values.tolist()))
    """  # noqa: E501
    assert in_feast(asked, folder, cwd=folder) == [[3.5, 7.0], [2.5, 25.0]]


def test_what_was_imported_comes_back_as_it_was(feasts, tmp_path):
    store = FeatureStore(ours(feasts, tmp_path / "ours"))
    base = store.repo_path / HISTORY
    store.import_feast_registry(base)
    (store.repo_path / "features.py").unlink()  # and so no function is at hand
    counts = store.export_feast_registry(store.repo_path / "data" / "back.db")
    assert counts["feature_view"] == 9
    # Times and pickles too.
    times = ("created_timestamp", "last_updated_timestamp", "body")
    assert in_feast(COMPARE, "data/back.db", HISTORY, *times, cwd=store.repo_path) == {}


def test_a_change_changes_that_object_alone_and_others_stay(feasts, tmp_path):
    store = FeatureStore(ours(feasts, tmp_path / "ours"))
    store.import_feast_registry(store.repo_path / HISTORY)
    entity = store.get_entity("driver")
    entity.description = "who drives"
    store.apply(entity)
    store.delete_feature_service("logged")
    file = store.repo_path / "data" / "back.db"
    shutil.copy(store.repo_path / HISTORY, file)
    file.chmod(0o640)
    store.export_feast_registry(file)
    assert file.stat().st_mode & 0o777 == 0o640
    changed = in_feast(COMPARE, "data/back.db", HISTORY, "body", cwd=store.repo_path)
    assert sorted(changed) == ["entities/driver", "feature_services/logged"]


def test_other_projects_of_the_file_stay(feasts, tmp_path, dill_path):
    folder = ours(feasts, tmp_path / "ours", registry=OURS)
    settings = folder / "feature_store.yaml"
    settings.write_text(settings.read_text("utf-8").replace("project: rich", "project: second"))
    text = (folder / "features.py").read_text("utf-8").replace('name="rich"', 'name="second"')
    (folder / "features.py").write_text(text, "utf-8")
    tiffin_apply_and_export(folder, dill_path, HISTORY)
    counted = """
        import json, sys
        from feast.protos.feast.core.Registry_pb2 import Registry

        registry = Registry()
        registry.ParseFromString(open(sys.argv[1], "rb").read())
        found = {}
        for view in registry.feature_views:
            found[view.spec.project] = found.get(view.spec.project, 0) + 1
        print(json.dumps(found))
    """
    counts = in_feast(counted, folder / HISTORY)
    assert counts["rich"] == counts["second"] > 0


def test_helpers_of_the_repo_go_into_the_pickle(tmp_path, dill_path):
    features = """
        import numpy as np
        from feast import Entity, FeatureView, Field, FileSource, RequestSource, ValueType
        from feast.on_demand_feature_view import on_demand_feature_view
        from feast.types import Float64, Int64

        from sums import twice

        FACTOR = 10
        trip = RequestSource(name="trip", schema=[Field(name="n", dtype=Int64)])

        def helper(values):
            return [FACTOR * v for v in values]

        @on_demand_feature_view(
            sources=[trip], schema=[Field(name="much", dtype=Float64)], mode="python"
        )
        def product(inputs):
            return {"much": [float(np.float64(v)) for v in twice(helper(inputs["n"]))]}
    """
    folder = make_repo(tmp_path / "repo", features, registry=OURS)
    (folder / "sums.py").write_text("def twice(values):\n    return [2 * v for v in values]\n")
    tiffin_apply_and_export(folder, dill_path, THEIRS)
    name_registry(folder, THEIRS)
    (folder / "features.py").unlink()
    (folder / "sums.py").unlink()
    # Feast of today runs the text when that can be run by itself, those before it the pickle.
    called = """
        import dill, json, sys
        from feast.protos.feast.core.Registry_pb2 import Registry

        registry = Registry()
        registry.ParseFromString(open(sys.argv[1], "rb").read())
        spec = registry.on_demand_feature_views[0].spec
        call = dill.loads(spec.feature_transformation.user_defined_function.body)
        print(json.dumps(call({"n": [1, 2]})))
    """
    assert in_feast(called, folder / THEIRS, cwd=tmp_path) == {"much": [20.0, 40.0]}


def test_without_dill_or_the_function_the_view_is_named(feasts, tmp_path):
    folder = ours(feasts, tmp_path / "ours", registry=OURS)
    (folder / HISTORY).unlink()
    store = FeatureStore(folder)
    from tiffin.store.repo import load_repo

    store.apply(load_repo(folder).objects)
    with pytest.raises(UnsupportedError, match=r"view 'batched' .*pip install dill"):
        store.export_feast_registry(folder / THEIRS)
    assert not (folder / THEIRS).exists()
    assert not list((folder / "data").glob(".theirs*"))


def test_a_file_that_is_something_else_is_left_alone(feasts, tmp_path):
    store = FeatureStore(ours(feasts, tmp_path / "ours"))
    store.import_feast_registry(store.repo_path / HISTORY)
    file = store.repo_path / "data" / "notes.txt"
    file.write_text("notes")
    with pytest.raises(InvalidError, match="no registry of Feast; name another file"):
        store.export_feast_registry(file)
    assert file.read_text() == "notes"
    with pytest.raises(InvalidError, match="is the registry of this store"):
        store.export_feast_registry(store.config.registry_path, force=True)
    store.export_feast_registry(file, force=True)
    assert in_feast(COMPARE, file, HISTORY, cwd=store.repo_path) == {}
    done = run_tiffin(store.repo_path, "export-feast", "data/notes.txt", "--json")
    assert json.loads(done.stdout)["objects"]["entity"] == 1


def test_scalar_types_are_written_with_feasts_numbers(tmp_path, dill_path):
    names = "Bytes String Int32 Int64 Float32 Float64 Bool UnixTimestamp".split()
    fields = ", ".join(
        f'Field(name="f{i}{k}", dtype={"Array(" * k}{name}{")" * k})'
        for i, name in enumerate(names)
        for k in (0, 1)
    )
    features = f"""
        from feast import FeatureView, Field, FileSource
        from feast.types import Array, {", ".join(names)}

        source = FileSource(name="s", path="data/stats.parquet", timestamp_field="ts")
        view = FeatureView(name="types", source=source, schema=[{fields}])
    """
    folder = make_repo(tmp_path / "repo", features, registry=THEIRS)
    kinds = [
        pa.binary(), pa.string(), pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.bool_(),
        pa.timestamp("us", "UTC"),
    ]  # fmt: skip
    columns = {f"f{i}0": pa.array([None], kind) for i, kind in enumerate(kinds)}
    columns |= {f"f{i}1": pa.array([None], pa.list_(kind)) for i, kind in enumerate(kinds)}
    columns["ts"] = pa.array([0], pa.timestamp("us", "UTC"))
    pq.write_table(pa.table(columns), folder / "data" / "stats.parquet")
    feast(folder, "apply", "--skip-source-validation")
    name_registry(folder, OURS)
    tiffin_apply_and_export(folder, dill_path, "data/written.db")
    assert in_feast(COMPARE, "data/written.db", THEIRS, cwd=folder) == {}


def test_only_files_are_written_and_links_are_followed(feasts, tmp_path):
    store = FeatureStore(ours(feasts, tmp_path / "ours"))
    store.import_feast_registry(store.repo_path / HISTORY)
    folder = tmp_path / "places"
    folder.mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "link").symlink_to(folder / "target")
    for name, told in (("pipe", "is no file"), ("", "is no file"), ("loop", "a link to itself")):
        with pytest.raises(TiffinError, match=told):
            store.export_feast_registry(folder / name, force=True)
    assert (folder / "pipe").is_fifo()
    store.export_feast_registry(folder / "link")
    assert (folder / "link").is_symlink() and (folder / "target").stat().st_size > 0
    with pytest.raises(InvalidError, match="the name of the file is empty"):
        store.export_feast_registry("")
    with pytest.raises(InvalidError, match="is no file"):
        store.import_feast_registry(folder)


def test_the_registry_beside_feasts_is_never_written(feasts, tmp_path):
    folder = ours(feasts, tmp_path / "ours", HISTORY)
    store = FeatureStore(folder)
    assert store.list_entities()
    for tail in (".tiffin", ".tiffin-wal", ".tiffin-shm"):
        with pytest.raises(InvalidError, match="is the registry of this store"):
            store.export_feast_registry(f"{folder / HISTORY}{tail}", force=True)
    store.export_feast_registry(folder / HISTORY)  # Feast's own, with what it has
    assert in_feast(COMPARE, folder / HISTORY, feasts / HISTORY, cwd=folder) == {}
