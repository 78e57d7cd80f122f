"""What an apply changes: the answer of plan and apply, for people and programs."""

import json
from typing import Any

from tiffin.registry.definition import kind_words

_SIGNS = {"add": "+", "change": "~", "remove": "-"}
_UNITS = (
    ("day", 86_400_000_000),
    ("hour", 3_600_000_000),
    ("minute", 60_000_000),
    ("second", 1_000_000),
)


class Plan:
    """What an apply would change, and what it would refuse.

    Attributes
    ----------
    base_commit : int
        State of the registry that it was compared with.
    changes : list of dict
        ``{"action": "add"|"change"|"remove", "kind", "name", "inferred": [...],
        "fields": [{"field", "old", "new"}]}``
    refused : list of dict
        ``{"kind", "name", "code", "reason"}``
    """

    def __init__(self, text: str) -> None:
        self._content: dict[str, Any] = json.loads(text)
        self.base_commit: int = self._content.get("base_commit", -1)
        self.changes: list[dict[str, Any]] = self._content.get("changes", [])
        self.refused: list[dict[str, Any]] = self._content.get("refused", [])

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as JSON types: a new copy."""
        copy: dict[str, Any] = json.loads(json.dumps(self._content))
        return copy

    def __bool__(self) -> bool:
        """Whether anything changes or is refused."""
        return bool(self.changes or self.refused)

    def __str__(self) -> str:
        lines: list[str] = []
        refused = {(item.get("kind"), item.get("name")) for item in self.refused}
        for change in self.changes:
            if (change["kind"], change["name"]) not in refused:
                lines += change_lines(change)
        for item in self.refused:
            words = kind_words(str(item.get("kind", "")))
            lines.append(f"! {words} {item.get('name', '')} is refused: {item.get('reason', '')}")
        return "\n".join(lines) or "nothing to change"

    def __repr__(self) -> str:
        return f"{type(self).__name__}:\n{self}"


class ApplyResult(Plan):
    """What an apply changed.

    Attributes
    ----------
    commit : int
        State of the registry afterwards; the former one when nothing changed.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.commit: int = self._content.get("commit", self.base_commit)

    def __str__(self) -> str:
        body = super().__str__()
        return f"{body}\ncommit {self.commit}" if self.changes else body


def change_lines(change: dict[str, Any]) -> list[str]:
    """Return one change as lines: ``+ kind name``, and its fields below."""
    words = kind_words(str(change["kind"]))
    lines = [f"{_SIGNS.get(change['action'], '?')} {words} {change['name']}"]
    if change.get("inferred"):
        lines.append(f"    inferred: {', '.join(_inferred(i) for i in change['inferred'])}")
    if change["action"] == "change":
        for field in change.get("fields", []):
            if field.get("field") == "function.source":
                lines += _source_lines(field.get("old") or "", field.get("new") or "")
            elif field.get("field") != "function.hash":  # which the source explains
                lines.append(_field_line(field))
    return lines


def _source_lines(old: str, new: str) -> list[str]:
    """Return what changed in a function's source, line by line."""
    import difflib

    changed = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=1)
    return ["    ~ function:", *(f"        {line}" for line in list(changed)[3:])]


def _inferred(item: Any) -> str:
    if isinstance(item, dict):
        return f"{item.get('name')} {item.get('dtype', '')}".rstrip()
    return str(item)


def _field_line(field: dict[str, Any]) -> str:
    name, old, new = field.get("field"), field.get("old"), field.get("new")
    is_ttl = name == "ttl_us"
    label = "ttl" if is_ttl else name
    if old is None:
        return f"    + {label}: {_show(new, is_ttl)}"
    if new is None:
        return f"    - {label}: {_show(old, is_ttl)}"
    return f"    ~ {label}: {_show(old, is_ttl)} -> {_show(new, is_ttl)}"


def _show(value: Any, is_ttl: bool) -> str:
    if is_ttl and isinstance(value, int):
        return _duration(value)
    if isinstance(value, str):
        return value or '""'
    return json.dumps(value, ensure_ascii=False)


def _duration(microseconds: int) -> str:
    """Return a ttl in the largest unit that divides it."""
    if microseconds == 0:
        return "unbounded"
    for name, size in _UNITS:
        if microseconds % size == 0:
            count = microseconds // size
            return f"{count:,} {name}" + ("s" if count != 1 else "")
    return f"{microseconds:,} microseconds"
