"""The slow twin of the online store, for histories through Python: dicts, and the rules one by one.

The rules are docs/semantics/write-rule.md and docs/semantics/generations.md, each as simply as it
can be said. Times are minutes, and there are no created times. Nothing here is ever made faster.
"""

import copy
from typing import NamedTuple


class Row(NamedTuple):
    """A row of a view: its features are one number."""

    key: int
    minute: int
    number: int


class View:
    """What one view has online, and had before its last large load."""

    def __init__(self) -> None:
        self.is_known = False  # something was loaded or pushed
        self.live: dict[int, Row] = {}
        self.previous: dict[int, Row] | None = None
        self.changes: list[Row | int] = []  # since `previous` was live: pushed rows, deleted keys
        self.end: int | None = None  # the watermark
        self.previous_end: int | None = None

    def push(self, rows: list[Row]) -> None:
        self.is_known = True
        for row in rows:
            put(self.live, row)
        self.changes += rows

    def delete(self, keys: list[int]) -> None:
        for key in keys:
            self.live.pop(key, None)
        self.changes += keys

    def load(self, rows: list[Row], end: int) -> None:
        """Take the newest row of each key of a source; of equal times the later one."""
        newest: dict[int, Row] = {}
        for row in rows:
            put(newest, row)
        after = dict(self.live)
        for row in newest.values():
            put(after, row)
        is_small = 10 * len(newest) < len(self.live)
        if not is_small and after != self.live and self.is_known:
            self.previous, self.changes = self.live, []
            self.previous_end = self.end
        self.is_known = True
        self.live = after
        self.end = end if self.end is None else max(self.end, end)

    def materialize(self, source: list[Row], end: int) -> None:
        self.load([row for row in source if row.minute <= end], end)

    def materialize_incremental(self, source: list[Row], end: int) -> None:
        start = self.end if self.end is not None else end - 24 * 60
        self.load([row for row in source if start <= row.minute <= end], end)

    def rollback(self) -> None:
        """Go back, with what was pushed and deleted since; without a previous, do nothing."""
        if self.previous is None:
            return
        rows = dict(self.previous)
        for change in self.changes:
            if isinstance(change, Row):
                put(rows, change)
            else:
                rows.pop(change, None)
        self.live, self.previous, self.changes = rows, self.live, []
        self.end, self.previous_end = self.previous_end, self.end

    def numbers(self, n_keys: int) -> list[int | None]:
        return [self.live[key].number if key in self.live else None for key in range(n_keys)]


def put(rows: dict[int, Row], row: Row) -> None:
    """Apply the write rule to one row."""
    if row.key not in rows or row.minute >= rows[row.key].minute:
        rows[row.key] = row


class OnlineTwin:
    """All views; of each, every state that it may be in: two after a kill that left no trace."""

    def __init__(self, views: list[str]) -> None:
        self.views = {name: [View()] for name in views}
        self.source: list[Row] = []

    def do(self, operation: list) -> None:
        """Do what history_child.py does for the same operation."""
        verb, *arguments = operation
        if verb == "write_offline":
            self.source += [Row(*row) for row in arguments[0]]
            return
        for name in views_of(operation, list(self.views)):
            for view in self.views[name]:
                if verb in ("push", "write"):
                    view.push([Row(*row) for row in arguments[-1]])
                elif verb == "delete":
                    view.delete(arguments[-1])
                elif verb == "rollback":
                    view.rollback()
                else:
                    getattr(view, verb)(self.source, arguments[-1])

    def maybe_do(self, operation: list) -> None:
        """Do it or not, for each view: its process was killed meanwhile."""
        before = {name: copy.deepcopy(views) for name, views in self.views.items()}
        self.do(operation)
        for name in self.views:
            self.views[name] += before[name]

    def observe(self, name: str, numbers: list[int | None]) -> bool:
        """Keep the states of a view that show these numbers. False: there are none."""
        views = self.views[name]
        self.views[name] = [view for view in views if view.numbers(len(numbers)) == numbers]
        return bool(self.views[name])


def views_of(operation: list, views: list[str]) -> list[str]:
    """Return the views that an operation changes."""
    return [operation[1]] if operation[0] in ("write", "delete", "rollback") else views
