"""Loading a repo's Python files."""

import sys
from pathlib import Path

import pytest

from tiffin.store.repo import find_files, load_repo

HEAD = "from tiffin import Entity, FeatureView, Field, FileSource\nfrom tiffin.types import Int64\n"


def write(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_objects_of_all_files_are_found_once(tmp_path):
    write(
        tmp_path,
        entities=HEAD + "driver = Entity(name='driver')\nsame = driver\n",
        views__stats=HEAD
        + "from entities import driver\n"
        + "source = FileSource(path='x.parquet')\n"
        + "stats = FeatureView(name='stats', entities=[driver], source=source)\n"
        + "renamed = stats.with_name('other')\n",
    )
    found = load_repo(tmp_path)
    assert [p.relative_to(tmp_path).as_posix() for p in found.files] == [
        "entities.py",
        "views/stats.py",
    ]
    assert [o.name for o in found.objects] == ["driver", "x.parquet", "stats"]
    assert [v.name for v in found.feature_views] == ["stats"]
    assert found.feature_views[0].entity_objects[0] is found.entities[0]
    assert "entities" not in sys.modules
    assert str(tmp_path) not in sys.path


def test_two_repos_may_use_the_same_module_names(tmp_path):
    for name in ("a", "b"):
        write(
            tmp_path / name,
            common=f"NAME = {name!r}\n",
            features=HEAD + "from common import NAME\nentity = Entity(name=NAME)\n",
        )
    assert [e.name for e in load_repo(tmp_path / "a").entities] == ["a"]
    assert [e.name for e in load_repo(tmp_path / "b").entities] == ["b"]


def test_a_file_named_like_a_module_of_python_changes_nothing(tmp_path):
    import random

    write(tmp_path, random=HEAD + "entity = Entity(name='e')\n")
    assert [e.name for e in load_repo(tmp_path).entities] == ["e"]
    assert sys.modules["random"] is random


def test_what_is_ignored(tmp_path):
    bad = "raise RuntimeError('was run')\n"
    write(
        tmp_path,
        ok="",
        __init__=bad,
        old__a=bad,
        test_x=bad,
    )
    for folder in (".git", ".venv", "__pycache__", ".ipynb_checkpoints"):
        write(tmp_path / folder, x=bad)
    write(tmp_path / "env", x=bad)
    (tmp_path / "env" / "pyvenv.cfg").touch()
    (tmp_path / ".feastignore").write_text("# comment\nold/\n")
    (tmp_path / ".tiffinignore").write_text("test_*.py  # tests\n")
    (tmp_path / "__init__.py").write_text(bad)
    assert [p.name for p in find_files(tmp_path)] == ["ok.py"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x = 1\ny = z\n", "f.py, line 2: NameError: name 'z' is not defined"),
        ("x = 1\ny = (\n", "f.py, line 2: SyntaxError: '(' was never closed"),
        ("import helper\nhelper.fail()\n", "helper.py, line 2: ValueError: no"),
        ("raise SystemExit(3)\n", "f.py, line 1: SystemExit: 3"),
        (
            "import nothing_like_this\n",
            "f.py, line 1: ModuleNotFoundError: No module named 'nothing_like_this'",
        ),
        (
            HEAD + "Entity(\n  name=3,\n)\n",
            "f.py, line 3: Entity: name must be a str, not int 3",
        ),
    ],
)
def test_a_file_that_fails_is_one_sentence(tmp_path, text, sentence):
    write(tmp_path, f=text, helper="def fail():\n    raise ValueError('no')\n")
    with pytest.raises(ValueError) as caught:
        load_repo(tmp_path)
    assert str(caught.value) == sentence


def test_two_definitions_of_one_name_are_named_with_their_files(tmp_path):
    write(
        tmp_path,
        a=HEAD + "e = Entity(name='e')\n",
        b=HEAD + "e = Entity(name='e', description='other')\n",
    )
    with pytest.raises(ValueError) as caught:
        load_repo(tmp_path)
    assert str(caught.value) == (
        "two different definitions of entity 'e' stand in a.py and b.py; names must be unique"
    )


def test_equal_definitions_in_two_files_are_one(tmp_path):
    write(tmp_path, a=HEAD + "e = Entity(name='e')\n", b=HEAD + "e = Entity(name='e')\n")
    assert len(load_repo(tmp_path).entities) == 1


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(KeyError, match="there is no folder"):
        load_repo(tmp_path / "none")
