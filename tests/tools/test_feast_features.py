"""docs/feast-features.yaml: each line names a test that exists, and the page is what it says."""

import ast
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location(
    "feast_features", ROOT / "tools" / "feast_features.py"
)
assert _spec is not None
assert _spec.loader is not None
feast_features = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(feast_features)

ITEMS = [item for area in feast_features.read() for item in area["features"]]


def names_in(file: str) -> set[str]:
    tree = ast.parse((ROOT / "tests" / "integration" / f"{file}.py").read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("item", ITEMS, ids=[item["feature"][:40] for item in ITEMS])
def test_each_line_is_shown_by_a_test(item):
    assert set(item) <= {"feature", "state", "how", "proof"}
    assert item["state"] in feast_features.STATES
    file, _, test = item["proof"].partition("::")
    assert test in names_in(file), f"there is no {item['proof']}"
    if item["state"] in ("better", "partly"):
        assert item["how"]


def test_no_line_is_there_twice():
    assert len({item["feature"] for item in ITEMS}) == len(ITEMS)


def test_the_page_is_what_the_list_says():
    assert feast_features.PAGE.read_text("utf-8") == feast_features.page(), (
        "run tools/feast_features.py"
    )
