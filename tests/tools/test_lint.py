"""tools/lint.py on small trees: each finding has one that it must see and one that it must not."""

import subprocess
import sys
from pathlib import Path

import pytest

LINT = Path(__file__).parents[2] / "tools" / "lint.py"

GOOD_C = """\
#include "{module}/thing.h"

#include <stdint.h>

static const int limits[2] = {{1, 2}};

int tfn_thing(int a)
{{
    return a + limits[0];
}}
"""

GOOD_PUBLIC = """\
/**
 * Does a thing.
 *
 * @param thing  [borrow]
 * @param err    [out, nullable]
 *
 * Threads  any
 * Errors   TFN_INVALID
 */
TFN_API TFN_NODISCARD tfn_code tfn_thing_do(const tfn_part *thing, int n, tfn_error *err);
"""


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def lint(root: Path) -> list[str]:
    run = subprocess.run([sys.executable, LINT, root], capture_output=True, text=True)
    lines = run.stdout.splitlines()
    assert run.returncode == (1 if lines else 0), run.stderr
    return lines


def module(name: str, text: str, file: str = "thing.c") -> dict[str, str]:
    return {f"src/{name}/{file}": text, f"src/{name}/meson.build": f"files('{file}')\n"}


def body(text: str) -> str:
    return "int f(void)\n{\n" + text + "}\n"


def test_a_good_tree_has_no_findings(tmp_path):
    files = module("offline", GOOD_C.format(module="offline")) | {
        "src/offline/thing.h": '#include "column/key.h"\n',
        "include/tiffin/thing.h": GOOD_PUBLIC,
        "docs/page.md": "See [the other](other.md#part) and [elsewhere](https://example.org/x).\n",
        "docs/other.md": "TODO(ann): more.\n",
    }
    assert lint(write(tmp_path, files)) == []


