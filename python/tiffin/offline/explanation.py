"""How a training set would be made, or was made: the engine's report as text for people.

The figures and their names are docs/formats/explain.md.
"""

import datetime
import json
from collections.abc import Iterator
from typing import Any

from tiffin.errors import warn
from tiffin.report import Report, bytes_text, scalar

_REASONS = (
    ("no_entity_row_has_this_key", "of keys that no entity row has"),
    ("after_the_last_entity_row", "after the last entity row of their key"),
    ("expired", "expired"),
    ("not_known_yet", "not known yet"),
    ("null_key", "without a key"),
    ("null_time", "without a time"),
    ("infinite_time", "with an infinite time"),
)
# What has a line of its own; other members of a plan are shown as they are.
_PLAN_SHOWN = {
    "view", "source", "rule", "form", "why", "passes", "rows", "groups", "slots", "memory", "scans",
}  # fmt: skip
_ROOT_SHOWN = {"views", "rows", "ran", "seconds", "warnings", "memory", "time_column"}
_WIDTH = 14


class Explanation(Report):
    """How a training set would be made, or was made: `str` for people, `to_dict` for programs."""

    __slots__ = ()

    @property
    def warnings(self) -> list[dict[str, Any]]:
        """What should be known about it: ``{code, view, severe, sentence, counts}`` each."""
        found: list[dict[str, Any]] = self.to_dict().get("warnings", [])
        return found

    def to_json(self, indent: int | None = None) -> str:
        """Return the figures as JSON text."""
        return json.dumps(self._content, indent=indent, ensure_ascii=False)

    def __str__(self) -> str:
        report: dict[str, Any] = self._content
        lines: list[str] = []
        for view in report["views"]:
            lines += _plan_lines(view["view"], view["plan"])
            lines += _run_lines(view) if report["ran"] else []
        lines += _memory_lines(report["memory"]) if "memory" in report else []
        lines += [_line(name, text) for name, text in _others(report, _ROOT_SHOWN)]
        lines += [f"warning: {w['sentence']}" for w in report.get("warnings", [])]
        verb = "made in" if report["ran"] else "planned in"
        by = f" by {report['time_column']}" if "time_column" in report else ""
        lines.append(f"{_counted(report['rows'], 'row')}{by}, {verb} {report['seconds']:.3f} s")
        return "\n".join(lines)


def say_severe(report: str) -> None:
    """Issue the severe warnings of a report as Python's, at the caller's line.

    Parameters
    ----------
    report : str
        The engine's JSON.
    """
    for warning in json.loads(report).get("warnings", []):
        if warning["severe"]:
            warn(warning["sentence"])


def _line(name: str, text: str) -> str:
    return f"  {name:<{_WIDTH - 1}} {text}".rstrip()


def _others(members: dict[str, Any], shown: set[str]) -> Iterator[tuple[str, str]]:
    """Members that this release of the text knows nothing of."""
    for key, value in members.items():
        if key not in shown:
            text = (
                ", ".join(f"{k.replace('_', ' ')} {scalar(v, k)}" for k, v in value.items())
                if isinstance(value, dict)
                else scalar(value, key)
            )
            yield key.replace("_", " "), text


