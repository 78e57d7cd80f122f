"""A `RetrievalJob` as a notebook shows it."""

from collections.abc import Sequence
from html import escape

_MAX_COLUMNS = 200


def job_to_html(state: str | None, columns: Sequence[tuple[str, str]], plan: str) -> str:
    """Return an HTML fragment; all texts are escaped.

    Parameters
    ----------
    state : str or None
        "computed" or "not computed yet"; None = it cannot be planned.
    columns : sequence of (name, type)
    plan : str
        Lines of the explanation, or the sentence of the error.
    """
    title = "cannot be planned" if state is None else state
    parts = [f"<div><strong>RetrievalJob</strong>: {escape(title)}"]
    if columns:
        rows = "".join(
            f"<tr><td style='text-align:left'>{escape(name)}</td>"
            f"<td style='text-align:left'>{escape(kind)}</td></tr>"
            for name, kind in columns[:_MAX_COLUMNS]
        )
        if len(columns) > _MAX_COLUMNS:
            rows += f"<tr><td colspan='2'>and {len(columns) - _MAX_COLUMNS:,} more</td></tr>"
        parts.append(f"<table><tr><th>column</th><th>type</th></tr>{rows}</table>")
    parts.append(f"<pre>{escape(plan)}</pre></div>")
    return "".join(parts)
