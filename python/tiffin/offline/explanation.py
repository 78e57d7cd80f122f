"""How a training set would be made, or was made: the engine's report as text for people."""

from typing import Any

from tiffin.report import Report, scalar

_REASONS = (
    ("no_entity_row_has_this_key", "of keys that no entity row has"),
    ("after_the_last_entity_row", "after the last entity row of their key"),
    ("expired", "expired"),
    ("not_known_yet", "not known yet"),
    ("null_key", "without a key"),
    ("null_time", "without a time"),
    ("infinite_time", "with an infinite time"),
)


class Explanation(Report):
    """How a training set would be made, or was made: `str` for people, `to_dict` for programs."""

    __slots__ = ()

    def __str__(self) -> str:
        report: dict[str, Any] = self._content
        lines: list[str] = []
        for view in report["views"]:
            lines += _plan_lines(view["view"], view["plan"])
            lines += _run_lines(view) if report["ran"] else []
        verb = "made in" if report["ran"] else "planned in"
        lines.append(f"{report['rows']:,} rows, {verb} {report['seconds']:.3f} s")
        return "\n".join(lines)


def _bytes(value: int) -> str:
    return f"{value / 1e6:,.1f} MB" if value >= 100_000 else f"{value:,} bytes"


def _plan_lines(name: str, plan: dict[str, Any]) -> list[str]:
    slots = f"{plan['groups']:,} keys, {plan['slots']:,} slots"
    memory = sum(v for v in plan["memory"].values() if isinstance(v, int))
    lines = [
        f"{name}: {plan['form']} join with {plan.get('source', '')}",
        f"  entity rows  {plan['rows']:,} ({slots}); memory about {_bytes(memory)}",
    ]
    for scan in plan["scans"]:
        files = f"{scalar(scan.get('files'))} files, {scalar(scan.get('rows'))} rows"
        lines.append(f"  reads        {', '.join(scan.get('columns', []))}")
        lines.append(f"    from       {files} ({scan.get('reader', 'memory')})")
        if scan.get("predicate"):
            lines.append(f"    where      {scan['predicate']}")
        if "row_groups_to_read" in scan:
            lines.append(
                f"    row groups {scan['row_groups_to_read']} of {scan['row_groups']}, "
                f"{scan.get('rows_to_read', 0):,} rows"
            )
        if scan.get("may_lose_nanoseconds"):
            lines.append("    note       this DuckDB cuts nanoseconds with a zone to microseconds")
    return lines


def _run_lines(view: dict[str, Any]) -> list[str]:
    rows, spine, seconds = view["source_rows"], view["entity_rows"], view["seconds"]
    dropped = [f"{rows[key]:,} {words}" for key, words in _REASONS if rows.get(key)]
    used = sum(view["bytes_used"].values())
    steps = ", ".join(f"{name} {value:.3f}" for name, value in seconds.items())
    lines = [
        f"  rows read    {rows['read']:,}, of which {rows['eligible']:,} could be seen"
        + (f"; {', '.join(dropped)}" if dropped else ""),
        f"  matched      {spine['matched']:,} of {spine['rows']:,} entity rows, "
        f"{spine['winners']:,} winners",
        f"  memory       {_bytes(used)}",
        f"  seconds      {steps}",
    ]
    if rows.get("saturated_time"):
        lines.append(f"  saturated    {rows['saturated_time']:,} times out of range")
    return lines
