"""bench/run.py on tiny data: it measures, compares answers, writes the page, names who is wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"
PAGE = "# Title\n<!-- bench: begin -->\nwhat was here\n<!-- bench: end -->\nnotes\n"


@pytest.fixture
def bench(monkeypatch):
    """The harness's own modules, importable."""
    monkeypatch.syspath_prepend(str(BENCH))
    import page
    import run

    yield run, page
    names = "run page machine scenario scenarios write_scenarios server_scenarios"
    for name in names.split():
        sys.modules.pop(name, None)


def test_a_tiny_run_measures_compares_and_writes_the_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    options = f"--scale 0.0005 --rounds 1 --folder {tmp_path} --page {page}".split()
    command = [
        sys.executable,
        BENCH / "run.py",
        "join-s10",
        "online",
        *options,
        "--peers",
        sys.executable,
    ]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr

    results = json.loads((tmp_path / "scale-0.0005" / "results.json").read_text())["scenarios"]
    assert {"Tiffin", "DuckDB ASOF JOIN", "Polars join_asof"} <= set(results["join-s10"]["agree"])
    figures = results["join-s10"]["contenders"]["Tiffin"]["median"]
    assert figures["seconds"] > 0
    assert figures["peak_mb"] > figures["before_mb"] > 0
    lookups = results["online"]["contenders"]["Tiffin"]["median"]
    assert 0 < lookups["one_median"] <= lookups["one_p99"]
    assert results["online"]["contenders"]["Feast"]["reason"] == "feast is not installed"

    text = page.read_text()
    assert text.startswith("# Title\n") and text.endswith("notes\n") and "what was here" not in text
    assert "| time / best peer |" in text
    assert "not measured: feast is not installed" in text


def test_a_tiny_run_loads_the_server(tmp_path):
    scenarios = "serve-one serve-lean serve-memory serve-start".split()
    options = f"--scale 0.0005 --rounds 1 --folder {tmp_path}".split()
    command = [sys.executable, BENCH / "run.py", *scenarios, *options, "--peers", sys.executable]
    run = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert run.returncode == 0, run.stdout + run.stderr

    found = json.loads((tmp_path / "scale-0.0005" / "results.json").read_text())["scenarios"]
    medians = {
        name: {who: c["median"] for who, c in result["contenders"].items()}
        for name, result in found.items()
    }
    assert medians["serve-one"]["Tiffin"]["rate"] > 0
    constant = medians["serve-one"]["a constant (libmicrohttpd)"]
    assert constant["rate"] > 0
    # As long an answer as Tiffin's, within what another key's values take.
    assert abs(constant["answer_bytes"] - medians["serve-one"]["Tiffin"]["answer_bytes"]) < 60
    lean = medians["serve-lean"]["Tiffin"]
    assert 0 < lean["median_ms"] <= lean["p99_ms"] <= lean["p999_ms"]
    memory = medians["serve-memory"]["Tiffin"]
    assert 0 < memory["idle_mb"] <= memory["anonymous_mb"] < 30
    assert medians["serve-start"]["Tiffin"]["median"] > 0
    assert found["serve-one"]["contenders"]["feast serve"]["reason"] == "feast is not installed"


def test_another_answer_is_named(bench):
    run, _ = bench
    checks = {"A": [{"rows": 3, "f0": [0, 6, 8]}], "B": [{"rows": 3, "f0": [0, 6, 9]}], "C": []}
    assert (
        run.disagreement(checks)
        == "A and B differ in 1 of their checks: f0: [0, 6, 8] and [0, 6, 9]"
    )
    assert run.disagreement({**checks, "B": checks["A"]}) == ""


def test_a_claim_is_a_ratio_to_the_best_of_the_others(bench):
    _, page = bench
    claim = page.Claim("time", "seconds", 1.0, ("B", "C"))
    figures = {"Tiffin": {"seconds": 3.0}, "B": {"seconds": 4.0}, "C": {"seconds": 2.0}}
    assert page.claim_row(claim, figures) == "| time | 1.5 | 1 | **no** |"
    assert "not measured" in page.claim_row(claim, {"Tiffin": {"seconds": 3.0}})


def test_a_claim_may_be_what_is_beyond_another_contender(bench):
    _, page = bench
    claim = page.Claim("beyond", "us", 0.3, unit=" us", beyond="raw")
    figures = {"Tiffin": {"us": 0.75}, "raw": {"us": 0.5}}
    assert page.claim_row(claim, figures) == "| beyond | 0.25 us | 0.3 us | yes |"
    assert "not measured" in page.claim_row(claim, {"Tiffin": {"us": 0.75}})