def _counted(n: int, noun: str) -> str:
    """Return a number with its noun: ``"1 row"``, ``"1,200 rows"``."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _ttl_text(us: int) -> str:
    if us == 0:
        return "no ttl"
    for unit, size in (("d", 86_400_000_000), ("h", 3_600_000_000), ("min", 60_000_000)):
        if us % size == 0:
            return f"ttl {us // size} {unit}"
    return f"ttl {us / 1e6:,.6f}".rstrip("0").rstrip(".") + " s"


def _time_text(us: int) -> str:
    try:
        time = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=us)
    except OverflowError:
        return f"{us / 1e6:,.0f} s from 1970"
    return time.isoformat(" ", "seconds")


def _memory_lines(memory: dict[str, Any]) -> list[str]:
    limit = bytes_text(memory["limit_bytes"]) if memory["limit_bytes"] else "none"
    reader = memory["reader_bytes"]
    needed = bytes_text(memory["needed_bytes"] - reader)
    lines = [
        f"memory limit {limit}; all rows at once need about {needed}, and DuckDB up to "
        f"{bytes_text(reader)}"
    ]
    if memory["strategy"] != "whole":
        done = memory["parts_done"]
        n_parts = _counted(len(done) or memory["parts"], "part")
        parts = n_parts if done else f"about {n_parts}"
        lines.append(f"  {parts} {memory['strategy']}: {memory['why']}")
    if memory["spool_bytes"]:
        lines.append(_line("spool", f"a temporary file of {bytes_text(memory['spool_bytes'])}"))
    return lines


def _plan_lines(name: str, plan: dict[str, Any]) -> list[str]:
    rule = plan.get("rule", {})
    rules = [_ttl_text(rule.get("ttl_us", 0))]
    rules += ["created by then"] if rule.get("filter_by_created") else []
    rules += [f"known at {rule['known_at']}"] if "known_at" in rule else []
    memory = {k: v for k, v in plan["memory"].items() if isinstance(v, int)}
    per_key = plan["slots"] / plan["groups"] if plan["groups"] else 0
    parts = ", ".join(f"{k.removesuffix('_max')} {bytes_text(v)}" for k, v in memory.items())
    lines = [
        f"{name}: {plan['form']} join with {plan.get('source', '')}",
        _line("why", plan.get("why", "")),
        _line("rule", ", ".join(rules)),
        _line(
            "entity rows",
            f"{plan['rows']:,}; {_counted(plan['groups'], 'key')}, "
            f"{_counted(plan['slots'], 'slot')} "
            f"({per_key:,.1f} per key)",
        ),
        _line("memory", f"about {bytes_text(sum(memory.values()))}: {parts}"),
    ]
    lines += [_line(key, text) for key, text in _others(plan, _PLAN_SHOWN)]
    for i, scan in enumerate(plan["scans"]):
        lines += _scan_lines(i, scan)
    return lines


def _scan_lines(i: int, scan: dict[str, Any]) -> list[str]:
    files, rows = scan.get("files"), scan.get("rows")
    held = f"{scalar(files)} file{'' if files == 1 else 's'}"
    held += f", {_counted(rows, 'row')}" if isinstance(rows, int) and rows >= 0 else ""
    if "bytes" in scan:
        held += f", {bytes_text(scan['bytes'])}"
    if "first_time_us" in scan:
        times = (_time_text(scan[key]) for key in ("first_time_us", "last_time_us"))
        held += f", {' to '.join(times)}"
    columns = scan.get("columns", [])
    lines = [
        _line(f"pass {i + 1}", ", ".join(columns[:12]) + (", ..." if len(columns) > 12 else "")),
        _line("  of", f"{held} ({scan.get('reader', 'memory')})"),
    ]
    if scan.get("predicate"):
        lines.append(_line("  where", scan["predicate"]))
    if "row_groups_to_read" in scan:
        kept, groups = scan["row_groups_to_read"], scan["row_groups"]
        most = "at most " if i > 0 else ""
        text = f"{most}{kept:,} of {_counted(groups, 'row group')} ({groups - kept:,} pruned), "
        text += f"{_counted(scan.get('rows_to_read', 0), 'row')}, "
        text += bytes_text(scan.get("bytes_to_read", 0))
        lines.append(_line("  reads", text))
    if scan.get("may_lose_nanoseconds"):
        lines.append(_line("  note", "this DuckDB cuts nanoseconds with a zone to microseconds"))
    return lines


def _run_lines(view: dict[str, Any]) -> list[str]:
    rows, spine = view["source_rows"], view["entity_rows"]
    dropped = [f"{rows[key]:,} {words}" for key, words in _REASONS if rows.get(key)]
    lines = [
        _line(
            "rows read",
            f"{rows['read']:,}, of which {rows['eligible']:,} could be seen"
            + (f"; {', '.join(dropped)}" if dropped else ""),
        ),
        _line(
            "matched",
            f"{spine['matched']:,} of {_counted(spine['rows'], 'entity row')}, "
            f"{_counted(spine['winners'], 'winner')}",
        ),
    ]
    if rows.get("saturated_time"):
        lines.append(_line("saturated", f"{rows['saturated_time']:,} times out of range"))
    return lines + _step_lines(view)


def _step_lines(view: dict[str, Any]) -> list[str]:
    """One line per step: seconds, rows, bytes of the files, memory."""
    scans, used = view["scans_done"], view["bytes_used"]
    done = {"scan": scans[0], "values": scans[1] if len(scans) > 1 else {}}
    memory = {
        "scan": used["index"] + used["slots"],
        "values": used["values"],
        "output": view["plan"]["memory"].get("output"),
    }
    lines = [f"  {'step':<{_WIDTH}}{'seconds':>9}{'rows':>15}{'bytes':>13}{'memory':>13}"]
    for name, seconds in view["seconds"].items():
        scan = done.get(name, {})
        n_rows = f"{scan['rows']:,}" if "rows" in scan else "-"
        n_bytes = bytes_text(scan["bytes_at_most"]) if "bytes_at_most" in scan else "-"
        held = memory.get(name)
        lines.append(
            f"  {name:<{_WIDTH}}{seconds:>9.3f}{n_rows:>15}{n_bytes:>13}"
            f"{'-' if held is None else bytes_text(held):>13}"
        )
    return lines
