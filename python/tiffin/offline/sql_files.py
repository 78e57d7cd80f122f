"""File names in SQL, made to start at the repo.

DuckDB looks a name up in the working directory first and in its ``file_search_path`` then, so a
file that happens to lie there would be read instead of the repo's. Names that DuckDB would find
there are replaced by the full path in the repo, at the places that DuckDB's own parser says are
files: what is compared with a text is left alone.
"""

import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from tiffin.errors import InvalidError

_QUOTED = re.compile(rb"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")


def name_from(
    base_path: Path, sql: str, tables: Collection[str], connection: Any, what: str
) -> str:
    """Return a query in which no file name starts at the working directory.

    Parameters
    ----------
    base_path : pathlib.Path
        Where names start.
    sql : str
        One statement that parses.
    tables : collection of str
        Names that are tables, whatever files there are.
    connection : duckdb.DuckDBPyConnection
        Parses.
    what : str
        What the result is called in sentences.

    Raises
    ------
    InvalidError
        The query is one that DuckDB does not take apart, and names a file of the working directory.
    """
    text = sql.encode()
    quoted = (_unquoted(match.group()) for match in _QUOTED.finditer(text))
    if Path.cwd() == base_path or not any(_lies_here(name) for name in quoted):
        return sql
    [(parsed,)] = connection.execute("select json_serialize_sql(?)", [sql]).fetchall()
    tree = json.loads(parsed)
    if tree["error"]:
        raise InvalidError(
            f"{what} is SQL that names a file which is in the working directory as well, and of "
            f"which DuckDB cannot say where it names files; write full paths, e.g. "
            f"'{base_path}/...'"
        )
    for begin in sorted(set(_places(tree, False)), reverse=True):
        match = _QUOTED.match(text, begin)
        name = _unquoted(match.group()) if match else ""
        if match and name not in tables and _lies_here(name):
            quote = match.group()[:1]
            path = str(base_path / name).encode().replace(quote, quote * 2)
            text = text[:begin] + quote + path + quote + text[match.end() :]
    return text.decode()


def _unquoted(token: bytes) -> str:
    quote = token[:1]
    return token[1:-1].replace(quote * 2, quote).decode()


def _lies_here(name: str) -> bool:
    """Whether DuckDB would find it from the working directory."""
    try:
        if not name or Path(name).is_absolute():
            return False
        return Path(name).exists() or any(Path().glob(name))
    except (OSError, ValueError):  # too long for a path, or with a zero byte
        return False


def _places(node: Any, is_argument: bool) -> Iterator[int]:
    """Offsets in bytes of tables' names, and of texts that functions of tables take."""
    if isinstance(node, list):
        for each in node:
            yield from _places(each, is_argument)
    elif isinstance(node, dict):
        kind = node.get("type")
        if is_argument and node.get("class") == "COMPARISON":  # an option: delim = ','
            return
        if kind == "BASE_TABLE" or (is_argument and kind == "VALUE_CONSTANT"):
            yield node["query_location"]
        for each in node.values():
            yield from _places(each, is_argument or kind == "TABLE_FUNCTION")
