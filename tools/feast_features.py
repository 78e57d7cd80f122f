#!/usr/bin/env python3
"""Write the table of docs/from-feast.md from docs/feast-features.yaml.

usage: tools/feast_features.py [--check]

--check  write nothing; exit code 1 when the page is not what the list says
"""

import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "docs" / "feast-features.yaml"
PAGE = ROOT / "docs" / "from-feast.md"
BEGIN = "<!-- from docs/feast-features.yaml by tools/feast_features.py -->\n"
END = "<!-- end -->\n"
STATES = {"equal": "equal", "better": "better", "partly": "partly", "no": "not there"}


def read() -> list[dict[str, Any]]:
    """Return the areas of the list, each with its features."""
    areas: list[dict[str, Any]] = yaml.safe_load(LIST.read_text("utf-8"))
    return areas


def table(areas: list[dict[str, Any]]) -> str:
    """Return the list as Markdown."""
    lines = ["| feature | here | |", "|---|---|---|"]
    for area in areas:
        lines.append(f"| **{area['area']}** | | |")
        for item in area["features"]:
            lines.append(f"| {item['feature']} | {STATES[item['state']]} | {item.get('how', '')} |")
    return "\n".join(lines) + "\n"


def page() -> str:
    """Return the page with the table of the list."""
    before, begin, rest = PAGE.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(
            f"feast_features: {PAGE.name} has no place for the table ({BEGIN.strip()})"
        )
    return before + begin + table(read()) + end + after


def main() -> int:
    """Write the page, or check it."""
    wanted = page()
    is_right = PAGE.read_text("utf-8") == wanted
    if "--check" in sys.argv[1:]:
        if not is_right:
            print(f"feast_features: {PAGE.name} is not what the list says; run {sys.argv[0]}")
        return 0 if is_right else 1
    PAGE.write_text(wanted, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
