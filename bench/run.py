#!/usr/bin/env python3
"""Run scenarios: Tiffin and its peers, each in processes of its own, round after round.

usage: run.py [SCENARIO...] [--scale X] [--rounds N] [--list] ...

Every contender runs in a new process a round, in the order A B C A B C, so that a change of the
machine's mood meets all of them. Imports and the loading of the entity rows are outside of what is
timed. Results go to build/bench/scale-X/results.json; at scale 1 also into docs/benchmarks.md.
Exits with 1 if contenders disagree about the answer or one of them failed. A claim that does not
hold is shown and fails nothing: a bench on a busy machine is no gate.

Only the standard library is used here: this process must stay small and quiet, because a child's
peak memory counts from what its parent had when it was started.
"""

import argparse
import datetime
import json
import os
import shlex
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import machine
import page
from scenario import Contender, Scenario
from scenarios import SCENARIOS

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / "bench"


class FailedError(Exception):
    """A contender's process ended badly; the message says how."""


class Runner:
    """Interpreters, folders and settings of one run."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.rounds: int = arguments.rounds
        self.threads: int = arguments.threads
        self.scale: float = arguments.scale
        self.folder: Path = arguments.folder / f"scale-{arguments.scale:g}"
        self.ours: str = arguments.ours
        self.peers: str = arguments.peers
        self.only: list[str] = [word.lower() for word in arguments.only]
        self.ours_found = machine.versions(self.ours)
        self.peers_found = machine.versions(self.peers)
        self.sizes: dict[str, int] = {}
        self.load: float = os.getloadavg()[0]  # of others, before we begin

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def results(self) -> Path:
        """Where results are kept; those of a run with --only stay apart."""
        return self.folder / ("results-only.json" if self.only else "results.json")

    def make_data(self, names: list[str]) -> None:
        script, scale = str(HERE / "data.py"), f"--scale={self.scale}"
        subprocess.run([self.ours, script, scale, str(self.data), *names], check=True)
        self.sizes = json.loads((self.data / "manifest.json").read_text())

    def read_data(self, names: list[str]) -> None:
        """Bring the files into the page cache: no contender is the one that waits for the disk."""
        for name in names:
            with (self.data / name).open("rb") as file:
                while file.read(1 << 20):
                    pass

    def folder_of(self, scenario: Scenario, contender: Contender) -> Path:
        name = "".join(c if c.isalnum() else "_" for c in contender.name.lower())
        return self.folder / scenario.name / name

    def missing(self, contender: Contender) -> str:
        """Why a contender does not run here; "" if it does."""
        if self.only and not any(word in contender.name.lower() for word in self.only):
            return "not asked for"
        found = self.peers_found if contender.peer else self.ours_found
        if not found:
            return f"{self.peers if contender.peer else self.ours} is not there"
        if contender.needs and contender.needs not in found:
            return f"{contender.needs} is not installed"
        return ""

    def start(self, verb: str, scenario: Scenario, contender: Contender) -> dict[str, Any] | None:
        """Run one process of a contender and return what it found (None after `prepare`)."""
        folder = self.folder_of(scenario, contender)
        folder.mkdir(parents=True, exist_ok=True)
        found, job = folder.with_suffix(".result.json"), folder.with_suffix(".job.json")
        found.unlink(missing_ok=True)
        job.write_text(json.dumps(self.job(scenario, contender, folder, found)))
        python = self.peers if contender.peer else self.ours
        script = HERE / "contenders" / f"{contender.script}.py"
        self.wait_for([python, str(script), verb, str(job)], contender.timeout_s)
        if verb == "prepare":
            return None
        if not found.exists():
            raise FailedError("no result was written")
        result: dict[str, Any] = json.loads(found.read_text())
        return result

    def job(
        self, scenario: Scenario, contender: Contender, folder: Path, found: Path
    ) -> dict[str, Any]:
        return {
            "data": str(self.data),
            "folder": str(folder),
            "result": str(found),
            "threads": self.threads,
            "sizes": self.sizes,
            "params": contender.params,
            "others": {c.name: str(self.folder_of(scenario, c)) for c in scenario.contenders},
        }

    def wait_for(self, command: list[str], timeout_s: int) -> None:
        threads = str(self.threads)
        environment = os.environ | {
            "POLARS_MAX_THREADS": threads,
            "OMP_NUM_THREADS": threads,
            "ARROW_NUM_THREADS": threads,
        }
        try:
            run = subprocess.run(
                command,
                env=environment,
                capture_output=True,
                text=True,
                timeout=timeout_s,
                cwd=ROOT,
            )
        except subprocess.TimeoutExpired as error:
            raise FailedError(f"no end within {timeout_s} s") from error
        if run.returncode != 0:
            words = run.stderr.strip().splitlines() or [f"ended with {run.returncode}"]
            raise FailedError(words[-1])


def run_scenario(runner: Runner, scenario: Scenario) -> dict[str, Any]:
    """All rounds of a scenario; contenders that fail are left out from there on."""
    reasons = {c.name: runner.missing(c) for c in scenario.contenders}
    rounds: dict[str, list[dict[str, Any]]] = {c.name: [] for c in scenario.contenders}
    for i_round in range(-1, runner.rounds):  # -1: preparation
        for contender in scenario.contenders:
            if reasons[contender.name] or i_round >= contender.max_rounds:
                continue
            try:
                found = runner.start("prepare" if i_round < 0 else "measure", scenario, contender)
            except FailedError as error:
                reasons[contender.name] = str(error)
                say(f"{scenario.name}: {contender.name}: FAILED: {error}")
                continue
            if found is not None:
                rounds[contender.name].append(found)
                say(f"{scenario.name}: {contender.name}: {short(scenario, found['figures'])}")
    return summary(runner, scenario, rounds, reasons)


def summary(
    runner: Runner,
    scenario: Scenario,
    rounds: dict[str, list[dict[str, Any]]],
    reasons: dict[str, str],
) -> dict[str, Any]:
    """Medians, and who agrees with whom, as results.json keeps them."""
    when = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    checks = {name: [r["check"] for r in found if r["check"]] for name, found in rounds.items()}
    return {
        "sizes": runner.sizes,
        "about_run": (
            f"{when}, commit {machine.commit(ROOT) or 'unknown'}, medians of the rounds, "
            f"{runner.threads} threads, load average before the run {runner.load:.1f}, "
            f"`make bench BENCH_ARGS='{scenario.name}'`"
        ),
        "load": runner.load,
        "agree": [name for name, found in checks.items() if found],
        "disagree": disagreement(checks),
        "failed": [
            n for n, why in reasons.items() if why and not runner_lacks(runner, scenario, n)
        ],
        "contenders": {
            name: {"median": median_of(found), "rounds": found, "reason": reasons[name]}
            for name, found in rounds.items()
        },
    }


def runner_lacks(runner: Runner, scenario: Scenario, name: str) -> bool:
    return any(runner.missing(c) for c in scenario.contenders if c.name == name)


def median_of(rounds: list[dict[str, Any]]) -> dict[str, float]:
    if not rounds:
        return {}
    names = rounds[0]["figures"]
    return {n: statistics.median(r["figures"][n] for r in rounds) for n in names}


def disagreement(checks: dict[str, list[dict[str, Any]]]) -> str:
    """Say where two answers differ, or "" if all are one: rows, nulls, sums, order."""
    first: tuple[str, dict[str, Any]] | None = None
    for name, found in checks.items():
        for check in found:
            if first is None:
                first = name, check
            elif check != first[1]:
                keys = [k for k in sorted(first[1] | check) if first[1].get(k) != check.get(k)]
                pairs = ", ".join(f"{k}: {first[1].get(k)} and {check.get(k)}" for k in keys[:3])
                return f"{first[0]} and {name} differ in {len(keys)} of their checks: {pairs}"
    return ""


def short(scenario: Scenario, figures: dict[str, float]) -> str:
    return ", ".join(
        f"{f.title.strip()} {f.write(figures)}" for f in scenario.figures if f.name in figures
    )


def say(line: str) -> None:
    print(f"bench: {line}", flush=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Tiffin and its peers, side by side.")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="default: all")
    parser.add_argument("--list", action="store_true", help="name the scenarios and end")
    parser.add_argument("--render", action="store_true", help="write the page from kept results")
    parser.add_argument("--scale", type=float, default=1.0, help="1 = 10 M source rows")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="WORD", help="contenders; writes no page"
    )
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "bench")
    parser.add_argument("--page", type=Path, help="default: docs/benchmarks.md, at scale 1")
    parser.add_argument("--ours", default=sys.executable, help="Python that has tiffin")
    parser.add_argument("--peers", default=str(ROOT / ".venv-peers" / "bin" / "python"))
    arguments = parser.parse_args()
    unknown = [name for name in arguments.scenarios if name not in SCENARIOS]
    if unknown:
        parser.error(f"no scenario {unknown[0]!r}; there are: {' '.join(SCENARIOS)}")
    if arguments.page is None and arguments.scale == 1 and not arguments.only:
        arguments.page = ROOT / "docs" / "benchmarks.md"
    return arguments


def update(runner: Runner, results: dict[str, Any]) -> None:
    """Put new results beside those of other scenarios."""
    document: dict[str, Any] = {"scenarios": {}}
    if runner.results.exists():
        document = json.loads(runner.results.read_text())
    document["machine"] = machine.describe()
    document["ours"], document["peers"] = runner.ours_found, runner.peers_found
    document["scenarios"] |= results
    runner.results.write_text(json.dumps(document, indent=1) + "\n")


def measure(runner: Runner, names: list[str]) -> list[str]:
    """Run scenarios and keep their results; return what went wrong."""
    runner.make_data(sorted({file for name in names for file in SCENARIOS[name].data}))
    bad: list[str] = []
    for name in names:
        runner.read_data(list(SCENARIOS[name].data))
        results = run_scenario(runner, SCENARIOS[name])
        update(runner, {name: results})
        if results["disagree"]:
            bad.append(f"{name}: {results['disagree']}")
        bad += [f"{name}: {failed} failed" for failed in results["failed"]]
    return bad


def main() -> int:
    arguments = parse_arguments()
    if arguments.list:
        for scenario in SCENARIOS.values():
            names = ", ".join(contender.name for contender in scenario.contenders)
            print(f"{scenario.name}: {scenario.title} ({names})")
        return 0
    runner = Runner(arguments)
    bad = [] if arguments.render else measure(runner, arguments.scenarios or list(SCENARIOS))
    document = json.loads(runner.results.read_text())
    if arguments.page is not None:
        page.write(arguments.page, document)
    else:
        print(page.render(document))
    for sentence in bad:
        say(sentence)
    say(f"command: {shlex.join(sys.argv)}; results: {runner.results}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
