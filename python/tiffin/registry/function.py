"""A user's function as definitions know it: by module, name and source. It is never pickled."""

import hashlib
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any, Self

REPO_PREFIX = "_tiffin_repo."
"""Put before the name of a repo's module that another module already has (`store.repo`)."""


class FunctionReference:
    """Where a function lives, and what its source says.

    Attributes
    ----------
    module : str
        Dotted, as from the repo's folder: ``"features"``.
    name : str
        Its qualified name there: ``"rates"``.
    source : str
        Its text without decorators, to be shown and compared; ``""`` where it has none.
    hash : str
        SHA-256 of the source: 64 hex digits.
    call : callable or None
        The function itself, in the process that defined it.
    """

    __slots__ = ("call", "hash", "module", "name", "source")
    module: str
    name: str
    source: str
    hash: str
    call: Callable[..., Any] | None

    def __init__(
        self,
        module: str,
        name: str,
        source: str,
        digest: str,
        call: Callable[..., Any] | None = None,
    ) -> None:
        self.module = module
        self.name = name
        self.source = source
        self.hash = digest
        self.call = call

    @classmethod
    def of(cls, call: Callable[..., Any], text: str = "") -> Self:
        """Describe a function.

        Parameters
        ----------
        call : callable
        text : str, optional
            Its source, for a function whose own cannot be read.
        """
        source = _read_source(call) or text
        code = getattr(call, "__code__", None)
        if source:
            digest = hashlib.sha256(source.encode()).hexdigest()
        else:
            digest = _hash_code(code) if isinstance(code, CodeType) else _hash_text(repr(call))
        module = str(getattr(call, "__module__", None) or "__main__")
        name = str(getattr(call, "__qualname__", None) or type(call).__qualname__)
        return cls(module.removeprefix(REPO_PREFIX), name, source, digest, call)

    def to_document(self) -> dict[str, Any]:
        """Return the neutral form."""
        return {
            "module": self.module,
            "name": self.name,
            "source": self.source,
            "hash": self.hash,
        }

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """Return what a document describes; nothing is loaded."""
        return cls(
            document["module"], document["name"], document.get("source", ""), document["hash"]
        )


def place_of(call: Callable[..., Any] | None) -> str:
    """``file:line`` of a function's ``def``, or its name where it has no file."""
    code = getattr(call, "__code__", None)
    if not isinstance(code, CodeType):
        return str(getattr(call, "__qualname__", call))
    return f"{code.co_filename}:{code.co_firstlineno}"


def _read_source(call: Callable[..., Any]) -> str:
    import inspect
    import textwrap

    if not isinstance(inspect.unwrap(call), FunctionType):
        return ""
    try:
        return _strip_decorators(textwrap.dedent(inspect.getsource(call)))
    except (OSError, TypeError):  # defined in a prompt, or by exec
        return ""


def _strip_decorators(source: str) -> str:
    """Return the text from ``def`` on: what the decorator says is no part of the function."""
    import ast

    try:
        node = ast.parse(source).body[0]
    except (SyntaxError, IndexError):  # a part of an expression, such as a lambda
        return source
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return source
    return "".join(source.splitlines(keepends=True)[node.lineno - 1 : node.end_lineno])


def _hash_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _hash_code(code: CodeType) -> str:
    import marshal

    return hashlib.sha256(marshal.dumps(code)).hexdigest()
