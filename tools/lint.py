#!/usr/bin/env python3
"""What the compiler and the stock linters do not know about this project.

usage: lint.py [ROOT]

Prints `path:line: NAME: sentence` for each finding and exits 1 if there is one. A finding that is
right and yet wanted is waived on its line or on the line above, with the reason:
    /* lint: allow NAME - reason */  (C)      # lint: allow NAME - reason  (Python, sh)
A waiver that waives nothing is itself a finding. NAMEs: see CHECKS at the end, and STYLE.md.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

# The layer rule: a module includes its own files, lower numbers, and include/tiffin.
LEVELS = "base|column|registry|source|compute|offline online|ingest monitor|store|server".split("|")
LAYERS = {module: level for level, modules in enumerate(LEVELS) for module in modules.split()}
# Third-party headers, and the only modules that may know them.
CONFINED = {
    "sqlite3.h": {"registry"},
    "feast.pb-c.h": {"registry"},
    "protobuf-c/protobuf-c.h": {"registry"},
    "lmdb.h": {"online"},
    "valkey/valkey.h": {"online"},
    "valkey/tls.h": {"online"},
    "openssl/err.h": {"online"},
    "openssl/crypto.h": {"server"},
    "openssl/evp.h": {"registry"},
    "openssl/sha.h": {"registry", "server"},
    "openssl/ssl.h": {"online"},
    "yaml.h": {"server"},
    "yyjson.h": {"base", "registry", "server"},
    "dlfcn.h": {"source"},
    "xxhash.h": {"base"},
}
BANNED = set(
    "strcpy strcat sprintf vsprintf gets strtok strncpy atoi atol atof sscanf alloca rand localtime"
    " gmtime strerror setlocale".split()
)
HEAP = {"malloc", "calloc", "realloc", "free"}
PRINTS = {"printf", "puts", "putchar"}
MAX_FILE_LINES, MAX_FUNCTION_LINES = 1000, 80
REFUSED_STEM = re.compile(r"(.*_)?(utils?|common|helpers?|misc)(_.*)?")
SKIPPED_FOLDERS = {"build", "dist", "subprojects", "__pycache__", "node_modules"}
TAGS = r"\[(borrow|own|take|copy|out)\b[^\]]*\]"
WAIVER = re.compile(r"(?:/\*|#) lint: allow ([\w-]+)(?: - (\S.*?))?\s*(?:\*/|$)")
ACQUIRES = re.compile(
    r"TFN_(?:RETURN|GOTO)_IF_ERROR\((?:\w+, )?"
    r"tfn_(?:mem_(?:alloc|copy|realloc|grow)\w*|(?!arena)\w+_(?:create|open|begin|copy)\w*)\("
)

Finding = tuple[int, str, str]  # line, name of the check, sentence


class File:
    """One file of the tree: its lines, and for C the same lines without comments and strings."""

    def __init__(self, root: Path, path: Path) -> None:
        self.root, self.path = root, path
        self.name = path.relative_to(root).as_posix()
        self.parts = tuple(self.name.split("/"))
        self.text = path.read_text(encoding="utf-8", errors="replace")
        self.lines = self.text.splitlines()
        self.is_c = path.suffix in {".c", ".h"}
        self.code = blank_c(self.text).splitlines() if self.is_c else self.lines
        in_module = self.parts[0] == "src" and len(self.parts) > 2
        self.module = self.parts[1] if in_module else ""

    def functions(self) -> Iterator[tuple[int, int]]:
        """First and last line of each body; clang-format puts both braces into column 0."""
        start = 0
        for n, line in enumerate(self.code, 1):
            if line.rstrip() == "{":
                start = n
            elif line.rstrip() == "}" and start:
                yield start, n
                start = 0


def blank_c(text: str) -> str:
    """The same text with comments and the insides of strings replaced by spaces."""

    def blank(match: re.Match[str]) -> str:
        found = match[0]
        if found[0] in "\"'":
            return found[0] + " " * (len(found) - 2) + found[0]
        return re.sub(r"[^\n]", " ", found)

    tokens = r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return re.sub(tokens, blank, text, flags=re.S)


def check_layers(file: File) -> Iterator[Finding]:
    if not file.is_c or file.parts[0] not in {"src", "include", "python"}:
        return
    if file.module and file.module not in LAYERS:
        yield 1, "layer", f"folder src/{file.module} has no number in tools/lint.py"
        return
    for n, line in enumerate(file.lines, 1):
        found = re.match(r'\s*#\s*include\s+([<"])([^">]+)[">]', line)
        if not found:
            continue
        target = found[2]
        folder = target.split("/")[0]
        allowed = CONFINED.get(target)
        if found[1] == "<" or folder not in LAYERS:
            if allowed and file.module not in allowed:
                yield n, "layer", f"only {', '.join(sorted(allowed))} may include <{target}>"
        elif not file.module:
            yield n, "layer", f'{file.parts[0]}/ may include tiffin/ only, not "{target}"'
        elif folder != file.module and LAYERS[folder] >= LAYERS[file.module]:
            pair = f"{file.module} ({LAYERS[file.module]}), {folder} ({LAYERS[folder]})"
            yield n, "layer", f'"{target}" is not below this module: {pair}'
        elif folder != file.module and target.endswith("_internal.h"):
            yield n, "layer", f'"{target}" belongs to {folder} alone'


def check_banned(file: File) -> Iterator[Finding]:
    if not file.is_c:
        return
    ours = file.parts[0] in {"src", "include", "python"}
    banned = BANNED | (HEAP | PRINTS if ours else set())
    if file.name == "src/base/mem.c":
        banned -= HEAP
    for n, line in enumerate(file.code, 1):
        if "#pragma" in line:
            continue
        for call in re.findall(r"(?<![\w.>])(\w+)\s*\(", line):
            if call in banned:
                yield n, "banned", f"{call}() is not used here (STYLE.md says what is instead)"


def check_size(file: File) -> Iterator[Finding]:
    if not file.is_c:
        return
    if len(file.lines) > MAX_FILE_LINES:
        yield 1, "file-size", f"{len(file.lines)} lines; {MAX_FILE_LINES} are allowed"
    for first, last in file.functions():
        n_lines = last - first - 1
        if n_lines > MAX_FUNCTION_LINES:
            yield first, "function-size", f"{n_lines} lines; {MAX_FUNCTION_LINES} are allowed"


def check_jumps(file: File) -> Iterator[Finding]:
    """One label, `done`; no early return between the first thing owned and its cleanup."""
    if not file.is_c or file.parts[0] != "src":
        return
    for first, last in file.functions():
        owned = ""
        for n in range(first + 1, last):
            line = file.code[n - 1]
            label = re.search(r"\bgoto\s+(\w+)", line)
            if label and label[1] != "done":
                yield n, "goto", f"'goto {label[1]}': the one label is 'done'"
            ended = rf"(?:->|\.|\*)[^=]*= (?:\([^)]*\))?{owned};|(?:free|destroy|close)\({owned}\)"
            if owned and re.search(ended, line):
                owned = ""  # moved to its owner, or gone
            if owned and re.search(r"\bTFN_RETURN_IF_ERROR\(", line):
                yield n, "early-return", f"'{owned}' is owned here; use TFN_GOTO_IF_ERROR"
            if not owned and ACQUIRES.search(line):
                # What is acquired into a local is ours to end; into *out or x->y, the caller's.
                local = re.search(r"&(\w+)(?=[,)])", line + file.code[n])
                body = "\n".join(file.code[first : n - 1])
                if local and re.search(rf"^\s+[\w ]+\*+{local[1]}\b", body, re.M):
                    owned = local[1]


def check_globals(file: File) -> Iterator[Finding]:
    if file.path.suffix != ".c" or file.parts[0] not in {"src", "python"}:
        return
    variable = re.compile(
        r"(?:static\s+)?(?!.*\b(?:const|typedef|extern|return|goto|inline)\b)"
        r"(?:_Atomic\s+)?[a-zA-Z_][\w ]*[ *](\w+)(?:\[[^\]]*\])*\s*(?:=.*|;)$"
    )
    for n, line in enumerate((line.rstrip() for line in file.code), 1):
        found = variable.match(line) if line[:1].isalpha() or line[:1] == "_" else None
        found = found or re.match(r"static (?:_Atomic )?(struct|union)\b[^(=]*\{$", line)
        inner = re.match(r"\s+static\s+(?!const\b|_Noreturn\b|inline\b)[^(]*?(\w+)\s*[=;\[]", line)
        found = found or inner
        if found and "(" not in line.split("=")[0]:
            yield (
                n,
                "mutable-global",
                f"'{found[1]}' is mutable and outlives a call; pass it instead",
            )


def check_public_docs(file: File) -> Iterator[Finding]:
    if file.path.suffix != ".h" or file.parts[:2] != ("include", "tiffin"):
        return
    for found in re.finditer(r"^TFN_API\s+([^;{]+?);", file.text, re.M | re.S):
        n = file.text.count("\n", 0, found.start()) + 1
        # Declarations without a blank line between them share the block above the first.
        before = re.sub(r"(?:\nTFN_API\s[^;{]+;)+$", "", file.text[: found.start()].rstrip())
        opens = before.rfind("/**")
        block = before[opens:] if before.endswith("*/") and opens >= 0 else ""
        name, _, arguments = found[1].partition("(")
        who = f"{name.split()[-1].lstrip('*')}()"
        for word in ("Threads", "Errors"):
            if not re.search(rf"\b{word}\b", block):
                yield n, "doc-block", f"the block above {who} has no line '{word}'"
        for kind, pointer in re.findall(r"(\w+)\s*\*+(?:const\s+)?(\w+)(?:\[\])?[,)]", arguments):
            # The object itself (tfn_store *store) is always borrowed for the call.
            if kind != f"tfn_{pointer}" and not re.search(
                rf"@param\s+(?:[\w, ]*\b)?{pointer}\b.*?{TAGS}", block
            ):
                yield n, "doc-block", f"{who}: '@param {pointer}' needs who owns it, e.g. [borrow]"


def check_text(file: File) -> Iterator[Finding]:
    if file.name == "LICENSE":
        return
    if REFUSED_STEM.fullmatch(file.path.stem) and file.path.suffix in {".c", ".h", ".py"}:
        yield 1, "file-name", f"'{file.path.name}' names no thing; name the noun it implements"
    for n, line in enumerate(file.lines, 1):
        if re.search(r"(?<![\w.~}-])/(?:home|root|work|shared|Users|mnt)/", line):
            yield n, "absolute-path", "a path of one machine"
        if re.search(r"\b(?:TODO|FIXME|XXX)\b(?!\()", line) and "lint" not in file.path.stem:
            yield n, "todo", "needs an owner, TODO(name), or to be done now"
        if file.path.name == "meson.build" and re.search(r"-march=native|-ffast-math", line):
            yield n, "banned", "flags that change results or bind to one machine"


def check_links(file: File) -> Iterator[Finding]:
    if file.path.suffix != ".md":
        return
    for n, line in enumerate(file.lines, 1):
        for target in re.findall(r"\]\(([^)\s#]+)[^)]*\)", line):
            if ":" not in target and not (file.path.parent / target).exists():
                yield n, "link", f"'{target}' is not there"


def check_listed(file: File) -> Iterator[Finding]:
    """Every source stands in a meson.build: of its folder, or of one above it."""
    if file.parts[0] == "src" and file.path.name == "meson.build":
        for name in re.findall(r"'([\w/]+\.c)'", file.text):
            if not (file.path.parent / name).is_file():
                yield 1, "build-list", f"'{name}' is listed and not there"
    built = file.path.suffix == ".c" or file.path.suffix in {".py", ".pyi"}
    if not built or file.parts[0] not in {"src", "tests", "python"}:
        return
    if file.parts[0] == "tests" and file.path.suffix != ".c":
        return
    for folder in file.path.parents:
        listing = folder / "meson.build"
        if listing.is_file():
            below = file.path.relative_to(folder)
            kindless = re.sub(r"^(test|fuzz|prop|fault)_", "", below.stem)
            names = [kindless, below.as_posix(), *(p.as_posix() for p in below.parents if p.name)]
            if re.search(rf"'(?:{'|'.join(map(re.escape, names))})'", listing.read_text()):
                return
        if folder == file.root:
            break
    yield 1, "build-list", "in no meson.build"


CHECKS: list[Callable[[File], Iterator[Finding]]] = [
    check_layers,  # layer
    check_banned,  # banned
    check_size,  # file-size, function-size
    check_jumps,  # goto, early-return
    check_globals,  # mutable-global
    check_public_docs,  # doc-block
    check_text,  # file-name, absolute-path, todo
    check_links,  # link
    check_listed,  # build-list
]


def check_file(file: File) -> Iterator[Finding]:
    findings = [finding for check in CHECKS for finding in check(file)]
    for n, line in enumerate(file.lines, 1):
        waiver = WAIVER.search(line)
        if not waiver or "lint" in file.path.stem or file.path.suffix == ".md":
            continue
        alone = not line[: waiver.start()].strip()
        waived = [f for f in findings if f[1] == waiver[1] and f[0] == n + alone]
        findings = [f for f in findings if f not in waived]
        if not waiver[2]:
            findings.append((n, "waiver", "needs a reason: lint: allow NAME - reason"))
        elif not waived:
            findings.append((n, "waiver", f"waives nothing: there is no '{waiver[1]}' here"))
    yield from sorted(findings)


def find_files(root: Path) -> Iterator[File]:
    for folder, folders, names in os.walk(root):
        hidden = {f for f in folders if f.startswith(".") and f != ".ci"}
        folders[:] = sorted(set(folders) - hidden - SKIPPED_FOLDERS)
        for name in sorted(names):
            kept = {".c", ".h", ".py", ".pyi", ".md", ".sh", ".toml", ".build", ".yaml"}
            if Path(name).suffix in kept or name == "Makefile":
                yield File(root, Path(folder, name))


def main(root: Path) -> int:
    findings = [(file.name, *found) for file in find_files(root) for found in check_file(file)]
    for name, n, check, sentence in findings:
        print(f"{name}:{n}: {check}: {sentence}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()))
