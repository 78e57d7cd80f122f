"""Repos written for Feast, run by Feast and by Tiffin: every answer is compared.

The repos are in tests/feast_repos; drive.py there asks the same questions in both worlds. Feast is
that of .venv-peers (TFN_FEAST_PYTHON: of another interpreter), with its DuckDB store and SQLite
online. What differs is declared by the repo (`DIFFERS` of its questions.py: question -> number in
docs/semantics/differences-from-feast.md), and a declared difference that is none fails, too.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
REPOS = ROOT / "tests" / "feast_repos"
FEAST = os.environ.get("TFN_FEAST_PYTHON", str(ROOT / ".venv-peers" / "bin" / "python"))
NAMES = sorted(folder.name for folder in REPOS.iterdir() if (folder / "features.py").exists())
IN_CI = ["driver_stats", "everything_at_once", "meanings", "on_demand"]
RULES = (ROOT / "docs" / "semantics" / "differences-from-feast.md").read_text("utf-8")


def answers_of(
    command: list[str | Path], home: Path, names: list[str], yaml: str = "", **env: str
) -> dict[str, Any]:
    """Copy the repos to a folder of their own and ask them there; `yaml`: settings of stores."""
    home.mkdir()
    for helper in ("drive.py", "rows.py"):
        shutil.copy(REPOS / helper, home)
    for name in names:
        shutil.copytree(REPOS / name, home / name)
        settings = home / name / "feature_store.yaml"
        if yaml:
            kept = settings.read_text("utf-8").partition("offline_store:")[0]
            settings.write_text(kept + yaml, "utf-8")
    done = subprocess.run(
        [*command, home / "drive.py", *(home / name for name in names)],
        cwd=home,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return {name: json.loads((home / name / "answers.json").read_text()) for name in names}


def is_caught(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Whether who handles Feast's error handles ours; of Python's own classes we have others."""
    is_feasts = theirs["raised"] in theirs["caught by"]
    return not is_feasts or theirs["raised"] in ours["caught by"]


def differences(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, str]:
    """Return the questions that were answered differently, and how."""
    assert ours.keys() == theirs.keys()
    found = {}
    for question, mine in ours.items():
        other = theirs[question]
        both_refuse = "raised" in mine and "raised" in other
        if mine != other and not (both_refuse and is_caught(mine, other)):
            found[question] = f"ours: {json.dumps(mine)}\ntheirs: {json.dumps(other)}"
    return found


def declared_by(questions: Path) -> dict[str, int]:
    """Return the value of DIFFERS, without running the file."""
    for statement in ast.parse(questions.read_text("utf-8")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "DIFFERS":
            found: dict[str, int] = ast.literal_eval(statement.value)
            return found
    return {}


def compare(folder: Path, names: list[str]) -> None:
    theirs = answers_of([FEAST], folder / "feast", names)
    ours = answers_of([sys.executable, "-m", "tiffin.feast"], folder / "tiffin", names)
    wrong = []
    for name in names:
        declared = declared_by(REPOS / name / "questions.py")
        found = differences(ours[name], theirs[name])
        for question, rule in declared.items():
            assert re.search(rf"^{rule}\. ", RULES, re.M), f"{name}: there is no rule {rule}"
            if found.pop(question, None) is None:
                wrong.append(f"{name}: {question}: rule {rule} says that it differs: it does not")
        wrong += [f"{name}: {question}\n{how}" for question, how in found.items()]
    assert not wrong, "\n\n".join(wrong)


def test_they_are_many_and_small():
    assert len(NAMES) >= 25
    for name in NAMES:
        for file in ("features.py", "questions.py"):
            text = (REPOS / name / file).read_text("utf-8")
            assert "tiffin" not in text.lower()
            assert text.count("\n") <= 100, f"{name}/{file} is longer than a page"


def test_three_of_them_give_feasts_answers(tmp_path):
    compare(tmp_path, IN_CI)


@pytest.mark.long
def test_all_of_them_give_feasts_answers(tmp_path):
    compare(tmp_path, NAMES)