BAD = {
    "an upward include": (
        module("column", '#include "offline/spine.h"\n'),
        'src/column/thing.c:1: layer: "offline/spine.h" is not below this module',
    ),
    "an include between equals": (
        module("online", '#include "offline/spine.h"\n'),
        "src/online/thing.c:1: layer:",
    ),
    "an include of another module's inside": (
        module("offline", '#include "column/column_internal.h"\n'),
        'layer: "column/column_internal.h" belongs to column alone',
    ),
    "a third-party header in the wrong module": (
        module("store", "#include <lmdb.h>\n"),
        "layer: only online may include <lmdb.h>",
    ),
    "a binding that reaches into the engine": (
        {
            "python/native/module.c": '#include "base/mem.h"\n',
            "python/meson.build": "'native/module.c'",
        },
        "python/native/module.c:1: layer: python/ may include tiffin/ only",
    ),
    "a module without a number": (
        module("cache", "int x(void);\n"),
        "layer: folder src/cache has no number",
    ),
    "a banned call": (module("base", body("    strcpy(a, b);\n")), "banned: strcpy()"),
    "the heap outside base/mem.c": (module("column", body("    free(a);\n")), "banned: free()"),
    "a print in the library": (module("column", body('    printf("x");\n')), "banned: printf()"),
    "a long function": (module("base", body("    a();\n" * 81)), "function-size: 81 lines"),
    "a long file": (module("base", "int x(void);\n" * 1001), "file-size: 1001 lines"),
    "a label of another name": (module("base", body("    goto out;\n")), "goto: 'goto out'"),
    "an early return while something is owned": (
        module(
            "base",
            body(
                "    char *copy = NULL;\n"
                "    TFN_GOTO_IF_ERROR(rc, tfn_mem_copy_text(text, &copy, err), done);\n"
                "    TFN_RETURN_IF_ERROR(check(copy, err));\n"
            ),
        ),
        "src/base/thing.c:5: early-return: 'copy' is owned here",
    ),
    "a mutable global": (module("base", "static int n_calls;\n"), "mutable-global: 'n_calls'"),
    "a mutable struct": (
        module("base", "static struct {\n    int n;\n} table;\n"),
        "src/base/thing.c:1: mutable-global: 'struct'",
    ),
    "a mutable static in a function": (
        module("base", body("    static int n_calls = 0;\n")),
        "mutable-global: 'n_calls'",
    ),
    "a public function without a block": (
        {"include/tiffin/thing.h": "TFN_API int tfn_thing(void);\n"},
        "doc-block: the block above tfn_thing() has no line 'Threads'",
    ),
    "a public pointer without an owner": (
        {"include/tiffin/thing.h": GOOD_PUBLIC.replace("[borrow]", "the thing")},
        "doc-block: tfn_thing_do(): '@param thing' needs who owns it",
    ),
    "a file named after nothing": (module("base", "", "string_utils.c"), "file-name:"),
    "a path of one machine": (
        {"tools/x.py": "A = '/" + "home/ann/data'\n"},
        "tools/x.py:1: absolute-path",
    ),
    "work without an owner": (module("base", "/* " + "TODO: later */\n"), "todo:"),
    "flags that change results": (
        {"meson.build": "c_args: '-ffast-math'\n"},
        "meson.build:1: banned:",
    ),
    "a dead link": ({"docs/page.md": "\n[x](gone.md)\n"}, "docs/page.md:2: link: 'gone.md'"),
    "a source that nobody builds": ({"src/base/new.c": ""}, "src/base/new.c:1: build-list: in no"),
    "a source that is listed and gone": (
        {"src/base/meson.build": "files('gone.c')\n"},
        "build-list: 'gone.c' is listed and not there",
    ),
    "a waiver that waives nothing": (
        module("base", "/* lint: allow goto - because */\n"),
        "waiver: waives nothing",
    ),
    "a waiver without a reason": (
        module("base", "static int n; /* lint: allow mutable-global */\n"),
        "waiver: needs a reason",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_lint_sees(name, tmp_path):
    files, expected = BAD[name]
    findings = lint(write(tmp_path, files))
    assert len(findings) == (2 if "without a block" in name else 1), findings
    assert any(expected in finding for finding in findings), findings


GOOD = {
    "a banned word in a comment or a string": 'const char *a = "strcpy(x)"; /* free(x) */\n',
    "the heap's name as a member": body("    hooks->free(a);\n"),
    "a constant table": "static const int sizes[] = {1, 2};\n",
    "a declaration": "extern const int sizes[2];\nint f(int a);\n",
    "a waived global": "static int n; /* lint: allow mutable-global - one per process */\n",
    "a waiver on the line above": (
        "/* lint: allow mutable-global - one per process */\nstatic int n;\n"
    ),
    "an early return before anything is owned": body(
        "    TFN_RETURN_IF_ERROR(check(err));\n"
        "    TFN_RETURN_IF_ERROR(tfn_mem_copy_text(text, &out->copy, err));\n"
        "    TFN_RETURN_IF_ERROR(check(err));\n"
    ),
    "an early return after what was owned has moved": body(
        "    void *p = NULL;\n"
        "    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(n, 8, &p, err));\n"
        "    out->rows = p;\n"
        "    TFN_RETURN_IF_ERROR(tfn_arena_copy(a, text, n, &p, err));\n"
        "    TFN_RETURN_IF_ERROR(check(err));\n"
    ),
    "a function of eighty lines": body("    a();\n" * 80),
}


@pytest.mark.parametrize("name", GOOD)
def test_lint_lets_pass(name, tmp_path):
    assert lint(write(tmp_path, module("base", GOOD[name]))) == []


def test_files_of_a_listed_folder_are_listed(tmp_path):
    files = {"python/tiffin/x/a.py": "", "python/meson.build": "install_subdir('tiffin/x')\n"}
    assert lint(write(tmp_path, files)) == []


def test_the_heap_is_allowed_in_its_own_file(tmp_path):
    assert lint(write(tmp_path, module("base", body("    free(a);\n"), "mem.c"))) == []
