"""What the integration tests share: stores over `rides`."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for the helpers beside this file

from rides import definitions, write_drivers


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A folder with a feature_store.yaml and one Parquet file of drivers' figures."""
    (tmp_path / "feature_store.yaml").write_text("project: rides\n")
    (tmp_path / "data").mkdir()
    write_drivers(tmp_path / "data" / "drivers.parquet")
    return tmp_path


@pytest.fixture
def store(repo: Path):
    """A store over `repo` with its definitions applied."""
    from tiffin import FeatureStore

    store = FeatureStore(repo_path=repo)
    store.apply(list(definitions()))
    return store
