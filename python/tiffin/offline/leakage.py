"""Does a training set know too much? The checks, their figures, and what they say.

The engine finds rows whose values were written too late, or that hang on a tie. The rest compares
whole columns, by DuckDB: a training set that was finished elsewhere with what the store says, the
training set with itself a microsecond earlier, and features with the label. The rules are
docs/semantics/training-warnings.md.
"""

import json
import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tiffin.column.plain import table_to_plain
from tiffin.errors import SchemaError
from tiffin.offline.comparable import as_sql_reads, comparable, is_number, shift_earlier
from tiffin.offline.frame_sql import scratch_path
from tiffin.offline.frames import Frame
from tiffin.offline.interrupts import interruptible
from tiffin.report import Report

if TYPE_CHECKING:
    from tiffin.offline.question import Question

_SHARE = 0.999
_AUC = 0.999
_MIN_DISTINCT = 10
_MIN_ROWS = 10
_SAMPLE_ROWS = 20_000
_SAMPLE_SHARE = 0.99
_EXAMPLES = 5

# Rows in which both have a value, and of these the rows of pairs that are each other's most
# frequent partner, with the numbers of distinct values and of such pairs.
_ONE_TO_ONE = """
with pairs as (
    select f, y, count(*) as n from {rows} where f is not null and y is not null group by f, y
),
ranked as (
    select
        *,
        row_number() over (partition by f order by n desc, y) as place_of_y,
        row_number() over (partition by y order by n desc, f) as place_of_f
    from pairs
)
select
    coalesce(sum(n), 0)::bigint,
    coalesce(sum(n) filter (place_of_y = 1 and place_of_f = 1), 0)::bigint,
    count(distinct f),
    count(distinct y),
    count(*) filter (place_of_y = 1 and place_of_f = 1)
from ranked
"""

# Correlation of ranks; values that are equal share the mean of their ranks.
_RANK_CORRELATION = """
with ranked as (
    select
        rank() over (order by f) + (count(*) over (partition by f) - 1) / 2.0 as f,
        rank() over (order by y) + (count(*) over (partition by y) - 1) / 2.0 as y
    from {rows} where f is not null and y is not null
)
select coalesce(corr(f, y), 0) from ranked
"""

# AUC from counts per value: each pair of a row of either class counts one if the upper class has
# the greater value, and a half if both have the same.
_AUC_OF = """
with counts as (
    select f, count(*) filter (y = {high}) as n_high, count(*) filter (y = {low}) as n_low
    from {rows} where f is not null and y is not null group by f
),
summed as (
    select *, coalesce(sum(n_low) over (
        order by f rows between unbounded preceding and 1 preceding
    ), 0) as n_below
    from counts
)
select
    coalesce(sum(n_high), 0)::bigint,
    coalesce(sum(n_low), 0)::bigint,
    coalesce(sum(n_high * (n_below + n_low / 2.0)), 0)::double
from summed
"""

# Values of the label, as far as a third: how many, and the first and last as texts with their type.
_CLASSES = """
with classes as (
    select distinct y from all_rows where f is not null and y is not null limit 3
)
select count(*), min(y)::varchar, max(y)::varchar, any_value(typeof(y)) from classes
"""

_DIFFERENT = """
select count(*), min(row, {n}) from {rows} where f is distinct from y
"""


class LeakageReport(Report):
    """What a check for leaks found; `print` it, or read `findings`."""

    __slots__ = ()

    @property
    def findings(self) -> list[dict[str, Any]]:
        """``{code, view, feature, sentence, counts, examples}`` each; empty if all is well."""
        found: list[dict[str, Any]] = self.to_dict()["findings"]
        return found

    def to_json(self, indent: int | None = None) -> str:
        """Return the report as JSON text."""
        return json.dumps(self._content, indent=indent, ensure_ascii=False, allow_nan=False)

    def __str__(self) -> str:
        report = self._content
        lines = []
        for finding in report["findings"]:
            lines.append(f"{finding['code']}: {finding['sentence']}")
            lines += [f"  e.g. {_example_text(example)}" for example in finding["examples"]]
        n = len(report["findings"])
        verdict = "no leak found" if n == 0 else f"{n} finding{'' if n == 1 else 's'}"
        labels = ", ".join(report["labels"]) or "none"
        lines.append(
            f"{verdict} in {report['rows']:,} rows x {len(report['features'])} features "
            f"(labels: {labels})"
        )
        if report["not_in_table"]:
            names = ", ".join(report["not_in_table"])
            lines.append(f"not in the training set, so not compared: {names}")
        return "\n".join(lines)


