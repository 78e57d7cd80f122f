"""results.json as Markdown, between the markers of a page."""

from math import inf
from pathlib import Path
from typing import Any

from scenarios import SCENARIOS, Claim, Figure, Scenario

QUIET = 1.5  # load average of others, up to which a machine counts as quiet
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


def medians(scenario: Scenario, results: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Median of every figure of every contender that was measured."""
    return {
        contender.name: results["contenders"][contender.name]["median"]
        for contender in scenario.contenders
        if results["contenders"].get(contender.name, {}).get("median")
    }


def claim_value(claim: Claim, figures: dict[str, dict[str, float]]) -> float | None:
    """Return the claim's number; None while one side of it was not measured."""
    others = [figures[name][claim.figure] for name in claim.against if name in figures]
    needed = {claim.of, claim.beyond or claim.of}
    if not needed <= figures.keys() or len(others) < len(claim.against):
        return None
    ours = figures[claim.of][claim.figure] - claim.allowance
    if claim.beyond:
        ours -= figures[claim.beyond][claim.figure]
    return ours / min(others) if others else ours


def claim_row(claim: Claim, figures: dict[str, dict[str, float]]) -> str:
    value = claim_value(claim, figures)
    if value is None:
        return f"| {claim.text} | not measured | | |"
    bounded = claim.bound != inf
    bound = f"{claim.bound:.3g}{claim.unit}" if bounded else "-"
    verdict = ("yes" if value <= claim.bound else "**no**") if bounded else ""
    return f"| {claim.text} | {value:.3g}{claim.unit} | {bound} | {verdict} |"


def spread(figure: Figure, rounds: list[dict[str, Any]]) -> str:
    """Least and greatest of the rounds, so that a reader sees how quiet the machine was."""
    values = [r["figures"][figure.name] for r in rounds if figure.name in r["figures"]]
    if not values:
        return "-"
    return f"{figure.form.format(min(values))} to {figure.form.format(max(values))}"


def contender_row(scenario: Scenario, name: str, results: dict[str, Any]) -> str:
    entry = results["contenders"].get(name, {})
    if not entry.get("median"):
        cells = [f"not measured: {entry.get('reason', 'not run')}"]
        cells += [""] * (len(scenario.figures) + 1)
    else:
        cells = [f.write(entry["median"]) for f in scenario.figures]
        cells.insert(1, spread(scenario.figures[0], entry["rounds"]))
        cells.append(f"{len(entry['rounds'])}{', then failed' if entry['reason'] else ''}")
    return "| " + " | ".join([name, *cells]) + " |"


def busy(results: dict[str, Any]) -> str:
    if results["load"] < QUIET:
        return ""
    return (
        "**The machine was busy with other things**: seconds are too many and their ratios "
        "uncertain; core seconds and memory are sounder."
    )


def agreement(results: dict[str, Any]) -> str:
    names = results["agree"]
    if len(names) < 2:
        return ""
    return f"Same answer, by rows, nulls, sums and order: {', '.join(names)}."


def section(scenario: Scenario, results: dict[str, Any]) -> list[str]:
    """One scenario: what it is, its figures, its claims."""
    figures = medians(scenario, results)
    titles = [f.title.strip() for f in scenario.figures]
    lines = [f"### {scenario.title}", "", scenario.about.format(**results["sizes"]), ""]
    titles.insert(1, "least to greatest")
    lines.append("| " + " | ".join(["", *titles, "rounds"]) + " |")
    lines.append("|---" + "|---:" * (len(titles) + 1) + "|")
    lines += [contender_row(scenario, c.name, results) for c in scenario.contenders]
    if scenario.claims:
        lines += ["", "| claim | found | at most | holds |", "|---|---:|---:|---|"]
        lines += [claim_row(claim, figures) for claim in scenario.claims]
    for sentence in filter(None, (agreement(results), busy(results))):
        lines += ["", sentence]
    lines += ["", f"*{results['about_run']}*", ""]
    return lines


def machine_lines(document: dict[str, Any]) -> list[str]:
    machine = document["machine"]
    lines = [
        f"Machine: {machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, "
        f"{machine['system']}.",
    ]
    for title, found in (("Tiffin's side", document["ours"]), ("Peers", document["peers"])):
        lines.append(f"{title}: {', '.join(f'{k} {v}' for k, v in found.items())}.")
    return lines


def render(document: dict[str, Any], page: str = "") -> str:
    """Scenarios of results.json, in the order of scenarios.py; of the others what `page` says."""
    lines = [*machine_lines(document), ""]
    for name, scenario in SCENARIOS.items():
        if name in document["scenarios"]:
            lines += section(scenario, document["scenarios"][name])
        else:
            lines += old_section(scenario, page)
    return "\n".join(lines).rstrip() + "\n"


def old_section(scenario: Scenario, page: str) -> list[str]:
    """Lines of an earlier run of a scenario; none if there was none."""
    _, _, rest = page.partition(f"\n### {scenario.title}\n")
    return [f"### {scenario.title}", *rest.partition("\n### ")[0].splitlines(), ""] if rest else []


def write(page: Path, document: dict[str, Any]) -> None:
    """Replace what stands between the markers of a page."""
    text = page.read_text(encoding="utf-8")
    head, begin, rest = text.partition(BEGIN)
    old, end, tail = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"bench: {page} lacks the markers {BEGIN} and {END}")
    page.write_text(f"{head}{BEGIN}\n\n{render(document, old)}\n{END}{tail}", encoding="utf-8")
