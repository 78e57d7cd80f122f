"""What the pages say holds: snippets run as they stand, what they name is there."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from server_process import ServerProcess, find_program

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


# ---- what a page says of the server is what the server says


BIN = Path(sys.executable).parent


def shell_blocks(page: Path) -> list[str]:
    """Return the page's blocks marked `sh`."""
    return re.findall(r"^```sh\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)


def run_shell(code: str, folder: Path) -> str:
    """Run a block as a reader does, with the program `tiffin` on the PATH; return its output."""
    result = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", code],
        cwd=folder,
        env=os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, f"{code}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def check_answers(said: str) -> None:
    """Both forms of the answer know driver 1001, and the values are fresh."""
    decoder = json.JSONDecoder()
    feast, end = decoder.raw_decode(said)
    assert feast["results"][0]["values"][0] == 1001
    assert [column["statuses"][0] for column in feast["results"]] == ["PRESENT"] * 3
    lean, _ = decoder.raw_decode(said[end:].strip())
    assert lean["names"] == ["trips_today", "rating"]
    assert [column[0] for column in lean["statuses"]] == [1, 1]


@pytest.fixture(scope="module")
def readme_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The server that a reader of README.md has after its commands, on another port."""
    folder = tmp_path_factory.mktemp("readme")
    [code] = [c for c in shell_blocks(ROOT / "README.md") if "tiffin serve" in c]
    commands, serve, _ = code.partition("\ntiffin serve ")
    assert serve
    run_shell(commands, folder)
    with ServerProcess(folder / "rides", "--python", sys.executable) as server:
        yield server


def test_the_server_of_the_readme_answers(readme_server: ServerProcess, tmp_path: Path) -> None:
    [code] = [c for c in shell_blocks(ROOT / "README.md") if "curl" in c]
    check_answers(run_shell(code.replace("6566", str(readme_server.port)), tmp_path))


QUESTIONS = [
    (page, code)
    for page in ("docs/server-api.md", "docs/formats/server-protocol.md")
    for code in shell_blocks(ROOT / page)
]


@pytest.mark.parametrize("page, code", QUESTIONS, ids=[page for page, _ in QUESTIONS])
def test_what_a_page_asks_a_server_is_answered(
    readme_server: ServerProcess, tmp_path: Path, page: str, code: str
) -> None:
    code = code.replace("6566", str(readme_server.port)).replace("curl ", "curl -sS --fail ")
    assert run_shell(code, tmp_path).strip()


def test_the_server_of_a_new_repo_answers(tmp_path: Path) -> None:
    page = ROOT / "python" / "tiffin" / "templates" / "minimal" / "README.md"
    setup, serve, questions = shell_blocks(page)
    assert serve.startswith("tiffin serve ")
    run_shell(f"tiffin init rides\ncd rides\n{setup}", tmp_path)
    with ServerProcess(tmp_path / "rides") as server:
        check_answers(run_shell(questions.replace("6566", str(server.port)), tmp_path))


JSON = [
    (page, code)
    for page in PAGES
    for code in re.findall(r"^```json\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)
]


@pytest.mark.parametrize("page, code", JSON, ids=[page.name for page, _ in JSON])
def test_an_example_in_json_is_json(page: Path, code: str) -> None:
    json.loads(code)


def settings_of(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [find_program(), "--repo", str(folder), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_settings_on_the_page_are_those_of_the_server(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "server.md").read_text("utf-8")
    [example] = re.findall(r"^```yaml\n(.*?)^```", page, re.M | re.S)
    (tmp_path / "feature_store.yaml").write_text(example)
    done = settings_of(tmp_path, "--print-config", "--insecure")  # it has no keys yet
    assert (done.returncode, done.stderr) == (0, "")  # no setting was unknown
    limits = json.loads(done.stdout)["feature_server"]["limits"]
    table = page.partition("## Limits")[2].partition("## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.M)) == set(limits)
    help_text = settings_of(tmp_path, "--help").stdout
    table = page.partition("| `feature_server` |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`(--[\w-]+)", table))
    others = {"--repo", "--feature-store-yaml", "--check", "--print-config", "--version", "--help"}
    assert named | others == set(re.findall(r"(--[\w-]+)", help_text))


def test_the_metrics_on_the_page_are_those_of_the_server(readme_server: ServerProcess) -> None:
    page = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    with urlopen(f"{readme_server.url}/metrics") as answer:
        served = set(re.findall(r"^# TYPE (\w+) ", answer.read().decode(), re.M))
    assert set(re.findall(r"^\| `(tiffin_\w+)` \|", page, re.M)) == served


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
