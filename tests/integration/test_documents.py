"""What the pages say holds: Python snippets run as they stand, tests that are named exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def snippets_of(page: Path) -> list[str]:
    """Return the page's snippets, each with those above it, as a reader has run them."""
    codes = re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.S)
    return ["".join(codes[: i + 1]) for i in range(len(codes))]


SNIPPETS = [
    (page.relative_to(ROOT), i, code) for page in PAGES for i, code in enumerate(snippets_of(page))
]


@pytest.mark.parametrize(
    "code", [c for _, _, c in SNIPPETS], ids=[f"{page}-{i}" for page, i, _ in SNIPPETS]
)
def test_the_snippet_runs(code: str, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip()


def test_the_readme_has_a_snippet() -> None:
    assert any(page == Path("README.md") for page, _, _ in SNIPPETS)


# ---- docs/semantics: a numbered sentence ends with the tests that hold it ----

TESTS = ROOT / "tests"
RULES = [
    (page.name, rule)
    for page in sorted((ROOT / "docs" / "semantics").glob("*.md"))
    for rule in re.findall(r"^\d+\. .*?(?=^\d+\. |^#|^$|\Z)", page.read_text("utf-8"), re.M | re.S)
]


def names_in(text: str) -> list[str]:
    """Return the tests and files that stand in parentheses after a sentence."""
    groups = re.findall(r"\((`[^()]*)\)", text)
    return [name for group in groups for name in re.findall(r"`([^`]+)`", group)]


@pytest.fixture(scope="module")
def tests_there() -> set[str]:
    """Names of all tests: C functions, pytest functions, programs of tests/prop."""
    names = {path.stem for path in (TESTS / "prop").glob("prop_*.c")}
    for path in TESTS.rglob("*.c"):
        names |= set(re.findall(r"^static void (\w+)\(void \*\*\w+\)", path.read_text(), re.M))
    for path in TESTS.rglob("test_*.py"):
        names |= set(re.findall(r"^def (test_\w+)\(", path.read_text("utf-8"), re.M))
    return names


@pytest.mark.parametrize("page, rule", RULES, ids=[f"{p}-{r.split('.')[0]}" for p, r in RULES])
def test_a_rule_names_tests_that_exist(page: str, rule: str, tests_there: set[str]) -> None:
    names = names_in(rule)
    files = [name for name in names if "/" in name]
    assert len(names) > len(files), f"{page}: no test is named: {rule}"
    for name in names:
        found = (ROOT / name).exists() if name in files else name in tests_there
        assert found, f"{page}: there is no {name}"


def test_the_semantics_have_rules() -> None:
    assert len(RULES) > 30
