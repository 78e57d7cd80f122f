"""examples/c: a C program reads the online store that Python has filled, without DuckDB."""

import datetime as dt
import importlib.util
import os
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tiffin import FeatureStore

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "build" / "py" / "src"
FLIGHTS = ROOT / "examples" / "flights"

pytestmark = pytest.mark.skipif(
    not (LIBRARY / "libtiffin.so").exists(), reason="needs build/py, which tools/install.sh makes"
)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """Compile the example as its page says, with every warning an error."""
    target = tmp_path_factory.mktemp("c") / "lookup"
    warnings = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
    include = f"-I{ROOT / 'include'}"
    library = [f"-L{LIBRARY}", "-ltiffin", f"-Wl,-rpath,{LIBRARY}"]
    source = ROOT / "examples" / "c" / "lookup.c"
    done = subprocess.run(
        ["cc", *warnings, include, source, "-o", target, *library], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return target


def load_definitions():
    spec = importlib.util.spec_from_file_location("flights_features", FLIGHTS / "features.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The flights project with two landings of one plane and one of another, materialized."""
    folder = tmp_path_factory.mktemp("flights")
    at = [dt.datetime(2013, 5, day, tzinfo=dt.UTC) for day in (1, 2, 1)]
    times = pa.array(at, pa.timestamp("us", "UTC"))
    table = pa.table(
        {
            "tailnum": ["N14228", "N14228", "N3CHAA"],
            "event_timestamp": times,
            "created": times,
            "legs_7d": pa.array([1, 2, 1], pa.int32()),
            "late_legs_7d": pa.array([0, 1, None], pa.int32()),
            "mean_delay_7d": pa.array([-4.0, 20.25, 3.5], pa.float32()),
            "worst_delay_7d": pa.array([-4, 44, 3], pa.int32()),
            "last_delay": pa.array([-4, 44, 3], pa.int32()),
            "last_landing": times,
            "last_airport": ["IAH", "ORD", "MIA"],
        }
    )
    (folder / "data").mkdir()
    pq.write_table(table, folder / "data" / "plane_history.parquet")
    store = FeatureStore(folder, fs_yaml_file=FLIGHTS / "feature_store.yaml")
    definitions = load_definitions()
    store.apply([definitions.plane, definitions.plane_history])
    store.materialize(None, at[1])
    return folder


def run(program, *planes, cwd):
    # A DuckDB that cannot be loaded: whoever tried would fail.
    env = os.environ | {"TIFFIN_DUCKDB_LIBRARY": "/nonexistent/duckdb"}
    return subprocess.run([program, *planes], cwd=cwd, env=env, capture_output=True, text=True)


def test_a_c_program_prints_three_features_of_two_planes(program, folder):
    done = run(program, "N14228", "N3CHAA", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "N14228: legs_7d 2 late_legs_7d 1 mean_delay_7d 20.25\n"
        "N3CHAA: legs_7d 1 late_legs_7d - mean_delay_7d 3.50\n"
    )


def test_a_plane_that_nobody_knows_has_no_features(program, folder):
    done = run(program, "N14228", "nobody", cwd=folder)
    assert done.stdout.endswith("nobody: legs_7d - late_legs_7d - mean_delay_7d -\n")


def test_a_folder_without_a_store_is_one_sentence(program, tmp_path):
    done = run(program, "N14228", "N3CHAA", cwd=tmp_path)
    assert done.returncode == 1
    assert "no registry" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []  # nothing was made either


def test_wrong_usage_is_one_sentence(program, tmp_path):
    done = run(program, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("usage:")