def _example_text(example: dict[str, Any]) -> str:
    return ", ".join(
        ", ".join(f"{k}={v}" for k, v in value.items()) if name == "keys" else f"{name} {value}"
        for name, value in example.items()
    )


@dataclass(frozen=True)
class Pair:
    """A feature and a label of one training set.

    Attributes
    ----------
    view, name : str
        The feature's.
    feature : pyarrow.ChunkedArray
    column : str
        Name of the label.
    label : pyarrow.ChunkedArray
    """

    view: str
    name: str
    feature: Any
    column: str
    label: Any

    @property
    def both_are_numbers(self) -> bool:
        """Whether their values can be ranked and compared."""
        return is_number(self.feature.type) and is_number(self.label.type)


def check(
    question: "Question",
    table: Any,
    entity_columns: Sequence[str] | None,
    label: str | Sequence[str] | None,
    progress: Callable[[str, int, int], Any] | None,
) -> LeakageReport:
    """Check a training set for what it may not know.

    Parameters
    ----------
    question : Question
    table : pyarrow.Table
        Entity rows alone, or with features.
    entity_columns : sequence of str or None
        Which columns are the entity rows', where all else are features as the store says. None: not
        known; those that are called like features are compared with it.
    label : str, sequence of str or None
        Columns that are predicted; None: all that are neither features, keys, request
        data nor the time.
    progress : callable or None

    Returns
    -------
    LeakageReport

    Raises
    ------
    SchemaError
        A label that is no column; a feature of the finished set that holds another type, or is
        called as with the other `full_feature_names`.
    """
    table = table_to_plain(table)
    is_complete = entity_columns is not None
    spine = table.select(entity_columns) if is_complete else table
    rows = question.check_rows(spine, progress)
    views = {output["name"]: output["view"] for output in rows["outputs"]}
    missing = []
    if is_complete:
        known = table
    else:
        spine = table.select([name for name in table.column_names if name not in views])
        known = _ask(question, spine, progress)
        is_finished = table.num_columns > spine.num_columns
        _refuse_other_names(views, table.column_names, is_finished)
        missing = [name for name in views if name not in table.column_names and is_finished]
        is_complete = not is_finished
        table = table if is_finished else known
    labels = _labels(label, table.column_names, views, rows)
    earlier, step = known, ""
    if rows["time_column"] is not None:  # request data alone has no time to hang on
        shifted, step = shift_earlier(spine, rows["time_column"])
        earlier = _ask(question, shifted, progress)
    features = [name for name in views if name in table.column_names and name not in labels]
    with closing(_Look(table, rows["keys"], question.memory_limit_bytes)) as look:
        findings = [f for view in rows["views"] for f in look.created_later(view)]
        for name in features:
            if not is_complete:
                findings += look.not_as_of(views[name], name, table[name], known[name])
            findings += look.changes_at_ties(views[name], name, known[name], earlier[name], step)
            for column in labels:
                pair = Pair(views[name], name, table[name], column, table[column])
                findings += look.gives_away(pair)
    content = {
        "rows": rows["rows"],
        "time_column": rows["time_column"],
        "keys": rows["keys"],
        "features": features,
        "not_in_table": missing,
        "labels": labels,
        "views": rows["views"],
        "findings": _without_nan(findings),
    }
    return LeakageReport(json.dumps(content, default=_json_value, allow_nan=False))


