"""Reports of the engine (JSON) as text that a person reads."""

import json
from typing import Any


class Report:
    """What the engine says about a piece of work.

    ``str()`` gives text, `to_dict` the figures; single ones are read with ``report["name"]``.

    Parameters
    ----------
    text : str or dict
        The engine's JSON, or what it says.
    """

    __slots__ = ("_content",)

    def __init__(self, text: str | dict[str, Any]) -> None:
        self._content: Any = json.loads(text) if isinstance(text, str) else text

    def to_dict(self) -> Any:
        """Return the figures, as JSON types: a new copy."""
        return json.loads(json.dumps(self._content))

    def __getitem__(self, name: str) -> Any:
        return self._content[name]

    def __contains__(self, name: object) -> bool:
        return name in self._content

    def __str__(self) -> str:
        return "\n".join(document_lines(self._content))

    def __repr__(self) -> str:
        return f"{type(self).__name__}:\n{self}"


def document_lines(value: Any) -> list[str]:
    """Return JSON types as indented lines that a person reads."""
    return _lines(value, "")


def _lines(value: Any, indent: str) -> list[str]:
    if isinstance(value, dict):
        return _dict_lines(value, indent)
    if isinstance(value, list):
        lines: list[str] = []
        for item in value:
            if isinstance(item, dict | list):
                inner = _lines(item, indent + "  ")
                inner[:1] = [f"{indent}- {inner[0].strip()}"] if inner else []
                lines += inner
            else:
                lines.append(f"{indent}- {scalar(item)}")
        return lines
    return [f"{indent}{scalar(value)}"]


def _dict_lines(value: dict[str, Any], indent: str) -> list[str]:
    lines = []
    width = max((len(k) for k, v in value.items() if not _is_block(v)), default=0)
    for key, item in value.items():
        label = key.replace("_", " ")
        if _is_block(item):
            lines.append(f"{indent}{label}:")
            lines += _lines(item, indent + "  ")
        elif isinstance(item, str) and "\n" in item:
            lines.append(f"{indent}{label}:")
            lines += [f"{indent}  {line}" for line in item.splitlines()]
        elif isinstance(item, list):
            lines.append(f"{indent}{label:<{width}}  {', '.join(scalar(i) for i in item) or '-'}")
        else:
            lines.append(f"{indent}{label:<{width}}  {scalar(item, key)}")
    return lines


def _is_block(value: Any) -> bool:
    if isinstance(value, dict):
        return bool(value)
    return isinstance(value, list) and any(isinstance(i, dict | list) for i in value)


def bytes_text(value: int) -> str:
    """Return a size as a person says it."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= size:
            return f"{value / size:,.1f} {unit}"
    return f"{value:,} bytes"


def scalar(value: Any, key: str = "") -> str:
    """One figure as text: grouped digits, units for large sizes, - for nothing."""
    if value is None or value == "" or value == {} or value == []:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        if "bytes" in key and abs(value) >= 100_000:
            return bytes_text(value)
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return f"{value:,.3f}"
    return str(value)
