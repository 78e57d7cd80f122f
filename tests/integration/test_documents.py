"""Every Python snippet of the README and the pages under docs runs, as it stands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SNIPPETS = [
    (page.relative_to(ROOT), i, code)
    for page in PAGES
    for i, code in enumerate(re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.S))
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