def _without_nan(value: Any) -> Any:
    """Return what JSON can say: null for NaN, texts for infinities."""
    if isinstance(value, dict):
        return {name: _without_nan(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_nan(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def _json_value(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _labels(
    label: str | Sequence[str] | None,
    names: Sequence[str],
    views: dict[str, str],
    rows: dict[str, Any],
) -> list[str]:
    if label is None:
        passed = {*views, *rows["keys"], *rows.get("requests", ()), rows["time_column"]}
        return [name for name in names if name not in passed]
    wanted = [label] if isinstance(label, str) else list(label)
    for name in wanted:
        if name not in names:
            raise SchemaError(
                f"label {name!r} is no column of the training set; it has {', '.join(names)}"
            )
    return wanted


def _ask(question: "Question", spine: Any, progress: Any) -> Any:
    import pyarrow as pa

    stream, _ = question.ask(Frame(spine, spine.column_names, "training_set", None, None), progress)
    return table_to_plain(pa.RecordBatchReader.from_stream(stream).read_all())


def _refuse_other_names(views: dict[str, str], names: Sequence[str], is_finished: bool) -> None:
    """Refuse features that are called as with the other ``full_feature_names``.

    A column of entity rows may be called like a feature; that is what the full names are for.
    """
    for name, view in views.items():
        prefix = f"{view}__"
        is_full = name.startswith(prefix)
        other = name.removeprefix(prefix) if is_full else prefix + name
        if name not in names and other in names and (is_finished or not is_full):
            raise SchemaError(
                f"the training set has a column {other!r}, and the feature would be called "
                f"{name!r}; pass full_feature_names={not is_full}"
            )


class _Look:
    """Looks at pairs of columns of one training set.

    Parameters
    ----------
    shown : pyarrow.Table
        Has the keys, for examples.
    keys : list of str
    memory_limit_bytes : int
        Of the comparisons; 0 = DuckDB's default.
    """

    def __init__(self, shown: Any, keys: list[str], memory_limit_bytes: int = 0) -> None:
        import duckdb

        self._shown = shown
        self._keys = keys
        self._db = duckdb.connect(":memory:", config={"temp_directory": scratch_path()})
        self._db.execute("set TimeZone = 'UTC'")
        self._db.execute("set enable_progress_bar = false")
        if memory_limit_bytes > 0:
            self._db.execute(f"set memory_limit = '{memory_limit_bytes}B'")
        self._numbers = self._count(len(shown), 1)
        # Evenly spaced rows are enough to see that two columns have nothing to do with each other.
        self._chosen = self._count(len(shown), len(shown) // _SAMPLE_ROWS + 1)

    def close(self) -> None:
        """End the database."""
        self._db.close()

    def _example(self, i_row: int, **members: Any) -> dict[str, Any]:
        keys = {name: self._shown[name][i_row].as_py() for name in self._keys}
        return {"row": i_row, "keys": keys, **members} if keys else {"row": i_row, **members}

    # ---- rows

    def created_later(self, view: dict[str, Any]) -> list[dict[str, Any]]:
        """Rows whose values were written after the entity's time, as the engine counted them."""
        found, matched = view["created_later"], view["rows_matched"]
        if found["rows"] == 0:
            return []
        share = found["rows"] / matched
        sentence = (
            f"view {view['view']!r}: {found['rows']:,} of {matched:,} rows with a value "
            f"({share:.1%}) use one that was created after the entity's time, so it was not there "
            "to be served"
        )
        examples = [
            self._example(e["row"], **{k: v for k, v in e.items() if k != "row"})
            for e in found["examples"]
        ]
        counts = {"rows_created_later": found["rows"], "rows_matched": matched, "share": share}
        return [_finding("created_later", view["view"], None, sentence, counts, examples)]

    def _different(self, left: Any, right: Any) -> tuple[int, list[int]]:
        self._register("all_rows", left, right, self._numbers)
        n, first = self._row(_DIFFERENT.format(rows="all_rows", n=_EXAMPLES))
        return n, first or []

    def not_as_of(self, view: str, name: str, theirs: Any, known: Any) -> list[dict[str, Any]]:
        """Values of a finished training set that are not those of the store at that time."""
        n, first = self._different(*comparable(theirs, known, name))
        if n == 0:
            return []
        share = n / len(known)
        sentence = (
            f"feature {name!r} of view {view!r} differs in {n:,} of {len(known):,} rows "
            f"({share:.1%}) from what was known at the entity's time"
        )
        examples = [self._example(i, here=theirs[i].as_py(), known=known[i].as_py()) for i in first]
        counts = {"rows_different": n, "rows": len(known), "share": share}
        return [_finding("not_as_of", view, name, sentence, counts, examples)]

    def changes_at_ties(
        self, view: str, name: str, at: Any, earlier: Any, step: str
    ) -> list[dict[str, Any]]:
        """Values that are others, or gone, if the entity rows are asked a step earlier."""
        n, first = self._different(at, earlier)
        if n == 0:
            return []
        share = n / len(at)
        sentence = (
            f"feature {name!r} of view {view!r} changes in {n:,} of {len(at):,} rows ({share:.1%}) "
            f"if they are asked {step} earlier: the source has rows at the entity's very "
            "time, and they must not tell of what happens then"
        )
        examples = [self._example(i, at=at[i].as_py(), earlier=earlier[i].as_py()) for i in first]
        counts = {"rows_different": n, "rows": len(at), "share": share}
        return [_finding("changes_at_ties", view, name, sentence, counts, examples)]

    # ---- a feature and a label

    def gives_away(self, pair: "Pair") -> list[dict[str, Any]]:
        """Find out whether a feature is one to one with a label, or predicts it alone."""
        if _is_nested(pair.feature.type) or _is_nested(pair.label.type):
            return []
        chosen = self._chosen
        self._register("all_rows", pair.feature, pair.label, self._numbers)
        self._register("sample", pair.feature.take(chosen), pair.label.take(chosen), chosen)
        predicts = self._predicts(pair) if is_number(pair.feature.type) else []
        return [*self._one_to_one(pair), *predicts]

    def _one_to_one(self, pair: "Pair") -> list[dict[str, Any]]:
        """Find out whether both say the same.

        Where almost every value is another one, anything is one to one with anything. There it
        counts only if both are numbers that rise, or fall, together.
        """
        n, n_paired, _, _, _ = self._row(_ONE_TO_ONE.format(rows="sample"))
        if n_paired < _SAMPLE_SHARE * n:
            return []
        n, n_paired, n_left, n_right, n_pairs = self._row(_ONE_TO_ONE.format(rows="all_rows"))
        n_distinct = min(n_left, n_right)
        if n_paired < _SHARE * n or n_distinct < _MIN_DISTINCT:
            return []
        if 2 * n_pairs > n and not (pair.both_are_numbers and self._rise_together()):
            return []
        share = n_paired / n
        sentence = (
            f"feature {pair.name!r} of view {pair.view!r} is one to one with the column "
            f"{pair.column!r} in {share:.2%} of {n:,} rows: whoever knows the one knows the other"
        )
        counts = {"rows": n, "share": share, "pairs": n_pairs, "distinct": n_distinct}
        return [self._finding_of(pair, "one_to_one", sentence, counts)]

    def _rise_together(self) -> bool:
        correlation: float = self._row(_RANK_CORRELATION.format(rows="all_rows"))[0]
        return abs(correlation) >= _SHARE

    def _predicts(self, pair: "Pair") -> list[dict[str, Any]]:
        classes = self._classes()
        if classes is None:
            return []
        auc, n_high, n_low = self._auc("sample", *classes)
        if auc < _SAMPLE_SHARE and min(n_high, n_low) >= _MIN_ROWS:
            return []
        auc, n_high, n_low = self._auc("all_rows", *classes)
        if auc <= _AUC or min(n_high, n_low) < _MIN_ROWS:
            return []
        sentence = (
            f"feature {pair.name!r} of view {pair.view!r} predicts the column {pair.column!r} "
            f"alone, with an AUC of {auc:.5f} in {n_high + n_low:,} rows"
        )
        counts = {"rows": n_high + n_low, "rows_of_the_upper_class": n_high, "auc": auc}
        return [self._finding_of(pair, "predicts_label", sentence, counts)]

    def _classes(self) -> tuple[str, str] | None:
        """Return the label's two values as SQL, lower first; None if it has not just two."""
        n, low, high, kind = self._row(_CLASSES)
        if n != 2:
            return None
        quoted = [f"cast('{text.replace(chr(39), chr(39) * 2)}' as {kind})" for text in (low, high)]
        return quoted[0], quoted[1]

    def _auc(self, rows: str, low: str, high: str) -> tuple[float, int, int]:
        """AUC of whichever direction is better; rows of the upper and of the lower class."""
        n_high, n_low, wins = self._row(_AUC_OF.format(rows=rows, low=low, high=high))
        auc = wins / (n_high * n_low) if n_high and n_low else 0.5
        return max(auc, 1 - auc), n_high, n_low

    def _finding_of(
        self, pair: "Pair", code: str, sentence: str, counts: dict[str, Any]
    ) -> dict[str, Any]:
        query = "select row from all_rows where f is not null and y is not null order by row limit"
        examples = [
            self._example(i, feature=pair.feature[i].as_py(), label=pair.label[i].as_py())
            for (i,) in self._rows(f"{query} {_EXAMPLES}")
        ]
        return _finding(code, pair.view, pair.name, sentence, counts, examples, pair.column)

    def _rows(self, query: str) -> list[Any]:
        return interruptible(self._db, lambda: list(self._db.sql(query).fetchall()))

    def _row(self, query: str) -> Any:
        return self._rows(query)[0]

    # ---- columns as tables (row, f, y)

    def _count(self, n_rows: int, step: int) -> Any:
        """Numbers of every step-th row."""
        return self._db.sql(f"from range(0, {n_rows}, {step})").to_arrow_table()["range"]

    def _register(self, name: str, left: Any, right: Any, numbers: Any) -> None:
        import pyarrow as pa

        columns = {"row": numbers, "f": as_sql_reads(left), "y": as_sql_reads(right)}
        self._db.register(name, pa.table(columns))


def _is_nested(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_nested(kind) or pa.types.is_null(kind))


def _finding(
    code: str,
    view: str,
    feature: str | None,
    sentence: str,
    counts: dict[str, Any],
    examples: list[dict[str, Any]],
    label: str | None = None,
) -> dict[str, Any]:
    return {
        "code": code,
        "view": view,
        "feature": feature,
        "label": label,
        "sentence": sentence,
        "counts": counts,
        "examples": examples,
    }
